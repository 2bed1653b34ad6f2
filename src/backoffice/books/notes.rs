//! What finance notes in the books: payments to merchants and by them, transfers between accounts, and reversals of these.
//!
//! Owns what is asked of such a note, and why the books refuse one.

use super::agreed::Agreed;
use super::{Books, BooksError, campaign_id};
use crate::backoffice::access::Caller;
use crate::backoffice::admin_api::{
    MoneyMoved, MoneyNoted, MoveMoney, PayMerchant, RepayMerchant, ReverseMove,
};
use crate::backoffice::decision::{Decision, checked};
use crate::config::Approval;
use crate::domain::ids::CampaignId;
use crate::domain::life::{Pot, Step, may_move};
use crate::domain::merchant::check_id;
use crate::domain::money::Fen;
use crate::ledger::LedgerError;
use crate::ledger::life::{Action, Key, Refused, Request, StepRow};
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
    /// The step that is to be reversed, of a reversal.
    pub(super) reverses: Option<u64>,
    /// The reversal that has made the reference free again, where it was used before.
    pub(super) after: Option<u64>,
    /// Whether the books have it already, as far as can be seen: the ledger tells so, and nobody has to be waited for.
    in_books: bool,
}

impl<'w> Wanted<'w> {
    /// A movement by a reference.
    fn new(
        campaign: &'w CampaignId,
        (from, to): (Account, Account),
        bound: &'w Account,
        (amount, decision): (Fen, Decision),
    ) -> Self {
        Self { campaign, from, to, bound, amount, decision, reverses: None, after: None, in_books: false }
    }

    pub(super) fn reference(&self) -> &str {
        self.decision.reference.as_deref().unwrap_or_default()
    }

    pub(super) fn reason(&self) -> &str {
        &self.decision.reason
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
        let said = said(by, &paid.amount, &paid.reference, &paid.reason)?;
        let bound = &Account::Payable(paid.merchant.clone());
        let wanted = Wanted::new(campaign, (bound.clone(), Account::Settled), bound, said);
        self.note_once(by, wanted, key, |wanted, detail| Action::Settle {
            campaign: wanted.campaign.clone(),
            merchant: paid.merchant.clone(),
            amount: wanted.amount,
            payment: wanted.reference().to_owned(),
            after: wanted.after,
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
        let said = said(by, &repaid.amount, &repaid.reference, &repaid.reason)?;
        let bound = &Account::Payable(repaid.merchant.clone());
        let wanted = Wanted::new(campaign, (Account::Settled, bound.clone()), bound, said);
        self.note_once(by, wanted, key, |wanted, detail| Action::Repay {
            campaign: wanted.campaign.clone(),
            merchant: repaid.merchant.clone(),
            amount: wanted.amount,
            payment: wanted.reference().to_owned(),
            after: wanted.after,
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
        let said = said(by, &moved.amount, &moved.reference, &moved.reason)?;
        let accounts = Account::parse(from.as_str()).zip(Account::parse(to.as_str()));
        let (of, at) = accounts.filter(|_| may_move(from, to)).ok_or_else(no_such_move)?;
        let over = from != Pot::Recovered && self.is_over(campaign).await;
        let wanted = Wanted::new(campaign, (of.clone(), at), &of, said);
        self.note_once(by, wanted, key, |wanted, reason| Action::Move {
            campaign: wanted.campaign.clone(),
            from,
            to,
            amount: wanted.amount,
            reference: wanted.reference().to_owned(),
            after: wanted.after,
            reason,
            over,
        })
        .await
    }

    /// Has what was noted by mistake go back the way it came: a movement of its own, which names the one that it reverses.
    ///
    /// # Errors
    /// [`BooksError`]; nothing was reversed then.
    pub async fn reverse(
        &self,
        by: &Caller,
        id: &str,
        reversed: &ReverseMove,
        key: Key,
    ) -> Result<MoneyNoted, BooksError> {
        let (campaign, number) = (&campaign_id(id)?, reversed.step);
        let reason = checked("reason", &reversed.reason, limits::DECISION_REASON_BYTES_MAX);
        let reason = reason.map_err(BooksError::Invalid)?;
        self.campaign(id).await?;
        let moved = self.ledger().money_move(campaign, number).await?.ok_or_else(|| unknown_move(number))?;
        let row = self.step(number).await?;
        if row.step == Some(Step::Contra) {
            let what = format!("step {number} is a reversal itself: note once more what it has reversed");
            return Err(BooksError::Refused(what));
        }
        let reference = Decision::read(row.detail.as_deref()).and_then(|decided| decided.reference);
        let reference = reference.or(row.order_id);
        let over = moved.to == Account::Recycled && self.is_over(campaign).await;
        let decision = Decision { reason, reference, by: by.actor.clone(), also: None };
        let accounts = (moved.to.clone(), moved.from);
        let wanted = Wanted {
            reverses: Some(number),
            in_books: moved.contra.is_some(),
            ..Wanted::new(campaign, accounts, &moved.to, (Fen(row.moved), decision))
        };
        self.note(by, wanted, key, |wanted, reason| Action::Contra {
            campaign: wanted.campaign.clone(),
            step: number,
            reason,
            over,
        })
        .await
    }

    /// Notes a movement by a reference, which moves money once until that is reversed.
    async fn note_once(
        &self,
        by: &Caller,
        mut wanted: Wanted<'_>,
        key: Key,
        action: impl Fn(&Wanted<'_>, String) -> Action,
    ) -> Result<MoneyNoted, BooksError> {
        let Wanted { campaign, from, to, .. } = &wanted;
        let noted = self.ledger().noted(campaign, from, to, wanted.reference()).await?;
        wanted.after = noted.and_then(|noted| noted.contra);
        wanted.in_books = noted.is_some_and(|noted| noted.contra.is_none());
        self.note(by, wanted, key, action).await
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
        if self.approval == Approval::TwoPerson && !wanted.in_books {
            // A campaign that is not there has nobody wait.
            self.campaign(wanted.campaign.as_str()).await?;
            match self.hear(by, &wanted).await? {
                Agreed::Waits(waits) => return Ok(MoneyNoted::Waits(waits)),
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
                let step = moved.number;
                if let Some(by) = moved.reversed_by.filter(|_| done.replayed) {
                    return Err(BooksError::Refused(format!(
                        "by this key step {step} noted it, which step {by} has reversed: with another key (--key) it is noted again"
                    )));
                }
                if !done.replayed {
                    tracing::info!(campaign = campaign.as_str(), step, "money was moved in the books");
                }
                Ok(moved)
            }
            Err(Refused::UnknownCampaign) => Err(BooksError::UnknownCampaign),
            Err(Refused::KeyReused) => Err(BooksError::KeyReused),
            Err(Refused::ReferenceUsed { step }) => Err(self.used(campaign, step).await?),
            Err(Refused::OtherKind) => Err(no_such_move()),
            Err(Refused::Reversed { by }) => {
                Err(BooksError::Refused(format!("it was reversed already, by step {by}")))
            }
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
        let row = self.step(step).await?;
        let MoneyMoved { at, from, to, amount, reference, posting, .. } =
            self.moved(campaign, &row, false).await?;
        let (reference, posting) = (reference.unwrap_or_default(), posting.unwrap_or_default());
        Ok(BooksError::ReferenceUsed(format!(
            "reference {reference} is in the books already: posting {posting} (step {step}) moved {amount} from {from} \
             to {to} at {at}; if that was a mistake, reverse step {step} first"
        )))
    }

    /// A step that is there.
    async fn step(&self, number: u64) -> Result<StepRow, LedgerError> {
        let rows = self.ledger().steps(number.saturating_sub(1), 1).await?;
        let row = rows.into_iter().find(|row| row.number == number);
        row.ok_or_else(|| LedgerError::Corrupt(format!("step {number} is not there")))
    }
}

fn unknown_move(step: u64) -> BooksError {
    BooksError::Refused(format!("with step {step} nobody moved money of this campaign in its books"))
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
