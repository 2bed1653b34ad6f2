//! `/admin/v1/quarantine`: journal entries that nobody could understand, and what staff found of them.

use super::admin::{Admin, Asked, failed, to_reply};
use super::admin_books::after;
use super::admin_receipts::number;
use super::problem::Problem;
use super::reply::Reply;
use crate::backoffice::admin_api::SettleEntry;
use crate::backoffice::quarantine::QuarantineError;
use crate::domain::cause::Cause;
use crate::ledger::LedgerError;

pub(super) async fn list(admin: &Admin, asked: &Asked<'_>) -> Result<Reply, Problem> {
    let after = after(asked.query, "an entry")?;
    to_reply(&admin.quarantine.list(after).await.map_err(|error| failed(&error))?)
}

pub(super) async fn settle(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let number = number(asked.parameter()).ok_or(Cause::UnknownEntry)?;
    let caller = asked.caller()?.clone();
    let SettleEntry { note } = asked.json().await?;
    to_reply(&admin.quarantine.settle(&caller, number, &note).await.map_err(refused)?)
}

fn refused(error: QuarantineError) -> Problem {
    match error {
        QuarantineError::Unknown(_) => Problem::with_detail(Cause::UnknownEntry, error.to_string()),
        QuarantineError::Invalid(what) => Problem::with_detail(Cause::BadRequest, what),
        QuarantineError::Ledger(LedgerError::StaleDocument { .. }) => {
            Problem::with_detail(Cause::Conflict, error.to_string())
        }
        QuarantineError::Ledger(error) => failed(&error),
    }
}
