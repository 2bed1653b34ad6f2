//! The admin front: metrics and health for everyone on that listener, the rest for who has a token or a key whose role
//! may.
//!
//! Owns who is let in and what stands for all calls; the calls themselves stand in the modules that they are about.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::admin_routes::{self, Call, Endpoint};
use super::front::RequestIds;
use super::head::{bearer_key, check_host, check_target};
use super::listen::Handle;
use super::problem::Problem;
use super::reply::{self, Reply};
use super::trail::Trail;
use super::{
    admin_bans, admin_books, admin_campaigns, admin_drafts, admin_keys, admin_late, admin_merchants,
    admin_quarantine, admin_receipts, admin_vouchers, body, openapi,
};
use crate::backoffice::access::{Access, Caller, Denied};
use crate::backoffice::admin_api::Recovery;
use crate::backoffice::bans::Bans;
use crate::backoffice::books::Books;
use crate::backoffice::campaigns::Campaigns;
use crate::backoffice::campaigns::recovery::RecoverError;
use crate::backoffice::drafts::Drafts;
use crate::backoffice::holds::Holds;
use crate::backoffice::merchants::Merchants;
use crate::backoffice::quarantine::Quarantine;
use crate::backoffice::receipts::Receipts;
use crate::backoffice::vouchers::Vouchers;
use crate::clock::Clock;
use crate::domain::campaign::CampaignState;
use crate::domain::cause::Cause;
use crate::domain::life;
use crate::ledger::life::Verdict;
use crate::limits;
use crate::rush::gate::Gate;
use crate::telemetry::metrics::Metrics;

/// How long an admin request's body may take.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the admin listener needs.
pub struct Admin {
    /// Who may call.
    pub access: Arc<Access>,
    /// Campaigns.
    pub campaigns: Arc<Campaigns>,
    /// Drafts of campaigns.
    pub drafts: Drafts,
    /// Merchants.
    pub merchants: Arc<Merchants>,
    /// Codes that no store knows.
    pub receipts: Arc<Receipts>,
    /// Units that are held, and payments for them.
    pub holds: Arc<Holds>,
    /// Vouchers, and what staff decide of them.
    pub vouchers: Vouchers,
    /// What campaigns' accounts hold.
    pub books: Books,
    /// Journal entries that nobody could understand.
    pub quarantine: Quarantine,
    /// Whom staff keep out.
    pub bans: Arc<Bans>,
    /// What the gate sees of campaigns.
    pub gate: Arc<Gate>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Set while the service drains before it ends.
    pub stopping: Arc<AtomicBool>,
    /// Time.
    pub clock: Clock,
    /// Makes request ids.
    pub request_ids: RequestIds,
}

/// A call that was let in.
pub(super) struct Asked<'r> {
    admin: &'r Admin,
    access: admin_routes::Access,
    caller: Option<Caller>,
    parameters: Vec<String>,
    pub(super) query: Option<&'r str>,
    pub(super) headers: &'r HeaderMap,
    body: Incoming,
}

impl Asked<'_> {
    /// Who calls; nobody where everybody may.
    pub(super) fn caller(&self) -> Result<&Caller, Problem> {
        self.caller.as_ref().ok_or_else(|| Cause::Unauthorized.into())
    }

    /// What stands in the place of the path's first parameter.
    pub(super) fn parameter(&self) -> &str {
        self.parameters.first().map_or("", String::as_str)
    }

    /// The body, within its bounds. It may take its time, and a key that was revoked meanwhile does nothing any more.
    pub(super) async fn bytes(self, bytes_max: usize) -> Result<bytes::Bytes, Problem> {
        let body = body::read(self.body, bytes_max, BODY_TIMEOUT).await?;
        self.admin.admit(self.access, self.headers)?;
        Ok(body)
    }

    /// The body as JSON.
    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<T, Problem> {
        let body = self.bytes(limits::BODY_BYTES_MAX).await?;
        serde_json::from_slice(&body)
            .map_err(|error| Problem::with_detail(Cause::BadRequest, error.to_string()))
    }
}

impl Asked<'_> {
    /// The body as JSON; without one what stands for nothing.
    pub(super) async fn json_if_any<T: DeserializeOwned + Default>(self) -> Result<T, Problem> {
        let body = self.bytes(limits::BODY_BYTES_MAX).await?;
        if body.is_empty() {
            return Ok(T::default());
        }
        serde_json::from_slice(&body)
            .map_err(|error| Problem::with_detail(Cause::BadRequest, error.to_string()))
    }
}

impl Handle for Admin {
    async fn handle(&self, request: Request<Incoming>, _peer: SocketAddr) -> Reply {
        let mut trail = Trail::default();
        let mut reply = match self.answer(request, &mut trail).await {
            Ok(reply) => reply,
            Err(problem) => self.refused(&problem, &mut trail),
        };
        trail.tell_request_id(&mut reply);
        reply
    }
}

impl Admin {
    async fn answer(&self, request: Request<Incoming>, trail: &mut Trail) -> Result<Reply, Problem> {
        let (head, body) = request.into_parts();
        let (endpoint, parameters) = find(&head, trail)?;
        let caller = self.admit(endpoint.access, &head.headers)?;
        let (access, query, headers) = (endpoint.access, head.uri.query(), &head.headers);
        let asked = Asked { admin: self, access, caller, parameters, query, headers, body };
        match endpoint.call {
            Call::Metrics => {
                self.metrics.ready.set(f64::from(u8::from(self.not_ready_because().is_none())));
                Ok(reply::text(METRICS_TYPE, self.metrics.render()))
            }
            Call::Health => Ok(reply::health(true, r#"{"status":"ok"}"#.to_owned())),
            Call::Readiness => Ok(self.readiness()),
            Call::OpenApi => openapi::text().map(reply::private_json).map_err(|error| failed(&error)),
            Call::WhoAmI => admin_keys::who_am_i(&asked),
            Call::Campaigns => admin_campaigns::list(self).await,
            Call::CampaignApply => admin_campaigns::apply(self, asked).await,
            Call::CampaignShow => admin_campaigns::show(self, asked.parameter()).await,
            Call::CampaignPause => admin_campaigns::set_state(self, &asked, CampaignState::Paused).await,
            Call::CampaignEnd => admin_campaigns::set_state(self, &asked, CampaignState::Ended).await,
            Call::CampaignCopy => admin_drafts::copy(self, asked).await,
            Call::Drafts => admin_drafts::list(self).await,
            Call::DraftShow => admin_drafts::show(self, &asked).await,
            Call::DraftMake => admin_drafts::make(self, asked).await,
            Call::DraftApprove => admin_drafts::approve(self, asked).await,
            Call::CampaignResume => admin_campaigns::set_state(self, &asked, CampaignState::Running).await,
            Call::Recovery => self.recovery(None).await,
            Call::Recover => self.recovery(Some(&asked)).await,
            Call::Receipts => admin_receipts::list(self, &asked).await,
            Call::ReceiptHonour => admin_receipts::honour(self, asked).await,
            Call::ReceiptVoid => admin_receipts::void(self, asked).await,
            Call::LatePayments => admin_late::list(self, &asked).await,
            Call::LatePaymentRefunded => admin_late::refunded(self, asked).await,
            Call::Quarantine => admin_quarantine::list(self, &asked).await,
            Call::QuarantineSettle => admin_quarantine::settle(self, asked).await,
            Call::Bans => admin_bans::list(self, &asked).await,
            Call::BanAdd => admin_bans::add(self, asked).await,
            Call::BanLift => admin_bans::lift(self, asked).await,
            Call::VoucherShow => admin_vouchers::show(self, &asked).await,
            Call::VoucherFreeze => admin_vouchers::decide(self, asked, Verdict::Freeze).await,
            Call::VoucherRelease => admin_vouchers::decide(self, asked, Verdict::Release).await,
            Call::VoucherVoid => admin_vouchers::decide(self, asked, Verdict::Void).await,
            Call::VoucherRecover => admin_vouchers::decide(self, asked, Verdict::Recover).await,
            Call::Books => admin_books::show(self, &asked).await,
            Call::Postings => admin_books::postings(self, &asked).await,
            Call::Periods => admin_books::periods(self, &asked).await,
            Call::PeriodClose => admin_books::close(self, asked).await,
            Call::Payments => admin_books::moves(self, &asked, life::Step::Settled).await,
            Call::PaymentNote => admin_books::pay(self, asked).await,
            Call::Repayments => admin_books::moves(self, &asked, life::Step::Repaid).await,
            Call::RepaymentNote => admin_books::repay(self, asked).await,
            Call::Transfers => admin_books::moves(self, &asked, life::Step::Moved).await,
            Call::TransferMake => admin_books::transfer(self, asked).await,
            Call::Reversals => admin_books::moves(self, &asked, life::Step::Contra).await,
            Call::Reverse => admin_books::reverse(self, asked).await,
            Call::Waiting => admin_books::waiting(self, &asked).await,
            Call::Withdraw => admin_books::withdraw(self, asked).await,
            Call::Keys => admin_keys::list(self).await,
            Call::KeyAdd => admin_keys::add(self, asked).await,
            Call::KeyRotate => admin_keys::rotate(self, asked).await,
            Call::KeyRevoke => admin_keys::revoke(self, &asked).await,
            Call::Merchants => admin_merchants::list(self, &asked).await,
            Call::MerchantShow => admin_merchants::show(self, &asked).await,
            Call::MerchantImport => admin_merchants::import(self, asked).await,
            Call::MerchantReview => admin_merchants::review(self, asked).await,
            Call::MerchantActivate => admin_merchants::activate(self, &asked).await,
            Call::MerchantSuspend => admin_merchants::suspend(self, asked).await,
        }
    }

    /// Who calls, if they may: nobody in particular where everybody may.
    fn admit(&self, access: admin_routes::Access, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
        if access == admin_routes::Access::Open {
            return Ok(None);
        }
        let caller =
            self.access.caller(bearer_key(headers).unwrap_or_default()).map_err(|denied| match denied {
                Denied::Unknown => Cause::Unauthorized,
                Denied::TokenUnreadable => Cause::Unavailable,
            })?;
        match access {
            admin_routes::Access::May(permission) if !caller.role.may(permission) => {
                let what = format!("the role {} may not {}", caller.role, permission.as_str());
                Err(Problem::with_detail(Cause::Forbidden, what))
            }
            _ => Ok(Some(caller)),
        }
    }

    /// Counts a refusal, makes its reply, and leaves a line of it: one that stands out for who was not let in, and never
    /// with what they showed, as a token that is wrong by one letter is nearly a token.
    fn refused(&self, problem: &Problem, trail: &mut Trail) -> Reply {
        self.metrics.refusals_total.increment(problem.cause.index());
        let (code, call) = (problem.cause.code(), trail.call);
        let request_id = trail.request_id(&self.request_ids);
        if matches!(problem.cause, Cause::Unauthorized | Cause::Forbidden) {
            tracing::warn!(code, call, request_id, "an admin call was refused");
        } else {
            tracing::debug!(code, call, request_id, "an admin call was refused");
        }
        reply::problem(problem, request_id)
    }

    /// What Redis has lost; made anew from the ledger where that is asked for.
    async fn recovery(&self, apply: Option<&Asked<'_>>) -> Result<Reply, Problem> {
        let found = match apply {
            None => self.campaigns.lost_drops().await,
            Some(asked) => {
                let actor = asked.caller()?.actor.to_string();
                let accept_loss = match asked.query {
                    None => false,
                    Some("accept_loss=true") => true,
                    Some(_) => {
                        let what = "the one parameter is accept_loss=true";
                        return Err(Problem::with_detail(Cause::BadRequest, what));
                    }
                };
                self.campaigns.recover(accept_loss, &actor).await
            }
        };
        let found = found.map_err(|error| match error {
            RecoverError::Load(error) => failed(&error),
            error => Problem::with_detail(Cause::Conflict, error.to_string()),
        })?;
        let drops = found.iter().map(|drop| drop.describe(self.campaigns.shard)).collect();
        to_reply(&Recovery { applied: apply.is_some(), drops })
    }

    /// Ready while claims can be granted: not stopping, Redis up, taking writes, and compared with the ledger, no shard frozen.
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
        } else if self.gate.refuses_writes() {
            Some("redis_refuses_writes")
        } else if frozen {
            Some("shard_frozen")
        } else if self.gate.trust.is_doubted() {
            Some("redis_not_compared")
        } else {
            None
        }
    }
}

/// The call that is asked for, and what stands in the places of its parameters; in the order of the public listener's checks.
fn find(head: &Parts, trail: &mut Trail) -> Result<(&'static Endpoint, Vec<String>), Problem> {
    let fits = trail.note(&head.headers);
    check_target(&head.uri)?;
    let (endpoint, parameters) = admin_routes::find(&head.method, head.uri.path())?;
    trail.call = endpoint.path;
    if !fits {
        return Err(Cause::HeadersTooLarge.into());
    }
    check_host(head.version, &head.headers)?;
    Ok((endpoint, parameters))
}

/// 200 with a body for the asker alone.
pub(super) fn to_reply(value: &impl Serialize) -> Result<Reply, Problem> {
    serde_json::to_string(value).map(reply::private_json).map_err(|error| failed(&error))
}

/// Staff may see what failed inside.
pub(super) fn failed(error: &impl std::fmt::Display) -> Problem {
    tracing::warn!(%error, "an admin call failed");
    Problem::with_detail(Cause::Unavailable, error.to_string())
}
