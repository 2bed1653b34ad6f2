//! What is known of a drop that Redis has lost.

use crate::backoffice::admin_api::{LOST_IDS_MAX, RecoveryDrop};
use crate::domain::campaign::DropSpec;
use crate::domain::ids::{ClaimNumber, DropNumber, Epoch, Shard};
use crate::ledger::{LostClaims, Tally};
use crate::redis::codes::DropView;

/// A drop that Redis has lost, in whole or in part, and what it would be made of.
#[derive(Debug, Clone)]
pub struct LostDrop {
    /// The drop.
    pub spec: DropSpec,
    /// Its number.
    pub number: DropNumber,
    /// The epoch that it had.
    pub epoch: Epoch,
    /// The epoch that it gets.
    pub next_epoch: Epoch,
    /// As Redis has it now; nothing where it is gone.
    pub in_redis: Option<DropView>,
    /// Claims that the ledger has of it, of all epochs.
    pub in_ledger: u64,
    /// Of these the ones that were not returned: the new epoch has so many units less to give. They may be more than the
    /// stock, of which nothing is left then.
    pub live: u64,
    /// Claims that were granted, as a front end has seen, and that no store has.
    pub lost: Vec<LostClaims>,
}

impl LostDrop {
    /// Whether it is the same loss of the same drop, which nobody has made anew since.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.number, self.epoch) == (other.number, other.epoch)
    }

    /// The same in the words of the admin listener.
    #[must_use]
    pub fn describe(&self, shard: Shard) -> RecoveryDrop {
        let numbers = self.lost.iter().flat_map(|lost| {
            (lost.first_seq..=lost.last_seq)
                .map(|seq| ClaimNumber { drop: self.number, shard, epoch: Epoch(lost.epoch), seq }.claim_id())
        });
        RecoveryDrop {
            id: self.spec.id.to_string(),
            epoch: self.epoch.0,
            next_epoch: self.next_epoch.0,
            in_redis: self.in_redis.map(|view| view.seq),
            in_ledger: self.in_ledger,
            live: self.live,
            stock_total: self.spec.stock,
            stock_left: self.spec.stock.saturating_sub(self.live),
            lost: self.lost.iter().map(LostClaims::count).sum(),
            lost_claims: numbers.take(LOST_IDS_MAX).collect(),
        }
    }
}

/// The claims of an epoch that were seen beyond those that the ledger has.
pub(super) fn known_to_be_lost((epoch, seen): (Epoch, u32), rows: &[&Tally]) -> Vec<LostClaims> {
    let in_ledger = rows.iter().find(|tally| tally.epoch == epoch).map_or(0, |tally| tally.seq_max);
    let first = in_ledger.checked_add(1).filter(|first| *first <= seen);
    first.into_iter().map(|first_seq| LostClaims { epoch: epoch.0, first_seq, last_seq: seen }).collect()
}
