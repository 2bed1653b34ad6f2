//! `claimrush drain`: the drain as a process of its own, beside services that run with `--no-drain`.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Drain;
use crate::clock::Clock;
use crate::config::{Config, LedgerConfig, ServiceUrl};
use crate::datadir::{DataDir, DataDirError};
use crate::domain::cause::Cause;
use crate::exit::{Exit, Failure};
use crate::ledger::open;
use crate::redis::pool;
use crate::redis::server::RedisServer;
use crate::signals::Signals;
use crate::telemetry::logging;
use crate::telemetry::metrics::Metrics;

/// Drains until told to stop, then until the journal is empty. Any number of drains may run at once.
///
/// # Errors
/// [`Failure`] when the folder, Redis or the ledger cannot be used.
pub async fn run(config: Config) -> Result<Exit, Failure> {
    let mut signals = Signals::install()?;
    let needed = config.redis.is_managed() || config.ledger.is_in_data_dir();
    let folder = DataDir::look_at(&config.data.dir, needed)?;
    let service = match folder.run_info() {
        Err(DataDirError::NotRunning { .. }) if !config.redis.is_managed() => None,
        found => Some(found?),
    };
    let url = match &service {
        Some(info) if config.redis.is_managed() => info.redis_url.clone(),
        _ => config.redis.url.clone(),
    };
    // What is drained: the folder's service, or a Redis of which there need not be one here.
    let place = service.as_ref().map_or_else(|| url.to_string(), |_| folder.path().display().to_string());
    let ledger = match service {
        Some(info) => ledger_of(&folder, config.ledger.clone(), info.ledger_url)?,
        None => config.ledger.clone(),
    };
    drop(RedisServer::check(&url, &config).await?);
    let ledger = open::open(&ledger, folder.path()).await?;
    let metrics =
        Metrics::new(Cause::CODES, 1).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let pool = pool::connect(&url, &config.redis)?;
    let drain = Drain::new(&config, pool, ledger, Arc::new(metrics), Clock::System);
    let stop = CancellationToken::new();
    let draining = tokio::spawn(drain.run(stop.clone()));
    let version = env!("CARGO_PKG_VERSION");
    logging::tell(&format!("claimrush {version} drains {place} into the ledger"));
    signals.first().await;
    stop.cancel();
    tokio::select! {
        _ = draining => Ok(Exit::Ok),
        () = signals.again() => Err(Failure::new(Exit::Failed, "stopped at once by a second signal")),
    }
}

/// The ledger of the service that runs on the folder, whose claims the journal has: in another one they would be lost.
fn ledger_of(folder: &DataDir, own: LedgerConfig, of_service: ServiceUrl) -> Result<LedgerConfig, Failure> {
    if own.url.is_empty() {
        return Ok(LedgerConfig { url: of_service, ..own });
    }
    let theirs = LedgerConfig { url: of_service, ..own.clone() };
    // Several roles, and several ways, lead to one PostgreSQL database.
    let same = match (own.is_postgres(), theirs.is_postgres()) {
        (false, false) => own.sqlite_path(folder.path()) == theirs.sqlite_path(folder.path()),
        (own, theirs) => own && theirs,
    };
    if same {
        return Ok(own);
    }
    let default = theirs.sqlite_path(folder.path()).display().to_string();
    let place = if theirs.url.is_empty() { default } else { theirs.url.redacted() };
    let line = format!(
        "ledger.url = \"{}\": the service on {} keeps its claims in {place}",
        own.url,
        folder.path().display()
    );
    Err(Failure::new(Exit::Config, line).about("config"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_writes_to_the_ledger_of_the_service_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = DataDir::open(folder.path()).unwrap();
        let found = |own: &str, theirs: &str| {
            let own = LedgerConfig { url: ServiceUrl::new(own), ..LedgerConfig::default() };
            ledger_of(&folder, own, ServiceUrl::new(theirs)).map(|ledger| ledger.url.expose().to_owned())
        };
        let local = format!("sqlite:{}", folder.path().join("ledger.db").display());
        let (ann, bob) = ("postgres://ann:1@a/claims", "postgres://bob:2@a,b/claims");
        for (own, theirs, used) in [
            ("", "", ""),
            ("", "sqlite:/x.db", "sqlite:/x.db"),
            ("", ann, ann),
            (&local, "", &local),
            ("sqlite:/x.db", "sqlite:/x.db", "sqlite:/x.db"),
            (bob, ann, bob),
        ] {
            assert_eq!(found(own, theirs), Ok(used.to_owned()), "{own} {theirs}");
        }
        for (own, theirs) in
            [("sqlite:/x.db", ""), ("sqlite:/x.db", "sqlite:/y.db"), (ann, ""), (&local, ann)]
        {
            let refused = found(own, theirs).unwrap_err();
            assert_eq!(refused.exit, Exit::Config, "{own} {theirs}");
            assert!(
                refused.line.starts_with("config: ledger.url = ") && !refused.line.contains(":1@"),
                "{refused}"
            );
        }
    }
}
