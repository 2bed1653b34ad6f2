//! Numbers as people read them while a run lasts.
//!
//! Owns what differs from the files of results: what is not known yet is a dash, and rates may be small.

use std::time::Duration;

use crate::outputs;
pub(crate) use crate::{outputs::count as grouped, results::kind_name as kind};

/// Stands for what is not known.
pub(crate) const UNKNOWN: &str = "–";

/// A rate a second: whole from ten on.
pub(crate) fn rate(per_s: f64) -> String {
    if per_s == 0.0 || per_s >= 9.95 {
        outputs::grouped(&format!("{per_s:.0}"))
    } else {
        format!("{per_s:.1}")
    }
}

/// A rate with its unit, as in `12,000/s`; [`UNKNOWN`] without one.
pub(crate) fn per_second(per_s: Option<f64>) -> String {
    per_s.map_or_else(|| UNKNOWN.into(), |per_s| format!("{}/s", rate(per_s)))
}

/// Microseconds to three significant digits: `850 µs`, `1.23 ms`, `12.3 s`.
pub(crate) fn time(us: u64) -> String {
    if us < 1_000 { format!("{us} µs") } else { outputs::time(us as f64 / 1_000.0) }
}

/// The same; [`UNKNOWN`] without any.
pub(crate) fn time_if_any(us: Option<u64>) -> String {
    us.map_or_else(|| UNKNOWN.into(), time)
}

/// A share of a whole: `42.1 %`; [`UNKNOWN`] of nothing.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if whole == 0 { UNKNOWN.into() } else { format!("{:.1} %", part as f64 * 100.0 / whole as f64) }
}

/// Time on a stopwatch: `0:12`, `1:02:03`.
pub(crate) fn stopwatch(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours == 0 { format!("{minutes}:{seconds:02}") } else { format!("{hours}:{minutes:02}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.25, 9.96, 20_013.4].map(rate), ["0", "0.2", "10", "20,013"]);
        assert_eq!(
            [(1, 3), (0, 7), (5, 0)].map(|(part, whole)| share(part, whole)),
            ["33.3 %", "0.0 %", "–"]
        );
        assert_eq!((kind(201, ""), kind(410, "sold_out")), ("201".into(), "410 sold_out".into()));
    }

    #[test]
    fn times_have_three_digits_and_the_fitting_unit() {
        let times = [1, 999, 1_234, 9_996, 99_960, 999_499, 999_500, 12_345_678, 600_000_000].map(time);
        let expected =
            ["1 µs", "999 µs", "1.23 ms", "10.0 ms", "100 ms", "999 ms", "1.00 s", "12.3 s", "600 s"];
        assert_eq!(times, expected);
        let clocks = [0, 72, 3_723].map(|seconds| stopwatch(Duration::from_secs(seconds)));
        assert_eq!(clocks, ["0:00", "1:12", "1:02:03"]);
    }
}
