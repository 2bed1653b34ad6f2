//! Runs one process' share of a scenario and counts what came of it.
//!
//! [`prepare`] starts the threads and opens the connections; [`Prepared::start`] lets them go at a common instant;
//! [`Running::join`] gives the [`Tally`]. Arrival n of the run is due when the schedule says, whatever the service
//! does; thread slot s of S takes the arrivals with n mod S = s. Its persona, drop and person follow from the seed
//! and n alone, so that a run is the same for any number of threads and processes.
//!
//! - [`job`], [`key_file`]: what is to be done
//!
//! Knows nothing of screens, files of results or verdicts.

pub mod job;
mod key_file;

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub use job::{Job, Place, Supply};

use crate::{
    claims_log::ClaimsLog,
    tally::{Counts, Tally, Times},
};

/// A process' share, connected and waiting for its start.
pub struct Prepared {
    open_connections: u64,
}

/// A process' share under way.
pub struct Running {}

/// What a run shows while it lasts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeterReading {
    /// Arrivals that were due so far.
    pub scheduled: u64,
    /// Requests sent so far.
    pub sent: u64,
    /// Answers so far.
    pub answers: u64,
    /// New claims (201) so far.
    pub granted: u64,
    /// Replies lost so far.
    pub lost: u64,
    /// Arrivals so far that the generator let go late; at most 250 ms old.
    pub late_generator: u64,
    /// Arrivals so far that never left; at most 250 ms old.
    pub dropped: u64,
    /// Answers so far by kind; at most 250 ms old.
    pub counts: Counts,
    /// Answers of about the last second, from the intended start.
    pub recent: Times,
}

impl MeterReading {
    /// Adds another process' reading.
    ///
    /// # Errors
    /// The other tells times apart by more digits.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.scheduled += other.scheduled;
        self.sent += other.sent;
        self.answers += other.answers;
        self.granted += other.granted;
        self.lost += other.lost;
        self.late_generator += other.late_generator;
        self.dropped += other.dropped;
        for (kind, answers) in other.counts.iter() {
            self.counts.add(kind.status, &kind.code, answers);
        }
        self.recent.merge(&other.recent)
    }
}

/// Starts the threads of a job and opens their connections. Claims that clients see go to `log`.
///
/// # Errors
/// The job contradicts itself, its service has no address, or the system has too few descriptors or ports for it.
pub fn prepare(job: Job, log: Option<ClaimsLog>) -> Result<Prepared> {
    job.check()?;
    drop(log);
    Ok(Prepared { open_connections: 0 })
}

impl Prepared {
    /// Connections that stand. None means that nothing accepts connections there.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        self.open_connections
    }

    /// Lets the threads go at this instant.
    #[must_use]
    pub fn start(self, at: Instant) -> Running {
        let _ = at;
        Running {}
    }
}

impl Running {
    /// What has happened so far. Cheap enough to be asked for several times a second.
    #[must_use]
    pub fn meter(&self) -> MeterReading {
        todo!()
    }

    /// From the start to the last moment at which an arrival can be due.
    #[must_use]
    pub fn planned(&self) -> Duration {
        todo!()
    }

    /// Whether all threads have ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        todo!()
    }

    /// Lets no new arrival go; answers under way are waited for.
    pub fn stop(&self) {}

    /// Waits for the threads, adds up what they counted, and closes the claims log.
    ///
    /// # Errors
    /// A thread broke, or the claims log could not be written.
    pub fn join(self) -> Result<Tally> {
        todo!()
    }
}
