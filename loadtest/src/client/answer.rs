//! What a reply says, read as cheaply as possible.
//!
//! A body is parsed only where something in it is needed: the `code` of an error, the number of a claim that is
//! to be logged.

use std::borrow::Cow;

use serde::Deserialize;

/// The status of a new claim.
pub const CREATED: u16 = 201;
/// The status of a claim that was granted before.
pub const OK: u16 = 200;
/// The status of a service that has no room at the moment.
pub const SERVICE_UNAVAILABLE: u16 = 503;
/// The status of a service that wants less from this person or address.
pub const TOO_MANY_REQUESTS: u16 = 429;
/// The first status of a refusal.
pub const REFUSALS: u16 = 400;

/// The first status of a server error.
pub const SERVER_ERRORS: u16 = 500;
/// The code of an answer that does not know whether the claim was granted.
pub const OUTCOME_UNKNOWN: &str = "outcome_unknown";

/// What a granted claim says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ClaimBody<'body> {
    /// The claim's id.
    #[serde(borrow)]
    pub claim_id: Cow<'body, str>,
    /// Its number within the drop.
    pub seq: u64,
}

#[derive(Deserialize)]
struct ProblemBody<'body> {
    #[serde(borrow)]
    code: Cow<'body, str>,
}

/// What a drop's public state says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StateBody<'body> {
    /// `scheduled`, `open`, `paused`, `sold_out` or `closed`.
    #[serde(borrow)]
    pub state: Cow<'body, str>,
    /// After how many milliseconds to ask again.
    pub poll_after_ms: Option<u64>,
}

/// Reads a drop's state; `None` if the body is none.
#[must_use]
pub fn state(body: &[u8]) -> Option<StateBody<'_>> {
    serde_json::from_slice(body).ok()
}

/// Reads a claim; `None` if the body is none.
#[must_use]
pub fn claim(body: &[u8]) -> Option<ClaimBody<'_>> {
    serde_json::from_slice(body).ok()
}

/// The longest code that is kept, in characters: each is remembered by persona and interval.
const CODE_CHARS_MAX: usize = 64;
/// What stands for a character that a terminal would obey.
const NO_CHARACTER: char = '\u{fffd}';

/// The stable `code` of an error reply (RFC 9457 problem with a `code`), or an empty text if it has none. What no service
/// means as a code is cut short and made harmless: it goes to terminals and pages as it stands.
#[must_use]
pub fn problem_code(body: &[u8]) -> Cow<'_, str> {
    let code =
        serde_json::from_slice::<ProblemBody<'_>>(body).map(|problem| problem.code).unwrap_or_default();
    if code.len() <= CODE_CHARS_MAX && code.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return code;
    }
    harmless(code.chars().take(CODE_CHARS_MAX)).into()
}

/// A text from elsewhere, without what a terminal would obey.
pub(crate) fn harmless(text: impl Iterator<Item = char>) -> String {
    text.map(|c| if c.is_control() { NO_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_borrowed_from_its_body() {
        let body = br#"{"claim_id":"clm_1","drop":"d","seq":17,"voucher":"V","replayed":false}"#;
        assert_eq!(claim(body), Some(ClaimBody { claim_id: "clm_1".into(), seq: 17 }));
        assert!(matches!(claim(body).unwrap().claim_id, Cow::Borrowed(_)));
        assert_eq!(claim(b"{}"), None);
    }

    #[test]
    fn a_state_may_say_when_to_ask_again() {
        let body = br#"{"drop":"d","state":"open","stock_left":3,"poll_after_ms":250}"#;
        assert_eq!(state(body), Some(StateBody { state: "open".into(), poll_after_ms: Some(250) }));
        assert_eq!(state(br#"{"state":"closed"}"#).unwrap().poll_after_ms, None);
        assert_eq!(state(b"[]"), None);
    }

    #[test]
    fn a_problem_gives_its_code() {
        assert_eq!(problem_code(br#"{"type":"about:blank","status":410,"code":"sold_out"}"#), "sold_out");
        assert_eq!(problem_code(b"<html>"), "");
        let odd = br#"{"code":"a\u001b[2J\nb"}"#;
        assert_eq!(problem_code(odd), "a\u{fffd}[2J\u{fffd}b");
        let long = format!(r#"{{"code":"{}"}}"#, "\u{e9}".repeat(1_000));
        assert_eq!(problem_code(long.as_bytes()), "\u{e9}".repeat(CODE_CHARS_MAX));
    }
}
