//! The address tables, read at the start and again when their files change, without a stop.
//!
//! Owns the files. A wrong one is told of in the log, and the table before holds on; at the start it is a wrong config.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::GuardConfig;
use crate::exit::{Exit, Failure};
use crate::guard::tables::{AddressTables, AsnTable, RegionTable, TableFlaw};
use crate::infile::{self, Version};
use crate::limits;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Reads the bytes of one kind of table, puts it in its place, and tells how many networks it knows.
type TakeOver = fn(&AddressTables, Vec<u8>) -> Result<usize, TableFlaw>;

/// One file.
#[derive(Debug, Clone)]
struct TableFile {
    /// The config key that names it.
    key: &'static str,
    path: PathBuf,
    take_over: TakeOver,
    /// What it was when it was read last.
    seen: Option<Version>,
    /// Why it could not be read at the last look.
    unread: Option<String>,
}

/// Why a file gives no table.
#[derive(Debug, thiserror::Error)]
enum TableError {
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error("{0}")]
    Flaw(#[from] TableFlaw),
}

/// The tables that the config names.
#[derive(Debug)]
pub(super) struct TableWatch {
    tables: AddressTables,
    files: Vec<TableFile>,
}

impl TableWatch {
    /// Reads the tables.
    ///
    /// # Errors
    /// A [`Failure`] that names the key and the cause.
    pub(super) async fn read(config: &GuardConfig) -> Result<Self, Failure> {
        let kinds: [(&'static str, &Path, TakeOver); 2] = [
            ("guard.region_table", &config.region_table, take_regions),
            ("guard.asn_table", &config.asn_table, take_asns),
        ];
        let mut watch = Self { tables: AddressTables::default(), files: Vec::new() };
        for (key, path, take_over) in kinds {
            if path.as_os_str().is_empty() {
                continue;
            }
            let mut file = TableFile { key, path: path.to_owned(), take_over, seen: None, unread: None };
            match file.read(&watch.tables).await {
                Ok(()) => watch.files.push(file),
                Err(error) => {
                    let cause = Failure::new(Exit::Config, error.to_string()).about(path.display());
                    return Err(cause.about(key).about("config"));
                }
            }
        }
        Ok(watch)
    }

    /// What holds now, to be looked at by others.
    pub(super) fn handle(&self) -> AddressTables {
        self.tables.clone()
    }

    /// Takes over what changes, until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        if self.files.is_empty() {
            return;
        }
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            for file in &mut self.files {
                if !file.has_changed().await {
                    continue;
                }
                let read = file.read(&self.tables).await;
                file.tell(read.err());
            }
        }
    }
}

impl TableFile {
    /// Whether there is a version of the file that was not looked at yet.
    async fn has_changed(&self) -> bool {
        let found = tokio::fs::metadata(&self.path).await.map(|meta| Version::of(&meta)).ok();
        found.is_some() && found != self.seen
    }

    /// Says what is wrong with the file; once, where it could not be read and is tried again.
    fn tell(&mut self, error: Option<TableError>) {
        let (key, file) = (self.key, self.path.display());
        let unread = match error {
            None => None,
            Some(TableError::File(error)) if error.kind() != ErrorKind::FileTooLarge => {
                // It may be over at the next look, without any change of the file.
                self.seen = None;
                let error = error.to_string();
                if self.unread.as_ref() != Some(&error) {
                    tracing::error!(key, %file, error, "an address table cannot be read and is tried again; the one before holds on");
                }
                Some(error)
            }
            Some(error) => {
                tracing::error!(key, %file, %error, "an address table is wrong; the one before holds on");
                None
            }
        };
        self.unread = unread;
    }

    /// Reads the file and puts its table in place.
    async fn read(&mut self, tables: &AddressTables) -> Result<(), TableError> {
        let (path, tables, take_over) = (self.path.clone(), tables.clone(), self.take_over);
        // The version first: what changes meanwhile is read once more.
        let meta = tokio::fs::metadata(&path).await?;
        self.seen = Some(Version::of(&meta));
        let work = tokio::task::spawn_blocking(move || {
            let bytes = infile::read(&path, limits::ADDRESS_TABLE_BYTES_MAX)?;
            Ok::<_, TableError>(take_over(&tables, bytes)?)
        });
        let networks = work.await.map_err(std::io::Error::other)??;
        let (key, file) = (self.key, self.path.display());
        tracing::info!(key, file = %file, networks, "an address table was read");
        Ok(())
    }
}

fn take_regions(tables: &AddressTables, bytes: Vec<u8>) -> Result<usize, TableFlaw> {
    let table = RegionTable::read(bytes)?;
    let networks = table.networks();
    tables.replace_regions(table);
    Ok(networks)
}

fn take_asns(tables: &AddressTables, bytes: Vec<u8>) -> Result<usize, TableFlaw> {
    let table = AsnTable::read(bytes)?;
    let networks = table.networks();
    tables.replace_asns(table);
    Ok(networks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_table_that_could_not_be_read_is_tried_again_and_a_wrong_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("asn.mmdb");
        // It is there, may be opened, and what is read first gives EIO.
        std::os::unix::fs::symlink("/proc/self/mem", &path).unwrap();
        let (key, tables) = ("guard.asn_table", AddressTables::default());
        let mut file = TableFile { key, path: path.clone(), take_over: take_asns, seen: None, unread: None };
        for _ in 0..2 {
            assert!(file.has_changed().await);
            let error = file.read(&tables).await.unwrap_err();
            assert!(matches!(error, TableError::File(_)), "{error}");
            file.tell(Some(error));
            assert!(file.unread.is_some());
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "no table").unwrap();
        let error = file.read(&tables).await.unwrap_err();
        file.tell(Some(error));
        assert!(!file.has_changed().await && file.unread.is_none(), "what is wrong stays wrong");
    }
}
