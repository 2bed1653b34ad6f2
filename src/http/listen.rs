//! Accepting: listeners, and one task a connection.
//!
//! Owns what happens between the kernel and hyper. Knows nothing of what is served: that is a [`Handle`].

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use metrics::Counter;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::cap::{Capped, ConnectionCap};
use super::connection::{Connections, Control, SWEEP_INTERVAL, TimeLimits, WatchedIo, drive};
use super::reply::Reply;
use crate::limits;

/// How many connections the kernel may keep for us before they are accepted.
const BACKLOG: i32 = 4_096;
/// The wait after an accept that failed, as when the process is out of descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Answers requests.
pub trait Handle: Send + Sync + 'static {
    /// Answers one request. Dropped unanswered when its client goes away.
    fn handle(&self, request: Request<Incoming>, peer: SocketAddr) -> impl Future<Output = Reply> + Send;

    /// Whether a request only looks, so that all others go before it. Only for a single-threaded runtime.
    fn only_looks(&self, _request: &Request<Incoming>) -> bool {
        false
    }
}

/// Opens a listening socket. With `shared`, several cores may each open their own on one address and the kernel
/// spreads the connections over them.
///
/// # Errors
/// What the system says, as when the address is taken.
pub fn open(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// One core's listener with all that it serves.
pub struct Listening<H> {
    /// The socket.
    pub listener: TcpListener,
    /// Who answers.
    pub handler: Arc<H>,
    /// The shared cap.
    pub cap: Arc<ConnectionCap>,
    /// How long a connection may do what.
    pub limits: TimeLimits,
    /// Counts connections that the cap refuses because so many are open.
    pub refused_total: Counter,
    /// Counts those that it refuses because so many of their address are.
    pub address_refused_total: Counter,
}

impl<H: Handle> Listening<H> {
    /// Serves until `stop`; then takes no more connections, lets every request at hand finish for `grace`, and
    /// closes what is left.
    pub async fn run(self, stop: CancellationToken, grace: Duration) {
        let connections = Arc::new(Connections::new(self.limits));
        let turns = Arc::clone(&connections);
        let _keeper = AbortOnDropHandle::new(tokio::spawn(async move { turns.turns().keep().await }));
        let tasks = TaskTracker::new();
        let next_id = AtomicU64::new(0);
        let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => self.admit(stream, peer, &next_id, &connections, &tasks),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_BACKOFF).await;
                    }
                },
                _ = sweep.tick() => connections.sweep(),
                () = stop.cancelled() => break,
            }
        }
        drop(self.listener);
        tasks.close();
        connections.finish();
        let deadline = tokio::time::Instant::now() + grace;
        loop {
            tokio::select! {
                () = tasks.wait() => return,
                () = tokio::time::sleep_until(deadline) => break,
                // Who began a request and does not go on with it is not waited for longer than at other times.
                _ = sweep.tick() => connections.sweep(),
            }
        }
        connections.close();
        tasks.wait().await;
    }

    fn admit(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        next_id: &AtomicU64,
        connections: &Arc<Connections>,
        tasks: &TaskTracker,
    ) {
        let place = match self.cap.take(peer.ip()) {
            Ok(place) => place,
            // Closed at once: a client that is refused here tries again, one that hangs does not.
            Err(Capped::All) => return self.refused_total.increment(1),
            Err(Capped::Address) => return self.address_refused_total.increment(1),
        };
        let id = next_id.fetch_add(1, Ordering::Relaxed);
        let (handler, connections) = (Arc::clone(&self.handler), Arc::clone(connections));
        tasks.spawn(async move {
            serve(stream, peer, id, &handler, &connections).await;
            connections.remove(id);
            drop(place);
        });
    }
}

/// One connection with who answers it.
struct Link<H> {
    handler: Arc<H>,
    connections: Arc<Connections>,
    control: Arc<Control>,
    peer: SocketAddr,
}

impl<H: Handle> Link<H> {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Reply, Infallible> {
        if self.handler.only_looks(&request) {
            self.connections.turns().take().await;
        }
        let has_body = !request.body().is_end_stream();
        let reply = self.handler.handle(request, self.peer).await;
        if has_body {
            // If nobody has read it, hyper sees so now, passes over what has come whole, and says `Connection: close` with the
            // answer where it has to give the rest up: whoever sent more behind it would else wait for an answer.
            tokio::task::yield_now().await;
        }
        self.control.end_request(self.connections.tick());
        Ok(reply)
    }
}

async fn serve<H: Handle>(
    stream: TcpStream,
    peer: SocketAddr,
    id: u64,
    handler: &Arc<H>,
    connections: &Arc<Connections>,
) {
    // A reply is one small write: it must not wait for the client's acknowledgement of the last one.
    let _ = stream.set_nodelay(true);
    let control = connections.add(id);
    let io = WatchedIo::new(stream, Arc::clone(&control), Arc::clone(connections));
    let link = Arc::new(Link {
        handler: Arc::clone(handler),
        connections: Arc::clone(connections),
        control: Arc::clone(&control),
        peer,
    });
    let service = service_fn(|request: Request<Incoming>| {
        link.control.begin_request(!request.body().is_end_stream());
        Arc::clone(&link).answer(request)
    });
    let connection = http1::Builder::new()
        // A client that has said all it will say still gets its answer. Without this hyper also tries a read while
        // each claim waits, only to see whether the client has gone; a claim that was sent completes anyway.
        .half_close(true)
        .max_buf_size(2 * limits::HEADER_BYTES_MAX)
        .serve_connection(io, service);
    drive(connection, &control).await;
}
