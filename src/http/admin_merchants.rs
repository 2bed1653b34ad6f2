//! `/admin/v1/merchants`: entered from files, reviewed, activated, suspended.

use super::admin::{Admin, Asked, failed, to_reply};
use super::problem::Problem;
use super::reply::Reply;
use crate::backoffice::admin_api::{MerchantList, Review, Suspend};
use crate::backoffice::merchants::MerchantError;
use crate::backoffice::merchants::file;
use crate::domain::cause::Cause;
use crate::domain::merchant::Step;
use crate::ledger::LedgerError;
use crate::limits;

pub(super) async fn list(admin: &Admin, asked: &Asked<'_>) -> Result<Reply, Problem> {
    let after = asked.query.unwrap_or("after=").strip_prefix("after=");
    let after = after.ok_or_else(|| {
        Problem::with_detail(Cause::BadRequest, "the one parameter is after, the id of a merchant")
    })?;
    let merchants = admin.merchants.list(after).await.map_err(|error| failed(&error))?;
    to_reply(&MerchantList { merchants })
}

pub(super) async fn show(admin: &Admin, asked: &Asked<'_>) -> Result<Reply, Problem> {
    to_reply(&admin.merchants.show(asked.parameter()).await.map_err(refused)?)
}

pub(super) async fn import(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let dry_run = match asked.query {
        None => false,
        Some("dry_run=true") => true,
        Some(_) => {
            return Err(Problem::with_detail(Cause::BadRequest, "the one parameter is dry_run=true"));
        }
    };
    let caller = asked.caller()?.clone();
    let bytes = asked.bytes(limits::IMPORT_BYTES_MAX).await?;
    // A workbook may take a while to unpack.
    let rows =
        tokio::task::spawn_blocking(move || file::read(&bytes)).await.map_err(|error| failed(&error))?;
    let rows = rows.map_err(MerchantError::Flaws).map_err(refused)?;
    to_reply(&admin.merchants.import(&caller, rows, dry_run).await.map_err(refused)?)
}

pub(super) async fn review(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (caller, id) = (asked.caller()?.clone(), asked.parameter().to_owned());
    let Review { revision } = asked.json_if_any().await?;
    to_reply(&admin.merchants.review(&caller, &id, revision).await.map_err(refused)?)
}

pub(super) async fn activate(admin: &Admin, asked: &Asked<'_>) -> Result<Reply, Problem> {
    let done = admin.merchants.step(asked.caller()?, asked.parameter(), Step::Activate, None).await;
    to_reply(&done.map_err(refused)?)
}

pub(super) async fn suspend(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (caller, id) = (asked.caller()?.clone(), asked.parameter().to_owned());
    let Suspend { reason } = asked.json().await?;
    let done = admin.merchants.step(&caller, &id, Step::Suspend, Some(reason)).await;
    to_reply(&done.map_err(refused)?)
}

fn refused(error: MerchantError) -> Problem {
    match error {
        MerchantError::Unknown(_) => Problem::with_detail(Cause::UnknownMerchant, error.to_string()),
        MerchantError::Invalid(what) => Problem::with_detail(Cause::BadRequest, what),
        MerchantError::Refused(..) | MerchantError::TooMany(_) => {
            Problem::with_detail(Cause::MerchantRefused, error.to_string())
        }
        MerchantError::Flaws(ref flaws) => {
            let errors = serde_json::to_string(flaws).unwrap_or_default();
            Problem {
                errors: Some(errors.into()),
                ..Problem::with_detail(Cause::ImportRefused, error.to_string())
            }
        }
        MerchantError::Ledger(LedgerError::StaleDocument { .. }) => {
            Problem::with_detail(Cause::Conflict, error.to_string())
        }
        MerchantError::Ledger(error) => failed(&error),
    }
}
