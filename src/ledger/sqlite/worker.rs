//! A thread that owns a connection and does one request after the other.
//!
//! SQLite blocks; the runtime's threads must not. Requests wait in a bounded queue, and one that is queued is
//! done even when nobody waits for its answer any more.

use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::ledger::LedgerError;
use crate::limits;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The handle of such a thread. Dropping it ends the thread after what is queued, and waits for that.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a thread called `name` that owns `connection`.
    pub(super) fn spawn(name: &str, mut connection: Connection) -> Result<Self, LedgerError> {
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
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Has `work` done on the thread.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let ended = || LedgerError::Unavailable("the ledger's thread has ended".to_owned());
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
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
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
