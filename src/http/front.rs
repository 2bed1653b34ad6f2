//! The public front: checks run in a fixed order, and the first that fails answers.
//!
//! Method and path, size, drop known, ticket, person and address limits, the form of body and key, gate, Redis. Owns that
//! order and what one core needs for it; the single steps live in their own modules.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool_redis::Pool;
use hyper::body::{Body, Incoming};
use hyper::{Method, Request};

use super::cors::{self, Cors};
use super::desk::{self, DeskAccess};
use super::head;
use super::list::CampaignList;
use super::listen::Handle;
use super::problem::Problem;
use super::reply::{self, Reply};
use super::route::{CLAIM, Route, route};
use super::trail::{Decisions, Outcome, Trail};
use super::{claims, demo, drops, holds, list, pages, qr, redemptions, tills, vouchers};
use crate::backoffice::access::Access;
use crate::backoffice::holds::HoldDesk;
use crate::backoffice::receipts::VoucherDesk;
use crate::backoffice::redemptions::{Redemptions, Tills};
use crate::backoffice::standing::StandingDesk;
use crate::clock::{self, Clock, UnixMs};
use crate::desk::demo::DemoDesk;
use crate::domain::cause::Cause;
use crate::domain::ids::Shard;
use crate::domain::qr::QrSigner;
use crate::domain::voucher::VoucherSigner;
use crate::domain::webhook::WebhookSecrets;
use crate::guard::Guard;
use crate::redis::fence::Fence;
use crate::rush::batcher::ClaimQueue;
use crate::rush::gate::Gate;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::SpanSink;
use crate::web::Pages;

/// What one core's front needs.
pub struct Front {
    /// The shard that its batcher serves.
    pub shard: Shard,
    /// What is known of drops.
    pub gate: Arc<Gate>,
    /// Who may knock.
    pub guard: Arc<Guard>,
    /// Where claims wait for their batch.
    pub queue: ClaimQueue,
    /// Redis, for what is not a claim.
    pub pool: Pool,
    /// What replicas must have before a claim is shown, where claims are acknowledged by replicas.
    pub fence: Option<Fence>,
    /// Whose key a merchant's call comes with.
    pub access: Arc<Access>,
    /// Looks vouchers up.
    pub vouchers: VoucherDesk,
    /// Where redemptions wait for the ledger.
    pub redemptions: Redemptions,
    /// Who tills are.
    pub tills: Arc<dyn Tills>,
    /// The ticket desk, where there is one.
    pub desk: Option<DeskAccess>,
    /// The ticket desk of a demo, where this is one.
    pub demo: Option<Arc<DemoDesk>>,
    /// The claim page.
    pub pages: Arc<Pages>,
    /// The list of campaigns, made lately.
    pub list: Arc<CampaignList>,
    /// Which other origins' pages may call, where any may.
    pub cors: Option<Arc<Cors>>,
    /// Signs voucher codes.
    pub signer: VoucherSigner,
    /// Signs what their QR codes say.
    pub qr: QrSigner,
    /// Confirms and cancels holds.
    pub holds: HoldDesk,
    /// What payment callbacks are signed with, where some are taken.
    pub payments: Option<WebhookSecrets>,
    /// How far a callback's time may be from ours, in milliseconds.
    pub payment_tolerance_ms: i64,
    /// How claims stand beyond what Redis knows.
    pub standing: StandingDesk,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// This core's series of claim requests' times.
    pub request_seconds: ::metrics::Histogram,
    /// Time.
    pub clock: Clock,
    /// How long a body may take.
    pub body_timeout: Duration,
    /// Makes request ids.
    pub request_ids: RequestIds,
    /// Writes the instants of claims.
    pub stamps: Stamps,
    /// Which decisions are logged.
    pub decisions: Decisions,
    /// Where the spans of others' traces go, if anywhere.
    pub spans: Option<Arc<dyn SpanSink>>,
}

/// Writes instants as RFC 3339. A batch's claims share theirs, so the last one is kept.
#[derive(Debug, Default)]
pub struct Stamps(Mutex<(UnixMs, String)>);

impl Stamps {
    /// Appends an instant.
    pub fn append(&self, at_ms: UnixMs, out: &mut String) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != at_ms || last.1.is_empty() {
            last.0 = at_ms;
            last.1.clear();
            clock::append_rfc3339(at_ms, &mut last.1);
        }
        out.push_str(&last.1);
    }
}

/// Makes ids by which a refusal is found again in the logs: unique in this process, hard to mix up between two.
#[derive(Debug)]
pub struct RequestIds {
    prefix: u32,
    next: AtomicU64,
}

impl RequestIds {
    /// Ids that begin with a random prefix.
    #[must_use]
    pub fn new() -> Self {
        Self { prefix: rand::random(), next: AtomicU64::new(0) }
    }

    /// The next one, 16 hex digits.
    pub fn next_id(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed) & u64::from(u32::MAX);
        data_encoding::HEXLOWER.encode(&(u64::from(self.prefix) << 32 | number).to_be_bytes())
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

/// What is left to do when the request itself is done with.
enum Step<'f> {
    /// Nothing.
    Done(Result<Reply, Problem>),
    /// To take a claim: the hot path, without an allocation.
    Claim(claims::Asked),
    /// Something rarer.
    Later(Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send + 'f>>),
}

impl Handle for Front {
    fn handle(&self, request: Request<Incoming>, peer: SocketAddr) -> impl Future<Output = Reply> + Send {
        let began = Instant::now();
        let asking = self.cors.as_ref().map(|cors| cors.asking(request.headers()));
        let before =
            asking.as_ref().and_then(|asking| cors::preflight(request.method(), request.headers(), asking));
        let mut trail = Trail::default();
        let step = match before {
            Some(reply) => Step::Done(Ok(reply)),
            None => self
                .begin(request, peer.ip(), began, &mut trail)
                .unwrap_or_else(|problem| Step::Done(Err(problem))),
        };
        async move {
            let answer = match step {
                Step::Done(answer) => answer,
                Step::Claim(asked) => claims::take(self, asked).await,
                Step::Later(answer) => answer.await,
            };
            let mut reply = self.finish(trail, began, answer);
            if let Some(asking) = asking {
                cors::mark(asking, &mut reply);
            }
            reply
        }
    }

    fn only_looks(&self, request: &Request<Incoming>) -> bool {
        matches!(*request.method(), Method::GET | Method::HEAD)
    }
}

impl Front {
    /// Everything that can be done without waiting. The request ends here: what waits holds none of its buffers.
    fn begin(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        began: Instant,
        trail: &mut Trail,
    ) -> Result<Step<'_>, Problem> {
        let (head, body) = request.into_parts();
        let fits = trail.note(&head.headers);
        head::check_target(&head.uri)?;
        let route = route(&head.method, head.uri.path())?;
        (trail.call, trail.decides) = (route.call(), route.decides());
        if trail.wants_drop(&self.decisions)
            && let Some(drop) = route.drop().and_then(|drop| self.gate.find(drop))
        {
            trail.set_drop(drop.id.clone());
        }
        if !fits {
            return Err(Cause::HeadersTooLarge.into());
        }
        head::check_host(head.version, &head.headers)?;
        Ok(match route {
            Route::Claim(drop) if body.is_end_stream() => {
                Step::Claim(claims::ask(self, drop, &head.headers, b"", peer, began)?)
            }
            Route::Claim(drop) => {
                let (drop, headers) = (drop.to_owned(), head.headers);
                let taken = async move { claims::take_with_body(self, &drop, headers, body, peer).await };
                Step::Later(Box::pin(taken))
            }
            Route::Challenge(drop) => Step::Done(desk::challenge(self, drop, &head.headers, peer)),
            Route::Ticket(drop) => {
                let (drop, headers) = (drop.to_owned(), head.headers);
                Step::Later(Box::pin(desk::ticket(self, drop, headers, body, peer)))
            }
            Route::Mine(drop) => {
                Step::Later(Box::pin(claims::mine(self, claims::ask_mine(self, drop, &head.headers, peer)?)))
            }
            Route::Voucher(code) if tills::is_till(&head.headers) => {
                Step::Later(Box::pin(tills::show(self, tills::ask(self, code, &head.headers)?)))
            }
            Route::Voucher(code) => {
                let asked = vouchers::ask(self, code, &head.headers, peer)?;
                Step::Later(Box::pin(vouchers::show(self, asked)))
            }
            Route::VoucherQr(code) => {
                let asked = vouchers::ask(self, code, &head.headers, peer)?;
                Step::Later(Box::pin(qr::show(self, asked, qr::Form::wanted(&head.headers))))
            }
            Route::Time => Step::Done(Ok(drops::time(self))),
            Route::Campaigns => Step::Done(list::campaigns(self, &head.headers)),
            Route::Page => Step::Done(Ok(pages::document(self, &head.headers))),
            Route::Asset => Step::Done(pages::asset(self, head.uri.path(), &head.headers)),
            Route::HandOver => {
                let (path, headers) = (head.uri.path().to_owned(), head.headers);
                Step::Later(Box::pin(pages::hand_over(self, path, headers, body)))
            }
            Route::Demo => Step::Later(Box::pin(demo::ticket(self, head.method, head.headers, body))),
            Route::Confirm(claim) => {
                Step::Later(Box::pin(holds::confirm(self, claim.to_owned(), head.headers, body)))
            }
            Route::Cancel(claim) => {
                let asked = holds::ask_cancel(self, claim, &head.headers, peer)?;
                Step::Later(Box::pin(holds::cancel(self, asked)))
            }
            Route::Drop(drop) => Step::Done(drops::drop_state(self, drop, &head.headers)),
            Route::Redeem(code) => {
                Step::Later(Box::pin(redemptions::redeem(self, code.to_owned(), head.headers, body)))
            }
            Route::Refund(id) => {
                Step::Later(Box::pin(redemptions::refund(self, id.to_owned(), head.headers, body)))
            }
            Route::Reverse(id) => {
                Step::Later(Box::pin(redemptions::reverse(self, id.to_owned(), head.headers, body)))
            }
            Route::Campaign(campaign) => Step::Done(drops::campaign_state(self, campaign, &head.headers)),
        })
    }

    /// Counts what came out, makes the reply of a refusal, and leaves the trail that is asked for.
    fn finish(&self, mut trail: Trail, began: Instant, answer: Result<Reply, Problem>) -> Reply {
        let took = began.elapsed();
        let (mut reply, outcome) = match answer {
            Ok(reply) => {
                let word = if reply::is_created(&reply) { "granted" } else { "answered" };
                (reply, Outcome { word, refused: false, took })
            }
            Err(problem) => {
                let word = problem.cause.code();
                if trail.call == CLAIM {
                    self.metrics.claim_refusals_total.increment(problem.cause.index());
                }
                self.metrics.refusals_total.increment(problem.cause.index());
                let request_id = trail.request_id(&self.request_ids);
                tracing::debug!(code = word, request_id, "refused");
                (reply::problem(&problem, request_id), Outcome { word, refused: true, took })
            }
        };
        if trail.call == CLAIM {
            self.request_seconds.record(took.as_secs_f64());
        }
        trail.log(&self.decisions, &self.request_ids, outcome);
        trail.tell(&mut reply);
        if let Some(spans) = &self.spans
            && let Some(span) = trail.ended_span(outcome, self.clock.now_ms())
        {
            spans.ended(span);
        }
        reply
    }
}
