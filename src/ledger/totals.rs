//! What a group of journal entries adds up to: counts by series, and money by drop.
//!
//! Owns the sums that every store must come to alike, before it writes counts and postings. Pure.

use std::collections::BTreeMap;

use super::postings::Posting;
use crate::domain::ids::DropNumber;
use crate::domain::money::Fen;

/// What the tables say of a drop.
#[derive(Debug, Clone, Copy)]
pub(super) struct DropFacts {
    pub(super) number: DropNumber,
    /// The row number of its campaign.
    pub(super) campaign: i64,
    /// Worth of one claim; 0 where it is not money.
    pub(super) face: Fen,
}

/// The sums so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Totals {
    /// By series.
    pub(super) series: BTreeMap<i64, SeriesCounts>,
    /// By campaign and drop.
    pub(super) money: BTreeMap<(i64, DropNumber), Money>,
}

/// New claims and returns of one series.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SeriesCounts {
    pub(super) claims: i64,
    pub(super) returned: i64,
}

/// Worth of one drop's claims and returns.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Money {
    claimed: Fen,
    /// Returned by persons who may claim again.
    unissued: Fen,
    /// Returned by persons who may not.
    recycled: Fen,
}

impl Totals {
    /// Adds `count` new claims.
    ///
    /// # Errors
    /// The reason for the quarantine, when the money cannot be counted.
    pub(super) fn claimed(&mut self, facts: DropFacts, series: i64, count: u32) -> Result<(), String> {
        self.series.entry(series).or_default().claims += i64::from(count);
        let worth = facts.face.times(u64::from(count)).ok_or_else(too_much)?;
        add(&mut self.money_of(facts).claimed, worth)
    }

    /// Adds a return.
    ///
    /// # Errors
    /// As [`Totals::claimed`].
    pub(super) fn returned(
        &mut self,
        facts: DropFacts,
        series: i64,
        may_claim_again: bool,
    ) -> Result<(), String> {
        self.series.entry(series).or_default().returned += 1;
        let money = self.money_of(facts);
        add(if may_claim_again { &mut money.unissued } else { &mut money.recycled }, facts.face)
    }

    /// New claims of all series.
    pub(super) fn claims(&self) -> u64 {
        self.series.values().map(|counts| counts.claims.unsigned_abs()).sum()
    }

    fn money_of(&mut self, facts: DropFacts) -> &mut Money {
        self.money.entry((facts.campaign, facts.number)).or_default()
    }
}

impl Money {
    /// One posting of the claims and one of each kind of returns, given what the campaign's accounts hold.
    pub(super) fn postings(&self, unissued: Fen, recycled: Fen) -> [Option<Posting>; 3] {
        [
            Posting::claimed(self.claimed, unissued, recycled),
            Posting::returned(self.unissued, true),
            Posting::returned(self.recycled, false),
        ]
    }
}

fn add(sum: &mut Fen, amount: Fen) -> Result<(), String> {
    *sum = sum.plus(amount).ok_or_else(too_much)?;
    Ok(())
}

fn too_much() -> String {
    "the money does not fit 63 bits of fen".to_owned()
}
