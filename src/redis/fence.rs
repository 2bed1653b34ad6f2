//! The fence of `ack = "replica"`: a small write behind what is to be confirmed, and a wait until replicas have it.
//!
//! Owns what "confirmed" means there. A write reaches a replica only after everything that the server wrote before
//! it, so replicas that have the fence have every claim that was read or granted before it, whoever asked for it
//! first and on whichever connection: that is why a claim that is only given again is confirmed too.
//!
//! ```text
//! EVALSHA claim.lua … │ ROLE │ SET cr:{sN}:fence 1 │ WAIT n ms │ WAITAOF 1 n ms      one pipeline, no transaction
//!                     │      │                     │           └ where the server has it: n replicas have synced
//!                     │      │                     └ n replicas have it in memory
//!                     │      └ moves this connection's offset, also when the script wrote nothing
//!                     └ whether the server counts an offset at all
//! ```
//!
//! A server that no replica has followed since its start counts no offset (Redis 7.0): every write stands at 0, and
//! `WAIT` takes a replica that has only begun to load for one that has them. So nothing is confirmed there.
//!
//! `WAITAOF` never stands without a `WAIT` before it. A replica tells what it has synced when it is asked, and it is
//! asked in the same breath in which it gets the writes, before its fsync; alone, `WAITAOF` would wait for the
//! replica's next report, which comes once a second. After `WAIT` the replica is asked again, and has synced.

use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Value, cmd, pipe};

use super::keys;
use super::peer::Peer;
use super::scripts::Script;
use crate::config::{Ack, Config};
use crate::domain::ids::Shard;

/// How many replicas must have what, and how long they may take.
#[derive(Debug, Clone)]
pub struct Fence {
    key: String,
    replicas: u32,
    wait: Duration,
}

/// How many replicas had everything up to a fence when its wait was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    /// They have received it.
    pub received: u32,
    /// They have synced it to disk; `None` where the server cannot tell (no `WAITAOF`).
    pub synced: Option<u32>,
}

/// Why replicas cannot be relied on.
#[derive(Debug, thiserror::Error)]
pub enum ReplicasMissing {
    /// The server does not answer, may not be asked, or is itself a replica.
    #[error("redis: {0}")]
    Redis(#[from] RedisError),
    /// Too few follow, or they are too far behind.
    #[error(
        "redis: {received} of redis.replicas = {wanted} received a write within redis.replica_wait_ms = {wait_ms}: \
         claim.ack = \"replica\" needs them connected and in step"
    )]
    Received {
        /// How many had it.
        received: u32,
        /// How many must.
        wanted: u32,
        /// How long they had, in milliseconds.
        wait_ms: u128,
    },
    /// They follow, and too few write to disk, or they do so too seldom.
    #[error(
        "redis: {synced} of redis.replicas = {wanted} synced a write to disk within redis.replica_wait_ms = {wait_ms}: \
         claim.ack = \"replica\" needs \"appendonly yes\" and \"appendfsync always\" in the replicas' redis.conf"
    )]
    Synced {
        /// How many had it on disk.
        synced: u32,
        /// How many must.
        wanted: u32,
        /// How long they had, in milliseconds.
        wait_ms: u128,
    },
}

impl Fence {
    /// The fence that `config` asks for in a shard: none unless `claim.ack` is `replica`.
    #[must_use]
    pub fn of(config: &Config, shard: Shard) -> Option<Self> {
        let redis = &config.redis;
        let fence = || Self { key: keys::fence(shard), replicas: redis.replicas, wait: redis.replica_wait() };
        (config.claim.ack == Ack::Replica).then(fence)
    }

    /// Calls a script and waits for the replicas, in one round trip; loads the script first when the server does
    /// not know it, and then does all of it again.
    ///
    /// # Errors
    /// What became of the script's call, as [`Script::run`]. A wait that failed is none that confirmed.
    pub async fn run<C: ConnectionLike>(
        &self,
        connection: &mut C,
        peer: &Peer,
        script: &Script,
        call: &Cmd,
    ) -> RedisResult<(Value, bool)> {
        let (value, confirmed) = match self.attempt(connection, peer, call).await {
            Err(error) if Script::is_unknown(&error) => {
                script.load(connection).await?;
                self.attempt(connection, peer, call).await?
            }
            other => other?,
        };
        let confirmed =
            confirmed.inspect_err(|error| tracing::debug!(%error, "the replicas could not be waited for"));
        Ok((value, confirmed.is_ok_and(|confirmed| self.is_enough(confirmed))))
    }

    /// Waits until replicas have what this connection has read or written so far, and tells how many do.
    ///
    /// # Errors
    /// [`RedisError`] when the server does not answer, or is itself a replica.
    pub async fn raise<C: ConnectionLike>(&self, connection: &mut C) -> RedisResult<Confirmed> {
        let peer = Peer::learn(connection).await?;
        // A first write, so that a server whose replicas came after its last one counts an offset already.
        let (_, confirmed) = self.attempt(connection, &peer, &self.write()).await?;
        confirmed
    }

    /// Whether that is enough.
    #[must_use]
    pub fn is_enough(&self, confirmed: Confirmed) -> bool {
        confirmed.received >= self.replicas && confirmed.synced.is_none_or(|synced| synced >= self.replicas)
    }

    /// Raises it once, to see whether the replicas are there.
    ///
    /// # Errors
    /// [`ReplicasMissing`] says what is.
    pub async fn probe<C: ConnectionLike>(&self, connection: &mut C) -> Result<(), ReplicasMissing> {
        let confirmed = self.raise(connection).await?;
        let (wanted, wait_ms) = (self.replicas, self.wait.as_millis());
        match confirmed {
            _ if self.is_enough(confirmed) => Ok(()),
            Confirmed { received, synced: Some(synced) } if received >= wanted => {
                Err(ReplicasMissing::Synced { synced, wanted, wait_ms })
            }
            Confirmed { received, .. } => Err(ReplicasMissing::Received { received, wanted, wait_ms }),
        }
    }

    async fn attempt<C: ConnectionLike>(
        &self,
        connection: &mut C,
        peer: &Peer,
        call: &Cmd,
    ) -> RedisResult<(Value, RedisResult<Confirmed>)> {
        let mut pipeline = pipe();
        pipeline.add_command(call.clone());
        self.append(&mut pipeline, peer);
        let replies: Vec<RedisResult<Value>> = pipeline.ignore_errors().query_async(connection).await?;
        let mut replies = replies.into_iter();
        let value = replies.next().unwrap_or_else(|| Err(malformed()))?;
        Ok((value, confirmed(replies)))
    }

    fn write(&self) -> Cmd {
        let mut write = cmd("SET");
        write.arg(&self.key).arg(1);
        write
    }

    fn append(&self, pipeline: &mut Pipeline, peer: &Peer) {
        // Both waits together may take the time that a batch has for it.
        let waits = if peer.can_waitaof { 2 } else { 1 };
        // Zero would wait for ever.
        let wait_ms = (self.wait / waits).as_millis().max(1).to_string();
        pipeline.add_command(cmd("ROLE"));
        pipeline.add_command(self.write());
        let mut received = cmd("WAIT");
        received.arg(self.replicas).arg(&wait_ms);
        pipeline.add_command(received);
        if peer.can_waitaof {
            let mut synced = cmd("WAITAOF");
            synced.arg(1).arg(self.replicas).arg(&wait_ms);
            pipeline.add_command(synced);
        }
    }
}

/// Reads the replies to [`Fence::append`]. Without the write the waits were for something older.
fn confirmed(mut replies: impl Iterator<Item = RedisResult<Value>>) -> RedisResult<Confirmed> {
    let mut next = || replies.next().unwrap_or_else(|| Err(malformed()));
    let (role, _set, waited) = (next()?, next()?, next()?);
    let received = if counts_offsets(&role) { redis::from_redis_value(waited)? } else { 0 };
    let synced = match replies.next() {
        None => None,
        Some(reply) => {
            let (here, synced): (u32, u32) = redis::from_redis_value(reply?)?;
            // What is not on the primary's own disk is confirmed by nobody.
            Some(if here == 0 { 0 } else { synced })
        }
    };
    Ok(Confirmed { received, synced })
}

/// Whether `ROLE` tells of a primary with an offset: `["master", offset, replicas]`.
fn counts_offsets(role: &Value) -> bool {
    matches!(role, Value::Array(parts) if matches!(parts.get(1), Some(Value::Int(1..))))
}

fn malformed() -> RedisError {
    RedisError::from((ErrorKind::UnexpectedReturnType, "fewer replies than commands"))
}
