//! The JSON of `/admin/v1/drafts`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backoffice::drafts::DraftState;
use crate::clock::UnixMs;

/// The answer to `GET /admin/v1/drafts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DraftList {
    /// In order of the campaigns' ids.
    pub drafts: Vec<DraftView>,
}

/// One draft: the answer to making, showing and approving it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DraftView {
    /// The campaign's id.
    pub campaign: String,
    /// What people call it.
    pub name: String,
    /// `waiting` or `approved`.
    pub state: DraftState,
    /// One more with each change; what an approver names as the one that was seen.
    pub revision: u64,
    /// All the money there would be.
    pub budget: String,
    /// What could be claimed in a day at most.
    pub daily_budget: Option<String>,
    /// IANA name.
    pub time_zone: String,
    /// Its rules, each by its key in the campaign file, as in `redemption: person_per_day none`.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Its drops, those of waves one by one.
    pub drops: Vec<DraftDrop>,
    /// What it changes of what stands; what it changed, once it was applied.
    pub changes: Vec<String>,
    /// Who made it.
    pub drafted_by: String,
    /// When.
    pub drafted_at: String,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// When.
    pub approved_at: Option<String>,
}

/// One drop of a draft.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DraftDrop {
    /// Its id.
    pub id: String,
    /// The release instant.
    pub opens_at: String,
    /// After it nobody claims.
    pub closes_at: String,
    /// Units.
    pub stock: u64,
    /// Claims per person.
    pub limit_per_person: u32,
    /// What a voucher is worth, where it gives vouchers.
    pub face: Option<String>,
    /// All that it says, each by its key in the campaign file, as in `voucher: merchants: region all`.
    #[serde(default)]
    pub terms: Vec<String>,
}

/// The body of `POST /admin/v1/drafts/{id}/approve`; with the admin token it may be left out where one person is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// The revision that was seen; without it whatever stands, which is refused where another person has to look.
    #[serde(default)]
    pub revision: Option<u64>,
}

/// The body of `POST /admin/v1/campaigns/{id}/copy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// The new campaign's id, with which the ids of its drops begin.
    pub id: String,
    /// When its first drop opens, in milliseconds since the Unix epoch.
    pub opens_at_ms: UnixMs,
}
