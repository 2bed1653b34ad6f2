//! The Redis that the service starts for itself.
//!
//! Owns the server's process from its start, or its adoption, to its stop: nobody else ends it. It lives in the
//! data folder, listens on a unix socket alone, and outlives a service that is killed. Knows nothing of what is
//! stored in it.
//!
//! ```text
//! start ──► lock free? ── yes ──► spawn ──► wait until loaded ──► Ready ──► died ──► Down ──► pause ─┐
//!                     └── no ───► adopt ─────────▲                  │                                │
//!                                                └──────────────────┼────────── Starting ◄───────────┘
//!                                                                   └──► stop: SIGTERM, wait, SIGKILL
//! ```

mod files;
mod process;
mod rewrites;
mod supervisor;

use std::path::Path;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::{RedisConfig, ServiceUrl};
use crate::datadir::DataLock;
use files::Files;
use process::Process;
use supervisor::Supervisor;

/// Why a managed Redis does not stand.
#[derive(Debug, thiserror::Error)]
pub enum ManagedError {
    /// The program is not there.
    #[error(
        "redis: {binary:?} was not found: install Redis 7.0 or newer (deploy/setup.sh does it), or set redis.url"
    )]
    NoBinary {
        /// What was looked for.
        binary: String,
    },
    /// The program cannot be run.
    #[error("redis: {binary:?} cannot be started: {cause}")]
    Spawn {
        /// What was to be run.
        binary: String,
        /// Why it cannot.
        cause: String,
    },
    /// It ended before it was ready.
    #[error("redis: ended while starting{log}")]
    Died {
        /// The end of its log, as the end of the sentence.
        log: String,
    },
    /// It took too long.
    #[error("redis: not ready after {waited_s} s{log}")]
    NotReady {
        /// How long it was waited for, in seconds.
        waited_s: u64,
        /// The end of its log, as the end of the sentence.
        log: String,
    },
    /// Another server listens on our socket.
    #[error("redis: the server at {socket} works in {dir}, which is not this data folder")]
    Foreign {
        /// Our socket.
        socket: String,
        /// The other server's folder.
        dir: String,
    },
    /// No place for the socket.
    #[error("redis: {path} is too long for a unix socket (at most {max} bytes): choose a shorter data.dir", max = crate::limits::SOCKET_PATH_BYTES_MAX)]
    SocketPath {
        /// The socket's path.
        path: String,
    },
    /// A file or folder cannot be used.
    #[error("redis: {path}: {cause}")]
    File {
        /// Which.
        path: String,
        /// Why.
        cause: String,
    },
}

impl ManagedError {
    fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::File { path: path.display().to_string(), cause: error.to_string() }
    }
}

/// How the managed Redis stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisState {
    /// Its process is there and does not answer yet.
    Starting,
    /// It answers.
    Ready {
        /// Another with every start of the server.
        run_id: String,
        /// Its process.
        pid: u32,
    },
    /// Its process has ended; it will be started again.
    Down,
}

/// The managed Redis: restarted when it dies, until it is stopped. Dropped without [`ManagedRedis::stop`], it
/// leaves its server running for the next start to adopt.
#[derive(Debug)]
pub struct ManagedRedis {
    url: ServiceUrl,
    state: watch::Receiver<RedisState>,
    stop: oneshot::Sender<Duration>,
    supervisor: JoinHandle<()>,
    adopted: bool,
}

impl ManagedRedis {
    /// Starts the server in the locked folder, or adopts the one that already runs there, and waits until it
    /// has loaded its data. From then on a task on the current runtime supervises it.
    ///
    /// # Errors
    /// [`ManagedError`]; whatever was started has been ended again.
    pub async fn start(lock: &DataLock, config: &RedisConfig) -> Result<Self, ManagedError> {
        let files = Files::prepare(lock.dir())?;
        let mut process = Process::adopt_or_spawn(&files, &config.server_bin)?;
        let facts = match process.ready(&files).await {
            Ok(facts) => facts,
            // The one that we found was on its way out: its end is our start.
            Err(ManagedError::Died { .. }) if matches!(process, Process::Adopted) => {
                process = Process::adopt_or_spawn(&files, &config.server_bin)?;
                supervisor::ready_or_ended(&mut process, &files).await?
            }
            Err(error) => {
                supervisor::end_failed(&mut process, &files).await;
                return Err(error);
            }
        };
        let adopted = matches!(process, Process::Adopted);
        tracing::info!(pid = facts.pid, adopted, version = %facts.version, "redis is ready");
        let url = files.url();
        let (publish, state) = watch::channel(RedisState::Ready { run_id: facts.run_id, pid: facts.pid });
        let (stop, stopped) = oneshot::channel();
        let supervisor =
            Supervisor { files, server_bin: config.server_bin.clone(), publish, process, pid: facts.pid };
        let supervisor = tokio::spawn(supervisor.run(stopped));
        Ok(Self { url, state, stop, supervisor, adopted })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &ServiceUrl {
        &self.url
    }

    /// How it stands, now and after every change.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<RedisState> {
        self.state.clone()
    }

    /// Its process, if it answers.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match &*self.state.borrow() {
            RedisState::Ready { pid, .. } => Some(*pid),
            RedisState::Starting | RedisState::Down => None,
        }
    }

    /// Whether it was found running and taken over, instead of started.
    #[must_use]
    pub fn was_adopted(&self) -> bool {
        self.adopted
    }

    /// Stops it: it writes what it has and ends, or is ended after `deadline`.
    pub async fn stop(self, deadline: Duration) {
        // If the supervisor has gone there is nobody left to tell, and joining it returns at once.
        let _ = self.stop.send(deadline);
        if let Err(error) = self.supervisor.await {
            tracing::error!(%error, "the supervisor of redis failed");
        }
    }
}
