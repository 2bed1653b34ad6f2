//! Units that are held until they are paid for: confirmed, cancelled, or given back to stock when their time is over.
//!
//! Owns the order of it. The ledger decides, in one transaction, what becomes of a hold: of a payment, a cancellation and
//! the end of its time one wins, and the others find the state that it left. Only a unit that the ledger has declared
//! cancelled or lapsed is given back, by a script that does it once however often it is asked. Whoever dies in between
//! leaves a step without its return, which the next sweep finishes:
//!
//! ```text
//!  held ─► confirmed                                                     sold: never given back
//!       └► cancelled, lapsed ─► return.lua ─► journal ─► drain ─► the claim is returned
//!  a payment for anything but a held unit ─► a late payment, kept until somebody has refunded it
//! ```

mod late;
mod overdue;
mod sweep;
mod walk;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use self::overdue::Swept;
pub use self::sweep::Sweeper;
use super::campaigns::Campaigns;
use super::redemptions::{Redemptions, TakeError};
use crate::clock::UnixMs;
use crate::domain::campaign::ItemTerms;
use crate::domain::ids::{ClaimNumber, DropId, PersonId};
use crate::domain::life::{State, Step};
use crate::domain::money::Fen;
use crate::failpoint::Step as FailStep;
use crate::ledger::life::{Action, Done, Key, Outcome, Refused, Request};
use crate::ledger::{ClaimRow, LedgerError};
use crate::limits;
use crate::redis::codes::Code;
use crate::redis::reads;
use crate::redis::scripts::{self, Return, ScriptError};
use crate::rush::gate::DropGate;
use crate::telemetry::metrics::Metrics;

/// How often it is looked whether the ledger has a claim by now.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why nothing became of a call.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// Too many of its kind run.
    #[error("too many holds are being changed")]
    Busy,
    /// There is no such claim, or it is somebody else's.
    #[error("there is no such claim")]
    Unknown,
    /// The claim's drop holds nothing, or the hold is over.
    #[error("{0}")]
    NotHeld(String),
    /// The call's id came before with other content.
    #[error("the same webhook-id came before with other content")]
    KeyReused,
    /// The claim is granted and the ledger does not have it yet.
    #[error("the claim is not in the ledger yet")]
    NotYet,
    /// The ledger or Redis failed; asking again is safe.
    #[error("{0}")]
    Failed(String),
}

macro_rules! failed {
    ($($error:ty),*) => {
        $(impl From<$error> for HoldError {
            fn from(error: $error) -> Self {
                Self::Failed(error.to_string())
            }
        })*
    };
}
failed!(LedgerError, ScriptError, redis::RedisError);

/// A payment as the shop's callback tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The payment's own id, the same however often it is told.
    pub id: String,
    /// How much was paid.
    pub amount: Fen,
}

/// How a hold ended, in the order of the metric's labels.
#[derive(Debug, Clone, Copy)]
enum Ended {
    Confirmed,
    Cancelled,
    Lapsed,
    LatePayment,
}

/// A unit that the ledger has given up and Redis may not know of yet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owed {
    drop: DropId,
    person: PersonId,
    claim: ClaimNumber,
    claim_again: bool,
}

/// Confirms, cancels and gives back.
pub struct Holds {
    /// The ledger, Redis and the gate.
    campaigns: Arc<Campaigns>,
    metrics: Arc<Metrics>,
    /// Payments and cancellations wait here, to be written many in one transaction.
    queue: Redemptions,
    /// Units whose return did not come through; the sweeper tries again.
    owed: Mutex<Vec<Owed>>,
    /// What the sweeper has seen.
    swept: Swept,
}

/// Where a core has holds changed: on the background runtime, which owns the connections to the ledger.
#[derive(Clone)]
pub struct HoldDesk {
    holds: Arc<Holds>,
    background: Handle,
    permits: Arc<Semaphore>,
}

impl HoldDesk {
    /// A desk whose work is done on `background`; at most [`limits::HOLD_CALLS`] at a time.
    #[must_use]
    pub fn new(holds: Arc<Holds>, background: Handle) -> Self {
        Self { holds, background, permits: Arc::new(Semaphore::new(limits::HOLD_CALLS)) }
    }

    /// Notes that a claim was paid for. Again, by the same key, it answers the same.
    ///
    /// # Errors
    /// [`HoldError`]; nothing was noted then.
    pub async fn confirm(&self, claim: ClaimNumber, payment: Payment, key: Key) -> Result<Done, HoldError> {
        let holds = Arc::clone(&self.holds);
        self.on_background(async move { holds.confirm(claim, &payment, key).await }).await
    }

    /// Gives a person's unit back, whose hold is not over. Again it answers the same.
    ///
    /// # Errors
    /// [`HoldError`]; nothing was given back then.
    pub async fn cancel(&self, claim: ClaimNumber, person: PersonId) -> Result<(), HoldError> {
        let holds = Arc::clone(&self.holds);
        self.on_background(async move { holds.cancel(claim, person).await }).await
    }

    /// Work goes on when the client has gone.
    async fn on_background<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, HoldError>> + Send + 'static,
    ) -> Result<T, HoldError> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| HoldError::Busy)?;
        let work = self.background.spawn(async move {
            let _permit = permit;
            work.await
        });
        work.await.unwrap_or_else(|error| Err(HoldError::Failed(error.to_string())))
    }
}

impl Holds {
    /// Over the same ledger and Redis as the campaigns; and what has to be run beside it, which ends with it.
    pub fn new(campaigns: Arc<Campaigns>, metrics: Arc<Metrics>) -> (Self, impl Future<Output = ()> + Send) {
        let clock = Arc::clone(&campaigns);
        let now_ms = move || clock.gate.redis_now_ms(clock.clock.now_ms());
        // They are counted by how they end.
        let (queue, work) = Redemptions::grouped(Arc::clone(&campaigns.ledger), now_ms, |_| {});
        (Self { campaigns, metrics, queue, owed: Mutex::default(), swept: Swept::default() }, work)
    }

    /// The longest that a hold may be overdue; nothing where no drop holds anything.
    #[must_use]
    pub fn overdue(&self) -> Duration {
        let drops = self.campaigns.gate.drops();
        let is_held = drops.iter().any(|drop| drop.rules().spec.item.is_some());
        if is_held { self.swept.overdue(self.now_ms()) } else { Duration::ZERO }
    }

    fn now_ms(&self) -> UnixMs {
        self.campaigns.gate.redis_now_ms(self.campaigns.clock.now_ms())
    }

    /// The drop of a claim and what it says of items.
    fn item(&self, claim: ClaimNumber) -> Result<(Arc<DropGate>, ItemTerms), HoldError> {
        let drops = self.campaigns.gate.drops();
        let drop = drops.into_iter().find(|drop| drop.rules().number == claim.drop);
        let drop = drop.filter(|_| claim.shard == self.campaigns.shard).ok_or(HoldError::Unknown)?;
        let terms = drop.rules().spec.item.clone();
        let nothing = || HoldError::NotHeld(format!("claims of drop {} are not held", drop.id));
        terms.ok_or_else(nothing).map(|terms| (Arc::clone(&drop), terms))
    }

    async fn confirm(&self, claim: ClaimNumber, payment: &Payment, key: Key) -> Result<Done, HoldError> {
        let (drop, _) = self.item(claim)?;
        self.durable(&drop, claim).await?;
        let action = Action::Confirm { claim, payment: payment.id.clone(), amount: payment.amount };
        let done = match self.take(action, Some(key)).await? {
            Ok(done) => done,
            Err(Refused::KeyReused) => return Err(HoldError::KeyReused),
            Err(refused) => return Err(HoldError::NotHeld(why(refused))),
        };
        if !done.replayed {
            let in_time = done.step.step == Some(Step::Confirmed);
            self.count(if in_time { Ended::Confirmed } else { Ended::LatePayment }, 1);
        }
        Ok(done)
    }

    async fn cancel(&self, claim: ClaimNumber, person: PersonId) -> Result<(), HoldError> {
        let (drop, terms) = self.item(claim)?;
        if !self.is_theirs(&drop, claim, &person).await? {
            return Err(HoldError::Unknown);
        }
        self.durable(&drop, claim).await?;
        match self.take(Action::Cancel { claim }, None).await? {
            Ok(_) => self.count(Ended::Cancelled, 1),
            Err(Refused::NotFrom(State::Cancelled)) => {}
            Err(refused) => return Err(HoldError::NotHeld(why(refused))),
        }
        FailStep::HoldDecided.reached();
        let owed = Owed { drop: drop.id.clone(), person, claim, claim_again: terms.claim_again };
        if !self.give_back(&owed).await {
            self.owed.lock().unwrap_or_else(PoisonError::into_inner).push(owed);
        }
        Ok(())
    }

    async fn take(&self, action: Action, key: Option<Key>) -> Result<Outcome, HoldError> {
        let began = Instant::now();
        loop {
            let request = Request { action: action.clone(), key: key.clone() };
            match self.queue.take(request).await {
                Ok(outcome) => return Ok(outcome),
                // The same message twice at once: the second is told what the first was.
                Err(TakeError::InFlight) if began.elapsed() < limits::HOLD_DRAIN_WAIT => {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                Err(TakeError::InFlight | TakeError::Busy) => return Err(HoldError::Busy),
                Err(TakeError::Unknown(what)) => return Err(HoldError::Failed(what)),
            }
        }
    }

    fn count(&self, ended: Ended, count: u64) {
        self.metrics.holds_total.add(ended as usize, count);
    }

    /// Whether the ledger or, before it has the claim, Redis knows it as this person's.
    async fn is_theirs(
        &self,
        drop: &DropGate,
        claim: ClaimNumber,
        person: &PersonId,
    ) -> Result<bool, HoldError> {
        if let Some(row) = self.campaigns.ledger.claim(claim).await? {
            return Ok(row.person == person.as_str());
        }
        let mut connection = self.campaigns.compared_redis().await?;
        let grants = reads::claims_of(&mut connection, self.campaigns.shard, &drop.id, person).await?;
        let is_theirs = grants.iter().any(|grant| (grant.epoch, grant.seq) == (claim.epoch, claim.seq));
        if !is_theirs && drop.is_frozen() { Err(HoldError::NotYet) } else { Ok(is_theirs) }
    }

    /// The claim's row, waited for if Redis has granted the claim and the drain has not come to it.
    async fn durable(&self, drop: &DropGate, claim: ClaimNumber) -> Result<ClaimRow, HoldError> {
        let Campaigns { ledger, shard, .. } = &*self.campaigns;
        let began = Instant::now();
        let mut is_granted = false;
        loop {
            if let Some(row) = ledger.claim(claim).await? {
                return Ok(row);
            }
            if !is_granted {
                // Of an older epoch the ledger has all that there will ever be; but Redis may stand in one still older.
                let mut connection = self.campaigns.compared_redis().await?;
                let (_, views) = reads::views(&mut connection, *shard, [&drop.id]).await?;
                let view = views.first().and_then(Option::as_ref);
                // What it has lost may be brought back, and whoever paid for it was told that it is theirs.
                let Some(view) = view.filter(|_| !drop.is_frozen()) else { return Err(HoldError::NotYet) };
                if (claim.epoch, claim.seq) > (view.epoch, view.seq) || claim.epoch < view.epoch {
                    // It may have come into the ledger between the two looks.
                    return ledger.claim(claim).await?.ok_or(HoldError::Unknown);
                }
                is_granted = true;
            }
            if began.elapsed() > limits::HOLD_DRAIN_WAIT {
                return Err(HoldError::NotYet);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Gives a unit back to stock, which the ledger has given up; whether it is back, by this call or an earlier one.
    async fn give_back(&self, owed: &Owed) -> bool {
        let claim = Return {
            drop: &owed.drop,
            person: &owed.person,
            epoch: owed.claim.epoch,
            seq: owed.claim.seq,
            may_claim_again: owed.claim_again,
        };
        let asked: Result<Result<_, Code>, ScriptError> = async {
            let mut connection = self.campaigns.compared_redis().await?;
            scripts::return_claim(&mut connection, self.campaigns.shard, &claim).await
        }
        .await;
        let is_back = match asked {
            Ok(Ok(_) | Err(Code::AlreadyReturned)) => true,
            Ok(Err(code)) => {
                tracing::warn!(
                    claim = owed.claim.claim_id(),
                    code = code.name(),
                    "a unit is not given back yet"
                );
                false
            }
            Err(error) => {
                tracing::warn!(claim = owed.claim.claim_id(), %error, "a unit is not given back yet");
                false
            }
        };
        if is_back {
            FailStep::HoldReturned.reached();
        }
        is_back
    }
}

/// A ledger's refusal in words for the client.
fn why(refused: Refused) -> String {
    match refused {
        Refused::NotFrom(state) => format!("it is {}", state.as_str()),
        Refused::Returned => "its unit went back to stock".to_owned(),
        other => format!("{other:?}"),
    }
}
