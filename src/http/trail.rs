//! What goes along with a request to its answer: the ids under which it is found again, and whether a line is logged of it.
//!
//! Most requests bring nothing and leave nothing: noting that costs a look at each header's name.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderValue};

use super::front::RequestIds;
use super::reply::{self, Reply};
use crate::config::{LogConfig, LoggedDecisions};
use crate::domain::ids::DropId;
use crate::limits;
use crate::telemetry::trace::{EndedSpan, Span, TRACEPARENT, TraceParent};

/// The header in which a request's id comes and goes.
pub(super) const REQUEST_ID: &str = "x-request-id";

/// Which decisions are logged.
#[derive(Debug)]
pub struct Decisions {
    which: LoggedDecisions,
    /// One of so many.
    sample: u64,
    seen: AtomicU64,
}

impl Decisions {
    /// As configured.
    #[must_use]
    pub fn new(config: &LogConfig) -> Self {
        Self { which: config.decisions, sample: config.sample.max(1), seen: AtomicU64::new(0) }
    }

    fn are_logged(&self) -> bool {
        self.which != LoggedDecisions::Off
    }

    /// Whether this one is.
    fn take(&self, decides: bool, refused: bool) -> bool {
        let wanted = match self.which {
            LoggedDecisions::Off => false,
            LoggedDecisions::Refusals => refused,
            LoggedDecisions::All => refused || decides,
        };
        wanted && self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.sample)
    }
}

/// What is known of a request beside what it asks for.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// The word for what was asked, at the admin listener its path; empty where there is no such path.
    pub(super) call: &'static str,
    /// Whether a good answer to it decides something.
    pub(super) decides: bool,
    more: Option<Box<More>>,
}

#[derive(Debug, Default)]
struct More {
    request_id: Option<String>,
    span: Option<Span>,
    drop: Option<DropId>,
}

/// What came out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// The problem's code, or the word for a good answer.
    pub(super) word: &'static str,
    /// Whether it was refused.
    pub(super) refused: bool,
    /// How long it took.
    pub(super) took: Duration,
}

impl Trail {
    /// Takes what the headers bring; false if they are more than may come. hyper bounds the block as well, far above this,
    /// and answers without a body.
    pub(super) fn note(&mut self, headers: &HeaderMap) -> bool {
        let mut bytes = 0_usize;
        let (mut id, mut trace) = (Once::Never, Once::Never);
        for (name, value) in headers {
            let name = name.as_str();
            bytes += name.len() + value.len() + 4;
            match name {
                REQUEST_ID => id.see(value),
                TRACEPARENT => trace.see(value),
                _ => {}
            }
        }
        if let Some(id) = id.value().filter(|id| is_request_id(id.as_bytes())) {
            self.more().request_id = id.to_str().ok().map(str::to_owned);
        }
        if let Some(parent) = trace.value().and_then(|value| TraceParent::parse(value.as_bytes())) {
            self.more().span = Some(Span::below(parent));
        }
        headers.len() <= limits::HEADERS_MAX && bytes <= limits::HEADER_BYTES_MAX
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// Whether it will be asked which drop it was.
    pub(super) fn wants_drop(&self, decisions: &Decisions) -> bool {
        decisions.are_logged() || self.more.as_ref().is_some_and(|more| more.span.is_some())
    }

    /// The drop that is meant; one that exists, as anything may stand in a path.
    pub(super) fn set_drop(&mut self, drop: DropId) {
        self.more().drop = Some(drop);
    }

    /// The request's id, which it gets here if it has none.
    pub(super) fn request_id(&mut self, ids: &RequestIds) -> &str {
        self.more().request_id.get_or_insert_with(|| ids.next_id())
    }

    /// Logs the decision if it is one of those that are.
    pub(super) fn log(&mut self, decisions: &Decisions, ids: &RequestIds, outcome: Outcome) {
        if !decisions.take(self.decides, outcome.refused) {
            return;
        }
        self.request_id(ids);
        let call = self.call;
        let Some(more) = &self.more else { return };
        let span = more.span.as_ref();
        let hex = |id: Option<&[u8]>| id.map(|id| data_encoding::HEXLOWER.encode(id));
        tracing::info!(
            target: "claimrush::decision",
            call,
            outcome = outcome.word,
            drop = more.drop.as_ref().map(DropId::as_str),
            micros = u64::try_from(outcome.took.as_micros()).unwrap_or(u64::MAX),
            request_id = more.request_id.as_deref(),
            trace_id = hex(span.map(|span| span.parent.trace_id()).as_ref().map(|id| &id[..])),
            span_id = hex(span.map(Span::span_id).as_ref().map(|id| &id[..])),
            "decided"
        );
    }

    /// Writes on the reply under which id it is found in the logs, if it has one.
    pub(super) fn tell_request_id(&self, reply: &mut Reply) {
        if let Some(id) = self.more.as_ref().and_then(|more| more.request_id.as_ref()) {
            reply::set_request_id(reply, id);
        }
    }

    /// Writes on the reply under which ids it is known.
    pub(super) fn tell(&self, reply: &mut Reply) {
        self.tell_request_id(reply);
        if let Some(span) = self.more.as_ref().and_then(|more| more.span.as_ref()) {
            reply::set_server_trace(reply, &span.to_traceparent());
        }
    }

    /// The span to export, if the caller records its trace.
    pub(super) fn ended_span(&self, outcome: Outcome, ended_ms: i64) -> Option<EndedSpan> {
        let more = self.more.as_ref()?;
        let span = more.span.filter(|span| span.parent.is_sampled())?;
        Some(EndedSpan {
            span,
            call: self.call,
            drop: more.drop.as_ref().map(ToString::to_string),
            outcome: outcome.word,
            refused: outcome.refused,
            ended_ms,
            took: outcome.took,
        })
    }
}

/// A header that counts only if it comes once.
enum Once<'h> {
    Never,
    Value(&'h HeaderValue),
    Often,
}

impl<'h> Once<'h> {
    fn see(&mut self, value: &'h HeaderValue) {
        *self = if matches!(self, Self::Never) { Self::Value(value) } else { Self::Often };
    }

    fn value(self) -> Option<&'h HeaderValue> {
        if let Self::Value(value) = self { Some(value) } else { None }
    }
}

/// Whether a client's request id is taken over: a UUID or 32 hex digits. Whatever else might be a name, a number of
/// somebody's, or a token, and would stand in logs.
fn is_request_id(id: &[u8]) -> bool {
    let hyphens: &[usize] = if id.len() == 36 { &[8, 13, 18, 23] } else { &[] };
    let fits = |(place, byte): (usize, &u8)| {
        if hyphens.contains(&place) { *byte == b'-' } else { byte.is_ascii_hexdigit() }
    };
    matches!(id.len(), 32 | 36) && id.iter().enumerate().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_request_id_is_a_uuid_or_32_hex_digits() {
        for good in [
            "0af7651916cd43dd8448eb211c80319c",
            "018f4e8c-2a6b-7c3d-9e4f-5a6b7c8d9e0f",
            "018F4E8C-2A6B-7C3D-9E4F-5A6B7C8D9E0F",
        ] {
            assert!(is_request_id(good.as_bytes()), "{good}");
        }
        let long = "1".repeat(64);
        for bad in [
            "",
            "13800138000",
            "11010519491231002X",
            "0af7651916cd43dd8448eb211c80319",
            "018f4e8c-2a6b-7c3d-9e4f-5a6b7c8d9e0g",
            "018f4e8c2a6b-7c3d-9e4f-5a6b7c8d9e0f1",
            &long,
        ] {
            assert!(!is_request_id(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn headers_that_come_twice_count_as_none() {
        let trace = HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, trace.clone());
        let mut trail = Trail::default();
        assert!(trail.note(&headers));
        assert!(trail.more.is_some_and(|more| more.span.is_some()));
        headers.append(TRACEPARENT, trace);
        let mut trail = Trail::default();
        assert!(trail.note(&headers));
        assert!(trail.more.is_none(), "nothing is kept of it");
    }

    #[test]
    fn one_of_so_many_is_logged() {
        let config = |decisions, sample| LogConfig { decisions, sample, ..LogConfig::default() };
        let count = |decisions: &Decisions, decides, refused| {
            (0..90).filter(|_| decisions.take(decides, refused)).count()
        };
        assert_eq!(count(&Decisions::new(&config(LoggedDecisions::Off, 1)), true, true), 0);
        let refusals = Decisions::new(&config(LoggedDecisions::Refusals, 3));
        assert_eq!((count(&refusals, true, false), count(&refusals, false, true)), (0, 30));
        let all = Decisions::new(&config(LoggedDecisions::All, 1));
        assert_eq!(
            [count(&all, true, false), count(&all, false, false), count(&all, false, true)],
            [90, 0, 90]
        );
    }
}
