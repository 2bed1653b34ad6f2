//! Maps and sets of hashes that cost one cache line a look-up, which can be asked for ahead.
//!
//! In a rush nearly every key is new, its place is in no cache, and a place in memory that no core has used costs more
//! than all else that is done with it. A map that keeps control bytes and entries apart pays for two such places, this one
//! for one:
//!
//! ```text
//!   key ──first bits──► shard ──last bits──► line: 4 keys, 4 states ── full of others ──► the next line
//!                                            or 8 keys
//! ```
//!
//! And where that line is, the key alone says, so whoever knows a key early can have the line fetched from memory while
//! other work is done ([`Lines::prefetch`]).
//!
//! Keys fill a line from its front and leave it only when the table is laid out anew, so the first free place says that a
//! key is not there. Keys are keyed hashes already: nobody can choose some that share a line.

mod memory;
mod table;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use memory::Memory;
pub(crate) use table::Table;

/// Enough that the two or more threads of the hot path rarely meet, and that laying one out anew holds up few keys.
const SHARDS: usize = 64;
/// How many of a key's first bits choose its shard.
const SHARD_BITS: u32 = SHARDS.trailing_zeros();

/// A table that threads share, of lines with `KEYS` keys each: 4 have a state each, 8 have none.
#[derive(Debug)]
pub(crate) struct Lines<const KEYS: usize> {
    shards: Box<[Apart<Mutex<Table<KEYS>>>]>,
}

/// In a cache line of its own, so that threads which lock neighbours are not in each other's way.
#[derive(Debug)]
#[repr(align(64))]
struct Apart<T>(T);

impl<const KEYS: usize> Lines<KEYS> {
    /// A table with room for so many keys from the start. Untouched room costs address space, not memory.
    pub(crate) fn with_room(keys: usize) -> Self {
        let shard = || Apart(Mutex::new(Table::with_room(keys.div_ceil(SHARDS))));
        Self { shards: std::iter::repeat_with(shard).take(SHARDS).collect() }
    }

    /// Has the line fetched in which a key is looked for first, and does not wait for it. Changes nothing.
    pub(crate) fn prefetch(&self, key: u64) {
        self.shard_of(key).prefetch(key);
    }

    /// What `change` says of a key's state, which it may set; nothing for a key that is not there.
    pub(crate) fn change<T>(&self, key: u64, change: impl FnOnce(&mut u64) -> T) -> Option<T> {
        self.shard_of(key).get_mut(key).map(change)
    }

    /// What `change` says of a key's state. A key that is not there is put there first, in the state that `new` gives.
    pub(crate) fn change_or_put<T>(
        &self,
        key: u64,
        new: impl FnOnce() -> u64,
        change: impl FnOnce(&mut u64) -> T,
    ) -> T {
        let mut shard = self.shard_of(key);
        match shard.get_or_put(key, new) {
            Some(state) => change(state),
            // Only in lines that keep no states.
            None => change(&mut 0),
        }
    }

    /// Puts a key there.
    pub(crate) fn put(&self, key: u64) {
        self.shard_of(key).get_or_put(key, || 0);
    }

    /// Whether a key is there.
    pub(crate) fn contains(&self, key: u64) -> bool {
        self.shard_of(key).contains(key)
    }

    /// Keeps the keys whose state `keeps`; the number of those that went.
    pub(crate) fn retain(&self, keeps: impl Fn(u64) -> bool) -> usize {
        self.shards.iter().map(|shard| lock(shard).retain(&keeps)).sum()
    }

    /// How many keys there are, and for how many there is room before a shard must grow.
    #[cfg(test)]
    pub(crate) fn len_and_room(&self) -> (usize, usize) {
        let shards = self.shards.iter().map(|shard| lock(shard));
        shards.fold((0, 0), |(len, room), shard| (len + shard.len(), room + shard.room()))
    }

    #[expect(clippy::indexing_slicing, reason = "an index modulo the length of a slice that is not empty")]
    fn shard_of(&self, key: u64) -> MutexGuard<'_, Table<KEYS>> {
        lock(&self.shards[usize::try_from(key >> (u64::BITS - SHARD_BITS)).unwrap_or(0) % self.shards.len()])
    }
}

fn lock<const KEYS: usize>(shard: &Apart<Mutex<Table<KEYS>>>) -> MutexGuard<'_, Table<KEYS>> {
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_keys_of_all_shards() {
        let (map, set) = (Lines::<4>::with_room(1_000), Lines::<8>::with_room(0));
        let key = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for number in 1..=20_000 {
                        map.prefetch(key(number));
                        map.change_or_put(key(number), || number, |state| *state += 1);
                        set.put(key(number));
                    }
                });
            }
        });
        let count = |number| map.change(key(number), |state| *state);
        assert!((1..=20_000).all(|number| count(number) == Some(number + 4) && set.contains(key(number))));
        assert_eq!((count(20_001), set.contains(key(20_001))), (None, false));
        assert_eq!((map.len_and_room().0, set.len_and_room().0), (20_000, 20_000));
        assert_eq!(map.retain(|state| state > 19_000), 18_996);
        assert_eq!(map.len_and_room().0, 1_004);
    }
}
