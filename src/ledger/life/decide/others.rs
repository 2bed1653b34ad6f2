//! The steps that no merchant takes: expiry, review, holds, and a campaign's money.

use super::{Plan, begin};
use crate::domain::ids::{CampaignId, ClaimNumber};
use crate::domain::life::{Pot, State, Step, may_move};
use crate::domain::money::Fen;
use crate::ledger::life::known::Reference;
use crate::ledger::life::{Done, Key, Outcome, Refused, StepRow, Verdict};
use crate::ledger::postings::Account;

impl Plan {
    pub(super) fn expire(&mut self, claim: ClaimNumber, key: Option<&Key>) -> Outcome {
        let found = self.found(claim)?;
        let face = found.voucher()?.face;
        let step = begin(&found, Step::Expired)?;
        if !found.is_over(self.now_ms)? {
            return Err(Refused::NotDue);
        }
        self.write(&found, step, face, key)
    }

    pub(super) fn review(
        &mut self,
        claim: ClaimNumber,
        verdict: Verdict,
        (reason, seen): (&str, Option<u64>),
        key: Option<&Key>,
    ) -> Outcome {
        let found = self.found(claim)?;
        let face = found.voucher()?.face;
        let last = found.last.as_ref().map_or(0, |last| last.number);
        if seen.is_some_and(|seen| seen != last) {
            return Err(Refused::Changed);
        }
        let kind = match verdict {
            Verdict::Freeze => Step::Frozen,
            Verdict::Release if found.is_over(self.now_ms)? => Step::ReleasedLate,
            Verdict::Release => Step::Released,
            Verdict::Void => Step::Voided,
            Verdict::Recover => Step::Recovered,
        };
        let mut step = begin(&found, kind)?;
        let moved = match kind {
            Step::Recovered => {
                let left = step.discount.unwrap_or(0).saturating_sub(step.back);
                step.back = step.discount.unwrap_or(0);
                Fen(left)
            }
            Step::Frozen | Step::Released => Fen(0),
            _ => face,
        };
        step.detail = Some(reason.to_owned());
        self.write(&found, step, moved, key)
    }

    pub(super) fn confirm(
        &mut self,
        claim: ClaimNumber,
        payment: &str,
        amount: Fen,
        key: Option<&Key>,
    ) -> Outcome {
        let (found, held_until_ms) = self.held(claim)?;
        // The payment may be told of again by a message of its own, whatever has happened since.
        let told = (found.key, payment.to_owned());
        if let Some(step) = self.known.payments.get(&told) {
            return Ok(Done { step: step.clone(), replayed: true });
        }
        let in_time = found.state == State::Held && self.now_ms < held_until_ms && !found.claim.returned;
        let mut step = begin(&found, if in_time { Step::Confirmed } else { Step::LatePayment })?;
        step.order_id = Some(payment.to_owned());
        step.amount = Some(amount.0);
        let done = self.write(&found, step, Fen(0), key)?;
        self.known.payments.insert(told, done.step.clone());
        Ok(done)
    }

    pub(super) fn repaid(&mut self, late: u64, detail: &str, key: Option<&Key>) -> Outcome {
        let row = self.known.redemptions.get(&late).cloned();
        let row = row.filter(|row| row.step == Some(Step::LatePayment)).ok_or(Refused::UnknownPayment)?;
        let found = self.found_by_key(row.claim.ok_or(Refused::UnknownPayment)?)?;
        let step = StepRow {
            redemption: Some(late),
            order_id: row.order_id,
            amount: row.amount,
            detail: Some(detail.to_owned()),
            ..begin(&found, Step::PaymentRefunded)?
        };
        self.write(&found, step, Fen(0), key)
    }

    /// Takes back from a merchant what it owes, which is what its account is below zero.
    pub(super) fn repay(
        &mut self,
        campaign: &CampaignId,
        step: StepRow,
        to: Account,
        (amount, payment): (Fen, &str),
        key: Option<&Key>,
    ) -> Outcome {
        let row = self.known.terms.campaigns.get(campaign).copied().ok_or(Refused::UnknownCampaign)?;
        self.check_new(&(row, Account::Settled, to.clone(), payment.to_owned()))?;
        let holds = self.known.balances.get(&(row, to.clone())).copied().unwrap_or_default();
        if amount.0 > holds.0.saturating_neg() {
            return Err(Refused::TooMuch);
        }
        self.transfer(campaign, step, (Account::Settled, to), (amount, payment), key)
    }

    pub(super) fn shift(
        &mut self,
        campaign: &CampaignId,
        (from, to): (Pot, Pot),
        (amount, reference): (Fen, &str),
        (reason, over): (&str, bool),
        key: Option<&Key>,
    ) -> Outcome {
        let accounts = Account::parse(from.as_str()).zip(Account::parse(to.as_str()));
        let accounts = accounts.filter(|_| may_move(from, to)).ok_or(Refused::OtherKind)?;
        let row = self.known.terms.campaigns.get(campaign).copied().ok_or(Refused::UnknownCampaign)?;
        self.check_new(&(row, accounts.0.clone(), accounts.1.clone(), reference.to_owned()))?;
        if from == Pot::Recovered {
            // What was recovered of merchants that had been paid is not there before they give it back.
            let held = self.known.balances.get(&(row, Account::Recovered)).copied().unwrap_or_default();
            let owed = self.known.owed.get(&row).copied().unwrap_or_default();
            if amount.0 > held.0.saturating_sub(owed.0) {
                return Err(Refused::TooMuch);
            }
        } else {
            // What may still be claimed must stay paid for; and what was never issued pays for drops that are still to come,
            // for as long as the budget says so.
            let free = self.known.free.get(&row).copied().unwrap_or_default();
            if !over && (from == Pot::Unissued || amount > free) {
                return Err(Refused::TooMuch);
            }
        }
        let step = StepRow {
            step: Some(Step::Moved),
            order_id: Some(reference.to_owned()),
            detail: Some(reason.to_owned()),
            ..StepRow::default()
        };
        let done = self.transfer(campaign, step, accounts, (amount, reference), key)?;
        if let (Pot::Unissued | Pot::Recycled, Some(free)) =
            (from, self.known.free.get_mut(&done.step.campaign))
        {
            free.0 = free.0.saturating_sub(amount.0);
        }
        Ok(done)
    }

    /// Money moves once by a reference.
    fn check_new(&self, by: &Reference) -> Result<(), Refused> {
        self.known.references.get(by).map_or(Ok(()), |step| Err(Refused::ReferenceUsed { step: *step }))
    }

    /// Moves money of a campaign from an account that has it.
    pub(super) fn transfer(
        &mut self,
        campaign: &CampaignId,
        mut step: StepRow,
        (from, to): (Account, Account),
        (amount, reference): (Fen, &str),
        key: Option<&Key>,
    ) -> Outcome {
        step.campaign = self.known.terms.campaigns.get(campaign).copied().ok_or(Refused::UnknownCampaign)?;
        let by = (step.campaign, from.clone(), to.clone(), reference.to_owned());
        self.check_new(&by)?;
        let there = self.known.balances.entry((step.campaign, from.clone())).or_default();
        if amount.0 <= 0 || amount > *there {
            return Err(Refused::TooMuch);
        }
        there.0 = there.0.saturating_sub(amount.0);
        if let Some(there) = self.known.balances.get_mut(&(step.campaign, to.clone())) {
            there.0 = there.0.saturating_add(amount.0);
        }
        step.amount = Some(amount.0);
        let done = self.push(step, amount, Some((from, to)), key)?;
        self.known.references.insert(by.clone(), done.step.number);
        self.references.push((by, done.step.number));
        Ok(done)
    }
}
