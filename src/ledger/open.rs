//! Which store a configuration means, and opening it.

use std::path::Path;
use std::sync::Arc;

use super::postgres::PostgresLedger;
use super::sqlite::SqliteLedger;
use super::{Ledger, LedgerError};
use crate::config::LedgerConfig;

/// Opens the ledger for reading and writing, and makes what is missing of it.
///
/// # Errors
/// As [`SqliteLedger::open`] and [`PostgresLedger::open`].
pub async fn open(config: &LedgerConfig, data_dir: &Path) -> Result<Arc<dyn Ledger>, LedgerError> {
    if config.is_postgres() {
        let opened = PostgresLedger::open(config.url.expose(), config.ca_file()).await;
        return Ok(Arc::new(opened.map_err(|error| named(error, &config.url.redacted()))?));
    }
    let path = config.sqlite_path(data_dir);
    Ok(Arc::new(SqliteLedger::open(&path).map_err(|error| named(error, &path.display().to_string()))?))
}

/// Opens the ledger for reading alone; it must be there.
///
/// # Errors
/// As [`SqliteLedger::open_read_only`] and [`PostgresLedger::open_read_only`].
pub async fn open_read_only(config: &LedgerConfig, data_dir: &Path) -> Result<Arc<dyn Ledger>, LedgerError> {
    if config.is_postgres() {
        let opened = PostgresLedger::open_read_only(config.url.expose(), config.ca_file()).await;
        return Ok(Arc::new(opened.map_err(|error| named(error, &config.url.redacted()))?));
    }
    let path = config.sqlite_path(data_dir);
    let opened = SqliteLedger::open_read_only(&path);
    Ok(Arc::new(opened.map_err(|error| named(error, &path.display().to_string()))?))
}

/// Says which store it was that could not be opened.
fn named(error: LedgerError, place: &str) -> LedgerError {
    let named = |what: String| if what.contains(place) { what } else { format!("{place}: {what}") };
    match error {
        LedgerError::Unavailable(what) => LedgerError::Unavailable(named(what)),
        LedgerError::Corrupt(what) => LedgerError::Corrupt(named(what)),
        other => other,
    }
}
