//! Numbers as people read them.
//!
//! Owns the one spelling of a count, a rate, a time, a share and a size; the charts' script follows the same rules.

/// A whole number with a comma every three digits.
pub(crate) fn count(number: u64) -> String {
    grouped(&number.to_string())
}

/// A rate: whole from a hundred on, with one decimal below.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second.abs() >= 99.95 { grouped(&format!("{per_second:.0}")) } else { format!("{per_second:.1}") }
}

/// Milliseconds in the unit that reads best, to three digits.
pub(crate) fn time(ms: f64) -> String {
    let (value, unit) = match ms {
        ms if ms < 0.9995 => (ms * 1e3, "µs"),
        ms if ms < 999.5 => (ms, "ms"),
        ms => (ms / 1e3, "s"),
    };
    let decimals = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

/// A share of a hundred.
pub(crate) fn percent(of_hundred: f64) -> String {
    format!("{of_hundred:.1} %")
}

/// A size in binary units.
pub(crate) fn bytes(bytes: u64) -> String {
    const GIB: f64 = 1_073_741_824.0;
    format!("{:.1} GiB", bytes as f64 / GIB)
}

/// Digits, with a sign or without, with a comma every three of them.
pub(crate) fn grouped(digits: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && !grouped.ends_with('-') {
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
    fn numbers_read_well() {
        assert_eq!([count(7), count(1_000), count(1_234_567)], ["7", "1,000", "1,234,567"]);
        assert_eq!([rate(0.25), rate(99.96), rate(12_345.6)], ["0.2", "100", "12,346"]);
        assert_eq!(rate(-123.0), "-123");
        assert_eq!(percent(33.333), "33.3 %");
        assert_eq!(bytes(16 << 30), "16.0 GiB");
    }

    #[test]
    fn a_time_takes_the_unit_that_reads_best() {
        assert_eq!([time(0.0125), time(0.9999), time(12.34)], ["12.5 µs", "1.00 ms", "12.3 ms"]);
        assert_eq!([time(999.4), time(999.6), time(61_000.0)], ["999 ms", "1.00 s", "61.0 s"]);
    }
}
