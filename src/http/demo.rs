//! `POST /demo/tickets`: be somebody. It is there in a demo alone.

use hyper::Method;
use hyper::body::Incoming;
use hyper::header::HeaderMap;

use super::body;
use super::front::Front;
use super::problem::Problem;
use super::reply::{self, Reply};
use crate::desk::demo::{DemoRequest, PERSON_MAX};
use crate::domain::cause::Cause;
use crate::limits;

/// 201 with a ticket; 404 where this is no demo.
pub(super) async fn ticket(
    front: &Front,
    method: Method,
    headers: HeaderMap,
    body: Incoming,
) -> Result<Reply, Problem> {
    let demo = front.demo.as_ref().ok_or(Cause::NotFound)?;
    if method != Method::POST {
        return Err(Problem { allow: Some("POST"), ..Problem::from(Cause::MethodNotAllowed) });
    }
    let body = body::read(body, limits::BODY_BYTES_MAX, front.body_timeout).await?;
    body::check_json(&headers, &body)?;
    let asked: DemoRequest = serde_json::from_slice(&body).map_err(|error| {
        Problem::with_detail(Cause::BadRequest, format!("the body must have drop and person: {error}"))
    })?;
    let drop = front.gate.find(&asked.drop).ok_or(Cause::UnknownDrop)?;
    let ticket = demo.ticket(&drop.id, asked.person, front.clock.now_ms()).ok_or_else(|| {
        Problem::with_detail(Cause::BadRequest, format!("person must be 0 to {PERSON_MAX}"))
    })?;
    Ok(reply::created(serde_json::to_string(&ticket).map_err(|_| Cause::Unavailable)?))
}
