//! What must be known before a campaign file is stored.

use super::recovery::RecoverError;
use super::{ApplyError, Campaigns, LoadError};
use crate::domain::campaign::{self, Campaign};
use crate::domain::eligibility::Eligibility;
use crate::redis::pool;

impl Campaigns {
    /// Waits until the ledger has every claim that was granted by now, which says what a day has seen.
    pub(super) async fn wait_for_claims(&self) -> Result<(), ApplyError> {
        let mut connection = pool::checkout(&self.pool).await.map_err(LoadError::from)?;
        self.wait_drained(&mut connection).await.map_err(|error| match error {
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
