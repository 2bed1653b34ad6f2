//! What a run has shown, as JSON and as text.
//!
//! Owns the names of the JSON fields (documented in README.md) and the rules of validity.

use std::{fmt::Write, time::Duration};

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::record::{Mishaps, Record};

/// A run is invalid when more than one in this many arrivals left late by the generator's fault, or never.
const UNPUNCTUAL_ONE_IN: u64 = 100;
/// So few unpunctual arrivals are allowed to a short run.
const UNPUNCTUAL_MIN: u64 = 10;
/// A generator that used this much of its cores may be the limit itself.
const SATURATED_CPU: f64 = 0.95;

/// The result of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// `open` (requests leave on schedule) or `closed` (each connection waits for its answer).
    pub model: Model,
    /// Requests a second asked for (open model).
    pub rate_asked: Option<u64>,
    /// Connections.
    pub connections: usize,
    /// Generator threads.
    pub threads: usize,
    /// From the start to the last answer, in seconds.
    pub elapsed_s: f64,
    /// Answers, retried requests counted once.
    pub answers: u64,
    /// Answers a second.
    pub answers_per_s: f64,
    /// New claims (201).
    pub granted: u64,
    /// New claims a second.
    pub granted_per_s: f64,
    /// Tickets whose outcome is unknown.
    pub unknown: u64,
    /// Answers by status and problem code, most frequent first.
    pub counts: Vec<CountReport>,
    /// Times of all answers.
    pub all: TimesReport,
    /// Times of new claims; absent if there were none.
    pub granted_times: Option<TimesReport>,
    /// Schedule keeping (open model).
    pub schedule: Option<ScheduleReport>,
    /// What went wrong on the way.
    pub mishaps: MishapsReport,
    /// CPU of the generator.
    pub generator_cpu: CpuReport,
    /// CPU of the processes named by `--cpu-of`.
    pub cpu_of: Vec<ProcessCpuReport>,
    /// Whether the run measures the service and not the generator.
    pub valid: bool,
    /// Why it does not.
    pub invalid_because: Vec<String>,
    /// What limits its meaning although it is valid.
    pub warnings: Vec<String>,
}

/// How requests leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// On schedule, whatever the service does.
    Open,
    /// After the previous answer on the same connection.
    Closed,
}

/// Answers of one kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CountReport {
    /// HTTP status.
    pub status: u16,
    /// The problem's `code`; empty for a success.
    pub code: String,
    /// How many.
    pub answers: u64,
}

/// Two views of the same answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TimesReport {
    /// From the intended start.
    pub response: Percentiles,
    /// From the actual send.
    pub service: Percentiles,
}

/// Percentiles in milliseconds, to three significant digits.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
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

/// How the schedule of an open model was kept.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ScheduleReport {
    /// Arrivals due.
    pub scheduled: u64,
    /// Left more than 10 ms late because the generator had no CPU.
    pub late_generator: u64,
    /// Left more than 10 ms late because all connections waited for answers.
    pub late_connections: u64,
    /// Never left.
    pub dropped: u64,
}

/// Events that are no answers.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct MishapsReport {
    /// Connections that could not be opened.
    pub connect_failures: u64,
    /// Connections opened again.
    pub reconnects: u64,
    /// Replies lost after the request was sent.
    pub lost_replies: u64,
    /// Requests sent again with the same ticket.
    pub retries: u64,
    /// Success bodies that are no claim although claims are logged.
    pub unreadable_claims: u64,
    /// Tickets taken but never sent.
    pub unsent: u64,
}

/// CPU time during the run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct CpuReport {
    /// Seconds of CPU.
    pub cpu_s: f64,
    /// Microseconds of CPU an answer.
    pub us_per_answer: f64,
    /// Cores kept busy.
    pub cores: f64,
}

/// CPU time of one watched process.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ProcessCpuReport {
    /// The process.
    pub pid: u32,
    /// Its CPU time; absent if it ended during the run.
    pub cpu: Option<CpuReport>,
}

/// What the report cannot know from the record.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// Requests a second asked for.
    pub rate_asked: Option<u64>,
    /// Connections.
    pub connections: usize,
    /// Generator threads.
    pub threads: usize,
    /// CPU time of the generator.
    pub generator: Duration,
    /// CPU time of other processes.
    pub watched: Vec<(u32, Option<Duration>)>,
    /// Time between the two CPU readings.
    pub window: Duration,
}

impl Report {
    /// Sums up and judges.
    #[must_use]
    pub fn new(record: &Record, around: &Circumstances) -> Self {
        let elapsed_s = record.last_answer.as_secs_f64();
        let per_second = |n: u64| if elapsed_s > 0.0 { n as f64 / elapsed_s } else { 0.0 };
        let (answers, granted) = (record.answers(), record.granted.response.len());
        let cpu = |used: Duration| CpuReport {
            cpu_s: used.as_secs_f64(),
            us_per_answer: if answers == 0 { 0.0 } else { used.as_secs_f64() * 1e6 / answers as f64 },
            cores: used.as_secs_f64() / around.window.as_secs_f64().max(1e-3),
        };
        let mut counts: Vec<_> = record
            .counts
            .iter()
            .map(|count| CountReport {
                status: count.status,
                code: count.code.to_string(),
                answers: count.answers,
            })
            .collect();
        counts.sort_by_key(|count| std::cmp::Reverse(count.answers));
        let punctuality = record.punctuality;
        let mut report = Self {
            model: if around.rate_asked.is_some() { Model::Open } else { Model::Closed },
            rate_asked: around.rate_asked,
            connections: around.connections,
            threads: around.threads,
            elapsed_s,
            answers,
            answers_per_s: per_second(answers),
            granted,
            granted_per_s: per_second(granted),
            unknown: record.unknown_lines.len() as u64,
            counts,
            all: TimesReport::new(&record.all.response, &record.all.service),
            granted_times: (granted > 0)
                .then(|| TimesReport::new(&record.granted.response, &record.granted.service)),
            schedule: around.rate_asked.map(|_| ScheduleReport {
                scheduled: punctuality.scheduled,
                late_generator: punctuality.late_generator,
                late_connections: punctuality.late_connections,
                dropped: punctuality.dropped,
            }),
            mishaps: record.mishaps.into(),
            generator_cpu: cpu(around.generator),
            cpu_of: around
                .watched
                .iter()
                .map(|&(pid, used)| ProcessCpuReport { pid, cpu: used.map(cpu) })
                .collect(),
            valid: true,
            invalid_because: Vec::new(),
            warnings: Vec::new(),
        };
        report.judge();
        report
    }

    fn judge(&mut self) {
        if self.answers == 0 {
            self.invalid_because.push("no request was answered".into());
        }
        if let Some(schedule) = self.schedule {
            let allowed = (schedule.scheduled / UNPUNCTUAL_ONE_IN).max(UNPUNCTUAL_MIN);
            if schedule.late_generator > allowed {
                let late = schedule.late_generator;
                self.invalid_because
                    .push(format!("the generator had no CPU to send {late} requests on time"));
            }
            if schedule.dropped > allowed {
                self.invalid_because.push(format!(
                    "{} requests never left: {} connections are too few for this rate and this service",
                    schedule.dropped, self.connections
                ));
            }
            if schedule.late_connections > allowed {
                self.warnings.push(format!(
                    "{} requests left late because all connections waited; response times count the wait",
                    schedule.late_connections
                ));
            }
        }
        if self.generator_cpu.cores > SATURATED_CPU * self.threads as f64 {
            self.warnings
                .push("the generator used all of its cores: it may be the limit, not the service".into());
        }
        if self.cpu_of.iter().any(|process| process.cpu.is_none()) {
            self.warnings.push("a process named by --cpu-of ended during the run".into());
        }
        self.valid = self.invalid_because.is_empty();
    }

    /// The report for people.
    ///
    /// # Errors
    /// Never in practice: text is written to memory.
    pub fn text(&self) -> Result<String> {
        let mut out = String::new();
        let model = match (self.model, self.rate_asked) {
            (Model::Open, Some(rate)) => format!("open model at {rate}/s"),
            _ => "closed model (each connection waits for its answer; a slow service slows the load)"
                .to_owned(),
        };
        writeln!(out, "{model}, {} connections, {} threads", self.connections, self.threads)?;
        writeln!(
            out,
            "{:<12} {:>12}  in {:.2} s = {:.0}/s",
            "answers", self.answers, self.elapsed_s, self.answers_per_s
        )?;
        writeln!(out, "{:<12} {:>12}  = {:.0}/s", "granted", self.granted, self.granted_per_s)?;
        for count in &self.counts {
            writeln!(out, "  {} {:<22} {:>10}", count.status, count.code, count.answers)?;
        }
        writeln!(out, "{:<12} {:>12}", "unknown", self.unknown)?;
        writeln!(out, "{:<28} {:>9} {:>9} {:>9} {:>9} {:>9}", "ms", "p50", "p90", "p99", "p99.9", "max")?;
        self.all.write(&mut out, "all")?;
        if let Some(times) = &self.granted_times {
            times.write(&mut out, "granted")?;
        }
        if let Some(schedule) = &self.schedule {
            writeln!(
                out,
                "schedule: {} due, {} late (generator), {} late (connections busy), {} dropped",
                schedule.scheduled, schedule.late_generator, schedule.late_connections, schedule.dropped
            )?;
        }
        let m = &self.mishaps;
        writeln!(
            out,
            "connections: {} failed, {} reopened; {} replies lost, {} retries, {} unsent",
            m.connect_failures, m.reconnects, m.lost_replies, m.retries, m.unsent
        )?;
        let own = self.generator_cpu;
        writeln!(out, "CPU of the generator: {:.2} µs an answer, {:.2} cores", own.us_per_answer, own.cores)?;
        for process in &self.cpu_of {
            match process.cpu {
                Some(cpu) => writeln!(
                    out,
                    "CPU of process {}: {:.2} µs an answer, {:.2} cores",
                    process.pid, cpu.us_per_answer, cpu.cores
                )?,
                None => writeln!(out, "CPU of process {}: it ended", process.pid)?,
            }
        }
        for warning in &self.warnings {
            writeln!(out, "warning: {warning}")?;
        }
        for cause in &self.invalid_because {
            writeln!(out, "INVALID RUN: {cause}")?;
        }
        Ok(out)
    }
}

impl TimesReport {
    fn new(response: &Histogram<u64>, service: &Histogram<u64>) -> Self {
        Self { response: Percentiles::new(response), service: Percentiles::new(service) }
    }

    fn write(&self, out: &mut String, name: &str) -> Result<()> {
        for (view, p) in [("from intended start", self.response), ("from send", self.service)] {
            let label = format!("{name}, {view}");
            writeln!(
                out,
                "{label:<28} {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>9.3}",
                p.p50_ms, p.p90_ms, p.p99_ms, p.p999_ms, p.max_ms
            )?;
        }
        Ok(())
    }
}

impl Percentiles {
    fn new(times: &Histogram<u64>) -> Self {
        let at = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: times.max() as f64 / 1e3,
            mean_ms: times.mean() / 1e3,
        }
    }
}

impl From<Mishaps> for MishapsReport {
    fn from(mishaps: Mishaps) -> Self {
        Self {
            connect_failures: mishaps.connect_failures,
            reconnects: mishaps.reconnects,
            lost_replies: mishaps.lost_replies,
            retries: mishaps.retries,
            unreadable_claims: mishaps.unreadable_claims,
            unsent: mishaps.unsent,
        }
    }
}
