//! Numbers as people read them.

use std::time::Duration;

/// Stands for what is not known.
pub(crate) const UNKNOWN: &str = "–";

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    group(&number.to_string())
}

/// A rate a second: whole from ten on.
pub(crate) fn rate(per_s: f64) -> String {
    if per_s == 0.0 || per_s >= 9.95 { group(&format!("{per_s:.0}")) } else { format!("{per_s:.1}") }
}

/// Microseconds to three significant digits: `850 µs`, `1.23 ms`, `12.3 s`.
pub(crate) fn time(us: u64) -> String {
    if us < 1_000 {
        return format!("{us} µs");
    }
    let ms = us as f64 / 1_000.0;
    if ms < 999.5 { format!("{} ms", three_digits(ms)) } else { format!("{} s", three_digits(ms / 1_000.0)) }
}

fn three_digits(value: f64) -> String {
    // Compared with what is rounded up: 9.996 is 10.0, not 10.00.
    let decimals = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
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

/// How answers of one kind are called: `201`, `410 sold_out`.
pub(crate) fn kind(status: u16, code: &str) -> String {
    if code.is_empty() { status.to_string() } else { format!("{status} {code}") }
}

fn group(digits: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
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
