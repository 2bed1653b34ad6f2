//! `/admin/v1/campaigns`: what staff see of campaigns and do with them.

use super::admin::{Admin, Asked, failed, to_reply};
use super::problem::Problem;
use super::reply::Reply;
use crate::backoffice::admin_api::{Applied, ApplyOutcome, CampaignList, CampaignView, DropView};
use crate::backoffice::campaigns::{ApplyError, LoadError};
use crate::clock::{UnixMs, rfc3339};
use crate::domain::campaign::{CampaignState, Changes, DropSpec};
use crate::domain::cause::Cause;
use crate::domain::ids::CampaignId;
use crate::domain::money::Fen;
use crate::ledger::{CampaignRecord, LedgerError};
use crate::limits;
use crate::rush::gate::PublicState;

pub(super) async fn list(admin: &Admin) -> Result<Reply, Problem> {
    let catalogue = admin.campaigns.ledger.catalogue().await.map_err(|error| failed(&error))?;
    let campaigns = catalogue.campaigns.iter().map(|record| campaign_view(admin, record)).collect();
    to_reply(&CampaignList { campaigns })
}

pub(super) async fn show(admin: &Admin, id: &str) -> Result<Reply, Problem> {
    let catalogue = admin.campaigns.ledger.catalogue().await.map_err(|error| failed(&error))?;
    let record = catalogue.campaigns.iter().find(|record| record.campaign.id.as_str() == id);
    to_reply(&campaign_view(admin, record.ok_or(Cause::UnknownCampaign)?))
}

pub(super) async fn apply(admin: &Admin, asked: Asked<'_>) -> Result<Reply, Problem> {
    let opens_at_ms = opens_at_ms(asked.query)?;
    if !admin.drafts.one_step() {
        let what = "two persons are needed: draft the campaign, and have somebody else approve it";
        return Err(Problem::with_detail(Cause::DraftRefused, what));
    }
    let actor = asked.caller()?.actor.to_string();
    let body = asked.bytes(limits::CAMPAIGN_FILE_BYTES_MAX).await?;
    let text = std::str::from_utf8(&body)
        .map_err(|_| Problem::with_detail(Cause::BadRequest, "the campaign file is not UTF-8"))?;
    let (campaign, changes) = admin.campaigns.apply(text, opens_at_ms, &actor).await.map_err(refused)?;
    to_reply(&applied(campaign.as_str(), &changes))
}

pub(super) async fn set_state(
    admin: &Admin,
    asked: &Asked<'_>,
    state: CampaignState,
) -> Result<Reply, Problem> {
    let id = asked.parameter();
    let campaign = CampaignId::new(id).map_err(|_| Problem::from(Cause::UnknownCampaign))?;
    let actor = asked.caller()?.actor.to_string();
    let found = admin.campaigns.set_state(&campaign, state, &actor).await.map_err(|error| match error {
        LoadError::Ledger(LedgerError::Refused(why)) => {
            Problem::with_detail(Cause::CampaignRefused, why.to_string())
        }
        error => failed(&error),
    })?;
    if found { show(admin, id).await } else { Err(Cause::UnknownCampaign.into()) }
}

fn campaign_view(admin: &Admin, record: &CampaignRecord) -> CampaignView {
    let campaign = &record.campaign;
    let now_ms = admin.gate.redis_now_ms(admin.clock.now_ms());
    CampaignView {
        id: campaign.id.to_string(),
        name: campaign.name.clone(),
        state: record.state.as_str().to_owned(),
        ended_at: record.ended_at_ms.map(rfc3339),
        budget: format!("{} {}", campaign.budget, campaign.currency),
        qr_required: campaign.is_qr_required(),
        daily_budget: campaign.daily_budget.map(|budget| format!("{budget} {}", campaign.currency)),
        time_zone: campaign.time_zone.clone(),
        drops: campaign.drops.iter().map(|spec| drop_view(admin, spec, now_ms)).collect(),
    }
}

fn drop_view(admin: &Admin, spec: &DropSpec, now_ms: UnixMs) -> DropView {
    let gate = admin.gate.find(spec.id.as_str());
    let state = gate.as_ref().map_or(PublicState::Paused, |gate| gate.public_state(now_ms));
    DropView {
        id: spec.id.to_string(),
        state: state.as_str().to_owned(),
        opens_at: rfc3339(spec.opens_at_ms),
        closes_at: rfc3339(spec.closes_at_ms),
        stock_total: spec.stock,
        stock_left: gate.and_then(|gate| gate.view()).map(|view| view.stock),
        limit_per_person: spec.limit_per_person,
    }
}

/// The instant to which a file's drops are to be moved. Any other parameter is refused: whoever asked for it meant something else
/// than to have the file applied as it is.
pub(super) fn opens_at_ms(query: Option<&str>) -> Result<Option<UnixMs>, Problem> {
    let read = |query: &str| query.strip_prefix("opens_at_ms=")?.parse().ok();
    query
        .map(|query| {
            read(query).ok_or_else(|| {
                let what = "the one parameter is opens_at_ms, milliseconds since the Unix epoch";
                Problem::with_detail(Cause::BadRequest, what)
            })
        })
        .transpose()
}

/// What applying a file did, in sentences.
fn applied(campaign: &str, changes: &Changes) -> Applied {
    let outcome = if changes.is_empty() {
        ApplyOutcome::Unchanged
    } else if changes.budget_from == Fen(0) {
        ApplyOutcome::Created
    } else {
        ApplyOutcome::Changed
    };
    Applied { campaign: campaign.to_owned(), outcome, changes: changes.sentences() }
}

pub(super) fn refused(error: ApplyError) -> Problem {
    match error {
        ApplyError::File(_) | ApplyError::Refused { .. } => {
            Problem::with_detail(Cause::CampaignRefused, error.to_string())
        }
        ApplyError::Load(LoadError::Ledger(LedgerError::Stale { .. })) => {
            Problem::with_detail(Cause::Conflict, error.to_string())
        }
        ApplyError::Load(error) => failed(&error),
    }
}
