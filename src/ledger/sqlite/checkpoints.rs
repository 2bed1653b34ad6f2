//! A thread that copies the write-ahead log back into the file, so that the writer need not stop for it.
//!
//! Copies what there is every [`limits::LEDGER_CHECKPOINT_INTERVAL`] and waits for nobody (`PASSIVE`). The log begins
//! anew only when the writer itself finds all of it copied; the writer's own limit sees to that, and has little left to
//! copy then. Several of these, of several processes, are in nobody's way: one copies, the others find it busy.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::ledger::LedgerError;
use crate::limits;

/// The handle of such a thread. Dropping it ends the thread and waits for that.
pub(super) struct Checkpoints {
    /// Nothing is ever sent: that it is gone says that the thread is to end.
    until: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checkpoints")
    }
}

impl Checkpoints {
    /// Starts a thread that copies by `connection`, which must be able to write and be used for nothing else.
    pub(super) fn start(connection: Connection) -> Result<Self, LedgerError> {
        let (until, end) = channel();
        let thread = std::thread::Builder::new()
            .name("ledger-checkpoints".to_owned())
            .spawn(move || run(&connection, &end))
            .map_err(|error| {
                LedgerError::Unavailable(format!("cannot start thread ledger-checkpoints: {error}"))
            })?;
        Ok(Self { until: Some(until), thread: Some(thread) })
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.until = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, end: &Receiver<()>) {
    let mut was_well = true;
    while end.recv_timeout(limits::LEDGER_CHECKPOINT_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        // Nothing is lost where it fails: the log keeps what was committed, and the writer copies it in the end.
        let copied = copy(connection);
        if let Err(error) = &copied
            && was_well
        {
            tracing::warn!(%error, "the ledger's write-ahead log could not be copied back");
        }
        was_well = copied.is_ok();
    }
}

/// Copies what can be copied without waiting; the pages of the log, and how many of them are copied.
fn copy(connection: &Connection) -> Result<(i64, i64), LedgerError> {
    let mut statement = connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?;
    Ok(statement.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))?)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::schema;
    use super::*;

    #[test]
    fn what_was_written_is_copied_back_while_the_writer_stays_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let writer = schema::open(&path).unwrap();
        let checkpoints = Checkpoints::start(schema::open_for_checkpoints(&path).unwrap()).unwrap();
        writer.execute_batch("CREATE TABLE written (x); INSERT INTO written VALUES (1)").unwrap();
        // The statement stands in the log first, and in the file itself once it is copied.
        let began = Instant::now();
        let is_copied =
            || String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains("CREATE TABLE written");
        while !is_copied() {
            assert!(began.elapsed() < Duration::from_secs(20), "nothing was copied");
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(checkpoints);
        drop(writer);
    }

    #[test]
    fn a_reader_in_the_middle_of_a_transaction_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let writer = schema::open(&path).unwrap();
        let mut reader = schema::open_read_only(&path).unwrap();
        let copying = schema::open_for_checkpoints(&path).unwrap();
        let reading = reader.transaction().unwrap();
        let rows = || reading.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get::<_, i64>(0));
        let before = rows().unwrap();
        writer.execute_batch("CREATE TABLE written (x)").unwrap();
        let (pages, copied) = copy(&copying).unwrap();
        assert!(copied < pages, "{copied} of {pages}: what the reader does not see yet must stay in the log");
        assert_eq!(rows().unwrap(), before);
        drop(reading);
        let (pages, copied) = copy(&copying).unwrap();
        assert_eq!(copied, pages);
    }
}
