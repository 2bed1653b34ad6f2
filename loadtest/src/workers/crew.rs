//! The workers at work: one follower each, one wish for all, and the first failure.
//!
//! Owns what happens to all workers when one fails.

use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, anyhow};
use tokio::{runtime::Runtime, sync::watch, task::JoinHandle};

use crate::claims_log::Unwritten;

use super::{
    client::Link,
    follow::{Follower, Wish},
    merged_log::MergedLog,
    protocol::{Outcome, Progress, State},
};

/// The workers at work, and what is wanted of them.
pub(super) struct Crew {
    pub(super) runtime: Runtime,
    pub(super) members: Vec<Member>,
    pub(super) wish: Arc<watch::Sender<Wish>>,
    /// The first thing that went wrong.
    pub(super) failure: Arc<OnceLock<Broke>>,
}

/// Why a run of workers broke.
#[derive(Debug, Clone)]
pub(super) struct Broke {
    /// In words, with the worker; of a claims log, the cause alone.
    why: String,
    /// It was not the worker, but the claims log here.
    unwritten: Option<Unwritten>,
}

impl Broke {
    fn because(error: &anyhow::Error) -> Self {
        let unwritten: Option<Unwritten> = error.downcast_ref().cloned();
        let why = if unwritten.is_some() { error.root_cause().to_string() } else { format!("{error:#}") };
        Self { why, unwritten }
    }

    /// The same as an error; an [`Unwritten`] is still one.
    pub(super) fn to_error(&self) -> anyhow::Error {
        let why = anyhow!(self.why.clone());
        match &self.unwritten {
            None => why,
            Some(unwritten) => why.context(unwritten.clone()),
        }
    }
}

/// One worker at work.
pub(super) struct Member {
    pub(super) address: String,
    pub(super) threads: usize,
    /// The path of its job.
    pub(super) job: String,
    pub(super) seen: watch::Receiver<Option<Progress>>,
    pub(super) follower: JoinHandle<Option<Outcome>>,
}

impl Crew {
    pub(super) fn new(runtime: Runtime) -> Self {
        let wish = Arc::new(watch::Sender::new(Wish::GoOn));
        Self { runtime, members: Vec::new(), wish, failure: Arc::default() }
    }

    /// Follows a worker from now on.
    pub(super) fn follow(
        &mut self,
        address: String,
        threads: usize,
        job: String,
        link: Link,
        log: Option<Arc<MergedLog>>,
    ) {
        let (seen_by_follower, seen) = watch::channel(None);
        let follower = Follower::new(link, job.clone(), log, seen_by_follower, self.wish.subscribe());
        let (wish, failure) = (Arc::clone(&self.wish), Arc::clone(&self.failure));
        let name = address.clone();
        let follower = self.runtime.spawn(async move {
            let outcome = follower.follow().await.with_context(|| format!("worker {name}"));
            outcome
                .map_err(|error| {
                    let _first = failure.set(Broke::because(&error));
                    wish.send_if_modified(|wish| {
                        let others_go_on = *wish == Wish::GoOn;
                        if others_go_on {
                            *wish = Wish::Stop;
                        }
                        others_go_on
                    });
                })
                .ok()
                .flatten()
        });
        self.members.push(Member { address, threads, job, seen, follower });
    }

    pub(super) fn wait_until_ready(&mut self) -> Result<()> {
        let mut all_ready = true;
        for member in &mut self.members {
            let prepared = |seen: &Option<Progress>| {
                seen.as_ref().is_some_and(|progress| progress.state != State::Preparing)
            };
            let seen = self.runtime.block_on(member.seen.wait_for(prepared));
            let state = seen.ok().and_then(|seen| seen.as_ref().map(|progress| progress.state));
            all_ready &= state == Some(State::Ready);
        }
        if all_ready { self.check() } else { Err(self.dissolve(anyhow!("a worker is not ready"))) }
    }

    /// # Errors
    /// Something went wrong; all workers are let go then.
    pub(super) fn check(&mut self) -> Result<()> {
        if self.failure.get().is_none() { Ok(()) } else { Err(self.dissolve(anyhow!("a worker failed"))) }
    }

    /// Lets all workers go because of this error, or because of that which came first.
    pub(super) fn dissolve(&mut self, because: anyhow::Error) -> anyhow::Error {
        self.wish.send_replace(Wish::Leave);
        for member in self.members.drain(..) {
            // Its reason stands below.
            let _ended = self.runtime.block_on(member.follower);
        }
        self.failure.get().map_or(because, Broke::to_error)
    }

    pub(super) fn sum<T>(&self, of: impl Fn(&Progress) -> Option<T>, add: impl Fn(&mut T, T)) -> Option<T> {
        let each = self.members.iter().filter_map(|member| member.seen.borrow().as_ref().and_then(&of));
        each.reduce(|mut sum, one| {
            add(&mut sum, one);
            sum
        })
    }
}
