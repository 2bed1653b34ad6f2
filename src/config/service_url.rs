//! An address that may hold a password.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// The URL of a service. Shown, logged and serialised without its password.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ServiceUrl(String);

impl ServiceUrl {
    /// Keeps `url` as it is.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// Whether none is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The whole URL, password included: to connect with, never to show.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The URL with `***` in place of a password.
    #[must_use]
    pub fn redacted(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            // Not a URL at all, so there is no telling which part of it is secret.
            return if self.0.contains('@') { "***".to_owned() } else { self.0.clone() };
        };
        // A password may hold "/" or "@" although it should not: the last "@" ends it, wherever that is.
        let rest = match rest.rsplit_once('@') {
            Some((login, place)) => match login.split_once(':') {
                Some((user, _password)) => format!("{user}:***@{}", redact_query(place)),
                None => format!("{login}@{}", redact_query(place)),
            },
            None => redact_query(rest),
        };
        format!("{scheme}://{rest}")
    }
}

/// Unix socket URLs carry their password as `?pass=`.
fn redact_query(place: &str) -> String {
    let Some((path, query)) = place.split_once('?') else { return place.to_owned() };
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name @ ("pass" | "password"), _)) => format!("{name}=***"),
            _ => pair.to_owned(),
        })
        .collect();
    format!("{path}?{}", pairs.join("&"))
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.redacted())
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl Serialize for ServiceUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.redacted())
    }
}

#[cfg(test)]
mod tests {
    use super::ServiceUrl;

    #[test]
    fn no_password_is_shown() {
        for (url, shown) in [
            ("", ""),
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("redis://:s3cret@cache:6379/1", "redis://:***@cache:6379/1"),
            ("redis://app:s3/cr@t@cache", "redis://app:***@cache"),
            ("redis+unix:///run/r.sock?db=1&pass=s3cret", "redis+unix:///run/r.sock?db=1&pass=***"),
            ("redis:app:s3cret@cache", "***"),
            ("postgres://app@db/claims", "postgres://app@db/claims"),
        ] {
            assert_eq!(ServiceUrl::new(url).redacted(), shown);
            assert_eq!(format!("{:?}", ServiceUrl::new(url)), format!("{shown:?}"));
        }
    }
}
