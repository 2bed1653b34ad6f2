//! A voucher's whole life, and what staff decide of it: frozen, released, voided, recovered.
//!
//! Owns who may decide what after whom. The ledger decides whether a step may be taken, by the voucher's last step as
//! whoever decides has seen it: of two who decide at once one is first, and the other looks again.
//!
//! ```text
//!  issued ─freeze─► frozen ─release─► issued          redeemed, lost ─recover─► void
//!     └──── void ───────┴──── void ──► void           (with two persons: never by whoever froze it, nor unfrozen)
//! ```

use std::sync::Arc;

use super::access::Caller;
use super::admin_api::{StepView, VoucherView};
use super::books::{flow, next};
use super::campaigns::Campaigns;
use super::decision::{Decision, checked};
use crate::clock::rfc3339;
use crate::config::Approval;
use crate::domain::ids::{CampaignId, ClaimNumber};
use crate::domain::life::rules::expires_at_ms;
use crate::domain::life::{State, Step, TABLE};
use crate::domain::money::Fen;
use crate::domain::voucher::VoucherSigner;
use crate::ledger::life::{Action, Refused, Request, StepRow, Verdict};
use crate::ledger::{ClaimRow, ClaimStatus, LedgerError};
use crate::limits;
use crate::rush::gate::DropGate;

/// Why nothing was shown or decided.
#[derive(Debug, thiserror::Error)]
pub enum VoucherError {
    /// There is no such voucher.
    #[error("there is no such voucher")]
    Unknown,
    /// The code is signed, and the ledger does not have its claim.
    #[error("the ledger does not have the voucher (yet): ask again, or see whether it is an orphan receipt")]
    NotYet,
    /// What was said of the decision is not enough.
    #[error("{0}")]
    Invalid(String),
    /// The decision cannot be made as the voucher stands, or not by this person.
    #[error("{0}")]
    Refused(String),
    /// Others changed the voucher again and again meanwhile.
    #[error("the voucher changed meanwhile: look again")]
    Changed,
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Shows vouchers and decides of them.
pub struct Vouchers {
    campaigns: Arc<Campaigns>,
    signer: VoucherSigner,
    approval: Approval,
}

/// A claim that is asked for.
struct Found {
    drop: Arc<DropGate>,
    row: ClaimRow,
}

impl Vouchers {
    /// Of these campaigns' claims.
    #[must_use]
    pub fn new(campaigns: Arc<Campaigns>, signer: VoucherSigner, approval: Approval) -> Self {
        Self { campaigns, signer, approval }
    }

    /// A voucher by its code or its claim's id, with its steps after number `after`.
    ///
    /// # Errors
    /// [`VoucherError`].
    pub async fn show(&self, text: &str, after: u64) -> Result<VoucherView, VoucherError> {
        let found = self.find(text).await?;
        self.view(&found, after).await
    }

    /// Decides of a voucher. What was decided already stays as it is, and is shown.
    ///
    /// # Errors
    /// [`VoucherError`]; nothing was decided then.
    pub async fn decide(
        &self,
        by: &Caller,
        text: &str,
        verdict: Verdict,
        reason: &str,
    ) -> Result<VoucherView, VoucherError> {
        let reason =
            checked("reason", reason, limits::DECISION_REASON_BYTES_MAX).map_err(VoucherError::Invalid)?;
        let decision = Decision { reason, reference: None, by: by.actor.clone(), also: None };
        let found = self.find(text).await?;
        let claim = found.row.number;
        for _ in 0..limits::DECISION_TRIES {
            let last = self.campaigns.ledger.last_step(claim).await?;
            if last.as_ref().and_then(|last| last.step).is_some_and(|step| steps_of(verdict).contains(&step))
            {
                return self.view(&found, 0).await;
            }
            self.check_persons(by, verdict, last.as_ref())?;
            let reason = decision.to_text().map_err(VoucherError::Invalid)?;
            let seen = Some(last.map_or(0, |last| last.number));
            let action = Action::Review { claim, verdict, reason, seen };
            let request = vec![Request { action, key: None }];
            let outcomes = self.campaigns.ledger.life(request, self.campaigns.redis_now_ms()).await?;
            match outcomes.into_iter().next() {
                Some(Ok(_)) => return self.view(&found, 0).await,
                Some(Err(Refused::Changed)) => {}
                Some(Err(refused)) => return Err(why(verdict, refused)),
                None => return Err(LedgerError::Corrupt("no outcome of a decision".to_owned()).into()),
            }
        }
        Err(VoucherError::Changed)
    }

    /// With two persons nobody makes a voucher worthless alone: one freezes it, another one voids it.
    fn check_persons(
        &self,
        by: &Caller,
        verdict: Verdict,
        last: Option<&StepRow>,
    ) -> Result<(), VoucherError> {
        if verdict != Verdict::Void || self.approval != Approval::TwoPerson {
            return Ok(());
        }
        match last.and_then(|last| last.state).unwrap_or(State::Issued) {
            State::Issued => {
                let what = "two persons are needed: it is issued, and somebody else has to freeze it first";
                Err(VoucherError::Refused(what.to_owned()))
            }
            State::Frozen => {
                let froze = Decision::read(last.and_then(|last| last.detail.as_deref()));
                if froze.is_some_and(|froze| !froze.by.is_same_as(&by.actor)) {
                    return Ok(());
                }
                let what = "two persons are needed: it is frozen, and whoever froze it cannot void it";
                Err(VoucherError::Refused(what.to_owned()))
            }
            // The ledger says what is wrong with it.
            _ => Ok(()),
        }
    }

    async fn find(&self, text: &str) -> Result<Found, VoucherError> {
        let signed = self.signer.verify(text).ok();
        // Staff know claims by their ids too: from exports, receipts and logs.
        let number = signed.or_else(|| ClaimNumber::parse_claim_id(text).ok());
        let number = number.ok_or(VoucherError::Unknown)?;
        let drops = self.campaigns.gate.drops();
        let drop = drops.into_iter().find(|drop| drop.rules().number == number.drop);
        let drop = drop.filter(|_| number.shard == self.campaigns.shard).ok_or(VoucherError::Unknown)?;
        match self.campaigns.ledger.claim(number).await? {
            Some(row) => Ok(Found { drop, row }),
            None if signed.is_some() => Err(VoucherError::NotYet),
            None => Err(VoucherError::Unknown),
        }
    }

    async fn view(&self, found: &Found, after: u64) -> Result<VoucherView, VoucherError> {
        let ledger = &self.campaigns.ledger;
        let claim = found.row.number;
        let rules = found.drop.rules();
        let rows = ledger.steps_of(claim, after, limits::VOUCHER_STEPS_PAGE).await?;
        let next = next(limits::VOUCHER_STEPS_PAGE, rows.len(), rows.last().map(|row| row.number));
        let last = ledger.last_step(claim).await?;
        let (voucher, item) = (rules.spec.voucher.as_ref(), rules.spec.item.as_ref());
        let mut steps = Vec::with_capacity(rows.len());
        for row in &rows {
            steps.push(self.step(&rules.campaign, row).await?);
        }
        let state = last.and_then(|last| last.state).unwrap_or(State::first(voucher.is_some()));
        let claimed_at_ms = found.row.claimed_at_ms;
        let is_plain = voucher.is_none() && item.is_none();
        let state = match found.row.status {
            ClaimStatus::Returned => "returned",
            // Nothing is to be done with it.
            ClaimStatus::Issued if is_plain => "issued",
            ClaimStatus::Issued => state.as_str(),
        };
        Ok(VoucherView {
            claim_id: claim.claim_id(),
            drop: found.drop.id.to_string(),
            campaign: rules.campaign.to_string(),
            person: found.row.person.clone(),
            state: state.to_owned(),
            claimed_at: rfc3339(claimed_at_ms),
            face: voucher.map(|terms| terms.face.to_string()),
            threshold: voucher.map(|terms| terms.threshold.to_string()),
            expires_at: voucher.map(|terms| rfc3339(expires_at_ms(terms, claimed_at_ms))),
            hold_expires_at: item.map(|terms| rfc3339(terms.held_until_ms(claimed_at_ms))),
            steps,
            next,
        })
    }

    async fn step(&self, campaign: &CampaignId, row: &StepRow) -> Result<StepView, LedgerError> {
        let money = |fen: Option<i64>| fen.map(|fen| Fen(fen).to_string());
        let decided = Decision::read(row.detail.as_deref());
        let flow = flow(&*self.campaigns.ledger, campaign, row.posting).await?;
        let (from, to) = flow.unzip();
        Ok(StepView {
            number: row.number,
            at: rfc3339(row.at_ms),
            step: row.step.map_or("", Step::as_str).to_owned(),
            state: row.state.map_or("", State::as_str).to_owned(),
            by: who(row, decided.as_ref()),
            reason: decided.as_ref().map(|decided| decided.reason.clone()),
            reference: decided.and_then(|decided| decided.reference).or_else(|| noted(row, "reference")),
            merchant: row.merchant.clone(),
            shop: row.shop.clone(),
            order_id: row.order_id.clone(),
            amount: money(row.amount),
            discount: money(row.discount),
            refunded: money(Some(row.refunded).filter(|refunded| *refunded > 0)),
            moved: money(Some(row.moved).filter(|moved| *moved > 0)),
            from,
            to,
            posting: row.posting,
        })
    }
}

/// The steps that a verdict may lead to.
fn steps_of(verdict: Verdict) -> &'static [Step] {
    match verdict {
        Verdict::Freeze => &[Step::Frozen],
        Verdict::Release => &[Step::Released, Step::ReleasedLate],
        Verdict::Void => &[Step::Voided],
        Verdict::Recover => &[Step::Recovered],
    }
}

/// Who took a step.
fn who(row: &StepRow, decided: Option<&Decision>) -> String {
    if let Some(decided) = decided {
        return decided.by.to_string();
    }
    match row.step {
        Some(
            Step::Redeemed
            | Step::Reversed
            | Step::ReversedLate
            | Step::Refunded
            | Step::RefundedPart
            | Step::RefundedLate,
        ) => format!("merchant {}", row.merchant.as_deref().unwrap_or_default()),
        Some(Step::Confirmed | Step::LatePayment) => "the payment service".to_owned(),
        Some(Step::Cancelled) => "the holder".to_owned(),
        Some(Step::PaymentRefunded) => noted(row, "by").unwrap_or_default(),
        _ => "the service".to_owned(),
    }
}

/// What is kept of a late payment's refund.
fn noted(row: &StepRow, field: &str) -> Option<String> {
    let is_refund = row.step == Some(Step::PaymentRefunded);
    let detail = row.detail.as_deref().filter(|_| is_refund)?;
    let noted: serde_json::Value = serde_json::from_str(detail).ok()?;
    noted.get(field)?.as_str().map(str::to_owned)
}

/// A ledger's refusal in words for staff, the voucher's state among them.
fn why(verdict: Verdict, refused: Refused) -> VoucherError {
    let done = match verdict {
        Verdict::Freeze => "frozen",
        Verdict::Release => "released",
        Verdict::Void => "voided",
        Verdict::Recover => "recovered",
    };
    match refused {
        Refused::UnknownClaim => VoucherError::NotYet,
        Refused::NotFrom(state) => {
            let mut from: Vec<&str> = Vec::new();
            for row in TABLE.iter().filter(|row| steps_of(verdict).contains(&row.step)) {
                if !from.contains(&row.from.as_str()) {
                    from.push(row.from.as_str());
                }
            }
            let (is, from) = (state.as_str(), from.join(" or "));
            VoucherError::Refused(format!("it is {is}: only what is {from} can be {done}"))
        }
        Refused::Returned => {
            VoucherError::Refused(format!("its unit went back to stock: it cannot be {done}"))
        }
        Refused::OtherKind => VoucherError::Refused(format!("it is no voucher: it cannot be {done}")),
        other => VoucherError::Refused(format!("{other:?}")),
    }
}
