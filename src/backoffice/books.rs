//! A campaign's books: what every account holds and why, closed periods, payments to merchants and transfers.
//!
//! Owns what staff see of them and what finance notes in them. All of it is the ledger's; each note is a step under
//! the audit chain, with a reference, a reason and who made it, and its idempotency key makes it once.

mod views;

use std::sync::Arc;

use self::views::{books, period, posting};
use super::access::Caller;
use super::admin_api::{
    BooksView, MoneyMoved, MoneyMovedList, MoveMoney, PayMerchant, PeriodList, PeriodView, PostingList,
    RepayMerchant,
};
use super::campaigns::Campaigns;
use super::decision::{Decision, checked};
use crate::clock::{UnixMs, rfc3339};
use crate::domain::ids::CampaignId;
use crate::domain::life::{Pot, Step};
use crate::domain::merchant::check_id;
use crate::domain::money::Fen;
use crate::ledger::life::{Action, Key, Refused, Request, StepRow};
use crate::ledger::postings::Account;
use crate::ledger::{CampaignRecord, CloseRefused, Ledger, LedgerError};
use crate::limits;

/// Why nothing was shown or noted.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    /// There is no such campaign.
    #[error("there is no such campaign")]
    UnknownCampaign,
    /// What was said is not enough, or wrong.
    #[error("{0}")]
    Invalid(String),
    /// The books do not allow it.
    #[error("{0}")]
    Refused(String),
    /// Money was moved between these accounts by this reference before.
    #[error("{0}")]
    ReferenceUsed(String),
    /// The key was used for something else.
    #[error("the idempotency key was used for something else")]
    KeyReused,
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Shows books and notes in them.
pub struct Books {
    campaigns: Arc<Campaigns>,
}

impl Books {
    /// Of these campaigns.
    #[must_use]
    pub fn new(campaigns: Arc<Campaigns>) -> Self {
        Self { campaigns }
    }

    fn ledger(&self) -> &dyn Ledger {
        &*self.campaigns.ledger
    }

    async fn campaign(&self, id: &str) -> Result<CampaignRecord, BooksError> {
        let catalogue = self.ledger().catalogue().await?;
        let found = catalogue.campaigns.into_iter().find(|record| record.campaign.id.as_str() == id);
        found.ok_or(BooksError::UnknownCampaign)
    }

    /// A campaign's accounts from all that was posted before `at_ms`; from everything without it.
    ///
    /// # Errors
    /// [`BooksError`].
    pub async fn show(&self, id: &str, at_ms: Option<UnixMs>) -> Result<BooksView, BooksError> {
        let record = self.campaign(id).await?;
        let before_ms = at_ms.unwrap_or(UnixMs::MAX);
        let movements = self.ledger().movements(&record.campaign.id, before_ms).await?;
        let at_ms = at_ms.unwrap_or_else(|| self.campaigns.redis_now_ms());
        books(&record.campaign, at_ms, &movements).map_err(|what| LedgerError::Corrupt(what).into())
    }

    /// Postings after number `after`, at most [`limits::POSTINGS_PAGE`].
    ///
    /// # Errors
    /// [`BooksError`].
    pub async fn postings(&self, id: &str, after: u64) -> Result<PostingList, BooksError> {
        let campaign = self.campaign(id).await?.campaign.id;
        let rows = self.ledger().postings(&campaign, after, limits::POSTINGS_PAGE).await?;
        let next = next(limits::POSTINGS_PAGE, rows.len(), rows.last().map(|row| row.number));
        Ok(PostingList { postings: rows.iter().map(posting).collect(), next })
    }

    /// Closed periods after number `after`, at most [`limits::PERIODS_PAGE`].
    ///
    /// # Errors
    /// [`BooksError`].
    pub async fn periods(&self, id: &str, after: u64) -> Result<PeriodList, BooksError> {
        let campaign = self.campaign(id).await?.campaign.id;
        let rows = self.ledger().periods_of(&campaign, after, limits::PERIODS_PAGE).await?;
        let next = next(limits::PERIODS_PAGE, rows.len(), rows.last().map(|row| row.number));
        Ok(PeriodList { periods: rows.iter().map(period).collect(), next })
    }

    /// Closes the books from the end of the last period until an instant (RFC 3339).
    ///
    /// # Errors
    /// [`BooksError`]; nothing was closed then.
    pub async fn close(&self, by: &Caller, id: &str, until: &str) -> Result<PeriodView, BooksError> {
        let until: jiff::Timestamp = until.parse().map_err(|_| {
            BooksError::Invalid(format!("until: {until:?} is not like 2023-12-01T00:00:00+08:00"))
        })?;
        let campaign = campaign_id(id)?;
        let now_ms = self.campaigns.redis_now_ms();
        let actor = by.actor.to_string();
        let closed = self.ledger().close_period(&campaign, until.as_millisecond(), &actor, now_ms).await?;
        match closed {
            Ok(closed) => {
                tracing::info!(campaign = id, period = closed.number, "a period was closed");
                Ok(period(&closed))
            }
            Err(CloseRefused::UnknownCampaign) => Err(BooksError::UnknownCampaign),
            Err(refused) => Err(BooksError::Refused(refused.to_string())),
        }
    }

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
    ) -> Result<MoneyMoved, BooksError> {
        let campaign = campaign_id(id)?;
        check_id(&paid.merchant).map_err(|what| BooksError::Invalid(format!("merchant: {what}")))?;
        let (amount, decision) = said(by, &paid.amount, &paid.reference, &paid.reason)?;
        let payment = decision.reference.clone().unwrap_or_default();
        let detail = Some(decision.to_text().map_err(BooksError::Invalid)?);
        let merchant = paid.merchant.clone();
        let action = Action::Settle { campaign: campaign.clone(), merchant, amount, payment, detail };
        let account = Account::Payable(paid.merchant.clone());
        self.take(&campaign, action, key, &account.name()).await
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
    ) -> Result<MoneyMoved, BooksError> {
        let campaign = campaign_id(id)?;
        check_id(&repaid.merchant).map_err(|what| BooksError::Invalid(format!("merchant: {what}")))?;
        let (amount, decision) = said(by, &repaid.amount, &repaid.reference, &repaid.reason)?;
        let payment = decision.reference.clone().unwrap_or_default();
        let detail = Some(decision.to_text().map_err(BooksError::Invalid)?);
        let merchant = repaid.merchant.clone();
        let action = Action::Repay { campaign: campaign.clone(), merchant, amount, payment, detail };
        let account = Account::Payable(repaid.merchant.clone());
        self.take(&campaign, action, key, &account.name()).await
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
    ) -> Result<MoneyMoved, BooksError> {
        let campaign = campaign_id(id)?;
        let pot = |name: &str, word: &str| {
            Pot::parse(word)
                .ok_or_else(|| BooksError::Invalid(format!("{name}: there is no account {word:?}")))
        };
        let (from, to) = (pot("from", &moved.from)?, pot("to", &moved.to)?);
        let (amount, decision) = said(by, &moved.amount, &moved.reference, &moved.reason)?;
        let reference = decision.reference.clone().unwrap_or_default();
        let reason = decision.to_text().map_err(BooksError::Invalid)?;
        let over = from != Pot::Recovered && self.is_over(&campaign).await;
        let action = Action::Move { campaign: campaign.clone(), from, to, amount, reference, reason, over };
        self.take(&campaign, action, key, from.as_str()).await
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
            Err(Refused::OtherKind) => {
                let what = "money goes from recycled to treasury, or from recovered to treasury or recycled; and from \
                            unissued to treasury of a campaign that ended";
                Err(BooksError::Invalid(what.to_owned()))
            }
            Err(Refused::TooMuch) => {
                let holds = self.ledger().accounts(campaign).await?.get(account).copied().unwrap_or_default();
                let kept = match Pot::parse(account) {
                    Some(Pot::Recycled) => {
                        ", and what may still be claimed, or is not in the ledger yet, has to stay paid for"
                    }
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

    /// Payments to merchants (`Step::Settled`), by them (`Step::Repaid`), or transfers (`Step::Moved`) after number `after`, at most
    /// [`limits::MONEY_STEPS_PAGE`].
    ///
    /// # Errors
    /// [`BooksError`].
    pub async fn moves(&self, id: &str, kind: Step, after: u64) -> Result<MoneyMovedList, BooksError> {
        let campaign = self.campaign(id).await?.campaign.id;
        let rows = self.ledger().money_steps(&campaign, kind, after, limits::MONEY_STEPS_PAGE).await?;
        let next = next(limits::MONEY_STEPS_PAGE, rows.len(), rows.last().map(|row| row.number));
        let mut moves = Vec::with_capacity(rows.len());
        for row in &rows {
            moves.push(self.moved(&campaign, row, false).await?);
        }
        Ok(MoneyMovedList { moves, next })
    }

    async fn moved(
        &self,
        campaign: &CampaignId,
        row: &StepRow,
        replayed: bool,
    ) -> Result<MoneyMoved, LedgerError> {
        let (from, to) = flow(self.ledger(), campaign, row.posting).await?.unwrap_or_default();
        let decided = Decision::read(row.detail.as_deref());
        Ok(MoneyMoved {
            number: row.number,
            at: rfc3339(row.at_ms),
            from,
            to,
            amount: Fen(row.moved).to_string(),
            reference: decided.as_ref().and_then(|decided| decided.reference.clone()),
            reason: decided.as_ref().map(|decided| decided.reason.clone()),
            by: decided.map(|decided| decided.by.to_string()),
            posting: row.posting,
            replayed,
        })
    }
}

/// From which account to which a step's posting moved its money; nothing for a step without one.
pub(super) async fn flow(
    ledger: &dyn Ledger,
    campaign: &CampaignId,
    number: Option<u64>,
) -> Result<Option<(String, String)>, LedgerError> {
    let Some(number) = number else { return Ok(None) };
    let rows = ledger.postings(campaign, number.saturating_sub(1), 1).await?;
    let Some(row) = rows.into_iter().find(|row| row.number == number) else { return Ok(None) };
    let mut flow = (String::new(), String::new());
    for (account, amount) in row.lines {
        if amount.0 < 0 { flow.0 = account } else { flow.1 = account }
    }
    Ok(Some(flow))
}

fn campaign_id(id: &str) -> Result<CampaignId, BooksError> {
    CampaignId::new(id).map_err(|_| BooksError::UnknownCampaign)
}

/// What to ask for the next page with, where there may be one.
pub(super) fn next(page: u32, rows: usize, last: Option<u64>) -> Option<u64> {
    last.filter(|_| u32::try_from(rows).is_ok_and(|rows| rows == page))
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
    Ok((amount, Decision { reason, reference: Some(reference), by: by.actor.clone() }))
}
