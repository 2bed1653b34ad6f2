//! What a drop gives that is no voucher: a unit that is set aside for its holder until it is paid for.

use serde::{Deserialize, Serialize};

use super::file::FileError;
use super::table::{Field, Table};
use super::value;
use crate::clock::UnixMs;
use crate::limits;

const KEYS: [&str; 2] = ["hold_for", "claim_again"];

/// For how long a unit is held, and for whom again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemTerms {
    /// How long after the claim it must be paid for, in milliseconds.
    pub hold_ms: i64,
    /// Whether a person whose hold was cancelled or not paid for may claim another unit of the drop.
    pub claim_again: bool,
}

impl ItemTerms {
    /// The first instant at which a claim is held no more.
    #[must_use]
    pub fn held_until_ms(&self, claimed_at_ms: UnixMs) -> UnixMs {
        claimed_at_ms.saturating_add(self.hold_ms)
    }
}

/// Reads `item = { hold_for = "15m" }` of a drop.
pub(super) fn read(drop: &Table<'_, '_>, field: &Field<'_, '_>) -> Result<ItemTerms, FileError> {
    let table = drop.table(field, &KEYS)?;
    let hold_for = table.need("hold_for")?;
    let hold_ms =
        value::duration_ms(table.text(&hold_for)?).map_err(|what| table.refuse(&hold_for, &what))?;
    if hold_ms > limits::HOLD_MS_MAX {
        return Err(table.refuse_rule(&hold_for, "is more than 30d"));
    }
    let claim_again = table.get("claim_again").map_or(Ok(true), |field| table.truth(&field))?;
    Ok(ItemTerms { hold_ms, claim_again })
}
