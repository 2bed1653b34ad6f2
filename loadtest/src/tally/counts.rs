//! Answers by status and code, in bounded room.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::KINDS_MAX;

/// A kind of answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// HTTP status.
    pub status: u16,
    /// The problem's `code`; empty for a success.
    pub code: Box<str>,
}

/// Answers of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// HTTP status.
    pub status: u16,
    /// The problem's `code`; empty for a success.
    pub code: String,
    /// How many.
    pub answers: u64,
}

/// Answers by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<Kind, u64>);

impl Counts {
    /// Adds answers of one kind.
    pub fn add(&mut self, status: u16, code: &str, answers: u64) {
        let kind = Kind { status, code: code.into() };
        if let Some(known) = self.0.get_mut(&kind) {
            *known += answers;
        } else if self.0.len() < KINDS_MAX || code == "other" {
            self.0.insert(kind, answers);
        } else {
            self.add(status, "other", answers);
        }
    }

    /// Every kind with its answers, in order of status and code.
    pub fn iter(&self) -> impl Iterator<Item = (&Kind, u64)> {
        self.0.iter().map(|(kind, answers)| (kind, *answers))
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let one = |(kind, answers): (&Kind, u64)| Count {
            status: kind.status,
            code: kind.code.to_string(),
            answers,
        };
        serializer.collect_seq(self.iter().map(one))
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut counts = Self::default();
        for count in Vec::<Count>::deserialize(deserializer)? {
            counts.add(count.status, &count.code, count.answers);
        }
        Ok(counts)
    }
}
