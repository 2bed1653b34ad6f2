//! The batcher: claims that arrive while the previous batches are in flight leave together in one script call.
//!
//! Owns the bounded queue of one core, the order of arrival, and the promise that a claim waits only so long
//! *before* it is sent and is never given up *after*. An overload cuts the queue (`overload.rs`). There is
//! no timer: an idle service sends a batch of one at once, a busy one sends hundreds.
//!
//! ```text
//!  claim ─► queue ─┬─► batch in flight ─► reply ─► each claim's own answer
//!  claim ─► (FIFO) └─► batch in flight     └─────► gate: the drop's new view, new holders
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Gauge, Histogram};
use tokio::sync::{Semaphore, oneshot};

use super::Decision;
use super::gate::{DropGate, Gate};
use super::heard::Heard;
use super::holders::Fingerprint;
use super::lane::{Lane, LaneFault};
use super::overload::Overload;
use super::queue;
use crate::clock::Clock;
use crate::domain::cause::Cause;
use crate::domain::claim::Grant;
use crate::domain::ids::{Mark, PersonId, Shard};
use crate::failpoint::Step;
use crate::limits;
use crate::redis::codes::{ClaimReply, Code, DropReply, Outcome};
use crate::redis::scripts::{ClaimCall, OnePerCampaign};
use crate::telemetry::metrics::Metrics;

/// A claim that waits for its batch.
#[derive(Debug)]
struct Waiting {
    drop: Arc<DropGate>,
    person: PersonId,
    print: Fingerprint,
    mark: Option<Mark>,
    since: Instant,
    answer: oneshot::Sender<Decision>,
}

/// The near end of one core's queue.
#[derive(Debug, Clone)]
pub struct ClaimQueue {
    queue: queue::Sender<Waiting>,
}

impl ClaimQueue {
    /// Queues a claim that came at `since` and that the gate let pass, and waits for what becomes of it. Once
    /// queued it completes even if the caller goes away.
    pub async fn claim(
        &self,
        drop: Arc<DropGate>,
        person: PersonId,
        print: Fingerprint,
        mark: Option<Mark>,
        since: Instant,
    ) -> Decision {
        let (answer, decision) = oneshot::channel();
        let waiting = Waiting { drop, person, print, mark, since, answer };
        if self.queue.push(waiting).is_err() {
            return Decision::Refused(Cause::Overloaded);
        }
        // The batcher answers every claim it takes; it can vanish only with its runtime.
        decision.await.unwrap_or(Decision::Refused(Cause::OutcomeUnknown))
    }
}

/// How one batcher behaves.
#[derive(Debug, Clone, Copy)]
pub struct BatcherSettings {
    /// Which core's it is: the series of its waiting times.
    pub core: usize,
    /// The shard that it serves.
    pub shard: Shard,
    /// Claims in one call at the most.
    pub batch_max: usize,
    /// Calls in flight at the most.
    pub inflight_max: usize,
    /// Claims that may wait.
    pub queue_max: usize,
    /// How long a claim may wait before it is refused unsent.
    pub queue_wait_max: Duration,
}

/// The far end of one core's queue.
pub struct Batcher {
    queue: queue::Receiver<Waiting>,
    inflight: Arc<Semaphore>,
    settings: BatcherSettings,
    queue_wait_seconds: Histogram,
    queue_claims: Gauge,
    sender: Arc<Sender>,
}

/// What a batch in flight needs.
struct Sender {
    shard: Shard,
    lane: Lane,
    gate: Arc<Gate>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl Batcher {
    /// A batcher and the near end of its queue.
    #[must_use]
    pub fn new(
        settings: BatcherSettings,
        lane: Lane,
        gate: Arc<Gate>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> (ClaimQueue, Self) {
        let (near, queue) = queue::bounded(settings.queue_max);
        let inflight = Arc::new(Semaphore::new(settings.inflight_max));
        let queue_wait_seconds = metrics.queue_wait_seconds.core(settings.core);
        let queue_claims = metrics.queue_claims.of(&settings.core.to_string());
        let sender = Arc::new(Sender { shard: settings.shard, lane, gate, metrics, clock });
        (
            ClaimQueue { queue: near },
            Self { queue, inflight, settings, queue_wait_seconds, queue_claims, sender },
        )
    }

    /// Runs until every [`ClaimQueue`] is gone, all that waited was sent and all that was sent is answered.
    pub async fn run(mut self) {
        let mut batch_id = 0_u64;
        let mut arrived = Vec::with_capacity(self.settings.batch_max);
        let mut overload = Overload::new(self.settings.queue_max, self.settings.batch_max);
        while let Ok(permit) = Arc::clone(&self.inflight).acquire_owned().await {
            if !self.queue.ready().await {
                break;
            }
            // One look at the sockets before a call leaves: whoever has knocked by now comes along. No timer, and
            // nothing to wait for when nobody has.
            tokio::task::yield_now().await;
            self.queue.take(&mut arrived, self.settings.batch_max);
            self.queue_claims.set(self.queue.len() as f64);
            self.queue.set_max(overload.after_batch(self.queue.refused_any(), Instant::now()));
            let batch = self.batch_of(&mut arrived);
            if batch.is_empty() {
                continue;
            }
            batch_id += 1;
            let sender = Arc::clone(&self.sender);
            tokio::spawn(async move {
                sender.send(batch_id, batch).await;
                drop(permit);
            });
        }
        // All permits back: nothing is in flight any more.
        let all = u32::try_from(self.settings.inflight_max).unwrap_or(u32::MAX);
        let _ = self.inflight.acquire_many(all).await;
    }

    /// Groups what arrived by drop, in order of arrival, and refuses what waited too long.
    fn batch_of(&self, arrived: &mut Vec<Waiting>) -> Batch {
        let now = Instant::now();
        let mut batch = Batch::default();
        for waiting in arrived.drain(..) {
            let waited = now.saturating_duration_since(waiting.since);
            self.queue_wait_seconds.record(waited.as_secs_f64());
            if waited > self.settings.queue_wait_max {
                let _ = waiting.answer.send(Decision::Refused(Cause::Overloaded));
            } else if let Err(waiting) = batch.push(waiting, &self.sender.gate) {
                let _ = waiting.answer.send(Decision::Refused(Cause::Overloaded));
            }
        }
        batch
    }
}

/// The claims of one call, by drop.
#[derive(Debug, Default)]
struct Batch {
    parts: Vec<Part>,
}

/// One drop's claims in a batch.
#[derive(Debug)]
struct Part {
    drop: Arc<DropGate>,
    /// As the drop's campaign was when the part was begun: a reply names its drops by their places. Without it the script
    /// grants nothing where a person may win in one drop alone, as is right while one of them may have lost claims.
    once: Option<Arc<OnePerCampaign>>,
    claims: Vec<Waiting>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Adds a claim; gives it back when it would be one drop too many for one call.
    fn push(&mut self, waiting: Waiting, gate: &Gate) -> Result<(), Waiting> {
        if let Some(part) = self.parts.iter_mut().find(|part| Arc::ptr_eq(&part.drop, &waiting.drop)) {
            part.claims.push(waiting);
        } else if self.parts.len() < limits::BATCH_DROPS_MAX {
            let drop = Arc::clone(&waiting.drop);
            let once = drop.once().filter(|campaign| !gate.any_went_back(campaign));
            self.parts.push(Part { drop, once, claims: vec![waiting] });
        } else {
            return Err(waiting);
        }
        Ok(())
    }

    fn call(&self, shard: Shard, batch_id: u64) -> ClaimCall {
        let mut call = ClaimCall::new(shard, batch_id);
        for part in &self.parts {
            for claim in &part.claims {
                // The batch keeps the same caps, so that there is always a slot.
                let slot = call.claim(&part.drop.id, &claim.person, claim.mark);
                if let (Some(slot), Some(campaign)) = (slot.filter(|slot| slot.claim == 0), &part.once) {
                    call.once(slot, campaign);
                }
            }
        }
        call
    }

    /// Has the places of those who may have been granted something fetched while the reply is read: each is one that no core
    /// has looked at, and waiting for one after the other would cost more than all else that is done with an answer.
    fn prefetch_holders(&self) {
        for part in &self.parts {
            part.claims.iter().for_each(|claim| part.drop.holders.prefetch(claim.print));
        }
    }

    /// Gives every claim the same answer.
    fn refuse(self, cause: Cause) {
        for claim in self.parts.into_iter().flat_map(|part| part.claims) {
            let _ = claim.answer.send(Decision::Refused(cause));
        }
    }

    fn len(&self) -> usize {
        self.parts.iter().map(|part| part.claims.len()).sum()
    }
}

impl Sender {
    async fn send(&self, batch_id: u64, batch: Batch) {
        self.metrics.batch_claims.record(batch.len() as f64);
        self.metrics.inflight_batches.increment(1.0);
        let call = batch.call(self.shard, batch_id);
        let command = call.to_evalsha();
        let asked_at = Instant::now();
        Step::BatchTaken.reached();
        let answer = self.lane.call(&command).await;
        Step::BatchCalled.reached();
        let came_at = Instant::now();
        self.metrics.redis_call_seconds.record(came_at.duration_since(asked_at).as_secs_f64());
        self.metrics.inflight_batches.decrement(1.0);
        match answer {
            Ok(answer) => {
                batch.prefetch_holders();
                self.metrics.batch_retries_total.increment(u64::from(answer.retried));
                match call.decode(&answer.value) {
                    Ok(reply) => {
                        self.distribute(batch, reply, (asked_at, came_at), answer.confirmed);
                        Step::BatchAnswered.reached();
                    }
                    Err(error) => {
                        // Redis decided something; what, this reply does not tell.
                        tracing::error!(%error, "a batch was answered with something else");
                        self.lane.replace();
                        self.give_up(batch, LaneFault::Unknown);
                    }
                }
            }
            Err(fault) => self.give_up(batch, fault),
        }
    }

    fn give_up(&self, batch: Batch, fault: LaneFault) {
        match fault {
            LaneFault::NotSent => batch.refuse(Cause::Unavailable),
            LaneFault::Unknown => {
                self.metrics.outcome_unknown_total.increment(batch.len() as u64);
                batch.refuse(Cause::OutcomeUnknown);
            }
        }
    }

    fn distribute(
        &self,
        batch: Batch,
        reply: ClaimReply,
        (asked_at, came_at): (Instant, Instant),
        confirmed: bool,
    ) {
        let now_ms = reply.now_ms;
        self.metrics.replica_short_batches_total.increment(u64::from(!confirmed));
        for (part, said) in batch.parts.into_iter().zip(reply.drops) {
            match said {
                Some(said) => {
                    let heard = Heard { view: said.view, now_ms, asked_at, came_at };
                    self.distribute_part(part, &said, heard, confirmed);
                }
                None => part.refuse(Cause::Unavailable),
            }
        }
        if self.gate.set_redis_up(true) {
            self.gate.set_redis_clock(now_ms, self.clock.now_ms());
        }
    }

    /// Tells a drop's claims what became of them. What too few replicas have is told to nobody: a grant that is lost
    /// with this Redis must not have been acknowledged. A refusal gives nothing that could be lost, and stands.
    fn distribute_part(&self, part: Part, said: &DropReply, heard: Heard, confirmed: bool) {
        let (epoch, now_ms) = (heard.view.epoch, heard.now_ms);
        let granted = || {
            let pairs = part.claims.iter().zip(&said.outcomes);
            pairs
                .filter(|(_, outcome)| matches!(outcome, Outcome::Granted { .. }))
                .map(|(claim, _)| claim.print)
        };
        // Holders first, then the view that counts them: the latch must never run ahead of what is known.
        part.drop.holders.note_granted(epoch, granted());
        part.drop.update(heard);
        let (mut decided, mut unknown) = (0, 0);
        for (claim, outcome) in part.claims.into_iter().zip(&said.outcomes) {
            decided += u64::from(matches!(outcome, Outcome::Granted { .. }));
            let decision = match *outcome {
                Outcome::Granted { .. } | Outcome::Again(_) if !confirmed => {
                    unknown += 1;
                    Decision::Refused(Cause::OutcomeUnknown)
                }
                Outcome::Granted { seq } => {
                    let mark = claim.mark;
                    Decision::Granted(Grant { epoch, seq, claimed_at_ms: now_ms, returned: false, mark })
                }
                Outcome::Again(grant) => Decision::Again(grant),
                Outcome::Refused(code) => Decision::Refused(cause_of(code)),
                Outcome::Elsewhere { place, grant } => {
                    let drops = part.once.iter().flat_map(|campaign| &campaign.drops);
                    let number = drops.map(|(_, number)| grant.number(*number, self.shard)).nth(place);
                    number.map_or(Decision::Refused(Cause::LimitReached), Decision::Elsewhere)
                }
            };
            // A client that went away has no ear for it; the claim is theirs all the same.
            let _ = claim.answer.send(decision);
        }
        self.metrics.claims_decided_total.increment(decided);
        self.metrics.outcome_unknown_total.increment(unknown);
    }
}

impl Part {
    fn refuse(self, cause: Cause) {
        for claim in self.claims {
            let _ = claim.answer.send(Decision::Refused(cause));
        }
    }
}

/// What a script's code means to a client.
fn cause_of(code: Code) -> Cause {
    match code {
        Code::NotOpen => Cause::NotOpen,
        Code::Paused => Cause::Paused,
        Code::Closed => Cause::Closed,
        Code::SoldOut => Cause::SoldOut,
        Code::LimitReached => Cause::LimitReached,
        // The claim script gives no other code; a drop that Redis lost must look like an outage, not a typo.
        _ => Cause::Unavailable,
    }
}
