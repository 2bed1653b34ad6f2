//! One table of lines, for one thread at a time.

use prefetch_index::prefetch_index;

use super::memory::Memory;

/// Words of a line: 64 bytes.
const WORDS: usize = 8;
/// A table that has room for this many times as many keys as it has gives room back.
const ROOM_MAX: usize = 8;

/// `KEYS` keys, then a state for each of them if there is room for that. A free place has the key 0.
type Line = [u64; WORDS];

/// A table of lines with `KEYS` keys each: 4 have a state each, 8 have none.
#[derive(Debug)]
pub(crate) struct Table<const KEYS: usize> {
    /// As many as a power of two.
    lines: Memory<Line>,
    keys: usize,
    /// The lines that it has at least.
    least: usize,
}

/// Where a key is, or where it would be put.
enum Place {
    Taken { line: usize, at: usize },
    Free { line: usize, at: usize },
}

/// The key 0 stands for a free place; it counts as the key 1.
fn never_zero(key: u64) -> u64 {
    key.max(1)
}

/// A table grows when it has more keys than this for each of its lines, on the average: with more of them, lines run over.
const fn keys_per_line(keys: usize) -> usize {
    keys * 5 / 8
}

impl<const KEYS: usize> Table<KEYS> {
    /// A table with room for so many keys from the start. Untouched room costs address space, not memory.
    pub(crate) fn with_room(keys: usize) -> Self {
        let least = Self::lines_for(keys);
        Self { lines: Memory::zeroed(least), keys: 0, least }
    }

    /// Lines that have room for so many keys.
    fn lines_for(keys: usize) -> usize {
        keys.div_ceil(keys_per_line(KEYS)).next_power_of_two()
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.keys
    }

    /// For how many keys there is room before it must grow.
    pub(crate) fn room(&self) -> usize {
        self.lines.len() * keys_per_line(KEYS)
    }

    /// Has the line fetched in which a key is looked for first, and does not wait for it.
    pub(crate) fn prefetch(&self, key: u64) {
        prefetch_index(&*self.lines, self.home(never_zero(key)));
    }

    /// Whether a key is there.
    pub(crate) fn contains(&self, key: u64) -> bool {
        matches!(self.find(never_zero(key)), Place::Taken { .. })
    }

    /// The state of a key that is there.
    pub(crate) fn get(&self, key: u64) -> Option<u64> {
        match self.find(never_zero(key)) {
            Place::Taken { line, at } => self.lines.get(line)?.get(KEYS + at).copied(),
            Place::Free { .. } => None,
        }
    }

    /// The state of a key that is there.
    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut u64> {
        match self.find(never_zero(key)) {
            Place::Taken { line, at } => self.state(line, at),
            Place::Free { .. } => None,
        }
    }

    /// Puts a key there, with the state that `new` gives, unless it is there already; gives its state.
    pub(crate) fn get_or_put(&mut self, key: u64, new: impl FnOnce() -> u64) -> Option<&mut u64> {
        let key = never_zero(key);
        let (line, at) = match self.find(key) {
            Place::Taken { line, at } => (line, at),
            Place::Free { line, at } => {
                let state = new();
                self.put(line, at, key, state)
            }
        };
        self.state(line, at)
    }

    /// Keeps the keys whose state `keeps`; the number of those that went.
    pub(crate) fn retain(&mut self, keeps: impl Fn(u64) -> bool) -> usize {
        if self.keys == 0 && self.lines.len() == self.least {
            return 0;
        }
        let kept: Vec<_> = self.entries().filter(|(_, state)| keeps(*state)).collect();
        let gone = self.keys - kept.len();
        let needed = Self::lines_for(kept.len()).max(self.least);
        let lines = if self.lines.len() / ROOM_MAX > needed { needed } else { self.lines.len() };
        if gone > 0 || lines != self.lines.len() {
            self.lay_out(lines, kept);
        }
        gone
    }

    /// The line in which a key is looked for first.
    fn home(&self, key: u64) -> usize {
        usize::try_from(key & (self.lines.len() - 1) as u64).unwrap_or(0)
    }

    fn find(&self, key: u64) -> Place {
        let mut number = self.home(key);
        loop {
            let line = self.lines.get(number).map_or(&[][..], |line| line.split_at(KEYS).0);
            for (at, held) in line.iter().enumerate() {
                match *held {
                    held if held == key => return Place::Taken { line: number, at },
                    0 => return Place::Free { line: number, at },
                    _ => {}
                }
            }
            // There is a free place somewhere: a table grows long before it is full.
            number = (number + 1) & (self.lines.len() - 1);
        }
    }

    fn state(&mut self, line: usize, at: usize) -> Option<&mut u64> {
        self.lines.get_mut(line)?.get_mut(KEYS + at)
    }

    /// Puts a key into a free place, or where it belongs in a larger table; gives where it is then.
    fn put(&mut self, line: usize, at: usize, key: u64, state: u64) -> (usize, usize) {
        let (mut line, mut at) = (line, at);
        if self.keys >= self.room() {
            self.lay_out(self.lines.len() * 2, self.entries().collect());
            if let Place::Free { line: other, at: place } = self.find(key) {
                (line, at) = (other, place);
            }
        }
        if let Some((keys, states)) = self.lines.get_mut(line).map(|line| line.split_at_mut(KEYS))
            && let Some(free) = keys.get_mut(at)
        {
            *free = key;
            self.keys += 1;
            if let Some(its) = states.get_mut(at) {
                *its = state;
            }
        }
        (line, at)
    }

    fn entries(&self) -> impl Iterator<Item = (u64, u64)> {
        self.lines.iter().flat_map(|line| {
            let (keys, states) = line.split_at(KEYS);
            let states = states.iter().copied().chain(std::iter::repeat(0));
            keys.iter().copied().zip(states).take_while(|(key, _)| *key != 0)
        })
    }

    /// Begins anew with so many lines and these entries.
    fn lay_out(&mut self, lines: usize, entries: Vec<(u64, u64)>) {
        if lines == self.lines.len() {
            self.lines.fill([0; WORDS]);
        } else {
            self.lines = Memory::zeroed(lines);
        }
        self.keys = 0;
        for (key, state) in entries {
            if let Place::Free { line, at } = self.find(key) {
                self.put(line, at, key, state);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Keys that crowd into few lines, as those of a real table never do.
    fn crowded() -> impl Strategy<Value = u64> {
        (0_u64..10).prop_map(|number| number << 20 | (number % 2))
    }

    #[derive(Debug, Clone)]
    enum Step {
        Add(u64, u64),
        Look(u64),
        Prefetch(u64),
        KeepOver(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (crowded(), 1_u64..100).prop_map(|(key, by)| Step::Add(key, by)),
            3 => crowded().prop_map(Step::Look),
            1 => any::<u64>().prop_map(Step::Prefetch),
            1 => (0_u64..200).prop_map(Step::KeepOver),
        ]
    }

    proptest! {
        #[test]
        fn it_does_what_a_hash_map_does(steps in prop::collection::vec(step(), 0..200)) {
            let (mut table, mut set) = (Table::<4>::with_room(0), Table::<8>::with_room(0));
            let mut model = HashMap::<u64, u64>::new();
            for step in steps {
                match step {
                    Step::Add(key, by) => {
                        let state = table.get_or_put(key, || 7).map(|state| { *state += by; *state });
                        let its = model.entry(never_zero(key)).or_insert(7);
                        *its += by;
                        prop_assert_eq!(state, Some(*its));
                        prop_assert_eq!(set.get_or_put(key, || 7), None);
                    }
                    Step::Look(key) => {
                        let its = model.get(&never_zero(key)).copied();
                        prop_assert_eq!(table.get_mut(key).map(|state| *state), its);
                        prop_assert_eq!((table.get(key), table.contains(key)), (its, its.is_some()));
                        // A set has no states by which something could leave it.
                        prop_assert!(its.is_none() || set.contains(key));
                    }
                    Step::Prefetch(key) => { table.prefetch(key); set.prefetch(key); }
                    Step::KeepOver(least) => {
                        let before = model.len();
                        model.retain(|_, state| *state > least);
                        prop_assert_eq!(table.retain(|state| state > least), before - model.len());
                    }
                }
                prop_assert_eq!((table.len(), table.entries().count()), (model.len(), model.len()));
                prop_assert_eq!(set.len(), set.entries().count());
            }
        }
    }

    #[test]
    fn it_grows_and_gives_room_back() {
        let mut table = Table::<4>::with_room(1_000);
        let first = table.room();
        let key = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for number in 1..=100_000 {
            assert!(table.get_or_put(key(number), || number).is_some());
        }
        let grown = table.room();
        assert!((100_000..400_000).contains(&grown), "{grown}");
        assert!((1..=100_000).all(|number| table.get(key(number)) == Some(number)));
        assert_eq!(table.retain(|number| number > 99_900), 99_900);
        assert_eq!((table.len(), table.room()), (100, first));
        assert_eq!((table.get(key(99_950)), table.get(key(50))), (Some(99_950), None));
    }

    #[test]
    fn a_set_holds_what_was_put_there_however_much_it_grows() {
        let mut set = Table::<8>::with_room(0);
        let key = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for number in 1..=50_000 {
            set.get_or_put(key(number), || 0);
            set.get_or_put(key(number), || 0);
        }
        assert_eq!(set.len(), 50_000);
        assert!((1..=50_000).all(|number| set.contains(key(number))));
        assert!((50_001..=60_000).all(|number| !set.contains(key(number))));
        assert!(set.room() < 4 * 50_000, "{}", set.room());
    }

    #[test]
    fn lines_run_over_into_the_next_one_and_round_the_end() {
        let mut table = Table::<4>::with_room(8 * keys_per_line(4));
        // All of them belong into the last line.
        let keys: Vec<u64> = (0..10).map(|number| number << 20 | 0x7).collect();
        for (state, key) in (1..).zip(&keys) {
            table.get_or_put(*key, || state);
        }
        assert!((1..).zip(&keys).all(|(state, key)| table.get(*key) == Some(state)));
        assert_eq!(table.retain(|state| state % 2 == 0), 5);
        for (state, key) in (1..).zip(&keys) {
            assert_eq!(table.get(*key), (state % 2 == 0).then_some(state));
        }
    }
}
