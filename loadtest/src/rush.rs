//! Wires one run together: tickets, threads, progress, report.

use std::{
    fs,
    sync::{
        Arc, Barrier, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};

use crate::{
    claims_log::ClaimsLog,
    cli::RushArgs,
    client::target::Target,
    cpu::{self, CpuWatch},
    progress::Progress,
    record::Record,
    report::{Circumstances, Report},
    tickets::{TicketBook, TicketUse},
    worker::{Meter, Plan, Post, StartLine},
};

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How often the end of the threads is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Runs a rush and tells its result; returns whether the run was valid.
///
/// # Errors
/// The tickets cannot be read, an output cannot be written, or the generator itself failed.
pub fn run(args: &RushArgs) -> Result<bool> {
    let plan = plan(args)?;
    let usage = TicketUse { skip: args.skip, requests_max: args.requests, repeat: args.repeat };
    let book = Arc::new(TicketBook::read(&args.tickets, usage)?);
    let threads = args.threads.unwrap_or_else(cores).min(plan.connections).max(1);
    let log = args.claims_log.as_deref().map(ClaimsLog::create).transpose()?;

    let address = plan.target.address;
    let run = Run::start(args, &plan, &book, threads, log.as_ref())?;
    let Some((record, around)) = run.finish(args, threads)? else {
        eprintln!("INVALID RUN: nothing accepts connections at {address}");
        return Ok(false);
    };

    if let Some(log) = log {
        log.finish(&record.unknown_lines)?;
    }
    let report = Report::new(&record, &around);
    print!("{}", report.text()?);
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&report)?;
        fs::write(path, json + "\n").with_context(|| format!("{}", path.display()))?;
    }
    Ok(report.valid)
}

fn plan(args: &RushArgs) -> Result<Plan> {
    let path = args.path.clone().unwrap_or_else(|| format!("/v1/drops/{}/claims", args.drop));
    let retry_unknown_for = if args.retry_unknown { args.retry_for } else { Duration::ZERO };
    Ok(Plan {
        target: Target::new(&args.target, args.method.clone(), &path)?,
        connections: args.connections(),
        per_second: args.rate,
        duration: args.duration,
        grace: args.grace,
        reply_wait: args.reply_wait,
        retry_unknown_for,
        retry_busy: args.retry_busy,
    })
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// A run under way.
struct Run {
    line: Arc<StartLine>,
    meters: Vec<Arc<Meter>>,
    workers: Vec<JoinHandle<Result<Record>>>,
}

impl Run {
    fn start(
        args: &RushArgs,
        plan: &Plan,
        book: &Arc<TicketBook>,
        threads: usize,
        log: Option<&ClaimsLog>,
    ) -> Result<Self> {
        let line = Arc::new(StartLine {
            connected: Barrier::new(threads + 1),
            go: Barrier::new(threads + 1),
            at: OnceLock::new(),
            open: AtomicU64::new(0),
        });
        let mut run = Self { line: Arc::clone(&line), meters: Vec::new(), workers: Vec::new() };
        for share in 0..threads {
            let meter = Arc::new(Meter::default());
            run.meters.push(Arc::clone(&meter));
            let (book, line) = (Arc::clone(book), Arc::clone(&line));
            // Uri and header values share reference counts: each thread has a target of its own.
            let mut plan = plan.clone();
            plan.target = plan.target.unshared()?;
            let pen = log.map(|log| log.pen(vec![args.drop.clone()]));
            let post = Post { share, shares: threads, plan, book, pen, meter, line };
            let name = format!("rush-{share}");
            run.workers.push(thread::Builder::new().name(name).spawn(move || post.run())?);
        }
        Ok(run)
    }

    /// Lets the threads go and waits for them; `None` if nothing could be connected to.
    fn finish(self, args: &RushArgs, threads: usize) -> Result<Option<(Record, Circumstances)>> {
        self.line.connected.wait();
        let open = self.line.open.load(Ordering::Relaxed);
        let watch = CpuWatch::start(&args.cpu_of);
        let own_before = cpu::used_by_self();
        let start = Instant::now();
        if open > 0 && watch.is_ok() {
            // Not set: the threads end at once.
            let _first = self.line.at.set(start);
        }
        self.line.go.wait();
        let record = self.watch(args, start)?;
        let watch = watch?;
        if open == 0 {
            return Ok(None);
        }
        let around = Circumstances {
            rate_asked: args.rate,
            connections: args.connections(),
            threads,
            generator: cpu::used_by_self().saturating_sub(own_before),
            watched: watch.since(),
            window: start.elapsed(),
        };
        Ok(Some((record, around)))
    }

    fn watch(self, args: &RushArgs, start: Instant) -> Result<Record> {
        let mut progress = Progress::start(self.meters, args.duration, start, args.quiet);
        let mut tell_at = start + TELL_EVERY;
        while !self.workers.iter().all(JoinHandle::is_finished) {
            thread::sleep(LOOK_EVERY);
            if Instant::now() >= tell_at {
                progress.tick();
                tell_at += TELL_EVERY;
            }
        }
        progress.finish();
        let mut whole = Record::new()?;
        for worker in self.workers {
            whole.merge(&worker.join().map_err(|_| anyhow!("a generator thread broke"))??)?;
        }
        whole.unknown_lines.sort_unstable();
        Ok(whole)
    }
}
