//! Whether anything of a campaign can still be claimed: by its end, by Redis, and by what the ledger has.

use super::{Campaigns, LoadError};
use crate::domain::ids::{CampaignId, DropId};
use crate::ledger::{CampaignRecord, DropRecord, LedgerError, ReceiptState, Tally};
use crate::limits;
use crate::redis::codes::{DropState, DropView};
use crate::redis::{pool, reads};

impl Campaigns {
    /// Whether a campaign is over for its books too: it ended, Redis has closed its drops, every claim that Redis granted
    /// in them is in the ledger, and no receipt waits that a unit may be given for.
    ///
    /// # Errors
    /// [`LoadError`]; then it may not be over, for all that is known.
    pub(in crate::backoffice) async fn is_over(&self, id: &CampaignId) -> Result<bool, LoadError> {
        let catalogue = self.ledger.catalogue().await?;
        let found = catalogue.campaigns.iter().find(|record| record.campaign.id == *id);
        let Some(record) = found.filter(|record| record.ended_at_ms.is_some()) else { return Ok(false) };
        // The order counts: once Redis has closed a drop it grants no more, and what it has granted does not change.
        let ids: Vec<DropId> = record.drops.iter().map(|drop| drop.id.clone()).collect();
        let mut connection = pool::checkout(&self.pool).await?;
        let (now_ms, views) = reads::views(&mut connection, self.shard, &ids).await?;
        let tallies = self.ledger.tallies().await?;
        let drained = record.drops.iter().zip(views).all(|(drop, view)| match view {
            None => drop.loaded.is_empty(),
            Some(view) => now_ms >= view.closes_at_ms && self.has_all_of(&tallies, drop, &view),
        });
        Ok(drained && !self.has_open_receipts(record).await?)
    }

    /// Whether the ledger has as many claims of the drop's present epoch as Redis has granted. Of older ones it has all
    /// that there will ever be.
    fn has_all_of(&self, tallies: &[Tally], drop: &DropRecord, view: &DropView) -> bool {
        let rows = tallies
            .iter()
            .filter(|tally| (tally.drop, tally.shard, tally.epoch) == (drop.number, self.shard, view.epoch));
        view.state != DropState::Frozen && rows.map(|tally| tally.claims).sum::<u64>() == u64::from(view.seq)
    }

    async fn has_open_receipts(&self, record: &CampaignRecord) -> Result<bool, LedgerError> {
        let mut after = 0;
        loop {
            let page = self.ledger.receipts(after, limits::RECEIPTS_PAGE).await?;
            let Some(last) = page.last() else { return Ok(false) };
            after = last.number;
            let mut open = page.iter().filter(|row| row.state() == ReceiptState::Open);
            if open.any(|row| record.drops.iter().any(|drop| drop.number == row.claim.drop)) {
                return Ok(true);
            }
        }
    }
}
