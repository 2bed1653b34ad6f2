//! The worker's side: waits for jobs and does one at a time.
//!
//! - `desk`: answers calls
//! - `job`: a job's life, from its order to its result
//! - `room`: how many connections there may be, and who leaves when there are more
//!
//! Owns the listening socket and the bounds on its connections. The calls are answered on a thread of their own,
//! beside the generator's.

mod desk;
mod job;
mod room;

use std::{
    convert::Infallible, future::Future, net::SocketAddr, path::PathBuf, sync::Arc, thread, time::Duration,
};

use anyhow::{Context, Result};
use clap::Args;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    signal::unix::{SignalKind, signal},
    time::{sleep, timeout},
};

use self::{
    desk::Desk,
    room::{Guest, Room},
};
use super::{clock::WallClock, protocol, token::Token};
use crate::{clock::unix_now, streams};

/// Connections at a time: a coordinator has two.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may take over the headers of its next request.
const HEADER_WAIT: Duration = Duration::from_secs(30);
/// How long one connection may live: longer than any transfer, so that idle strangers do not pile up.
const CONNECTION_WAIT: Duration = Duration::from_secs(3_600);
/// How long to wait when no connection can be accepted: descriptors are used up, for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const _: () = assert!(CONNECTION_WAIT.as_secs() > protocol::TRANSFER_WAIT.as_secs() * 2);

/// How a worker is started.
#[derive(Debug, Clone, Args)]
pub struct WorkerArgs {
    /// Where it waits for its coordinator.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7700")]
    pub listen: SocketAddr,
    /// The file with the token that coordinator and workers share: 16 characters or more, readable by its owner alone.
    #[arg(long, value_name = "FILE")]
    pub token_file: PathBuf,
    /// Generator threads that it offers; one per core if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub threads: Option<u16>,
}

/// What a worker offers, and to whom.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Who may use it.
    pub token: Token,
    /// Its generator threads.
    pub threads: usize,
    /// Its wall clock.
    pub wall_clock: WallClock,
    /// A job whose coordinator was silent for so long is let go.
    pub let_go_after: Duration,
}

/// Serves coordinators until SIGINT or SIGTERM; a job under way ends with it.
///
/// # Errors
/// The token file is refused, or the address cannot be listened on.
pub fn run(args: &WorkerArgs) -> Result<()> {
    let token = Token::load(&args.token_file)?;
    let threads =
        args.threads.map_or_else(|| thread::available_parallelism().map_or(1, usize::from), usize::from);
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let listener = TcpListener::bind(args.listen)
            .await
            .with_context(|| format!("worker cannot listen on {}", args.listen))?;
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let address = listener.local_addr()?;
        streams::print(&format!("worker listening on {address} with {threads} threads\n"))?;
        let stop = async {
            tokio::select! { _ = interrupt.recv() => (), _ = terminate.recv() => () }
        };
        let offer = Offer { token, threads, wall_clock: unix_now, let_go_after: protocol::HEARD_WITHIN };
        serve(listener, offer, stop).await;
        Ok(())
    });
    // A generator in the middle of a job must not keep the process.
    runtime.shutdown_background();
    served
}

/// Serves coordinators until `stop` is ready.
pub async fn serve(listener: TcpListener, offer: Offer, stop: impl Future<Output = ()>) {
    let desk = Arc::new(Desk::new(offer));
    tokio::select! {
        () = accept(&listener, &desk) => (),
        () = stop => (),
    }
}

async fn accept(listener: &TcpListener, desk: &Arc<Desk>) {
    let room = Room::new(CONNECTIONS_MAX);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(guest) = room.enter().await else { return };
                let desk = Arc::clone(desk);
                tokio::spawn(async move {
                    tokio::select! {
                        // A connection that breaks or stays too long concerns only its coordinator.
                        _ended = timeout(CONNECTION_WAIT, serve_connection(stream, peer, &desk, &guest)) => (),
                        () = guest.asked_to_leave() => (),
                    }
                });
            }
            Err(error) => {
                streams::tell(&format!("claimrush-loadtest worker: cannot accept a connection: {error}"));
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, peer: SocketAddr, desk: &Arc<Desk>, guest: &Guest) {
    let _closed = stream.set_nodelay(true);
    let service = service_fn(|request| async move {
        Ok::<_, Infallible>(match desk.admit(&request, peer) {
            Ok(()) => {
                guest.is_known();
                desk.answer(request).await
            }
            Err(refused) => *refused,
        })
    });
    let _broken = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WAIT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
