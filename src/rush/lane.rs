//! A lane: one long-lived pipelined Redis connection of one core, taken through the pool, replaced on error.
//!
//! Owns when a lost reply is asked for again, and tells whether replicas have what was replied. Sends claims to the
//! trusted server alone ([`super::trust`]), and takes no other's word for what became of them. A pool checkout costs
//! a round trip, so the hot path makes one a connection, not one a call.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_redis::Pool;
use metrics::Counter;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Value};
use tokio::time::Instant;

use super::gate::Gate;
use crate::redis::fence::Fence;
use crate::redis::peer::Peer;
use crate::redis::pool::{self, RedisFault};
use crate::redis::scripts;

/// How long to wait before the next attempt at a server that is not ready.
const CONNECT_BACKOFF: Duration = Duration::from_millis(20);

/// How often a lost reply is asked for again.
const LOST_REPLIES_MAX: u32 = 1;

/// One core's way to Redis.
pub struct Lane {
    pool: Pool,
    /// Knows which server is trusted.
    gate: Arc<Gate>,
    current: Mutex<Option<Numbered>>,
    made: AtomicU64,
    reconnects: Counter,
    /// Whether the last call failed: a fault is logged when it begins and when it ends, not for every batch.
    failing: AtomicBool,
    /// How long a call may look for a connection, and how long a lost reply may be asked for again.
    patience: Duration,
    /// Where claims are acknowledged by replicas.
    fence: Option<Fence>,
    /// Whether too few replicas had the last batch in time; logged as `failing` is.
    short: AtomicBool,
}

/// A connection with its number, so that only the one that failed is replaced, and the server at its far end.
#[derive(Clone)]
struct Numbered {
    number: u64,
    connection: MultiplexedConnection,
    peer: Arc<Peer>,
}

/// Why a call has no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneFault {
    /// It was certainly not carried out.
    NotSent,
    /// It may have been carried out.
    Unknown,
}

/// A reply, and whether it had to be asked for again.
#[derive(Debug)]
pub struct Answer {
    /// What Redis said.
    pub value: Value,
    /// The first reply was lost: what was granted in the first attempt comes back as "again".
    pub retried: bool,
    /// The server that said it.
    pub peer: Arc<Peer>,
    /// Whether it is as safe as claims are to be when they are acknowledged: false when too few replicas have it.
    pub confirmed: bool,
}

impl Lane {
    /// A lane over a pool of this core's own, whose connections are driven by this core's runtime.
    #[must_use]
    pub fn new(
        pool: Pool,
        gate: Arc<Gate>,
        patience: Duration,
        reconnects: Counter,
        fence: Option<Fence>,
    ) -> Self {
        let (failing, short) = (AtomicBool::new(false), AtomicBool::new(false));
        let (current, made) = (Mutex::new(None), AtomicU64::new(0));
        Self { pool, gate, current, made, reconnects, failing, patience, fence, short }
    }

    /// Calls a script that is safe to run twice. A lost reply is asked for once more with the same content; a
    /// server that is there but not ready yet is waited for.
    ///
    /// # Errors
    /// [`LaneFault`] says whether it may have been carried out.
    pub async fn call(&self, command: &Cmd) -> Result<Answer, LaneFault> {
        let deadline = Instant::now() + self.patience;
        let mut lost_replies = 0;
        loop {
            match self.attempt(command).await {
                Ok(answer) => return Ok(Answer { retried: lost_replies > 0, ..answer }),
                Err(AttemptFault::LostReply) => {
                    lost_replies += 1;
                    if lost_replies > LOST_REPLIES_MAX {
                        return Err(LaneFault::Unknown);
                    }
                }
                Err(AttemptFault::NotReady) if Instant::now() < deadline => {
                    tokio::time::sleep(CONNECT_BACKOFF).await;
                }
                Err(_) if lost_replies > 0 => return Err(LaneFault::Unknown),
                Err(_) => return Err(LaneFault::NotSent),
            }
        }
    }

    /// Lets go of the connection: the next call makes a new one.
    pub fn replace(&self) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn attempt(&self, command: &Cmd) -> Result<Answer, AttemptFault> {
        let mut lane = self.connection().await.ok_or(AttemptFault::NotReady)?;
        if !self.gate.trust.is_for(&lane.peer.run_id) {
            self.gate.trust.ask();
            self.let_go(lane.number);
            return Err(AttemptFault::NotReady);
        }
        let said = match &self.fence {
            None => scripts::CLAIM.run(&mut lane.connection, command).await.map(|value| (value, true)),
            Some(fence) => {
                let said = fence.run(&mut lane.connection, &lane.peer, &scripts::CLAIM, command).await;
                said.inspect(|(_, confirmed)| self.note_confirmed(*confirmed))
            }
        };
        let error = match said {
            Ok(_) if !self.gate.trust.is_for(&lane.peer.run_id) => {
                // Another server took its place meanwhile: what this one did may be lost already.
                tracing::warn!(
                    run_id = lane.peer.run_id,
                    "a batch was answered by a server that is not trusted any more"
                );
                self.let_go(lane.number);
                return Err(AttemptFault::LostReply);
            }
            Ok((value, confirmed)) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("batches are answered again");
                }
                return Ok(Answer { value, retried: false, peer: lane.peer, confirmed });
            }
            Err(error) => error,
        };
        let fault = RedisFault::of(&error);
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, fault = fault.as_str(), "a batch failed");
        }
        if fault.surely_undone() {
            return Err(if fault.retryable() { AttemptFault::NotReady } else { AttemptFault::Refused });
        }
        self.let_go(lane.number);
        Err(AttemptFault::LostReply)
    }

    /// Lets go of this very connection, if it is still the current one.
    fn let_go(&self, number: u64) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|now| now.number == number) {
            *current = None;
        }
    }

    fn note_confirmed(&self, confirmed: bool) {
        match (confirmed, self.short.swap(!confirmed, Ordering::Relaxed)) {
            (false, false) => tracing::warn!("too few replicas have a batch in time: outcome unknown"),
            (true, true) => tracing::info!("enough replicas have a batch in time again"),
            _ => {}
        }
    }

    /// The connection, or one attempt to make it.
    async fn connection(&self) -> Option<Numbered> {
        if let Some(lane) = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Some(lane);
        }
        let made = self.make().await.inspect_err(|error| tracing::debug!(%error, "no connection to Redis"));
        let (connection, peer) = made.ok()?;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        self.reconnects.increment(u64::from(number > 0));
        tracing::debug!(run_id = peer.run_id, can_waitaof = peer.can_waitaof, "a lane is connected");
        let made = Numbered { number, connection, peer: Arc::new(peer) };
        // Two batches in flight may both have made one; the first to come back is kept.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        Some(current.get_or_insert(made).clone())
    }

    /// A new connection, and who is at its far end.
    async fn make(&self) -> RedisResult<(MultiplexedConnection, Peer)> {
        let mut connection = deadpool_redis::Connection::take(pool::checkout(&self.pool).await?);
        let peer = Peer::learn(&mut connection).await?;
        Ok((connection, peer))
    }
}

/// How one attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AttemptFault {
    /// Certainly not carried out, and worth waiting for.
    NotReady,
    /// Certainly not carried out, and waiting does not help.
    Refused,
    /// Sent, and no answer came.
    LostReply,
}
