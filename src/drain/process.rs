//! `claimrush drain`: the drain as a process of its own, beside services that run with `--no-drain`.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Drain;
use crate::cli::{Exit, Failure};
use crate::clock::Clock;
use crate::config::Config;
use crate::datadir::DataDir;
use crate::domain::cause::Cause;
use crate::ledger::open;
use crate::redis::pool;
use crate::redis::server::RedisServer;
use crate::signals::Signals;
use crate::telemetry::metrics::Metrics;

/// Drains until told to stop, then until the journal is empty. Any number of drains may run at once.
///
/// # Errors
/// [`Failure`] when the folder, Redis or the ledger cannot be used.
pub async fn run(config: Config) -> Result<Exit, Failure> {
    let mut signals = Signals::install()?;
    let folder = DataDir::open(&config.data.dir)?;
    let url = if config.redis.is_managed() { folder.run_info()?.redis_url } else { config.redis.url.clone() };
    drop(RedisServer::check(&url, &config).await?);
    let ledger = open::open(&config.ledger, folder.path()).await?;
    let metrics =
        Metrics::new(Cause::CODES, 1).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let pool = pool::connect(&url, &config.redis)?;
    let drain = Drain::new(&config, pool, ledger, Arc::new(metrics), Clock::System);
    let stop = CancellationToken::new();
    let draining = tokio::spawn(drain.run(stop.clone()));
    eprintln!("claimrush {} drains {} into the ledger", env!("CARGO_PKG_VERSION"), folder.path().display());
    signals.first().await;
    stop.cancel();
    tokio::select! {
        _ = draining => Ok(Exit::Ok),
        () = signals.again() => Err(Failure::new(Exit::Failed, "stopped at once by a second signal")),
    }
}
