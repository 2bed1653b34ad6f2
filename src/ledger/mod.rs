//! The durable store of campaigns, claims, vouchers and money.
//!
//! Owns the rows, the double-entry postings and the audit chain, and commits the journal position in the same
//! transaction as what it covers. Knows no HTTP and no Redis; it is told of journal entries, it does not read
//! them. [`Ledger`] is the trait; [`postings`] and [`chain`] hold
//! the rules of money and of the audit chain for every store; [`sqlite`] is the embedded store, [`postgres`] the
//! one in a server, [`open`] chooses between them; `conformance` (tests) is what every store must do.

mod admission;
pub mod chain;
#[cfg(test)]
pub(crate) mod conformance;
mod epochs;
pub mod open;
pub mod postgres;
pub mod postings;
mod receipts;
mod sections;
pub mod sqlite;
mod taken;
mod testimony;
mod totals;

use async_trait::async_trait;

pub use self::epochs::{Grounds, Loaded, LostClaims, Rebuilt, Seen};
pub use self::receipts::{ReceiptCounts, ReceiptRow, ReceiptState, Settlement};
use crate::clock::UnixMs;
use crate::domain::campaign::{Campaign, CampaignState, Changes, Refusal};
use crate::domain::claim::{JournalEntry, JournalId};
use crate::domain::ids::{CampaignId, ClaimNumber, DropId, DropNumber, Epoch, Shard};
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
}

/// All campaigns, as of one revision.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// Raised by one with every change of a campaign, a state or a drop's loading.
    pub revision: u64,
    /// In the order in which they were first applied.
    pub campaigns: Vec<CampaignRecord>,
}

/// A campaign as stored.
#[derive(Debug, Clone)]
pub struct CampaignRecord {
    /// As last applied.
    pub campaign: Campaign,
    /// Running or paused (and, later, the rest of its life).
    pub state: CampaignState,
    /// Its drops' numbers and loading, in the order of `campaign.drops`.
    pub drops: Vec<DropRecord>,
}

/// What the ledger knows of a drop beside its rules.
#[derive(Debug, Clone)]
pub struct DropRecord {
    /// The drop.
    pub id: DropId,
    /// Its number, which claim numbers carry.
    pub number: DropNumber,
    /// The shards in which it was created, with its epochs, in order of both. A drop that stands here but not in
    /// Redis was lost there and must not be sold from an empty start.
    pub loaded: Vec<Loaded>,
    /// The earliest release instant that was ever applied; nothing for a drop of an older schema.
    pub opens_at_min_ms: Option<UnixMs>,
}

impl DropRecord {
    /// The epoch that a shard's Redis must be in; nothing while the drop was never there.
    #[must_use]
    pub fn loaded_in(&self, shard: Shard) -> Option<Loaded> {
        self.loaded.iter().filter(|loaded| loaded.shard == shard).max_by_key(|loaded| loaded.epoch).copied()
    }

    /// See [`Loaded::carried`], of the present epoch.
    #[must_use]
    pub fn carried_in(&self, shard: Shard) -> u64 {
        self.loaded_in(shard).map_or(0, |loaded| loaded.carried)
    }
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

/// A claim's state in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimStatus {
    /// Granted and live.
    Issued,
    /// Its unit went back to stock.
    Returned,
}

impl ClaimStatus {
    /// The word of the exports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Returned => "returned",
        }
    }
}

/// One claim as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRow {
    /// The full number.
    pub number: ClaimNumber,
    /// Who holds it.
    pub person: String,
    /// Hex mark of the idempotency key, where the drop's limit is above one.
    pub mark: Option<String>,
    /// Issued or returned.
    pub status: ClaimStatus,
    /// Whether it was returned in such a way that it no longer counts against the person's limit.
    pub may_claim_again: bool,
    /// Redis' clock at the grant.
    pub claimed_at_ms: UnixMs,
}

/// Totals of one (drop, shard, epoch).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The drop.
    pub drop: DropNumber,
    /// The shard.
    pub shard: Shard,
    /// The epoch.
    pub epoch: Epoch,
    /// Rows.
    pub claims: u64,
    /// Rows whose unit went back.
    pub returned: u64,
    /// The highest `seq`. Equal to `claims` unless there is a gap.
    pub seq_max: u32,
}

/// A campaign's balances, integer fen, from the postings alone: budget = unissued + live + redeemed + recycled.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Balances {
    /// The campaign.
    pub campaign: CampaignId,
    /// What the sponsor gave.
    pub budget: Fen,
    /// Not in anybody's hands.
    pub unissued: Fen,
    /// In holders' vouchers.
    pub live: Fen,
    /// Spent at merchants.
    pub redeemed: Fen,
    /// Come back from expired or void vouchers.
    pub recycled: Fen,
    /// Postings whose lines do not add up to zero. Must be 0.
    pub unbalanced: u64,
}

/// The state of the audit chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainHead {
    /// Number of records.
    pub length: u64,
    /// Hash of the last record, lower-case hex; 64 zeros when there is none.
    pub hash: String,
}

/// Where a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("audit record {index}: {what}")]
pub struct ChainBreak {
    /// The first record that does not verify, from 1.
    pub index: u64,
    /// What is wrong with it.
    pub what: String,
}

/// What the ledger says at one moment, to be set beside a shard's Redis.
#[derive(Debug, Clone)]
pub struct Standing {
    /// All campaigns.
    pub catalogue: Catalogue,
    /// Up to where the shard's journal is committed.
    pub position: JournalId,
    /// Totals by (drop, shard, epoch), of all shards.
    pub tallies: Vec<Tally>,
    /// Balances of every campaign.
    pub balances: Vec<Balances>,
}

/// An entry in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The shard it came from.
    pub shard: Shard,
    /// Where it stood in the journal.
    pub id: JournalId,
    /// Raw text and reason.
    pub poison: crate::domain::claim::Poison,
}

/// The durable store. Every method is one transaction: it happens whole or not at all.
///
/// # Errors
/// Each method fails with [`LedgerError::Unavailable`] when the store cannot be reached or is full, and with
/// [`LedgerError::Corrupt`] when what it finds cannot be; further errors are named at the method.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// All campaigns.
    async fn catalogue(&self) -> Result<Catalogue, LedgerError>;

    /// The catalogue's revision alone: cheap, for polling.
    async fn revision(&self) -> Result<u64, LedgerError>;

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
        now_ms: UnixMs,
    ) -> Result<Changes, LedgerError>;

    /// Pauses or resumes a campaign; `false` when there is none of that id. Audited.
    async fn set_campaign_state(
        &self,
        campaign: &CampaignId,
        state: CampaignState,
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
        now_ms: UnixMs,
    ) -> Result<Option<ReceiptRow>, LedgerError>;

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

    /// The number of the audit record with this hash (lower-case hex), if the chain has one.
    async fn chain_record(&self, hash: &str) -> Result<Option<u64>, LedgerError>;

    /// Entries in quarantine, oldest first, at most `limit`.
    async fn quarantine(&self, limit: u32) -> Result<Vec<Quarantined>, LedgerError>;

    /// How many entries are in quarantine.
    async fn quarantine_count(&self) -> Result<u64, LedgerError>;
}
