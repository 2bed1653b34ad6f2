//! What one journal entry writes, and what a whole group of them adds up to.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Transaction, params};

use super::books::{Books, digest_after};
use super::life::last_step;
use super::rows::{insert_if_new, insert_new};
use super::write::{Pace, Trouble};
use super::{encoded, signed};
use crate::clock::UnixMs;
use crate::domain::claim::{JournalEvent, Takers};
use crate::domain::ids::{DropId, DropNumber, Epoch, Shard};
use crate::domain::money::Fen;
use crate::ledger::LedgerError;
use crate::ledger::chain::{Covered, RowsDigest};
use crate::ledger::numbered::Numbered;
use crate::ledger::postings::Account;
use crate::ledger::sections::{Sections, row_key};
use crate::ledger::taken::{check_takers, may_return};
use crate::ledger::totals::{DropFacts, Totals};

/// Writes the events of one group's entries.
pub(super) struct Writer<'t, 'c> {
    transaction: &'t Transaction<'c>,
    pub(super) shard: Shard,
    pace: Pace,
    drops: HashMap<DropId, DropFacts>,
    series: HashMap<(DropNumber, Epoch), i64>,
    pub(super) effects: Effects,
}

impl<'t, 'c> Writer<'t, 'c> {
    pub(super) fn new(
        transaction: &'t Transaction<'c>,
        shard: Shard,
        pace: Pace,
    ) -> Result<Self, LedgerError> {
        let effects = Effects {
            sections: Sections::default(),
            totals: Totals::default(),
            returns: digest_after(transaction, Numbered::Returns)?,
            quarantine: digest_after(transaction, Numbered::Quarantine)?,
        };
        let (drops, series) = (HashMap::new(), HashMap::new());
        Ok(Self { transaction, shard, pace, drops, series, effects })
    }

    /// Forgets what was looked up, as a savepoint that was rolled back may have taken it away again.
    pub(super) fn forget(&mut self) {
        self.series.clear();
    }

    /// Writes one event.
    pub(super) fn event(&mut self, event: &JournalEvent) -> Result<(), Trouble> {
        match event {
            JournalEvent::Claimed { drop, epoch, claimed_at_ms, first_seq, takers } => {
                let facts = self.drop_facts(drop)?;
                check_takers(takers).map_err(Trouble::Rejected)?;
                let last = first_seq.checked_add(takers.count().saturating_sub(1));
                if *first_seq == 0 || last.is_none() {
                    return Err(Trouble::Rejected(format!("claim numbers from {first_seq} on do not exist")));
                }
                let series = self.series(facts.number, *epoch)?;
                self.claimed(facts, *epoch, series, *first_seq, *claimed_at_ms, takers)
            }
            JournalEvent::Returned { drop, epoch, seq, person, returned_at_ms, may_claim_again } => {
                let facts = self.drop_facts(drop)?;
                let series = self.series(facts.number, *epoch)?;
                if self.returned(series, *seq, person, *returned_at_ms, *may_claim_again)? {
                    self.effects
                        .totals
                        .returned(facts, series, *may_claim_again)
                        .map_err(Trouble::Rejected)?;
                }
                Ok(())
            }
        }
    }

    fn claimed(
        &mut self,
        facts: DropFacts,
        epoch: Epoch,
        series: i64,
        first_seq: u32,
        at_ms: UnixMs,
        takers: &Takers,
    ) -> Result<(), Trouble> {
        let first = row_key(series, first_seq);
        let mut written = 0;
        if self.pace == Pace::OnTrust {
            insert_new(self.transaction, first, at_ms, takers)?;
            written = takers.count();
            let digest = self.effects.sections.open(facts.number, epoch, first_seq, written);
            digest.push(at_ms, takers.as_str());
        } else {
            for (seq, taker) in (first_seq..=u32::MAX).zip(takers.iter()) {
                if insert_if_new(self.transaction, row_key(series, seq), at_ms, taker)? {
                    written += 1;
                    let digest = self.effects.sections.open(facts.number, epoch, seq, 1);
                    digest.push_row(at_ms, taker.0, taker.1);
                }
            }
        }
        self.effects.totals.claimed(facts, series, written).map_err(Trouble::Rejected)
    }

    /// Marks a claim as returned; `false` when it already is.
    fn returned(
        &mut self,
        series: i64,
        seq: u32,
        person: &str,
        at_ms: UnixMs,
        again: bool,
    ) -> Result<bool, Trouble> {
        let claim = row_key(series, seq);
        let row: Option<(String, i64)> = self
            .transaction
            .prepare_cached("SELECT person, status FROM claim WHERE number = ?1")?
            .query_row([claim], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match row {
            None => return Err(Trouble::Rejected(format!("returns claim {seq}, which is not there"))),
            Some((holder, _)) if holder != person => {
                return Err(Trouble::Rejected(format!("returns claim {seq}, which somebody else holds")));
            }
            Some((_, status)) if status != 0 => return Ok(false),
            Some(_) => {}
        }
        if let Some(state) = last_step(self.transaction, claim)?.and_then(|step| step.state) {
            may_return(seq, state).map_err(Trouble::Rejected)?;
        }
        self.transaction.prepare_cached("UPDATE claim SET status = 1 WHERE number = ?1")?.execute([claim])?;
        let number = signed(self.effects.returns.next_number())?;
        self.transaction
            .prepare_cached(
                "INSERT INTO claim_return (number, claim, returned_at_ms, may_claim_again) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![number, claim, at_ms, again])?;
        self.effects.returns.push(&(number, claim, at_ms, again)).map_err(encoded)?;
        Ok(true)
    }

    fn drop_facts(&mut self, id: &DropId) -> Result<DropFacts, Trouble> {
        if let Some(facts) = self.drops.get(id) {
            return Ok(*facts);
        }
        let facts = self
            .transaction
            .prepare_cached("SELECT number, campaign, face FROM campaign_drop WHERE id = ?1")?
            .query_row([id.as_str()], |row| {
                let face: Option<i64> = row.get(2)?;
                Ok(DropFacts {
                    number: DropNumber(row.get(0)?),
                    campaign: row.get(1)?,
                    face: Fen(face.unwrap_or(0)),
                })
            })
            .optional()?;
        let facts = facts.ok_or_else(|| Trouble::Rejected(format!("there is no drop {:?}", id.as_str())))?;
        self.drops.insert(id.clone(), facts);
        Ok(facts)
    }

    /// The number of a series, given on its first use.
    fn series(&mut self, drop: DropNumber, epoch: Epoch) -> Result<i64, Trouble> {
        if let Some(series) = self.series.get(&(drop, epoch)) {
            return Ok(*series);
        }
        let key = params![drop.0, self.shard.0, epoch.0];
        let found: Option<i64> = self
            .transaction
            .prepare_cached("SELECT number FROM series WHERE drop_number = ?1 AND shard = ?2 AND epoch = ?3")?
            .query_row(key, |row| row.get(0))
            .optional()?;
        let series = match found {
            Some(series) => series,
            None => self
                .transaction
                .prepare_cached(
                    "INSERT INTO series (drop_number, shard, epoch) VALUES (?1, ?2, ?3) RETURNING number",
                )?
                .query_row(key, |row| row.get(0))?,
        };
        self.series.insert((drop, epoch), series);
        Ok(series)
    }
}

/// What the entries so far have done, beside their rows.
#[derive(Debug, Clone)]
pub(super) struct Effects {
    pub(super) sections: Sections,
    totals: Totals,
    pub(super) returns: RowsDigest,
    pub(super) quarantine: RowsDigest,
}

impl Effects {
    /// Adds to the series' counts; new claims and returns in all.
    pub(super) fn count_series(&self, transaction: &Transaction<'_>) -> Result<(u64, u64), LedgerError> {
        let mut statement = transaction.prepare_cached(
            "UPDATE series SET claims = claims + ?2, returned = returned + ?3 WHERE number = ?1",
        )?;
        for (series, counts) in &self.totals.series {
            statement.execute(params![series, counts.claims, counts.returned])?;
        }
        Ok((self.totals.claims(), self.returns.count()))
    }

    /// Writes the postings: for every drop one of its claims and one of each kind of its returns.
    pub(super) fn post(
        &mut self,
        transaction: &Transaction<'_>,
        at_ms: UnixMs,
    ) -> Result<Covered, LedgerError> {
        let mut books = Books::open(transaction, at_ms)?;
        for ((campaign, drop), money) in &self.totals.money {
            let unissued = books.balance(*campaign, &Account::Unissued)?;
            let recycled = books.balance(*campaign, &Account::Recycled)?;
            for posting in money.postings(unissued, recycled) {
                books.post(*campaign, Some(*drop), posting)?;
            }
        }
        Ok(books.digest.finish())
    }
}
