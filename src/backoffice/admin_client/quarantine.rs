//! Calls about the quarantine.

use bytes::Bytes;
use hyper::Method;

use super::{AdminClient, AdminError, to_body};
use crate::backoffice::admin_api::{EntryView, QuarantineList, SettleEntry};

impl AdminClient {
    /// Entries in quarantine after number `after`.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn quarantine(&self, after: u64) -> Result<QuarantineList, AdminError> {
        self.call(Method::GET, &format!("/admin/v1/quarantine?after={after}"), Bytes::new()).await
    }

    /// Says what was found of an entry.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn settle_entry(&self, number: u64, note: String) -> Result<EntryView, AdminError> {
        let body = to_body(&SettleEntry { note })?;
        self.call(Method::POST, &format!("/admin/v1/quarantine/{number}/settle"), body).await
    }
}
