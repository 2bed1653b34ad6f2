//! What an operator gives for a lost claim: whether there is money for it, and the unit.

use deadpool_redis::Connection;
use sha2::{Digest, Sha256};

use super::{Receipts, SettleError};
use crate::domain::ids::{ClaimNumber, DropId, Epoch, Mark, PersonId};
use crate::domain::money::Fen;
use crate::ledger::postings::Account;
use crate::redis::codes::{Code, Outcome};
use crate::redis::reads;
use crate::redis::scripts::{self, ClaimCall, Slot};
use crate::rush::gate::DropGate;

impl Receipts {
    /// The epoch and number of the claim that the person gets for `owed`, now or before; or why they get none, and what
    /// to do.
    pub(super) async fn grant(
        &self,
        drop: &DropGate,
        person: &PersonId,
        owed: ClaimNumber,
    ) -> Result<Result<(Epoch, u32), String>, SettleError> {
        let (shard, mark) = (self.campaigns.shard, mark_of(owed));
        let mut connection = self.campaigns.compared_redis().await?;
        if !self.has_money_for(&mut connection, drop).await? {
            // What was given before has taken its money.
            let given = reads::claims_of(&mut connection, shard, &drop.id, person).await?;
            if !given.iter().any(|grant| grant.mark == Some(mark)) {
                let campaign = &drop.rules().campaign;
                return Ok(Err(format!("campaign {campaign} has ended and its money was moved: void it")));
            }
        }
        let mut call = ClaimCall::owed(shard, rand::random::<u32>().into(), &drop.id, person, mark);
        if let Some(campaign) = drop.once() {
            call.once(Slot { drop: 0, claim: 0 }, &campaign);
        }
        let mut reply = scripts::claim(&mut connection, &call, &call.to_evalsha()).await?;
        let refused = |code| Ok(Err(why(code, &drop.id)));
        let Some(Some(reply)) = reply.drops.pop() else { return refused(Code::UnknownDrop) };
        match reply.outcomes.first() {
            Some(Outcome::Granted { seq }) => Ok(Ok((reply.view.epoch, *seq))),
            Some(Outcome::Again(grant)) => Ok(Ok((grant.epoch, grant.seq))),
            Some(Outcome::Refused(code)) => refused(*code),
            Some(Outcome::Elsewhere { .. }) => refused(Code::LimitReached),
            None => refused(Code::UnknownDrop),
        }
    }

    /// Whether the campaign has the money for a unit of the drop. It does for all that may be claimed, until it has ended:
    /// then its money may have been moved, as only what is owed by open receipts is kept.
    async fn has_money_for(&self, connection: &mut Connection, drop: &DropGate) -> Result<bool, SettleError> {
        let (rules, ledger) = (drop.rules(), &self.campaigns.ledger);
        let Some(terms) = &rules.spec.voucher else { return Ok(true) };
        let catalogue = ledger.catalogue().await?;
        let mut ended = catalogue.campaigns.iter().filter(|record| record.ended_at_ms.is_some());
        if !ended.any(|record| record.campaign.id == rules.campaign) {
            return Ok(true);
        }
        // What was given for a receipt that somebody voided before the ledger had it takes its money as well.
        self.campaigns
            .wait_drained(connection)
            .await
            .map_err(|error| SettleError::Failed(error.to_string()))?;
        let accounts = ledger.accounts(&rules.campaign).await?;
        let held = |account: Account| accounts.get(&*account.name()).copied().unwrap_or_default();
        let held = held(Account::Unissued).plus(held(Account::Recycled)).unwrap_or(Fen(0));
        Ok(held >= terms.face)
    }
}

/// The idempotency mark of what is given for a lost claim, the same each time.
fn mark_of(owed: ClaimNumber) -> Mark {
    let digest = Sha256::new().chain_update("claimrush receipt ").chain_update(owed.claim_id()).finalize();
    Mark(digest.first_chunk().copied().unwrap_or_default())
}

/// Why the person was granted nothing, and what to do.
fn why(code: Code, drop: &DropId) -> String {
    match code {
        Code::LimitReached => format!(
            "the person has all that one person may have in drop {drop} or its campaign: void it, or honour it from \
             another drop"
        ),
        Code::SoldOut => {
            format!("drop {drop} has nothing left: raise its stock, or honour it from another drop")
        }
        other => format!("drop {drop} grants nothing: {}", other.name()),
    }
}
