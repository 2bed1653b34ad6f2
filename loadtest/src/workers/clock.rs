//! Clocks that do not jump, and the offset between two of them.
//!
//! Wall clocks of two machines differ, and either may be set while a run lasts. So wall time is read once a job on
//! each side (`AnchoredClock`) and goes on with the monotonic clock; the two are compared by round trips
//! (`Offset`) only to name one start moment. After the start nothing depends on wall time.

use std::time::{Duration, Instant};

/// Reads a wall clock: time since 1970-01-01 UTC.
pub type WallClock = fn() -> Duration;

/// Round trips by which two clocks are compared.
pub(super) const ROUND_TRIPS: usize = 16;

/// Wall time that was read once and goes on with the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnchoredClock {
    unix: Duration,
    at: Instant,
}

impl AnchoredClock {
    /// Reads the wall clock.
    pub(super) fn new(wall: WallClock) -> Self {
        Self { unix: wall(), at: Instant::now() }
    }

    /// Its time now.
    pub(super) fn now(&self) -> Duration {
        self.time_of(Instant::now())
    }

    /// Its time at an instant; instants before its anchor count as the anchor.
    pub(super) fn time_of(&self, instant: Instant) -> Duration {
        self.unix + instant.saturating_duration_since(self.at)
    }

    /// The instant at which it shows this time; `None` for times before its anchor.
    pub(super) fn instant_of(&self, time: Duration) -> Option<Instant> {
        self.at.checked_add(time.checked_sub(self.unix)?)
    }
}

/// One look at another clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// When it was asked for, by this side's clock.
    pub(super) asked: Duration,
    /// What the other clock showed.
    pub(super) other: Duration,
    /// When that was known, by this side's clock.
    pub(super) known: Duration,
}

impl Sample {
    fn round_trip(&self) -> Duration {
        self.known.saturating_sub(self.asked)
    }
}

/// How far another clock is ahead of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset {
    /// The other clock minus this one, in nanoseconds.
    nanos: i128,
    /// How far that may be off: half of the best round trip.
    pub(super) error: Duration,
}

impl Offset {
    /// Takes the sample with the shortest round trip; the other clock was read somewhere within it, so the middle is
    /// off by half of it at the most. `None` without samples.
    pub(super) fn best(samples: &[Sample]) -> Option<Self> {
        let best = samples.iter().min_by_key(|sample| sample.round_trip())?;
        let half = best.round_trip() / 2;
        Some(Self { nanos: nanos(best.other) - nanos(best.asked + half), error: half })
    }

    /// What the other clock shows when this one shows `time`, in nanoseconds; `None` where that is before 1970 or
    /// after 2554.
    pub(super) fn there_ns(&self, time: Duration) -> Option<u64> {
        u64::try_from(nanos(time) + self.nanos).ok()
    }

    /// The other clock minus this one, in microseconds.
    pub(super) fn micros(&self) -> i64 {
        let micros = self.nanos / 1_000;
        i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })
    }
}

/// Exact: a `Duration` has at most 2^64 seconds, below 2^94 nanoseconds.
fn nanos(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(asked: u64, other: u64, known: u64) -> Sample {
        let [asked, other, known] = [asked, other, known].map(Duration::from_millis);
        Sample { asked, other, known }
    }

    #[test]
    fn the_shortest_round_trip_decides_and_bounds_the_error() {
        let ahead = [sample(1_000, 4_090, 1_100), sample(2_000, 5_004, 2_010), sample(3_000, 6_001, 3_040)];
        let offset = Offset::best(&ahead).unwrap();
        assert_eq!(offset.error, Duration::from_millis(5));
        assert_eq!(offset.micros(), 2_999_000);
        let truth_us = 3_000_000_i64;
        assert!(offset.micros().abs_diff(truth_us) <= 5_000);
        assert_eq!(offset.there_ns(Duration::from_secs(10)), Some(12_999_000_000));
        assert_eq!(Offset::best(&[]), None);
    }

    #[test]
    fn a_clock_that_is_behind_has_a_negative_offset() {
        let offset = Offset::best(&[sample(10_000, 7_001, 10_002)]).unwrap();
        assert_eq!(offset.micros(), -3_000_000);
        assert_eq!(offset.there_ns(Duration::from_secs(10)), Some(7_000_000_000));
        assert_eq!(offset.there_ns(Duration::from_secs(1)), None);
    }

    #[test]
    fn an_anchored_clock_names_instants_and_does_not_follow_a_step() {
        let clock = AnchoredClock::new(|| Duration::from_secs(1_000));
        let later = clock.at + Duration::from_secs(5);
        assert_eq!(clock.time_of(later), Duration::from_secs(1_005));
        assert_eq!(clock.instant_of(Duration::from_secs(1_005)), Some(later));
        assert_eq!(clock.instant_of(Duration::from_secs(999)), None);
        assert!(clock.now() >= Duration::from_secs(1_000));
    }
}
