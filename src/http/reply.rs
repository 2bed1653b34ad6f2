//! Replies: the only place with status codes.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use super::problem::Problem;
use crate::domain::cause::Cause;
use crate::web::Served;

/// Statuses that are not refusals, for the document that describes the API.
pub(super) const OK: u16 = StatusCode::OK.as_u16();
/// See [`OK`].
pub(super) const CREATED: u16 = StatusCode::CREATED.as_u16();
/// See [`OK`].
pub(super) const SEE_OTHER: u16 = StatusCode::SEE_OTHER.as_u16();
/// See [`OK`].
pub(super) const ACCEPTED: u16 = StatusCode::ACCEPTED.as_u16();
/// See [`OK`].
pub(super) const NOT_MODIFIED: u16 = StatusCode::NOT_MODIFIED.as_u16();

/// Every reply's type: bodies are small and whole.
pub type Reply = Response<Full<Bytes>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const SVG: HeaderValue = HeaderValue::from_static("image/svg+xml");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const FOR_A_MINUTE: HeaderValue = HeaderValue::from_static("public, max-age=60");

/// The status of a cause.
#[must_use]
pub fn status_of(cause: Cause) -> StatusCode {
    match cause {
        Cause::BadRequest | Cause::IdempotencyKeyRequired => StatusCode::BAD_REQUEST,
        Cause::TicketMissing
        | Cause::TicketInvalid
        | Cause::TicketExpired
        | Cause::IdentityMissing
        | Cause::IdentityInvalid
        | Cause::IdentityExpired
        | Cause::SignatureInvalid
        | Cause::Unauthorized => StatusCode::UNAUTHORIZED,
        Cause::ChallengeFailed
        | Cause::NotEligible
        | Cause::Blocked
        | Cause::Forbidden
        | Cause::MerchantInactive => StatusCode::FORBIDDEN,
        Cause::UnknownDrop
        | Cause::UnknownCampaign
        | Cause::UnknownVoucher
        | Cause::UnknownReceipt
        | Cause::UnknownKey
        | Cause::UnknownClaim
        | Cause::UnknownPayment
        | Cause::UnknownBan
        | Cause::UnknownEntry
        | Cause::UnknownDraft
        | Cause::UnknownMerchant
        | Cause::UnknownRedemption
        | Cause::NoClaim
        | Cause::NotFound => StatusCode::NOT_FOUND,
        Cause::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Cause::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        Cause::LimitReached
        | Cause::Conflict
        | Cause::DraftRefused
        | Cause::ReceiptRefused
        | Cause::MerchantRefused
        | Cause::VoucherRefused
        | Cause::BooksRefused
        | Cause::ReferenceUsed
        | Cause::VoucherNotLive
        | Cause::NotHeld
        | Cause::OrderUsed
        | Cause::DailyLimitReached
        | Cause::RefundRefused
        | Cause::KeyInFlight => StatusCode::CONFLICT,
        Cause::SoldOut | Cause::Closed | Cause::QrExpired => StatusCode::GONE,
        Cause::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Cause::TargetTooLong => StatusCode::URI_TOO_LONG,
        Cause::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Cause::CampaignRefused
        | Cause::KeyRefused
        | Cause::ImportRefused
        | Cause::TermsNotMet
        | Cause::QrRequired
        | Cause::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        Cause::NotOpen => StatusCode::TOO_EARLY,
        Cause::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Cause::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Cause::Overloaded | Cause::Paused | Cause::Unavailable | Cause::OutcomeUnknown => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

fn json(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

/// A claim that was granted now (201) or before (200).
#[must_use]
pub fn claimed(body: String, replayed: bool) -> Reply {
    json(if replayed { StatusCode::OK } else { StatusCode::CREATED }, JSON, body)
}

/// 201 with something new that is the asker's alone.
#[must_use]
pub fn created(body: String) -> Reply {
    let mut reply = json(StatusCode::CREATED, JSON, body);
    reply.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    reply
}

/// 202 with what waits for somebody else.
#[must_use]
pub fn accepted(body: String) -> Reply {
    let mut reply = json(StatusCode::ACCEPTED, JSON, body);
    reply.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    reply
}

/// 200 with a body that is the asker's alone.
#[must_use]
pub fn private_json(body: String) -> Reply {
    let mut reply = json(StatusCode::OK, JSON, body);
    reply.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    reply
}

/// 200 with a picture that is the asker's alone.
#[must_use]
pub fn private_svg(body: String) -> Reply {
    let mut reply = json(StatusCode::OK, SVG, body);
    reply.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    reply
}

/// 200 with a body that anyone may keep for `max_age_s` seconds; 304 when the asker has it already.
#[must_use]
pub fn public_json(body: impl Into<Bytes>, etag: &str, asked_etag: Option<&str>, max_age_s: u32) -> Reply {
    let mut reply = fresh(etag, asked_etag, JSON, body.into());
    let headers = reply.headers_mut();
    if let Ok(cache) = HeaderValue::from_str(&format!("public, max-age={max_age_s}")) {
        headers.insert(CACHE_CONTROL, cache);
    }
    reply
}

/// 200 with a body and its tag; 304 when the asker has it already.
fn fresh(etag: &str, asked_etag: Option<&str>, content_type: HeaderValue, body: Bytes) -> Reply {
    let bare = |etag: &str| etag.trim().trim_start_matches("W/").to_owned();
    let known =
        asked_etag.is_some_and(|asked| asked == "*" || asked.split(',').any(|one| bare(one) == bare(etag)));
    let mut reply = if known {
        let mut reply = Response::new(Full::default());
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
        reply
    } else {
        json(StatusCode::OK, content_type, body)
    };
    if let Ok(etag) = HeaderValue::from_str(etag) {
        reply.headers_mut().insert(ETAG, etag);
    }
    reply
}

fn served(file: &Served<'_>, asked_etag: Option<&str>) -> Reply {
    let content_type = HeaderValue::from_static(file.content_type);
    let mut reply = fresh(&file.tag(), asked_etag, content_type, file.bytes.clone());
    let headers = reply.headers_mut();
    if let Some(word) = file.encoding.word() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(word));
    }
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, if file.immutable { FOR_EVER } else { FOR_A_MINUTE });
    reply
}

/// A file whose name changes with its content.
#[must_use]
pub fn asset(file: &Served<'_>, asked_etag: Option<&str>) -> Reply {
    served(file, asked_etag)
}

/// A document of the page, and what it may do.
#[must_use]
pub fn document(file: &Served<'_>, policy: &str, asked_etag: Option<&str>) -> Reply {
    let mut reply = served(file, asked_etag);
    let headers = reply.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    reply
}

/// 303: what came was taken, go on there.
#[must_use]
pub fn see_other(place: &str) -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = StatusCode::SEE_OTHER;
    let headers = reply.headers_mut();
    if let Ok(place) = HeaderValue::from_str(place) {
        headers.insert(LOCATION, place);
    }
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    reply
}

/// 204.
#[must_use]
pub fn no_content() -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}

/// 200 with a text of another kind: metrics.
#[must_use]
pub fn text(content_type: &'static str, body: String) -> Reply {
    json(StatusCode::OK, HeaderValue::from_static(content_type), body)
}

/// Health: 200 or 503, with a JSON body that says why.
#[must_use]
pub fn health(healthy: bool, body: String) -> Reply {
    let mut reply = json(if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, JSON, body);
    reply.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    reply
}

/// Whether something was granted or made.
#[must_use]
pub fn is_created(reply: &Reply) -> bool {
    reply.status() == StatusCode::CREATED
}

/// Says under which id the request is found in the logs.
pub fn set_request_id(reply: &mut Reply, id: &str) {
    if let Ok(value) = HeaderValue::from_str(id) {
        reply.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
}

/// Says which span of the caller's trace this was: as `traceparent` in `Server-Timing`, which pages can read. The header
/// `traceresponse` is an editors' draft still.
pub fn set_server_trace(reply: &mut Reply, traceparent: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("traceparent;desc=\"{traceparent}\"")) {
        reply.headers_mut().insert(HeaderName::from_static("server-timing"), value);
    }
}

/// A refusal.
#[must_use]
pub fn problem(problem: &Problem, request_id: &str) -> Reply {
    let status = status_of(problem.cause);
    let mut body = String::with_capacity(256);
    problem.append_body(status.as_u16(), request_id, &mut body);
    let mut reply = json(status, PROBLEM_JSON, body);
    let headers = reply.headers_mut();
    if let Some(retry_after_ms) = problem.retry_after_ms {
        // The header counts whole seconds: rounded up, or a client would come too early.
        headers.insert(RETRY_AFTER, HeaderValue::from(retry_after_ms.div_ceil(1_000).max(1)));
    }
    if let (Some(limit), Some(wait_ms)) = (&problem.limit, problem.retry_after_ms) {
        // As draft-ietf-httpapi-ratelimit-headers-10 has them: units a window, and what is left until when.
        let burst = limit.allowance.burst();
        let window = limit.allowance.interval().saturating_mul(burst).as_secs_f64().ceil().max(1.0);
        let (name, wait_s) = (limit.name, wait_ms.div_ceil(1_000).max(1));
        let fields = [
            ("ratelimit-policy", format!("\"{name}\";q={burst};w={window}")),
            ("ratelimit", format!("\"{name}\";r=0;t={wait_s}")),
        ];
        for (field, text) in fields {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(HeaderName::from_static(field), value);
            }
        }
    }
    if let Some(allow) = problem.allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    // Many of these statuses are cacheable by default, and a drop that was just applied, or a restock, must be seen at once.
    headers.insert(CACHE_CONTROL, NO_STORE);
    if matches!(problem.cause, Cause::PayloadTooLarge | Cause::RequestTimeout) {
        // The rest of the body is not read: the connection cannot be used again.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}
