//! What finance notes in the books: payments to merchants and by them, and transfers between accounts.
//!
//! Owns what is asked of such a note, and why the books refuse one.

use super::agreed::Agreed;
use super::{Books, BooksError, campaign_id};
use crate::backoffice::access::Caller;
use crate::backoffice::admin_api::{
    MoneyMoved, MoneyNoted, MoneyWaits, MoveMoney, PayMerchant, RepayMerchant,
};
use crate::backoffice::decision::{Decision, checked};
use crate::config::Approval;
use crate::domain::ids::CampaignId;
use crate::domain::life::{Pot, Step, may_move};
use crate::domain::merchant::check_id;
use crate::domain::money::Fen;
use crate::ledger::LedgerError;
use crate::ledger::life::{Action, Key, Refused, Request};
use crate::ledger::postings::Account;
use crate::limits;

/// A movement of money that somebody wants noted.
pub(super) struct Wanted<'w> {
    pub(super) campaign: &'w CampaignId,
    pub(super) from: Account,
    pub(super) to: Account,
    /// The account that bounds it.
    bound: &'w Account,
    pub(super) amount: Fen,
    decision: Decision,
}

impl Wanted<'_> {
    pub(super) fn reference(&self) -> &str {
        self.decision.reference.as_deref().unwrap_or_default()
    }
}

impl Books {
    /// Notes that a merchant was paid.
    ///
    /// # Errors
    /// [`BooksError`]; nothing was noted then.
    pub async fn pay(
        &self,
        by: &Caller,
        id: &str,
        paid: &PayMerchant,
        key: Key,
    ) -> Result<MoneyNoted, BooksError> {
        let campaign = &campaign_id(id)?;
        check_id(&paid.merchant).map_err(|what| BooksError::Invalid(format!("merchant: {what}")))?;
        let (amount, decision) = said(by, &paid.amount, &paid.reference, &paid.reason)?;
        let bound = &Account::Payable(paid.merchant.clone());
        let (from, to) = (bound.clone(), Account::Settled);
        let wanted = Wanted { campaign, from, to, bound, amount, decision };
        self.note(by, wanted, key, |wanted, detail| Action::Settle {
            campaign: wanted.campaign.clone(),
            merchant: paid.merchant.clone(),
            amount,
            payment: wanted.reference().to_owned(),
            detail: Some(detail),
        })
        .await
    }

    /// Notes that a merchant gave back what it had been paid and owed again.
    ///
    /// # Errors
    /// [`BooksError`]; nothing was noted then.
    pub async fn repay(
        &self,
        by: &Caller,
        id: &str,
        repaid: &RepayMerchant,
        key: Key,
    ) -> Result<MoneyNoted, BooksError> {
        let campaign = &campaign_id(id)?;
        check_id(&repaid.merchant).map_err(|what| BooksError::Invalid(format!("merchant: {what}")))?;
        let (amount, decision) = said(by, &repaid.amount, &repaid.reference, &repaid.reason)?;
        let bound = &Account::Payable(repaid.merchant.clone());
        let (from, to) = (Account::Settled, bound.clone());
        let wanted = Wanted { campaign, from, to, bound, amount, decision };
        self.note(by, wanted, key, |wanted, detail| Action::Repay {
            campaign: wanted.campaign.clone(),
            merchant: repaid.merchant.clone(),
            amount,
            payment: wanted.reference().to_owned(),
            detail: Some(detail),
        })
        .await
    }

    /// Moves money from one account to another.
    ///
    /// # Errors
    /// [`BooksError`]; nothing was moved then.
    pub async fn transfer(
        &self,
        by: &Caller,
        id: &str,
        moved: &MoveMoney,
        key: Key,
    ) -> Result<MoneyNoted, BooksError> {
        let campaign = &campaign_id(id)?;
        let pot = |name: &str, word: &str| {
            Pot::parse(word)
                .ok_or_else(|| BooksError::Invalid(format!("{name}: there is no account {word:?}")))
        };
        let (from, to) = (pot("from", &moved.from)?, pot("to", &moved.to)?);
        let (amount, decision) = said(by, &moved.amount, &moved.reference, &moved.reason)?;
        let accounts = Account::parse(from.as_str()).zip(Account::parse(to.as_str()));
        let (of, at) = accounts.filter(|_| may_move(from, to)).ok_or_else(no_such_move)?;
        let over = from != Pot::Recovered && self.is_over(campaign).await;
        let wanted = Wanted { campaign, bound: &of, from: of.clone(), to: at, amount, decision };
        self.note(by, wanted, key, |wanted, reason| Action::Move {
            campaign: wanted.campaign.clone(),
            from,
            to,
            amount,
            reference: wanted.reference().to_owned(),
            reason,
            over,
        })
        .await
    }

    /// Notes a movement, once another person has said the same where that is asked for.
    async fn note(
        &self,
        by: &Caller,
        mut wanted: Wanted<'_>,
        key: Key,
        action: impl Fn(&Wanted<'_>, String) -> Action,
    ) -> Result<MoneyNoted, BooksError> {
        let mut heard = None;
        if self.approval == Approval::TwoPerson {
            // A campaign that is not there has nobody wait.
            self.campaign(wanted.campaign.as_str()).await?;
            match self.hear(by, &wanted).await? {
                Agreed::Waits => return Ok(MoneyNoted::Waits(waits(by, &wanted))),
                Agreed::Both { other, row } => (wanted.decision.also, heard) = (Some(other), Some(row)),
            }
        }
        let text = wanted.decision.to_text().map_err(BooksError::Invalid)?;
        let taken = self.take(wanted.campaign, action(&wanted, text), key, &wanted.bound.name()).await;
        // What the ledger has noted, or may have, stays said.
        if let (Err(BooksError::Refused(_)), Some(row)) = (&taken, heard) {
            self.unhear(by, &row).await?;
        }
        taken.map(MoneyNoted::Moved)
    }

    /// Whether nothing of a campaign has to stay paid for. Where that cannot be told, all that could be claimed has to.
    async fn is_over(&self, campaign: &CampaignId) -> bool {
        self.campaigns.is_over(campaign).await.unwrap_or_else(|error| {
            tracing::warn!(campaign = campaign.as_str(), %error, "whether the campaign is over is not known");
            false
        })
    }

    async fn take(
        &self,
        campaign: &CampaignId,
        action: Action,
        key: Key,
        account: &str,
    ) -> Result<MoneyMoved, BooksError> {
        let request = vec![Request { action, key: Some(key) }];
        let outcomes = self.ledger().life(request, self.campaigns.redis_now_ms()).await?;
        let outcome = outcomes.into_iter().next();
        match outcome.ok_or_else(|| LedgerError::Corrupt("no outcome of a movement".to_owned()))? {
            Ok(done) => {
                let moved = self.moved(campaign, &done.step, done.replayed).await?;
                if !done.replayed {
                    let step = moved.number;
                    tracing::info!(campaign = campaign.as_str(), step, "money was moved in the books");
                }
                Ok(moved)
            }
            Err(Refused::UnknownCampaign) => Err(BooksError::UnknownCampaign),
            Err(Refused::KeyReused) => Err(BooksError::KeyReused),
            Err(Refused::ReferenceUsed { step }) => Err(self.used(campaign, step).await?),
            Err(Refused::OtherKind) => Err(no_such_move()),
            Err(Refused::TooMuch) => {
                let holds = self.ledger().accounts(campaign).await?.get(account).copied().unwrap_or_default();
                let kept = match Pot::parse(account) {
                    Some(Pot::Recycled) => {
                        ", and what may still be claimed, or is not in the ledger yet, has to stay paid for"
                    }
                    Some(Pot::Recovered) => ", and what merchants owe has to come back first",
                    Some(Pot::Unissued) => {
                        ", and it is the budget that is lowered until the campaign has ended and the ledger has every claim"
                    }
                    _ => "",
                };
                Err(BooksError::Refused(format!("too much: {account} holds {holds}{kept}")))
            }
            Err(other) => Err(BooksError::Refused(format!("{other:?}"))),
        }
    }

    /// The refusal that names what a reference was used for.
    async fn used(&self, campaign: &CampaignId, step: u64) -> Result<BooksError, LedgerError> {
        let before = step.saturating_sub(1);
        for kind in [Step::Settled, Step::Repaid, Step::Moved] {
            let rows = self.ledger().money_steps(campaign, kind, before, 1).await?;
            if let Some(row) = rows.iter().find(|row| row.number == step) {
                let MoneyMoved { at, from, to, amount, reference, posting, .. } =
                    self.moved(campaign, row, false).await?;
                let (reference, posting) = (reference.unwrap_or_default(), posting.unwrap_or_default());
                return Ok(BooksError::ReferenceUsed(format!(
                    "reference {reference} is in the books already: posting {posting} (step {step}) moved {amount} \
                     from {from} to {to} at {at}"
                )));
            }
        }
        Err(LedgerError::Corrupt(format!("a reference is of step {step}, which is not there")))
    }
}

fn waits(by: &Caller, wanted: &Wanted<'_>) -> MoneyWaits {
    let campaign = wanted.campaign.as_str();
    tracing::info!(campaign, "a movement of money waits for another person who says the same");
    MoneyWaits {
        from: wanted.from.name().into_owned(),
        to: wanted.to.name().into_owned(),
        amount: wanted.amount.to_string(),
        reference: wanted.reference().to_owned(),
        said_by: by.actor.to_string(),
    }
}

fn no_such_move() -> BooksError {
    let what = "money goes from recycled to treasury, or from recovered to treasury or recycled; and from unissued to \
                treasury of a campaign that ended";
    BooksError::Invalid(what.to_owned())
}

/// What somebody says of a movement of money.
fn said(by: &Caller, amount: &str, reference: &str, reason: &str) -> Result<(Fen, Decision), BooksError> {
    let invalid = BooksError::Invalid;
    let amount = Fen::parse(amount).map_err(|error| invalid(format!("amount: {error}")))?;
    if amount.0 == 0 {
        return Err(invalid("amount: must be more than zero".to_owned()));
    }
    let reference = checked("reference", reference, limits::LIFE_TEXT_BYTES_MAX).map_err(invalid)?;
    let reason = checked("reason", reason, limits::DECISION_REASON_BYTES_MAX).map_err(invalid)?;
    Ok((amount, Decision { reason, reference: Some(reference), by: by.actor.clone(), also: None }))
}
