//! `claimrush check-config`: the configuration with every file that it names, read as the service would read it. Makes nothing.

use std::io::ErrorKind;
use std::path::Path;

use super::desk;
use super::holds;
use super::staff;
use super::tables::TableWatch;
use crate::config::Config;
use crate::exit::{Exit, Failure, print};
use crate::guard::blocked::Blocked;
use crate::guard::ticket::{KeyFile, KeyFileCause, KeyFileError};
use crate::ledger::LedgerError;
use crate::ledger::postgres::PostgresLedger;

/// Checks the files and prints the configuration as it holds.
///
/// # Errors
/// [`Failure`] with [`Exit::Config`] and the line that names key, file and cause.
pub async fn check_config(config: Config) -> Result<Exit, Failure> {
    key_file(&config)?;
    TableWatch::read(&config.guard).await?;
    certificates(&config)?;
    holds::secrets(&config.holds.payment_secret_file)?;
    desk::lists(&config.desk, &Blocked::default())?;
    desk::check_files(&config.desk).await?;
    staff::webhook(&config.audit)?;
    print(&config.to_toml())?;
    Ok(Exit::Ok)
}

/// A key file that is not there yet is made by the service, where there is a folder for it.
fn key_file(config: &Config) -> Result<(), Failure> {
    let path = config.ticket.key_path(&config.data.dir);
    match KeyFile::load(&path) {
        Err(KeyFileError { cause: KeyFileCause::Read(error), .. }) if error.kind() == ErrorKind::NotFound => {
            let own = config.ticket.key_file.parent().filter(|folder| *folder != Path::new(""));
            match own.map_or(Ok(()), |folder| folder.metadata().map(drop)) {
                Ok(()) => Ok(()),
                Err(error) => Err(KeyFileError { path, cause: KeyFileCause::Make(error) }.into()),
            }
        }
        loaded => Ok(loaded.map(drop)?),
    }
}

fn certificates(config: &Config) -> Result<(), Failure> {
    let ledger = &config.ledger;
    if !ledger.is_postgres() {
        return Ok(());
    }
    PostgresLedger::check(ledger.url.expose(), ledger.ca_file()).map_err(|error| {
        let what = match error {
            LedgerError::Unavailable(what) => what,
            other => other.to_string(),
        };
        Failure::new(Exit::Config, what).about("config")
    })
}
