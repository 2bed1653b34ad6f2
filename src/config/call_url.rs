//! The address of another service that this one calls by HTTP.

use std::fmt;

use hyper::Uri;
use serde::{Deserialize, Serialize, Serializer};

/// The URL of a service to call. Shown, logged and serialised without user, password and query, any of which may be a secret.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct CallUrl(String);

impl CallUrl {
    /// Keeps `url` as it is.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// Whether none is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The whole URL, secrets included: to call, never to show.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The URL as anybody may see it.
    #[must_use]
    pub fn shown(&self) -> String {
        let (url, query) = self.0.split_once('?').map_or((&*self.0, ""), |(url, _)| (url, "?…"));
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) => (format!("{scheme}://"), rest),
            None => (String::new(), url),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        format!("{scheme}{host}{path}{query}")
    }

    /// Whether it may be called at all: `https://`, or `http://` on this machine.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        let Ok(uri) = self.0.parse::<Uri>() else { return false };
        let host = uri.host().unwrap_or_default();
        match uri.scheme_str() {
            Some("https") => !host.is_empty(),
            Some("http") => matches!(host, "127.0.0.1" | "[::1]" | "localhost"),
            _ => false,
        }
    }
}

impl fmt::Display for CallUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl fmt::Debug for CallUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

impl Serialize for CallUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_of_a_url_is_shown() {
        for (url, said) in [
            ("", ""),
            ("https://login.example/keys", "https://login.example/keys"),
            ("https://login.example", "https://login.example"),
            ("https://me:word@login.example:8443/a@b?token=word&x=/y", "https://login.example:8443/a@b?…"),
            ("http://127.0.0.1:81?word", "http://127.0.0.1:81?…"),
            ("me:word@login.example/keys?word", "login.example/keys?…"),
        ] {
            let url = CallUrl::new(url);
            assert_eq!((url.to_string(), format!("{url:?}")), (said.to_owned(), format!("{said:?}")));
            assert_eq!(serde_json::to_string(&url).unwrap(), format!("{said:?}"));
        }
    }

    #[test]
    fn tls_unless_it_is_this_machine() {
        for url in
            ["https://login.example/keys", "http://127.0.0.1:81/k", "http://localhost/k", "http://[::1]/k"]
        {
            assert!(CallUrl::new(url).is_allowed(), "{url}");
        }
        for url in
            ["http://login.example/keys", "ftp://a/b", "file:///etc/passwd", "login.example", "https://", ""]
        {
            assert!(!CallUrl::new(url).is_allowed(), "{url}");
        }
    }
}
