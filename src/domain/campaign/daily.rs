//! The daily budget: on no day of the campaign's time zone can more than this be claimed.
//!
//! Owns what that means. It is decided when a campaign is applied, not when somebody claims: the vouchers of all drops
//! whose windows touch a day may together be worth as much. So it holds whatever people do, and costs a claim nothing. A
//! drop that was open keeps its days: each window that it gets later touches those on which it could be claimed before.
//! While there was no daily budget, or another time zone, windows may have been moved from one day to another; then the
//! claims themselves say what today has seen.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::{Campaign, DropSpec, Refusal};
use crate::clock::UnixMs;
use crate::domain::ids::DropId;
use crate::domain::money::Fen;

/// A day on which more could be claimed than the daily budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayOver {
    /// The day, as in `2023-11-20`.
    pub day: String,
    /// What the vouchers of the drops that are open on it are worth.
    pub worth: Fen,
}

impl std::fmt::Display for DayOver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the drops that are open on {} have vouchers worth {}", self.day, self.worth)
    }
}

/// The day of an instant; nothing for one that no calendar reaches.
fn day(ms: UnixMs, zone: &TimeZone) -> Option<Date> {
    Timestamp::from_millisecond(ms).ok().map(|at| at.to_zoned_datetime(zone.clone()).date())
}

/// The first and the last day of a window. Its last millisecond is the one before it closes.
fn days(opens_at_ms: UnixMs, closes_at_ms: UnixMs, zone: &TimeZone) -> Option<(Date, Date)> {
    day(opens_at_ms, zone).zip(day(closes_at_ms.saturating_sub(1), zone))
}

/// Whether the days of a campaign are counted anew: its file had no daily budget before, or another time zone.
#[must_use]
pub fn counts_anew(old: &Campaign, new: &Campaign) -> bool {
    new.daily_budget.is_some() && (old.daily_budget.is_none() || old.time_zone != new.time_zone)
}

/// Refuses to move a drop of vouchers away from a day on which it was open by `now_ms`, where there is a daily budget:
/// what was claimed then would count on no day, and as much could be claimed once more. `last_claim_ms` gives when a drop
/// was claimed last.
///
/// # Errors
/// [`Refusal::DayLeft`] names the first such drop and its day.
pub fn check_days(
    old: Option<&Campaign>,
    new: &Campaign,
    now_ms: UnixMs,
    last_claim_ms: impl Fn(&DropId) -> Option<UnixMs>,
) -> Result<(), Refusal> {
    let (Some(old), Some(_)) = (old, new.daily_budget) else { return Ok(()) };
    let Ok(zone) = TimeZone::get(&new.time_zone) else { return Ok(()) };
    let anew = counts_anew(old, new);
    for after in new.drops.iter().filter(|drop| drop.voucher.is_some()) {
        let Some(before) = old.drop_spec(&after.id) else { continue };
        let claimed = || {
            let last_ms = last_claim_ms(&after.id).filter(|_| anew)?;
            claims_left(last_ms, after, now_ms, &zone)
        };
        if let Some(day) = day_left(before, after, now_ms, &zone).or_else(claimed) {
            return Err(Refusal::DayLeft { drop: after.id.clone(), day: day.to_string() });
        }
    }
    Ok(())
}

/// The day of a drop's last claim, if it is not over and the drop's window does not touch it.
fn claims_left(last_ms: UnixMs, after: &DropSpec, now_ms: UnixMs, zone: &TimeZone) -> Option<Date> {
    let (first, last) = days(after.opens_at_ms, after.closes_at_ms, zone)?;
    let claimed = day(last_ms, zone).filter(|claimed| !(first..=last).contains(claimed))?;
    (claimed >= day(now_ms, zone)?).then_some(claimed)
}

/// The first day on which a drop was open by now, and on which its new window is not.
fn day_left(before: &DropSpec, after: &DropSpec, now_ms: UnixMs, zone: &TimeZone) -> Option<Date> {
    if now_ms < before.opens_at_ms {
        return None;
    }
    let until_ms = before.closes_at_ms.min(now_ms.saturating_add(1));
    let (first, last) = days(before.opens_at_ms, until_ms, zone)?;
    let (new_first, new_last) = days(after.opens_at_ms, after.closes_at_ms, zone)?;
    if first < new_first || new_last < first {
        Some(first)
    } else if new_last < last {
        new_last.checked_add(1.day()).ok()
    } else {
        None
    }
}

/// The first day on which the campaign's drops could give more than its daily budget; nothing where it has none.
pub(super) fn first_over(campaign: &Campaign) -> Option<DayOver> {
    let budget = campaign.daily_budget?;
    let zone = TimeZone::get(&campaign.time_zone).ok()?;
    // What begins to count on a day, and what ends to.
    let mut moves: BTreeMap<Date, i128> = BTreeMap::new();
    for drop in &campaign.drops {
        let Some(terms) = &drop.voucher else { continue };
        let worth = i128::from(terms.face.0).saturating_mul(i128::from(drop.stock));
        let Some((first, last)) = days(drop.opens_at_ms, drop.closes_at_ms, &zone) else { continue };
        let mut add = |day: Date, worth: i128| *moves.entry(day).or_default() += worth;
        add(first, worth);
        if let Ok(after) = last.checked_add(1.day()) {
            add(after, -worth);
        }
    }
    let mut open = 0_i128;
    for (day, change) in moves {
        open = open.saturating_add(change);
        if open > i128::from(budget.0) {
            let worth = Fen(i64::try_from(open).unwrap_or(i64::MAX));
            return Some(DayOver { day: day.to_string(), worth });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const DAY_MS: i64 = 24 * HOUR_MS;

    /// Open from 10:00 of the 20th to 10:00 of the 22nd in Shanghai, for a day's budget.
    fn campaign() -> Campaign {
        Campaign::parse(
            r#"
id = "c"
budget = "10.00 CNY"
daily_budget = "10.00 CNY"
time_zone = "Asia/Shanghai"
[[drop]]
id = "a"
opens_at = "2023-11-20T10:00:00"
closes_at = "2023-11-22T10:00:00"
stock = 5
limit_per_person = 1
voucher = { face = "2.00", threshold = "10.00", valid_for = "7d" }
"#,
        )
        .unwrap()
    }

    /// The day that is left by moving both ends of the window, so long after it opened.
    fn left(opens_by_ms: i64, closes_by_ms: i64, after_ms: i64) -> Option<String> {
        let old = campaign();
        let mut new = old.clone();
        new.drops[0].opens_at_ms += opens_by_ms;
        new.drops[0].closes_at_ms += closes_by_ms;
        match check_days(Some(&old), &new, old.drops[0].opens_at_ms + after_ms, |_| None) {
            Ok(()) => None,
            Err(Refusal::DayLeft { drop, day }) if drop == old.drops[0].id => Some(day),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_drop_that_was_open_keeps_its_days() {
        let [twentieth, later] = ["2023-11-20", "2023-11-21"].map(|day| Some(day.to_owned()));
        assert_eq!(left(3 * DAY_MS, 3 * DAY_MS, -1), None, "nobody could claim yet");
        assert_eq!(left(3 * DAY_MS, 3 * DAY_MS, 0), twentieth);
        assert_eq!(left(DAY_MS, DAY_MS, HOUR_MS), twentieth);
        assert_eq!(left(2 * HOUR_MS, DAY_MS, HOUR_MS), None, "later on the same day");
        assert_eq!(left(-DAY_MS, DAY_MS, HOUR_MS), None, "longer on both sides");
        assert_eq!(left(-9 * DAY_MS, -9 * DAY_MS, HOUR_MS), twentieth, "to where it is over");
        // It may close early, but not before now: on the second day claims are possible in it, on the third not yet.
        assert_eq!(left(0, -DAY_MS, DAY_MS), None);
        assert_eq!(left(0, -DAY_MS - 11 * HOUR_MS, DAY_MS), later);
        assert_eq!(left(0, -DAY_MS - 11 * HOUR_MS, 13 * HOUR_MS), None);
        assert_eq!(left(0, -DAY_MS - 11 * HOUR_MS, 9 * DAY_MS), later, "also when all is over");
        assert_eq!(left(DAY_MS, 9 * DAY_MS, 9 * DAY_MS), twentieth);
    }

    #[test]
    fn windows_are_free_where_no_day_has_a_budget() {
        let (old, mut new) = (campaign(), campaign().shift_to(campaign().drops[0].opens_at_ms + DAY_MS));
        let now_ms = old.drops[0].opens_at_ms + HOUR_MS;
        assert!(check_days(Some(&old), &new, now_ms, |_| None).is_err());
        assert!(check_days(None, &new, now_ms, |_| None).is_ok());
        new.daily_budget = None;
        assert!(check_days(Some(&old), &new, now_ms, |_| None).is_ok());
    }

    #[test]
    fn a_budget_that_comes_back_counts_what_the_day_has_seen() {
        let daily = campaign();
        let opens_ms = daily.drops[0].opens_at_ms;
        // Moved to the 23rd while there was no daily budget; claimed before, at 11:00 of the 20th.
        let free = Campaign { daily_budget: None, ..daily.shift_to(opens_ms + 3 * DAY_MS) };
        let back = daily.shift_to(opens_ms + 3 * DAY_MS);
        let put_back = |old: &Campaign, new: &Campaign, now_ms| {
            check_days(Some(old), new, now_ms, |_| Some(opens_ms + HOUR_MS))
                .map_err(|error| error.to_string())
        };
        let left = |refused: Result<(), String>| refused.unwrap_err().contains("was open on 2023-11-20");
        assert!(left(put_back(&free, &back, opens_ms + 2 * HOUR_MS)));
        assert_eq!(put_back(&free, &daily, opens_ms + 2 * HOUR_MS), Ok(()), "back on its day");
        assert_eq!(put_back(&free, &back, opens_ms + 14 * HOUR_MS), Ok(()), "that day is over");
        assert_eq!(put_back(&back, &back, opens_ms + 2 * HOUR_MS), Ok(()), "it was there all the time");
        // Moved within its day, and then to clocks by which the claims are of another one, which is today there.
        let mut late = daily.shift_to(opens_ms + 13 * HOUR_MS);
        late.drops[0].closes_at_ms = late.drops[0].opens_at_ms + HOUR_MS;
        let west = Campaign { time_zone: "Pacific/Honolulu".to_owned(), ..late.clone() };
        let early = |old: &Campaign, new: &Campaign| {
            check_days(Some(old), new, opens_ms - HOUR_MS, |_| Some(opens_ms - 9 * HOUR_MS))
        };
        assert!(matches!(early(&late, &west), Err(Refusal::DayLeft { day, .. }) if day == "2023-11-19"));
        assert_eq!(early(&west, &west), Ok(()));
    }
}
