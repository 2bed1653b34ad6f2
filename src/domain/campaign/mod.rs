//! Campaigns and drops: what a campaign file says, whether it holds together, and what it changes.
//!
//! Owns the file format's rules. Pure: the file's text comes in, a checked [`Campaign`] or a refusal that names
//! the line goes out. [`mod@file`] reads the text, [`changes()`] compares two campaigns.

mod changes;
mod daily;
mod differences;
pub mod file;
mod item;
mod lines;
mod redemption;
mod table;
#[cfg(test)]
mod tests;
mod value;
mod wave;

use std::collections::HashSet;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

pub use changes::{Changes, Refusal, StockChange, changes};
pub use daily::{DayOver, check_days, counts_anew};
pub use differences::Difference;
pub use file::FileError;
pub use item::ItemTerms;
pub use lines::{line_in_drop, line_of_address_rule, line_of_refusal};
pub use redemption::{RedemptionRules, RuleChange, Taken, Unused};

use super::eligibility::Eligibility;
use super::ids::{CampaignId, DropId, IdError};
use super::money::Fen;
use crate::clock::UnixMs;

/// One funded programme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    /// Its id.
    #[serde(deserialize_with = "checked")]
    pub id: CampaignId,
    /// What people call it.
    pub name: String,
    /// Who pays.
    pub sponsor: Option<String>,
    /// All the money there is.
    pub budget: Fen,
    /// What can be claimed at most on one day of the time zone; nothing for any amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daily_budget: Option<Fen>,
    /// ISO 4217, as in `CNY`.
    pub currency: String,
    /// IANA name, as in `Asia/Shanghai`.
    pub time_zone: String,
    /// Its timed releases, in the order of the file. At least one.
    pub drops: Vec<DropSpec>,
    /// Who may take part in any of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eligibility: Option<Eligibility>,
    /// How its vouchers are redeemed; nothing where the default rules hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redemption: Option<RedemptionRules>,
}

/// Reads a checked id out of its stored text.
fn checked<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(from: D) -> Result<T, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

impl Campaign {
    /// Reads a campaign file.
    ///
    /// # Errors
    /// [`FileError`] names the first offending line and the key.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        file::parse(text)
    }

    /// The canonical form in which a campaign is stored and digested: JSON in a fixed order of keys, without
    /// blanks, instants in milliseconds, money in fen.
    ///
    /// # Errors
    /// None in practice: every field has a JSON form.
    pub fn to_canonical(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Reads what [`Campaign::to_canonical`] wrote.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn from_canonical(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// SHA-256 of the canonical form, lower-case hex. Two campaigns with one digest are equal.
    ///
    /// # Errors
    /// As [`Campaign::to_canonical`].
    pub fn digest(&self) -> Result<String, serde_json::Error> {
        self.to_canonical().map(|text| data_encoding::HEXLOWER.encode(&Sha256::digest(text)))
    }

    /// How many drops it has, where a person may win in one of them alone; 0 where that is no rule of it.
    #[must_use]
    pub fn drops_if_once(&self) -> usize {
        if self.eligibility.as_ref().is_some_and(|rules| rules.one_per_campaign) {
            self.drops.len()
        } else {
            0
        }
    }

    /// One of its drops.
    #[must_use]
    pub fn drop_spec(&self, id: &DropId) -> Option<&DropSpec> {
        self.drops.iter().find(|drop| drop.id == *id)
    }

    /// Every rule of the campaign itself, each by its key in the campaign file and with its value.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        differences::told_of_campaign(self)
    }

    /// Whether tills take its vouchers by the changing QR code alone.
    #[must_use]
    pub fn is_qr_required(&self) -> bool {
        self.redemption.as_ref().is_some_and(|rules| rules.code == Taken::Qr)
    }

    /// The first day on which more could be claimed than the daily budget allows.
    #[must_use]
    pub fn day_over(&self) -> Option<DayOver> {
        daily::first_over(self)
    }

    /// The same campaign under another id, each drop's id beginning with that of the campaign: as a draft of the next. The
    /// old campaign's id at the beginning of a drop's gives way to the new one, unless two drops would have one id then.
    ///
    /// # Errors
    /// [`IdError`] when a drop's id would be too long.
    pub fn copy_as(&self, id: CampaignId) -> Result<Self, IdError> {
        let bare = |drop: &DropSpec| {
            let whole = drop.id.as_str();
            let rest = whole.strip_prefix(self.id.as_str()).map(|rest| rest.trim_start_matches('-'));
            rest.filter(|rest| !rest.is_empty()).unwrap_or(whole).to_owned()
        };
        let mut names: Vec<String> = self.drops.iter().map(bare).collect();
        // As `sp-x` and `x` of `sp` are both `x` then; whole ids are never the same.
        if names.iter().collect::<HashSet<_>>().len() < names.len() {
            names = self.drops.iter().map(|drop| drop.id.to_string()).collect();
        }
        let mut copy = self.clone();
        for (drop, name) in copy.drops.iter_mut().zip(names) {
            drop.id = DropId::new(&format!("{id}-{name}"))?;
        }
        copy.id = id;
        Ok(copy)
    }

    /// The same campaign with all drops moved so that the earliest opens at `opens_at_ms` and every distance
    /// between them stays: for rehearsals, which do not wait for the day in the file.
    #[must_use]
    pub fn shift_to(&self, opens_at_ms: UnixMs) -> Self {
        let mut shifted = self.clone();
        let earliest = self.drops.iter().map(|drop| drop.opens_at_ms).min().unwrap_or(opens_at_ms);
        let by_ms = opens_at_ms.saturating_sub(earliest);
        for drop in &mut shifted.drops {
            drop.opens_at_ms = drop.opens_at_ms.saturating_add(by_ms);
            drop.closes_at_ms = drop.closes_at_ms.saturating_add(by_ms);
        }
        shifted
    }
}

/// One timed release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropSpec {
    /// Its id, unique over all campaigns.
    #[serde(deserialize_with = "checked")]
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
    /// What has to be paid for within some time; `None` where a claim is all there is to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemTerms>,
    /// Whether it is paid for by what came back to the campaign, beyond what the other drops promise of the budget.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recycled: bool,
    /// Who may take part in it, beyond the campaign's own rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eligibility: Option<Eligibility>,
}

impl DropSpec {
    /// Everything that it says but its stock, each by its key in the campaign file and with its value.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        differences::told_of_drop(self)
    }
}

impl CampaignState {
    /// The word of the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }
}

/// What a voucher is worth, where, and how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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

/// Where an applied campaign stands in its life. What is drafted and waits for approval is no campaign yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignState {
    /// Its drops open and close by their windows.
    Running,
    /// No claim is granted.
    Paused,
    /// No claim is granted any more, for good.
    Ended,
}
