//! What the whole ledger takes in: its caps, and the words of a campaign's state in the tables.
//!
//! Owns the checks that go over all campaigns and that every store makes alike. Pure.

use super::{CampaignRecord, Catalogue};
use crate::domain::campaign::{Campaign, CampaignState, Changes, Refusal};
use crate::domain::ids::DropId;
use crate::limits;

/// The caps of the whole ledger, and that no other campaign has a drop of the same id.
pub(super) fn check_caps(
    catalogue: &Catalogue,
    campaign: &Campaign,
    new: bool,
    changes: &Changes,
) -> Result<(), Refusal> {
    if new && catalogue.campaigns.len() >= limits::CAMPAIGNS_MAX {
        return Err(Refusal::TooManyCampaigns(limits::CAMPAIGNS_MAX));
    }
    let drops: usize = catalogue.campaigns.iter().map(|record| record.drops.len()).sum();
    if drops.saturating_add(changes.created.len()) > limits::DROPS_MAX {
        return Err(Refusal::TooManyDrops(limits::DROPS_MAX));
    }
    let has = |other: &&CampaignRecord, id: &DropId| {
        other.campaign.id != campaign.id && other.campaign.drop_spec(id).is_some()
    };
    for id in &changes.created {
        if let Some(other) = catalogue.campaigns.iter().find(|other| has(other, id)) {
            return Err(Refusal::DropElsewhere { drop: id.clone(), campaign: other.campaign.id.clone() });
        }
    }
    Ok(())
}

/// The word of a state in the table; nothing for the end, which has a table of its own.
pub(super) fn state_word(state: CampaignState) -> Option<&'static str> {
    (state != CampaignState::Ended).then(|| state.as_str())
}

/// Refuses whatever would change a campaign that ended.
pub(super) fn check_alive(record: &CampaignRecord) -> Result<(), Refusal> {
    match record.ended_at_ms {
        Some(_) => Err(Refusal::Ended(record.campaign.id.clone())),
        None => Ok(()),
    }
}
