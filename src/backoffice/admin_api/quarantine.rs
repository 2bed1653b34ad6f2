//! `/admin/v1/quarantine`: journal entries that nobody could understand, and what was found of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer to `GET /admin/v1/quarantine`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantineList {
    /// In order of their numbers, from the one after `?after=` on; a part of them.
    pub entries: Vec<EntryView>,
}

/// An entry in quarantine: the answer to settling it, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryView {
    /// Its number.
    pub number: u64,
    /// The shard in whose journal it stood.
    pub shard: String,
    /// Where it stood there.
    pub journal_id: String,
    /// Why it was not accepted.
    pub reason: String,
    /// What it says, or how that begins: the ledger has the rest.
    pub raw: String,
    /// When it was settled, if it was.
    pub settled_at: Option<String>,
    /// By whom.
    pub settled_by: Option<String>,
    /// What was found of it.
    pub note: Option<String>,
}

/// The body of `POST /admin/v1/quarantine/{number}/settle`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettleEntry {
    /// What was found: who wrote it, and what was done about it.
    pub note: String,
}
