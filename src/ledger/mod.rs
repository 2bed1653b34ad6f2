//! The durable store of campaigns, claims, vouchers and money.
//!
//! Owns the rows, the double-entry postings and the audit chain, and commits the journal position in the same
//! transaction as what it covers. Knows no HTTP and no Redis; it is told of journal entries, it does not read
//! them. [`Ledger`] is the trait; [`postings`] and [`chain`] hold
//! the rules of money and of the audit chain for every store; [`sqlite`] is the embedded store, [`postgres`] the
//! one in a server, [`open`] chooses between them; `conformance` (tests) is what every store must do.

pub mod accounts;
mod admission;
mod bonds;
pub mod chain;
#[cfg(test)]
pub(crate) mod conformance;
mod documents;
mod epochs;
mod late;
pub mod life;
mod numbered;
pub mod open;
mod periods;
pub mod postgres;
pub mod postings;
mod receipts;
mod rules;
mod sections;
pub mod sqlite;
mod stored;
mod taken;
mod testimony;
mod totals;

use std::collections::BTreeMap;

use async_trait::async_trait;

pub use self::accounts::{Accounts, Movement, PostingRow};
pub use self::bonds::{Bind, Bound, Choice};
pub use self::documents::{Document, DocumentFlaw, Documents, PutDocument, QUARANTINE_NOTE};
pub use self::epochs::{Grounds, Loaded, LostClaims, Rebuilt, Seen};
pub use self::late::{LateOpen, LatePayment};
pub use self::periods::{CloseRefused, Expired, Period, PeriodLine, VoucherCount};
pub use self::receipts::{ReceiptCounts, ReceiptRow, ReceiptState, Settlement};
pub use self::stored::{
    Balances, CampaignRecord, Catalogue, ChainBreak, ChainHead, ClaimRow, ClaimStatus, DropRecord,
    Quarantined, Standing, Tally,
};
pub(crate) use self::taken::cut;
use crate::clock::UnixMs;
use crate::domain::campaign::{Campaign, CampaignState, Changes, Refusal};
use crate::domain::claim::{JournalEntry, JournalId};
use crate::domain::ids::{CampaignId, ClaimNumber, DropNumber, Epoch, Shard};
use crate::domain::life::State;
use crate::domain::money::Fen;

/// What can go wrong with the ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store cannot be reached or failed; trying again may help.
    #[error("ledger unavailable: {0}")]
    Unavailable(String),
    /// What is stored contradicts itself or the program's schema.
    #[error("ledger corrupt: {0}")]
    Corrupt(String),
    /// The campaign file cannot be applied to what is stored.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Somebody else changed the campaigns since they were read.
    #[error("the campaigns changed meanwhile (revision {found}, expected {expected})")]
    Stale {
        /// The revision that the caller had read.
        expected: u64,
        /// The revision now.
        found: u64,
    },
    /// Somebody else changed the document since it was read.
    #[error("{kind} {id:?} changed meanwhile (revision {found}, expected {expected})")]
    StaleDocument {
        /// Its kind.
        kind: String,
        /// Its id.
        id: String,
        /// The revision that the caller had read; 0 for none.
        expected: u64,
        /// The revision now.
        found: u64,
    },
}

/// A stretch of one shard's journal, to be written in one transaction.
#[derive(Debug)]
pub struct Group {
    /// The shard.
    pub shard: Shard,
    /// The position after which `entries` follow without a gap.
    pub after: JournalId,
    /// The entries, ascending. Never empty.
    pub entries: Vec<JournalEntry>,
    /// When this is written, for the audit record.
    pub now_ms: UnixMs,
}

/// What [`Ledger::commit`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// The group is durable.
    Written {
        /// New claim rows.
        claims: u64,
        /// Returns written.
        returns: u64,
        /// Entries put in quarantine.
        poisoned: u64,
        /// The position now: the id of the group's last entry.
        position: JournalId,
    },
    /// Nothing was written: the position is no longer `after`, as another drain was here first. Go on from it.
    Moved {
        /// Where the ledger stands.
        position: JournalId,
    },
}

/// The durable store. Every method is one transaction: it happens whole or not at all. An `actor` is whoever had it done,
/// and stands in the audit record.
///
/// # Errors
/// Each method fails with [`LedgerError::Unavailable`] when the store cannot be reached or is full, and with
/// [`LedgerError::Corrupt`] when what it finds cannot be; further errors are named at the method.
#[async_trait]
pub trait Ledger: Accounts + Documents {
    /// All campaigns.
    async fn catalogue(&self) -> Result<Catalogue, LedgerError>;

    /// The catalogue's revision alone: cheap, for polling.
    async fn revision(&self) -> Result<u64, LedgerError>;

    /// Raises the revision if it is still this one: who changes campaigns by what they read at it is refused as
    /// [`LedgerError::Stale`] from then on.
    async fn outdate(&self, revision: u64) -> Result<(), LedgerError>;

    /// Stores a campaign, new or changed, if the catalogue still has `expected_revision`. Posts the budget (or
    /// its change), numbers new drops, appends an audit record with the file's digest. Applying what is stored
    /// already changes nothing, not even the revision.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] by [`crate::domain::campaign::changes`] or by the caps on campaigns and drops,
    /// [`LedgerError::Stale`].
    async fn apply_campaign(
        &self,
        campaign: &Campaign,
        expected_revision: u64,
        actor: &str,
        now_ms: UnixMs,
    ) -> Result<Changes, LedgerError>;

    /// Pauses, resumes or ends a campaign; `false` when there is none of that id. `now_ms` is the instant of its end.
    /// Audited.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] for one that ended.
    async fn set_campaign_state(
        &self,
        campaign: &CampaignId,
        state: CampaignState,
        actor: &str,
        now_ms: UnixMs,
    ) -> Result<bool, LedgerError>;

    /// Notes that a drop now exists in a shard's Redis, before it may sell there. Twice is the same as once.
    async fn mark_loaded(&self, drop: DropNumber, shard: Shard, epoch: Epoch) -> Result<(), LedgerError>;

    /// Notes that a drop stands in a shard's Redis again under a new epoch, before it may sell there, and why.
    /// Audited. An epoch that is noted already is left as it is.
    async fn note_rebuilt(&self, rebuilt: &Rebuilt) -> Result<(), LedgerError>;

    /// Keeps the highest number that was seen of each (drop, epoch); a lower one, or an epoch that is not noted as
    /// loaded, changes nothing.
    async fn note_seen(&self, shard: Shard, seen: &[Seen]) -> Result<(), LedgerError>;

    /// Seals a shard: says that everything that it ever granted is in the ledger, and that nobody grants any more.
    /// `false`, and no seal, when the journal is no longer committed up to `position`.
    async fn seal(&self, shard: Shard, position: JournalId) -> Result<bool, LedgerError>;

    /// Breaks the seal, before the shard may grant again. Without a seal nothing happens.
    async fn unseal(&self, shard: Shard) -> Result<(), LedgerError>;

    /// Whether the shard is sealed, and nothing was committed since.
    async fn is_sealed(&self, shard: Shard) -> Result<bool, LedgerError>;

    /// Up to where a shard's journal is committed.
    async fn position(&self, shard: Shard) -> Result<JournalId, LedgerError>;

    /// Writes a stretch of the journal: rows, postings, returns, quarantine, audit record and position, in one
    /// durable transaction. An entry that names an unknown drop, or whose claim number is already held by
    /// somebody else, goes to quarantine; one that is already there word for word is passed over.
    async fn commit(&self, group: Group) -> Result<Committed, LedgerError>;

    /// Totals by (drop, shard, epoch).
    async fn tallies(&self) -> Result<Vec<Tally>, LedgerError>;

    /// A page of one drop's claims in order of (shard, epoch, seq), after `after`, at most `limit`.
    async fn claims(
        &self,
        drop: DropNumber,
        after: Option<ClaimNumber>,
        limit: u32,
    ) -> Result<Vec<ClaimRow>, LedgerError>;

    /// One claim.
    async fn claim(&self, number: ClaimNumber) -> Result<Option<ClaimRow>, LedgerError>;

    /// Keeps that a person showed the signed code of a claim that no store has, and gives what is kept; the same again
    /// changes nothing. Audited. Nothing when the ledger has the claim, or when more than
    /// [`crate::limits::RECEIPT_PERSONS_MAX`] persons would have shown its code.
    async fn register_receipt(
        &self,
        claim: ClaimNumber,
        person: &str,
        now_ms: UnixMs,
    ) -> Result<Option<ReceiptRow>, LedgerError>;

    /// Settles an open receipt, and gives it as it stands; one that is settled stays as it is. Audited. Nothing when
    /// there is none of that number.
    async fn settle_receipt(
        &self,
        number: u64,
        settlement: &Settlement,
        actor: &str,
        now_ms: UnixMs,
    ) -> Result<Option<ReceiptRow>, LedgerError>;

    /// Binds what persons are known by to them, in order, all in one transaction: whoever is first in a campaign holds it.
    /// One outcome a request; a refused one changes nothing. Audited.
    async fn bind(&self, requests: Vec<Bind>, now_ms: UnixMs) -> Result<Vec<Bound>, LedgerError>;

    /// Takes steps of vouchers, holds and campaign money, in order, all in one transaction. One outcome a request; each
    /// is decided after those before it, and a refused one changes nothing. Audited.
    async fn life(
        &self,
        requests: Vec<life::Request>,
        now_ms: UnixMs,
    ) -> Result<Vec<life::Outcome>, LedgerError>;

    /// Expires vouchers whose time is over, at most `limit` in one transaction. To be called until nothing is looked
    /// at any more.
    async fn expire(&self, limit: u32, now_ms: UnixMs) -> Result<Expired, LedgerError>;

    /// The last step that was taken with a claim.
    async fn last_step(&self, claim: ClaimNumber) -> Result<Option<life::StepRow>, LedgerError>;

    /// The state that each claim's last step led to; nothing for one with which no step was taken.
    async fn states(&self, claims: &[ClaimNumber]) -> Result<Vec<Option<State>>, LedgerError>;

    /// Late payments after number `after`, in order, at most `limit`.
    async fn late_payments(&self, after: u64, limit: u32) -> Result<Vec<LatePayment>, LedgerError>;

    /// The late payments that wait for their refund.
    async fn late_payments_open(&self) -> Result<LateOpen, LedgerError>;

    /// Steps after number `after`, in order, at most `limit`.
    async fn steps(&self, after: u64, limit: u32) -> Result<Vec<life::StepRow>, LedgerError>;

    /// What every account of a campaign holds, from the postings alone; the budget is below zero.
    async fn accounts(&self, campaign: &CampaignId) -> Result<BTreeMap<String, Fen>, LedgerError>;

    /// Closes a campaign's books from the end of the last period until `until_ms`, and gives the balances at both ends.
    /// Nothing is posted before `until_ms` from then on. Audited.
    async fn close_period(
        &self,
        campaign: &CampaignId,
        until_ms: UnixMs,
        actor: &str,
        now_ms: UnixMs,
    ) -> Result<Result<Period, CloseRefused>, LedgerError>;

    /// Every closed period, in order of their numbers.
    async fn periods(&self) -> Result<Vec<Period>, LedgerError>;

    /// Receipts after number `after`, in order, at most `limit`.
    async fn receipts(&self, after: u64, limit: u32) -> Result<Vec<ReceiptRow>, LedgerError>;

    /// The receipts of one claim, in order of their numbers.
    async fn receipts_of(&self, claim: ClaimNumber) -> Result<Vec<ReceiptRow>, LedgerError>;

    /// How many receipts there are.
    async fn receipt_counts(&self) -> Result<ReceiptCounts, LedgerError>;

    /// Persons who hold more live claims in a drop than its limit, with their count, at most `limit` of them.
    async fn over_limit(
        &self,
        drop: DropNumber,
        per_person: u32,
        limit: u32,
    ) -> Result<Vec<(String, u64)>, LedgerError>;

    /// Persons with claims in several drops of a campaign that count against the limits there, the last of them granted at
    /// `since_ms` or later, with the number of the drops, at most `limit` persons.
    async fn in_several_drops(
        &self,
        campaign: &CampaignId,
        since_ms: UnixMs,
        limit: u32,
    ) -> Result<Vec<(String, u64)>, LedgerError>;

    /// (person, mark) pairs that stand in a drop more than once, with their count, at most `limit` of them.
    async fn repeated_marks(
        &self,
        drop: DropNumber,
        limit: u32,
    ) -> Result<Vec<(String, String, u64)>, LedgerError>;

    /// Balances of every campaign, from the postings alone.
    async fn balances(&self) -> Result<Vec<Balances>, LedgerError>;

    /// Catalogue, position of `shard`, tallies and balances, all as of one moment.
    async fn standing(&self, shard: Shard) -> Result<Standing, LedgerError>;

    /// The audit chain's head.
    async fn chain_head(&self) -> Result<ChainHead, LedgerError>;

    /// Recomputes every audit record's hash, and the digest of the rows that it covers; the head that results,
    /// or where it breaks.
    async fn verify_chain(&self) -> Result<Result<ChainHead, ChainBreak>, LedgerError>;

    /// Audit records after number `after`, in order, at most `limit`.
    async fn audit_records(&self, after: u64, limit: i64) -> Result<Vec<chain::Record>, LedgerError>;

    /// The number of the audit record with this hash (lower-case hex), if the chain has one.
    async fn chain_record(&self, hash: &str) -> Result<Option<u64>, LedgerError>;

    /// Entries in quarantine after number `after`, oldest first, at most `limit`.
    async fn quarantine(&self, after: u64, limit: u32) -> Result<Vec<Quarantined>, LedgerError>;

    /// How many entries are in quarantine of which no [`QUARANTINE_NOTE`] speaks.
    async fn quarantine_open(&self) -> Result<u64, LedgerError>;
}
