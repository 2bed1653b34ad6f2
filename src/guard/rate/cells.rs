//! The bounded store behind a keyed limit.
//!
//! ```text
//!   key ──► own cell? ── yes ──► measure there
//!                │ no
//!                ├── room ─────► new own cell, which starts from the shared cell's state
//!                └── full ─────► shared cell, one of a fixed number, chosen by the key's hash
//! ```
//!
//! The bound is no way around a limit. A cell is dropped only when it is as good as new. A key without room is
//! measured together with others, never waved through. And a key that gets its own cell later takes the shared
//! cell's state along, so nobody gains a second allowance by moving. The price is paid by new keys while the
//! store is full: they share allowances, and some are refused early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use governor::nanos::Nanos;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::state::{InMemoryState, NotKeyed, StateStore};

use crate::limits::RATE_SHARED_CELLS;
use crate::lines::Lines;

/// Keys for which there is room from the start, so that a release does not begin with growing. Untouched room costs
/// address space, not memory.
const KEYS_EXPECTED: usize = 262_144;

/// Cells by key: one each up to a cap, shared ones beyond it. Clones are the same cells: a limiter keeps its store to itself.
#[derive(Clone)]
pub(super) struct BoundedCells(Arc<Cells>);

struct Cells {
    own: Lines<4>,
    shared: Box<[InMemoryState]>,
    /// Whether a shared cell was ever used. Until then all of them are as good as new, and a new key need not look at
    /// its own, which nobody has in a cache.
    shared_used: AtomicBool,
    /// Own cells. Threads that insert at the same instant may overshoot the cap by their number.
    keys: AtomicUsize,
    keys_max: usize,
}

impl BoundedCells {
    pub(super) fn new(keys_max: usize) -> Self {
        Self::with_room(keys_max, KEYS_EXPECTED.min(keys_max))
    }

    fn with_room(keys_max: usize, keys_expected: usize) -> Self {
        Self(Arc::new(Cells {
            own: Lines::with_room(keys_expected),
            shared: (0..RATE_SHARED_CELLS).map(|_| InMemoryState::default()).collect(),
            shared_used: AtomicBool::new(false),
            keys: AtomicUsize::new(0),
            keys_max,
        }))
    }

    /// Has a key's own cell fetched from memory, for a measurement that comes soon.
    pub(super) fn prefetch(&self, key: u64) {
        self.0.own.prefetch(key);
    }
}

impl Cells {
    #[expect(clippy::indexing_slicing, reason = "an index modulo the length of a slice that is not empty")]
    fn shared_cell(&self, key: u64) -> &InMemoryState {
        // The map picks its shard and slot by other bits, so keys of one shard do not crowd into few cells.
        let bits = usize::try_from(key >> 32).unwrap_or(0);
        &self.shared[bits % self.shared.len()]
    }
}

/// When the cell will be as good as new; none for one that was never used.
fn recovered_at(cell: &InMemoryState) -> Option<Nanos> {
    // A refusal leaves a cell as it is, so refusing is how it is read.
    cell.measure_and_replace(&NotKeyed::NonKey, Err::<((), Nanos), _>).err().flatten()
}

/// What `measure` says of an own cell, whose state it may set. A cell that was never used has the state 0, and governor's
/// nanoseconds count from its start, so that no used one has.
fn measure_own<T, E>(
    state: &mut u64,
    measure: impl Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
) -> Result<T, E> {
    let (passed, next) = measure((*state != 0).then(|| Nanos::new(*state)))?;
    *state = next.as_u64();
    Ok(passed)
}

impl StateStore for BoundedCells {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let cells = &*self.0;
        if cells.keys.load(Ordering::Relaxed) >= cells.keys_max {
            return cells.own.change(*key, |state| measure_own(state, &measure)).unwrap_or_else(|| {
                // Told before it is so: whoever makes room for this key afterwards sees it.
                cells.shared_used.store(true, Ordering::Release);
                cells.shared_cell(*key).measure_and_replace(&NotKeyed::NonKey, &measure)
            });
        }
        let start = || {
            cells.keys.fetch_add(1, Ordering::Relaxed);
            let is_used = cells.shared_used.load(Ordering::Acquire);
            let at = if is_used { recovered_at(cells.shared_cell(*key)) } else { None };
            at.map_or(0, Nanos::as_u64)
        };
        cells.own.change_or_put(*key, start, |state| measure_own(state, &measure))
    }
}

impl ShrinkableKeyedStateStore<u64> for BoundedCells {
    fn retain_recent(&self, drop_below: Nanos) {
        let dropped = self.0.own.retain(|state| Nanos::new(state) > drop_below);
        self.0.keys.fetch_sub(dropped, Ordering::Relaxed);
    }

    fn len(&self) -> usize {
        self.0.keys.load(Ordering::Relaxed)
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn use_once(cells: &BoundedCells, key: u64, at: u64) {
        let used: Result<(), Infallible> = cells.measure_and_replace(&key, |_| Ok(((), Nanos::new(at))));
        assert_eq!(used, Ok(()));
    }

    #[test]
    fn room_is_given_back_after_a_flood() {
        let cells = BoundedCells::with_room(200_000, 1_000);
        for key in 0..200_000_u64 {
            use_once(&cells, key.wrapping_mul(0x9e37_79b9_7f4a_7c15), key + 1);
        }
        let (held, flooded) = cells.0.own.len_and_room();
        assert_eq!((cells.len(), held), (200_000, 200_000));
        cells.retain_recent(Nanos::new(199_000));
        let (held, room) = cells.0.own.len_and_room();
        assert_eq!((cells.len(), held), (1_000, 1_000));
        assert!(room < flooded / 50, "{room} of {flooded}");
    }

    #[test]
    fn a_new_cell_starts_where_the_shared_one_stands() {
        let cells = BoundedCells::new(1);
        use_once(&cells, 1 << 32, 10);
        use_once(&cells, 2 << 32, 20);
        assert_eq!(recovered_at(cells.0.shared_cell(2 << 32)), Some(Nanos::new(20)));
        cells.retain_recent(Nanos::new(15));
        assert!(cells.is_empty());
        let seen = cells.measure_and_replace(&(2 << 32), Err::<((), Nanos), _>);
        assert_eq!(seen, Err(Some(Nanos::new(20))));
        assert_eq!(cells.len(), 1);
    }
}
