//! Calls about books.

use bytes::Bytes;
use hyper::Method;

use super::{AdminClient, AdminError, to_body};
use crate::backoffice::admin_api::{
    BooksView, ClosePeriod, MoneyMovedList, MoneyNoted, MoneyWaits, MoveMoney, PayMerchant, PeriodList,
    PeriodView, PostingList, RepayMerchant, ReverseMove, WaitingList, WithdrawMove,
};
use crate::clock::UnixMs;
use crate::domain::ids::CampaignId;

fn path(campaign: &CampaignId, what: &str) -> String {
    format!("/admin/v1/campaigns/{campaign}/{what}")
}

impl AdminClient {
    /// A campaign's accounts from what was posted before an instant; from everything without it.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn books(&self, id: &CampaignId, at_ms: Option<UnixMs>) -> Result<BooksView, AdminError> {
        let query = at_ms.map_or_else(String::new, |at_ms| format!("?at_ms={at_ms}"));
        self.call(Method::GET, &path(id, &format!("books{query}")), Bytes::new()).await
    }

    /// Postings after number `after`.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn postings(&self, id: &CampaignId, after: u64) -> Result<PostingList, AdminError> {
        self.call(Method::GET, &path(id, &format!("postings?after={after}")), Bytes::new()).await
    }

    /// Closed periods after number `after`.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn periods(&self, id: &CampaignId, after: u64) -> Result<PeriodList, AdminError> {
        self.call(Method::GET, &path(id, &format!("periods?after={after}")), Bytes::new()).await
    }

    /// Closes the books until an instant (RFC 3339).
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn close_period(&self, id: &CampaignId, until: String) -> Result<PeriodView, AdminError> {
        self.call(Method::POST, &path(id, "periods"), to_body(&ClosePeriod { until })?).await
    }

    /// Payments to merchants after number `after`.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn payments(&self, id: &CampaignId, after: u64) -> Result<MoneyMovedList, AdminError> {
        self.call(Method::GET, &path(id, &format!("payments?after={after}")), Bytes::new()).await
    }

    /// Transfers between accounts after number `after`.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn transfers(&self, id: &CampaignId, after: u64) -> Result<MoneyMovedList, AdminError> {
        self.call(Method::GET, &path(id, &format!("transfers?after={after}")), Bytes::new()).await
    }

    /// Notes that a merchant was paid, once for an idempotency key.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn pay(
        &self,
        id: &CampaignId,
        key: &str,
        paid: &PayMerchant,
    ) -> Result<MoneyNoted, AdminError> {
        self.call_once(&path(id, "payments"), key, to_body(paid)?).await
    }

    /// Payments by merchants after number `after`.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn repayments(&self, id: &CampaignId, after: u64) -> Result<MoneyMovedList, AdminError> {
        self.call(Method::GET, &path(id, &format!("repayments?after={after}")), Bytes::new()).await
    }

    /// Notes that a merchant gave back what it owed, once for an idempotency key.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn repay(
        &self,
        id: &CampaignId,
        key: &str,
        repaid: &RepayMerchant,
    ) -> Result<MoneyNoted, AdminError> {
        self.call_once(&path(id, "repayments"), key, to_body(repaid)?).await
    }

    /// Moves money from one account to another, once for an idempotency key.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn transfer(
        &self,
        id: &CampaignId,
        key: &str,
        wanted: &MoveMoney,
    ) -> Result<MoneyNoted, AdminError> {
        self.call_once(&path(id, "transfers"), key, to_body(wanted)?).await
    }

    /// Reversals after number `after`.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn reversals(&self, id: &CampaignId, after: u64) -> Result<MoneyMovedList, AdminError> {
        self.call(Method::GET, &path(id, &format!("reversals?after={after}")), Bytes::new()).await
    }

    /// Reverses what was noted by mistake, once for an idempotency key.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn reverse(
        &self,
        id: &CampaignId,
        key: &str,
        reversed: &ReverseMove,
    ) -> Result<MoneyNoted, AdminError> {
        self.call_once(&path(id, "reversals"), key, to_body(reversed)?).await
    }

    /// What waits for another person, after the one with the id `after`.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn waiting(&self, id: &CampaignId, after: Option<&str>) -> Result<WaitingList, AdminError> {
        let query = after.map_or_else(String::new, |after| format!("?after={after}"));
        self.call(Method::GET, &path(id, &format!("waiting{query}")), Bytes::new()).await
    }

    /// Withdraws what waits, and gives it as it was.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn withdraw(&self, id: &CampaignId, what: String) -> Result<MoneyWaits, AdminError> {
        self.call(Method::POST, &path(id, "waiting/withdraw"), to_body(&WithdrawMove { id: what })?).await
    }
}
