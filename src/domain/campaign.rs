//! Campaigns and drops: what a campaign file says, whether it holds together, and what it changes.
//!
//! Owns the file format's rules. Pure: the file's text comes in, a checked [`Campaign`] or a refusal that names
//! the line goes out.

use super::ids::{CampaignId, DropId};
use super::money::Fen;
use crate::clock::UnixMs;

/// One funded programme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// Its id.
    pub id: CampaignId,
    /// What people call it.
    pub name: String,
    /// Who pays.
    pub sponsor: Option<String>,
    /// All the money there is.
    pub budget: Fen,
    /// ISO 4217, as in `CNY`.
    pub currency: String,
    /// IANA name, as in `Asia/Shanghai`.
    pub time_zone: String,
    /// Its timed releases, in the order of the file. At least one.
    pub drops: Vec<DropSpec>,
}

/// One timed release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropSpec {
    /// Its id, unique over all campaigns.
    pub id: DropId,
    /// What people call it.
    pub name: Option<String>,
    /// The release instant.
    pub opens_at_ms: UnixMs,
    /// After it nobody claims. Later than `opens_at_ms`.
    pub closes_at_ms: UnixMs,
    /// Units in all, 1 to [`crate::limits::STOCK_MAX`].
    pub stock: u64,
    /// Claims per person, 1 to [`crate::limits::LIMIT_PER_PERSON_MAX`].
    pub limit_per_person: u32,
    /// What a claim gives; `None` for a drop of something that is not money.
    pub voucher: Option<VoucherTerms>,
}

/// What a voucher is worth, where, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoucherTerms {
    /// The discount.
    pub face: Fen,
    /// The order amount from which it may be used; not below `face`.
    pub threshold: Fen,
    /// How long after the claim it may be used, in milliseconds.
    pub valid_ms: i64,
    /// Merchant categories that take it; empty for all.
    pub categories: Vec<String>,
    /// Merchant regions that take it; empty for all.
    pub regions: Vec<String>,
}

/// Where a campaign stands in its life. Draft, approved and ended follow with maker-checker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignState {
    /// Its drops open and close by their windows.
    Running,
    /// No claim is granted.
    Paused,
}
