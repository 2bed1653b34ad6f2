//! Keys whose value is one of a few words.

use serde::{Deserialize, Serialize};

/// What must have happened before a claim is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", rename_all = "lowercase")]
pub enum Ack {
    /// It stands in Redis' memory; a crash of Redis may lose it.
    Memory,
    /// Redis has written it to disk and synced it.
    Fsync,
    /// That, and replicas have it too.
    Replica,
}

impl Ack {
    /// The word used in the config.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Fsync => "fsync",
            Self::Replica => "replica",
        }
    }
}

impl TryFrom<String> for Ack {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "memory" => Ok(Self::Memory),
            "fsync" => Ok(Self::Fsync),
            "replica" => Ok(Self::Replica),
            _ => Err("must be \"memory\", \"fsync\" or \"replica\""),
        }
    }
}

/// How important a log line is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing at all.
    Off,
    /// What needs somebody.
    Error,
    /// What may need somebody.
    Warn,
    /// What changed.
    #[default]
    Info,
    /// What was decided, and why.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The word used in the config and by log filters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Which decisions have a line in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoggedDecisions {
    /// None.
    #[default]
    Off,
    /// Those that refuse.
    Refusals,
    /// All: claims and tickets that were given too.
    All,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
