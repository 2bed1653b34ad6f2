//! When requests are meant to leave.
//!
//! Owns the schedule of an open model: a request's intended start depends on nothing that the service does.
//! Even spacing now; another profile is another way to compute [`Arrivals::due`].

use std::time::Duration;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// One thread's share of an evenly spaced schedule: arrivals `share`, `share + shares`, … of the whole.
#[derive(Debug, Clone, Copy)]
pub struct Arrivals {
    per_second: u64,
    share: u64,
    shares: u64,
}

impl Arrivals {
    /// The `share`-th (from 0) of `shares` equal parts of `per_second` arrivals a second.
    #[must_use]
    pub fn even(per_second: u64, share: u64, shares: u64) -> Self {
        Self { per_second: per_second.max(1), share, shares: shares.max(1) }
    }

    /// When this share's `n`-th arrival (from 0) is due, counted from the start of the run.
    #[must_use]
    pub fn due(&self, n: u64) -> Duration {
        let position = u128::from(n) * u128::from(self.shares) + u128::from(self.share);
        let nanos = position * NANOS_PER_SECOND / u128::from(self.per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_interleave_into_one_even_schedule() {
        let (first, second) = (Arrivals::even(1_000, 0, 2), Arrivals::even(1_000, 1, 2));
        let mut due: Vec<_> = (0..500).flat_map(|n| [first.due(n), second.due(n)]).collect();
        due.sort();
        let expected: Vec<_> = (0..1_000).map(Duration::from_millis).collect();
        assert_eq!(due, expected);
    }

    #[test]
    fn rounding_does_not_add_up() {
        let arrivals = Arrivals::even(7, 0, 1);
        assert_eq!(arrivals.due(7_000_000), Duration::from_secs(1_000_000));
    }
}
