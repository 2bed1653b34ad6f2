//! The embedded ledger: one SQLite file, one thread that writes it, two that read it, one that tidies up behind.
//!
//! Owns the file. Other processes may have it open too: the write-ahead log keeps readers and the writer apart,
//! and the compare-and-set of the journal position keeps two drains apart. Every commit is on disk when it is
//! answered (`synchronous = FULL`).
//!
//! ```text
//!   commit, apply, pause … ──queue──► writer ────┐
//!   positions, catalogue  ──queue──► look-ups ──┼─ ledger.db + ledger.db-wal
//!   exports, tallies, audit ──queue──► scans ────┤
//!   every 100 ms ─────────────► checkpoints ────┘
//! ```

mod accounts;
mod apply;
mod bonds;
mod books;
mod checkpoints;
mod documents;
mod entry;
mod epochs;
mod life;
mod read;
mod receipts;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod verify;
mod worker;
mod write;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use self::checkpoints::Checkpoints;
use self::worker::Worker;
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

/// The ledger in one SQLite file.
#[derive(Debug)]
pub struct SqliteLedger {
    /// Answers that take microseconds, for polls and the drain.
    look_ups: Worker,
    /// Answers that go over many rows and may take seconds.
    scans: Worker,
    /// Absent where the file was opened for reading.
    checkpoints: Option<Checkpoints>,
    /// Absent where the file was opened for reading. Stands after the others, as the last connection that is
    /// closed copies the write-ahead log back, and only one that writes can.
    writer: Option<Worker>,
    terms: Arc<TermsCache>,
    clock: Clock,
}

impl SqliteLedger {
    /// Opens the file for reading and writing, and makes it if there is none, readable by its owner alone. Its
    /// folder must be there.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when it cannot be opened; [`LedgerError::Corrupt`] when it is no ledger or
    /// one of a newer schema.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let writer = schema::open(path)?;
        let mut ledger = Self::open_read_only(path)?;
        ledger.checkpoints = Some(Checkpoints::start(schema::open_for_checkpoints(path)?)?);
        ledger.writer = Some(Worker::writer("ledger-writer", writer)?);
        Ok(ledger)
    }

    /// Opens a file that is there for reading alone: what would write fails.
    ///
    /// # Errors
    /// As [`SqliteLedger::open`]; also for a file of an older schema.
    pub fn open_read_only(path: &Path) -> Result<Self, LedgerError> {
        Ok(Self {
            checkpoints: None,
            writer: None,
            look_ups: Worker::reader("ledger-look-ups", schema::open_read_only(path)?)?,
            scans: Worker::reader("ledger-scans", schema::open_read_only(path)?)?,
            terms: Arc::default(),
            clock: Clock::System,
        })
    }

    fn writer(&self) -> Result<&Worker, LedgerError> {
        self.writer
            .as_ref()
            .ok_or_else(|| LedgerError::Unavailable("it was opened for reading alone".to_owned()))
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn catalogue(&self) -> Result<Catalogue, LedgerError> {
        self.look_ups.run(|connection| read::catalogue(&*connection.transaction()?)).await
    }

    async fn revision(&self) -> Result<u64, LedgerError> {
        self.look_ups.run(|connection| read::revision(connection)).await
    }

    async fn outdate(&self, revision: u64) -> Result<(), LedgerError> {
        self.writer()?.run(move |connection| apply::outdate(connection, revision)).await
    }

    async fn apply_campaign(
        &self,
        campaign: &Campaign,
        expected_revision: u64,
        actor: &str,
        now_ms: UnixMs,
    ) -> Result<Changes, LedgerError> {
        let (campaign, actor) = (campaign.clone(), actor.to_owned());
        self.writer()?
            .run(move |connection| apply::apply(connection, &campaign, expected_revision, (&actor, now_ms)))
            .await
    }

    async fn set_campaign_state(
        &self,
        campaign: &CampaignId,
        state: CampaignState,
        actor: &str,
        now_ms: UnixMs,
    ) -> Result<bool, LedgerError> {
        let (campaign, actor) = (campaign.clone(), actor.to_owned());
        self.writer()?
            .run(move |connection| apply::set_state(connection, &campaign, state, (&actor, now_ms)))
            .await
    }

    async fn mark_loaded(&self, drop: DropNumber, shard: Shard, epoch: Epoch) -> Result<(), LedgerError> {
        let now_ms = self.clock.now_ms();
        self.writer()?.run(move |connection| apply::mark_loaded(connection, drop, shard, epoch, now_ms)).await
    }

    async fn note_rebuilt(&self, rebuilt: &Rebuilt) -> Result<(), LedgerError> {
        let rebuilt = rebuilt.clone();
        self.writer()?.run(move |connection| epochs::note_rebuilt(connection, rebuilt)).await
    }

    async fn note_seen(&self, shard: Shard, seen: &[Seen]) -> Result<(), LedgerError> {
        let seen = seen.to_vec();
        self.writer()?.run(move |connection| epochs::note_seen(connection, shard, &seen)).await
    }

    async fn seal(&self, shard: Shard, position: JournalId) -> Result<bool, LedgerError> {
        self.writer()?.run(move |connection| epochs::seal(connection, shard, position)).await
    }

    async fn unseal(&self, shard: Shard) -> Result<(), LedgerError> {
        self.writer()?.run(move |connection| epochs::unseal(connection, shard)).await
    }

    async fn is_sealed(&self, shard: Shard) -> Result<bool, LedgerError> {
        self.look_ups.run(move |connection| epochs::is_sealed(&*connection.transaction()?, shard)).await
    }

    async fn position(&self, shard: Shard) -> Result<JournalId, LedgerError> {
        self.look_ups.run(move |connection| read::position(connection, shard)).await
    }

    async fn commit(&self, group: Group) -> Result<Committed, LedgerError> {
        self.writer()?.run(move |connection| write::commit(connection, &group)).await
    }

    async fn tallies(&self) -> Result<Vec<Tally>, LedgerError> {
        self.scans.run(|connection| read::tallies(connection)).await
    }

    async fn claims(
        &self,
        drop: DropNumber,
        after: Option<ClaimNumber>,
        limit: u32,
    ) -> Result<Vec<ClaimRow>, LedgerError> {
        // A batch's worth is read in no time, and the drain must not wait for an audit.
        let is_short = usize::try_from(limit).is_ok_and(|limit| limit <= limits::BATCH_CLAIMS_MAX);
        let worker = if is_short { &self.look_ups } else { &self.scans };
        worker.run(move |connection| read::claims(&*connection.transaction()?, drop, after, limit)).await
    }

    async fn claim(&self, number: ClaimNumber) -> Result<Option<ClaimRow>, LedgerError> {
        self.look_ups.run(move |connection| read::claim(connection, number)).await
    }

    async fn register_receipt(
        &self,
        claim: ClaimNumber,
        person: &str,
        now_ms: UnixMs,
    ) -> Result<Option<ReceiptRow>, LedgerError> {
        let person = person.to_owned();
        self.writer()?.run(move |connection| receipts::register(connection, claim, person, now_ms)).await
    }

    async fn settle_receipt(
        &self,
        number: u64,
        settlement: &Settlement,
        actor: &str,
        now_ms: UnixMs,
    ) -> Result<Option<ReceiptRow>, LedgerError> {
        let (settlement, actor) = (settlement.clone(), actor.to_owned());
        self.writer()?
            .run(move |connection| receipts::settle(connection, number, settlement, (&actor, now_ms)))
            .await
    }

    async fn bind(&self, requests: Vec<Bind>, now_ms: UnixMs) -> Result<Vec<Bound>, LedgerError> {
        self.writer()?.run(move |connection| bonds::bind(connection, &requests, now_ms)).await
    }

    async fn life(&self, requests: Vec<Request>, now_ms: UnixMs) -> Result<Vec<Outcome>, LedgerError> {
        let terms = Arc::clone(&self.terms);
        self.writer()?.run(move |connection| life::life(connection, &terms, &requests, now_ms)).await
    }

    async fn expire(&self, limit: u32, now_ms: UnixMs) -> Result<Expired, LedgerError> {
        let terms = Arc::clone(&self.terms);
        self.writer()?.run(move |connection| life::expire(connection, &terms, limit, now_ms)).await
    }

    async fn last_step(&self, claim: ClaimNumber) -> Result<Option<StepRow>, LedgerError> {
        self.look_ups.run(move |connection| life::last_step_of(&*connection.transaction()?, claim)).await
    }

    async fn states(&self, claims: &[ClaimNumber]) -> Result<Vec<Option<State>>, LedgerError> {
        let claims = claims.to_vec();
        self.look_ups.run(move |connection| life::states(&*connection.transaction()?, &claims)).await
    }

    async fn late_payments(&self, after: u64, limit: u32) -> Result<Vec<LatePayment>, LedgerError> {
        self.look_ups.run(move |connection| life::late_payments(connection, after, limit)).await
    }

    async fn late_payments_open(&self) -> Result<LateOpen, LedgerError> {
        self.look_ups.run(|connection| life::late_open(connection)).await
    }

    async fn steps(&self, after: u64, limit: u32) -> Result<Vec<StepRow>, LedgerError> {
        self.scans.run(move |connection| life::steps(connection, after, limit)).await
    }

    async fn accounts(&self, campaign: &CampaignId) -> Result<BTreeMap<String, Fen>, LedgerError> {
        let campaign = campaign.clone();
        self.scans.run(move |connection| life::pots(connection, campaign.as_str())).await
    }

    async fn close_period(
        &self,
        campaign: &CampaignId,
        until_ms: UnixMs,
        actor: &str,
        now_ms: UnixMs,
    ) -> Result<Result<Period, CloseRefused>, LedgerError> {
        let (campaign, actor) = (campaign.clone(), actor.to_owned());
        self.writer()?
            .run(move |connection| life::close(connection, &campaign, until_ms, (&actor, now_ms)))
            .await
    }

    async fn periods(&self) -> Result<Vec<Period>, LedgerError> {
        self.scans.run(|connection| life::periods(&*connection.transaction()?)).await
    }

    async fn receipts(&self, after: u64, limit: u32) -> Result<Vec<ReceiptRow>, LedgerError> {
        self.look_ups.run(move |connection| receipts::page(connection, after, limit)).await
    }

    async fn receipts_of(&self, claim: ClaimNumber) -> Result<Vec<ReceiptRow>, LedgerError> {
        self.look_ups.run(move |connection| receipts::of(connection, claim)).await
    }

    async fn receipt_counts(&self) -> Result<ReceiptCounts, LedgerError> {
        self.look_ups.run(|connection| receipts::counts(connection)).await
    }

    async fn over_limit(
        &self,
        drop: DropNumber,
        per_person: u32,
        limit: u32,
    ) -> Result<Vec<(String, u64)>, LedgerError> {
        self.scans.run(move |connection| read::over_limit(connection, drop, per_person, limit)).await
    }

    async fn in_several_drops(
        &self,
        campaign: &CampaignId,
        since_ms: UnixMs,
        limit: u32,
    ) -> Result<Vec<(String, u64)>, LedgerError> {
        let campaign = campaign.clone();
        self.scans.run(move |connection| read::in_several_drops(connection, &campaign, since_ms, limit)).await
    }

    async fn repeated_marks(
        &self,
        drop: DropNumber,
        limit: u32,
    ) -> Result<Vec<(String, String, u64)>, LedgerError> {
        self.scans.run(move |connection| read::repeated_marks(connection, drop, limit)).await
    }

    async fn balances(&self) -> Result<Vec<Balances>, LedgerError> {
        self.scans.run(|connection| read::balances(&*connection.transaction()?)).await
    }

    async fn standing(&self, shard: Shard) -> Result<Standing, LedgerError> {
        self.scans.run(move |connection| read::standing(&*connection.transaction()?, shard)).await
    }

    async fn chain_head(&self) -> Result<ChainHead, LedgerError> {
        self.look_ups.run(|connection| books::chain_head(connection)).await
    }

    async fn verify_chain(&self) -> Result<Result<ChainHead, ChainBreak>, LedgerError> {
        self.scans.run(verify::verify).await
    }

    async fn audit_records(&self, after: u64, limit: i64) -> Result<Vec<Record>, LedgerError> {
        self.scans.run(move |connection| books::records(connection, after, limit)).await
    }

    async fn chain_record(&self, hash: &str) -> Result<Option<u64>, LedgerError> {
        let hash = hash.to_owned();
        self.scans.run(move |connection| books::chain_record(connection, &hash)).await
    }

    async fn quarantine(&self, after: u64, limit: u32) -> Result<Vec<Quarantined>, LedgerError> {
        self.look_ups.run(move |connection| read::quarantine(connection, after, limit)).await
    }

    async fn quarantine_open(&self) -> Result<u64, LedgerError> {
        self.look_ups.run(|connection| read::quarantine_open(connection)).await
    }
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{ConstraintViolation, DatabaseCorrupt, NotADatabase, TypeMismatch};
        let text = error.to_string();
        match error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ConstraintViolation | DatabaseCorrupt | NotADatabase | TypeMismatch => Self::Corrupt(text),
                _ => Self::Unavailable(text),
            },
            // Everything else is a row that is not what the schema says.
            _ => Self::Corrupt(text),
        }
    }
}

/// A stored form that cannot be read, or not be written.
fn encoded(error: impl std::fmt::Display) -> LedgerError {
    LedgerError::Corrupt(error.to_string())
}

/// A number as SQLite stores it.
fn signed(number: u64) -> Result<i64, LedgerError> {
    i64::try_from(number).map_err(|_| LedgerError::Corrupt(format!("{number} does not fit 63 bits")))
}

/// A stored number that cannot be negative.
fn unsigned(number: i64) -> Result<u64, LedgerError> {
    u64::try_from(number).map_err(|_| LedgerError::Corrupt(format!("{number} is below zero")))
}
