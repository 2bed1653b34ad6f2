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

/// How long a server that has ended is let lie: longer from one failure to the next, and shortly again once one has stood.
#[derive(Debug)]
struct Pauses {
    next: Duration,
}

impl Pauses {
    fn new() -> Self {
        Self { next: limits::REDIS_BACKOFF_MIN }
    }

    /// The pause behind a failure.
    fn next(&mut self) -> Duration {
        let longer = (self.next * 2).min(limits::REDIS_BACKOFF_MAX);
        std::mem::replace(&mut self.next, longer)
    }

    /// The pause behind the end of a server that was ready for so long.
    fn after_end(&mut self, ready_for: Duration) -> Duration {
        if ready_for >= limits::REDIS_WELL_AFTER {
            *self = Self::new();
        }
        self.next()
    }
}

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
        let mut pauses = Pauses::new();
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
            let mut pause = pauses.after_end(ready_since.elapsed());
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
                self.publish.send_replace(RedisState::Starting);
                let started = tokio::select! {
                    deadline = &mut stopped => return self.stop(deadline.ok()).await,
                    started = restart(&mut self.process, &self.files, &self.server_bin) => started,
                };
                match started {
                    Ok(facts) => break facts,
                    Err(error) => {
                        self.publish.send_replace(RedisState::Down);
                        pause = pauses.next();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_does_not_stand_waits_longer_and_longer() {
        let (soon, stood) = (Duration::from_millis(10), limits::REDIS_WELL_AFTER);
        let mut pauses = Pauses::new();
        for _ in 0..10 {
            assert_eq!(pauses.after_end(stood), limits::REDIS_BACKOFF_MIN, "each time it had served people");
        }
        assert_eq!(pauses.after_end(soon), 2 * limits::REDIS_BACKOFF_MIN);
        assert_eq!(pauses.next(), 4 * limits::REDIS_BACKOFF_MIN, "nor did it start");
        for _ in 0..10 {
            pauses.next();
        }
        assert_eq!(pauses.after_end(soon), limits::REDIS_BACKOFF_MAX);
        assert_eq!(pauses.after_end(stood), limits::REDIS_BACKOFF_MIN);
    }
}
