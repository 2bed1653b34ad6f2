//! The ledger in a PostgreSQL server: for several front ends, drains of their own, and data that outlives a machine.
//!
//! Owns the tables of one schema. Whatever writes holds the catalogue's row until its transaction ends, so writers
//! follow each other; readers see snapshots and wait for nobody. A commit is answered when it is on the server's disk.
//! What is written to is read too, never a standby of it: what Redis holds is compared with what is read here.
//!
//! ```text
//!   commit, apply, pause … ──► writers  ─┐
//!   positions, catalogue  ──► look-ups ─┼─ one database
//!   exports, tallies, audit ──► scans ───┘
//! ```

mod accounts;
mod apply;
mod bonds;
mod books;
mod connect;
mod documents;
mod entry;
mod epochs;
mod life;
mod read;
mod receipts;
mod schema;
mod sql;
#[cfg(test)]
pub(crate) mod tests;
mod verify;
mod write;

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use deadpool_postgres::{Client, Pool, Transaction};
use tokio_postgres::IsolationLevel;

use self::connect::{Purpose, Target, Which};
use self::sql::{Parameters, encoded, execute, in_time, number, query, query_number, query_opt, unhurried};
use super::chain::Record;
use super::life::{Outcome, Request, StepRow, TermsCache};
use super::{
    Balances, Bind, Bound, Catalogue, ChainBreak, ChainHead, ClaimRow, CloseRefused, Committed, Expired,
    Group, LateOpen, LatePayment, Ledger, LedgerError, Period, Quarantined, Rebuilt, ReceiptCounts,
    ReceiptRow, Seen, Settlement, Standing, Tally,
};
use crate::clock::{Clock, UnixMs};
use crate::domain::campaign::{Campaign, CampaignState, Changes};
use crate::domain::claim::JournalId;
use crate::domain::ids::{CampaignId, ClaimNumber, DropNumber, Epoch, Shard};
use crate::domain::life::State;
use crate::domain::money::Fen;
use crate::limits;

/// The ledger in one database.
#[derive(Debug)]
pub struct PostgresLedger {
    /// Answers that take microseconds, for polls and the drain.
    look_ups: Pool,
    /// Answers that go over many rows and may take seconds.
    scans: Pool,
    /// Absent where the ledger was opened for reading.
    writers: Option<Pool>,
    terms: TermsCache,
    clock: Clock,
}

impl PostgresLedger {
    /// Connects for reading and writing, and makes the tables if there are none. `ca_file` holds the certificates
    /// (PEM) that vouch for the server; without it those of the system do.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when the server cannot be reached, refuses the login, is a standby or would lose
    /// what it has committed; [`LedgerError::Corrupt`] when the tables are those of a newer schema.
    pub async fn open(url: &str, ca_file: Option<&Path>) -> Result<Self, LedgerError> {
        let target = Target::new(url, ca_file)?;
        let writers = target.pool(Purpose::Write, Which::Primary, limits::LEDGER_WRITERS)?;
        connect::prepare(&writers).await?;
        Ok(Self { writers: Some(writers), ..Self::readers(&target, Which::Primary)? })
    }

    /// Connects for reading alone: what would write fails. A standby will do, where of several hosts none takes writes.
    ///
    /// # Errors
    /// As [`PostgresLedger::open`]; also for a database without a ledger or one of an older schema.
    pub async fn open_read_only(url: &str, ca_file: Option<&Path>) -> Result<Self, LedgerError> {
        let target = Target::new(url, ca_file)?;
        if target.has_several_hosts()
            && let Ok(ledger) = Self::checked(&target, Which::Primary).await
        {
            return Ok(ledger);
        }
        Self::checked(&target, Which::Any).await
    }

    async fn checked(target: &Target, which: Which) -> Result<Self, LedgerError> {
        let ledger = Self::readers(target, which)?;
        schema::check(&ledger.look_ups.get().await?).await?;
        Ok(ledger)
    }

    fn readers(target: &Target, which: Which) -> Result<Self, LedgerError> {
        Ok(Self {
            look_ups: target.pool(Purpose::LookUp, which, limits::LEDGER_READERS)?,
            scans: target.pool(Purpose::Scan, which, limits::LEDGER_READERS)?,
            writers: None,
            terms: TermsCache::default(),
            clock: Clock::System,
        })
    }

    async fn writer(&self) -> Result<Client, LedgerError> {
        let pool = self.writers.as_ref();
        let pool =
            pool.ok_or_else(|| LedgerError::Unavailable("it was opened for reading alone".to_owned()))?;
        Ok(pool.get().await?)
    }
}

/// A transaction that sees one moment.
async fn snapshot(client: &mut Client) -> Result<Transaction<'_>, LedgerError> {
    let begin = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    Ok(begin.start().await?)
}

#[async_trait]
impl Ledger for PostgresLedger {
    async fn catalogue(&self) -> Result<Catalogue, LedgerError> {
        let mut client = self.look_ups.get().await?;
        in_time!(client, async { read::catalogue(&snapshot(&mut client).await?).await })
    }

    async fn revision(&self) -> Result<u64, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, read::revision(&client))
    }

    async fn outdate(&self, revision: u64) -> Result<(), LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, apply::outdate(&mut client, revision))
    }

    async fn apply_campaign(
        &self,
        campaign: &Campaign,
        expected_revision: u64,
        actor: &str,
        now_ms: UnixMs,
    ) -> Result<Changes, LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, apply::apply(&mut client, campaign, expected_revision, (actor, now_ms)))
    }

    async fn set_campaign_state(
        &self,
        campaign: &CampaignId,
        state: CampaignState,
        actor: &str,
        now_ms: UnixMs,
    ) -> Result<bool, LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, apply::set_state(&mut client, campaign, state, (actor, now_ms)))
    }

    async fn mark_loaded(&self, drop: DropNumber, shard: Shard, epoch: Epoch) -> Result<(), LedgerError> {
        let now_ms = self.clock.now_ms();
        let mut client = self.writer().await?;
        in_time!(client, apply::mark_loaded(&mut client, drop, shard, epoch, now_ms))
    }

    async fn note_rebuilt(&self, rebuilt: &Rebuilt) -> Result<(), LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, epochs::note_rebuilt(&mut client, rebuilt))
    }

    async fn note_seen(&self, shard: Shard, seen: &[Seen]) -> Result<(), LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, epochs::note_seen(&mut client, shard, seen))
    }

    async fn seal(&self, shard: Shard, position: JournalId) -> Result<bool, LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, epochs::seal(&mut client, shard, position))
    }

    async fn unseal(&self, shard: Shard) -> Result<(), LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, epochs::unseal(&mut client, shard))
    }

    async fn is_sealed(&self, shard: Shard) -> Result<bool, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, epochs::is_sealed(&client, shard))
    }

    async fn position(&self, shard: Shard) -> Result<JournalId, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, read::position(&client, shard))
    }

    async fn commit(&self, group: Group) -> Result<Committed, LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, write::commit(&mut client, &group))
    }

    async fn tallies(&self) -> Result<Vec<Tally>, LedgerError> {
        let client = self.scans.get().await?;
        unhurried!(client, read::tallies(&client))
    }

    async fn claims(
        &self,
        drop: DropNumber,
        after: Option<ClaimNumber>,
        limit: u32,
    ) -> Result<Vec<ClaimRow>, LedgerError> {
        let mut client = self.scans.get().await?;
        unhurried!(client, async { read::claims(&snapshot(&mut client).await?, drop, after, limit).await })
    }

    async fn claim(&self, number: ClaimNumber) -> Result<Option<ClaimRow>, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, read::claim(&client, number))
    }

    async fn register_receipt(
        &self,
        claim: ClaimNumber,
        person: &str,
        now_ms: UnixMs,
    ) -> Result<Option<ReceiptRow>, LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, receipts::register(&mut client, claim, person, now_ms))
    }

    async fn settle_receipt(
        &self,
        number: u64,
        settlement: &Settlement,
        actor: &str,
        now_ms: UnixMs,
    ) -> Result<Option<ReceiptRow>, LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, receipts::settle(&mut client, number, settlement, (actor, now_ms)))
    }

    async fn bind(&self, requests: Vec<Bind>, now_ms: UnixMs) -> Result<Vec<Bound>, LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, bonds::bind(&mut client, &requests, now_ms))
    }

    async fn life(&self, requests: Vec<Request>, now_ms: UnixMs) -> Result<Vec<Outcome>, LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, life::life(&mut client, &self.terms, &requests, now_ms))
    }

    async fn expire(&self, limit: u32, now_ms: UnixMs) -> Result<Expired, LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, life::expire(&mut client, &self.terms, limit, now_ms))
    }

    async fn last_step(&self, claim: ClaimNumber) -> Result<Option<StepRow>, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, life::last_step_of(&client, claim))
    }

    async fn states(&self, claims: &[ClaimNumber]) -> Result<Vec<Option<State>>, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, life::states_of(&client, claims))
    }

    async fn late_payments(&self, after: u64, limit: u32) -> Result<Vec<LatePayment>, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, life::late_payments(&client, after, limit))
    }

    async fn late_payments_open(&self) -> Result<LateOpen, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, life::late_open(&client))
    }

    async fn steps(&self, after: u64, limit: u32) -> Result<Vec<StepRow>, LedgerError> {
        let client = self.scans.get().await?;
        unhurried!(client, life::steps(&client, after, limit))
    }

    async fn accounts(&self, campaign: &CampaignId) -> Result<BTreeMap<String, Fen>, LedgerError> {
        let client = self.scans.get().await?;
        unhurried!(client, life::pots(&client, campaign.as_str()))
    }

    async fn close_period(
        &self,
        campaign: &CampaignId,
        until_ms: UnixMs,
        actor: &str,
        now_ms: UnixMs,
    ) -> Result<Result<Period, CloseRefused>, LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, life::close(&mut client, campaign, until_ms, (actor, now_ms)))
    }

    async fn periods(&self) -> Result<Vec<Period>, LedgerError> {
        let mut client = self.scans.get().await?;
        unhurried!(client, async { life::periods(&snapshot(&mut client).await?).await })
    }

    async fn receipts(&self, after: u64, limit: u32) -> Result<Vec<ReceiptRow>, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, receipts::page(&client, after, limit))
    }

    async fn receipts_of(&self, claim: ClaimNumber) -> Result<Vec<ReceiptRow>, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, receipts::of(&client, claim))
    }

    async fn receipt_counts(&self) -> Result<ReceiptCounts, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, receipts::counts(&client))
    }

    async fn over_limit(
        &self,
        drop: DropNumber,
        per_person: u32,
        limit: u32,
    ) -> Result<Vec<(String, u64)>, LedgerError> {
        let client = self.scans.get().await?;
        unhurried!(client, read::over_limit(&client, drop, per_person, limit))
    }

    async fn in_several_drops(
        &self,
        campaign: &CampaignId,
        since_ms: UnixMs,
        limit: u32,
    ) -> Result<Vec<(String, u64)>, LedgerError> {
        let client = self.scans.get().await?;
        unhurried!(client, read::in_several_drops(&client, campaign, since_ms, limit))
    }

    async fn repeated_marks(
        &self,
        drop: DropNumber,
        limit: u32,
    ) -> Result<Vec<(String, String, u64)>, LedgerError> {
        let client = self.scans.get().await?;
        unhurried!(client, read::repeated_marks(&client, drop, limit))
    }

    async fn balances(&self) -> Result<Vec<Balances>, LedgerError> {
        let mut client = self.scans.get().await?;
        unhurried!(client, async { read::balances(&snapshot(&mut client).await?).await })
    }

    async fn standing(&self, shard: Shard) -> Result<Standing, LedgerError> {
        let mut client = self.scans.get().await?;
        unhurried!(client, async { read::standing(&snapshot(&mut client).await?, shard).await })
    }

    async fn chain_head(&self) -> Result<ChainHead, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, books::chain_head(&client))
    }

    async fn verify_chain(&self) -> Result<Result<ChainHead, ChainBreak>, LedgerError> {
        // One snapshot for the whole walk; the drain may go on writing meanwhile.
        let mut client = self.scans.get().await?;
        unhurried!(client, async { verify::verify(&snapshot(&mut client).await?).await })
    }

    async fn audit_records(&self, after: u64, limit: i64) -> Result<Vec<Record>, LedgerError> {
        let client = self.scans.get().await?;
        unhurried!(client, books::records(&client, after, limit))
    }

    async fn chain_record(&self, hash: &str) -> Result<Option<u64>, LedgerError> {
        let client = self.scans.get().await?;
        unhurried!(client, books::chain_record(&client, hash))
    }

    async fn quarantine(&self, after: u64, limit: u32) -> Result<Vec<Quarantined>, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, read::quarantine(&client, after, limit))
    }

    async fn quarantine_open(&self) -> Result<u64, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, read::quarantine_open(&client))
    }
}
