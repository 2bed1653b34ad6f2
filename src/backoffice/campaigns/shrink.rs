//! Taking stock away from drops that people may be claiming.

use super::configure::config;
use super::{ApplyError, Campaigns, LoadError};
use crate::domain::campaign::{self, Campaign};
use crate::domain::ids::DropId;
use crate::ledger::{CampaignRecord, LedgerError};
use crate::redis::codes::Code;
use crate::redis::pool;
use crate::redis::scripts::{self, Mode};

impl Campaigns {
    /// Takes stock away in Redis, where nobody can claim it meanwhile, before the ledger gives its money away.
    pub(super) async fn shrink(
        &self,
        old: &CampaignRecord,
        new: &Campaign,
        (revision, text): (u64, &str),
    ) -> Result<(), ApplyError> {
        let drops = old.campaign.drops.iter().zip(&old.drops);
        let smaller: Vec<_> = drops
            .filter_map(|(before, record)| {
                let after = new.drop_spec(&before.id)?;
                (after.stock < before.stock).then_some((before, after.stock, record.carried_in(self.shard)))
            })
            .collect();
        if smaller.is_empty() {
            return Ok(());
        }
        let below_claimed = |drop: &DropId, stock: u64| ApplyError::Refused {
            line: campaign::line_in_drop(text, drop, "stock"),
            what: format!("drop {:?}: stock {stock} is below what is claimed already", drop.as_str()),
        };
        let mut configs = Vec::with_capacity(smaller.len());
        for (before, stock, carried) in &smaller {
            let once = old.campaign.drops_if_once();
            configs.push(config(before, (*stock, *carried), Mode::Shrink, (once, revision)));
        }
        let mut connection = pool::checkout(&self.pool).await.map_err(LoadError::from)?;
        match scripts::configure(&mut connection, self.shard, &configs).await.map_err(LoadError::from)? {
            Ok(_) => Ok(()),
            Err(refused) => {
                let found = smaller.get(refused.drop).map(|(before, stock, _)| (&before.id, *stock));
                match (refused.code, found) {
                    (Code::ShrinkBelowClaimed, Some((drop, stock))) => Err(below_claimed(drop, stock)),
                    (Code::OutOfDate, _) => {
                        let found = self.ledger.revision().await.map_err(LoadError::from)?;
                        Err(LoadError::from(LedgerError::Stale { expected: revision, found }).into())
                    }
                    (_, found) => {
                        let drop = found.map(|(drop, _)| drop);
                        Err(ApplyError::Refused {
                            line: drop.and_then(|drop| campaign::line_in_drop(text, drop, "stock")),
                            what: format!(
                                "drop {:?} is not loaded in Redis",
                                drop.map_or("", DropId::as_str)
                            ),
                        })
                    }
                }
            }
        }
    }
}
