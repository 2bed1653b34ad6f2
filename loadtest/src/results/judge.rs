//! Whether a run measures the service, and how it ended.
//!
//! Owns the rules of validity and the order of the exit codes, both documented in README.md.

use std::time::Duration;

use super::{Model, Results, Verdict};
use crate::{scenario::Reuse, tally::Tally};

/// A run is invalid when more than one in this many arrivals left late by the generator's fault, or never.
const UNPUNCTUAL_ONE_IN: u64 = 100;
/// So few unpunctual arrivals are allowed to a short run.
const UNPUNCTUAL_MIN: u64 = 10;
/// A generator that used this much of its cores may be the limit itself.
const SATURATED_CPU: f64 = 0.95;
/// A start that is uncertain by more than this is warned of: from here on a request counts as late.
const CLOCK_ERROR_US_MAX: u64 = 10_000;
/// A clock that differs by more than this is warned of: a worker signs tickets by its own clock, and they become valid
/// a minute before that, so half of it leaves room for the service's own clock.
const CLOCK_OFFSET_US_MAX: u64 = 30_000_000;

const EXIT_THRESHOLD: u8 = 1;
const EXIT_INVALID: u8 = 3;
const EXIT_AUDIT: u8 = 4;

/// What the warning of every closed model says.
pub(crate) const CLOSED_MODEL: &str =
    "closed model: a slow service slows the load, so its stalls hide in these times (coordinated omission)";

/// What a verdict needs that stands in no field of the results.
pub(super) struct Ending<'a> {
    pub(super) tally: &'a Tally,
    /// Connections that were opened before the start.
    pub(super) connections: u64,
    /// How long people were to come.
    pub(super) planned: Duration,
}

impl Verdict {
    /// Judges a run whose thresholds and audit are not known yet.
    pub(super) fn of(results: &Results, ending: &Ending<'_>, halted: bool) -> Self {
        let mut verdict = Self { thresholds_ok: true, audit_ok: true, ..Self::default() };
        if results.total.answers == 0 {
            let came = ending.tally.no_reply.as_ref().map_or_else(String::new, |came| format!(": {came}"));
            verdict.invalid_because.push(format!("no request was answered{came}"));
        }
        if results.model == Model::Closed {
            verdict.warnings.push(CLOSED_MODEL.into());
        }
        if halted {
            verdict
                .invalid_because
                .push("it was ended at once, and what became of the requests under way is not known".into());
        }
        verdict.judge_length(results, ending);
        verdict.judge_clocks(results);
        verdict.judge_schedule(results, ending.connections);
        verdict.judge_generator(results);
        let unreadable = results.total.mishaps.unreadable_claims;
        if unreadable > 0 {
            verdict.warnings.push(format!(
                "{unreadable} answers of status 200 or 201 show no claim: the claims log has none for them"
            ));
        }
        if results.cpu_of.iter().any(|process| process.cpu.is_none()) {
            verdict.warnings.push("a watched process ended during the run".into());
        }
        verdict.valid = verdict.invalid_because.is_empty();
        verdict.settle();
        verdict
    }

    /// Whether it lasted as long as it was to, and the service with it.
    fn judge_length(&mut self, results: &Results, ending: &Ending<'_>) {
        let Ending { tally, planned, .. } = ending;
        let until = tally.let_in_until;
        if !until.is_zero() && until < *planned {
            self.warnings.push(format!(
                "ended after {:.1} s of {}: somebody asked for that, and what must hold was looked for in this part alone",
                until.as_secs_f64(),
                humantime::format_duration(*planned)
            ));
        }
        // In the open model these are judged by their share of all arrivals.
        if results.model == Model::Closed && tally.schedule.dropped > 0 {
            self.invalid_because.push(format!(
                "{} connections could not be opened any more until the end: the service has gone away",
                tally.schedule.dropped
            ));
        }
    }

    fn judge_schedule(&mut self, results: &Results, connections: u64) {
        let Some(schedule) = results.schedule else { return };
        let allowed = (schedule.scheduled / UNPUNCTUAL_ONE_IN).max(UNPUNCTUAL_MIN);
        if schedule.late_generator > allowed {
            let late = schedule.late_generator;
            self.invalid_because.push(format!("the generator had no CPU to send {late} requests on time"));
        }
        if schedule.dropped > allowed {
            let failures = results.total.mishaps.connect_failures;
            let why = match results.scenario.connections.reuse {
                _ if failures > 0 => format!("{failures} times no connection could be opened"),
                Reuse::KeepAlive => {
                    format!("{connections} connections are too few for this rate and this service")
                }
                Reuse::PerPerson | Reuse::NewEach => {
                    let most = results.scenario.connections.sessions_max;
                    format!("{most} at a time with connections of their own are too few for this rate")
                }
            };
            self.invalid_because.push(format!("{} requests never left: {why}", schedule.dropped));
        }
        if schedule.late_connections > allowed {
            self.warnings.push(format!(
                "{} requests left late because all connections waited; response times count the wait",
                schedule.late_connections
            ));
        }
    }

    /// Whether all workers started together, and whose tickets may not be good.
    fn judge_clocks(&mut self, results: &Results) {
        for worker in &results.environment.workers {
            let (address, error_us) = (&worker.address, worker.clock_error_us);
            if error_us > CLOCK_ERROR_US_MAX {
                self.warnings.push(format!(
                    "the clock of worker {address} is known to {:.1} ms only: it may have started so much before or \
                     after the others, and what happened at the same time in different workers may not have",
                    error_us as f64 / 1e3
                ));
            }
            if worker.clock_offset_us.unsigned_abs() > CLOCK_OFFSET_US_MAX {
                let way = if worker.clock_offset_us > 0 { "ahead of" } else { "behind" };
                self.warnings.push(format!(
                    "the clock of worker {address} is {:.1} s {way} this machine's: the common start allows for \
                     that, the validity of tickets that it signs does not",
                    worker.clock_offset_us.unsigned_abs() as f64 / 1e6
                ));
            }
        }
    }

    /// All generators together, and each worker: one that is busy hides among many that are idle.
    fn judge_generator(&mut self, results: &Results) {
        let saturated = |cores: f64, threads: usize| cores > SATURATED_CPU * threads as f64;
        let environment = &results.environment;
        let busy =
            environment.workers.iter().filter(|worker| saturated(worker.cpu.cores, worker.threads)).count();
        if saturated(results.generator_cpu.cores, environment.threads) {
            self.warnings
                .push("the generator used all of its cores: it may be the limit, not the service".into());
        } else if busy > 0 {
            let of = environment.workers.len();
            self.warnings.push(format!(
                "{busy} of {of} workers used all of their cores: they may be the limit, not the service"
            ));
        }
    }

    /// How the run ended, in a few words.
    #[must_use]
    pub fn headline(&self) -> &'static str {
        match self.exit_code {
            0 => "Everything held",
            EXIT_THRESHOLD => "A threshold was missed",
            EXIT_AUDIT => "The audit found a broken promise",
            _ => "This run is invalid: it says nothing about the service",
        }
    }

    /// Finds the exit code: the gravest of what is known.
    pub(super) fn settle(&mut self) {
        self.exit_code = if !self.valid {
            EXIT_INVALID
        } else if !self.audit_ok {
            EXIT_AUDIT
        } else if !self.thresholds_ok {
            EXIT_THRESHOLD
        } else {
            0
        };
    }
}
