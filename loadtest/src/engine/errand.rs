//! One claim on its way: connect, send, count, try again.
//!
//! Owns what a lost reply means: the claim may have been granted, so it is sent again with the same ticket until an
//! answer says what became of it, and stays unknown if none does.

use std::{
    future::Future,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    counting::Moments,
    desk::{Claim, Desk},
};
use crate::{
    client::{
        answer,
        ask::Ask,
        link::Way,
        wire::{Lost, Reply, Wire},
    },
    scenario::Reuse,
};

/// Waits between attempts to connect or to send a claim again.
const BACKOFF_MIN: Duration = Duration::from_millis(5);
/// See [`BACKOFF_MIN`].
const BACKOFF_MAX: Duration = Duration::from_millis(250);
/// The longest wait that a `Retry-After` can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

/// A place for one connection, which may be lost and opened again.
pub(crate) struct Line {
    pub(crate) desk: Rc<Desk>,
    pub(crate) way: Way,
    pub(crate) wire: Option<Wire>,
    /// For whom it is used at the moment.
    pub(crate) persona: usize,
    /// Whether it has carried anything: a later connection is a reconnect.
    used: bool,
}

impl Line {
    pub(crate) fn new(desk: &Rc<Desk>, way: Way, wire: Option<Wire>, persona: usize) -> Self {
        Self { desk: Rc::clone(desk), way, wire, persona, used: false }
    }

    /// Waits for something else while the connection is kept alive.
    pub(crate) async fn while_idle<F: Future>(&mut self, other: F) -> F::Output {
        match &mut self.wire {
            Some(wire) => wire.while_idle(other).await,
            None => other.await,
        }
    }

    /// Sleeps while the connection is kept alive; see [`Desk::sleep_until`].
    pub(crate) async fn pause_until(&mut self, at: Instant) {
        let desk = Rc::clone(&self.desk);
        self.while_idle(desk.sleep_until(at)).await;
    }

    /// Whether there is an open connection that the next request can use.
    pub(crate) fn is_open(&self) -> bool {
        self.wire.as_ref().is_some_and(Wire::is_open) && !(self.takes_new_ones() && self.used)
    }

    /// Sees to it that there is one; `false` when there is none before `give_up_at`.
    pub(crate) async fn connect(&mut self, give_up_at: Instant) -> bool {
        if self.is_open() {
            return true;
        }
        // On the heap, so that the way of each request does not carry the room for it.
        Box::pin(self.open(give_up_at, self.used && !self.takes_new_ones())).await
    }

    /// Whether each request has a connection of its own.
    fn takes_new_ones(&self) -> bool {
        self.desk.plan.scenario.connections.reuse == Reuse::NewEach
    }

    /// Opens a connection, again or for the first time.
    async fn open(&mut self, give_up_at: Instant, again: bool) -> bool {
        self.wire = None;
        let (desk, persona) = (Rc::clone(&self.desk), self.persona);
        let (mut backoff, mut tried) = (BACKOFF_MIN, false);
        loop {
            // A run that is stopped meanwhile waits for nothing any more sooner than it seemed.
            let give_up_at = give_up_at.min(desk.give_up_at.get());
            if Instant::now() >= give_up_at {
                // It may just be over; but whoever tried in vain would have gone on.
                if tried {
                    desk.found_nobody();
                }
                return false;
            }
            tried = true;
            if let Ok(wire) = Wire::open_by(&self.way).await {
                desk.count(|counting| {
                    counting.mishaps(persona)?.reconnects += u64::from(again);
                    Ok(())
                });
                self.wire = Some(wire);
                return true;
            }
            desk.count(|counting| {
                counting.mishaps(persona)?.connect_failures += 1;
                Ok(())
            });
            sleep(backoff.min(give_up_at.saturating_duration_since(Instant::now()))).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Sends a request and reads its reply, until `give_up_at`. Counts the request, and not its answer or loss.
    pub(crate) async fn exchange(
        &mut self,
        ask: &Ask,
        sent: Instant,
        give_up_at: Instant,
    ) -> Result<Reply, Lost> {
        self.used = true;
        let Some(wire) = &mut self.wire else { return Err(Lost::Unsent) };
        let persona = self.persona;
        self.desk.count(|counting| counting.sent(persona, sent));
        let reply = wire.exchange(ask, give_up_at.min(self.desk.give_up_at.get())).await;
        if let Err(lost) = reply {
            if let Some(came) = wire.take_no_reply() {
                self.desk.counting.borrow_mut().no_reply(came);
            }
            self.wire = None;
            if lost == Lost::Unsent {
                self.desk.count(|counting| counting.not_sent(persona, sent));
            }
        }
        reply
    }
}

/// When a claim is sent again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// How long one reply may take.
    pub(crate) reply_wait: Duration,
    /// How often a busy answer (503 or 429 with `Retry-After`) is obeyed.
    pub(crate) busy_retries: u32,
    /// How often a claim of which nobody knows what became is sent again.
    pub(crate) lost_retries: u32,
    /// The least wait before that.
    pub(crate) pause: Duration,
}

impl Rules {
    /// Those of a person who waits for what the service says.
    pub(crate) fn patient(desk: &Desk, busy_retries: u32) -> Self {
        let reply_wait = desk.plan.scenario.connections.reply_wait;
        Self { reply_wait, busy_retries, lost_retries: u32::MAX, pause: Duration::ZERO }
    }
}

/// How one attempt ended.
pub(crate) enum Attempt {
    Answered { status: u16, retry_after: Option<Duration>, outcome_unknown: bool },
    Lost(Lost),
}

impl Attempt {
    pub(crate) fn of(reply: &Reply) -> Self {
        Self::Answered {
            status: reply.status,
            retry_after: reply.retry_after.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX)),
            outcome_unknown: reply.status == answer::SERVICE_UNAVAILABLE
                && answer::problem_code(&reply.body) == answer::OUTCOME_UNKNOWN,
        }
    }

    /// Whether the claim may have been granted without its client being told.
    pub(crate) fn may_have_arrived(&self) -> bool {
        matches!(self, Self::Answered { outcome_unknown: true, .. } | Self::Lost(Lost::Unknown))
    }

    /// Whether it says what became of a claim that was sent before: what answers before looking, or fails, does
    /// not.
    pub(crate) fn decides(&self) -> bool {
        matches!(self, Self::Answered { status, .. }
            if *status < answer::SERVER_ERRORS && *status != answer::TOO_MANY_REQUESTS)
    }
}

/// A claim of which nobody knows what became of it. As long as that remains so it is noted as unknown when it is
/// given up, also when a run that is ended at once gives it up.
pub(crate) struct Doubt<'run> {
    desk: &'run Desk,
    claim: &'run Claim,
    pub(crate) remains: bool,
}

impl<'run> Doubt<'run> {
    /// Of a claim that is about to be sent.
    pub(crate) fn of(desk: &'run Desk, claim: &'run Claim) -> Self {
        Self { desk, claim, remains: true }
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if self.remains {
            self.desk.unknown(self.claim);
        }
    }
}

/// A claim on its way.
pub(crate) struct Errand<'run> {
    pub(crate) line: &'run mut Line,
    pub(crate) claim: &'run Claim,
    pub(crate) rules: Rules,
    /// An earlier attempt may have been granted.
    may_have_arrived: bool,
}

impl<'run> Errand<'run> {
    pub(crate) fn new(line: &'run mut Line, claim: &'run Claim, rules: Rules) -> Self {
        Self { line, claim, rules, may_have_arrived: false }
    }

    /// Sends the claim until it has its answer, or its time is over. The connection is open.
    pub(crate) async fn run(mut self, intended: Instant, first_sent: Instant) {
        let desk = Rc::clone(&self.line.desk);
        let mut sent = first_sent;
        let mut backoff = BACKOFF_MIN;
        let mut until = desk.give_up_at.get();
        let mut doubt = Doubt::of(&desk, self.claim);
        loop {
            doubt.remains = true;
            let attempt = self.attempt(Moments { intended, sent }).await;
            if attempt.may_have_arrived() && !self.may_have_arrived {
                self.may_have_arrived = true;
                let retry_until =
                    desk.plan.scenario.connections.retry_unknown_for.map(|time| Instant::now() + time);
                until = retry_until.map_or(until, |at| at.min(until));
            }
            doubt.remains = self.may_have_arrived && !attempt.decides();
            if let Some(wait) = self.wait_before_retry(&attempt, backoff)
                && Box::pin(self.wait(wait, until)).await
            {
                backoff = (backoff * 2).min(BACKOFF_MAX);
                sent = Instant::now();
                continue;
            }
            if !self.may_have_arrived && matches!(attempt, Attempt::Lost(_)) {
                desk.unsent(self.claim.persona);
            }
            return;
        }
    }

    /// Waits before the claim is sent again; `false` when there is no time for that.
    async fn wait(&mut self, wait: Duration, until: Instant) -> bool {
        let desk = Rc::clone(&self.line.desk);
        let again_at = Instant::now() + wait;
        if again_at >= until {
            return false;
        }
        self.line.pause_until(again_at).await;
        let again = !desk.is_over() && self.line.connect(until.min(desk.give_up_at.get())).await;
        desk.count(|counting| {
            counting.mishaps(self.claim.persona)?.retries += u64::from(again);
            Ok(())
        });
        again
    }

    /// Sends the claim once, and never again.
    pub(crate) async fn run_once(mut self, at: Moments) -> Attempt {
        let attempt = self.attempt(at).await;
        if matches!(attempt, Attempt::Lost(Lost::Unsent)) {
            self.line.desk.unsent(self.claim.persona);
        }
        attempt
    }

    /// Sends the claim once.
    async fn attempt(&mut self, at: Moments) -> Attempt {
        let desk = Rc::clone(&self.line.desk);
        let give_up_at = at.sent + self.rules.reply_wait;
        match self.line.exchange(&self.claim.ask, at.sent, give_up_at).await {
            Ok(reply) => {
                desk.answered(self.claim, &reply, at);
                Attempt::of(&reply)
            }
            Err(lost) => {
                if lost == Lost::Unknown {
                    desk.count(|counting| counting.lost(self.claim.persona));
                }
                Attempt::Lost(lost)
            }
        }
    }

    /// How long to wait before the claim is sent again; `None` if this outcome stands.
    fn wait_before_retry(&mut self, attempt: &Attempt, backoff: Duration) -> Option<Duration> {
        let retry_after = match attempt {
            Attempt::Answered { retry_after, .. } => *retry_after,
            Attempt::Lost(Lost::Unsent) => return Some(backoff),
            Attempt::Lost(Lost::Unknown) => None,
        };
        if self.may_have_arrived {
            if attempt.decides() {
                return None;
            }
            self.rules.lost_retries = self.rules.lost_retries.checked_sub(1)?;
            return Some(retry_after.unwrap_or(backoff).max(self.rules.pause));
        }
        let busy = matches!(
            attempt,
            Attempt::Answered { status: answer::SERVICE_UNAVAILABLE | answer::TOO_MANY_REQUESTS, .. }
        );
        let wait = retry_after.filter(|_| busy)?;
        self.rules.busy_retries = self.rules.busy_retries.checked_sub(1)?;
        Some(wait)
    }
}
