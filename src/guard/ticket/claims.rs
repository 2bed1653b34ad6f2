//! What a ticket says, as JSON: its header and its claims, read without copying.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, Unexpected, Visitor};

use super::plain;
use crate::clock::UnixMs;

/// The last second of the year 9999. A later date is most likely one in milliseconds, and would make a ticket
/// that never ends.
const DATE_SECONDS_MAX: i64 = 253_402_300_799;

/// A text that borrows from the payload, or owns what an escape in it stands for.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// The header of a ticket, as far as it is looked at. Key material in it (`jwk`, `jku`, `x5c` …) is not.
#[derive(Debug, Deserialize)]
pub(super) struct Header<'a> {
    #[serde(borrow)]
    pub(super) alg: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) kid: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) typ: Option<Text<'a>>,
    #[serde(default)]
    pub(super) crit: Present,
}

/// The claims of a ticket. Others (`iss`, `aud`, `iat` …) are not looked at.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Claims<'a> {
    #[serde(borrow)]
    pub(super) sub: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) drop: Option<Text<'a>>,
    pub(super) exp: Option<NumericDate>,
    pub(super) nbf: Option<NumericDate>,
    #[serde(borrow)]
    pub(super) jti: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) dev: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) region: Option<Text<'a>>,
}

/// Whether a member stands in an object, with any value, `null` included.
#[derive(Debug, Default)]
pub(super) struct Present(pub(super) bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

/// A date as RFC 7519 writes it, in seconds with or without a fraction; kept in milliseconds, from 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NumericDate(pub(super) UnixMs);

impl NumericDate {
    /// A date in whole seconds, unless it is later than the year 9999.
    pub(super) fn from_seconds(seconds: u64) -> Option<Self> {
        let seconds = i64::try_from(seconds).ok().filter(|seconds| *seconds <= DATE_SECONDS_MAX)?;
        Some(Self(seconds * 1_000))
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumericDateVisitor)
    }
}

struct NumericDateVisitor;

impl Visitor<'_> for NumericDateVisitor {
    type Value = NumericDate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a date in seconds since 1970")
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<NumericDate, E> {
        NumericDate::from_seconds(seconds)
            .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(seconds), &self))
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<NumericDate, E> {
        if !(0.0..=DATE_SECONDS_MAX as f64).contains(&seconds) {
            return Err(E::invalid_value(Unexpected::Float(seconds), &self));
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked above: between 0 and 9999-12-31")]
        Ok(NumericDate((seconds * 1_000.0).floor() as UnixMs))
    }
}

/// Reads the claims of a ticket, as [`parse_object`] does.
pub(super) fn parse_claims(bytes: &[u8]) -> Option<Claims<'_>> {
    plain::read(std::str::from_utf8(bytes).ok()?).or_else(|| parse_object(bytes))
}

/// Reads a JSON object. Arrays are refused, though serde would take them for structs; so is a member that is
/// read and stands there twice.
pub(super) fn parse_object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    serde_json::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(json: &str) -> Option<UnixMs> {
        serde_json::from_str::<NumericDate>(json).ok().map(|date| date.0)
    }

    #[test]
    fn dates_are_integers_or_floats_between_1970_and_9999() {
        assert_eq!(date("0"), Some(0));
        assert_eq!(date("-0.0"), Some(0));
        assert_eq!(date("1700000000"), Some(1_700_000_000_000));
        assert_eq!(date("1700000000.25"), Some(1_700_000_000_250));
        assert_eq!(date("1.7e9"), Some(1_700_000_000_000));
        assert_eq!(date("253402300799"), Some(253_402_300_799_000));
        for refused in
            ["-1", "-0.5", "253402300800", "18446744073709551616", "1e300", "1e400", "NaN", "\"1\"", "true"]
        {
            assert_eq!(date(refused), None, "{refused}");
        }
    }

    #[test]
    fn texts_without_escapes_borrow() {
        let header: Header<'_> = parse_object(br#"{"alg":"HS256","kid":"k\u0031"}"#).expect("well formed");
        assert!(matches!(header.alg, Some(Text(Cow::Borrowed("HS256")))));
        assert!(matches!(&header.kid, Some(Text(Cow::Owned(kid))) if kid == "k1"));
        assert!(!header.crit.0);
    }

    #[test]
    fn objects_alone_are_read_and_members_once() {
        assert!(parse_object::<Header<'_>>(br#"["HS256","k1","JWT"]"#).is_none());
        assert!(parse_object::<Header<'_>>(br#"{"alg":"HS256","alg":"none"}"#).is_none());
        assert!(parse_object::<Header<'_>>(br#"{"alg":"HS256","\u0061lg":"none"}"#).is_none());
        assert!(parse_object::<Header<'_>>(br"{} {}").is_none());
        assert!(parse_object::<Header<'_>>(br#"{"crit":null}"#).is_some_and(|header| header.crit.0));
    }
}
