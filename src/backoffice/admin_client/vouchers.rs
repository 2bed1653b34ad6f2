//! Calls about vouchers.

use bytes::Bytes;
use hyper::Method;

use super::{AdminClient, AdminError, segment, to_body};
use crate::backoffice::admin_api::{Decide, VoucherView};
use crate::ledger::life::Verdict;

impl AdminClient {
    /// A voucher by its code or its claim's id, with its steps after number `after`.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn voucher(&self, code: &str, after: u64) -> Result<VoucherView, AdminError> {
        let path = format!("/admin/v1/vouchers/{}?after={after}", segment(code));
        self.call(Method::GET, &path, Bytes::new()).await
    }

    /// Decides of a voucher.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn decide(
        &self,
        code: &str,
        verdict: Verdict,
        reason: String,
    ) -> Result<VoucherView, AdminError> {
        let word = match verdict {
            Verdict::Freeze => "freeze",
            Verdict::Release => "release",
            Verdict::Void => "void",
            Verdict::Recover => "recover",
        };
        let path = format!("/admin/v1/vouchers/{}/{word}", segment(code));
        self.call(Method::POST, &path, to_body(&Decide { reason })?).await
    }
}
