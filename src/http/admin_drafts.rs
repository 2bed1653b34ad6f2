//! `/admin/v1/drafts`, and copies of campaigns: made by one, approved by another.

use super::admin::{Admin, Asked, failed, to_reply};
use super::admin_campaigns::{opens_at_ms, refused as not_applied};
use super::problem::Problem;
use super::reply::Reply;
use crate::backoffice::admin_api::{Approve, Copy, DraftList};
use crate::backoffice::drafts::DraftError;
use crate::domain::cause::Cause;
use crate::domain::ids::CampaignId;
use crate::ledger::LedgerError;
use crate::limits;

pub(super) async fn list(admin: &Admin) -> Result<Reply, Problem> {
    to_reply(&DraftList { drafts: admin.drafts.list().await.map_err(|error| failed(&error))? })
}

pub(super) async fn show(admin: &Admin, asked: &Asked<'_>) -> Result<Reply, Problem> {
    to_reply(&admin.drafts.show(asked.parameter()).await.map_err(refused)?)
}

pub(super) async fn make(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let opens_at_ms = opens_at_ms(asked.query)?;
    let caller = asked.caller()?.clone();
    let body = asked.bytes(limits::CAMPAIGN_FILE_BYTES_MAX).await?;
    let text = std::str::from_utf8(&body)
        .map_err(|_| Problem::with_detail(Cause::BadRequest, "the campaign file is not UTF-8"))?;
    to_reply(&admin.drafts.draft(&caller, text, opens_at_ms).await.map_err(refused)?)
}

pub(super) async fn copy(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (caller, id) = (asked.caller()?.clone(), asked.parameter().to_owned());
    let Copy { id: new, opens_at_ms } = asked.json().await?;
    let new = CampaignId::new(&new)
        .map_err(|error| Problem::with_detail(Cause::BadRequest, format!("id {error}")))?;
    to_reply(&admin.drafts.copy(&caller, &id, new, opens_at_ms).await.map_err(refused)?)
}

pub(super) async fn approve(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let (caller, id) = (asked.caller()?.clone(), asked.parameter().to_owned());
    let Approve { revision } = asked.json_if_any().await?;
    to_reply(&admin.drafts.approve(&caller, &id, revision).await.map_err(refused)?)
}

fn refused(error: DraftError) -> Problem {
    match error {
        DraftError::UnknownDraft(_) => Problem::with_detail(Cause::UnknownDraft, error.to_string()),
        DraftError::UnknownCampaign(_) => Problem::with_detail(Cause::UnknownCampaign, error.to_string()),
        DraftError::Refused(what) => Problem::with_detail(Cause::DraftRefused, what),
        DraftError::Apply(error) => not_applied(error),
        DraftError::Ledger(LedgerError::StaleDocument { .. }) => {
            Problem::with_detail(Cause::Conflict, error.to_string())
        }
        DraftError::Ledger(error) => failed(&error),
    }
}
