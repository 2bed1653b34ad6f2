//! What must be known before a campaign file is stored.

use std::time::Duration;

use super::recovery::RecoverError;
use super::{ApplyError, Campaigns, LoadError};
use crate::domain::campaign::{self, Campaign};
use crate::domain::eligibility::Eligibility;
use crate::limits;
use crate::redis::pool;

impl Campaigns {
    /// Waits until the ledger has every claim that was granted by now, where days are counted anew: to be called before the
    /// lock is taken, so that a drain that stands still keeps nobody from pausing a campaign.
    pub(super) async fn wait_if_counted_anew(&self, new: &Campaign) -> Result<(), ApplyError> {
        let catalogue = self.ledger.catalogue().await.map_err(LoadError::from)?;
        let old = catalogue.campaigns.iter().find(|record| record.campaign.id == new.id);
        if old.is_some_and(|old| campaign::counts_anew(&old.campaign, new)) {
            self.wait_for_claims(limits::RECOVERY_DRAIN_WAIT).await?;
        }
        Ok(())
    }

    /// Waits, for at most `patience`, until the ledger has every claim that was granted by now, which says what a day has seen.
    pub(super) async fn wait_for_claims(&self, patience: Duration) -> Result<(), ApplyError> {
        let mut connection = pool::checkout(&self.pool).await.map_err(LoadError::from)?;
        self.wait_drained_for(&mut connection, patience).await.map_err(|error| match error {
            RecoverError::Load(error) => error.into(),
            error => ApplyError::Refused { line: None, what: error.to_string() },
        })
    }

    /// Refuses a rule that nobody here can judge: it would let nobody in.
    ///
    /// # Errors
    /// [`ApplyError::Refused`], with the rule's line in `text`.
    pub(in crate::backoffice) fn check_tables(&self, given: &Campaign, text: &str) -> Result<(), ApplyError> {
        let drops = given.drops.iter().filter_map(|drop| drop.eligibility.as_ref());
        let mut rules = given.eligibility.iter().chain(drops);
        if self.tables.has_regions() || !rules.any(Eligibility::looks_at_addresses) {
            return Ok(());
        }
        let what = "address_regions needs an address-to-region table, and guard.region_table of this service names none";
        Err(ApplyError::Refused { line: campaign::line_of_address_rule(text), what: what.to_owned() })
    }
}
