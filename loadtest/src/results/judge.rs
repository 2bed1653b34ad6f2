//! Whether a run measures the service, and how it ended.
//!
//! Owns the rules of validity and the order of the exit codes, both documented in README.md.

use super::{Model, Results, Verdict};

/// A run is invalid when more than one in this many arrivals left late by the generator's fault, or never.
const UNPUNCTUAL_ONE_IN: u64 = 100;
/// So few unpunctual arrivals are allowed to a short run.
const UNPUNCTUAL_MIN: u64 = 10;
/// A generator that used this much of its cores may be the limit itself.
const SATURATED_CPU: f64 = 0.95;

const EXIT_THRESHOLD: u8 = 1;
const EXIT_INVALID: u8 = 3;
const EXIT_AUDIT: u8 = 4;

impl Verdict {
    /// Judges a run whose thresholds and audit are not known yet.
    pub(super) fn of(results: &Results, connections: u64) -> Self {
        let mut verdict = Self { thresholds_ok: true, audit_ok: true, ..Self::default() };
        if results.total.answers == 0 {
            verdict.invalid_because.push("no request was answered".into());
        }
        if results.model == Model::Closed {
            verdict.warnings.push(
                "closed model: a slow service slows the load, so its stalls hide in these times \
                 (coordinated omission)"
                    .into(),
            );
        }
        verdict.judge_schedule(results, connections);
        verdict.judge_generator(results);
        if results.cpu_of.iter().any(|process| process.cpu.is_none()) {
            verdict.warnings.push("a watched process ended during the run".into());
        }
        verdict.valid = verdict.invalid_because.is_empty();
        verdict.settle();
        verdict
    }

    fn judge_schedule(&mut self, results: &Results, connections: u64) {
        let Some(schedule) = results.schedule else { return };
        let allowed = (schedule.scheduled / UNPUNCTUAL_ONE_IN).max(UNPUNCTUAL_MIN);
        if schedule.late_generator > allowed {
            let late = schedule.late_generator;
            self.invalid_because.push(format!("the generator had no CPU to send {late} requests on time"));
        }
        if schedule.dropped > allowed {
            self.invalid_because.push(format!(
                "{} requests never left: {connections} connections are too few for this rate and this service",
                schedule.dropped
            ));
        }
        if schedule.late_connections > allowed {
            self.warnings.push(format!(
                "{} requests left late because all connections waited; response times count the wait",
                schedule.late_connections
            ));
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
