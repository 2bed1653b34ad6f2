//! `/admin/v1/vouchers/{code}`: a voucher's whole life, and what staff decide of it.

use super::admin::{Admin, Asked, failed, to_reply};
use super::admin_books::after;
use super::problem::Problem;
use super::reply::Reply;
use crate::backoffice::admin_api::Decide;
use crate::backoffice::vouchers::VoucherError;
use crate::domain::cause::Cause;
use crate::ledger::life::Verdict;

pub(super) async fn show(admin: &Admin, asked: &Asked<'_>) -> Result<Reply, Problem> {
    let after = after(asked.query, "a step")?;
    to_reply(&admin.vouchers.show(asked.parameter(), after).await.map_err(refused)?)
}

pub(super) async fn decide(admin: &Admin, asked: Asked<'_>, verdict: Verdict) -> Result<Reply, Problem> {
    let (caller, code) = (asked.caller()?.clone(), asked.parameter().to_owned());
    let Decide { reason } = asked.json().await?;
    to_reply(&admin.vouchers.decide(&caller, &code, verdict, &reason).await.map_err(refused)?)
}

fn refused(error: VoucherError) -> Problem {
    let what = error.to_string();
    match error {
        VoucherError::Unknown => Cause::UnknownVoucher.into(),
        VoucherError::NotYet => Problem::with_detail(Cause::Unavailable, what),
        VoucherError::Invalid(what) => Problem::with_detail(Cause::BadRequest, what),
        VoucherError::Refused(what) => Problem::with_detail(Cause::VoucherRefused, what),
        VoucherError::Changed => Problem::with_detail(Cause::Conflict, what),
        VoucherError::Ledger(error) => failed(&error),
    }
}
