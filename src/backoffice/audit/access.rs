//! How the audit comes to a ledger and a Redis, whether a service runs or not.
//!
//! Owns nothing but what it starts: a managed Redis of a stopped service is started for the audit and stopped
//! after it; one that outlived its service is looked at and left as it was found.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;

use super::AuditError;
use crate::clock::Clock;
use crate::config::{Config, LedgerConfig, ServiceUrl};
use crate::datadir::{DataDir, DataDirError, DataLock};
use crate::exit::{Exit, Failure};
use crate::ledger::{Ledger, open};
use crate::redis::managed::ManagedRedis;
use crate::redis::pool;

/// A ledger and a Redis to look at.
pub(super) struct Access {
    /// Opened for reading alone.
    pub(super) ledger: Arc<dyn Ledger>,
    /// A connection of our own.
    pub(super) redis: MultiplexedConnection,
    /// Whether claims may be granted and drained meanwhile.
    pub(super) live: bool,
    /// What is held while nobody serves, so that nobody begins to: the lock, and the managed Redis.
    held: Option<(DataLock, ManagedRedis)>,
}

impl Access {
    /// Finds both by the configuration and the data folder.
    pub(super) async fn open(config: &Config) -> Result<Self, Failure> {
        let needed = config.redis.is_managed() || config.ledger.is_in_data_dir();
        let folder = DataDir::look_at(&config.data.dir, needed)?;
        let (lock, url, ledger) = match running(&folder, config)? {
            Running::Yes { redis, ledger } => (None, Some(redis), ledger),
            Running::No(lock) => (lock, None, config.ledger.clone()),
        };
        // Before Redis: a folder without a ledger is no reason to start one.
        let ledger = open::open_read_only(&ledger, folder.path()).await?;
        let (held, url) = match (lock, url) {
            (Some(lock), _) => {
                let managed = ManagedRedis::start(&lock, &config.redis).await?;
                let url = managed.url().clone();
                (Some((lock, managed)), url)
            }
            (None, url) => (None, url.unwrap_or_else(|| config.redis.url.clone())),
        };
        match pool::connect_once(&url, config.redis.response_timeout()).await {
            Ok(redis) => Ok(Self { ledger, redis, live: held.is_none(), held }),
            Err(error) => {
                stop(held, config).await;
                Err(AuditError::from(error).into())
            }
        }
    }

    /// Leaves things as they were found.
    pub(super) async fn close(self, config: &Config) {
        drop(self.redis);
        stop(self.held, config).await;
    }
}

async fn stop(held: Option<(DataLock, ManagedRedis)>, config: &Config) {
    // One that was adopted is left running for the next start of its service: dropped, it is left alone.
    if let Some((_lock, managed)) = held.filter(|(_, managed)| !managed.was_adopted()) {
        managed.stop(config.server.shutdown_deadline()).await;
    }
}

/// Whether a service runs on the folder.
enum Running {
    /// It does, and works on these.
    Yes { redis: ServiceUrl, ledger: LedgerConfig },
    /// It does not; with the folder's lock where a Redis has to be started in it.
    No(Option<DataLock>),
}

fn running(folder: &DataDir, config: &Config) -> Result<Running, Failure> {
    let found = |info: crate::datadir::RunInfo| {
        let ledger = LedgerConfig { url: info.ledger_url, ..config.ledger.clone() };
        Running::Yes { redis: info.redis_url, ledger }
    };
    if !config.redis.is_managed() {
        return match folder.run_info() {
            Ok(info) => Ok(found(info)),
            Err(DataDirError::NotRunning { .. }) => Ok(Running::No(None)),
            Err(error) => Err(error.into()),
        };
    }
    // The lock tells for sure: the number of a service that was killed may be another process by now.
    match folder.lock(&Clock::System) {
        Ok(lock) => Ok(Running::No(Some(lock))),
        Err(locked @ DataDirError::Locked { .. }) => match folder.run_info() {
            Ok(info) => Ok(found(info)),
            // It is starting or stopping, or is another audit.
            Err(DataDirError::NotRunning { .. }) => Err(Failure::new(Exit::Unavailable, locked.to_string())),
            Err(error) => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}
