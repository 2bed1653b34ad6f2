//! The turns as a table: medians, and how far the rounds were apart.

use std::fmt::Write;

use anyhow::{Context, Result};

use super::Turn;
use crate::{cpu, outputs::count};

/// Least, median and greatest of a figure over the turns of one sort.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) least: f64,
    pub(super) median: f64,
    pub(super) most: f64,
}

/// The turns without the guard, or those with it.
pub(super) fn spread(turns: &[Turn], guarded: bool, figure: impl Fn(&Turn) -> f64) -> Result<Spread> {
    let mut all: Vec<f64> = turns.iter().filter(|turn| turn.guarded == guarded).map(figure).collect();
    all.sort_unstable_by(f64::total_cmp);
    let at = |place: usize| all.get(place).copied().context("there is a turn of each sort");
    let (middle, last) = (all.len() / 2, all.len().saturating_sub(1));
    let median = if all.len().is_multiple_of(2) {
        f64::midpoint(at(middle.saturating_sub(1))?, at(middle)?)
    } else {
        at(middle)?
    };
    Ok(Spread { least: at(0)?, median, most: at(last)? })
}

pub(super) fn markdown(turns: &[Turn]) -> Result<String> {
    let mut out = String::new();
    let first = turns.first().context("there are turns")?;
    let rounds = turns.len() / 2;
    writeln!(
        out,
        "{} people and as many units, a farm of {} accounts that sends {:.0} % of all requests. {rounds} rounds in turn on {} \
         cores, which service, ledger and both sides share; medians, in brackets least and most.\n",
        whole(first.stock as f64),
        whole(first.farm_accounts as f64),
        first.farm_requests_percent,
        cpu::cores()
    )?;
    writeln!(
        out,
        "| | people got | share | the farm got | tickets of the farm | hashes a ticket: people, farm | people's p99 |"
    )?;
    writeln!(out, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |")?;
    for (title, guarded) in [("without the guard", false), ("with it", true)] {
        let of = |figure: fn(&Turn) -> f64| spread(turns, guarded, figure);
        let share = of(Turn::people_percent)?;
        let p99 = of(|turn| turn.people_p99_ms)?;
        let hashes = |which: usize| {
            spread(turns, guarded, |turn| turn.hashes_each.get(which).copied().unwrap_or(0) as f64)
        };
        writeln!(
            out,
            "| {title} | {} | {:.1} % ({:.1} – {:.1}) | {} | {} | {}, {} | {:.1} ms ({:.1} – {:.1}) |",
            whole(of(|turn| turn.people_got as f64)?.median),
            share.median,
            share.least,
            share.most,
            whole(of(|turn| turn.farm_got as f64)?.median),
            whole(of(|turn| turn.farm_tickets as f64)?.median),
            whole(hashes(0)?.median),
            whole(hashes(1)?.median),
            p99.median,
            p99.least,
            p99.most
        )?;
    }
    let invalid = turns.iter().filter(|turn| !turn.invalid_because.is_empty());
    let why: Vec<_> = invalid.clone().flat_map(|turn| &turn.invalid_because).map(String::as_str).collect();
    if let Some(why) = why.first() {
        writeln!(
            out,
            "\nIn {} of {} turns the generator itself was late ({why}): their times say less than their shares.",
            invalid.count(),
            turns.len()
        )?;
    }
    Ok(out)
}

/// A whole number with commas.
fn whole(value: f64) -> String {
    // Counts of people and hashes: far below 2^52, and not negative.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
    let number = value.round().max(0.0) as u64;
    count(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(guarded: bool, people_got: u64, p99_ms: f64) -> Turn {
        Turn {
            guarded,
            stock: 1_000,
            people_got,
            farm_got: 1_000 - people_got,
            farm_accounts: 3_000,
            farm_tickets: if guarded { 30 } else { 3_000 },
            farm_requests_percent: 90.0,
            people_p99_ms: p99_ms,
            hashes_each: [1_000, 60_000],
            invalid_because: Vec::new(),
        }
    }

    #[test]
    fn the_table_tells_medians_and_what_was_late() {
        let mut turns =
            vec![turn(false, 240, 3.0), turn(true, 970, 2.0), turn(false, 260, 5.0), turn(true, 980, 4.0)];
        let text = markdown(&turns).unwrap();
        assert!(text.contains("| without the guard | 250 | 25.0 % (24.0 – 26.0) | 750 | 3,000 |"), "{text}");
        assert!(text.contains(
            "| with it | 975 | 97.5 % (97.0 – 98.0) | 25 | 30 | 1,000, 60,000 | 3.0 ms (2.0 – 4.0) |"
        ));
        assert!(!text.contains("late"));
        turns[3].invalid_because = vec!["slow".into()];
        assert!(markdown(&turns).unwrap().contains("In 1 of 4 turns the generator itself was late (slow)"));
        assert!(markdown(&turns[..1]).is_err(), "one sort is missing");
    }
}
