//! Where requests go: the address, the `Host` header and the path.

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, Result, bail};
use hyper::{Method, Request, Uri, header, header::HeaderValue};

use super::wire::NoBody;

/// Stands for the person's number, which is the ticket's line in a ticket file, in a path template.
const LINE: &str = "{line}";

/// The service under load.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its resolved address.
    pub address: SocketAddr,
    method: Method,
    host: HeaderValue,
    path: Path,
}

#[derive(Debug, Clone)]
enum Path {
    Fixed(Uri),
    PerLine { before: String, after: String },
}

impl Target {
    /// Resolves `url` (`http://host[:port]`); `path` may hold `{line}` for the person's number.
    ///
    /// # Errors
    /// The URL is not plain HTTP, has a path, or does not resolve.
    pub fn new(url: &str, method: Method, path: &str) -> Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("target {url}"))?;
        if uri.scheme_str() != Some("http") {
            bail!("target {url}: only http:// is spoken");
        }
        if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
            bail!("target {url}: give only scheme, host and port");
        }
        let authority = uri.authority().with_context(|| format!("target {url} has no host"))?;
        let host = authority.host().trim_matches(['[', ']']);
        let address = (host, authority.port_u16().unwrap_or(80))
            .to_socket_addrs()
            .with_context(|| format!("target {url}"))?
            .next()
            .with_context(|| format!("target {url} has no address"))?;
        let path = match path.split_once(LINE) {
            Some((before, after)) => Path::PerLine { before: before.to_owned(), after: after.to_owned() },
            None => Path::Fixed(path.parse().with_context(|| format!("path {path}"))?),
        };
        Ok(Self { address, method, host: HeaderValue::from_str(authority.as_str())?, path })
    }

    /// An equal target that shares no reference counts with this one, for another thread.
    ///
    /// # Errors
    /// Never for a target that was accepted before.
    pub fn unshared(&self) -> Result<Self> {
        let path = match &self.path {
            Path::Fixed(uri) => Path::Fixed(uri.to_string().parse()?),
            per_line @ Path::PerLine { .. } => per_line.clone(),
        };
        let host = HeaderValue::from_bytes(self.host.as_bytes())?;
        Ok(Self { address: self.address, method: self.method.clone(), host, path })
    }

    /// A request of one person; `authorization` is the value of that header.
    ///
    /// # Errors
    /// The path template does not give a valid path.
    pub fn request(&self, line: u64, authorization: Option<HeaderValue>) -> Result<Request<NoBody>> {
        let mut request = Request::new(NoBody);
        request.method_mut().clone_from(&self.method);
        *request.uri_mut() = match &self.path {
            Path::Fixed(uri) => uri.clone(),
            Path::PerLine { before, after } => format!("{before}{line}{after}").try_into()?,
        };
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.host.clone());
        if let Some(authorization) = authorization {
            headers.insert(header::AUTHORIZATION, authorization);
        }
        Ok(request)
    }

    /// The first lines of a request as they stand on the wire, for those who never finish one.
    #[must_use]
    pub fn head(&self, line: u64) -> Vec<u8> {
        let path = match &self.path {
            Path::Fixed(uri) => uri.to_string(),
            Path::PerLine { before, after } => format!("{before}{line}{after}"),
        };
        let mut head = format!("{} {path} HTTP/1.1\r\nhost: ", self.method).into_bytes();
        head.extend_from_slice(self.host.as_bytes());
        head.extend_from_slice(b"\r\n");
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_name_the_line() {
        let target = Target::new("http://127.0.0.1:8080", Method::POST, "/a/{line}/b").unwrap();
        let request = target.request(7, Some(HeaderValue::from_static("Bearer t"))).unwrap();
        assert_eq!(request.uri(), "/a/7/b");
        assert_eq!(request.headers()["host"], "127.0.0.1:8080");
        assert_eq!(request.headers()["authorization"], "Bearer t");
        assert!(!target.request(7, None).unwrap().headers().contains_key("authorization"));
    }

    #[test]
    fn only_plain_http_without_a_path_is_a_target() {
        assert!(Target::new("https://127.0.0.1", Method::POST, "/").is_err());
        assert!(Target::new("http://127.0.0.1/v1", Method::POST, "/").is_err());
        assert!(Target::new("127.0.0.1:80", Method::POST, "/").is_err());
        assert_eq!(
            Target::new("http://[::1]:81/", Method::POST, "/").unwrap().address,
            "[::1]:81".parse().unwrap()
        );
    }
}
