//! Runs one process' share of a scenario and counts what came of it.
//!
//! [`prepare`] starts the threads and opens the connections; [`Prepared::start`] lets them go at a common instant;
//! [`Running::join`] gives the [`Tally`]. Arrival n of the run is due when the schedule says, whatever the service
//! does; thread slot s of S takes the arrivals with n mod S = s, in the closed model whoever is free takes the next.
//! Its persona, drop and person follow from the seed and n alone, so that a run is the same for any number of threads
//! and processes.
//!
//! In the order in which a run meets them:
//!
//! - [`job`], `key_file`: what is to be done, with what is needed from files
//! - [`stock`]: tickets of all sorts
//! - `limits`: whether the system has room for it
//! - `thread`, `timer`, `turns`: one thread slot and its part of the schedule
//! - `plan`, `desk`, `pacer`: what the connections of a thread share, and how arrivals find a free one
//! - `caller`, `sessions`: connections that are kept, and personas with connections of their own
//! - `errand`: one claim on its way; `bot`, `refresher`, `slowloris`: those who do more than claim
//! - `counting`, [`meter`]: what is counted, and what of it is shown meanwhile
//!
//! Knows nothing of screens, files of results or verdicts.

mod bot;
mod caller;
mod counting;
mod desk;
mod errand;
pub mod job;
mod key_file;
mod limits;
pub mod meter;
mod pacer;
mod plan;
mod refresher;
mod sessions;
mod slowloris;
pub mod stock;
mod thread;
mod timer;
mod turns;

use std::{
    sync::{
        Arc,
        mpsc::{self, Sender},
    },
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use tokio::sync::watch;

use self::{
    meter::Meter,
    plan::DropTargets,
    stock::Stock,
    thread::{Post, Wish},
    turns::Turns,
};
use crate::{
    claims_log::ClaimsLog,
    client::link::Way,
    scenario::{Behaviour, Scenario, TicketMix},
    schedule::Schedule,
    tally::{INTERVAL_DIGITS, Tally, Times, interval_for},
};

pub(crate) use self::desk::pretended;
pub use self::{
    job::{Job, Place, Supply},
    meter::{MeterReading, PersonaReading},
};

/// A process' share, connected and waiting for its start. Given up, its threads end.
pub struct Prepared {
    crew: Crew,
    open_connections: u64,
}

/// A process' share under way.
pub struct Running(Crew);

/// The threads of a share, and what belongs to all of them.
struct Crew {
    workers: Vec<Worker>,
    wish: watch::Sender<Wish>,
    log: Option<ClaimsLog>,
    planned: Duration,
    no_times: Times,
}

/// One thread, seen from outside.
struct Worker {
    thread: JoinHandle<Result<Tally>>,
    go: Sender<Instant>,
    meter: Arc<Meter>,
}

/// Starts the threads of a job and opens their connections. Claims that clients see go to `log`.
///
/// # Errors
/// The job contradicts itself, its service has no address, or the system has too few descriptors or ports for it.
pub fn prepare(job: Job, log: Option<ClaimsLog>) -> Result<Prepared> {
    job.check()?;
    let trace = job.trace.map(Arc::from);
    let schedule = Schedule::new(&job.scenario.arrivals, job.scenario.seed, trace)?;
    let planned = schedule.planned_length();
    let targets = DropTargets::of_all(&job.scenario)?;
    let address = targets.first().context("a scenario needs at least one drop")?.claim.address;
    let slow = job.scenario.connections.slow.clone();
    let way = Way { address, from: None, slow };
    limits::make_room(&job.scenario, job.place, job.threads)?;

    let ids: Vec<_> = job.scenario.drops.iter().map(|drop| drop.id.clone()).collect();
    let drops: Vec<_> = ids.iter().map(String::as_str).collect();
    let stock = Arc::new(Stock::new(job.supply, &drops, planned)?);
    check_bots(&job.scenario, &stock, &way)?;

    let scenario = Arc::new(job.scenario);
    let turns = Arc::new(Turns::new(job.place, job.threads));
    let (ready, readies) = mpsc::channel();
    let (wish, wished) = watch::channel(Wish::GoOn);
    let mut workers = Vec::with_capacity(job.threads);
    for slot in job.place.first..job.place.first + job.threads {
        let (meter, (go, wait_for_go)) = (Arc::new(Meter::default()), mpsc::channel());
        let post = Post {
            scenario: Arc::clone(&scenario),
            schedule: schedule.share(slot as u64, job.place.of as u64),
            stock: Arc::clone(&stock),
            targets: targets.clone(),
            way: way.clone(),
            slot,
            slots: job.place.of,
            planned,
            interval: interval_for(planned),
            turns: Arc::clone(&turns),
            pen: log.as_ref().map(|log| log.pen(ids.clone())),
            meter: Arc::clone(&meter),
            ready: Some(ready.clone()),
            go: wait_for_go,
            wish: wished.clone(),
        };
        let thread = Builder::new().name(format!("load-{slot}")).spawn(move || post.run())?;
        workers.push(Worker { thread, go, meter });
    }
    drop(ready);
    let crew = Crew { workers, wish, log, planned, no_times: Times::new(INTERVAL_DIGITS)? };
    // Every thread lets go of its sender, even one that breaks; its error comes with the end.
    Ok(Prepared { crew, open_connections: readies.iter().sum() })
}

/// Whether all bots can have their tickets and addresses.
fn check_bots(scenario: &Scenario, stock: &Stock, way: &Way) -> Result<()> {
    for persona in &scenario.personas {
        let Behaviour::Bot { addresses, tickets, .. } = &persona.behaviour else { continue };
        let TicketMix { expired, foreign, .. } = tickets;
        ensure!(
            stock.makes_all_sorts() || (*expired == 0 && *foreign == 0),
            "persona {}: only tickets minted here can be expired or foreign",
            persona.title()
        );
        let other = addresses.iter().find(|address| address.is_ipv4() != way.address.is_ipv4());
        if let Some(other) = other {
            return Err(anyhow!("persona {}: nobody reaches {} from {other}", persona.title(), way.address));
        }
    }
    Ok(())
}

impl Prepared {
    /// Connections that stand. None means that nothing accepts connections there. Where each request has a
    /// connection of its own, each thread tried one.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        self.open_connections
    }

    /// From the start to the last moment at which an arrival can be due.
    #[must_use]
    pub fn planned(&self) -> Duration {
        self.crew.planned
    }

    /// Lets the threads go at this instant.
    #[must_use]
    pub fn start(self, at: Instant) -> Running {
        for worker in &self.crew.workers {
            // A thread that has gone gives its own error when it is waited for.
            let _gone = worker.go.send(at);
        }
        Running(self.crew)
    }
}

impl Running {
    /// What has happened so far. Cheap enough to be asked for several times a second.
    #[must_use]
    pub fn meter(&self) -> MeterReading {
        MeterReading::of(self.0.workers.iter().map(|worker| &*worker.meter), &self.0.no_times)
    }

    /// Whether all threads have ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.workers.iter().all(|worker| worker.thread.is_finished())
    }

    /// Lets no new arrival go; answers under way are waited for.
    pub fn stop(&self) {
        // Threads that have ended need not be told.
        let _ended = self.0.wish.send(Wish::Stop);
    }

    /// Ends the threads at once. Claims under way stay unknown, and are noted as such.
    pub fn halt(&self) {
        let _ended = self.0.wish.send(Wish::Halt);
    }

    /// Waits for the threads, adds up what they counted, and closes the claims log.
    ///
    /// # Errors
    /// A thread broke; or the claims log could not be written, which is an [`Unwritten`](crate::claims_log::Unwritten).
    pub fn join(self) -> Result<Tally> {
        let Crew { workers, log, .. } = self.0;
        let tallies: Vec<Result<Tally>> = workers
            .into_iter()
            .map(|worker| worker.thread.join().map_err(|_| anyhow!("a generator thread broke"))?)
            .collect();
        // A thread that could not note a claim does not know why: the log does.
        log.map_or(Ok(()), ClaimsLog::finish)?;
        let mut whole: Option<Tally> = None;
        for tally in tallies {
            let tally = tally?;
            match &mut whole {
                Some(whole) => whole.merge(&tally)?,
                None => whole = Some(tally),
            }
        }
        whole.context("a job needs at least one thread")
    }
}
