//! The daily budget: on no day of the campaign's time zone can more than this be claimed.
//!
//! Owns what that means. It is decided when a campaign is applied, not when somebody claims: the vouchers of all drops
//! whose windows touch a day may together be worth as much. So it holds whatever people do, and costs a claim nothing.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::Campaign;
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

/// The first day on which the campaign's drops could give more than its daily budget; nothing where it has none.
pub(super) fn first_over(campaign: &Campaign) -> Option<DayOver> {
    let budget = campaign.daily_budget?;
    let zone = TimeZone::get(&campaign.time_zone).ok()?;
    let day =
        |ms: i64| Timestamp::from_millisecond(ms).ok().map(|at| at.to_zoned_datetime(zone.clone()).date());
    // What begins to count on a day, and what ends to.
    let mut moves: BTreeMap<Date, i128> = BTreeMap::new();
    for drop in &campaign.drops {
        let Some(terms) = &drop.voucher else { continue };
        let worth = i128::from(terms.face.0).saturating_mul(i128::from(drop.stock));
        // The last millisecond of the window is the one before it closes.
        let (Some(first), Some(last)) = (day(drop.opens_at_ms), day(drop.closes_at_ms.saturating_sub(1)))
        else {
            continue;
        };
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
