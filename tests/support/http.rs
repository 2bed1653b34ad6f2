//! A small HTTP/1.1 client over one TCP connection, for exact bytes as well as for plain calls.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};

/// How long an answer may take before a test fails.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's value by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| unreachable!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// A problem's `code`.
    pub(crate) fn code(&self) -> String {
        self.text("code")
    }

    /// A text field of the body; empty if there is none.
    pub(crate) fn text(&self, field: &str) -> String {
        self.json().get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// One connection, kept alive.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects; fails the test if nobody listens.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("the service listens")
    }

    /// Connects from another of this machine's addresses.
    pub(crate) fn connect_from(from: IpAddr, address: SocketAddr) -> Self {
        let connect = || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            socket.bind(&SocketAddr::new(from, 0).into())?;
            socket.connect(&address.into())?;
            Self::over(socket.into())
        };
        connect().expect("the service listens")
    }

    /// Connects to a service that may be gone.
    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect(address)?)
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Where it leads, while it is open.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.stream.get_ref().peer_addr().ok()
    }

    /// Sends these bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the service takes bytes");
    }

    /// Sends these bytes to a service that may be gone.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Says that nothing more will be sent, and goes on listening.
    pub(crate) fn end_sending(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).expect("it is open");
    }

    /// Reads one answer with its body.
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer(true).expect("an answer")
    }

    /// Reads one answer; an answer to HEAD has no body.
    pub(crate) fn try_answer(&mut self, with_body: bool) -> io::Result<Answer> {
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status: {status_line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if with_body && status != 304 {
            let length = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            answer.body.resize(length, 0);
            self.stream.read_exact(&mut answer.body)?;
        }
        Ok(answer)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Whether the service has closed or reset the connection: waits for it, and for nothing else to come.
    pub(crate) fn is_closed_by_service(&mut self) -> bool {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(count) => count == 0,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        }
    }

    /// One call on this connection.
    pub(crate) fn call(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_call(method, path, headers, body).expect("an answer")
    }

    /// One call to a service that may go away.
    pub(crate) fn try_call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        self.try_send(&request(method, path, headers, body))?;
        self.try_answer(method != "HEAD")
    }

    /// A claim of the person whose ticket it is.
    pub(crate) fn claim(&mut self, drop: &str, ticket: &str) -> Answer {
        self.try_claim(drop, ticket).expect("an answer")
    }

    /// A claim at a service that may go away.
    pub(crate) fn try_claim(&mut self, drop: &str, ticket: &str) -> io::Result<Answer> {
        self.try_call("POST", &claims_path(drop), &[("authorization", &bearer(ticket))], b"")
    }
}

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: claims\r\n");
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    if !body.is_empty() {
        text.extend(["content-length: ", &body.len().to_string(), "\r\n"]);
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The bytes of a claim.
pub(crate) fn claim_request(drop: &str, ticket: &str) -> Vec<u8> {
    request("POST", &claims_path(drop), &[("authorization", &bearer(ticket))], b"")
}

/// Where a drop's claims are made.
pub(crate) fn claims_path(drop: &str) -> String {
    format!("/v1/drops/{drop}/claims")
}

/// The value of an `Authorization` header.
pub(crate) fn bearer(ticket: &str) -> String {
    format!("Bearer {ticket}")
}
