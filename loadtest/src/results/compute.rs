//! Sums a run's counts up.
//!
//! Owns the arithmetic between a [`Tally`] and the fields of [`Results`]; what they are worth is judged elsewhere.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use anyhow::Result;
use hdrhistogram::Histogram;

use super::{
    AuditCheck, AuditResult, CountResult, Cpu, Environment, FORMAT, Model, Part, Percentiles, PersonaResult,
    ProcessCpu, Results, Series, ThresholdResult, TimesResult, Verdict, WorkerResult, judge::Ending,
};
use crate::{
    scenario::{Arrivals, Scenario},
    tally::{Counts, Interval, PersonaTally, Tally, Times},
};

/// A rest of the run shorter than this share of an interval is no interval of its own.
const REST_MIN: f64 = 0.5;

/// What the results cannot know from the tally.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// The machine; its threads and workers are taken from the fields below.
    pub environment: Environment,
    /// Generator threads, over all workers.
    pub threads: usize,
    /// Connections that were opened before the start, over all workers.
    pub connections: u64,
    /// CPU time of all generators together.
    pub generator: Duration,
    /// CPU time of other processes; none for one that ended during the run.
    pub watched: Vec<(u32, Option<Duration>)>,
    /// Time between the two readings of CPU time.
    pub window: Duration,
    /// The workers, where there are several; empty for a run of one machine.
    pub workers: Vec<WorkerResult>,
    /// How long people were to come.
    pub planned: Duration,
    /// Whether somebody ended it at once, with requests under way.
    pub halted: bool,
}

impl Results {
    /// Sums up and judges. Thresholds and the audit are added by [`Results::set_thresholds`] and
    /// [`Results::set_audit`], which judge again.
    ///
    /// # Errors
    /// A histogram cannot be encoded.
    pub fn new(scenario: &Scenario, tally: &Tally, around: Circumstances) -> Result<Self> {
        // A service that falls silent makes no run shorter.
        let elapsed_s = tally.last_answer.max(tally.let_in_until).as_secs_f64();
        let model =
            if matches!(scenario.arrivals, Arrivals::Closed { .. }) { Model::Closed } else { Model::Open };
        let mut total = PersonaTally::new("total", "")?;
        let mut personas = Vec::with_capacity(tally.personas.len());
        for persona in &tally.personas {
            total.merge(persona)?;
            let part = Part::new(persona, elapsed_s)?;
            personas.push(PersonaResult { name: persona.name.clone(), kind: persona.kind.clone(), part });
        }
        let total = Part::new(&total, elapsed_s)?;
        let cpu = |used| Cpu::new(used, total.answers, around.window);
        let process = |&(pid, used): &(u32, Option<Duration>)| ProcessCpu { pid, cpu: used.map(cpu) };
        let (threads, workers) = (around.threads, around.workers);
        let ending = Ending { tally, connections: around.connections, planned: around.planned };
        let halted = around.halted;
        let mut results = Self {
            format: FORMAT,
            scenario: scenario.clone(),
            environment: Environment { threads, workers, ..around.environment },
            model,
            elapsed_s,
            desk: None,
            generator_cpu: cpu(around.generator),
            cpu_of: around.watched.iter().map(process).collect(),
            total,
            personas,
            series: Series::new(tally)?,
            schedule: (model == Model::Open).then_some(tally.schedule),
            thresholds: Vec::new(),
            audit: None,
            verdict: Verdict::default(),
        };
        results.verdict = Verdict::of(&results, &ending, halted);
        Ok(results)
    }

    /// Adds what became of the scenario's thresholds.
    pub fn set_thresholds(&mut self, thresholds: Vec<ThresholdResult>) {
        self.verdict.thresholds_ok = thresholds.iter().all(|threshold| threshold.ok);
        self.thresholds = thresholds;
        self.verdict.settle();
    }

    /// What is written while the audit goes on: all but its verdict, and a word on that.
    #[must_use]
    pub fn not_audited_yet(&self) -> Self {
        let mut results = self.clone();
        results
            .verdict
            .warnings
            .push("the audit that was asked for had not ended when this was written".into());
        results
    }

    /// Adds the audit after the load. It knows nothing of claims that were granted and not shown: those are added here.
    pub fn set_audit(&mut self, mut audit: AuditResult) {
        let unreadable = self.total.mishaps.unreadable_claims;
        if unreadable > 0 {
            audit.add(AuditCheck {
                id: "claims_shown".into(),
                promise: "Every answer that grants a claim shows it.".into(),
                compared: "answers of status 200 and 201 with the claims in the log".into(),
                ok: false,
                detail: format!("{unreadable} show none, so that nobody can look for theirs"),
            });
        }
        self.verdict.audit_ok = audit.ok;
        self.audit = Some(audit);
        self.verdict.settle();
    }
}

impl AuditResult {
    fn add(&mut self, check: AuditCheck) {
        self.ok &= check.ok;
        self.checks.push(check);
    }

    /// The audit that came to nothing: one check, which is broken. What was not looked at does not count as kept.
    #[must_use]
    pub fn not_made(error: &anyhow::Error) -> Self {
        let check = AuditCheck {
            id: "audit_made".into(),
            promise: "The audit that was asked for can be made.".into(),
            compared: "nothing".into(),
            ok: false,
            detail: format!("{error:#}"),
        };
        Self { ok: false, checks: vec![check], left_out: Vec::new() }
    }
}

impl Part {
    fn new(tally: &PersonaTally, elapsed_s: f64) -> Result<Self> {
        let per_second = |n: u64| if elapsed_s > 0.0 { n as f64 / elapsed_s } else { 0.0 };
        let counts = sorted(&tally.counts);
        let answers = counts.iter().map(|count| count.answers).sum();
        let came = tally.arrivals.max(1) as f64;
        Ok(Self {
            arrivals: tally.arrivals,
            requests: tally.requests,
            answers,
            answers_per_s: per_second(answers),
            granted: tally.granted,
            granted_per_s: per_second(tally.granted),
            replayed: tally.replayed,
            unknown: tally.unknown,
            granted_percent: tally.granted as f64 * 100.0 / came,
            counts,
            times: TimesResult::new(&tally.response, &tally.service)?,
            granted_times: TimesResult::new(&tally.granted_response, &tally.granted_service)?,
            refused_times: TimesResult::new(&tally.refused_response, &tally.refused_service)?,
            mishaps: tally.mishaps,
        })
    }

    /// Answers that refused: status 400 and above.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.counts.iter().filter(|count| count.status >= 400).map(|count| count.answers).sum()
    }
}

fn sorted(counts: &Counts) -> Vec<CountResult> {
    let one = |(kind, answers): (&crate::tally::Kind, u64)| CountResult {
        status: kind.status,
        code: kind.code.to_string(),
        answers,
    };
    let mut sorted: Vec<_> = counts.iter().map(one).collect();
    sorted.sort_by_key(|count| Reverse(count.answers));
    sorted
}

impl TimesResult {
    /// Both views, or none where nothing was timed.
    fn new(response: &Times, service: &Times) -> Result<Option<Self>> {
        if response.histogram().is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            response: Percentiles::of(response.histogram()),
            service: Percentiles::of(service.histogram()),
            response_hdr: response.to_base64()?,
            service_hdr: service.to_base64()?,
        }))
    }
}

/// Microseconds of a histogram as milliseconds.
pub(crate) fn ms(micros: u64) -> f64 {
    micros as f64 / 1e3
}

impl Percentiles {
    /// The percentiles of times in microseconds.
    #[must_use]
    pub fn of(times: &Histogram<u64>) -> Self {
        let at = |quantile: f64| ms(times.value_at_quantile(quantile));
        Self {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: ms(times.max()),
            mean_ms: if times.is_empty() { 0.0 } else { times.mean() / 1e3 },
        }
    }
}

impl Cpu {
    /// CPU time that was used for so many answers within a window.
    #[must_use]
    pub fn new(used: Duration, answers: u64, window: Duration) -> Self {
        Self {
            cpu_s: used.as_secs_f64(),
            us_per_answer: if answers == 0 { 0.0 } else { used.as_secs_f64() * 1e6 / answers as f64 },
            cores: used.as_secs_f64() / window.as_secs_f64().max(1e-3),
        }
    }
}

impl Series {
    fn new(tally: &Tally) -> Result<Self> {
        let interval_s = tally.interval.as_secs_f64().max(1e-3);
        let (intervals, last_interval_s) = whole_intervals(tally, interval_s)?;
        let lengths = lengths(intervals.len(), interval_s, last_interval_s);
        let column = |of: fn(&Interval) -> u64| {
            intervals
                .iter()
                .zip(&lengths)
                .map(|(interval, length_s)| of(interval) as f64 / length_s)
                .collect()
        };
        let times = |of: fn(&Histogram<u64>) -> u64| {
            let one = |interval: &Interval| {
                let times = interval.response.histogram();
                (!times.is_empty()).then(|| ms(of(times)))
            };
            intervals.iter().map(one).collect()
        };
        Ok(Self {
            interval_s,
            last_interval_s,
            at_s: (0..intervals.len()).map(|n| n as f64 * interval_s).collect(),
            scheduled_per_s: column(|interval| interval.scheduled),
            sent_per_s: column(|interval| interval.sent),
            answers_per_s: column(|interval| interval.answers),
            granted_per_s: column(|interval| interval.granted),
            lost_per_s: column(|interval| interval.lost),
            p50_ms: times(|times| times.value_at_quantile(0.5)),
            p99_ms: times(|times| times.value_at_quantile(0.99)),
            max_ms: times(Histogram::max),
            codes_per_s: codes(&intervals, &lengths),
        })
    }
}

/// The intervals, and the length of the last one in seconds: it ends with the last answer. A rest of less than half
/// an interval is too short for a rate and counts with the interval before it.
fn whole_intervals(tally: &Tally, interval_s: f64) -> Result<(Vec<Interval>, f64)> {
    let mut intervals = tally.intervals.clone();
    let before = intervals.len().saturating_sub(1) as f64 * interval_s;
    let rest = tally.last_answer.as_secs_f64() - before;
    // Something may have been sent after the last answer.
    let length = if rest > 0.0 { rest.min(interval_s) } else { interval_s };
    if length >= interval_s * REST_MIN || intervals.len() < 2 {
        return Ok((intervals, length));
    }
    if let (Some(rest), Some(last)) = (intervals.pop(), intervals.last_mut()) {
        last.merge(&rest)?;
    }
    Ok((intervals, interval_s + length))
}

/// The length of each interval in seconds.
fn lengths(intervals: usize, interval_s: f64, last_interval_s: f64) -> Vec<f64> {
    let mut lengths = vec![interval_s; intervals];
    if let Some(last) = lengths.last_mut() {
        *last = last_interval_s;
    }
    lengths
}

/// Answers a second by kind, as columns of equal length.
fn codes(intervals: &[Interval], lengths: &[f64]) -> BTreeMap<String, Vec<f64>> {
    let mut columns: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (n, (interval, length_s)) in intervals.iter().zip(lengths).enumerate() {
        for (kind, answers) in interval.counts.iter() {
            let column = columns
                .entry(kind_name(kind.status, &kind.code))
                .or_insert_with(|| vec![0.0; intervals.len()]);
            if let Some(cell) = column.get_mut(n) {
                *cell += answers as f64 / length_s;
            }
        }
    }
    columns
}

/// A kind of answer as one name: `410 sold_out`, or `201` where there is no code.
#[must_use]
pub(crate) fn kind_name(status: u16, code: &str) -> String {
    if code.is_empty() { status.to_string() } else { format!("{status} {code}") }
}

#[cfg(test)]
#[path = "compute_tests.rs"]
mod tests;
