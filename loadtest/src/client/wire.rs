//! One HTTP/1.1 connection and the exchanges on it.
//!
//! A lean client of its own, for requests without a body and one at a time: a general one costs the generator more a
//! request than the whole rest of it (`docs/BENCHMARKS.md`). The connection is polled inside the task that uses it: a
//! task of its own would cost two more wake-ups a request. Knows nothing of claims.

use std::{
    future::{Future, poll_fn},
    mem::MaybeUninit,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Instant,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep_until},
};

use super::{
    ask::Ask,
    link::{Link, Way},
    reading::{Broken, Reading},
    silence::NoReply,
};

/// The most bytes that are read at once.
const PIECE_BYTES: usize = 8 * 1024;
/// The most of what is said unasked that is looked at.
const UNASKED_BYTES: usize = 128;

/// One whole reply.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After` in seconds, where the reply has one.
    pub retry_after: Option<u64>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why an exchange gave no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The request was never written: nothing happened.
    Unsent,
    /// The request may have reached the service: what it did is unknown.
    Unknown,
}

/// One connection.
pub struct Wire {
    /// Gone when the connection can carry nothing more.
    link: Option<Link>,
    alarm: Pin<Box<Sleep>>,
    no_reply: Option<NoReply>,
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
        let alarm = Box::pin(sleep_until(Instant::now().into()));
        Ok(Self { link: Some(link), alarm, no_reply: None })
    }

    /// Whether the connection can carry another exchange.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.link.is_some()
    }

    /// Waits for something else while the connection is kept alive.
    pub async fn while_idle<F: Future>(&mut self, other: F) -> F::Output {
        let mut other = pin!(other);
        poll_fn(|context| {
            if self.link.as_mut().is_some_and(|link| poll_end(link, context).is_ready()) {
                self.link = None;
            }
            other.as_mut().poll(context)
        })
        .await
    }

    /// Sends one request and reads its reply, until `give_up_at`.
    ///
    /// # Errors
    /// See [`Lost`]; the connection is of no use afterwards.
    pub async fn exchange(&mut self, ask: &Ask, give_up_at: Instant) -> Result<Reply, Lost> {
        // Kept out of the wire meanwhile: an exchange that is given up halfway ends the connection.
        let link = self.link.take().ok_or(Lost::Unsent)?;
        let mut exchange = Exchange {
            link,
            unsent: ask.bytes(),
            is_sent_in_part: false,
            reading: Reading::new(),
            alarm: self.alarm.as_mut(),
            give_up_at,
            no_reply: None,
        };
        let exchanged = poll_fn(|context| exchange.poll(context)).await;
        let Exchange { link, reading, no_reply, .. } = exchange;
        if let Err(lost) = exchanged {
            self.no_reply = no_reply;
            return Err(lost);
        }
        let (reply, stays_open) = reading.finish();
        self.link = stays_open.then_some(link);
        Ok(reply)
    }

    /// What came in the place of the reply that the last exchange lost, where that can be told.
    pub fn take_no_reply(&mut self) -> Option<NoReply> {
        self.no_reply.take()
    }
}

/// Ready when the service has closed an idle connection, or spoken on it unasked, after which nothing can be told apart; with what
/// there is in the place of a reply.
fn poll_end(link: &mut Link, context: &mut Context<'_>) -> Poll<Option<NoReply>> {
    let mut room = [const { MaybeUninit::uninit() }; UNASKED_BYTES];
    let mut unasked = ReadBuf::uninit(&mut room);
    let read = ready!(Pin::new(link).poll_read(context, &mut unasked));
    Poll::Ready(NoReply::of(if read.is_ok() { unasked.filled() } else { &[] }))
}

/// A request on its way.
struct Exchange<'wire> {
    link: Link,
    unsent: &'wire [u8],
    is_sent_in_part: bool,
    reading: Reading,
    alarm: Pin<&'wire mut Sleep>,
    give_up_at: Instant,
    /// Where it is lost: what came in the place of the reply.
    no_reply: Option<NoReply>,
}

impl Exchange<'_> {
    /// Ready when the reply is whole.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        let outcome = match self.poll_send(context) {
            Poll::Ready(Ok(())) => self.poll_read(context),
            other => other,
        };
        match outcome {
            Poll::Pending => self.poll_alarm(context).map(|()| {
                self.no_reply = Some(NoReply::Silence);
                Err(self.lost())
            }),
            ready @ Poll::Ready(_) => ready,
        }
    }

    /// What a request that goes no further is.
    fn lost(&self) -> Lost {
        if self.is_sent_in_part { Lost::Unknown } else { Lost::Unsent }
    }

    /// Ready when the request has left.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        if !self.is_sent_in_part
            && let Poll::Ready(no_reply) = poll_end(&mut self.link, context)
        {
            self.no_reply = no_reply;
            return Poll::Ready(Err(Lost::Unsent));
        }
        while !self.unsent.is_empty() {
            match ready!(Pin::new(&mut self.link).poll_write(context, self.unsent)) {
                Ok(sent) if sent > 0 => {
                    self.is_sent_in_part = true;
                    self.unsent = self.unsent.get(sent..).unwrap_or_default();
                }
                Ok(_) | Err(_) => {
                    self.no_reply = Some(NoReply::Closed);
                    return Poll::Ready(Err(self.lost()));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the reply is whole. A slow link passes the request on meanwhile.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        loop {
            let mut room = [const { MaybeUninit::uninit() }; PIECE_BYTES];
            let mut piece = ReadBuf::uninit(&mut room);
            let read = match ready!(Pin::new(&mut self.link).poll_read(context, &mut piece)) {
                Ok(()) if piece.filled().is_empty() => self.reading.end().map(|()| true),
                Ok(()) => self.reading.take(piece.filled()),
                Err(_) => Err(Broken),
            };
            match read {
                Ok(true) => return Poll::Ready(Ok(())),
                Ok(false) => {}
                Err(_) => {
                    self.no_reply = self.reading.of_head().and_then(NoReply::of);
                    return Poll::Ready(Err(Lost::Unknown));
                }
            }
        }
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
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
