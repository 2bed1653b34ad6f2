//! `/admin/v1/keys` and `/admin/v1/me`: who has keys, and what the caller may do.

use super::admin::{Admin, Asked, failed, to_reply};
use super::problem::Problem;
use super::reply::{self, Reply};
use crate::backoffice::access::{KeyError, KeyView};
use crate::backoffice::admin_api::{AddKey, KeyList, MadeKey, Me, RotateKey};
use crate::domain::access::{KeyText, Permission};
use crate::domain::cause::Cause;
use crate::ledger::LedgerError;

pub(super) fn who_am_i(asked: &Asked<'_>) -> Result<Reply, Problem> {
    let caller = asked.caller()?;
    let may = Permission::ALL.iter().copied().filter(|permission| caller.role.may(*permission));
    to_reply(&Me {
        role: caller.role,
        name: caller.actor.name.clone(),
        key: caller.actor.key.clone(),
        merchant: caller.merchant.clone(),
        may: may.map(|permission| permission.as_str().to_owned()).collect(),
    })
}

pub(super) async fn list(admin: &Admin) -> Result<Reply, Problem> {
    to_reply(&KeyList { keys: admin.access.list().await.map_err(|error| failed(&error))? })
}

pub(super) async fn add(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let caller = asked.caller()?.clone();
    let AddKey { role, name, merchant } = asked.json().await?;
    made(admin.access.add(&caller, role, &name, merchant).await.map_err(refused)?)
}

pub(super) async fn rotate(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (caller, id) = (asked.caller()?.clone(), asked.parameter().to_owned());
    let RotateKey { overlap_s } = asked.json().await?;
    let overlap_ms = i64::from(overlap_s).saturating_mul(1_000);
    made(admin.access.rotate(&caller, &id, overlap_ms).await.map_err(refused)?)
}

pub(super) async fn revoke(admin: &Admin, asked: &Asked<'_>) -> Result<Reply, Problem> {
    to_reply(&admin.access.revoke(asked.caller()?, asked.parameter()).await.map_err(refused)?)
}

/// 201 with the key's text: it is not shown again.
fn made((view, key): (KeyView, KeyText)) -> Result<Reply, Problem> {
    let made = MadeKey { view, key: key.expose() };
    serde_json::to_string(&made).map(reply::created).map_err(|error| failed(&error))
}

fn refused(error: KeyError) -> Problem {
    match error {
        KeyError::Unknown(_) => Problem::with_detail(Cause::UnknownKey, error.to_string()),
        KeyError::Refused(what) => Problem::with_detail(Cause::KeyRefused, what),
        KeyError::Forbidden(_) => Problem::with_detail(Cause::Forbidden, error.to_string()),
        KeyError::Ledger(LedgerError::StaleDocument { .. }) => {
            Problem::with_detail(Cause::Conflict, error.to_string())
        }
        KeyError::Ledger(error) => failed(&error),
    }
}
