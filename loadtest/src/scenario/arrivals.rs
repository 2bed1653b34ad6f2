//! When people come: the arrival profiles of a scenario file.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::DurationText;

/// When people come. All but `closed` are open models: they come whatever the service does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "profile", rename_all = "snake_case", deny_unknown_fields)]
pub enum Arrivals {
    /// A crowd round the release instant: nearly everybody presses within two seconds of it, some too early.
    Spike {
        /// How many come.
        people: u64,
        /// From the start of the run to the release instant.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "DurationText")]
        release_after: Duration,
        /// The median reaction to the release instant.
        #[serde(default = "reaction", with = "humantime_serde")]
        #[schemars(with = "DurationText")]
        reaction: Duration,
        /// The shape of the reaction times' log-normal spread.
        #[serde(default = "reaction_sigma")]
        reaction_sigma: f64,
        /// The share (0 to 1) that presses up to two seconds too early.
        #[serde(default = "early")]
        early: f64,
        /// The latest reaction that still counts; later ones come then.
        #[serde(default = "latest", with = "humantime_serde")]
        #[schemars(with = "DurationText")]
        latest: Duration,
    },
    /// As many each second.
    Constant {
        /// Arrivals a second.
        rate: f64,
        /// For how long.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "DurationText")]
        duration: Duration,
        /// How they are spaced.
        #[serde(default)]
        spacing: Spacing,
    },
    /// From one rate to another, evenly.
    Ramp {
        /// Arrivals a second at the start.
        from: f64,
        /// Arrivals a second at the end.
        to: f64,
        /// For how long.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "DurationText")]
        duration: Duration,
        /// How they are spaced.
        #[serde(default)]
        spacing: Spacing,
    },
    /// One rate after another, each for as long.
    Stairs {
        /// Arrivals a second on each step.
        rates: Vec<f64>,
        /// How long a step is.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "DurationText")]
        step: Duration,
        /// How they are spaced.
        #[serde(default)]
        spacing: Spacing,
    },
    /// A long run: a ramp up, then waves round one rate.
    Soak {
        /// Arrivals a second, on average after the ramp.
        rate: f64,
        /// For how long, ramp included.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "DurationText")]
        duration: Duration,
        /// How long the ramp from nothing takes.
        #[serde(default = "soak_ramp", with = "humantime_serde")]
        #[schemars(with = "DurationText")]
        ramp_up: Duration,
        /// How far a wave goes above and below the rate, as a share of it (0 to 1).
        #[serde(default)]
        wave: f64,
        /// The length of one wave.
        #[serde(default = "soak_period", with = "humantime_serde")]
        #[schemars(with = "DurationText")]
        period: Duration,
        /// How they are spaced.
        #[serde(default)]
        spacing: Spacing,
    },
    /// The moments of a file: CSV with one column `offset_s`, seconds from the start of the run.
    Trace {
        /// The file, relative to the scenario.
        file: PathBuf,
        /// Plays it this much faster.
        #[serde(default = "one_f64")]
        speed: f64,
    },
    /// The closed model: each connection sends its next request after its answer and a pause. A slow service slows
    /// the load and hides its own stalls (coordinated omission); the report says so.
    Closed {
        /// For how long.
        #[serde(with = "humantime_serde")]
        #[schemars(with = "DurationText")]
        duration: Duration,
        /// The most arrivals over all connections; none for as many as there is time for.
        people: Option<u64>,
    },
}

/// How arrivals of one rate are spaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// As independent people come: exponential gaps.
    #[default]
    Poisson,
    /// Like clockwork.
    Even,
}

fn one_f64() -> f64 {
    1.0
}
/// The median of simple human reaction times plus the way of a finger; see loadtest/README.md for the source.
fn reaction() -> Duration {
    Duration::from_millis(350)
}
fn reaction_sigma() -> f64 {
    0.6
}
fn early() -> f64 {
    0.03
}
fn latest() -> Duration {
    Duration::from_secs(30)
}
fn soak_ramp() -> Duration {
    Duration::from_secs(10)
}
fn soak_period() -> Duration {
    Duration::from_secs(600)
}
