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
        return Ok(Arc::new(PostgresLedger::open(config.url.expose(), config.ca_file()).await?));
    }
    Ok(Arc::new(SqliteLedger::open(&config.sqlite_path(data_dir))?))
}

/// Opens the ledger for reading alone; it must be there.
///
/// # Errors
/// As [`SqliteLedger::open_read_only`] and [`PostgresLedger::open_read_only`].
pub async fn open_read_only(config: &LedgerConfig, data_dir: &Path) -> Result<Arc<dyn Ledger>, LedgerError> {
    if config.is_postgres() {
        return Ok(Arc::new(PostgresLedger::open_read_only(config.url.expose(), config.ca_file()).await?));
    }
    Ok(Arc::new(SqliteLedger::open_read_only(&config.sqlite_path(data_dir))?))
}
