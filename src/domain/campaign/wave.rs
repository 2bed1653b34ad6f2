//! Waves: one rule of a campaign file that stands for many drops, each opening some time after the one before.
//!
//! Owns when the drops of a wave open and what they are called. Pure.

use jiff::Timestamp;
use jiff::ToSpan;
use jiff::tz::TimeZone;

use super::value;
use crate::clock::UnixMs;

/// The time from one drop of a wave to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Every {
    /// Calendar days in the campaign's time zone: the same time on the clock, also where an hour is skipped or repeated.
    Days(i64),
    /// So many milliseconds.
    Exactly(i64),
}

impl Every {
    /// Reads `1d` (calendar days), or `12h`, `30m`, `90s`.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let ms = value::duration_ms(text)?;
        Ok(if text.ends_with('d') { Self::Days(ms / 86_400_000) } else { Self::Exactly(ms) })
    }
}

/// When the drops of a wave open, the first of them at `first_ms`; nothing when that leads beyond all calendars.
pub(super) fn instants(first_ms: UnixMs, every: Every, count: u64, zone: &TimeZone) -> Option<Vec<UnixMs>> {
    let first = Timestamp::from_millisecond(first_ms).ok()?.to_zoned_datetime(zone.clone());
    let at = |step: u64| -> Option<UnixMs> {
        let step = i64::try_from(step).ok()?;
        match every {
            Every::Exactly(ms) => first_ms.checked_add(ms.checked_mul(step)?),
            // From the first one each time: a day whose clocks were changed does not move those that follow.
            Every::Days(days) => {
                let later = first.checked_add(days.checked_mul(step)?.days()).ok()?;
                Some(later.timestamp().as_millisecond())
            }
        }
    };
    (0..count).map(at).collect()
}

/// What the `number`-th drop (from 1) of a wave is called: `autumn-01` of `autumn`. How many there are does not matter, so
/// that a wave can become longer: its drops keep their names.
pub(super) fn drop_name(wave: &str, number: u64) -> String {
    format!("{wave}-{number:02}")
}

/// Whether a drop is one of a wave's.
pub(super) fn is_of(wave: &str, drop: &str) -> bool {
    let number = drop.strip_prefix(wave).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::super::{Campaign, changes};
    use super::*;

    fn local(at_ms: &[UnixMs], zone: &TimeZone) -> Vec<String> {
        let zoned = |ms: &UnixMs| Timestamp::from_millisecond(*ms).unwrap().to_zoned_datetime(zone.clone());
        at_ms.iter().map(|ms| zoned(ms).strftime("%m-%d %H:%M").to_string()).collect()
    }

    #[test]
    fn days_keep_the_time_on_the_clock_and_hours_do_not() {
        // In the night to 29 October 2023 the clocks in Berlin went back an hour.
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let first = value::instant("2023-10-28T10:00:00", &zone).unwrap();
        let days = instants(first, Every::read("1d").unwrap(), 3, &zone).unwrap();
        assert_eq!(local(&days, &zone), ["10-28 10:00", "10-29 10:00", "10-30 10:00"]);
        let hours = instants(first, Every::read("24h").unwrap(), 3, &zone).unwrap();
        assert_eq!(local(&hours, &zone), ["10-28 10:00", "10-29 09:00", "10-30 09:00"]);
        assert_eq!(Every::read("7d"), Ok(Every::Days(7)));
        assert!(Every::read("0d").is_err() && Every::read("1w").is_err());
    }

    #[test]
    fn drops_are_numbered_in_order() {
        let names = [1, 7, 31, 100].map(|number| drop_name("a", number));
        assert_eq!(names, ["a-01", "a-07", "a-31", "a-100"]);
        assert!(is_of("a", "a-07") && !is_of("a", "a-x") && !is_of("a", "a-") && !is_of("a", "b-1"));
    }

    #[test]
    fn a_wave_may_become_longer_and_not_shorter() {
        let of = |count: u32| {
            let text = format!(
                "id = \"c\"\nbudget = \"1000.00 CNY\"\ntime_zone = \"Asia/Shanghai\"\n[[wave]]\nid = \"w\"\n\
                 opens_at = \"2023-11-20T10:00:00\"\nopen_for = \"8h\"\nevery = \"1d\"\ncount = {count}\nstock = 1\n\
                 limit_per_person = 1\nvoucher = {{ face = \"1.00\", threshold = \"10.00\", valid_for = \"7d\" }}\n"
            );
            Campaign::parse(&text).unwrap()
        };
        for (before, after) in [(5, 10), (9, 120), (99, 100)] {
            let created = changes(Some(&of(before)), &of(after), |_| 0).unwrap().created;
            assert_eq!(created.len(), usize::try_from(after - before).unwrap());
            assert!(changes(Some(&of(after)), &of(before), |_| 0).is_err());
        }
    }
}
