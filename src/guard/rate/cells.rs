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

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use governor::nanos::Nanos;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::state::{InMemoryState, NotKeyed, StateStore};

use super::super::hashed::HashedAlready;
use crate::limits::RATE_SHARED_CELLS;

/// Enough that the two or more threads of the hot path rarely meet, and that upkeep holds up few keys at once.
const SHARDS: usize = 64;
/// Keys for which there is room from the start, so that a release does not begin with growing. Untouched room costs
/// address space, not memory.
const KEYS_EXPECTED: usize = 262_144;

/// Cells by key: one each up to a cap, shared ones beyond it.
pub(super) struct BoundedCells {
    own: DashMap<u64, InMemoryState, HashedAlready>,
    shared: Box<[InMemoryState]>,
    /// Whether a shared cell was ever used. Until then all of them are as good as new, and a new key need not look at
    /// its own, which nobody has in a cache.
    shared_used: AtomicBool,
    /// Own cells. Threads that insert at the same instant may overshoot the cap by their number.
    keys: AtomicUsize,
    keys_max: usize,
    /// The room of the start; what a flood took beyond eight times of it is given back.
    keys_expected: usize,
}

impl BoundedCells {
    pub(super) fn new(keys_max: usize) -> Self {
        Self::with_room(keys_max, KEYS_EXPECTED)
    }

    fn with_room(keys_max: usize, keys_expected: usize) -> Self {
        Self {
            own: DashMap::with_capacity_and_hasher_and_shard_amount(keys_expected, HashedAlready, SHARDS),
            shared: (0..RATE_SHARED_CELLS).map(|_| InMemoryState::default()).collect(),
            shared_used: AtomicBool::new(false),
            keys: AtomicUsize::new(0),
            keys_max,
            keys_expected,
        }
    }

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

/// A new cell in the state of `cell`.
fn copy_of(cell: &InMemoryState) -> InMemoryState {
    let copy = InMemoryState::default();
    if let Some(at) = recovered_at(cell) {
        let set: Result<(), Infallible> = copy.measure_and_replace(&NotKeyed::NonKey, |_| Ok(((), at)));
        debug_assert!(set.is_ok(), "setting a cell cannot be refused");
    }
    copy
}

impl StateStore for BoundedCells {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        if self.keys.load(Ordering::Relaxed) >= self.keys_max {
            if let Some(cell) = self.own.get(key) {
                return cell.measure_and_replace(&NotKeyed::NonKey, measure);
            }
            // Told before it is so: whoever makes room for this key afterwards sees it.
            self.shared_used.store(true, Ordering::Release);
            return self.shared_cell(*key).measure_and_replace(&NotKeyed::NonKey, measure);
        }
        // In a rush nearly every key is new: looking first and locking again afterwards would cost two more trips
        // of the shard's lock between the cores.
        match self.own.entry(*key) {
            Entry::Occupied(cell) => cell.get().measure_and_replace(&NotKeyed::NonKey, measure),
            Entry::Vacant(room) => {
                self.keys.fetch_add(1, Ordering::Relaxed);
                let start = if self.shared_used.load(Ordering::Acquire) {
                    copy_of(self.shared_cell(*key))
                } else {
                    InMemoryState::default()
                };
                room.insert(start).measure_and_replace(&NotKeyed::NonKey, measure)
            }
        }
    }
}

impl ShrinkableKeyedStateStore<u64> for BoundedCells {
    fn retain_recent(&self, drop_below: Nanos) {
        let mut dropped = 0;
        self.own.retain(|_, cell| {
            let keep = recovered_at(cell).is_some_and(|at| at > drop_below);
            dropped += usize::from(!keep);
            keep
        });
        let kept = self.keys.fetch_sub(dropped, Ordering::Relaxed).saturating_sub(dropped);
        if self.own.capacity() / 8 > kept.max(self.keys_expected) {
            self.own.shrink_to_fit();
        }
    }

    fn len(&self) -> usize {
        self.keys.load(Ordering::Relaxed)
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!((cells.len(), cells.own.len()), (200_000, 200_000));
        let flooded = cells.own.capacity();
        cells.retain_recent(Nanos::new(199_000));
        assert_eq!((cells.len(), cells.own.len()), (1_000, 1_000));
        assert!(cells.own.capacity() < flooded / 50, "{} of {flooded}", cells.own.capacity());
    }

    #[test]
    fn a_new_cell_starts_where_the_shared_one_stands() {
        let cells = BoundedCells::new(1);
        use_once(&cells, 1 << 32, 10);
        use_once(&cells, 2 << 32, 20);
        assert_eq!(recovered_at(cells.shared_cell(2 << 32)), Some(Nanos::new(20)));
        cells.retain_recent(Nanos::new(15));
        assert!(cells.is_empty());
        let seen = cells.measure_and_replace(&(2 << 32), Err::<((), Nanos), _>);
        assert_eq!(seen, Err(Some(Nanos::new(20))));
        assert_eq!(cells.len(), 1);
    }
}
