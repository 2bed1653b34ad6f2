//! Pages of other origins: which of them may call the API, and what a browser asks before it does.
//!
//! Owns the allow-list. Nothing here protects the service: it lets browsers tell a page what they would keep from it.

use hyper::Method;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap,
    HeaderValue, ORIGIN, VARY,
};

use super::reply::{self, Reply};

/// How long a browser may remember that it asked, in seconds; most of them remember two hours at the most.
const REMEMBERED_S: HeaderValue = HeaderValue::from_static("7200");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
const HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, idempotency-key, device-id, if-none-match");
const EXPOSED: HeaderValue = HeaderValue::from_static("retry-after, etag");

/// The origins whose pages may call.
#[derive(Debug)]
pub struct Cors {
    origins: Vec<HeaderValue>,
}

/// Whose page a request comes from, where answers differ by that.
#[derive(Debug)]
pub(super) struct Asking(Option<HeaderValue>);

impl Cors {
    /// An allow-list; nothing where it is empty. What is no header's value is left out: the config was checked.
    #[must_use]
    pub fn new(origins: &[String]) -> Option<Self> {
        let origins: Vec<_> =
            origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
        (!origins.is_empty()).then_some(Self { origins })
    }

    /// Whose page asks, if it is one of them.
    pub(super) fn asking(&self, headers: &HeaderMap) -> Asking {
        Asking(headers.get(ORIGIN).filter(|origin| self.origins.contains(origin)).cloned())
    }
}

/// What a browser is told that asks before it calls.
pub(super) fn preflight(method: &Method, headers: &HeaderMap, asking: &Asking) -> Option<Reply> {
    let asks = method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !asks || asking.0.is_none() {
        return None;
    }
    let mut reply = reply::no_content();
    let headers = reply.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, REMEMBERED_S);
    Some(reply)
}

/// Says in a reply whose page may read it. A shared cache is to keep them apart.
pub(super) fn mark(asking: Asking, reply: &mut Reply) {
    let headers = reply.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Asking(Some(origin)) = asking {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}
