//! One measurement: a rush in a process of its own against what stands on the stage.

use std::{
    env, fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use super::{
    contender::{Contender, Stage},
    process::Started,
    service::{self, DROP, SOLD_OUT_DROP},
    setup::Workshop,
};
use crate::{
    cpu::{self, CpuWatch},
    results::{CLOSED_MODEL, ProcessCpu, Results, Verdict},
};

/// How long a contender is warmed up.
const WARM_UP: Duration = Duration::from_secs(1);
/// One part in this many of the tickets is for the warm-up.
const WARM_UP_SHARE: u64 = 8;
/// Statuses that a contender may answer with and still count.
const FINE: [u16; 3] = [200, 201, 410];

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// Who.
    pub contender: Contender,
    /// The round, from 1.
    pub round: u32,
    /// Connections.
    pub connections: usize,
    /// Answers a second.
    pub per_s: f64,
    /// CPU of all its processes an answer, in microseconds.
    pub cpu_us: f64,
    /// CPU of the generator an answer, in microseconds.
    pub generator_cpu_us: f64,
    /// 99 % of the answers took no longer, in milliseconds.
    pub p99_ms: f64,
    /// What the run warned of, beside its being a closed model.
    pub warnings: Vec<String>,
}

/// The load on one stage.
pub struct Load<'a> {
    stage: &'a Stage,
    workshop: &'a Workshop<'a>,
    contender: Contender,
    tickets: PathBuf,
    drop: &'static str,
    /// Tickets that are used up.
    used: u64,
    /// Claims granted so far.
    pub granted: u64,
    /// Claims granted in the last measurement.
    pub last_granted: u64,
    /// Its length in seconds.
    pub last_elapsed_s: f64,
    /// Its end.
    pub ended_at: Instant,
}

impl<'a> Load<'a> {
    /// A load that has used no ticket yet.
    #[must_use]
    pub fn new(stage: &'a Stage, workshop: &'a Workshop<'a>, contender: Contender) -> Self {
        let (tickets, drop) = match contender {
            Contender::Claimrush | Contender::Ack(..) => (service::ticket_file(workshop, DROP), DROP),
            Contender::SoldOut => (service::ticket_file(workshop, SOLD_OUT_DROP), SOLD_OUT_DROP),
            _ => (workshop.tickets.clone(), "peer"),
        };
        Self {
            stage,
            workshop,
            contender,
            tickets,
            drop,
            used: 0,
            granted: 0,
            last_granted: 0,
            last_elapsed_s: 0.0,
            ended_at: Instant::now(),
        }
    }

    /// Lets the contender reach its working state.
    ///
    /// # Errors
    /// See [`Load::measure`].
    pub fn warm_up(&mut self) -> Result<()> {
        let tickets = self.workshop.ticket_count / WARM_UP_SHARE;
        self.rush(*self.contender.connections().first().unwrap_or(&1), WARM_UP, tickets).map(drop)
    }

    /// Measures once.
    ///
    /// # Errors
    /// The run is invalid, something else than claims was answered, or one of the contender's processes has ended.
    pub fn measure(&mut self, round: u32, connections: usize) -> Result<Sample> {
        if self.contender == Contender::EchoByWrk {
            return self.wrk(round, connections);
        }
        let turns = self.contender.connections().len() as u64;
        let tickets = (self.workshop.ticket_count - self.workshop.ticket_count / WARM_UP_SHARE) / turns;
        let results = self.rush(connections, self.workshop.args.duration(), tickets)?;
        let cpu_us = cpu_us(&results.cpu_of)?;
        let times = results.total.times.context("nothing was answered")?;
        Ok(Sample {
            contender: self.contender,
            round,
            connections,
            per_s: results.total.answers_per_s,
            cpu_us,
            generator_cpu_us: results.generator_cpu.us_per_answer,
            p99_ms: times.service.p99_ms,
            warnings: warnings(results.verdict),
        })
    }

    fn rush(&mut self, connections: usize, duration: Duration, tickets: u64) -> Result<Results> {
        let json = self.workshop.path("rush.json");
        let before = self.stage.redis.as_ref().map(super::setup::RedisServer::granted).transpose()?;
        let mut command = Command::new(env::current_exe()?);
        command.args(["rush", "--quiet", "--drop", self.drop]);
        command.args(["--target", &format!("http://{}", self.stage.address)]);
        command.arg("--tickets").arg(&self.tickets).arg("--json").arg(&json);
        command.args(["--connections", &connections.to_string()]);
        command.args(["--duration", &duration.as_secs_f64().to_string()]);
        command
            .arg("--cpu-of")
            .arg(self.stage.watched.iter().map(u32::to_string).collect::<Vec<_>>().join(","));
        if self.contender.repeats_tickets() {
            command.arg("--repeat");
        } else {
            command.args(["--skip", &self.used.to_string(), "--requests", &tickets.to_string()]);
        }
        if let Some(path) = &self.stage.path {
            command.args(["--method", "GET", "--path", path]);
        }
        let log = self.workshop.log("rush");
        let status = Started::start("rush", &mut command, &log)?.wait()?;
        self.ended_at = Instant::now();
        ensure!(status.success(), "the rush failed ({status}): {}", fs::read_to_string(&log)?.trim());
        let results = Results::read(&json)?;
        self.used += tickets;
        self.granted += results.total.granted;
        (self.last_granted, self.last_elapsed_s) = (results.total.granted, results.elapsed_s);
        self.check(&results, before)?;
        Ok(results)
    }

    /// A contender that answers something else than claims is fast for the wrong reason.
    fn check(&self, results: &Results, granted_before: Option<u64>) -> Result<()> {
        let answers = results.total.answers;
        let wrong = results.total.counts.iter().find(|count| !FINE.contains(&count.status));
        if let Some(wrong) = wrong
            && wrong.answers * 1_000 > answers
        {
            bail!("{} of {answers} answers were {} {}", wrong.answers, wrong.status, wrong.code);
        }
        if let (Some(redis), Some(before)) = (&self.stage.redis, granted_before) {
            let granted = redis.granted()? - before;
            ensure!(granted >= answers, "{answers} answers, but only {granted} claims");
        }
        Ok(())
    }

    /// The same work by wrk, whose CPU is that of an ended child.
    fn wrk(&self, round: u32, connections: usize) -> Result<Sample> {
        let script = self.workshop.path("post.lua");
        fs::write(&script, "wrk.method = \"POST\"\n")?;
        let tickets = fs::read_to_string(&self.tickets)?;
        let ticket = tickets.lines().next().context("no ticket")?;
        let seconds = self.workshop.args.seconds.to_string();
        let mut command = Command::new("wrk");
        command.args(["--latency", "-t2", "-c", &connections.to_string(), "-d", &seconds, "-s"]);
        command.arg(&script).args(["-H", &format!("Authorization: Bearer {ticket}")]);
        command.arg(format!("http://{}/v1/drops/peer/claims", self.stage.address));
        let watch = CpuWatch::start(&self.stage.watched)?;
        let own_before = cpu::used_by_ended_children();
        let log = self.workshop.log("wrk");
        let status = Started::start("wrk", &mut command, &log)?.wait()?;
        ensure!(status.success(), "wrk failed: {status}");
        let generator = cpu::used_by_ended_children().saturating_sub(own_before);
        let used = |(pid, used): (u32, Option<Duration>)| {
            used.with_context(|| format!("process {pid} ended meanwhile"))
        };
        let server = watch.since().into_iter().map(used).sum::<Result<Duration>>()?;
        let said = WrkOutput::read(&fs::read_to_string(&log)?).context("wrk's output is not understood")?;
        let each_us = |used: Duration| used.as_secs_f64() * 1e6 / said.requests.max(1.0);
        Ok(Sample {
            contender: self.contender,
            round,
            connections,
            per_s: said.per_s,
            cpu_us: each_us(server),
            generator_cpu_us: each_us(generator),
            p99_ms: said.p99_ms,
            warnings: Vec::new(),
        })
    }
}

/// CPU an answer of all these processes, in microseconds. One that has ended has left no figure, and without it the sum
/// would be too small.
fn cpu_us(processes: &[ProcessCpu]) -> Result<f64> {
    let of_one = |process: &ProcessCpu| -> Result<f64> {
        let cpu = process.cpu.with_context(|| format!("process {} ended meanwhile", process.pid))?;
        Ok(cpu.us_per_answer)
    };
    processes.iter().map(of_one).sum()
}

/// What a verdict warns of beside what every run of a bench is: a closed model.
fn warnings(verdict: Verdict) -> Vec<String> {
    verdict.warnings.into_iter().filter(|warning| warning != CLOSED_MODEL).collect()
}

/// What wrk says.
#[derive(Debug, PartialEq)]
struct WrkOutput {
    requests: f64,
    per_s: f64,
    p99_ms: f64,
}

impl WrkOutput {
    fn read(text: &str) -> Option<Self> {
        let after =
            |start: &str| text.lines().find_map(|line| line.trim().strip_prefix(start)).map(str::trim);
        let requests =
            text.lines().find_map(|line| line.trim().split_once(" requests in"))?.0.parse().ok()?;
        let p99 = after("99%")?;
        let unit_ms = [("us", 1e-3), ("ms", 1.0), ("s", 1e3)];
        let p99_ms =
            unit_ms.iter().find_map(|(unit, ms)| Some(p99.strip_suffix(unit)?.parse::<f64>().ok()? * ms))?;
        Some(Self { requests, per_s: after("Requests/sec:")?.parse().ok()?, p99_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Cpu;

    #[test]
    fn a_process_that_has_ended_is_named_and_not_left_out_of_the_sum() {
        let used = |us_per_answer| Some(Cpu { us_per_answer, ..Cpu::default() });
        let mut processes =
            vec![ProcessCpu { pid: 7, cpu: used(2.0) }, ProcessCpu { pid: 8, cpu: used(0.5) }];
        assert!((cpu_us(&processes).unwrap() - 2.5).abs() < 1e-9);
        processes.push(ProcessCpu { pid: 9, cpu: None });
        assert_eq!(cpu_us(&processes).unwrap_err().to_string(), "process 9 ended meanwhile");
    }

    #[test]
    fn what_every_run_of_a_bench_is_is_no_warning() {
        let verdict = Verdict { warnings: vec![CLOSED_MODEL.into(), "busy".into()], ..Verdict::default() };
        assert_eq!(warnings(verdict), ["busy"]);
    }

    #[test]
    fn wrk_is_understood() {
        let text = "  Latency Distribution\n     50%    5.21ms\n     99%  812.00us\n  190883 requests in 4.01s, \
                    60.6MB read\nRequests/sec:  47602.14\nTransfer/sec:     15.12MB\n";
        let expected = WrkOutput { requests: 190_883.0, per_s: 47_602.14, p99_ms: 0.812 };
        assert_eq!(WrkOutput::read(text), Some(expected));
        assert_eq!(WrkOutput::read("unable to connect"), None);
    }
}
