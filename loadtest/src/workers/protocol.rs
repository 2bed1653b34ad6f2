//! The words that coordinator and worker exchange, and how much of each there may be.
//!
//! Bodies are JSON, but for claims, which are the lines of a claims log.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    engine::{Job, MeterReading},
    tally::Tally,
};

/// What both sides must have in common: the harness' version and the format of these words.
pub(super) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "/1");

/// The longest job, in bytes: it may carry a ticket file.
pub(super) const JOB_BYTES_MAX: usize = 512 << 20;
/// The longest body of any other request, in bytes.
pub(super) const REQUEST_BYTES_MAX: usize = 4 << 10;
/// The longest reply but a result and claims, in bytes.
pub(super) const REPLY_BYTES_MAX: usize = 1 << 20;
/// The longest result, in bytes: some thousand intervals with a histogram each.
pub(super) const RESULT_BYTES_MAX: usize = 256 << 20;
/// Claims that one reply carries, in bytes.
pub(super) const CLAIMS_BYTES_MAX: usize = 4 << 20;

/// A worker that has not heard from its coordinator for so long lets the job go.
pub(super) const HEARD_WITHIN: Duration = Duration::from_secs(10);
/// How often a coordinator asks for progress.
pub(super) const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// How long a coordinator tries to reach a worker that has answered before.
pub(super) const REACHED_WITHIN: Duration = Duration::from_secs(6);
/// How long one call may take, its body included.
pub(super) const CALL_WAIT: Duration = Duration::from_secs(3);
/// How long a coordinator that takes leave is kept until the worker is free again.
pub(super) const LEAVE_WAIT: Duration = Duration::from_secs(2);
/// How long the transfer of a job or a result may take.
pub(super) const TRANSFER_WAIT: Duration = Duration::from_secs(300);
/// From the naming of the start moment to the start.
pub(super) const START_AFTER: Duration = Duration::from_secs(1);
/// A start moment further ahead than this is a mistake in somebody's clock.
pub(super) const START_WITHIN: Duration = Duration::from_secs(60);

const _: () = assert!(REACHED_WITHIN.as_millis() < HEARD_WITHIN.as_millis(), "a blink must not cost the job");
const _: () = assert!(LEAVE_WAIT.as_millis() < CALL_WAIT.as_millis(), "leave is taken within one call");
const _: () = assert!(START_AFTER.as_millis() < START_WITHIN.as_millis());

/// `GET /v1/worker`: who is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    /// [`VERSION`].
    pub(super) version: String,
    /// Generator threads that it offers.
    pub(super) threads: usize,
    /// Whether it takes a job now.
    pub(super) free: bool,
}

/// `GET /v1/clock`: what the worker's clock shows.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockReading {
    /// Nanoseconds since 1970-01-01 UTC.
    pub(super) unix_ns: u64,
}

/// `POST /v1/jobs`: a share of a run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order<J = Job> {
    /// Whether the worker keeps the claims that it sees until they are fetched.
    pub(super) keep_claims: bool,
    /// What is to be done.
    pub(super) job: J,
}

/// The answer to an order that was taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Taken {
    /// The job's name in further calls.
    pub(super) id: String,
}

/// `POST /v1/jobs/{id}/start`: when it begins.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StartAt {
    /// By the worker's clock, as `GET /v1/clock` shows it.
    pub(super) at_unix_ns: u64,
}

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Opens its connections.
    Preparing,
    /// Waits for its start.
    Ready,
    /// Has a start moment, and goes on until its last answer.
    Running,
    /// Its result can be fetched.
    Finished,
    /// There will be no result.
    Failed,
}

/// `GET /v1/jobs/{id}/progress`: what a job has done so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    /// How far it has come.
    pub(super) state: State,
    /// Why it failed.
    pub(super) error: Option<String>,
    /// Connections that stood when it was ready.
    pub(super) open_connections: u64,
    /// From the start to the last moment at which an arrival can be due; zero before it was ready.
    pub(super) planned: Duration,
    /// Its counts; none before it is running.
    pub(super) meter: Option<MeterReading>,
    /// Bytes of claims that it has written; all there will be once it is finished.
    pub(super) claims_bytes: u64,
}

/// `GET /v1/jobs/{id}/result`: what a job has counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outcome {
    /// What it counted.
    pub(super) tally: Tally,
    /// CPU that the worker's process used from the start to the last answer.
    pub(super) cpu: Duration,
}

/// The body of every reply that is no success.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Refusal {
    /// Why, for people.
    pub(super) error: String,
}
