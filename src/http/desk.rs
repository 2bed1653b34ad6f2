//! `POST /v1/drops/{drop}/challenges` and `POST /v1/drops/{drop}/tickets`: the ticket desk's words on the wire.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::HeaderMap;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::body;
use super::front::Front;
use super::problem::Problem;
use super::reply::{self, Reply};
use crate::clock::rfc3339;
use crate::desk::identity::IdentityRefusal;
use crate::desk::refusal::DeskRefusal;
use crate::desk::{TicketDesk, TicketRequest};
use crate::domain::cause::Cause;
use crate::limits;

/// How a core reaches the desk: its work is done on the background runtime.
#[derive(Clone)]
pub struct DeskAccess {
    desk: Arc<TicketDesk>,
    background: Handle,
    permits: Arc<Semaphore>,
}

impl DeskAccess {
    /// A way to `desk` that carries at most [`limits::DESK_REQUESTS`] at a time.
    #[must_use]
    pub fn new(desk: Arc<TicketDesk>, background: Handle) -> Self {
        Self { desk, background, permits: Arc::new(Semaphore::new(limits::DESK_REQUESTS)) }
    }
}

/// 201 with a challenge.
pub(super) fn challenge(
    front: &Front,
    drop: &str,
    headers: &HeaderMap,
    peer: IpAddr,
) -> Result<Reply, Problem> {
    let access = front.desk.as_ref().ok_or(Cause::NotFound)?;
    let address = front.guard.client_address(peer, headers).limited();
    let challenge = access.desk.challenge(drop, address).map_err(|refusal| problem(front, &refusal))?;
    let body = serde_json::to_string(&challenge).map_err(|_| Cause::Unavailable)?;
    Ok(reply::created(body))
}

/// 201 with a ticket.
pub(super) async fn ticket(
    front: &Front,
    drop: String,
    headers: HeaderMap,
    body: Incoming,
    peer: IpAddr,
) -> Result<Reply, Problem> {
    let access = front.desk.as_ref().ok_or(Cause::NotFound)?;
    let address = front.guard.client_address(peer, &headers);
    let body = body::read(body, limits::BODY_BYTES_MAX, front.body_timeout).await?;
    let entered = access.desk.enter(&drop, address.limited()).map_err(|refusal| problem(front, &refusal))?;
    body::check_json(&headers, &body)?;
    let request: TicketRequest = if body.is_empty() {
        TicketRequest::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| {
            Problem::with_detail(Cause::BadRequest, format!("the body is no request for a ticket: {error}"))
        })?
    };
    let permit = Arc::clone(&access.permits).try_acquire_owned().map_err(|_| Cause::Overloaded)?;
    let desk = Arc::clone(&access.desk);
    let work = access.background.spawn(async move {
        let _permit = permit;
        desk.ticket(&entered, &request, address).await
    });
    let given = work.await.map_err(|_| Cause::Unavailable)?.map_err(|refusal| problem(front, &refusal))?;
    let body = serde_json::to_string(&given).map_err(|_| Cause::Unavailable)?;
    Ok(reply::created(body))
}

fn problem(front: &Front, refusal: &DeskRefusal) -> Problem {
    let detail = refusal.to_string();
    match *refusal {
        DeskRefusal::UnknownDrop => Cause::UnknownDrop.into(),
        DeskRefusal::NotYet { from_ms } => {
            let wait_ms = u64::try_from(from_ms - front.clock.now_ms()).unwrap_or(0).max(1_000);
            let detail = format!("tickets are given from {}", rfc3339(from_ms));
            Problem::with_detail(Cause::NotOpen, detail).retry_after(wait_ms)
        }
        DeskRefusal::Over => Cause::Closed.into(),
        DeskRefusal::Rate(rate, allowance) => Problem::rate_limited(rate, allowance),
        DeskRefusal::Identity(IdentityRefusal::Missing) => {
            Problem::with_detail(Cause::IdentityMissing, detail)
        }
        DeskRefusal::Identity(IdentityRefusal::Expired) => {
            Problem::with_detail(Cause::IdentityExpired, detail)
        }
        DeskRefusal::Identity(_) => Problem::with_detail(Cause::IdentityInvalid, detail),
        DeskRefusal::Challenge(_) | DeskRefusal::Spent | DeskRefusal::Captcha => {
            Problem::with_detail(Cause::ChallengeFailed, detail)
        }
        DeskRefusal::Device => Problem::with_detail(Cause::BadRequest, detail),
        DeskRefusal::Blocked => Cause::Blocked.into(),
        // Which rule it was is for staff: nobody is to feel the rules out.
        DeskRefusal::Ineligible(why) => {
            tracing::debug!(rule = why.as_str(), "somebody is not eligible");
            Cause::NotEligible.into()
        }
        DeskRefusal::Busy => Cause::Overloaded.into(),
        DeskRefusal::Away => Cause::Unavailable.into(),
    }
}
