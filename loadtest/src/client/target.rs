//! Where requests go: the address, the `Host` header and the path.

use std::{
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use hyper::{Method, Uri};

use super::ask::Ask;

/// Stands for the person's number, which is the ticket's line in a ticket file, in a path template.
const LINE: &str = "{line}";

/// How long one of several addresses may take to accept a connection.
const TRY_WAIT: Duration = Duration::from_secs(1);

/// The service under load.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its resolved address.
    pub address: SocketAddr,
    first_lines: Lines,
}

/// The request line and the `Host` header, ready made.
#[derive(Debug, Clone)]
enum Lines {
    Fixed(Vec<u8>),
    PerLine { before: String, after: String },
}

impl Target {
    /// Resolves `url` (`http://host[:port]`), to the first of its addresses that accepts connections where it has several; `path` may hold `{line}` for the person's number.
    ///
    /// # Errors
    /// The URL is not plain HTTP, has a path, or does not resolve; or the path is none.
    pub fn new(url: &str, method: &Method, path: &str) -> Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("target {url}"))?;
        if uri.scheme_str() != Some("http") {
            bail!("target {url}: only http:// is spoken");
        }
        if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
            bail!("target {url}: give only scheme, host and port");
        }
        let authority = uri.authority().with_context(|| format!("target {url} has no host"))?;
        let host = authority.host().trim_matches(['[', ']']);
        let addresses: Vec<_> = (host, authority.port_u16().unwrap_or(80))
            .to_socket_addrs()
            .with_context(|| format!("target {url}"))?
            .collect();
        let address = reachable(&addresses).with_context(|| format!("target {url} has no address"))?;
        // A fragment never leaves a client.
        let (path, _) = path.split_once('#').unwrap_or((path, ""));
        let checked = |path: &str| path.parse::<Uri>().with_context(|| format!("path {path}"));
        let after_path = format!(" HTTP/1.1\r\nhost: {authority}\r\n");
        let first_lines = match path.split_once(LINE) {
            Some((before, after)) => {
                // Whatever digits stand there, the path is as good as with this one.
                checked(&format!("{before}0{after}"))?;
                Lines::PerLine { before: format!("{method} {before}"), after: format!("{after}{after_path}") }
            }
            None => Lines::Fixed(format!("{method} {}{after_path}", checked(path)?).into_bytes()),
        };
        Ok(Self { address, first_lines })
    }

    /// A request of one person, with room for so many bytes of headers.
    #[must_use]
    pub fn request(&self, line: u64, room: usize) -> Ask {
        match &self.first_lines {
            Lines::Fixed(lines) => Ask::new(lines, room),
            Lines::PerLine { .. } => Ask::new(&self.head(line), room),
        }
    }

    /// The first lines of a request as they stand on the wire, for those who never finish one.
    #[must_use]
    pub fn head(&self, line: u64) -> Vec<u8> {
        match &self.first_lines {
            Lines::Fixed(lines) => lines.clone(),
            Lines::PerLine { before, after } => format!("{before}{line}{after}").into_bytes(),
        }
    }
}

/// The first address that accepts connections, or the first of all where none does: `localhost` is `::1` before it is
/// `127.0.0.1` on many machines, and a service listens on one of them. A single address is not tried.
fn reachable(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    let accepts = |address: &&SocketAddr| TcpStream::connect_timeout(address, TRY_WAIT).is_ok();
    let first = addresses.first();
    let several = addresses.iter().any(|address| Some(address) != first);
    several.then(|| addresses.iter().find(accepts)).flatten().or(first).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_addresses_one_is_taken_that_accepts_connections() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        // Nobody listens on this one's port.
        let shut = SocketAddr::new("127.0.0.77".parse().unwrap(), open.port());
        assert_eq!(reachable(&[shut, open]), Some(open));
        assert_eq!(reachable(&[open, shut]), Some(open));
        assert_eq!(reachable(&[shut]), Some(shut));
        assert_eq!(reachable(&[]), None);
        drop(listener);
        assert_eq!(reachable(&[shut, open]), Some(shut), "as if there were one alone");
    }

    #[test]
    fn a_path_may_name_the_line() {
        let target = Target::new("http://127.0.0.1:8080", &Method::POST, "/a/{line}/b").unwrap();
        assert_eq!(target.request(7, 0).bytes(), b"POST /a/7/b HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n\r\n");
        assert_eq!(target.head(7), b"POST /a/7/b HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n");
    }

    #[test]
    fn a_fixed_path_stands_as_it_was_given() {
        let target = Target::new("http://127.0.0.1:8080", &Method::GET, "/a?b=c%20d#e").unwrap();
        assert_eq!(target.request(7, 0).bytes(), b"GET /a?b=c%20d HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n\r\n");
        assert_eq!(target.head(7), b"GET /a?b=c%20d HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n");
    }

    #[test]
    fn nothing_but_a_path_gets_into_the_first_line() {
        for path in ["/a b", "/a\r\nx: y", "/{line} HTTP/1.1\r\nx: y", "/a\u{e9}{line}\n"] {
            let error = Target::new("http://127.0.0.1:8080", &Method::GET, path).unwrap_err();
            assert!(format!("{error:#}").contains("path"), "{error:#}");
        }
    }

    #[test]
    fn only_plain_http_without_a_path_is_a_target() {
        assert!(Target::new("https://127.0.0.1", &Method::POST, "/").is_err());
        assert!(Target::new("http://127.0.0.1/v1", &Method::POST, "/").is_err());
        assert!(Target::new("127.0.0.1:80", &Method::POST, "/").is_err());
        assert_eq!(
            Target::new("http://[::1]:81/", &Method::POST, "/").unwrap().address,
            "[::1]:81".parse().unwrap()
        );
    }
}
