//! What the ticket desk gave before a run.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the ticket desk gave before a run whose tickets come from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeskResult {
    /// From the first question to the last answer, in seconds.
    pub elapsed_s: f64,
    /// Each persona, in the order of the scenario.
    pub personas: Vec<DeskPart>,
}

/// What the people of one persona got at the desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeskPart {
    /// Its title.
    pub name: String,
    /// Persons who asked.
    pub asked: u64,
    /// Tickets given.
    pub given: u64,
    /// Refusals by code.
    pub refused: BTreeMap<String, u64>,
    /// How often somebody was told to come later, and did.
    pub told_to_wait: u64,
    /// Hashes that all of their proofs of work took.
    pub hashes: u64,
}

impl DeskPart {
    /// Nobody has asked yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            asked: 0,
            given: 0,
            refused: BTreeMap::new(),
            told_to_wait: 0,
            hashes: 0,
        }
    }

    /// Hashes for each who asked, on the average.
    #[must_use]
    pub fn hashes_each(&self) -> u64 {
        self.hashes.checked_div(self.asked).unwrap_or(0)
    }
}

impl fmt::Display for DeskPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, asked, given, refused, told_to_wait, .. } = self;
        write!(f, "{name}: {given} tickets for {asked}, {} hashes each", self.hashes_each())?;
        if *told_to_wait > 0 {
            write!(f, ", {told_to_wait} times told to come later")?;
        }
        for (code, count) in refused {
            write!(f, ", {count} {code}")?;
        }
        Ok(())
    }
}
