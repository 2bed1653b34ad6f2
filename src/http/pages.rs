//! `GET /`, `/d/{drop}`, `/vouchers` and `/assets/…`: the claim page, from memory; and the form by which a sponsor's platform
//! hands somebody over to it.

use hyper::body::Incoming;
use hyper::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, IF_NONE_MATCH};

use super::body;
use super::front::Front;
use super::problem::Problem;
use super::reply::{self, Reply};
use crate::domain::cause::Cause;
use crate::limits;

/// What a form may hand over.
const HANDED_OVER: [&str; 2] = ["ticket", "identity"];

/// The document. One for all addresses: its script reads which.
pub(super) fn document(front: &Front, headers: &HeaderMap) -> Reply {
    let served = front.pages.document(text(headers, ACCEPT_ENCODING));
    reply::document(&served, front.pages.policy(), text(headers, IF_NONE_MATCH))
}

/// A file that is named by its content.
pub(super) fn asset(front: &Front, path: &str, headers: &HeaderMap) -> Result<Reply, Problem> {
    let served = front.pages.asset(path, text(headers, ACCEPT_ENCODING)).ok_or(Cause::NotFound)?;
    Ok(reply::asset(&served, text(headers, IF_NONE_MATCH)))
}

/// Takes what a sponsor's form says, and shows the page to whom it was handed over. It travels in the fragment, which no
/// server sees, and which the page takes out of the address at once.
pub(super) async fn hand_over(
    front: &Front,
    path: String,
    headers: HeaderMap,
    body: Incoming,
) -> Result<Reply, Problem> {
    let body = body::read(body, limits::BODY_BYTES_MAX, front.body_timeout).await?;
    let kind = text(&headers, CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let detail = "a form must be application/x-www-form-urlencoded";
        return Err(Problem::with_detail(Cause::UnsupportedMediaType, detail));
    }
    let form = std::str::from_utf8(&body).unwrap_or_default();
    let fields = form.split('&').filter_map(|field| field.split_once('='));
    let known: Vec<_> = fields.filter(|(name, _)| HANDED_OVER.contains(name)).collect();
    let in_order = |text: &str| {
        (1..=limits::HANDED_OVER_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match known.as_slice() {
        [(name, value)] if in_order(value) => Ok(reply::see_other(&format!("{path}#{name}={value}"))),
        _ => {
            let detail = "the form must have either ticket or identity, a signed JWT";
            Err(Problem::with_detail(Cause::BadRequest, detail))
        }
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
