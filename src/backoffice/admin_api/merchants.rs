//! The JSON of `/admin/v1/merchants`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::merchant::{Details, Status};

/// The answer to `GET /admin/v1/merchants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MerchantList {
    /// In order of their ids, from the one after `?after=` on; a part of them.
    pub merchants: Vec<MerchantView>,
}

/// One merchant; the answer to a step with it, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MerchantView {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub status: Status,
    /// Why it is suspended.
    pub reason: Option<String>,
    /// What holds; nothing before the first review.
    pub details: Option<Details>,
    /// What waits for a review.
    pub proposed: Option<Details>,
    /// Who entered that.
    pub proposed_by: Option<String>,
    /// One more with each change.
    pub revision: u64,
    /// When it was changed last.
    pub changed_at: String,
    /// By whom.
    pub changed_by: String,
}

/// The answer to `POST /admin/v1/merchants`, whose body is a file: what was entered, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportReport {
    /// Whether it was entered.
    pub applied: bool,
    /// Rows in the file.
    pub rows: usize,
    /// Merchants that were not there.
    pub new: Vec<String>,
    /// Merchants that differ from what was entered before.
    pub changed: Vec<String>,
    /// How many are as they were.
    pub unchanged: usize,
}

/// The body of `POST /admin/v1/merchants/{id}/review`; with the admin token it may be left out where one person is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// The merchant's revision that was seen; without it whatever stands, which is refused where another person has to look.
    #[serde(default)]
    pub revision: Option<u64>,
}

/// The body of `POST /admin/v1/merchants/{id}/suspend`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suspend {
    /// Why.
    pub reason: String,
}
