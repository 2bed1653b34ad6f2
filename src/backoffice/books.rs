//! A campaign's books: what every account holds and why, closed periods, payments to merchants, transfers, and what was reversed of them.
//!
//! Owns what staff see of them and what finance notes in them. All of it is the ledger's; each note is a step under
//! the audit chain, with a reference, a reason and who made it, and its idempotency key makes it once.

mod agreed;
mod notes;
mod views;
mod waiting;

use std::sync::Arc;

use self::views::{books, period, posting};
use super::access::Caller;
use super::admin_api::{BooksView, MoneyMoved, MoneyMovedList, PeriodList, PeriodView, PostingList};
use super::campaigns::Campaigns;
use super::decision::Decision;
use crate::clock::{UnixMs, rfc3339};
use crate::config::Approval;
use crate::domain::ids::CampaignId;
use crate::domain::life::Step;
use crate::domain::money::Fen;
use crate::ledger::life::{MoneyMove, StepRow};
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
    approval: Approval,
}

impl Books {
    /// Of these campaigns.
    #[must_use]
    pub fn new(campaigns: Arc<Campaigns>, approval: Approval) -> Self {
        Self { campaigns, approval }
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

    /// Payments to merchants (`Step::Settled`), by them (`Step::Repaid`), transfers (`Step::Moved`), or reversals (`Step::Contra`) after
    /// number `after`, at most [`limits::MONEY_STEPS_PAGE`].
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
        let moved = self.ledger().money_move(campaign, row.number).await?;
        let names = |moved: &MoneyMove| (moved.from.name().into_owned(), moved.to.name().into_owned());
        let (from, to) = moved.as_ref().map(names).unwrap_or_default();
        let decided = Decision::read(row.detail.as_deref());
        Ok(MoneyMoved {
            number: row.number,
            at: rfc3339(row.at_ms),
            from,
            to,
            amount: Fen(row.moved).to_string(),
            reference: decided.as_ref().and_then(|decided| decided.reference.clone()),
            reason: decided.as_ref().map(|decided| decided.reason.clone()),
            by: decided.map(|decided| decided.made_by()),
            posting: row.posting,
            reverses: row.redemption,
            reversed_by: moved.and_then(|moved| moved.contra),
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
