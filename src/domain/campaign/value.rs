//! The values of a campaign file: amounts, instants, durations, currencies.
//!
//! Owns how each is written, and the text that says how when it is not. Knows no keys and no lines.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::clock::UnixMs;
use crate::domain::money::Fen;
use crate::limits;

/// Currencies whose unit has a hundred parts, which is what money is counted in.
/// Source: ISO 4217, <https://www.six-group.com/en/products-services/financial-information/data-standards.html>
const CURRENCIES: [&str; 10] = ["CNY", "HKD", "MOP", "TWD", "SGD", "MYR", "THB", "EUR", "GBP", "USD"];

/// What stands among the files of time zones and is no place: the clocks of whichever machine reads it, and stand-ins.
const NO_ZONES: [&str; 4] = ["localtime", "posixrules", "Factory", "Etc/Unknown"];

/// Reads `4000000.00 CNY`: a positive amount and its currency.
pub(super) fn budget(text: &str) -> Result<(Fen, String), String> {
    let Some((amount, currency)) = text.split_once(' ') else {
        return Err(format!("{text:?} is not an amount with its currency, as in \"4000000.00 CNY\""));
    };
    if !CURRENCIES.contains(&currency) {
        return Err(format!("currency {currency:?} is not one of {}", CURRENCIES.join(", ")));
    }
    let amount = positive(amount)?;
    if amount.0 > limits::BUDGET_FEN_MAX {
        return Err(format!("{amount} is more than {}", Fen(limits::BUDGET_FEN_MAX)));
    }
    Ok((amount, currency.to_owned()))
}

/// Reads `25.00`, or `25.00 CNY` where the currency is the budget's.
pub(super) fn amount(text: &str, currency: &str) -> Result<Fen, String> {
    match text.split_once(' ') {
        None => positive(text),
        Some((amount, named)) if named == currency => positive(amount),
        Some((_, named)) => Err(format!("is in {named:?}, but the budget is in {currency:?}")),
    }
}

fn positive(text: &str) -> Result<Fen, String> {
    match Fen::parse(text) {
        Ok(Fen(0)) => Err("must be more than zero".to_owned()),
        Ok(amount) => Ok(amount),
        Err(_) if text.starts_with('-') => Err(format!("must be more than zero, is {text}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads an RFC 3339 instant, or a date and time on the clocks of `zone`.
pub(super) fn instant(text: &str, zone: &TimeZone) -> Result<UnixMs, String> {
    let malformed = || format!("{text:?} is not a date and time like \"2023-11-20T10:00:00+08:00\"");
    // The name of another zone behind the time would be passed over, and the drop would open at another instant.
    if text.contains('[') {
        return Err(malformed());
    }
    let at = if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        instant
    } else {
        let local: DateTime = text.parse().map_err(|_| malformed())?;
        // A bare date would silently mean midnight.
        if !text.contains(':') {
            return Err(malformed());
        }
        // A local time that the clocks skip or repeat has no single instant: the file must give the offset.
        zone.to_ambiguous_timestamp(local).unambiguous().map_err(|_| {
            format!("{text:?} does not name one instant in the campaign's time zone: write the offset")
        })?
    };
    match at.as_millisecond() {
        ms if ms > 0 => Ok(ms),
        _ => Err(format!("{text:?} is before 1970")),
    }
}

/// Finds a time zone by its IANA name.
pub(super) fn time_zone(name: &str) -> Result<TimeZone, String> {
    let refuse = || format!("{name:?} is not a time zone like \"Asia/Shanghai\"");
    if NO_ZONES.iter().any(|other| name.eq_ignore_ascii_case(other)) {
        return Err(refuse());
    }
    TimeZone::get(name).map_err(|_| refuse())
}

/// Reads `7d`, `72h`, `30m` or `90s` into milliseconds. A day is 24 hours.
pub(super) fn duration_ms(text: &str) -> Result<i64, String> {
    let malformed = || format!("{text:?} is not a duration like \"7d\", \"72h\" or \"30m\"");
    let unit = text.chars().next_back().ok_or_else(malformed)?;
    let unit_ms: i64 = match unit {
        'd' => 86_400_000,
        'h' => 3_600_000,
        'm' => 60_000,
        's' => 1_000,
        _ => return Err(malformed()),
    };
    let digits = text.strip_suffix(unit).ok_or_else(malformed)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    let too_long = || format!("{text:?} is more than 3650d");
    let count: i64 = digits.parse().map_err(|_| too_long())?;
    match count.checked_mul(unit_ms) {
        Some(0) => Err("must be more than zero".to_owned()),
        Some(ms) if ms <= limits::VALID_MS_MAX => Ok(ms),
        _ => Err(too_long()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_a_number_that_every_program_reads_whole() {
        assert_eq!(budget("90071992547409.91 CNY"), Ok((Fen((1 << 53) - 1), "CNY".to_owned())));
        for beyond in ["90071992547409.92 CNY", "92233720368547758.07 CNY"] {
            assert!(budget(beyond).unwrap_err().ends_with(" is more than 90071992547409.91"), "{beyond}");
        }
    }

    #[test]
    fn instants_are_read_with_and_without_an_offset() {
        let zone = time_zone("Asia/Shanghai").unwrap();
        let ten = 1_700_445_600_000;
        assert_eq!(instant("2023-11-20T10:00:00+08:00", &zone), Ok(ten));
        assert_eq!(instant("2023-11-20T02:00:00Z", &zone), Ok(ten));
        assert_eq!(instant("2023-11-20T10:00:00", &zone), Ok(ten));
        assert_eq!(instant("2023-11-20 10:00", &zone), Ok(ten));
        for bad in ["2023-11-20", "10:00:00", "2023-13-01T10:00:00", "tomorrow", "1969-01-01T00:00:00Z"] {
            assert!(instant(bad, &zone).is_err(), "{bad}");
        }
        for named in ["America/New_York", "Asia/Shanghai", "u-ca=gregory"] {
            let text = format!("2023-11-20T10:00:00[{named}]");
            assert!(instant(&text, &zone).is_err(), "{text}: read on the clocks of the campaign alone");
        }
    }

    #[test]
    fn a_time_zone_is_a_place_and_no_machine() {
        for name in ["Asia/Shanghai", "UTC", "Etc/GMT-8"] {
            assert!(time_zone(name).is_ok(), "{name}");
        }
        for name in ["localtime", "Localtime", "posixrules", "Factory", "Etc/Unknown", "+08:00", "Beijing"] {
            assert!(time_zone(name).is_err(), "{name}");
        }
    }

    #[test]
    fn an_hour_that_the_clocks_skip_or_repeat_needs_an_offset() {
        let zone = time_zone("Europe/Berlin").unwrap();
        assert!(instant("2023-03-26T02:30:00", &zone).is_err());
        assert!(instant("2023-10-29T02:30:00", &zone).is_err());
        assert!(instant("2023-10-29T02:30:00+01:00", &zone).is_ok());
    }

    #[test]
    fn durations_have_one_number_and_one_unit() {
        assert_eq!(duration_ms("7d"), Ok(604_800_000));
        assert_eq!(duration_ms("72h"), Ok(259_200_000));
        assert_eq!(duration_ms("30m"), Ok(1_800_000));
        assert_eq!(duration_ms("90s"), Ok(90_000));
        for bad in ["", "d", "7", "0d", "-7d", "1w", "1d12h", "3651d", "99999999999999999999d", "7日"] {
            assert!(duration_ms(bad).is_err(), "{bad}");
        }
    }
}
