//! Follows one worker through its job: its progress, its claims, its result.
//!
//! Owns what the coordinator knows of one worker while a run lasts. Every call that it makes tells the worker that
//! its coordinator is there.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    client::{Call, Failure, Link},
    merged_log::MergedLog,
    protocol::{
        CALL_WAIT, CLAIMS_BYTES_MAX, Outcome, PROGRESS_EVERY, Progress, REACHED_WITHIN, RESULT_BYTES_MAX,
        State, TRANSFER_WAIT,
    },
};

/// Claims are fetched in every so-manieth round: each second.
const CLAIMS_EVERY_ROUNDS: u64 = 4;

/// What the coordinator wants of all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Do the job.
    GoOn,
    /// Let no new arrival go, and come to the end.
    Stop,
    /// Come to the end at once.
    Halt,
    /// Give the job up.
    Leave,
}

/// Follows one worker.
pub(super) struct Follower {
    link: Link,
    /// The path of the job.
    job: String,
    log: Option<Arc<MergedLog>>,
    claims_from: u64,
    seen: watch::Sender<Option<Progress>>,
    wish: watch::Receiver<Wish>,
    answered: Instant,
}

impl Follower {
    /// Follows the job at this path; `seen` is what others see of it.
    pub(super) fn new(
        link: Link,
        job: String,
        log: Option<Arc<MergedLog>>,
        seen: watch::Sender<Option<Progress>>,
        wish: watch::Receiver<Wish>,
    ) -> Self {
        Self { link, job, log, claims_from: 0, seen, wish, answered: Instant::now() }
    }

    /// Stays with the worker until it has given its result, then lets it go; `None` when it was to give the job up.
    ///
    /// # Errors
    /// The worker failed or is gone.
    pub(super) async fn follow(mut self) -> Result<Option<Outcome>> {
        let outcome = self.follow_to_the_end().await;
        if outcome.is_err() {
            // Whatever went wrong, the worker need not go on for nobody.
            self.leave().await;
        }
        outcome
    }

    async fn follow_to_the_end(&mut self) -> Result<Option<Outcome>> {
        let mut rounds = interval(PROGRESS_EVERY);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for round in 0_u64.. {
            rounds.tick().await;
            let progress = self.progress().await?;
            let wish = *self.wish.borrow();
            match (progress.state, wish) {
                (State::Finished, _) => return self.finish(progress.claims_bytes).await.map(Some),
                (State::Failed, _) => {
                    self.fetch_claims().await?;
                    bail!(progress.error.unwrap_or_else(|| "failed without a word".into()));
                }
                (_, Wish::Leave) => {
                    self.leave().await;
                    return Ok(None);
                }
                (State::Running, Wish::Stop) => self.tell("stop").await?,
                (State::Running, Wish::Halt) => self.tell("halt").await?,
                _ => (),
            }
            if round % CLAIMS_EVERY_ROUNDS == 0 {
                self.fetch_claims().await?;
            }
        }
        bail!("ran out of rounds")
    }

    async fn progress(&mut self) -> Result<Progress> {
        let path = format!("{}/progress", self.job);
        let body = self.patiently(|| Call::get(path.as_str())).await?;
        let progress: Progress = serde_json::from_slice(&body).context("its progress cannot be read")?;
        self.seen.send_replace(Some(progress.clone()));
        Ok(progress)
    }

    /// Tells the worker each round: a stop that came before its start counts, too.
    async fn tell(&mut self, what: &str) -> Result<()> {
        let path = format!("{}/{what}", self.job);
        self.patiently(|| Call::post(path.as_str(), Bytes::new())).await.map(drop)
    }

    /// Fetches the claims that are there.
    async fn fetch_claims(&mut self) -> Result<()> {
        let Some(log) = self.log.clone() else { return Ok(()) };
        loop {
            let path = format!("{}/claims?from={}", self.job, self.claims_from);
            let call = || Call::get(path.as_str()).transfer(CLAIMS_BYTES_MAX, CALL_WAIT);
            let lines = self.patiently(call).await?;
            if lines.is_empty() {
                return Ok(());
            }
            self.claims_from += lines.len() as u64;
            let log = Arc::clone(&log);
            spawn_blocking(move || log.append(&lines)).await??;
        }
    }

    async fn finish(&mut self, claims_bytes: u64) -> Result<Outcome> {
        if self.log.is_some() {
            self.fetch_claims().await?;
            let fetched = self.claims_from;
            ensure!(fetched == claims_bytes, "its claims break off: {fetched} of {claims_bytes} bytes");
        }
        let path = format!("{}/result", self.job);
        let call = || Call::get(path.as_str()).transfer(RESULT_BYTES_MAX, TRANSFER_WAIT);
        let body = self.patiently(call).await?;
        let outcome = spawn_blocking(move || serde_json::from_slice(&body)).await?;
        self.leave().await;
        outcome.context("its result cannot be read")
    }

    /// Frees the worker; one that does not hear it frees itself after a while.
    async fn leave(&mut self) {
        let _unheard = self.link.call(Call::delete(self.job.as_str())).await;
    }

    /// Calls again while the worker may only have been out of reach for a moment.
    async fn patiently(&mut self, call: impl Fn() -> Call) -> Result<Bytes> {
        loop {
            match self.link.call(call()).await {
                Ok(body) => {
                    self.answered = Instant::now();
                    return Ok(body);
                }
                Err(Failure::Lost(_)) if self.answered.elapsed() < REACHED_WITHIN => {
                    sleep(PROGRESS_EVERY).await;
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }
}
