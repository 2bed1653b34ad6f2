//! When a queue is too long to be of use.
//!
//! Owns the difference between a burst, which waits and is served, and a standing queue, in which everybody waits
//! and nobody is served sooner. A queue that a batch cannot empty for [`STANDING_AFTER`] on end is a standing one:
//! from then on no more may wait than the next batch can carry, and the others are refused at once, while a
//! retry can still help them. Throughput is the same, as every batch is full. Pure: time is passed in.

use std::time::{Duration, Instant};

/// How long a queue must be pressed before it counts as standing, and calm before it no longer does: longer than
/// an fsync or a snapshot's fork stalls Redis.
pub(super) const STANDING_AFTER: Duration = Duration::from_millis(100);

/// Tells a standing queue from a burst.
#[derive(Debug)]
pub(super) struct Overload {
    /// Claims that may wait while there is none.
    queue_max: usize,
    /// Claims that one batch carries: as many may wait in a standing queue.
    batch_max: usize,
    standing: bool,
    /// Since when the queue has looked otherwise than `standing` says.
    otherwise_since: Option<Instant>,
}

impl Overload {
    /// Not overloaded.
    pub(super) fn new(queue_max: usize, batch_max: usize) -> Self {
        Self { queue_max, batch_max, standing: false, otherwise_since: None }
    }

    /// How many claims may wait from `now` on. `pressed`: the batch just taken left some behind, or some were
    /// refused since the last one.
    pub(super) fn after_batch(&mut self, pressed: bool, now: Instant) -> usize {
        if pressed == self.standing {
            self.otherwise_since = None;
        } else {
            let since = *self.otherwise_since.get_or_insert(now);
            if now.saturating_duration_since(since) >= STANDING_AFTER {
                self.standing = pressed;
                self.otherwise_since = None;
            }
        }
        if self.standing { self.batch_max.min(self.queue_max) } else { self.queue_max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(10);

    /// The bounds after a batch each 10 ms, pressed (`#`) or calm (`.`).
    fn bounds(batches: &str) -> Vec<usize> {
        let mut overload = Overload::new(8_000, 1_000);
        let start = Instant::now();
        let times = (0..).map(|n| start + STEP * n);
        batches.chars().zip(times).map(|(batch, now)| overload.after_batch(batch == '#', now)).collect()
    }

    #[test]
    fn a_burst_may_wait() {
        assert_eq!(bounds("##########.##########."), [8_000; 22]);
    }

    #[test]
    fn a_standing_queue_is_cut_to_one_batch_until_it_was_calm_as_long() {
        let bounds = bounds("###########........#...........#");
        let (cut, rest) = bounds.split_at(10);
        assert_eq!(cut, [8_000; 10]);
        let (cut, calm) = rest.split_at(20);
        assert_eq!(cut, [1_000; 20]);
        assert_eq!(calm, [8_000; 2]);
    }

    #[test]
    fn a_small_queue_stays_small() {
        let mut overload = Overload::new(5, 1_000);
        let now = Instant::now();
        assert_eq!(overload.after_batch(true, now), 5);
        assert_eq!(overload.after_batch(true, now + STANDING_AFTER), 5);
    }
}
