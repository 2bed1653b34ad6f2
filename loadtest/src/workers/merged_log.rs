//! The one claims log of a run with several workers.
//!
//! Owns the file. Each worker's lines are appended as they come and are on disk (fsync) before more are asked for,
//! so that a worker that dies takes at most its last second of claims along. Lines of the workers take turns: what
//! is unknown does not stand at the end of the file, but at the end of its worker's lines.

use std::{
    io::Write,
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};

use crate::claims_log::{Synced, Unwritten};

/// The log, shared by those who follow the workers.
#[derive(Debug)]
pub(super) struct MergedLog {
    file: Mutex<Synced>,
    named: String,
}

impl MergedLog {
    /// Creates the file, replacing an older one.
    ///
    /// # Errors
    /// It cannot be created.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let named = format!("claims log {}", path.display());
        let file = Synced::create(path).with_context(|| named.clone())?;
        Ok(Self { file: Mutex::new(file), named })
    }

    /// Appends whole lines and waits until they are on disk.
    ///
    /// # Errors
    /// They are not whole; or [`Unwritten`].
    pub(super) fn append(&self, lines: &[u8]) -> Result<()> {
        ensure!(lines.ends_with(b"\n"), "a worker sent half a line of claims");
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = file.write_all(lines).and_then(|()| file.sync());
        written.with_context(|| Unwritten { named: self.named.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_are_taken() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let log = MergedLog::create(file.path()).unwrap();
        log.append(b"{\"a\":1}\n").unwrap();
        assert!(log.append(b"{\"a\"").is_err());
        log.append(b"{\"b\":2}\n").unwrap();
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "{\"a\":1}\n{\"b\":2}\n");
    }
}
