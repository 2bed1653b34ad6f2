//! Campaigns in which a person may win in one drop alone: the first drops of the test, as many as are said.

use std::sync::Arc;

use anyhow::{Result, ensure};
use claimrush::domain::ids::{CampaignId, DropNumber, Epoch};
use claimrush::redis::codes::Code;
use claimrush::redis::keys;
use claimrush::redis::scripts::{self, ClaimCall, Mode, OnePerCampaign, Refused};

use super::configured::config_of;
use super::world::{MARKS, SHARD, World, drop_id, person};

impl World {
    /// A call of a front end to which the first `view` drops are a campaign in which a person may win in one alone.
    pub(super) fn call(&mut self, claims: &[(usize, usize, Option<usize>)], view: usize) -> ClaimCall {
        self.batch_id += 1;
        let mut call = ClaimCall::new(SHARD, self.batch_id);
        let drops = (1..).take(view).zip(0..).map(|(number, index)| (drop_id(index), DropNumber(number)));
        let campaign = CampaignId::new("c").expect("an id");
        let campaign = Arc::new(OnePerCampaign::new(SHARD, campaign, drops.collect()));
        for (drop, who, mark) in claims {
            let slot =
                call.claim(&drop_id(*drop), &person(*who), mark.map(|mark| MARKS[mark])).expect("room");
            if *drop < view {
                call.once(slot, &campaign);
            }
        }
        call
    }

    /// Says in all drops that are there what the campaign's rule is.
    pub(super) async fn set_once(&mut self, drops: usize, late: bool) -> Result<()> {
        let said = if late { (drops, self.once.1.saturating_sub(1)) } else { (drops, self.once.1 + 1) };
        let configs: Vec<_> = self.drops.iter().map(|drop| config_of(drop, Mode::Update, said)).collect();
        let reply = scripts::configure(&mut self.conn, SHARD, &configs).await?;
        if late {
            let refused = Err(Refused { code: Code::OutOfDate, drop: 0 });
            ensure!(reply == refused, "replied {reply:?}, expected {refused:?}");
        } else {
            ensure!(reply.is_ok(), "replied {reply:?}");
            self.note_once(0..self.drops.len(), said);
            self.once = said;
            for drop in &mut self.drops {
                drop.revision = said.1;
                drop.shrinking = false;
            }
            self.once_since = None;
            if drops == self.drops.len() {
                let mut last = Vec::new();
                for drop in 0..drops {
                    let hash = self.hash::<String>(keys::drop(SHARD, &drop_id(drop))).await?;
                    last.push((Epoch(hash["epoch"].parse()?), hash["seq"].parse()?));
                }
                self.once_since = Some(last);
            }
        }
        Ok(())
    }

    /// What configured drops know of the rule from then on: what a later revision said stays.
    pub(super) fn note_once(
        &mut self,
        drops: impl IntoIterator<Item = usize>,
        (once, revision): (usize, u64),
    ) {
        for drop in drops {
            let known = self.drops[drop].once;
            if revision >= known.map_or(0, |known| known.1) && (once > 0 || known.is_some()) {
                self.drops[drop].once = Some((once, revision));
            }
        }
    }
}
