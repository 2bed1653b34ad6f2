//! One HTTP/1.1 connection and the exchanges on it.
//!
//! The connection is polled inside the task that uses it: a task of its own would cost two more wake-ups a
//! request. Knows nothing of claims.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::{
    Request,
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::time::{Sleep, sleep_until};

use super::link::{Link, Way};

/// The largest reply body that is read, in bytes.
pub const REPLY_BYTES_MAX: usize = 64 * 1024;

/// A request without a body.
#[derive(Debug, Clone, Copy)]
pub struct NoBody;

impl Body for NoBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}

/// One whole reply.
#[derive(Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After` in seconds, where the reply has one.
    pub retry_after: Option<u64>,
    /// The body.
    pub body: Bytes,
}

/// Why an exchange gave no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The request was never written: nothing happened.
    Unsent,
    /// The request may have reached the service: what it did is unknown.
    Unknown,
}

type Connection = Pin<Box<http1::Connection<TokioIo<Link>, NoBody>>>;

/// One open connection.
pub struct Wire {
    sender: http1::SendRequest<NoBody>,
    /// Dropped as soon as it has ended: only then does hyper give back a request that it has not sent.
    connection: Option<Connection>,
    alarm: Pin<Box<Sleep>>,
}

impl Wire {
    /// Opens a connection.
    ///
    /// # Errors
    /// It was refused, or took longer than 5 s.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        Self::open_by(&Way::to(address)).await
    }

    /// Opens a connection by this way.
    ///
    /// # Errors
    /// It was refused, took longer than 5 s, or cannot come from the address that the way asks for.
    pub async fn open_by(way: &Way) -> anyhow::Result<Self> {
        let link = way.open().await?;
        let (sender, connection) = http1::Builder::new().writev(false).handshake(TokioIo::new(link)).await?;
        let alarm = Box::pin(sleep_until(Instant::now().into()));
        Ok(Self { sender, connection: Some(Box::pin(connection)), alarm })
    }

    /// Whether the connection can carry another exchange.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.connection.is_some() && !self.sender.is_closed()
    }

    /// Waits for something else while the connection is kept alive.
    pub async fn while_idle<F: Future>(&mut self, other: F) -> F::Output {
        let mut other = pin!(other);
        std::future::poll_fn(|context| {
            poll(&mut self.connection, context);
            other.as_mut().poll(context)
        })
        .await
    }

    /// Sends one request and reads its reply, until `give_up_at`.
    ///
    /// # Errors
    /// See [`Lost`]; the connection is of no use afterwards.
    pub async fn exchange(&mut self, request: Request<NoBody>, give_up_at: Instant) -> Result<Reply, Lost> {
        let Self { sender, connection, alarm } = self;
        let mut drive = Drive { connection, alarm: alarm.as_mut(), give_up_at };
        if !sender.is_ready() {
            drive.until(pin!(sender.ready())).await.and_then(Result::ok).ok_or(Lost::Unsent)?;
        }
        let mut sending = pin!(sender.try_send_request(request));
        let response = match drive.until(sending.as_mut()).await {
            Some(Ok(response)) => response,
            Some(Err(error)) if error.message().is_some() => return Err(Lost::Unsent),
            Some(Err(_)) | None => return Err(Lost::Unknown),
        };
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(hyper::header::RETRY_AFTER)
            .and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        let body = drive.body(response.into_body()).await.ok_or(Lost::Unknown)?;
        Ok(Reply { status, retry_after, body })
    }
}

/// Lets a connection work, and drops it when it has ended.
fn poll(connection: &mut Option<Connection>, context: &mut Context<'_>) {
    if connection.as_mut().is_some_and(|open| open.as_mut().poll(context).is_ready()) {
        *connection = None;
    }
}

/// Polls a connection together with what waits for it.
struct Drive<'wire> {
    connection: &'wire mut Option<Connection>,
    alarm: Pin<&'wire mut Sleep>,
    give_up_at: Instant,
}

impl Drive<'_> {
    /// The outcome of `wanted`, or `None` when it took too long.
    async fn until<F: Future>(&mut self, mut wanted: Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            if let Poll::Ready(output) = wanted.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            poll(self.connection, context);
            if let Poll::Ready(output) = wanted.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            self.poll_alarm(context).map(|()| None)
        })
        .await
    }

    /// The alarm is moved only when it rings: an earlier exchange's alarm rings early, never late.
    fn poll_alarm(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.alarm.as_mut().poll(context).is_ready() {
            if Instant::now() >= self.give_up_at {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(self.give_up_at.into());
        }
        Poll::Pending
    }

    async fn body(&mut self, mut incoming: Incoming) -> Option<Bytes> {
        let mut whole = Bytes::new();
        while !incoming.is_end_stream() {
            let frame = match self.until(pin!(incoming.frame())).await? {
                Some(frame) => frame.ok()?,
                None => break,
            };
            let Ok(data) = frame.into_data() else { continue };
            if whole.is_empty() {
                whole = data;
            } else {
                let mut joined = BytesMut::from(whole);
                joined.extend_from_slice(&data);
                whole = joined.freeze();
            }
            if whole.len() > REPLY_BYTES_MAX {
                return None;
            }
        }
        Some(whole)
    }
}
