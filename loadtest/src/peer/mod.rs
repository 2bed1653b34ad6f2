//! The servers that the service is measured against.
//!
//! Owns what they share: one single-threaded runtime per core, each with its own `SO_REUSEPORT` listener, and the
//! HTTP settings that a careful service has. Contains no claim logic.

pub mod echo;
pub mod far;
pub mod pooled;

use std::{convert::Infallible, future::Future, net::SocketAddr, thread, time::Duration};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{
    Request, Response, StatusCode, body::Incoming, header, header::HeaderValue, server::conn::http1,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
};

use crate::{cli::PeerArgs, streams};

/// Connections waiting to be accepted.
const BACKLOG: i32 = 4_096;
/// How long a client may take over its headers.
const HEADER_WAIT: Duration = Duration::from_secs(30);
/// How long to wait when no connection can be accepted: descriptors are used up, for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A reply to a claim.
type Reply = Response<Full<Bytes>>;

/// Answers one claim; every connection has a clone.
pub(crate) trait Answer: Clone + 'static {
    /// The reply to this request.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Reply>;
}

/// Serves on every core until the process ends.
pub(crate) fn serve<A: Answer>(args: &PeerArgs, answer: impl Fn() -> Result<A> + Sync) -> Result<()> {
    let threads = args.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    // Port 0 is any free one, and the same for all threads.
    let first = listen(args.listen)?;
    let address = first.local_addr()?;
    let others = (1..threads).map(|_| listen(address));
    let listeners: Vec<_> = std::iter::once(Ok(first)).chain(others).collect::<Result<_>>()?;
    streams::print(&format!("listening on {address} with {threads} threads\n"))?;
    thread::scope(|scope| {
        let cores: Vec<_> =
            listeners.into_iter().map(|listener| scope.spawn(|| serve_core(listener, &answer))).collect();
        for core in cores {
            core.join().map_err(|_| anyhow!("a server thread broke"))??;
        }
        Ok(())
    })
}

fn listen(address: SocketAddr) -> Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into()).with_context(|| format!("listen on {address}"))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn serve_core<A: Answer>(listener: std::net::TcpListener, answer: &impl Fn() -> Result<A>) -> Result<()> {
    let runtime =
        runtime::Builder::new_current_thread().enable_all().build_local(runtime::LocalOptions::default())?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        let answer = answer()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::task::spawn_local(serve_connection(stream, answer.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    })
}

async fn serve_connection<A: Answer>(stream: TcpStream, answer: A) {
    // A connection that breaks concerns only its client.
    let _closed = stream.set_nodelay(true);
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer.answer(request).await) });
    let _broken = http1::Builder::new()
        .keep_alive(true)
        .pipeline_flush(true)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WAIT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn reply(status: StatusCode, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}
