//! Request bodies: bounded in size and time, JSON or nothing.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap};

use super::problem::Problem;
use crate::domain::cause::Cause;

/// Reads a whole body of at most `bytes_max` bytes within `patience`.
///
/// # Errors
/// 413 when it is larger, announced or not; 408 when it is late; 400 when the client broke off.
pub(super) async fn read(body: Incoming, bytes_max: usize, patience: Duration) -> Result<Bytes, Problem> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(Cause::PayloadTooLarge.into());
    }
    match tokio::time::timeout(patience, Limited::new(body, bytes_max).collect()).await {
        Err(_) => Err(Cause::RequestTimeout.into()),
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Cause::PayloadTooLarge.into()),
        Ok(Err(_)) => Err(Problem::with_detail(Cause::BadRequest, "the body ended early")),
    }
}

/// Checks a body that may be absent and, if not, must be one JSON object.
///
/// # Errors
/// 415 for another content type, 400 for anything but one JSON object.
pub(super) fn check_json(headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    if body.is_empty() {
        return Ok(());
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Cause::UnsupportedMediaType.into());
    }
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).map(drop).map_err(|error| {
        Problem::with_detail(Cause::BadRequest, format!("the body is no JSON object: {error}"))
    })
}
