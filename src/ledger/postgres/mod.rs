//! The ledger in a PostgreSQL server: for several front ends, drains of their own, and data that outlives a machine.
//!
//! Owns the tables of one schema. Whatever writes holds the catalogue's row until its transaction ends, so writers
//! follow each other; readers see snapshots and wait for nobody. A commit is answered when it is on the server's disk.
//!
//! ```text
//!   commit, apply, pause … ──► writers  ─┐
//!   positions, catalogue  ──► look-ups ─┼─ one database
//!   exports, tallies, audit ──► scans ───┘
//! ```

mod apply;
mod bonds;
mod books;
mod connect;
mod documents;
mod entry;
mod epochs;
mod read;
mod receipts;
mod schema;
#[cfg(test)]
mod tests;
mod verify;
mod write;

use std::path::Path;

use async_trait::async_trait;
use deadpool_postgres::{Client, GenericClient, HookError, Pool, PoolError, Transaction};
use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Row};

use self::connect::{Purpose, Target};
use super::{
    Balances, Bind, Bound, Catalogue, ChainBreak, ChainHead, ClaimRow, Committed, Group, Ledger, LedgerError,
    Quarantined, Rebuilt, ReceiptCounts, ReceiptRow, Seen, Settlement, Standing, Tally,
};
use crate::clock::{Clock, UnixMs};
use crate::domain::campaign::{Campaign, CampaignState, Changes};
use crate::domain::claim::JournalId;
use crate::domain::ids::{CampaignId, ClaimNumber, DropNumber, Epoch, Shard};
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
        let writers = target.pool(Purpose::Write, limits::LEDGER_WRITERS)?;
        connect::prepare(&writers).await?;
        Ok(Self { writers: Some(writers), ..Self::readers(&target)? })
    }

    /// Connects for reading alone: what would write fails. A standby will do.
    ///
    /// # Errors
    /// As [`PostgresLedger::open`]; also for a database without a ledger or one of an older schema.
    pub async fn open_read_only(url: &str, ca_file: Option<&Path>) -> Result<Self, LedgerError> {
        let ledger = Self::readers(&Target::new(url, ca_file)?)?;
        schema::check(&ledger.look_ups.get().await?).await?;
        Ok(ledger)
    }

    fn readers(target: &Target) -> Result<Self, LedgerError> {
        Ok(Self {
            look_ups: target.pool(Purpose::Read, limits::LEDGER_READERS)?,
            scans: target.pool(Purpose::Read, limits::LEDGER_READERS)?,
            writers: None,
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

/// What a connection says, unless it takes too long: then nobody uses the connection any more.
macro_rules! in_time {
    ($client:ident, $work:expr) => {{
        let outcome = tokio::time::timeout($crate::limits::LEDGER_ANSWER_TIMEOUT, $work).await;
        outcome.unwrap_or_else(|_| {
            drop(Client::take($client));
            Err(LedgerError::Unavailable("the server did not answer in time".to_owned()))
        })
    }};
}

use in_time;

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

    async fn apply_campaign(
        &self,
        campaign: &Campaign,
        expected_revision: u64,
        now_ms: UnixMs,
    ) -> Result<Changes, LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, apply::apply(&mut client, campaign, expected_revision, now_ms))
    }

    async fn set_campaign_state(
        &self,
        campaign: &CampaignId,
        state: CampaignState,
        now_ms: UnixMs,
    ) -> Result<bool, LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, apply::set_state(&mut client, campaign, state, now_ms))
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
        read::tallies(&self.scans.get().await?).await
    }

    async fn claims(
        &self,
        drop: DropNumber,
        after: Option<ClaimNumber>,
        limit: u32,
    ) -> Result<Vec<ClaimRow>, LedgerError> {
        read::claims(&snapshot(&mut self.scans.get().await?).await?, drop, after, limit).await
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
        now_ms: UnixMs,
    ) -> Result<Option<ReceiptRow>, LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, receipts::settle(&mut client, number, settlement, now_ms))
    }

    async fn bind(&self, requests: Vec<Bind>, now_ms: UnixMs) -> Result<Vec<Bound>, LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, bonds::bind(&mut client, &requests, now_ms))
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
        read::over_limit(&self.scans.get().await?, drop, per_person, limit).await
    }

    async fn repeated_marks(
        &self,
        drop: DropNumber,
        limit: u32,
    ) -> Result<Vec<(String, String, u64)>, LedgerError> {
        read::repeated_marks(&self.scans.get().await?, drop, limit).await
    }

    async fn balances(&self) -> Result<Vec<Balances>, LedgerError> {
        read::balances(&snapshot(&mut self.scans.get().await?).await?).await
    }

    async fn standing(&self, shard: Shard) -> Result<Standing, LedgerError> {
        read::standing(&snapshot(&mut self.scans.get().await?).await?, shard).await
    }

    async fn chain_head(&self) -> Result<ChainHead, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, books::chain_head(&client))
    }

    async fn verify_chain(&self) -> Result<Result<ChainHead, ChainBreak>, LedgerError> {
        // One snapshot for the whole walk; the drain may go on writing meanwhile.
        verify::verify(&snapshot(&mut self.scans.get().await?).await?).await
    }

    async fn chain_record(&self, hash: &str) -> Result<Option<u64>, LedgerError> {
        books::chain_record(&self.scans.get().await?, hash).await
    }

    async fn quarantine(&self, limit: u32) -> Result<Vec<Quarantined>, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, read::quarantine(&client, limit))
    }

    async fn quarantine_count(&self) -> Result<u64, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, read::quarantine_count(&client))
    }
}

/// What a statement is told.
type Parameters<'p> = &'p [&'p (dyn ToSql + Sync)];

async fn query<C: GenericClient>(
    client: &C,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<Vec<Row>, LedgerError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query(&statement, parameters).await?)
}

async fn query_opt<C: GenericClient>(
    client: &C,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<Option<Row>, LedgerError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query_opt(&statement, parameters).await?)
}

/// The only column of the only row.
async fn query_number<C: GenericClient>(
    client: &C,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<i64, LedgerError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.query_one(&statement, parameters).await?.try_get(0)?)
}

/// How many rows a statement touched.
async fn execute<C: GenericClient>(
    client: &C,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<u64, LedgerError> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.execute(&statement, parameters).await?)
}

impl From<tokio_postgres::Error> for LedgerError {
    fn from(error: tokio_postgres::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            text = format!("{text}: {inner}");
            cause = inner.source();
        }
        let Some(refusal) = error.as_db_error() else {
            // What the server sent is not what the schema says; anything else is the way to it.
            let ours = text.starts_with("error retrieving column")
                || text.starts_with("error deserializing column")
                || text.starts_with("query returned an unexpected number of rows");
            return if ours { Self::Corrupt(text) } else { Self::Unavailable(text) };
        };
        let text = format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code());
        // 22 data, 23 constraints, 42 names that are not there, XX001 and XX002 damaged pages and indexes.
        let code = refusal.code().code();
        let corrupt = ["22", "23", "42P", "42703", "XX00"].iter().any(|class| code.starts_with(class));
        if corrupt { Self::Corrupt(text) } else { Self::Unavailable(text) }
    }
}

impl From<PoolError> for LedgerError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => error.into(),
            PoolError::Timeout(_) => {
                Self::Unavailable("no connection became free, or none was made, in time".to_owned())
            }
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// A stored form that cannot be read, or not be written.
fn encoded(error: impl std::fmt::Display) -> LedgerError {
    LedgerError::Corrupt(error.to_string())
}

/// A number in the width of the other side.
fn number<N: Copy + std::fmt::Display, M: TryFrom<N>>(number: N) -> Result<M, LedgerError> {
    M::try_from(number).map_err(|_| LedgerError::Corrupt(format!("{number} does not fit its column")))
}
