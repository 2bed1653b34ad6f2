//! The task that keeps the managed server up until it is told to stop.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use super::files::Files;
use super::process::{Process, kill_leftovers};
use super::rewrites::Rewrites;
use super::{ManagedError, RedisState};
use crate::limits;
use crate::redis::server_check::ServerFacts;

/// What the supervising task owns.
pub(super) struct Supervisor {
    pub(super) files: Files,
    pub(super) server_bin: PathBuf,
    pub(super) publish: watch::Sender<RedisState>,
    pub(super) process: Process,
    pub(super) pid: u32,
}

impl Supervisor {
    /// Restarts the server whenever it ends, with a growing pause, until `stopped` gives the time that a stop
    /// may take. When `stopped` is dropped unsent the server is left running.
    pub(super) async fn run(mut self, mut stopped: oneshot::Receiver<Duration>) {
        let mut pause = limits::REDIS_BACKOFF_MIN;
        let mut ready_since = Instant::now();
        let mut rewrites = Rewrites::default();
        loop {
            tokio::select! {
                deadline = &mut stopped => return self.stop(deadline.ok()).await,
                () = self.process.ended(&self.files) => {}
                () = rewrites.keep(&self.files) => {}
            }
            self.publish.send_replace(RedisState::Down);
            kill_leftovers(&self.files, self.pid);
            if ready_since.elapsed() >= limits::REDIS_WELL_AFTER {
                pause = limits::REDIS_BACKOFF_MIN;
            }
            tracing::error!(
                pid = self.pid,
                pause_ms = pause.as_millis(),
                "redis has ended; it is started again"
            );
            let facts = loop {
                tokio::select! {
                    deadline = &mut stopped => return self.stop(deadline.ok()).await,
                    () = sleep(pause) => {}
                }
                pause = (pause * 2).min(limits::REDIS_BACKOFF_MAX);
                self.publish.send_replace(RedisState::Starting);
                let started = tokio::select! {
                    deadline = &mut stopped => return self.stop(deadline.ok()).await,
                    started = restart(&mut self.process, &self.files, &self.server_bin) => started,
                };
                match started {
                    Ok(facts) => break facts,
                    Err(error) => {
                        self.publish.send_replace(RedisState::Down);
                        tracing::error!(%error, pause_ms = pause.as_millis(), "redis was not started again");
                    }
                }
            };
            tracing::info!(pid = facts.pid, "redis is ready again");
            ready_since = Instant::now();
            self.pid = facts.pid;
            self.publish.send_replace(RedisState::Ready { run_id: facts.run_id, pid: facts.pid });
        }
    }

    /// Stops the server, unless nobody asked for it.
    async fn stop(mut self, deadline: Option<Duration>) {
        let Some(deadline) = deadline else { return };
        let pid = self.process.own_pid().unwrap_or(self.pid);
        self.process.stop(&self.files, pid, deadline).await;
        self.publish.send_replace(RedisState::Down);
        self.files.clean_up();
        tracing::info!(pid, "redis has stopped");
    }
}

async fn restart(
    process: &mut Process,
    files: &Files,
    server_bin: &std::path::Path,
) -> Result<ServerFacts, ManagedError> {
    *process = Process::adopt_or_spawn(files, server_bin)?;
    ready_or_ended(process, files).await
}

/// Waits until the server is ready; ends it when it does not become so.
pub(super) async fn ready_or_ended(
    process: &mut Process,
    files: &Files,
) -> Result<ServerFacts, ManagedError> {
    let ready = process.ready(files).await;
    if ready.is_err() {
        end_failed(process, files).await;
    }
    ready
}

/// Ends a server that we started and that did not become ready. One that we only found is not ours to judge.
pub(super) async fn end_failed(process: &mut Process, files: &Files) {
    if let Some(pid) = process.own_pid() {
        kill_leftovers(files, pid);
        process.ended(files).await;
    }
}
