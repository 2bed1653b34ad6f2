//! `/admin/v1/bans`: whom staff keep out.

use super::admin::{Admin, Asked, failed, to_reply};
use super::problem::Problem;
use super::reply::Reply;
use crate::backoffice::admin_api::{BanPerson, LiftBan};
use crate::backoffice::bans::BanError;
use crate::domain::cause::Cause;
use crate::ledger::LedgerError;

pub(super) async fn list(admin: &Admin, asked: &Asked<'_>) -> Result<Reply, Problem> {
    let cursor = match asked.query.map(|query| query.strip_prefix("after=")) {
        None => None,
        Some(Some(cursor)) => Some(cursor),
        Some(None) => return Err(Problem::with_detail(Cause::BadRequest, "the one parameter is after")),
    };
    to_reply(&admin.bans.list(cursor).await.map_err(refused)?)
}

pub(super) async fn add(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let caller = asked.caller()?.clone();
    let BanPerson { person, reason, until } = asked.json().await?;
    to_reply(&admin.bans.add(&caller, &person, &reason, until.as_deref()).await.map_err(refused)?)
}

pub(super) async fn lift(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let caller = asked.caller()?.clone();
    let LiftBan { person } = asked.json().await?;
    to_reply(&admin.bans.lift(&caller, &person).await.map_err(refused)?)
}

fn refused(error: BanError) -> Problem {
    match error {
        BanError::Unknown(_) => Problem::with_detail(Cause::UnknownBan, error.to_string()),
        BanError::Refused(what) => Problem::with_detail(Cause::BadRequest, what),
        BanError::Ledger(LedgerError::StaleDocument { .. }) => {
            Problem::with_detail(Cause::Conflict, error.to_string())
        }
        BanError::Ledger(error) => failed(&error),
    }
}
