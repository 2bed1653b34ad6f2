//! What the head of a request must be on both listeners, and how the headers are read that may come once.
//!
//! Owns that reading, and knows nothing of what it is good for. Of two lines where one may stand neither counts: a proxy, a log or the
//! client itself may have gone by the other one.

use hyper::Uri;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::problem::Problem;
use crate::domain::cause::Cause;
use crate::guard::ticket::bearer;
use crate::limits;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A header came more than once.
struct Repeated;

fn once(headers: &HeaderMap, name: HeaderName) -> Result<Option<&HeaderValue>, Repeated> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next();
    if lines.next().is_some() { Err(Repeated) } else { Ok(first) }
}

/// Whether the target is no longer than targets may be.
///
/// # Errors
/// 414.
pub(super) fn check_target(target: &Uri) -> Result<(), Problem> {
    let target = target.path_and_query();
    if target.is_some_and(|target| target.as_str().len() > limits::TARGET_BYTES_MAX) {
        return Err(Cause::TargetTooLong.into());
    }
    Ok(())
}

/// The value of `Authorization` where a ticket is asked for, if there is one.
///
/// # Errors
/// 401 where it comes more than once.
pub(super) fn authorization(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    match once(headers, AUTHORIZATION) {
        Ok(value) => Ok(value.map(HeaderValue::as_bytes)),
        Err(Repeated) => {
            Err(Problem::with_detail(Cause::TicketInvalid, "the header `Authorization` came more than once"))
        }
    }
}

/// The token or key of `Authorization: Bearer`, if one came, and only one.
pub(super) fn bearer_key(headers: &HeaderMap) -> Option<&str> {
    let value = once(headers, AUTHORIZATION).ok().flatten()?;
    bearer(Some(value.as_bytes())).ok()
}

/// The request's idempotency key as it was sent.
///
/// # Errors
/// 400 where there is none, more than one, or one of other characters.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<&[u8], Problem> {
    let bad = |what: String| Problem::with_detail(Cause::BadRequest, what);
    let key = once(headers, IDEMPOTENCY_KEY)
        .map_err(|Repeated| bad("Idempotency-Key came more than once".to_owned()))?
        .ok_or(Cause::IdempotencyKeyRequired)?
        .as_bytes();
    let max = limits::IDEMPOTENCY_KEY_BYTES_MAX;
    if !(1..=max).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
        return Err(bad(format!("Idempotency-Key must have 1 to {max} visible ASCII characters")));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_key_is_one_line_of_visible_characters() {
        let key = |values: &[&'static str]| {
            let lines: Vec<_> = values.iter().map(|value| (IDEMPOTENCY_KEY, *value)).collect();
            idempotency_key(&headers(&lines)).map(<[u8]>::to_vec).map_err(|problem| problem.cause)
        };
        assert_eq!(key(&["!a-1~"]), Ok(b"!a-1~".to_vec()));
        assert_eq!(key(&[]), Err(Cause::IdempotencyKeyRequired));
        for bad in [&["a", "b"][..], &["a", "a"], &["a b"], &["a\tb"], &[""]] {
            assert_eq!(key(bad), Err(Cause::BadRequest), "{bad:?}");
        }
    }

    #[test]
    fn who_calls_is_said_once_in_any_spelling_of_the_scheme() {
        let lines = |values: &[&'static str]| {
            headers(&values.iter().map(|value| (AUTHORIZATION, *value)).collect::<Vec<_>>())
        };
        for good in ["Bearer crk_1_2", "bearer crk_1_2", "BEARER   crk_1_2"] {
            assert_eq!(bearer_key(&lines(&[good])), Some("crk_1_2"), "{good}");
            assert!(authorization(&lines(&[good])).is_ok_and(|value| value == Some(good.as_bytes())));
        }
        for bad in [&[][..], &["Bearer"], &["Basic crk_1_2"], &["Bearer crk_1_2", "Bearer crk_1_2"]] {
            assert_eq!(bearer_key(&lines(bad)), None, "{bad:?}");
        }
        assert_eq!(authorization(&HeaderMap::new()).ok(), Some(None));
        let twice = authorization(&lines(&["Bearer a", "Bearer b"])).expect_err("two of them");
        assert_eq!(twice.cause, Cause::TicketInvalid);
    }
}
