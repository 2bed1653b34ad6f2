//! Closed periods of a campaign's books, and the counts that a ledger gives of vouchers.
//!
//! Owns when a period may be closed, what it says, and its digest for the audit chain. A store keeps the rows.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::clock::UnixMs;
use crate::domain::ids::{CampaignId, DropNumber};
use crate::domain::life::State;
use crate::domain::money::Fen;

/// A closed stretch of a campaign's books. Nothing is posted into it any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Period {
    /// 1, 2, 3 … over the ledger's life.
    pub number: u64,
    /// The campaign.
    pub campaign: CampaignId,
    /// Its first instant: the end of the period before, or 0.
    pub from_ms: UnixMs,
    /// The first instant that is no longer in it.
    pub until_ms: UnixMs,
    /// When it was closed.
    pub closed_at_ms: UnixMs,
    /// Every account that ever held anything, in order of their names.
    pub lines: Vec<PeriodLine>,
}

/// An account in a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeriodLine {
    /// Its name. The budget is the credit side and so below zero.
    pub account: String,
    /// What it held at the first instant.
    pub opening: Fen,
    /// What it held at the end.
    pub closing: Fen,
}

/// Why a period cannot be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseRefused {
    /// There is no such campaign.
    #[error("there is no such campaign")]
    UnknownCampaign,
    /// It would end before it begins.
    #[error("the books are closed until then already")]
    Closed,
    /// It would end in the future, where things may still happen.
    #[error("it is not over yet")]
    NotOver,
}

impl Period {
    /// Whether a period from `from_ms` until `until_ms` may be closed at `now_ms`.
    pub(super) fn check(from_ms: UnixMs, until_ms: UnixMs, now_ms: UnixMs) -> Result<(), CloseRefused> {
        if until_ms <= from_ms {
            Err(CloseRefused::Closed)
        } else if until_ms > now_ms {
            Err(CloseRefused::NotOver)
        } else {
            Ok(())
        }
    }

    /// A period with the balances at both of its ends.
    pub(super) fn closed(
        number: u64,
        campaign: CampaignId,
        (from_ms, until_ms, closed_at_ms): (UnixMs, UnixMs, UnixMs),
        opening: &BTreeMap<String, Fen>,
        closing: &BTreeMap<String, Fen>,
    ) -> Self {
        let accounts: BTreeSet<&String> = opening.keys().chain(closing.keys()).collect();
        let held =
            |at: &BTreeMap<String, Fen>, account: &String| at.get(account).copied().unwrap_or_default();
        let line = |account: &String| PeriodLine {
            account: account.clone(),
            opening: held(opening, account),
            closing: held(closing, account),
        };
        let lines = accounts.into_iter().map(line).collect();
        Self { number, campaign, from_ms, until_ms, closed_at_ms, lines }
    }

    /// Digest of the period, lower-case hex: SHA-256 of its JSON.
    ///
    /// # Errors
    /// None in practice: every period has a JSON form.
    pub(super) fn digest(&self) -> Result<String, serde_json::Error> {
        Ok(HEXLOWER.encode(&Sha256::digest(serde_json::to_vec(self)?)))
    }
}

/// How many of a drop's claims stand in a state, of those with which a step was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoucherCount {
    /// The drop.
    pub drop: DropNumber,
    /// The state.
    pub state: State,
    /// How many.
    pub claims: u64,
}

/// What [`super::Ledger::expire`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// Vouchers that expired now.
    pub expired: u64,
    /// Whether any were looked at; nothing is due any more where none were.
    pub looked_at: bool,
}
