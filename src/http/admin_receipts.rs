//! `/admin/v1/receipts`: what people showed that no store knows, and what staff decide of it.

use super::admin::{Admin, Asked, failed, to_reply};
use super::problem::Problem;
use super::reply::Reply;
use crate::backoffice::admin_api::{Honour, Void};
use crate::backoffice::receipts::SettleError;
use crate::domain::cause::Cause;
use crate::domain::ids::row_number;

pub(super) async fn list(admin: &Admin, asked: &Asked<'_>) -> Result<Reply, Problem> {
    let after = match asked.query.map(|query| query.strip_prefix("after=").and_then(number)) {
        None => 0,
        Some(after) => after.ok_or_else(|| {
            Problem::with_detail(Cause::BadRequest, "after must be the number of a receipt")
        })?,
    };
    to_reply(&admin.receipts.list(after).await.map_err(|error| failed(&error))?)
}

pub(super) async fn honour(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (number, actor) = (receipt_number(asked.parameter())?, asked.caller()?.actor.to_string());
    let Honour { from } = asked.json().await?;
    to_reply(&admin.receipts.honour(number, from.as_deref(), &actor).await.map_err(refused)?)
}

pub(super) async fn void(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (number, actor) = (receipt_number(asked.parameter())?, asked.caller()?.actor.to_string());
    let Void { reason } = asked.json().await?;
    to_reply(&admin.receipts.void(number, &reason, &actor).await.map_err(refused)?)
}

fn receipt_number(text: &str) -> Result<u64, Problem> {
    number(text).ok_or(Cause::UnknownReceipt.into())
}

/// The number of a row, as a path or a query names it.
pub(super) fn number(text: &str) -> Option<u64> {
    text.parse().ok().and_then(row_number)
}

fn refused(error: SettleError) -> Problem {
    match error {
        SettleError::Unknown(_) => Problem::with_detail(Cause::UnknownReceipt, error.to_string()),
        SettleError::Invalid(what) => Problem::with_detail(Cause::BadRequest, what),
        SettleError::Refused { .. } => Problem::with_detail(Cause::ReceiptRefused, error.to_string()),
        SettleError::Failed(what) => failed(&what),
    }
}
