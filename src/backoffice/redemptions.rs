//! Redemptions, reversals and refunds: from many tills into few ledger transactions; and vouchers whose time is over.
//!
//! Owns the queue. What arrives while a transaction runs is taken by the next one, in order of arrival; there is no timer, so
//! a lone request is written at once. A request that is queued is done even when its till has hung up; a key is in flight
//! until then.
//!
//! ```text
//!  till ─► queue ─► batch ═ one transaction for all of it ═► ledger
//!           │ full: busy      └─ one answer each ─► till
//! ```

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clock::UnixMs;
use crate::ledger::Ledger;
use crate::ledger::life::{Barred, Merchant, Outcome, Request};
use crate::limits;
use crate::telemetry::metrics::Metrics;

/// How long the sweep rests when no voucher's time is over.
const SWEEP_PAUSE: Duration = Duration::from_secs(5);

/// Why a request has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TakeError {
    /// Too many wait; this one was not queued.
    #[error("too many redemptions wait for the ledger")]
    Busy,
    /// The same key is being worked on.
    #[error("a request with this key is in flight")]
    InFlight,
    /// The ledger failed: it may have been written. Asking again with the same key tells.
    #[error("{0}")]
    Unknown(String),
}

/// A till that calls: its merchant, as far as a redemption has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Till {
    /// The merchant, with the region in which the till stands.
    pub merchant: Merchant,
    /// Why it takes no vouchers now.
    pub barred: Option<Barred>,
    /// Whether it is there for tests alone: what it redeems moves no money.
    pub trial: bool,
}

/// Why a till is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TillRefusal {
    /// No merchant's key, or none that is good.
    #[error("no merchant's key")]
    Unknown,
    /// The merchant is not entered, or was never reviewed.
    #[error("the merchant is not active")]
    Inactive,
    /// The merchant has no such shop.
    #[error("the merchant has no such shop")]
    UnknownShop,
}

/// Who tills are.
pub trait Tills: Send + Sync + 'static {
    /// The till that calls with this bearer token, at a shop if it names one. One of a suspended merchant is
    /// [barred](Till::barred): it takes nothing, and gives back what it took.
    ///
    /// # Errors
    /// [`TillRefusal`].
    fn till(&self, bearer: &str, shop: Option<&str>) -> Result<Till, TillRefusal>;
}

/// Whose key: (actor, key).
type Flying = (String, String);

struct Waiting {
    request: Request,
    answer: oneshot::Sender<Result<Outcome, String>>,
}

/// Where tills' requests wait. Clones share the queue.
#[derive(Clone)]
pub struct Redemptions {
    queue: mpsc::Sender<Waiting>,
    flying: Arc<Mutex<HashSet<Flying>>>,
}

impl Redemptions {
    /// The queue, and what has to be run beside it: it ends when the last clone is gone. `now_ms` is the clock by which
    /// claims were granted: by no other one do vouchers end.
    pub fn new(
        ledger: Arc<dyn Ledger>,
        now_ms: impl Fn() -> UnixMs + Send + Sync,
        metrics: Arc<Metrics>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let count = move |steps| metrics.voucher_steps_total.increment(steps);
        Self::grouped(ledger, now_ms, count)
    }

    /// The same with another way to count the steps that were written.
    pub(super) fn grouped(
        ledger: Arc<dyn Ledger>,
        now_ms: impl Fn() -> UnixMs + Send + Sync,
        count: impl Fn(u64) + Send + Sync,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, waiting) = mpsc::channel(limits::LIFE_QUEUE);
        let flying = Arc::new(Mutex::new(HashSet::new()));
        (Self { queue, flying: Arc::clone(&flying) }, work(waiting, flying, ledger, now_ms, count))
    }

    /// Has a request done, durably.
    ///
    /// # Errors
    /// [`TakeError`].
    pub async fn take(&self, request: Request) -> Result<Outcome, TakeError> {
        let place = self.queue.try_reserve().map_err(|_| TakeError::Busy)?;
        if let Some(flying) = flying_of(&request)
            && !locked(&self.flying).insert(flying)
        {
            return Err(TakeError::InFlight);
        }
        let (answer, answered) = oneshot::channel();
        place.send(Waiting { request, answer });
        answered.await.map_err(|error| TakeError::Unknown(error.to_string()))?.map_err(TakeError::Unknown)
    }
}

fn flying_of(request: &Request) -> Option<Flying> {
    request.key.as_ref().map(|key| (key.actor.clone(), key.key.clone()))
}

fn locked(flying: &Mutex<HashSet<Flying>>) -> std::sync::MutexGuard<'_, HashSet<Flying>> {
    flying.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn work(
    mut waiting: mpsc::Receiver<Waiting>,
    flying: Arc<Mutex<HashSet<Flying>>>,
    ledger: Arc<dyn Ledger>,
    now_ms: impl Fn() -> UnixMs,
    count: impl Fn(u64),
) {
    let mut batch = Vec::with_capacity(limits::LIFE_BATCH);
    while waiting.recv_many(&mut batch, limits::LIFE_BATCH).await > 0 {
        let (requests, answers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|Waiting { request, answer }| (request, answer)).unzip();
        let keys: Vec<_> = requests.iter().filter_map(flying_of).collect();
        let outcomes = ledger.life(requests, now_ms()).await;
        {
            let mut flying = locked(&flying);
            for key in &keys {
                flying.remove(key);
            }
        }
        match outcomes {
            Ok(outcomes) => {
                let steps = outcomes.iter().flatten().filter(|done| !done.replayed && done.step.number > 0);
                count(steps.count() as u64);
                for (answer, outcome) in answers.into_iter().zip(outcomes) {
                    // Who asked may have gone; what was asked is done all the same.
                    let _ = answer.send(Ok(outcome));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "redemptions could not be written");
                for answer in answers {
                    let _ = answer.send(Err(error.to_string()));
                }
            }
        }
    }
}

/// Expires vouchers whose time is over by the clock by which they were claimed, a page a transaction, until `stop`. Any
/// number of services may do it at once.
pub async fn expire(
    ledger: Arc<dyn Ledger>,
    now_ms: impl Fn() -> UnixMs + Send + Sync,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let page = u32::try_from(limits::LIFE_BATCH).unwrap_or(u32::MAX);
    loop {
        let pause = match ledger.expire(page, now_ms()).await {
            Ok(swept) => {
                metrics.vouchers_expired_total.increment(swept.expired);
                // The drain and the tills have their turn between two pages.
                if swept.looked_at { Duration::from_millis(1) } else { SWEEP_PAUSE }
            }
            Err(error) => {
                tracing::warn!(%error, "vouchers could not be expired");
                SWEEP_PAUSE
            }
        };
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
