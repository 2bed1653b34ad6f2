//! The admin front: metrics and health for everyone on that listener, campaigns for who has the admin token.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::{Method, Request};
use serde::Serialize;
use serde_json::json;
use subtle::ConstantTimeEq;

use super::front::RequestIds;
use super::listen::Handle;
use super::problem::Problem;
use super::reply::{self, Reply};
use super::{admin_receipts, body};
use crate::backoffice::admin_api::{Applied, ApplyOutcome, CampaignList, CampaignView, DropView, Recovery};
use crate::backoffice::campaigns::recovery::RecoverError;
use crate::backoffice::campaigns::{ApplyError, Campaigns, LoadError};
use crate::backoffice::receipts::Receipts;
use crate::clock::{Clock, UnixMs, rfc3339};
use crate::domain::campaign::{CampaignState, Changes, DropSpec};
use crate::domain::cause::Cause;
use crate::domain::ids::CampaignId;
use crate::domain::money::Fen;
use crate::ledger::CampaignRecord;
use crate::limits;
use crate::rush::gate::{Gate, PublicState};
use crate::telemetry::metrics::Metrics;

/// How long an admin request's body may take.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the admin listener needs.
pub struct Admin {
    /// Campaigns.
    pub campaigns: Arc<Campaigns>,
    /// Codes that no store knows.
    pub receipts: Arc<Receipts>,
    /// What the gate sees of them.
    pub gate: Arc<Gate>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The file with the tokens that change things, one a line: the old one stays beside the new one for a while.
    pub token_path: PathBuf,
    /// Set while the service drains before it ends.
    pub stopping: Arc<AtomicBool>,
    /// Time.
    pub clock: Clock,
    /// Makes request ids.
    pub request_ids: RequestIds,
}

impl Handle for Admin {
    async fn handle(&self, request: Request<Incoming>, _peer: SocketAddr) -> Reply {
        match self.answer(request).await {
            Ok(reply) => reply,
            Err(problem) => reply::problem(&problem, &self.request_ids.next_id()),
        }
    }
}

impl Admin {
    async fn answer(&self, request: Request<Incoming>) -> Result<Reply, Problem> {
        let (head, body) = request.into_parts();
        let path: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
        match (&head.method, path.as_slice()) {
            (&Method::GET, ["metrics"]) => {
                self.metrics.ready.set(f64::from(u8::from(self.not_ready_because().is_none())));
                Ok(reply::text(METRICS_TYPE, self.metrics.render()))
            }
            (&Method::GET, ["healthz"]) => Ok(reply::health(true, r#"{"status":"ok"}"#.to_owned())),
            (&Method::GET, ["readyz"]) => Ok(self.readiness()),
            (method, ["admin", "v1", "campaigns", rest @ ..]) => {
                self.check_token(&head.headers)?;
                self.campaigns_call(method, rest, head.uri.query(), body).await
            }
            (method, ["admin", "v1", "recovery"]) => {
                self.check_token(&head.headers)?;
                self.recovery_call(method, head.uri.query()).await
            }
            (method, ["admin", "v1", "receipts", rest @ ..]) => {
                self.check_token(&head.headers)?;
                admin_receipts::call(self, method, rest, head.uri.query(), body).await
            }
            (_, ["metrics" | "healthz" | "readyz"]) => {
                Err(Problem { allow: Some("GET"), ..Problem::from(Cause::MethodNotAllowed) })
            }
            _ => Err(Cause::NotFound.into()),
        }
    }

    async fn campaigns_call(
        &self,
        method: &Method,
        rest: &[&str],
        query: Option<&str>,
        body: Incoming,
    ) -> Result<Reply, Problem> {
        match (method, rest) {
            (&Method::GET, []) => self.list().await,
            (&Method::POST, []) => {
                let body = body::read(body, limits::CAMPAIGN_FILE_BYTES_MAX, BODY_TIMEOUT).await?;
                self.apply(&body, query).await
            }
            (&Method::GET, [id]) => self.show(id).await,
            (&Method::POST, [id, "pause"]) => self.set_state(id, CampaignState::Paused).await,
            (&Method::POST, [id, "resume"]) => self.set_state(id, CampaignState::Running).await,
            (_, []) => Err(Problem { allow: Some("GET, POST"), ..Problem::from(Cause::MethodNotAllowed) }),
            (_, [_]) => Err(Problem { allow: Some("GET"), ..Problem::from(Cause::MethodNotAllowed) }),
            (_, [_, "pause" | "resume"]) => {
                Err(Problem { allow: Some("POST"), ..Problem::from(Cause::MethodNotAllowed) })
            }
            _ => Err(Cause::NotFound.into()),
        }
    }

    async fn recovery_call(&self, method: &Method, query: Option<&str>) -> Result<Reply, Problem> {
        let applied = match *method {
            Method::GET => false,
            Method::POST => true,
            _ => return Err(Problem { allow: Some("GET, POST"), ..Problem::from(Cause::MethodNotAllowed) }),
        };
        let found = if applied {
            self.campaigns.recover(query == Some("accept_loss=true")).await
        } else {
            self.campaigns.lost_drops().await
        };
        let found = found.map_err(|error| match error {
            RecoverError::Load(error) => failed(&error),
            error => Problem::with_detail(Cause::Conflict, error.to_string()),
        })?;
        let drops = found.iter().map(|drop| drop.describe(self.campaigns.shard)).collect();
        to_reply(&Recovery { applied, drops })
    }

    /// Ready while claims can be granted: not stopping, Redis up and compared with the ledger, no shard frozen.
    fn readiness(&self) -> Reply {
        let why = self.not_ready_because();
        let body = json!({ "ready": why.is_none(), "reason": why });
        reply::health(why.is_none(), body.to_string())
    }

    fn not_ready_because(&self) -> Option<&'static str> {
        let frozen = self.gate.drops().iter().any(|drop| drop.is_frozen());
        if self.stopping.load(Ordering::Relaxed) {
            Some("stopping")
        } else if !self.gate.is_redis_up() {
            Some("redis_down")
        } else if frozen {
            Some("shard_frozen")
        } else if self.gate.trust.is_doubted() {
            Some("redis_not_compared")
        } else {
            None
        }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        // A few bytes, read as seldom as staff ask: so a token can be changed without a restart.
        let tokens = std::fs::read_to_string(&self.token_path).map_err(|error| {
            tracing::error!(%error, "the admin token cannot be read");
            Problem::from(Cause::Unavailable)
        })?;
        let good = |token: &str| !token.is_empty() && bool::from(given.as_bytes().ct_eq(token.as_bytes()));
        if tokens.lines().map(str::trim).any(good) { Ok(()) } else { Err(Cause::Unauthorized.into()) }
    }

    async fn apply(&self, body: &[u8], query: Option<&str>) -> Result<Reply, Problem> {
        let text = std::str::from_utf8(body)
            .map_err(|_| Problem::with_detail(Cause::BadRequest, "the campaign file is not UTF-8"))?;
        let opens_at_ms = match query.and_then(|query| query.strip_prefix("opens_at_ms=")) {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| {
                Problem::with_detail(
                    Cause::BadRequest,
                    "opens_at_ms must be milliseconds since the Unix epoch",
                )
            })?),
        };
        let (campaign, changes) = self.campaigns.apply(text, opens_at_ms).await.map_err(refused)?;
        to_reply(&applied(campaign.as_str(), &changes))
    }

    async fn list(&self) -> Result<Reply, Problem> {
        let catalogue = self.campaigns.ledger.catalogue().await.map_err(|error| failed(&error))?;
        let campaigns = catalogue.campaigns.iter().map(|record| self.campaign_view(record)).collect();
        to_reply(&CampaignList { campaigns })
    }

    async fn show(&self, id: &str) -> Result<Reply, Problem> {
        let catalogue = self.campaigns.ledger.catalogue().await.map_err(|error| failed(&error))?;
        let record = catalogue.campaigns.iter().find(|record| record.campaign.id.as_str() == id);
        to_reply(&self.campaign_view(record.ok_or(Cause::UnknownCampaign)?))
    }

    async fn set_state(&self, id: &str, state: CampaignState) -> Result<Reply, Problem> {
        let campaign = CampaignId::new(id).map_err(|_| Problem::from(Cause::UnknownCampaign))?;
        let found = self.campaigns.set_state(&campaign, state).await.map_err(|error| failed(&error))?;
        if found { self.show(id).await } else { Err(Cause::UnknownCampaign.into()) }
    }

    fn campaign_view(&self, record: &CampaignRecord) -> CampaignView {
        let campaign = &record.campaign;
        let now_ms = self.gate.redis_now_ms(self.clock.now_ms());
        CampaignView {
            id: campaign.id.to_string(),
            name: campaign.name.clone(),
            state: match record.state {
                CampaignState::Running => "running",
                CampaignState::Paused => "paused",
            }
            .to_owned(),
            budget: format!("{} {}", campaign.budget, campaign.currency),
            time_zone: campaign.time_zone.clone(),
            drops: campaign.drops.iter().map(|spec| self.drop_view(spec, now_ms)).collect(),
        }
    }

    fn drop_view(&self, spec: &DropSpec, now_ms: UnixMs) -> DropView {
        let gate = self.gate.find(spec.id.as_str());
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
}

pub(super) fn to_reply(value: &impl Serialize) -> Result<Reply, Problem> {
    serde_json::to_string(value).map(reply::private_json).map_err(|error| failed(&error))
}

/// What applying a file did, in sentences.
fn applied(campaign: &str, changes: &Changes) -> Applied {
    let mut sentences: Vec<String> =
        changes.created.iter().map(|drop| format!("drop {drop} created")).collect();
    for change in &changes.restocked {
        sentences.push(format!("drop {}: stock {} to {}", change.drop, change.from, change.to));
    }
    sentences.extend(changes.changed.iter().map(|drop| format!("drop {drop} changed")));
    if changes.budget_from != changes.budget_to {
        sentences.push(format!("budget {} to {}", changes.budget_from, changes.budget_to));
    }
    if sentences.is_empty() && changes.described {
        sentences.push("description changed".to_owned());
    }
    let outcome = if changes.is_empty() {
        ApplyOutcome::Unchanged
    } else if changes.budget_from == Fen(0) {
        ApplyOutcome::Created
    } else {
        ApplyOutcome::Changed
    };
    Applied { campaign: campaign.to_owned(), outcome, changes: sentences }
}

fn refused(error: ApplyError) -> Problem {
    match error {
        ApplyError::File(_) | ApplyError::Refused { .. } => {
            Problem::with_detail(Cause::CampaignRefused, error.to_string())
        }
        ApplyError::Load(LoadError::Ledger(crate::ledger::LedgerError::Stale { .. })) => {
            Problem::with_detail(Cause::Conflict, error.to_string())
        }
        ApplyError::Load(error) => failed(&error),
    }
}

/// Staff may see what failed inside.
pub(super) fn failed(error: &impl std::fmt::Display) -> Problem {
    tracing::warn!(%error, "an admin call failed");
    Problem::with_detail(Cause::Unavailable, error.to_string())
}
