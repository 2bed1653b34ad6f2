//! The Redis of a service: the managed one, or an external one that was checked.
//!
//! Owns which of the two it is; nobody else asks.

use std::time::Duration;

use super::fence::Fence;
use super::managed::{ManagedRedis, RedisState};
use super::{pool, server_check};
use crate::config::{Config, ServiceUrl};
use crate::datadir::DataLock;
use crate::domain::ids::Shard;
use crate::exit::{Exit, Failure};
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;

/// A Redis that is up and fit for the acknowledgement mode.
#[derive(Debug)]
pub enum RedisServer {
    /// Ours to start and stop.
    Managed(ManagedRedis),
    /// Somebody else's.
    External(ServiceUrl),
}

impl RedisServer {
    /// Starts the managed Redis, or checks the external one for its durability settings and, where claims are
    /// acknowledged by replicas, for its replicas.
    ///
    /// # Errors
    /// [`Failure`] with what is missing or the setting to change.
    pub async fn start(lock: &DataLock, config: &Config) -> Result<Self, Failure> {
        if config.redis.is_managed() {
            return Ok(Self::Managed(ManagedRedis::start(lock, &config.redis).await?));
        }
        let url = config.redis.url.clone();
        let mut connection = Self::check(&url, config).await?;
        if let Some(fence) = Fence::of(config, Shard::FIRST) {
            fence.probe(&mut connection).await?;
        }
        Ok(Self::External(url))
    }

    /// Checks an external Redis' settings, over the connection that it gives.
    ///
    /// # Errors
    /// [`Failure`] with the setting to change.
    pub async fn check(url: &ServiceUrl, config: &Config) -> Result<MultiplexedConnection, Failure> {
        let mut connection =
            pool::connect_once(url, config.redis.response_timeout()).await.map_err(|error| {
                Failure::new(Exit::Unavailable, format!("redis: {}: {error}", url.redacted()))
            })?;
        server_check::check(&mut connection, config.claim.ack).await?;
        Ok(connection)
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &ServiceUrl {
        match self {
            Self::Managed(managed) => managed.url(),
            Self::External(url) => url,
        }
    }

    /// The managed one's process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Managed(managed) => managed.pid(),
            Self::External(_) => None,
        }
    }

    /// Tells when the managed one was started again.
    #[must_use]
    pub fn watch(&self) -> RedisWatch {
        match self {
            Self::Managed(managed) => RedisWatch { state: Some(managed.state()), pid: managed.pid() },
            Self::External(_) => RedisWatch { state: None, pid: None },
        }
    }

    /// Stops the managed one; leaves an external one alone.
    pub async fn stop(self, deadline: Duration) {
        if let Self::Managed(managed) = self {
            managed.stop(deadline).await;
        }
    }
}

/// Watches the managed Redis' process.
#[derive(Debug)]
pub struct RedisWatch {
    state: Option<watch::Receiver<RedisState>>,
    /// The process that was known last.
    pid: Option<u32>,
}

impl RedisWatch {
    /// Waits until it was started again; its new process. Never returns for an external one.
    pub async fn restarted(&mut self) -> u32 {
        let Some(state) = &mut self.state else { return std::future::pending().await };
        loop {
            if let RedisState::Ready { pid, .. } = &*state.borrow_and_update()
                && Some(*pid) != self.pid
            {
                self.pid = Some(*pid);
                return *pid;
            }
            if state.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}
