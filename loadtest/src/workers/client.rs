//! The coordinator's end of the link: calls to one worker.
//!
//! Owns the connection and its renewal. Knows how a call is made, not what it means.

use std::{error::Error as StdError, io, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    client::conn::http1::{self, SendRequest},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::TcpStream, time::timeout};

use super::{
    protocol::{CALL_WAIT, REPLY_BYTES_MAX, Refusal},
    token::Token,
};

/// The way to one worker: one connection, opened when it is needed and again when it broke.
pub(super) struct Link {
    address: String,
    host: HeaderValue,
    token: Token,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// Why a call gave nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody listens there: the worker is not running (any more).
    Gone(io::Error),
    /// The call may be tried again.
    Lost(anyhow::Error),
    /// The worker has answered, and not as hoped.
    Refused(anyhow::Error),
}

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Gone(error) => anyhow!(error).context("nobody listens there"),
            Failure::Lost(error) => error.context("cannot be reached"),
            Failure::Refused(error) => error,
        }
    }
}

/// One call.
pub(super) struct Call {
    method: Method,
    path: String,
    body: Bytes,
    reply_bytes_max: usize,
    wait: Duration,
}

impl Call {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path.into(), Bytes::new())
    }

    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path.into(), Bytes::new())
    }

    pub(super) fn post(path: impl Into<String>, body: Bytes) -> Self {
        Self::new(Method::POST, path.into(), body)
    }

    fn new(method: Method, path: String, body: Bytes) -> Self {
        Self { method, path, body, reply_bytes_max: REPLY_BYTES_MAX, wait: CALL_WAIT }
    }

    /// Lets the reply be longer and the call take longer.
    pub(super) fn transfer(mut self, reply_bytes_max: usize, wait: Duration) -> Self {
        (self.reply_bytes_max, self.wait) = (reply_bytes_max, wait);
        self
    }
}

impl Link {
    /// The way to the worker at `host:port`; nothing is sent yet.
    ///
    /// # Errors
    /// The address is not of that form.
    pub(super) fn new(address: &str, token: &Token) -> Result<Self> {
        let port = address.rsplit_once(':').and_then(|(host, port)| {
            let port: u16 = port.parse().ok()?;
            (!host.is_empty()).then_some(port)
        });
        if port.is_none() {
            bail!("worker {address}: give host:port");
        }
        let host = HeaderValue::from_str(address).with_context(|| format!("worker {address}"))?;
        Ok(Self { address: address.to_owned(), host, token: token.clone(), sender: None })
    }

    /// A second way to the same worker.
    pub(super) fn another(&self) -> Self {
        let Self { address, host, token, .. } = self;
        Self { address: address.clone(), host: host.clone(), token: token.clone(), sender: None }
    }

    /// Calls, and reads the JSON of the reply.
    pub(super) async fn ask<T: DeserializeOwned>(&mut self, call: Call) -> Result<T, Failure> {
        let body = self.call(call).await?;
        serde_json::from_slice(&body)
            .map_err(|error| Failure::Refused(anyhow!(error).context("its answer is not what was asked for")))
    }

    /// Calls, and gives the body of the reply.
    pub(super) async fn call(&mut self, call: Call) -> Result<Bytes, Failure> {
        let wait = call.wait;
        let answered = timeout(wait, self.exchange(call)).await;
        let answered =
            answered.unwrap_or_else(|_| Err(Failure::Lost(anyhow!("no answer within {} s", wait.as_secs()))));
        if answered.is_err() {
            self.sender = None;
        }
        answered
    }

    async fn exchange(&mut self, call: Call) -> Result<Bytes, Failure> {
        let request = self.request(&call).map_err(Failure::Refused)?;
        let reply = self.sender().await?.send_request(request).await.map_err(lost)?;
        let status = reply.status();
        let body = Limited::new(reply.into_body(), call.reply_bytes_max).collect().await;
        let body = body.map_err(lost_body)?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        Err(Failure::Refused(refused(status, &body)))
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::new(Full::new(call.body.clone()));
        request.method_mut().clone_from(&call.method);
        *request.uri_mut() = call.path.parse()?;
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(AUTHORIZATION, self.token.authorization());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(request)
    }

    async fn sender(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Failure> {
        let mut kept = self.sender.take();
        if let Some(sender) = &mut kept
            && sender.ready().await.is_err()
        {
            kept = None;
        }
        let sender = match kept {
            Some(sender) => sender,
            None => open(&self.address).await?,
        };
        Ok(self.sender.insert(sender))
    }
}

async fn open(address: &str) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = TcpStream::connect(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Gone(error),
        _ => lost(error),
    })?;
    stream.set_nodelay(true).map_err(lost)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    // Ends with its sender; what breaks it is told to whoever waits for an answer.
    tokio::spawn(connection);
    Ok(sender)
}

fn lost(error: impl StdError + Send + Sync + 'static) -> Failure {
    Failure::Lost(anyhow!(error))
}

fn lost_body(error: Box<dyn StdError + Send + Sync>) -> Failure {
    match error.downcast::<http_body_util::LengthLimitError>() {
        Ok(too_long) => Failure::Refused(anyhow!(too_long).context("its answer is too long")),
        Err(error) => Failure::Lost(anyhow!(error)),
    }
}

/// What the worker says about a call that it refuses.
fn refused(status: StatusCode, body: &[u8]) -> anyhow::Error {
    match serde_json::from_slice::<Refusal>(body) {
        Ok(Refusal { error }) => anyhow!("{error} ({})", status.as_u16()),
        Err(_) => anyhow!("answers {status}, which no worker says"),
    }
}

/// The body of a call.
///
/// # Errors
/// The value cannot be written as JSON.
pub(super) fn body(value: &impl Serialize) -> Result<Bytes> {
    Ok(Bytes::from(serde_json::to_vec(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        let token = Token::new("0123456789abcdef").unwrap();
        for good in ["127.0.0.1:7700", "[::1]:7700", "worker-1:7700"] {
            assert!(Link::new(good, &token).is_ok(), "{good}");
        }
        for bad in ["127.0.0.1", ":7700", "worker-1:http", "http://a:70000", "a b:1\n"] {
            let error = Link::new(bad, &token).err().map(|error| error.to_string()).unwrap();
            assert!(error.contains(bad), "{error}");
        }
    }
}
