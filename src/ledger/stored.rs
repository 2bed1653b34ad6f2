//! What a ledger gives when it is asked: campaigns, claims, totals, balances, the chain's head.
//!
//! Plain data; how it is stored is each store's own business.

use super::Loaded;
use super::postings::Account;
use crate::clock::UnixMs;
use crate::domain::campaign::{Campaign, CampaignState};
use crate::domain::claim::JournalId;
use crate::domain::ids::{CampaignId, ClaimNumber, DropId, DropNumber, Epoch, Shard};
use crate::domain::money::Fen;

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
    /// Where it stands.
    pub state: CampaignState,
    /// When it ended, where it did.
    pub ended_at_ms: Option<UnixMs>,
    /// Its drops' numbers and loading, in the order of `campaign.drops`.
    pub drops: Vec<DropRecord>,
}

impl Catalogue {
    /// The same, with the windows of campaigns that ended cut off where they ended: what fronts and Redis go by.
    #[must_use]
    pub fn cut(mut self) -> Self {
        for record in &mut self.campaigns {
            let Some(ended_at_ms) = record.ended_at_ms else { continue };
            for drop in &mut record.campaign.drops {
                drop.closes_at_ms = drop.closes_at_ms.min(ended_at_ms);
                drop.opens_at_ms = drop.opens_at_ms.min(drop.closes_at_ms.saturating_sub(1));
            }
        }
        self
    }
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

/// A claim's state in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimStatus {
    /// Granted and live.
    Issued,
    /// Its unit went back to stock.
    Returned,
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

/// A campaign's balances, integer fen, from the postings alone.
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
    /// Owed to merchants, all together.
    pub payable: Fen,
    /// Paid to merchants.
    pub settled: Fen,
    /// Come back, for later drops.
    pub recycled: Fen,
    /// Come back, for the sponsor.
    pub treasury: Fen,
    /// Taken from fraud.
    pub recovered: Fen,
    /// Postings whose lines do not add up to zero. Must be 0.
    pub unbalanced: u64,
}

impl Balances {
    /// A campaign without any money.
    pub(super) fn empty(campaign: CampaignId, unbalanced: u64) -> Self {
        let zero = Fen(0);
        Self {
            campaign,
            budget: zero,
            unissued: zero,
            live: zero,
            payable: zero,
            settled: zero,
            recycled: zero,
            treasury: zero,
            recovered: zero,
            unbalanced,
        }
    }

    /// Adds what an account holds.
    ///
    /// # Errors
    /// The name, where no account is called so.
    pub(super) fn add(&mut self, account: &str, amount: Fen) -> Result<(), String> {
        let own = match Account::parse(account) {
            None => return Err(format!("account {account:?}")),
            // The sponsor's side: what was given is what the accounts below hold.
            Some(Account::Budget) => {
                self.budget = Fen(amount.0.saturating_neg());
                return Ok(());
            }
            Some(Account::Unissued) => &mut self.unissued,
            Some(Account::Live) => &mut self.live,
            Some(Account::Payable(_)) => &mut self.payable,
            Some(Account::Settled) => &mut self.settled,
            Some(Account::Recycled) => &mut self.recycled,
            Some(Account::Treasury) => &mut self.treasury,
            Some(Account::Recovered) => &mut self.recovered,
        };
        *own = own.plus(amount).ok_or_else(|| format!("account {account:?} does not fit"))?;
        Ok(())
    }

    /// What stands in all accounts beside the budget; nothing where it does not fit. Equal to the budget.
    #[must_use]
    pub fn spread(&self) -> Option<Fen> {
        let rest = [self.live, self.payable, self.settled, self.recycled, self.treasury, self.recovered];
        rest.iter().try_fold(self.unissued, |sum, part| sum.plus(*part))
    }
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
    /// How claims stand with which a step was taken.
    pub vouchers: Vec<super::VoucherCount>,
}

/// An entry in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// 1, 2, 3 … over the ledger's life.
    pub number: u64,
    /// The shard it came from.
    pub shard: Shard,
    /// Where it stood in the journal.
    pub id: JournalId,
    /// Raw text and reason.
    pub poison: crate::domain::claim::Poison,
}
