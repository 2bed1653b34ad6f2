//! All workers of a run together, used like the engine of one process.
//!
//! [`Fleet::connect`], [`Fleet::prepare`], [`PreparedFleet::start`], [`RunningFleet::join`]. Owns the share of each
//! worker and the one start moment. Every call here blocks; the workers are followed in the background from
//! `prepare` on.

use std::{
    collections::HashSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    runtime::{self, Runtime},
    task::JoinSet,
};

use super::{
    client::{Call, Link, body},
    clock::{AnchoredClock, Offset, ROUND_TRIPS, Sample},
    crew::Crew,
    follow::Wish,
    merged_log::MergedLog,
    protocol::{
        About, ClockReading, JOB_BYTES_MAX, Order, Outcome, REPLY_BYTES_MAX, START_AFTER, StartAt,
        TRANSFER_WAIT, Taken, VERSION,
    },
    token::Token,
};
use crate::{
    clock::unix_now,
    engine::{Job, MeterReading, Place, job::SLOTS_MAX},
    results::{Cpu, WorkerResult},
    tally::Tally,
};

/// The most workers of one run.
const WORKERS_MAX: usize = 256;

/// Workers that have been reached and take a job.
pub struct Fleet {
    runtime: Runtime,
    workers: Vec<Worker>,
}

/// One worker.
struct Worker {
    address: String,
    threads: usize,
    link: Link,
}

impl Fleet {
    /// Reaches every worker.
    ///
    /// # Errors
    /// An address is none or stands twice, or a worker cannot be reached, refuses the token, has another version or
    /// is busy; the error names it.
    pub fn connect(addresses: &[String], token: &Token) -> Result<Self> {
        ensure!(!addresses.is_empty(), "no worker is named");
        ensure!(addresses.len() <= WORKERS_MAX, "a run has at most {WORKERS_MAX} workers");
        let mut known = HashSet::new();
        let twice = addresses.iter().find(|address| !known.insert(address.as_str()));
        if let Some(address) = twice {
            bail!("worker {address} is named twice");
        }
        let links: Vec<_> =
            addresses.iter().map(|address| Link::new(address, token)).collect::<Result<_>>()?;
        // Two threads: a worker is followed also while another's megabytes are written or read.
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("workers")
            .enable_all()
            .build()?;
        let mut workers = Vec::with_capacity(addresses.len());
        for (address, mut link) in addresses.iter().zip(links) {
            let about = runtime.block_on(greet(&mut link)).with_context(|| format!("worker {address}"))?;
            workers.push(Worker { address: address.clone(), threads: about.threads, link });
        }
        Ok(Self { runtime, workers })
    }

    /// Generator threads over all workers.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.iter().map(|worker| worker.threads).sum()
    }

    /// Gives each worker its share of `job`, whose place and threads are replaced, and waits until all have opened
    /// their connections. The claims of all go to one log.
    ///
    /// # Errors
    /// The log cannot be created, the job is too long, or a worker cannot do its share; the error names it. The
    /// others are let go.
    pub fn prepare(self, mut job: Job, claims_log: Option<&Path>) -> Result<PreparedFleet> {
        let log = claims_log.map(MergedLog::create).transpose()?.map(Arc::new);
        let mut prepared = PreparedFleet { crew: Crew::new(self.runtime), links: Vec::new() };
        job.place = Place { first: 0, of: self.workers.iter().map(|worker| worker.threads).sum() };
        for worker in self.workers {
            job.threads = worker.threads;
            prepared.hand_over(worker, &job, log.as_ref())?;
            job.place.first += job.threads;
        }
        drop(job);
        prepared.crew.wait_until_ready()?;
        Ok(prepared)
    }
}

/// Asks who is there, and whether it can be of use.
async fn greet(link: &mut Link) -> Result<About> {
    let about: About = link.ask(Call::get("/v1/worker")).await?;
    ensure!(
        about.version == VERSION,
        "has version {} and this coordinator {VERSION}: use the same on all machines",
        about.version
    );
    ensure!(about.free, "is busy with another job");
    let threads = about.threads;
    ensure!(
        (1..=SLOTS_MAX).contains(&threads),
        "offers {threads} threads, where 1 to {SLOTS_MAX} are possible"
    );
    Ok(about)
}

/// Workers whose connections stand, waiting for their start.
///
/// Workers of a fleet that is dropped without a start free themselves after ten seconds.
pub struct PreparedFleet {
    crew: Crew,
    /// A second way to each worker, in the order of the crew, beside that of its follower.
    links: Vec<Link>,
}

impl PreparedFleet {
    /// Gives a worker its share and follows it.
    fn hand_over(&mut self, worker: Worker, job: &Job, log: Option<&Arc<MergedLog>>) -> Result<()> {
        let Worker { address, threads, mut link } = worker;
        let handed_over = self.order(&mut link, &Order { keep_claims: log.is_some(), job });
        match handed_over.with_context(|| format!("worker {address}")) {
            Ok(path) => {
                self.links.push(link.another());
                self.crew.follow(address, threads, path, link, log.cloned());
                Ok(())
            }
            Err(error) => Err(self.crew.dissolve(error)),
        }
    }

    fn order(&self, link: &mut Link, order: &Order<&Job>) -> Result<String> {
        order.job.check()?;
        let body = body(order)?;
        let mebibytes = JOB_BYTES_MAX >> 20;
        ensure!(
            body.len() <= JOB_BYTES_MAX,
            "its job has {} bytes, at most {mebibytes} MiB are sent: let tickets be minted from a key",
            body.len()
        );
        let call = Call::post("/v1/jobs", body).transfer(REPLY_BYTES_MAX, TRANSFER_WAIT);
        let Taken { id } = self.crew.runtime.block_on(link.ask(call))?;
        Ok(format!("/v1/jobs/{id}"))
    }

    /// Connections that stand, over all workers.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        self.crew
            .sum(|progress| Some(progress.open_connections), |sum, one| *sum = sum.saturating_add(one))
            .unwrap_or(0)
    }

    /// From the start to the last moment at which an arrival can be due.
    #[must_use]
    pub fn planned(&self) -> Duration {
        self.crew
            .sum(|progress| Some(progress.planned), |most, one| *most = one.max(*most))
            .unwrap_or_default()
    }

    /// Compares the clocks and lets all workers go at one instant, a second from now.
    ///
    /// # Errors
    /// A worker failed since it was prepared, or does not take the start; the error names it. All are let go then.
    pub fn start(mut self) -> Result<RunningFleet> {
        self.crew.check()?;
        let clock = AnchoredClock::new(unix_now);
        let mut offsets = Vec::with_capacity(self.links.len());
        for (link, member) in self.links.iter_mut().zip(&self.crew.members) {
            let offset = self.crew.runtime.block_on(measure(link, &clock));
            match offset.with_context(|| format!("worker {}: its clock", member.address)) {
                Ok(offset) => offsets.push(offset),
                Err(error) => return Err(self.crew.dissolve(error)),
            }
        }
        let at = Instant::now() + START_AFTER;
        if let Err(error) = self.start_all(clock.time_of(at), &offsets) {
            return Err(self.crew.dissolve(error));
        }
        self.crew.check()?;
        Ok(RunningFleet { crew: self.crew, offsets, started_at: at })
    }

    /// Tells all workers at the same time: the start is near.
    fn start_all(&mut self, at: Duration, offsets: &[Offset]) -> Result<()> {
        let mut calls = JoinSet::new();
        let links = self.links.drain(..);
        for ((mut link, member), offset) in links.zip(&self.crew.members).zip(offsets) {
            let named = format!("worker {}: its start", member.address);
            let at_unix_ns = offset.there_ns(at).with_context(|| format!("{named}: its clock is far off"))?;
            let call = Call::post(format!("{}/start", member.job), body(&StartAt { at_unix_ns })?);
            let start = async move { link.call(call).await.map_err(anyhow::Error::from).context(named) };
            calls.spawn_on(start, self.crew.runtime.handle());
        }
        self.crew.runtime.block_on(async {
            while let Some(told) = calls.join_next().await {
                told??;
            }
            Ok(())
        })
    }
}

/// Compares a worker's clock with this one.
async fn measure(link: &mut Link, clock: &AnchoredClock) -> Result<Offset> {
    let mut samples = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let asked = clock.now();
        let ClockReading { unix_ns } = link.ask(Call::get("/v1/clock")).await?;
        samples.push(Sample { asked, other: Duration::from_nanos(unix_ns), known: clock.now() });
    }
    Offset::best(&samples).context("there are samples")
}

/// Workers under way.
pub struct RunningFleet {
    crew: Crew,
    offsets: Vec<Offset>,
    started_at: Instant,
}

impl RunningFleet {
    /// The instant at which all workers start; up to a second ahead.
    #[must_use]
    pub fn started_at(&self) -> Instant {
        self.started_at
    }

    /// What all workers together have done so far, at most about 250 ms old; `None` before the first has told.
    #[must_use]
    pub fn meter(&self) -> Option<MeterReading> {
        self.crew.sum(
            |progress| progress.meter.clone(),
            |sum, one| {
                // Two workers of one version tell times apart by the same digits.
                let _same = sum.merge(&one);
            },
        )
    }

    /// Whether all workers have given their results or failed.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.crew.members.iter().all(|member| member.follower.is_finished())
    }

    /// Lets no new arrival go; answers under way are waited for.
    pub fn stop(&self) {
        self.crew.wish.send_replace(Wish::Stop);
    }

    /// Ends the job of every worker at once; what they have counted is still fetched.
    pub fn halt(&self) {
        self.crew.wish.send_replace(Wish::Halt);
    }

    /// Waits for the workers and adds up what they counted.
    ///
    /// # Errors
    /// A worker failed: the run says nothing, and the error names the worker. The others were stopped; the claims
    /// that were seen stand in the claims log.
    pub fn join(self) -> Result<(Tally, Vec<WorkerResult>)> {
        let Self { crew, offsets, .. } = self;
        let Crew { runtime, members, failure, .. } = crew;
        let mut tally: Option<Tally> = None;
        let mut results = Vec::with_capacity(members.len());
        for (member, offset) in members.into_iter().zip(offsets) {
            let Some(outcome) = runtime.block_on(member.follower)? else { continue };
            match &mut tally {
                Some(tally) => tally
                    .merge(&outcome.tally)
                    .with_context(|| format!("worker {}: its counts", member.address))?,
                None => tally = Some(outcome.tally.clone()),
            }
            results.push(WorkerResult {
                address: member.address,
                threads: member.threads,
                clock_offset_us: offset.micros(),
                clock_error_us: u64::try_from(offset.error.as_micros()).unwrap_or(u64::MAX),
                cpu: cpu(&outcome),
            });
        }
        if let Some(failure) = failure.get() {
            return Err(failure.to_error());
        }
        Ok((tally.context("there is no worker")?, results))
    }
}

/// The CPU of one worker, beside its own answers and its own time.
fn cpu(outcome: &Outcome) -> Cpu {
    let personas = outcome.tally.personas.iter();
    let answers: u64 = personas.flat_map(|persona| persona.counts.iter().map(|(_, answers)| answers)).sum();
    let per = |whole: f64, parts: f64| if parts > 0.0 { whole / parts } else { 0.0 };
    let cpu_s = outcome.cpu.as_secs_f64();
    Cpu {
        cpu_s,
        us_per_answer: per(cpu_s * 1e6, answers as f64),
        cores: per(cpu_s, outcome.tally.last_answer.as_secs_f64()),
    }
}
