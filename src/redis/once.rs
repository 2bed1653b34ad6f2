//! The drops of a campaign in which a person may win in one of them alone, as `claim.lua` is given them.
//!
//! Owns their keys, made once and not for each call.

use super::keys;
use crate::domain::ids::{CampaignId, DropId, DropNumber, Shard};

/// All drops of such a campaign, as of one revision of the catalogue. They only ever become more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnePerCampaign {
    /// The campaign.
    pub campaign: CampaignId,
    /// Its drops and their numbers, in its order: what a reply calls the first is the first here.
    pub drops: Vec<(DropId, DropNumber)>,
    /// Of each drop its hash's key and its holders' key, in the same order.
    keys: Vec<(String, String)>,
}

impl OnePerCampaign {
    /// The campaign's drops in a shard.
    #[must_use]
    pub fn new(shard: Shard, campaign: CampaignId, drops: Vec<(DropId, DropNumber)>) -> Self {
        let keys = drops.iter().map(|(id, _)| (keys::drop(shard, id), keys::holders(shard, id))).collect();
        Self { campaign, drops, keys }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &(String, String)> + Clone {
        self.keys.iter()
    }
}
