//! The terms of every drop, as the catalogue has them.
//!
//! Owns what a decision needs of a campaign, and that it is read once a revision.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::tz::TimeZone;

use crate::domain::campaign::{Campaign, ItemTerms, RedemptionRules, VoucherTerms};
use crate::domain::ids::{CampaignId, DropId, DropNumber};

/// What is agreed for the claims of one drop.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// The row number of the campaign.
    pub(crate) campaign: i64,
    /// Nothing where a claim gives no money.
    pub(crate) voucher: Option<VoucherTerms>,
    /// Nothing where a claim need not be paid for.
    pub(crate) item: Option<ItemTerms>,
    /// On whose clocks days begin.
    pub(crate) zone: TimeZone,
    pub(crate) rules: Arc<RedemptionRules>,
}

/// The terms of all drops, and the row numbers of all campaigns.
#[derive(Debug, Default)]
pub(crate) struct AllTerms {
    pub(crate) drops: HashMap<DropNumber, Terms>,
    pub(crate) campaigns: HashMap<CampaignId, i64>,
}

/// Adds a campaign of row number `row`.
///
/// # Errors
/// When its time zone is not one, which no stored campaign's is.
pub(crate) fn terms_of(
    all: &mut AllTerms,
    row: i64,
    campaign: &Campaign,
    number_of: impl Fn(&DropId) -> Option<DropNumber>,
) -> Result<(), String> {
    let zone = TimeZone::get(&campaign.time_zone).map_err(|error| error.to_string())?;
    let rules = Arc::new(campaign.redemption.clone().unwrap_or_default());
    all.campaigns.insert(campaign.id.clone(), row);
    for drop in &campaign.drops {
        let number = number_of(&drop.id).ok_or_else(|| format!("drop {} has no number", drop.id))?;
        let (zone, rules) = (zone.clone(), Arc::clone(&rules));
        let (voucher, item) = (drop.voucher.clone(), drop.item.clone());
        all.drops.insert(number, Terms { campaign: row, voucher, item, zone, rules });
    }
    Ok(())
}

/// The terms of the last revision that was read.
#[derive(Debug, Default)]
pub(crate) struct TermsCache(Mutex<Option<(u64, Arc<AllTerms>)>>);

impl TermsCache {
    /// The terms, if they are those of this revision.
    pub(crate) fn of(&self, revision: u64) -> Option<Arc<AllTerms>> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.as_ref().filter(|(of, _)| *of == revision).map(|(_, terms)| Arc::clone(terms))
    }

    /// Keeps the terms of a revision.
    pub(crate) fn keep(&self, revision: u64, terms: AllTerms) -> Arc<AllTerms> {
        let terms = Arc::new(terms);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((revision, Arc::clone(&terms)));
        terms
    }
}
