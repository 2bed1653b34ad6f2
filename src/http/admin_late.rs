//! `/admin/v1/late-payments`: payments for units that could not be had any more, and their refunds.

use super::admin::{Admin, Asked, failed, to_reply};
use super::admin_receipts::number;
use super::problem::Problem;
use super::reply::Reply;
use crate::backoffice::admin_api::PaymentRefunded;
use crate::backoffice::holds::HoldError;
use crate::domain::cause::Cause;

pub(super) async fn list(admin: &Admin, asked: &Asked<'_>) -> Result<Reply, Problem> {
    let after = match asked.query.map(|query| query.strip_prefix("after=").and_then(number)) {
        None => 0,
        Some(after) => after.ok_or_else(|| {
            Problem::with_detail(Cause::BadRequest, "after must be the number of a late payment")
        })?,
    };
    to_reply(&admin.holds.late_payments(after).await.map_err(|error| failed(&error))?)
}

pub(super) async fn refunded(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let number = number(asked.parameter()).ok_or(Cause::UnknownPayment)?;
    let actor = asked.caller()?.actor.to_string();
    let PaymentRefunded { reference } = asked.json().await?;
    to_reply(&admin.holds.refunded(number, &reference, &actor).await.map_err(refused)?)
}

fn refused(error: HoldError) -> Problem {
    match error {
        HoldError::Unknown => Cause::UnknownPayment.into(),
        HoldError::NotHeld(what) => Problem::with_detail(Cause::BadRequest, what),
        error => failed(&error),
    }
}
