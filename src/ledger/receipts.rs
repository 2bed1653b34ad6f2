//! Orphan receipts: signed voucher codes of claims that no store has, each with the person who showed it.
//!
//! Owns what is kept of them and how a row is digested for the audit chain. A store keeps the rows.

use data_encoding::HEXLOWER;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::UnixMs;
use crate::domain::ids::ClaimNumber;

/// How a receipt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    /// Nobody has decided yet.
    Open,
    /// The person has another claim for it.
    Honoured,
    /// An operator found that nothing is owed for it.
    Void,
}

impl ReceiptState {
    /// Every state, in the order of [`ReceiptCounts::by_state`].
    pub const ALL: [Self; 3] = [Self::Open, Self::Honoured, Self::Void];

    /// The word of the API, of reports and of metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Honoured => "honoured",
            Self::Void => "void",
        }
    }
}

/// What an operator decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The person was given this claim, which the ledger has.
    Honoured(ClaimNumber),
    /// Nothing is owed, for this reason.
    Void(String),
}

/// A receipt as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptRow {
    /// 1, 2, 3 … over the ledger's life.
    pub number: u64,
    /// The claim that the code stands for.
    pub claim: ClaimNumber,
    /// Who showed it.
    pub person: String,
    /// When it was shown first.
    pub shown_at_ms: UnixMs,
    /// What was decided, and when; nothing while it is open.
    pub settled: Option<(UnixMs, Settlement)>,
}

impl ReceiptRow {
    /// How it stands.
    #[must_use]
    pub fn state(&self) -> ReceiptState {
        match self.settled {
            None => ReceiptState::Open,
            Some((_, Settlement::Honoured(_))) => ReceiptState::Honoured,
            Some((_, Settlement::Void(_))) => ReceiptState::Void,
        }
    }

    /// Digest of the row as it stands, lower-case hex: SHA-256 of a JSON array of its columns.
    ///
    /// # Errors
    /// None in practice: every row has a JSON form.
    pub(super) fn digest(&self) -> Result<String, serde_json::Error> {
        let (settled_at_ms, replacement, reason) = self.columns();
        let claim = self.claim.claim_id();
        let columns =
            (self.number, claim, &self.person, self.shown_at_ms, settled_at_ms, replacement, reason);
        Ok(HEXLOWER.encode(&Sha256::digest(serde_json::to_vec(&columns)?)))
    }

    /// When it was settled, the claim id that replaces it, the reason why nothing does.
    pub(super) fn columns(&self) -> (Option<UnixMs>, Option<String>, Option<&str>) {
        match &self.settled {
            None => (None, None, None),
            Some((at_ms, Settlement::Honoured(by))) => (Some(*at_ms), Some(by.claim_id()), None),
            Some((at_ms, Settlement::Void(reason))) => (Some(*at_ms), None, Some(reason)),
        }
    }

    /// A row from its columns; what is wrong with them otherwise.
    pub(super) fn from_columns(
        number: u64,
        claim: &str,
        person: String,
        shown_at_ms: UnixMs,
        settled: (Option<UnixMs>, Option<String>, Option<String>),
    ) -> Result<Self, String> {
        let read = |id: &str| ClaimNumber::parse_claim_id(id).map_err(|error| error.to_string());
        let settled = match settled {
            (None, None, None) => None,
            (Some(at_ms), Some(by), None) => Some((at_ms, Settlement::Honoured(read(&by)?))),
            (Some(at_ms), None, Some(reason)) => Some((at_ms, Settlement::Void(reason))),
            _ => return Err(format!("receipt {number} is half settled")),
        };
        Ok(Self { number, claim: read(claim)?, person, shown_at_ms, settled })
    }
}

/// How many receipts there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReceiptCounts {
    /// Nobody has decided yet.
    pub open: u64,
    /// Replaced by another claim.
    pub honoured: u64,
    /// Found to be worth nothing.
    pub void: u64,
}

impl ReceiptCounts {
    /// In the order of [`ReceiptState::ALL`].
    #[must_use]
    pub fn by_state(self) -> [u64; 3] {
        [self.open, self.honoured, self.void]
    }
}
