//! When a queue is too long to be of use.
//!
//! Owns the difference between a crowd, which waits and is served, and an overload, in which more come than can
//! ever be served. A queue that has had to refuse somebody before every batch for [`OVERLOAD_AFTER`] is in overload:
//! whoever still gets in waits for the whole queue and is served no sooner than another would be. From then on no
//! more may wait than the next batch can carry, and the others are refused at once, while a retry can still help
//! them. Throughput is the same, as every batch is full. Pure: time is passed in.

use std::time::{Duration, Instant};

use crate::limits;

/// How long a queue must refuse before it is in overload, and refuse nobody before it no longer is: longer than an
/// fsync or a snapshot's fork stalls Redis.
pub(super) const OVERLOAD_AFTER: Duration = Duration::from_millis(100);

/// Tells an overload from a crowd.
#[derive(Debug)]
pub(super) struct Overload {
    /// Claims that may wait otherwise.
    queue_max: usize,
    /// Claims that may wait in an overload.
    waiting_max: usize,
    overloaded: bool,
    /// Since when batches have said otherwise than `overloaded` does.
    otherwise_since: Option<Instant>,
}

impl Overload {
    /// Not overloaded.
    pub(super) fn new(queue_max: usize, batch_max: usize) -> Self {
        let waiting_max = batch_max.max(limits::OVERLOAD_CLAIMS_MIN).min(queue_max);
        Self { queue_max, waiting_max, overloaded: false, otherwise_since: None }
    }

    /// How many claims may wait from `now` on. `refused`: some were refused since the last batch was taken.
    pub(super) fn after_batch(&mut self, refused: bool, now: Instant) -> usize {
        if refused == self.overloaded {
            self.otherwise_since = None;
        } else {
            let since = *self.otherwise_since.get_or_insert(now);
            if now.saturating_duration_since(since) >= OVERLOAD_AFTER {
                self.overloaded = refused;
                self.otherwise_since = None;
            }
        }
        if self.overloaded { self.waiting_max } else { self.queue_max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(10);

    /// The bounds after a batch each 10 ms, somebody refused (`#`) or not (`.`).
    fn bounds(batches: &str) -> Vec<usize> {
        let mut overload = Overload::new(8_000, 1_000);
        let start = Instant::now();
        let times = (0..).map(|n| start + STEP * n);
        batches.chars().zip(times).map(|(batch, now)| overload.after_batch(batch == '#', now)).collect()
    }

    #[test]
    fn a_crowd_may_wait() {
        assert_eq!(bounds("##########.##########."), [8_000; 22]);
    }

    #[test]
    fn an_overload_is_cut_to_one_batch_until_nobody_was_refused_for_as_long() {
        let bounds = bounds("###########........#...........#");
        let (cut, rest) = bounds.split_at(10);
        assert_eq!(cut, [8_000; 10]);
        let (cut, calm) = rest.split_at(20);
        assert_eq!(cut, [1_000; 20]);
        assert_eq!(calm, [8_000; 2]);
    }

    #[test]
    fn a_small_queue_stays_small_and_a_small_batch_leaves_room() {
        for (queue_max, batch_max, cut) in [(5, 1_000, 5), (8_000, 1, limits::OVERLOAD_CLAIMS_MIN), (5, 1, 5)]
        {
            let mut overload = Overload::new(queue_max, batch_max);
            let now = Instant::now();
            assert_eq!(overload.after_batch(true, now), queue_max);
            assert_eq!(overload.after_batch(true, now + OVERLOAD_AFTER), cut);
        }
    }
}
