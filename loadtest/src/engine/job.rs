//! What one process is to do: its share of a scenario, with everything that it needs from files already read.
//!
//! A job travels as JSON to workers on other machines, which have none of those files.

use std::fmt;

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    engine::key_file::SigningKey,
    scenario::{self, Arrivals, Scenario, Tickets},
    tickets,
};

/// The most thread slots of one run, over all its processes.
pub const SLOTS_MAX: usize = 4_096;

/// One process' share of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// What is rehearsed.
    pub scenario: Scenario,
    /// What tickets are made of.
    pub supply: Supply,
    /// The due moments of profile `trace`, in nanoseconds from the start of the run, ascending.
    pub trace: Option<Vec<u64>>,
    /// Which of the run's thread slots are this process'.
    pub place: Place,
    /// How many threads run here: slots `place.first` to `place.first + threads - 1`.
    pub threads: usize,
}

/// A process' thread slots within a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Its first slot, from 0.
    pub first: usize,
    /// The slots of the whole run.
    pub of: usize,
}

impl Job {
    /// Whether it can be run. A job may come from another machine: nothing in it was checked here.
    ///
    /// # Errors
    /// The scenario breaks a limit, or the slots do not fit together.
    pub(crate) fn check(&self) -> Result<()> {
        scenario::check(&self.scenario)?;
        let Place { first, of } = self.place;
        ensure!(self.threads > 0, "a job needs at least one thread");
        ensure!(of <= SLOTS_MAX, "a run has at most {SLOTS_MAX} threads over all its processes, not {of}");
        ensure!(
            first.checked_add(self.threads).is_some_and(|end| end <= of),
            "threads {first} to {} do not lie within a run of {of}",
            first.saturating_add(self.threads).saturating_sub(1)
        );
        ensure!(
            self.trace.is_some() == matches!(self.scenario.arrivals, Arrivals::Trace { .. }),
            "a job has a trace if, and only if, its profile is `trace`"
        );
        Ok(())
    }
}

/// What tickets are made of.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Supply {
    /// A key that the service trusts: tickets are signed when they are needed.
    Key {
        /// The key's name in a ticket's header.
        kid: String,
        /// The secret, as base64url without padding.
        secret: String,
        /// What stands before a person's number.
        prefix: String,
        /// How many persons there are; none for a new one each arrival.
        persons: Option<u64>,
    },
    /// Tickets that exist already.
    Lines {
        /// One a line, in order.
        text: String,
        /// Lines of the file that stand before them: person `skip + 1` has the first.
        skip: u64,
        /// The most tickets that are used, repeated ones included.
        uses: Option<u64>,
        /// Start again with the first after the last.
        repeat: bool,
    },
    /// Tickets that were given to persons before the run.
    Given {
        /// One a line, person 1 first; an empty line for who got none.
        text: String,
        /// By arrival, the person as whom it comes.
        comes_as: Vec<u64>,
    },
}

impl Supply {
    /// Reads what the scenario's tickets are made of.
    ///
    /// # Errors
    /// The key file or ticket file cannot be read, or has something wrong in it that the error names.
    pub fn read(from: &Tickets) -> Result<Self> {
        match from {
            Tickets::File { path, skip, uses, repeat } => {
                let text = tickets::read_lines(path, *skip, *uses)?;
                Ok(Self::Lines { text, skip: *skip, uses: *uses, repeat: *repeat })
            }
            Tickets::Mint { key_file, persons, prefix } => {
                let SigningKey { kid, secret } = SigningKey::load(key_file)?;
                Ok(Self::Key { kid, secret, prefix: prefix.clone(), persons: *persons })
            }
            Tickets::Desk { .. } => bail!("tickets of the desk are fetched, not read: `run` does that"),
        }
    }
}

/// Hides secrets and tickets.
impl fmt::Debug for Supply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { kid, prefix, persons, .. } => f
                .debug_struct("Key")
                .field("kid", kid)
                .field("prefix", prefix)
                .field("persons", persons)
                .finish_non_exhaustive(),
            Self::Lines { text, skip, uses, repeat } => f
                .debug_struct("Lines")
                .field("bytes", &text.len())
                .field("skip", skip)
                .field("uses", uses)
                .field("repeat", repeat)
                .finish_non_exhaustive(),
            Self::Given { comes_as, .. } => {
                f.debug_struct("Given").field("arrivals", &comes_as.len()).finish_non_exhaustive()
            }
        }
    }
}
