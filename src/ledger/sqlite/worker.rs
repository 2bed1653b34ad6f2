//! A thread that owns a connection and does one request after the other.
//!
//! SQLite blocks; the runtime's threads must not. Requests wait in a bounded queue. A writer does what is queued
//! even when nobody waits for its answer any more; a reader does not, so that it never holds up an exit.

use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle};
use tokio::sync::{mpsc, oneshot};

use crate::ledger::LedgerError;
use crate::limits;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// How often a reader that is to end is told so.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(1);

/// The handle of such a thread. Dropping it ends the thread and waits for that: a writer after what is queued, a
/// reader in the middle of what it reads.
pub(super) struct Worker {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// A reader's; a writer is never interrupted.
    interrupt: Option<InterruptHandle>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.interrupt.is_some() { "Worker(reader)" } else { "Worker(writer)" })
    }
}

impl Worker {
    /// Starts a thread called `name` that writes by `connection`.
    pub(super) fn writer(name: &str, connection: Connection) -> Result<Self, LedgerError> {
        Self::spawn(name, connection, None)
    }

    /// Starts a thread called `name` that reads by `connection`.
    pub(super) fn reader(name: &str, connection: Connection) -> Result<Self, LedgerError> {
        let interrupt = connection.get_interrupt_handle();
        Self::spawn(name, connection, Some(interrupt))
    }

    fn spawn(
        name: &str,
        mut connection: Connection,
        interrupt: Option<InterruptHandle>,
    ) -> Result<Self, LedgerError> {
        let (jobs, mut queue) = mpsc::channel::<Job>(limits::LEDGER_QUEUE);
        let work = move || {
            while let Some(job) = queue.blocking_recv() {
                job(&mut connection);
            }
        };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(work)
            .map_err(|error| LedgerError::Unavailable(format!("cannot start thread {name}: {error}")))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), interrupt })
    }

    /// Has `work` done on the thread.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let ended = || LedgerError::Unavailable("the ledger's thread has ended".to_owned());
        let (answer, answered) = oneshot::channel();
        let reads = self.interrupt.is_some();
        let job: Job = Box::new(move |connection| {
            if reads && answer.is_closed() {
                return;
            }
            // Who asked may have gone; what was asked is done all the same.
            let _ = answer.send(work(connection));
        });
        self.jobs.as_ref().ok_or_else(ended)?.send(job).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Without a sender the queue ends; without the thread's end the file would still be open.
        self.jobs = None;
        let Some(thread) = self.thread.take() else { return };
        if let Some(interrupt) = &self.interrupt {
            // A statement that begins after an interrupt does not see it, so one is not enough.
            while !thread.is_finished() {
                interrupt.interrupt();
                std::thread::sleep(INTERRUPT_INTERVAL);
            }
        }
        let _ = thread.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDLESS: &str =
        "WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";

    #[tokio::test]
    async fn a_reader_ends_in_the_middle_of_what_it_reads() {
        let reader = Worker::reader("reader", Connection::open_in_memory().unwrap()).unwrap();
        let (began, beginning) = oneshot::channel();
        let endless = reader.run(move |connection| {
            began.send(()).unwrap();
            Ok(connection.query_row(ENDLESS, [], |row| row.get::<_, i64>(0))?)
        });
        tokio::select! {
            _ = endless => panic!("it has no end"),
            begun = beginning => begun.unwrap(),
        }
        drop(reader);
    }

    #[tokio::test]
    async fn a_writer_does_what_is_queued_though_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let writer = Worker::writer("writer", Connection::open(&path).unwrap()).unwrap();
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let (began, beginning) = oneshot::channel();
        let first = writer.run(move |connection| {
            began.send(()).unwrap();
            gate.recv().unwrap();
            Ok(connection.execute_batch("CREATE TABLE written (x)")?)
        });
        tokio::select! {
            _ = first => panic!("the gate is shut"),
            begun = beginning => begun.unwrap(),
        }
        go.send(()).unwrap();
        drop(writer);
        let found =
            Connection::open(&path).unwrap().query_row("SELECT count(*) FROM written", [], |row| row.get(0));
        assert_eq!(found, Ok(0));
    }
}
