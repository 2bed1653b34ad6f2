//! How busy an address, its network or a device was lately, and how hard a challenge that makes.
//!
//! Owns counters of a fixed size: a count-min sketch, halved at each interval. Many keys make counts too high, never too
//! low, so that no flood of keys lets anybody off; there is nothing to evict.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

/// Counters a row; memory is rows × columns × 4 bytes.
const COLUMNS: usize = 1 << 16;
const ROWS: usize = 4;
/// Halved so often, a count stands for a few minutes.
pub const HALVED_EVERY: std::time::Duration = std::time::Duration::from_secs(60);
/// What a single key has done that costs nothing extra.
const CALM: u32 = 4;
/// The most that difficulty is doubled.
const DOUBLINGS_MAX: u32 = 6;

/// Counts calls by keys. Threads share one.
pub struct Activity {
    rows: [Box<[AtomicU32]>; ROWS],
    /// Seeded anew in every process, so that nobody can choose keys that collide.
    hashers: [RandomState; ROWS],
}

impl std::fmt::Debug for Activity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Activity")
    }
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            rows: std::array::from_fn(|_| (0..COLUMNS).map(|_| AtomicU32::new(0)).collect()),
            hashers: std::array::from_fn(|_| RandomState::new()),
        }
    }
}

impl Activity {
    /// Counts one call of `key`, and gives how many there were lately, this one included: never too few.
    pub fn count(&self, key: impl std::hash::Hash) -> u32 {
        let counts = self.rows.iter().zip(&self.hashers).filter_map(|(row, hasher)| {
            let column = usize::try_from(hasher.hash_one(&key)).unwrap_or(0) % COLUMNS;
            // Saturates far below the wrap: a cell is halved long before.
            row.get(column).map(|cell| cell.fetch_add(1, Ordering::Relaxed).saturating_add(1))
        });
        counts.min().unwrap_or(u32::MAX)
    }

    /// Halves every count. Due every [`HALVED_EVERY`].
    pub fn halve(&self) {
        for cell in self.rows.iter().flatten() {
            // A call that is counted in between may be lost: one in very many.
            cell.store(cell.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
        }
    }
}

/// How many times harder than the least a challenge is for somebody with these counts: for the address itself, and for
/// its network, which many people share and which counts for a sixteenth.
#[must_use]
pub fn times_harder(address: u32, network: u32) -> u64 {
    let busy = address.max(network / 16);
    let doublings = (busy / CALM).checked_ilog2().map_or(0, |log| log.saturating_add(1));
    1 << doublings.min(DOUBLINGS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_never_too_low_and_fade() {
        let activity = Activity::default();
        for n in 1..=10 {
            assert_eq!(activity.count("one"), n);
        }
        for key in 0..200_000_u32 {
            activity.count(key);
        }
        assert!(activity.count("one") >= 11, "a flood of keys lets nobody off");
        for _ in 0..32 {
            activity.halve();
        }
        assert_eq!(activity.count("one"), 1);
    }

    #[test]
    fn who_comes_often_works_harder() {
        assert_eq!(times_harder(1, 1), 1);
        assert_eq!(times_harder(3, 60), 1);
        assert_eq!(times_harder(4, 0), 2);
        assert_eq!(times_harder(8, 0), 4);
        assert_eq!(times_harder(0, 64), 2);
        assert_eq!(times_harder(u32::MAX, u32::MAX), 64);
        let all: Vec<u64> = (0..10_000).map(|count| times_harder(count, 0)).collect();
        assert!(all.is_sorted());
    }
}
