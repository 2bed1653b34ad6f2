//! Campaigns in which a person may win in one drop alone: which drops those are, and since when the rule holds.
//!
//! The rule may be set while a campaign runs, when persons may have won in several drops already. So that nobody takes
//! those for a broken promise, a document says from which instant on, by Redis' clock, the claim script has kept it.

use serde::{Deserialize, Serialize};

use super::{Campaigns, LoadError};
use crate::clock::UnixMs;
use crate::domain::ids::{CampaignId, Shard};
use crate::ledger::{CampaignRecord, Catalogue, Document, Ledger, LedgerError, PutDocument};
use crate::redis::scripts::OnePerCampaign;

/// The kind of document that says since when.
const KIND: &str = "once";
/// Who writes them.
const ACTOR: &str = "service";

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// Nothing where the rule was taken back.
    since_ms: Option<UnixMs>,
}

/// The campaign's drops for the claim script, if the rule is one of it.
pub(super) fn of(record: &CampaignRecord, shard: Shard) -> Option<OnePerCampaign> {
    let drops = record.drops.iter().map(|drop| (drop.id.clone(), drop.number)).collect();
    (record.campaign.drops_if_once() > 0)
        .then(|| OnePerCampaign::new(shard, record.campaign.id.clone(), drops))
}

/// Since when, by Redis' clock, nobody is granted a claim in a second drop of the campaign; nothing where that is not so.
///
/// # Errors
/// The ledger's.
pub(in crate::backoffice) async fn since_ms(
    ledger: &dyn Ledger,
    campaign: &CampaignId,
) -> Result<Option<UnixMs>, LedgerError> {
    let document = ledger.document(KIND, campaign.as_str()).await?;
    Ok(document.map(|document| document.read::<Kept>()).transpose()?.and_then(|kept| kept.since_ms))
}

impl Campaigns {
    /// Notes which campaigns keep the rule, as of now where that is news. Redis has been told of it before `now_ms`.
    pub(super) async fn note_once(&self, catalogue: &Catalogue, now_ms: UnixMs) -> Result<(), LoadError> {
        let documents = self.ledger.all_documents(KIND).await?;
        for record in &catalogue.campaigns {
            let (id, keeps) = (record.campaign.id.as_str(), record.campaign.drops_if_once() > 0);
            let document = documents.iter().find(|document| document.id == id);
            let known = document.map_or_else(|| Ok(Kept::default()), Document::read)?;
            if known.since_ms.is_some() == keeps {
                continue;
            }
            let kept = Kept { since_ms: keeps.then_some(now_ms) };
            let revision = document.map_or(0, |document| document.revision);
            let put = PutDocument::new(KIND, id, revision, &kept, ACTOR);
            let put = put.map_err(|flaw| LedgerError::Corrupt(flaw.to_string()))?;
            match self.ledger.put_document(put, self.clock.now_ms()).await {
                // Another front end has noted it.
                Ok(_) | Err(LedgerError::StaleDocument { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
