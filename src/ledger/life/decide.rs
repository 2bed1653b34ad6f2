//! Deciding a batch: each request against what is known, and what was decided before it in the same batch.
//!
//! Reads and writes nothing. Whatever is refused leaves the plan as it was. Here stand the batch, redemptions and
//! refunds; the other steps stand in [`others`].

mod others;

use std::collections::BTreeMap;

use super::known::{Known, KnownClaim, Reference};
use super::money::{BatchPosting, Flows};
use super::terms::Terms;
use super::{Action, Done, Key, Outcome, Redeem, Refused, Request, StepRow};
use crate::clock::UnixMs;
use crate::domain::campaign::{Taken, VoucherTerms};
use crate::domain::ids::ClaimNumber;
use crate::domain::life::rules::{ShownAs, day_of, discount_back, expires_at_ms, may_use};
use crate::domain::life::{Pot, State, Step, transition};
use crate::domain::money::Fen;
use crate::ledger::postings::Account;

/// What was decided of a batch so far.
#[derive(Debug)]
pub(crate) struct Plan {
    known: Known,
    now_ms: UnixMs,
    steps: Vec<StepRow>,
    flows: Flows,
    /// Changes of counts by (campaign, day, person, merchant).
    counts: BTreeMap<(i64, i32, String, String), i64>,
    references: Vec<(Reference, u64)>,
    outcomes: Vec<Outcome>,
}

/// What a store has to write, and what it answers.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) steps: Vec<StepRow>,
    pub(crate) postings: Vec<BatchPosting>,
    /// Changes of counts: campaign, day, person, merchant, and by how much.
    pub(crate) counts: Vec<(i64, i32, String, String, i64)>,
    /// By what steps moved money.
    pub(crate) references: Vec<(Reference, u64)>,
    pub(crate) outcomes: Vec<Outcome>,
}

/// A claim as a request finds it.
struct Found {
    key: i64,
    claim: KnownClaim,
    terms: Terms,
    last: Option<StepRow>,
    state: State,
}

impl Found {
    fn voucher(&self) -> Result<&VoucherTerms, Refused> {
        self.terms.voucher.as_ref().ok_or(Refused::OtherKind)
    }

    fn is_over(&self, now_ms: UnixMs) -> Result<bool, Refused> {
        Ok(now_ms >= expires_at_ms(self.voucher()?, self.claim.claimed_at_ms))
    }
}

impl Plan {
    /// A plan of steps at `now_ms`.
    pub(crate) fn new(known: Known, now_ms: UnixMs) -> Self {
        let (steps, references, outcomes) = (Vec::new(), Vec::new(), Vec::new());
        let (flows, counts) = (Flows::default(), BTreeMap::new());
        Self { known, now_ms, steps, flows, counts, references, outcomes }
    }

    /// Decides the next request.
    pub(crate) fn take(&mut self, request: &Request) {
        let outcome = match request.key.as_ref().and_then(|key| self.answered(key)) {
            Some(outcome) => outcome,
            None => self.act(&request.action, request.key.as_ref()),
        };
        self.outcomes.push(outcome);
    }

    /// What is to be written; postings are numbered from `first_posting` on.
    pub(crate) fn finish(mut self, first_posting: u64) -> Decided {
        let postings = self.flows.finish(first_posting, &mut self.steps);
        for done in self.outcomes.iter_mut().flatten() {
            let ours = self.steps.iter().find(|step| step.number == done.step.number);
            done.step.posting = ours.map_or(done.step.posting, |step| step.posting);
        }
        let counts = self.counts.into_iter().filter(|(_, change)| *change != 0);
        let counts = counts
            .map(|((campaign, day, person, merchant), change)| (campaign, day, person, merchant, change));
        let (steps, references) = (self.steps, self.references);
        Decided { postings, counts: counts.collect(), steps, references, outcomes: self.outcomes }
    }

    /// What a key has done before.
    fn answered(&self, key: &Key) -> Option<Outcome> {
        let step = self.known.keys.get(&(key.actor.clone(), key.key.clone()))?;
        let same = step.content.as_deref() == Some(key.content.as_str());
        Some(if same { Ok(Done { step: step.clone(), replayed: true }) } else { Err(Refused::KeyReused) })
    }

    fn act(&mut self, action: &Action, key: Option<&Key>) -> Outcome {
        match action {
            Action::Redeem(redeem) => self.redeem(redeem, key),
            Action::Reverse { redemption, merchant } => self.reverse(*redemption, merchant, key),
            Action::Refund { redemption, merchant, amount } => {
                self.refund(*redemption, merchant, *amount, key)
            }
            Action::Expire { claim } => self.expire(*claim, key),
            Action::Review { claim, verdict, reason, seen } => {
                self.review(*claim, *verdict, (reason, *seen), key)
            }
            Action::Confirm { claim, payment, amount } => self.confirm(*claim, payment, *amount, key),
            Action::PaymentRefunded { late, detail } => self.repaid(*late, detail, key),
            Action::Cancel { claim } => {
                let (found, _) = self.held(*claim)?;
                let step = begin(&found, Step::Cancelled)?;
                self.write(&found, step, Fen(0), key)
            }
            Action::Lapse { claim } => {
                let (found, held_until_ms) = self.held(*claim)?;
                let step = begin(&found, Step::Lapsed)?;
                if self.now_ms < held_until_ms {
                    return Err(Refused::NotDue);
                }
                self.write(&found, step, Fen(0), key)
            }
            Action::Settle { campaign, merchant, amount, payment, after, detail } => {
                let from = Account::Payable(merchant.clone());
                let step = StepRow {
                    step: Some(Step::Settled),
                    merchant: Some(merchant.clone()),
                    order_id: Some(payment.clone()),
                    detail: detail.clone(),
                    ..StepRow::default()
                };
                self.transfer(campaign, step, (from, Account::Settled), (*amount, payment, *after), key)
            }
            Action::Repay { campaign, merchant, amount, payment, after, detail } => {
                let step = StepRow {
                    step: Some(Step::Repaid),
                    merchant: Some(merchant.clone()),
                    order_id: Some(payment.clone()),
                    detail: detail.clone(),
                    ..StepRow::default()
                };
                let owed = Account::Payable(merchant.clone());
                self.repay(campaign, step, owed, (*amount, payment, *after), key)
            }
            Action::Move { campaign, from, to, amount, reference, after, reason, over } => {
                self.shift(campaign, (*from, *to), (*amount, reference, *after), (reason, *over), key)
            }
            Action::Contra { campaign, step, reason, over } => {
                self.contra(campaign, *step, (reason, *over), key)
            }
        }
    }

    fn found(&self, number: ClaimNumber) -> Result<Found, Refused> {
        let key = self.known.keys_of.get(&number).copied().ok_or(Refused::UnknownClaim)?;
        self.found_by_key(key)
    }

    fn found_by_key(&self, key: i64) -> Result<Found, Refused> {
        let claim = self.known.claims.get(&key).cloned().ok_or(Refused::UnknownClaim)?;
        let terms = self.known.terms.drops.get(&claim.number.drop).cloned().ok_or(Refused::UnknownClaim)?;
        let last = self.known.last.get(&key).cloned();
        let first = State::first(terms.voucher.is_some());
        let state = last.as_ref().and_then(|last| last.state).unwrap_or(first);
        Ok(Found { key, claim, terms, last, state })
    }

    /// A claim that is to be paid for, and until when: the first instant at which it is not held any more.
    fn held(&self, number: ClaimNumber) -> Result<(Found, UnixMs), Refused> {
        let found = self.found(number)?;
        let item = found.terms.item.as_ref().ok_or(Refused::OtherKind)?;
        let held_until_ms = item.held_until_ms(found.claim.claimed_at_ms);
        Ok((found, held_until_ms))
    }

    fn redeem(&mut self, redeem: &Redeem, key: Option<&Key>) -> Outcome {
        if let Some(why) = redeem.barred {
            return Err(Refused::Barred(why));
        }
        if redeem.shown == ShownAs::OldQr {
            return Err(Refused::QrExpired);
        }
        let found = self.found(redeem.claim)?;
        let terms = found.voucher()?;
        if redeem.shown == ShownAs::Code && found.terms.rules.code == Taken::Qr {
            return Err(Refused::QrRequired);
        }
        let mut step = begin(&found, Step::Redeemed)?;
        if found.is_over(self.now_ms)? {
            return Err(Refused::Expired);
        }
        may_use(terms, &redeem.merchant, redeem.amount).map_err(Refused::Unmet)?;
        let order = (redeem.merchant.id.clone(), redeem.order_id.clone());
        if self.known.orders.contains_key(&order) {
            return Err(Refused::OrderUsed);
        }
        let day = day_of(self.now_ms, &found.terms.zone);
        self.check_caps(&found, redeem, day)?;
        step.redeemed_at_ms = Some(self.now_ms);
        step.merchant = Some(order.0.clone());
        step.shop.clone_from(&redeem.shop);
        step.order_id = Some(order.1.clone());
        step.amount = Some(redeem.amount.0);
        step.discount = Some(terms.face.0);
        step.day = Some(day);
        step.detail.clone_from(&redeem.detail);
        if redeem.trial {
            step.at_ms = self.now_ms;
            return Ok(Done { step, replayed: false });
        }
        step.redemption = Some(self.next_number());
        let done = self.write(&found, step, terms.face, key)?;
        self.known.orders.insert(order, done.step.number);
        self.known.redemptions.insert(done.step.number, done.step.clone());
        self.count(&done.step, 1);
        Ok(done)
    }

    fn check_caps(&self, found: &Found, redeem: &Redeem, day: i32) -> Result<(), Refused> {
        let counts = |person: &str| {
            let of = self.known.counts.get(&(found.terms.campaign, day, person.to_owned()));
            let of = of.into_iter().flatten();
            of.map(|(merchant, count)| (merchant.as_str(), *count)).collect::<Vec<_>>()
        };
        let at = |counts: &[(&str, i64)], merchant: Option<&str>| -> i64 {
            let of = |one: &&(&str, i64)| merchant.is_none_or(|merchant| one.0 == merchant);
            counts.iter().filter(of).map(|(_, count)| *count).sum()
        };
        let full = |cap: Option<u32>, count: i64| cap.is_some_and(|cap| count >= i64::from(cap));
        let merchant = Some(redeem.merchant.id.as_str());
        if full(redeem.merchant.per_day, at(&counts(""), merchant)) {
            return Err(Refused::MerchantCap);
        }
        let (rules, persons) = (&found.terms.rules, counts(&found.claim.person));
        if full(rules.person_per_day, at(&persons, None))
            || full(rules.person_per_merchant_per_day, at(&persons, merchant))
            || full(redeem.merchant.person_per_day, at(&persons, merchant))
        {
            return Err(Refused::PersonCap);
        }
        Ok(())
    }

    fn count(&mut self, step: &StepRow, change: i64) {
        let (Some(day), Some(person), Some(merchant)) = (step.day, &step.person, &step.merchant) else {
            return;
        };
        for person in ["", person.as_str()] {
            let known = self.known.counts.entry((step.campaign, day, person.to_owned())).or_default();
            *known.entry(merchant.clone()).or_default() += change;
            let changed = (step.campaign, day, person.to_owned(), merchant.clone());
            *self.counts.entry(changed).or_default() += change;
        }
    }

    /// The claim of a merchant's redemption that still stands.
    fn redeemed(&self, redemption: u64, merchant: &str) -> Result<(Found, StepRow), Refused> {
        let row = self.known.redemptions.get(&redemption);
        let row =
            row.filter(|row| row.step == Some(Step::Redeemed) && row.merchant.as_deref() == Some(merchant));
        let key = row.and_then(|row| row.claim).ok_or(Refused::UnknownRedemption)?;
        let found = self.found_by_key(key)?;
        let last = found.last.clone().ok_or(Refused::UnknownRedemption)?;
        let stands = last.redemption == Some(redemption)
            && matches!(found.state, State::Redeemed | State::Lost)
            && last.refunded < last.amount.unwrap_or(0);
        if stands { Ok((found, last)) } else { Err(Refused::Undone) }
    }

    fn reverse(&mut self, redemption: u64, merchant: &str, key: Option<&Key>) -> Outcome {
        let (found, last) = self.redeemed(redemption, merchant)?;
        let late = found.is_over(self.now_ms)?;
        let mut step = begin(&found, if late { Step::ReversedLate } else { Step::Reversed })?;
        let until_ms = last.redeemed_at_ms.unwrap_or(0).saturating_add(found.terms.rules.reverse_within_ms);
        if self.now_ms > until_ms {
            return Err(Refused::TooLate);
        }
        let discount = Fen(last.discount.unwrap_or(0));
        step.back = discount.0;
        let done = self.write(&found, step, discount, key)?;
        if let (Some(merchant), Some(order)) = (last.merchant, last.order_id) {
            self.known.orders.remove(&(merchant, order));
        }
        self.count(&done.step, -1);
        Ok(done)
    }

    fn refund(&mut self, redemption: u64, merchant: &str, asked: Option<Fen>, key: Option<&Key>) -> Outcome {
        let (found, last) = self.redeemed(redemption, merchant)?;
        let (amount, discount) = (last.amount.unwrap_or(0), Fen(last.discount.unwrap_or(0)));
        let rest = amount.saturating_sub(last.refunded);
        let asked = asked.map_or(rest, |asked| asked.0);
        if asked <= 0 || asked > rest {
            return Err(Refused::TooMuch);
        }
        let kind = match (asked == amount, found.is_over(self.now_ms)?) {
            (true, false) => Step::Refunded,
            (true, true) => Step::RefundedLate,
            (false, _) => Step::RefundedPart,
        };
        let mut step = begin(&found, kind)?;
        step.refunded = last.refunded.saturating_add(asked);
        let back = discount_back(discount, Fen(amount), Fen(step.refunded));
        step.back = back.0;
        self.write(&found, step, Fen(back.0.saturating_sub(last.back)), key)
    }

    /// Writes a claim's step, with the money that the table says.
    fn write(&mut self, found: &Found, step: StepRow, moved: Fen, key: Option<&Key>) -> Outcome {
        let money = step.step.and_then(|kind| transition(found.state, kind)).and_then(|row| row.money);
        let account = |pot| account(pot, &step, &found.terms);
        let accounts = money.and_then(|(from, to)| account(from).zip(account(to)));
        let done = self.push(step, moved, accounts, key)?;
        self.known.last.insert(found.key, done.step.clone());
        Ok(done)
    }

    fn next_number(&self) -> u64 {
        self.known.last_number.saturating_add(1)
    }

    fn push(
        &mut self,
        mut step: StepRow,
        moved: Fen,
        accounts: Option<(Account, Account)>,
        key: Option<&Key>,
    ) -> Outcome {
        step.number = self.next_number();
        step.at_ms = self.now_ms;
        if let Some((from, to)) = accounts {
            step.moved = moved.0;
            if !self.flows.add(self.steps.len(), &step, from, to) {
                return Err(Refused::TooMuch);
            }
        }
        if let Some(key) = key {
            step.actor = Some(key.actor.clone());
            step.key = Some(key.key.clone());
            step.content = Some(key.content.clone());
            self.known.keys.insert((key.actor.clone(), key.key.clone()), step.clone());
        }
        self.known.last_number = step.number;
        self.steps.push(step.clone());
        Ok(Done { step, replayed: false })
    }
}

/// A claim's next step, with what it takes over from the one before.
fn begin(found: &Found, kind: Step) -> Result<StepRow, Refused> {
    let row = transition(found.state, kind).ok_or(Refused::NotFrom(found.state))?;
    if found.claim.returned && !matches!(kind, Step::LatePayment | Step::PaymentRefunded) {
        return Err(Refused::Returned);
    }
    let carried = found.last.as_ref().filter(|_| matches!(found.state, State::Redeemed | State::Lost));
    Ok(StepRow {
        step: Some(kind),
        campaign: found.terms.campaign,
        drop: Some(found.claim.number.drop.0),
        claim: Some(found.key),
        person: Some(found.claim.person.clone()),
        state: Some(row.to),
        redemption: carried.and_then(|last| last.redemption),
        redeemed_at_ms: carried.and_then(|last| last.redeemed_at_ms),
        merchant: carried.and_then(|last| last.merchant.clone()),
        shop: carried.and_then(|last| last.shop.clone()),
        order_id: carried.and_then(|last| last.order_id.clone()),
        amount: carried.and_then(|last| last.amount),
        discount: carried.and_then(|last| last.discount),
        refunded: carried.map_or(0, |last| last.refunded),
        back: carried.map_or(0, |last| last.back),
        day: carried.and_then(|last| last.day),
        ..StepRow::default()
    })
}

/// The account that a word of the table stands for.
fn account(pot: Pot, step: &StepRow, terms: &Terms) -> Option<Account> {
    match pot {
        Pot::Payable => step.merchant.clone().map(Account::Payable),
        Pot::Back => Account::parse(terms.rules.unused.pot().as_str()),
        other => Account::parse(other.as_str()),
    }
}
