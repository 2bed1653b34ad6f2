//! One connection: what it is doing, for how long, and how it is told to end.
//!
//! Owns the five time limits (idle, header, body by its reader, stalled writing, a body that is for nothing) without a timer a
//! request: every connection notes what it does in a few atomics, and a sweep over all connections ends those that do it for
//! too long. hyper's own header timer would allocate and arm a timer for each request, and counts an idle
//! kept-alive connection as a slow header.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::net::TcpStream;

use super::turns::Turns;
use crate::limits;

/// How often connections are swept: the precision of their time limits.
pub const SWEEP_INTERVAL: Duration = Duration::from_millis(250);

/// What a connection is doing.
const IDLE: u8 = 0;
/// A request's header has begun to arrive.
const HEADER: u8 = 1;
/// A request is being answered.
const BUSY: u8 = 2;
/// All is said, and the client still sends what nobody will read.
const LINGERING: u8 = 3;

/// What a connection was told, if anything: finish the request at hand, then close.
const FINISH: u8 = 1;
/// Close now.
const CLOSE: u8 = 2;

/// Ticks since nothing was written; 0 means that writing goes well.
const WRITING: u32 = 0;

/// A reply of at most so many bytes leaves in one piece: `send` of a copy costs less than `writev` of header and body.
const JOINED_BYTES_MAX: usize = 1024;

/// Bytes that are thrown away at once.
const LINGERING_PIECE: usize = 4 * 1024;

/// How long a connection may do one thing.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    /// Kept alive between requests.
    pub idle: Duration,
    /// From a header's first byte to its last.
    pub header: Duration,
    /// A reply that the client does not take; also a body that it goes on sending behind the last reply.
    pub write: Duration,
}

/// The state of one connection, shared with the sweep.
#[derive(Debug, Default)]
pub(super) struct Control {
    doing: AtomicU8,
    /// The tick at which it began to do that.
    since: AtomicU32,
    /// More bytes came while the request at hand was answered.
    pipelined: AtomicBool,
    /// The request at hand has a body, so that more bytes are not the next request's.
    has_body: AtomicBool,
    /// The tick since which a reply waits for the client to take it; [`WRITING`] if none does.
    stalled_since: AtomicU32,
    told: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

impl Control {
    /// A request's header is complete.
    pub(super) fn begin_request(&self, has_body: bool) {
        self.has_body.store(has_body, Ordering::Relaxed);
        self.doing.store(BUSY, Ordering::Relaxed);
    }

    /// The reply is made.
    pub(super) fn end_request(&self, tick: u32) {
        let next = if self.pipelined.swap(false, Ordering::Relaxed) { HEADER } else { IDLE };
        self.since.store(tick, Ordering::Relaxed);
        self.doing.store(next, Ordering::Relaxed);
    }

    fn bytes_came(&self, tick: u32) {
        match self.doing.load(Ordering::Relaxed) {
            IDLE => {
                self.since.store(tick, Ordering::Relaxed);
                self.doing.store(HEADER, Ordering::Relaxed);
            }
            BUSY if !self.has_body.load(Ordering::Relaxed) => self.pipelined.store(true, Ordering::Relaxed),
            _ => {}
        }
    }

    /// Nothing more is said. Whether the client is waited for: it may be sending a body that nobody reads, and a socket that is
    /// closed on it resets the connection, which can take the reply from who has not read it yet.
    fn begin_lingering(&self, tick: u32) -> bool {
        let lingers = self.has_body.load(Ordering::Relaxed) && self.told() == 0;
        if lingers {
            self.since.store(tick, Ordering::Relaxed);
            self.doing.store(LINGERING, Ordering::Relaxed);
        }
        lingers
    }

    fn tell(&self, what: u8) {
        self.told.fetch_max(what, Ordering::AcqRel);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Sets whom to wake when it is told something.
    fn listen(&self, waker: &Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }

    /// What it was told.
    fn told(&self) -> u8 {
        self.told.load(Ordering::Acquire)
    }

    /// Whether it does what it does for too long.
    fn is_overdue(&self, tick: u32, limits: &TimeLimits) -> bool {
        // It began somewhere between two sweeps: the first of them has not waited a whole interval.
        let longer_than = |since: u32, limit: Duration| {
            SWEEP_INTERVAL * tick.wrapping_sub(since).saturating_sub(1) >= limit
        };
        let stalled_since = self.stalled_since.load(Ordering::Relaxed);
        if stalled_since != WRITING && longer_than(stalled_since, limits.write) {
            return true;
        }
        let since = self.since.load(Ordering::Relaxed);
        match self.doing.load(Ordering::Relaxed) {
            IDLE => longer_than(since, limits.idle),
            HEADER => longer_than(since, limits.header),
            LINGERING => longer_than(since, limits.write),
            _ => false,
        }
    }
}

/// All connections of one listener on one core.
#[derive(Debug)]
pub struct Connections {
    limits: TimeLimits,
    /// Counts sweeps; never 0, see [`WRITING`].
    tick: AtomicU32,
    open: Mutex<Open>,
    turns: Turns,
}

#[derive(Debug, Default)]
struct Open {
    controls: HashMap<u64, Arc<Control>>,
    /// What all were told, and who comes later is told as well.
    told: u8,
}

impl Connections {
    /// None yet.
    #[must_use]
    pub fn new(limits: TimeLimits) -> Self {
        let turns = Turns::new(limits::LOOKS_AT_ONCE);
        Self { limits, tick: AtomicU32::new(1), open: Mutex::default(), turns }
    }

    /// Where requests that only look wait for their turn.
    pub(super) fn turns(&self) -> &Turns {
        &self.turns
    }

    pub(super) fn tick(&self) -> u32 {
        self.tick.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, id: u64) -> Arc<Control> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, told) = (AtomicU32::new(self.tick()), AtomicU8::new(open.told));
        let control = Arc::new(Control { since, told, ..Control::default() });
        open.controls.insert(id, Arc::clone(&control));
        control
    }

    pub(super) fn remove(&self, id: u64) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).controls.remove(&id);
    }

    /// Closes what is overdue. Due every [`SWEEP_INTERVAL`].
    pub fn sweep(&self) {
        let tick = self.tick().wrapping_add(1).max(1);
        self.tick.store(tick, Ordering::Relaxed);
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all = open.controls.values();
        let overdue: Vec<_> =
            all.filter(|control| control.is_overdue(tick, &self.limits)).map(Arc::clone).collect();
        drop(open);
        for control in overdue {
            control.tell(CLOSE);
        }
    }

    /// Tells every connection to finish the request at hand and close.
    pub fn finish(&self) {
        self.tell_all(FINISH);
    }

    /// Tells every connection to close at once.
    pub fn close(&self) {
        self.tell_all(CLOSE);
    }

    fn tell_all(&self, what: u8) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.told = open.told.max(what);
        let all: Vec<_> = open.controls.values().map(Arc::clone).collect();
        drop(open);
        for control in all {
            control.tell(what);
        }
    }
}

/// A hyper connection that can be told to finish.
pub(super) trait Driven: Future {
    fn finish(self: Pin<&mut Self>);
}

impl<S, B> Driven for hyper::server::conn::http1::Connection<WatchedIo, S>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Drives a connection until it ends by itself or is told to.
pub(super) async fn drive<C: Driven>(connection: C, control: &Control) {
    let mut connection = std::pin::pin!(connection);
    let mut finishing = false;
    let mut listening: Option<Waker> = None;
    std::future::poll_fn(|context| {
        // The waker of a task hardly ever changes, so this asks without taking the lock.
        if !listening.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            control.listen(context.waker());
            listening = Some(context.waker().clone());
        }
        match control.told() {
            CLOSE => return Poll::Ready(()),
            FINISH if !finishing => {
                finishing = true;
                connection.as_mut().finish();
            }
            _ => {}
        }
        connection.as_mut().poll(context).map(drop)
    })
    .await;
}

/// A TCP stream whose reads and writes are noted.
pub(super) struct WatchedIo {
    stream: TokioIo<TcpStream>,
    control: Arc<Control>,
    connections: Arc<Connections>,
    /// Nothing more is written.
    is_shut: bool,
    /// What comes is thrown away until the client ends it.
    lingers: bool,
}

impl WatchedIo {
    pub(super) fn new(stream: TcpStream, control: Arc<Control>, connections: Arc<Connections>) -> Self {
        Self { stream: TokioIo::new(stream), control, connections, is_shut: false, lingers: false }
    }

    /// Throws away what the client sends until it ends, or is told to; a piece at a time, so that others go between.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.control.told() != 0 {
            return Poll::Ready(());
        }
        let mut bytes = [0; LINGERING_PIECE];
        let mut read = ReadBuf::new(&mut bytes);
        match ready!(Pin::new(self.stream.inner_mut()).poll_read(cx, &mut read)) {
            Ok(()) if !read.filled().is_empty() => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    fn note_write<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let since = &self.control.stalled_since;
        match written {
            Poll::Ready(_) if since.load(Ordering::Relaxed) != WRITING => {
                since.store(WRITING, Ordering::Relaxed);
            }
            Poll::Pending if since.load(Ordering::Relaxed) == WRITING => {
                since.store(self.connections.tick(), Ordering::Relaxed);
            }
            _ => {}
        }
        written
    }
}

impl Read for WatchedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            self.control.bytes_came(self.connections.tick());
        }
        read
    }
}

impl Write for WatchedIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_write(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.note_write(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.is_shut = true;
            self.lingers = self.control.begin_lingering(self.connections.tick());
        }
        if self.lingers { self.poll_end(cx).map(Ok) } else { Poll::Ready(Ok(())) }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        if length > JOINED_BYTES_MAX {
            let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
            return self.note_write(written);
        }
        let mut joined = [0; JOINED_BYTES_MAX];
        let mut room = joined.as_mut_slice();
        for buf in bufs {
            io::Write::write_all(&mut room, buf)?;
        }
        self.poll_write(cx, joined.split_at(length).0)
    }
}

#[cfg(test)]
mod tests;
