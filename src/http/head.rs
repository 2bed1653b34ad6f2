//! What the head of a request must be on both listeners, and how the headers are read that may come once.
//!
//! Owns that reading, and knows nothing of what it is good for. Of two lines where one may stand neither counts: a proxy, a log or the
//! client itself may have gone by the other one.

use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Uri, Version};

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
    let path = target.path_and_query().map_or(0, |path| path.as_str().len());
    // A target may name the host, as for a proxy.
    let host = target.authority().map_or(0, |host| host.as_str().len());
    if path + host > limits::TARGET_BYTES_MAX {
        return Err(Cause::TargetTooLong.into());
    }
    Ok(())
}

/// Whether the request says once for which host it is, as HTTP/1.1 demands: a proxy that reads another host than the next one out of
/// the same request is led astray. Which host it is matters to nobody here.
/// Source: RFC 9112, section 3.2
///
/// # Errors
/// 400.
pub(super) fn check_host(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    let flaw = match once(headers, HOST) {
        Ok(Some(host)) if is_host(host.as_bytes()) => return Ok(()),
        Ok(None) if version != Version::HTTP_11 => return Ok(()),
        Ok(Some(_)) => "the header `Host` is no name or address, perhaps with a port",
        Ok(None) => "a request of HTTP/1.1 must have the header `Host`",
        Err(Repeated) => "the header `Host` came more than once",
    };
    Err(Problem::with_detail(Cause::BadRequest, flaw))
}

/// Whether this may stand in the name of a host. A match is a look at a few bits; looking through a list is not.
/// Source: RFC 3986, section 3.2.2
fn is_in_name(byte: u8) -> bool {
    matches!(
        byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&'..=b',' | b';' | b'='
    )
}

/// Whether this is `uri-host [ ":" port ]` with a host.
/// Source: RFC 9110, section 7.2; RFC 3986, section 3.2.2
fn is_host(text: &[u8]) -> bool {
    let in_name = |byte: &u8| is_in_name(*byte);
    let (host, port, is_named) = if let Some(literal) = text.strip_prefix(b"[") {
        let Some(end) = literal.iter().position(|byte| *byte == b']') else { return false };
        let (address, rest) = literal.split_at(end);
        let is_named = address.iter().all(|byte| in_name(byte) || *byte == b':');
        (address, rest.get(1..).unwrap_or_default(), is_named)
    } else {
        let end = text.iter().position(|byte| !in_name(byte)).unwrap_or(text.len());
        let (name, port) = text.split_at(end);
        (name, port, true)
    };
    let is_port =
        port.is_empty() || port.strip_prefix(b":").is_some_and(|port| port.iter().all(u8::is_ascii_digit));
    !host.is_empty() && is_named && is_port
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
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for good in ["claims", "claim.example:8080", "127.0.0.1:1", "[::1]:8080", "[fe80::1]", "a_b", "h:"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in
            ["", ":80", "a b", "a@b", "http://a", "a/b", "a:b", "a:1:2", "::1", "[::1", "[]", "[::1]80", "ü"]
        {
            assert!(!is_host(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn a_request_of_http_1_1_has_one_host() {
        let check = |version, hosts: &[&'static str]| {
            let lines: Vec<_> = hosts.iter().map(|host| (HOST, *host)).collect();
            check_host(version, &headers(&lines)).map_err(|problem| problem.cause)
        };
        let refused = Err(Cause::BadRequest);
        assert_eq!((check(Version::HTTP_11, &["a"]), check(Version::HTTP_10, &["a"])), (Ok(()), Ok(())));
        assert_eq!((check(Version::HTTP_11, &[]), check(Version::HTTP_10, &[])), (refused, Ok(())));
        for version in [Version::HTTP_10, Version::HTTP_11] {
            for bad in [&["a", "a"][..], &["a b"]] {
                assert_eq!(check(version, bad), refused, "{bad:?}");
            }
        }
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
