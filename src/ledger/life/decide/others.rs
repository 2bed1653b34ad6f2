//! The steps that no merchant takes: expiry, review, holds, and a campaign's money.

use super::{Plan, begin};
use crate::domain::ids::{CampaignId, ClaimNumber};
use crate::domain::life::{MONEY_STEPS, Pot, State, Step, may_move};
use crate::domain::money::Fen;
use crate::ledger::life::known::Reference;
use crate::ledger::life::references::{Noted, kept, kept_contra};
use crate::ledger::life::{Done, Key, Outcome, Refused, StepRow, Verdict};
use crate::ledger::postings::Account;

/// How much is moved by which reference, and after which reversal of what it had moved before.
type Sum<'s> = (Fen, &'s str, Option<u64>);

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
        (amount, payment, after): Sum<'_>,
        key: Option<&Key>,
    ) -> Outcome {
        let row = self.known.terms.campaigns.get(campaign).copied().ok_or(Refused::UnknownCampaign)?;
        self.check_new(&(row, Account::Settled, to.clone(), payment.to_owned()), after)?;
        let holds = self.known.balances.get(&(row, to.clone())).copied().unwrap_or_default();
        if amount.0 > holds.0.saturating_neg() {
            return Err(Refused::TooMuch);
        }
        self.transfer(campaign, step, (Account::Settled, to), (amount, payment, after), key)
    }

    pub(super) fn shift(
        &mut self,
        campaign: &CampaignId,
        (from, to): (Pot, Pot),
        (amount, reference, after): Sum<'_>,
        (reason, over): (&str, bool),
        key: Option<&Key>,
    ) -> Outcome {
        let accounts = Account::parse(from.as_str()).zip(Account::parse(to.as_str()));
        let accounts = accounts.filter(|_| may_move(from, to)).ok_or(Refused::OtherKind)?;
        let row = self.known.terms.campaigns.get(campaign).copied().ok_or(Refused::UnknownCampaign)?;
        self.check_new(&(row, accounts.0.clone(), accounts.1.clone(), reference.to_owned()), after)?;
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
        let done = self.transfer(campaign, step, accounts, (amount, reference, after), key)?;
        if let (Pot::Unissued | Pot::Recycled, Some(free)) =
            (from, self.known.free.get_mut(&done.step.campaign))
        {
            free.0 = free.0.saturating_sub(amount.0);
        }
        Ok(done)
    }

    /// Money moves once by a reference, and once more after each reversal of what it moved: of the last one, as whoever asks
    /// knows it.
    fn check_new(&self, by: &Reference, after: Option<u64>) -> Result<(), Refused> {
        match self.known.references.get(by) {
            None if after.is_none() => Ok(()),
            None => Err(Refused::Changed),
            Some(noted) if noted.contra.is_some() && noted.contra == after => Ok(()),
            Some(noted) => Err(Refused::ReferenceUsed { step: noted.step }),
        }
    }

    /// Moves money of a campaign from an account that has it.
    pub(super) fn transfer(
        &mut self,
        campaign: &CampaignId,
        mut step: StepRow,
        (from, to): (Account, Account),
        (amount, reference, after): Sum<'_>,
        key: Option<&Key>,
    ) -> Outcome {
        step.campaign = self.known.terms.campaigns.get(campaign).copied().ok_or(Refused::UnknownCampaign)?;
        let by = (step.campaign, from.clone(), to.clone(), reference.to_owned());
        self.check_new(&by, after)?;
        if amount.0 <= 0 || amount > self.balance(step.campaign, &from) {
            return Err(Refused::TooMuch);
        }
        step.amount = Some(amount.0);
        let done = self.hand_over(step, amount, (from, to), key)?;
        let step = done.step.number;
        self.references.push(((by.0, by.1.clone(), by.2.clone(), kept(reference, after)), step));
        self.known.references.insert(by, Noted { step, contra: None });
        Ok(done)
    }

    /// Has what staff noted by mistake go back the way it came. Nothing is taken from what stands in the books: this is a movement
    /// of its own, which names the other one.
    pub(super) fn contra(
        &mut self,
        campaign: &CampaignId,
        number: u64,
        (reason, over): (&str, bool),
        key: Option<&Key>,
    ) -> Outcome {
        let row = self.known.terms.campaigns.get(campaign).copied().ok_or(Refused::UnknownCampaign)?;
        let noted = self.known.redemptions.get(&number).filter(|noted| noted.campaign == row);
        let noted = noted.filter(|noted| noted.step.is_some_and(|step| MONEY_STEPS.contains(&step)));
        let (Some(noted), Some(moved)) = (noted.cloned(), self.known.moves.get(&number).cloned()) else {
            return Err(Refused::UnknownMove);
        };
        if let Some(by) = moved.contra {
            return Err(Refused::Reversed { by });
        }
        let (amount, from, to) = (Fen(noted.moved), moved.to, moved.from);
        // What a merchant is owed may be below zero: it owes again what it did not give back.
        let is_there = matches!(from, Account::Payable(_)) || amount <= self.balance(row, &from);
        let free = self.known.free.get(&row).copied().unwrap_or_default();
        if !is_there || (from == Account::Recycled && !over && amount > free) {
            return Err(Refused::TooMuch);
        }
        let step = StepRow {
            step: Some(Step::Contra),
            campaign: row,
            redemption: Some(number),
            merchant: noted.merchant,
            order_id: noted.order_id,
            amount: Some(amount.0),
            detail: Some(reason.to_owned()),
            ..StepRow::default()
        };
        let done = self.hand_over(step, amount, (from.clone(), to.clone()), key)?;
        let by = done.step.number;
        if let Some(free) = self.known.free.get_mut(&row) {
            let of = |account: &Account| matches!(account, Account::Unissued | Account::Recycled);
            let change = i64::from(of(&to)).saturating_sub(i64::from(of(&from)));
            free.0 = free.0.saturating_add(change.saturating_mul(amount.0));
        }
        self.references.push(((row, from, to, kept_contra(number)), by));
        if let Some(moved) = self.known.moves.get_mut(&number) {
            moved.contra = Some(by);
        }
        for noted in self.known.references.values_mut().filter(|noted| noted.step == number) {
            noted.contra = Some(by);
        }
        Ok(done)
    }

    fn balance(&self, campaign: i64, account: &Account) -> Fen {
        self.known.balances.get(&(campaign, account.clone())).copied().unwrap_or_default()
    }

    /// Takes the step of a movement between two accounts.
    fn hand_over(
        &mut self,
        step: StepRow,
        amount: Fen,
        (from, to): (Account, Account),
        key: Option<&Key>,
    ) -> Outcome {
        let campaign = step.campaign;
        let done = self.push(step, amount, Some((from.clone(), to.clone())), key)?;
        for (account, change) in [(from, amount.0.saturating_neg()), (to, amount.0)] {
            if let Some(there) = self.known.balances.get_mut(&(campaign, account)) {
                there.0 = there.0.saturating_add(change);
            }
        }
        Ok(done)
    }
}
