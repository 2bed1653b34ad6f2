//! What carries requests: the connections of a scenario file.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::DurationText;

/// What carries the requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Connections {
    /// Kept-alive connections that honest people share.
    pub count: usize,
    /// The most people with connections of their own at a time; later ones are counted as dropped.
    pub sessions_max: usize,
    /// Whether a request uses a connection that stands, or opens its own.
    pub reuse: Reuse,
    /// A network slower than this machine's.
    pub slow: Option<SlowNetwork>,
    /// How long one reply may take.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub reply_wait: Duration,
    /// How long after the last arrival answers are waited for.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub grace: Duration,
    /// How long a claim of which nobody knows what became is sent again: until the grace is over if not given, not at
    /// all if zero.
    #[serde(with = "humantime_serde::option")]
    #[schemars(with = "Option<DurationText>")]
    pub retry_unknown_for: Option<Duration>,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            count: 1_000,
            sessions_max: 10_000,
            reuse: Reuse::KeepAlive,
            slow: None,
            reply_wait: Duration::from_secs(10),
            grace: Duration::from_secs(5),
            retry_unknown_for: None,
        }
    }
}

/// Which connection a request takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reuse {
    /// One that stands: honest people share some, the others have their own.
    #[default]
    KeepAlive,
    /// One of each person's own, opened when the person comes and kept until it leaves.
    PerPerson,
    /// A new one each.
    NewEach,
}

/// A phone's network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowNetwork {
    /// The way there and back takes this much longer.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "DurationText")]
    pub round_trip: Duration,
    /// Bytes a second each way, per connection.
    pub bytes_per_second: u64,
}
