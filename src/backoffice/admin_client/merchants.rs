//! Calls about merchants.

use bytes::Bytes;
use hyper::Method;

use super::{AdminClient, AdminError, segment, to_body};
use crate::backoffice::admin_api::{ImportReport, MerchantList, MerchantView, Review, Suspend};

impl AdminClient {
    /// Merchants after id `after`.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn merchants(&self, after: &str) -> Result<MerchantList, AdminError> {
        self.call(Method::GET, &format!("/admin/v1/merchants?after={}", segment(after)), Bytes::new()).await
    }

    /// One merchant.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn merchant(&self, id: &str) -> Result<MerchantView, AdminError> {
        self.call(Method::GET, &format!("/admin/v1/merchants/{}", segment(id)), Bytes::new()).await
    }

    /// Enters what a file says.
    ///
    /// # Errors
    /// [`AdminError::Refused`] has a line for each flaw.
    pub async fn import_merchants(&self, file: Vec<u8>, dry_run: bool) -> Result<ImportReport, AdminError> {
        let path = if dry_run { "/admin/v1/merchants?dry_run=true" } else { "/admin/v1/merchants" };
        self.call(Method::POST, path, file.into()).await
    }

    /// Finds what was entered of a merchant good, as it was at the revision that was seen.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn review_merchant(&self, id: &str, revision: Option<u64>) -> Result<MerchantView, AdminError> {
        let path = format!("/admin/v1/merchants/{}/review", segment(id));
        self.call(Method::POST, &path, to_body(&Review { revision })?).await
    }

    /// Has a merchant take vouchers.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn activate_merchant(&self, id: &str) -> Result<MerchantView, AdminError> {
        let path = format!("/admin/v1/merchants/{}/activate", segment(id));
        self.call(Method::POST, &path, Bytes::new()).await
    }

    /// Has a merchant take none.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn suspend_merchant(&self, id: &str, reason: String) -> Result<MerchantView, AdminError> {
        let path = format!("/admin/v1/merchants/{}/suspend", segment(id));
        self.call(Method::POST, &path, to_body(&Suspend { reason })?).await
    }
}
