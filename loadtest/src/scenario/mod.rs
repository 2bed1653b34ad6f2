//! A scenario: who comes, when, how they behave, and what must hold afterwards.
//!
//! Owns the words of a scenario file and nothing that runs. A file is TOML; its JSON schema is published under
//! `loadtest/schema/` and made from these types.
//!
//! - [`file`](mod@file): reads a file, with changes from the command line, and says what is wrong with it
//! - `arrivals`, `connections`, `people`, `persona`, `service`: the tables of a file, used by their names here
//! - [`schema`]: the same words for editors and other programs

mod arrivals;
mod check;
mod connections;
pub mod file;
mod people;
mod persona;
pub mod schema;
mod service;

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    arrivals::{Arrivals, Spacing},
    check::{
        CONNECTIONS_MAX, LENGTH_MAX, PEOPLE_MAX, RATE_MAX, Refusal, STEPS_MAX, TEXT_BYTES_MAX, TRIES_MAX,
        check,
    },
    connections::{Connections, Reuse, SlowNetwork},
    file::load,
    people::{AddressBlock, Identity},
    persona::{Behaviour, Persona, TicketMix},
    service::{Method, Service},
};

/// One rehearsal of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// A short name for files and titles.
    pub name: String,
    /// What it rehearses, in a sentence.
    #[serde(default)]
    pub about: String,
    /// Chooses every random number: the same seed sends the same people at the same moments.
    #[serde(default = "one")]
    pub seed: u64,
    /// Where claims go.
    #[serde(default)]
    pub service: Service,
    /// What is claimed; each arrival picks one by weight.
    #[serde(rename = "drop")]
    pub drops: Vec<DropShare>,
    /// When people come.
    pub arrivals: Arrivals,
    /// What carries them.
    #[serde(default)]
    pub connections: Connections,
    /// Where their tickets come from.
    pub tickets: Tickets,
    /// Who they are; each arrival is one of them by weight. All are honest when none is named.
    #[serde(default = "all_honest", rename = "persona")]
    pub personas: Vec<Persona>,
    /// What must hold, as in `granted.p99 < 5ms` or `code.overloaded == 0`.
    #[serde(default)]
    pub thresholds: Vec<String>,
}

/// A drop and its share of the arrivals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropShare {
    /// Its id.
    pub id: String,
    /// Its share beside the others'.
    #[serde(default = "one_u32")]
    pub weight: u32,
}

/// Where tickets come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "source", rename_all = "snake_case", deny_unknown_fields)]
pub enum Tickets {
    /// A file with one ticket a line, used in order; person 1 has the first line. All tickets are for the first drop.
    File {
        /// The file, relative to the working folder.
        path: PathBuf,
        /// Lines at the start of the file that are left alone.
        #[serde(default)]
        skip: u64,
        /// The most tickets that are used, repeated ones included; all if not given.
        #[serde(default)]
        uses: Option<u64>,
        /// Start again with the first after the last.
        #[serde(default)]
        repeat: bool,
    },
    /// Made here, from a key that the service trusts.
    Mint {
        /// The service's ticket key file, relative to the working folder.
        key_file: PathBuf,
        /// How many persons there are; arrivals beyond them are the same persons again. None: a new one each.
        persons: Option<u64>,
        /// What stands before a person's number.
        #[serde(default = "prefix")]
        prefix: String,
    },
    /// Fetched at the service's ticket desk before the run, with identity tokens that are signed here: challenge, proof
    /// of work, ticket. A bot that the desk refuses comes with the ticket of another of its persona; everybody else who
    /// is refused comes without one.
    Desk {
        /// The key set of identities that the service's desk believes, relative to the working folder; its first shared
        /// secret signs.
        identity_keys: PathBuf,
        /// How many persons get their tickets, before the run; nobody comes after them. A spike has as many as people.
        persons: Option<u64>,
        /// What stands before a person's number in the name of their account.
        #[serde(default = "prefix")]
        prefix: String,
        /// How long all of them together may take.
        #[serde(default = "desk_wait", with = "humantime_serde")]
        #[schemars(with = "schema::DurationText")]
        wait: Duration,
    },
}

impl Scenario {
    /// How many persons get tickets at the desk; nothing where tickets come from elsewhere, or nobody said how many.
    #[must_use]
    pub fn desk_persons(&self) -> Option<u64> {
        let Tickets::Desk { persons, .. } = &self.tickets else { return None };
        persons.or(match self.arrivals {
            Arrivals::Spike { people, .. } => Some(people),
            _ => None,
        })
    }
}

fn one() -> u64 {
    1
}
pub(super) fn one_u32() -> u32 {
    1
}
fn desk_wait() -> Duration {
    Duration::from_secs(600)
}
fn prefix() -> String {
    "person-".into()
}
fn all_honest() -> Vec<Persona> {
    vec![Persona::honest()]
}
