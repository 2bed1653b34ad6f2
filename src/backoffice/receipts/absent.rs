//! A signed code whose claim the ledger does not have, at a till: whether it may still come.
//!
//! Registers nothing: a till does not say whose the voucher is. Its holder does, who opens it.

use std::sync::Arc;

use super::{LookUpError, Receipts, VoucherDesk};
use crate::backoffice::campaigns::Campaigns;
use crate::domain::ids::ClaimNumber;
use crate::redis::{journal, pool, reads};

/// What is known of a claim that the ledger did not have when it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// It is on its way into the ledger, or there by now: ask again.
    OnItsWay,
    /// Neither store has it, and neither will.
    Nowhere,
}

impl VoucherDesk {
    /// Whether a claim that the ledger did not have may still come.
    ///
    /// # Errors
    /// [`LookUpError`]: then it may, for all that is known.
    pub async fn absent(&self, number: ClaimNumber) -> Result<Absent, LookUpError> {
        let receipts = Arc::clone(&self.receipts);
        self.on_background(async move { receipts.absent(number).await }).await
    }
}

impl Receipts {
    async fn absent(&self, number: ClaimNumber) -> Result<Absent, LookUpError> {
        let Campaigns { ledger, pool, gate, shard, .. } = &*self.campaigns;
        let Some(drop) = self.drop_of(number).filter(|_| number.shard == *shard) else {
            // A drop is in the ledger before it is in Redis, and at the gate soon after.
            let catalogue = ledger.catalogue().await?;
            let mut drops = catalogue.campaigns.iter().flat_map(|campaign| &campaign.drops);
            let is_drop = number.shard == *shard && drops.any(|drop| drop.number == number.drop);
            return if is_drop { Err(LookUpError::NotNow) } else { Ok(Absent::Nowhere) };
        };
        // The order counts. A claim is in the journal before its code is told, so before this look at the journal's end; and
        // once the drain stands there, the ledger has the claim or never will.
        let mut connection = pool::checkout(pool).await?;
        let (_, views) = reads::views(&mut connection, *shard, [&drop.id]).await?;
        let end = journal::last_id(&mut connection, *shard).await?;
        let position = ledger.position(*shard).await?;
        if ledger.claim(number).await?.is_some() {
            return Ok(Absent::OnItsWay);
        }
        let Some(Some(view)) = views.first() else { return Err(LookUpError::NotNow) };
        if drop.is_frozen() || !gate.is_redis_up() || gate.trust.is_doubted() {
            return Err(LookUpError::NotNow);
        }
        let is_granted = number.epoch == view.epoch && number.seq <= view.seq;
        if is_granted && position < end {
            return Ok(Absent::OnItsWay);
        }
        if is_granted {
            tracing::error!(
                drop = %drop.id, claim = number.claim_id(),
                "Redis has granted a claim that the ledger passed by: see the quarantine and the audit"
            );
        }
        Ok(Absent::Nowhere)
    }
}
