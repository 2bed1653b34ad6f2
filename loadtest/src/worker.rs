//! One thread of connections.
//!
//! Owns a thread's runtime, the opening of its connections and the common start. Shares nothing with other threads
//! but the ticket book and a few counters.

use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc, Barrier, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{runtime, sync::Semaphore, task::JoinSet, time::sleep};

use crate::{
    arrivals::Arrivals,
    caller::{Caller, Desk},
    claims_log::Pen,
    client::{target::Target, wire::Wire},
    pacer::Pacer,
    record::Record,
    tickets::{TicketBook, TicketHand},
};

/// Connections of one thread that are opened at the same time: a listener's queue is short.
const CONNECTING_MAX: usize = 64;
/// How long the first connection may be tried for.
const FIRST_CONNECT_WAIT: Duration = Duration::from_secs(3);
/// The pause before the first connection is tried again.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);
/// How often a thread hands over its part of the claims log.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// Arrivals that may wait for a free connection: seconds of the rate, and at least some.
const BACKLOG_SECONDS: u64 = 10;
const BACKLOG_MIN: u64 = 1_024;

/// What all threads of a run do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where requests go.
    pub target: Target,
    /// Connections over all threads.
    pub connections: usize,
    /// Requests a second over all threads (open model); `None` is the closed model.
    pub per_second: Option<u64>,
    /// How long new requests leave.
    pub duration: Duration,
    /// How long after that answers are waited for.
    pub grace: Duration,
    /// How long one reply may take.
    pub reply_wait: Duration,
    /// How long a lost reply's ticket is sent again; zero for not at all.
    pub retry_unknown_for: Duration,
    /// Whether a busy answer (503 with `Retry-After`) is tried again.
    pub retry_busy: bool,
}

/// What the main thread sees of a thread while it runs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Meter {
    /// Answers so far.
    pub answers: AtomicU64,
    /// New claims so far.
    pub granted: AtomicU64,
    /// Lost replies so far.
    pub lost: AtomicU64,
}

/// The moment at which all threads start, agreed on once all are connected.
#[derive(Debug)]
pub struct StartLine {
    /// Reached when a thread has its connections.
    pub connected: Barrier,
    /// Reached when the start is known.
    pub go: Barrier,
    /// The start.
    pub at: OnceLock<Instant>,
    /// Connections that stand.
    pub open: AtomicU64,
}

/// One thread's place in a run.
pub struct Post {
    /// Its number, from 0.
    pub share: usize,
    /// The number of threads.
    pub shares: usize,
    /// The run's plan.
    pub plan: Plan,
    /// All tickets.
    pub book: Arc<TicketBook>,
    /// Its part of the claims log, if there is one.
    pub pen: Option<Pen>,
    /// What the main thread sees.
    pub meter: Arc<Meter>,
    /// The common start.
    pub line: Arc<StartLine>,
}

impl Post {
    /// This thread's connections.
    fn connections(&self) -> usize {
        self.plan.connections / self.shares + usize::from(self.share < self.plan.connections % self.shares)
    }

    /// Runs this thread's part on a runtime of its own.
    ///
    /// # Errors
    /// The runtime or its timer cannot be made, or the claims log cannot be written.
    pub fn run(self) -> Result<Record> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(runtime::LocalOptions::default())
            .context("runtime")?;
        let wires = runtime.block_on(connect_all(self.plan.target.address, self.connections()));
        self.line.open.fetch_add(wires.iter().flatten().count() as u64, Ordering::Relaxed);
        self.line.connected.wait();
        self.line.go.wait();
        let Some(&start) = self.line.at.get() else { return Record::new() };
        runtime.block_on(self.work(wires, start))
    }

    async fn work(self, wires: Vec<Option<Wire>>, start: Instant) -> Result<Record> {
        let until = start + self.plan.duration;
        let share = Arrivals::even(self.plan.per_second.unwrap_or(1), self.share as u64, self.shares as u64);
        let backlog = self.plan.per_second.unwrap_or(0).saturating_mul(BACKLOG_SECONDS).max(BACKLOG_MIN);
        let backlog = usize::try_from(backlog).unwrap_or(usize::MAX) / self.shares;
        let desk = Rc::new(Desk {
            start,
            until,
            give_up_at: until + self.plan.grace,
            hand: RefCell::new(TicketHand::new(self.book)),
            record: RefCell::new(Record::new()?),
            pen: RefCell::new(self.pen),
            fault: RefCell::new(None),
            pacer: self.plan.per_second.map(|_| Pacer::new(backlog)),
            meter: self.meter,
            plan: self.plan,
        });
        let mut connections = JoinSet::new();
        for wire in wires {
            connections.spawn_local(Caller { desk: Rc::clone(&desk), wire, ticket_used: false }.run());
        }
        let flushing = tokio::task::spawn_local(flush_regularly(Rc::clone(&desk)));
        if let Some(pacer) = &desk.pacer {
            pacer.run(share, start, until).await.context("pacer")?;
        }
        while connections.join_next().await.is_some() {}
        flushing.abort();
        desk.finish()
    }
}

/// Opens connections, a few at a time; `None` for those that could not be opened in time.
async fn connect_all(address: SocketAddr, connections: usize) -> Vec<Option<Wire>> {
    let give_up_at = Instant::now() + FIRST_CONNECT_WAIT;
    let turns = Rc::new(Semaphore::new(CONNECTING_MAX));
    let mut opening = JoinSet::new();
    for _ in 0..connections {
        let turns = Rc::clone(&turns);
        opening.spawn_local(async move {
            let _turn = turns.acquire().await.ok()?;
            loop {
                match Wire::open(address).await {
                    Ok(wire) => return Some(wire),
                    Err(_) if Instant::now() >= give_up_at => return None,
                    Err(_) => sleep(CONNECT_PAUSE).await,
                }
            }
        });
    }
    let mut wires = Vec::with_capacity(connections);
    while let Some(opened) = opening.join_next().await {
        wires.push(opened.ok().flatten());
    }
    wires
}

/// Hands over each second's claims, so that a killed generator leaves a log of almost all that it saw.
async fn flush_regularly(desk: Rc<Desk>) {
    loop {
        sleep(FLUSH_EVERY).await;
        let flushed = desk.pen.borrow_mut().as_mut().map_or(Ok(()), Pen::flush);
        desk.note(flushed);
    }
}
