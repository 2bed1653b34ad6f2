//! The results of a run: one JSON document from which every other output is made.
//!
//! Owns the names of the result's fields, how they are computed from the counts, and when a run is invalid. Its
//! JSON schema is published under `loadtest/schema/` and made from these types.
//! Every number is computed from a [`Tally`](crate::tally::Tally), never from another number's average.

mod compute;
mod desk;
mod environment;
mod judge;
mod read;
pub mod schema;

use std::collections::BTreeMap;

pub use compute::Circumstances;
pub(crate) use compute::{kind_name, ms};
pub use desk::{DeskPart, DeskResult};
pub(crate) use judge::CLOSED_MODEL;
pub(crate) use read::document;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    scenario::Scenario,
    tally::{Mishaps, Schedule},
};

/// The version of the document's format; raised when a field changes its meaning.
pub const FORMAT: u32 = 1;

/// What a run has shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// [`FORMAT`].
    pub format: u32,
    /// What was rehearsed, as it was run.
    pub scenario: Scenario,
    /// Where and when.
    pub environment: Environment,
    /// `open` or `closed`.
    pub model: Model,
    /// From the start to the last answer, and at least until nobody was let in any more, in seconds.
    pub elapsed_s: f64,
    /// What the ticket desk gave before the run, where the tickets come from it.
    #[serde(default)]
    pub desk: Option<DeskResult>,
    /// All personas together.
    pub total: Part,
    /// Each persona, in the order of the scenario.
    pub personas: Vec<PersonaResult>,
    /// The run over time.
    pub series: Series,
    /// How the schedule was kept (open model).
    pub schedule: Option<Schedule>,
    /// CPU of the generators.
    pub generator_cpu: Cpu,
    /// CPU of the processes that were watched.
    pub cpu_of: Vec<ProcessCpu>,
    /// What must hold, and whether it did.
    pub thresholds: Vec<ThresholdResult>,
    /// The audit after the load, if there was one.
    pub audit: Option<AuditResult>,
    /// The verdict.
    pub verdict: Verdict,
}

/// Where and when a run was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// This program's version.
    pub version: String,
    /// When the run started, RFC 3339 in UTC.
    pub started_at: String,
    /// The operating system and its kernel.
    pub system: String,
    /// The processor.
    pub processor: String,
    /// Logical cores of this machine.
    pub cores: usize,
    /// Memory of this machine in bytes.
    pub memory_bytes: u64,
    /// Generator threads, over all workers.
    pub threads: usize,
    /// The workers, where there are several; empty for a run of one machine.
    pub workers: Vec<WorkerResult>,
}

/// One worker of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerResult {
    /// Its address.
    pub address: String,
    /// Its threads.
    pub threads: usize,
    /// Its clock minus the coordinator's, in microseconds.
    pub clock_offset_us: i64,
    /// How far that may be off, in microseconds: half of the best round trip.
    pub clock_error_us: u64,
    /// Its CPU.
    pub cpu: Cpu,
}

/// How requests leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// On schedule, whatever the service does.
    Open,
    /// After the previous answer on the same connection.
    Closed,
}

/// One persona's part, or all of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Persons that came.
    pub arrivals: u64,
    /// Requests sent.
    pub requests: u64,
    /// Answers.
    pub answers: u64,
    /// Answers a second.
    pub answers_per_s: f64,
    /// New claims (201).
    pub granted: u64,
    /// New claims a second.
    pub granted_per_s: f64,
    /// Claims that the person had already (200).
    pub replayed: u64,
    /// Claims whose outcome is unknown.
    pub unknown: u64,
    /// Of a hundred persons, so many got a new claim.
    pub granted_percent: f64,
    /// Answers by status and code, most frequent first.
    pub counts: Vec<CountResult>,
    /// Times of all answers; none where there were none.
    pub times: Option<TimesResult>,
    /// Times of new claims; none where there were none.
    pub granted_times: Option<TimesResult>,
    /// Times of refusals (status 400 and above); none where there were none.
    pub refused_times: Option<TimesResult>,
    /// What went wrong.
    pub mishaps: Mishaps,
}

/// One persona.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonaResult {
    /// Its title.
    pub name: String,
    /// Its behaviour.
    pub kind: String,
    /// What it did and got.
    pub part: Part,
}

/// Answers of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountResult {
    /// HTTP status.
    pub status: u16,
    /// The problem's `code`; empty for a success.
    pub code: String,
    /// How many.
    pub answers: u64,
}

/// Two views of the same answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimesResult {
    /// From the intended start: what a person waits.
    pub response: Percentiles,
    /// From the actual send: what the service takes.
    pub service: Percentiles,
    /// The response times as HdrHistogram V2, deflated, in base64; microseconds.
    pub response_hdr: String,
    /// The service times in the same form.
    pub service_hdr: String,
}

/// Percentiles in milliseconds, to three significant digits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Percentiles {
    /// Median.
    pub p50_ms: f64,
    /// 90 %.
    pub p90_ms: f64,
    /// 99 %.
    pub p99_ms: f64,
    /// 99.9 %.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// Arithmetic mean.
    pub mean_ms: f64,
}

/// The run over time: columns of equal length, one value an interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// The length of an interval in seconds.
    pub interval_s: f64,
    /// The length of the last one, which ends with the last answer: between half and one and a half of the others'
    /// (a run within one interval has just its own length).
    pub last_interval_s: f64,
    /// The start of each interval in seconds from the start of the run.
    pub at_s: Vec<f64>,
    /// Arrivals due a second.
    pub scheduled_per_s: Vec<f64>,
    /// Requests sent a second.
    pub sent_per_s: Vec<f64>,
    /// Answers a second.
    pub answers_per_s: Vec<f64>,
    /// New claims a second.
    pub granted_per_s: Vec<f64>,
    /// Lost replies a second.
    pub lost_per_s: Vec<f64>,
    /// Response times in milliseconds; null where nothing was answered.
    pub p50_ms: Vec<Option<f64>>,
    /// The same.
    pub p99_ms: Vec<Option<f64>>,
    /// The same.
    pub max_ms: Vec<Option<f64>>,
    /// Answers a second by `status code`, as in `410 sold_out`.
    pub codes_per_s: BTreeMap<String, Vec<f64>>,
}

/// CPU time during a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cpu {
    /// Seconds of CPU.
    pub cpu_s: f64,
    /// Microseconds of CPU an answer.
    pub us_per_answer: f64,
    /// Cores kept busy.
    pub cores: f64,
}

/// CPU time of one watched process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessCpu {
    /// The process.
    pub pid: u32,
    /// Its CPU time; null if it ended during the run.
    pub cpu: Option<Cpu>,
}

/// A threshold and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThresholdResult {
    /// As it stands in the scenario.
    pub text: String,
    /// What was measured, with its unit.
    pub measured: String,
    /// Whether it held.
    pub ok: bool,
}

/// The audit after the load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditResult {
    /// Whether everything held.
    pub ok: bool,
    /// What was checked.
    pub checks: Vec<AuditCheck>,
    /// What was not checked, and why: a line each.
    #[serde(default)]
    pub left_out: Vec<String>,
}

/// One check of the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditCheck {
    /// A short stable name.
    pub id: String,
    /// What is promised.
    pub promise: String,
    /// What was compared with what.
    pub compared: String,
    /// Whether it held.
    pub ok: bool,
    /// What was found.
    pub detail: String,
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Whether the run measures the service and not the generator.
    pub valid: bool,
    /// Why it does not.
    pub invalid_because: Vec<String>,
    /// What limits its meaning although it is valid.
    pub warnings: Vec<String>,
    /// Whether every threshold held.
    pub thresholds_ok: bool,
    /// Whether the audit held; true where there was none.
    pub audit_ok: bool,
    /// The exit code: 0 all well, 1 a threshold, 3 an invalid run, 4 the audit; the gravest wins (3, 4, 1).
    pub exit_code: u8,
}
