//! The stream under a connection: where it goes, from which address it comes, and how slow it is.
//!
//! A slow link holds every byte back for half a round trip each way and lets only so many pass a second; a plain one
//! is the socket itself. Knows nothing of HTTP.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpSocket, TcpStream},
    time::{Sleep, sleep_until, timeout},
};

use crate::scenario::SlowNetwork;

/// How long a connection may take to come about.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Bytes that a slow link holds each way; a writer waits when it is full, as before a full socket buffer.
const HELD_BYTES_MAX: usize = 64 * 1024;
/// The most bytes that are read or passed on at once.
const PIECE_BYTES: usize = 4 * 1024;

/// How a connection is made.
#[derive(Debug, Clone)]
pub struct Way {
    /// Where it goes.
    pub address: SocketAddr,
    /// The address it comes from; the system's choice if not given.
    pub from: Option<IpAddr>,
    /// A network slower than this machine's.
    pub slow: Option<SlowNetwork>,
}

impl Way {
    /// The straight way.
    #[must_use]
    pub fn to(address: SocketAddr) -> Self {
        Self { address, from: None, slow: None }
    }

    /// How long a byte takes one way beyond what the machine needs.
    #[must_use]
    pub fn one_way(&self) -> Duration {
        self.slow.as_ref().map_or(Duration::ZERO, |slow| slow.round_trip / 2)
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// It was refused, took longer than 5 s, or cannot come from the address asked for.
    pub async fn open(&self) -> Result<Link> {
        let stream = timeout(CONNECT_WAIT, self.connect()).await??;
        stream.set_nodelay(true)?;
        Ok(match &self.slow {
            None => Link::Plain(stream),
            Some(slow) => {
                // The handshake of a connection takes a round trip of its own.
                tokio::time::sleep(slow.round_trip).await;
                Link::Slow(Box::new(SlowLink::new(stream, slow)))
            }
        })
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let Some(from) = self.from else { return TcpStream::connect(self.address).await };
        let socket = if from.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.bind(SocketAddr::new(from, 0))?;
        socket.connect(self.address).await
    }
}

/// An open stream.
#[derive(Debug)]
pub enum Link {
    /// As fast as the machine.
    Plain(TcpStream),
    /// Held back.
    Slow(Box<SlowLink>),
}

impl AsyncRead for Link {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Slow(link) => link.poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Link {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Slow(link) => link.poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Slow(link) => link.poll_pass_on(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Slow(link) => {
                ready!(link.poll_pass_on(context))?;
                Pin::new(&mut link.stream).poll_shutdown(context)
            }
        }
    }
}

/// A stream with a phone's network before it.
#[derive(Debug)]
pub struct SlowLink {
    stream: TcpStream,
    up: Lane,
    down: Lane,
    /// The service has closed its side.
    ended: bool,
}

impl SlowLink {
    fn new(stream: TcpStream, slow: &SlowNetwork) -> Self {
        Self { stream, up: Lane::new(slow), down: Lane::new(slow), ended: false }
    }

    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Whoever waits for a reply also lets the request pass on.
        if let Poll::Ready(Err(error)) = self.poll_pass_on(context) {
            return Poll::Ready(Err(error));
        }
        let mut piece = [0_u8; PIECE_BYTES];
        while !self.ended && self.down.has_room() {
            let mut read = ReadBuf::new(&mut piece);
            match Pin::new(&mut self.stream).poll_read(context, &mut read) {
                Poll::Ready(Ok(())) if read.filled().is_empty() => self.ended = true,
                Poll::Ready(Ok(())) => self.down.enter(read.filled()),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        if self.ended && self.down.is_empty() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.down.poll_due(context));
        self.down.leave(|bytes| {
            let length = bytes.len().min(buffer.remaining());
            buffer.put_slice(bytes.get(..length).unwrap_or_default());
            length
        });
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.up.has_room() {
            ready!(self.poll_pass_on(context))?;
        }
        let length = bytes.len().min(PIECE_BYTES);
        self.up.enter(bytes.get(..length).unwrap_or_default());
        Poll::Ready(Ok(length))
    }

    /// Hands the socket what has travelled long enough; ready when nothing is left.
    fn poll_pass_on(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.up.is_empty() {
            ready!(self.up.poll_due(context));
            let Self { stream, up, .. } = self;
            let bytes = up.first();
            let written = ready!(Pin::new(stream).poll_write(context, bytes))?;
            up.leave(|_| written);
        }
        Poll::Ready(Ok(()))
    }
}

/// One direction: bytes on their way, each piece with the moment at which it arrives.
#[derive(Debug)]
struct Lane {
    one_way: Duration,
    bytes_per_second: u64,
    travelling: VecDeque<(Instant, Vec<u8>)>,
    /// Bytes of the first piece that have arrived already.
    left_of_first: usize,
    held: usize,
    /// When the line is free for the next piece.
    free_at: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl Lane {
    fn new(slow: &SlowNetwork) -> Self {
        let now = Instant::now();
        Self {
            one_way: slow.round_trip / 2,
            bytes_per_second: slow.bytes_per_second.max(1),
            travelling: VecDeque::new(),
            left_of_first: 0,
            held: 0,
            free_at: now,
            alarm: Box::pin(sleep_until(now.into())),
        }
    }

    fn has_room(&self) -> bool {
        self.held < HELD_BYTES_MAX
    }

    fn is_empty(&self) -> bool {
        self.travelling.is_empty()
    }

    fn enter(&mut self, bytes: &[u8]) {
        let nanos = (bytes.len() as u64).saturating_mul(1_000_000_000) / self.bytes_per_second;
        self.free_at = self.free_at.max(Instant::now()) + Duration::from_nanos(nanos);
        self.held += bytes.len();
        self.travelling.push_back((self.free_at + self.one_way, bytes.to_vec()));
    }

    /// Ready when the first piece has arrived.
    fn poll_due(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(&(due, _)) = self.travelling.front() else { return Poll::Pending };
        if self.alarm.deadline() != due.into() {
            self.alarm.as_mut().reset(due.into());
        }
        self.alarm.as_mut().poll(context)
    }

    fn first(&self) -> &[u8] {
        let first = self.travelling.front().map_or(&[][..], |(_, bytes)| bytes);
        first.get(self.left_of_first..).unwrap_or_default()
    }

    /// Takes as many bytes off the first piece as `take` says.
    fn leave(&mut self, take: impl FnOnce(&[u8]) -> usize) {
        let taken = take(self.first());
        self.left_of_first += taken;
        self.held = self.held.saturating_sub(taken);
        if self.first().is_empty() {
            self.travelling.pop_front();
            self.left_of_first = 0;
        }
    }
}
