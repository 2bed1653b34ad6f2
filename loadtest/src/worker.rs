//! One thread of connections.
//!
//! Owns the life of a connection during a run: connect, take a ticket, send, record, try again. Shares nothing
//! with other threads but the ticket book and a few counters.

use std::{
    borrow::Cow,
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
    claims_log::Pen,
    client::{answer, target::Target, wire::Lost, wire::Reply, wire::Wire},
    pacer::{Arrival, Pacer},
    record::Record,
    tickets::{Ticket, TicketBook, TicketHand},
};

/// Waits between attempts to connect.
const BACKOFF_MIN: Duration = Duration::from_millis(5);
/// See [`BACKOFF_MIN`].
const BACKOFF_MAX: Duration = Duration::from_millis(250);
/// Connections of one thread that are opened at the same time: a listener's queue is short.
const CONNECTING_MAX: usize = 64;
/// How long the first connection may be tried for.
const FIRST_CONNECT_WAIT: Duration = Duration::from_secs(3);
/// The longest wait that a `Retry-After` can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);
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
                    Err(_) => sleep(BACKOFF_MAX).await,
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

/// What the connections of one thread share.
struct Desk {
    start: Instant,
    until: Instant,
    give_up_at: Instant,
    plan: Plan,
    hand: RefCell<TicketHand>,
    record: RefCell<Record>,
    pen: RefCell<Option<Pen>>,
    /// The first error of the generator itself.
    fault: RefCell<Option<anyhow::Error>>,
    pacer: Option<Pacer>,
    meter: Arc<Meter>,
}

impl Desk {
    fn note(&self, result: Result<()>) {
        if let Err(error) = result {
            self.fault.borrow_mut().get_or_insert(error);
        }
    }

    fn answer(&self, reply: &Reply, ticket: &Ticket, times: Sending) {
        let now = Instant::now();
        let code = if reply.status >= 400 { answer::problem_code(&reply.body) } else { Cow::default() };
        let mut record = self.record.borrow_mut();
        record.answer(reply.status, &code, now - times.intended, now - times.sent);
        record.last_answer = now - self.start;
        self.meter.answers.store(record.answers(), Ordering::Relaxed);
        self.meter.granted.store(record.granted.response.len(), Ordering::Relaxed);
        if let Some(pen) = self.pen.borrow_mut().as_mut()
            && matches!(reply.status, answer::CREATED | answer::OK)
        {
            match answer::claim(&reply.body) {
                Some(claim) => self.note(pen.claim(&claim, reply.status, ticket.line)),
                None => record.mishaps.unreadable_claims += 1,
            }
        }
    }

    fn lost(&self) {
        let mishaps = &mut self.record.borrow_mut().mishaps;
        mishaps.lost_replies += 1;
        self.meter.lost.store(mishaps.lost_replies, Ordering::Relaxed);
    }

    fn finish(&self) -> Result<Record> {
        if let Some(mut pen) = self.pen.borrow_mut().take() {
            self.note(pen.flush());
        }
        if let Some(fault) = self.fault.borrow_mut().take() {
            return Err(fault);
        }
        let mut record = self.record.borrow().clone();
        record.punctuality = self.pacer.as_ref().map(Pacer::punctuality).unwrap_or_default();
        Ok(record)
    }
}

/// The moments of one request.
#[derive(Clone, Copy)]
struct Sending {
    intended: Instant,
    sent: Instant,
}

/// How one attempt ended.
enum Attempt {
    Answered(Reply),
    Lost(Lost),
}

/// One connection and what it does during the run.
struct Caller {
    desk: Rc<Desk>,
    wire: Option<Wire>,
    /// Whether this connection has sent anything: a later one is a reconnect.
    ticket_used: bool,
}

impl Caller {
    async fn run(mut self) {
        let desk = Rc::clone(&self.desk);
        while self.connect(desk.until).await {
            let arrival = match &desk.pacer {
                Some(pacer) => match self.wait_for_arrival(pacer).await {
                    Some(arrival) => Some(arrival),
                    None => break,
                },
                None if Instant::now() >= desk.until => break,
                None => None,
            };
            let taken = desk.hand.borrow_mut().take();
            let Some(ticket) = taken else {
                if let Some(pacer) = &desk.pacer {
                    pacer.out_of_tickets();
                }
                break;
            };
            self.spend(&ticket, arrival).await;
        }
    }

    async fn wait_for_arrival(&mut self, pacer: &Pacer) -> Option<Arrival> {
        match &mut self.wire {
            Some(wire) => wire.while_idle(pacer.next()).await,
            None => pacer.next().await,
        }
    }

    /// Sees to it that there is an open connection; `false` when there is none before `give_up_at`.
    async fn connect(&mut self, give_up_at: Instant) -> bool {
        if self.wire.as_ref().is_some_and(Wire::is_open) {
            return true;
        }
        self.wire = None;
        let mut backoff = BACKOFF_MIN;
        loop {
            if Instant::now() >= give_up_at {
                return false;
            }
            let opened = Wire::open(self.desk.plan.target.address).await;
            if let Ok(wire) = opened {
                self.desk.record.borrow_mut().mishaps.reconnects += u64::from(self.ticket_used);
                self.wire = Some(wire);
                return true;
            }
            self.desk.record.borrow_mut().mishaps.connect_failures += 1;
            sleep(backoff.min(give_up_at.saturating_duration_since(Instant::now()))).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Sends one ticket until it has its answer, or its time is over.
    async fn spend(&mut self, ticket: &Ticket, arrival: Option<Arrival>) {
        let desk = Rc::clone(&self.desk);
        let first_sent = Instant::now();
        if let (Some(pacer), Some(arrival)) = (&desk.pacer, arrival) {
            pacer.sent(arrival, first_sent);
        }
        let intended = arrival.map_or(first_sent, |arrival| arrival.due);
        let mut retry_until = None;
        let mut may_have_arrived = false;
        loop {
            let sent = Instant::now();
            let attempt = self.attempt(ticket, sent).await;
            let wait = match &attempt {
                Attempt::Answered(reply) => match self.busy_wait(reply) {
                    Some(wait) => wait,
                    None => return desk.answer(reply, ticket, Sending { intended, sent }),
                },
                Attempt::Lost(Lost::Unknown) => {
                    desk.lost();
                    may_have_arrived = true;
                    Duration::ZERO
                }
                Attempt::Lost(Lost::Unsent) => Duration::ZERO,
            };
            let now = Instant::now();
            let until = *retry_until.get_or_insert(self.retry_until(&attempt, now));
            if now + wait < until {
                sleep_if(wait).await;
                if self.connect(until).await {
                    desk.record.borrow_mut().mishaps.retries += 1;
                    continue;
                }
            }
            return self.give_up(attempt, ticket, Sending { intended, sent }, may_have_arrived);
        }
    }

    async fn attempt(&mut self, ticket: &Ticket, sent: Instant) -> Attempt {
        self.ticket_used = true;
        let plan = &self.desk.plan;
        let (Some(wire), Ok(request)) = (&mut self.wire, plan.target.request(ticket)) else {
            return Attempt::Lost(Lost::Unsent);
        };
        match wire.exchange(request, (sent + plan.reply_wait).min(self.desk.give_up_at)).await {
            Ok(reply) => Attempt::Answered(reply),
            Err(lost) => {
                self.wire = None;
                Attempt::Lost(lost)
            }
        }
    }

    /// How long to wait before a busy answer is tried again; `None` if this answer stands.
    fn busy_wait(&self, reply: &Reply) -> Option<Duration> {
        let seconds = reply.retry_after?;
        let busy = self.desk.plan.retry_busy && reply.status == answer::SERVICE_UNAVAILABLE;
        busy.then(|| Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
    }

    /// Until when this ticket is tried again, counted from its first failure.
    fn retry_until(&self, attempt: &Attempt, now: Instant) -> Instant {
        match attempt {
            Attempt::Lost(Lost::Unknown) => {
                (now + self.desk.plan.retry_unknown_for).min(self.desk.give_up_at)
            }
            Attempt::Lost(Lost::Unsent) | Attempt::Answered(_) => self.desk.until,
        }
    }

    /// No answer will come, or only a busy one that stands now.
    fn give_up(&self, attempt: Attempt, ticket: &Ticket, times: Sending, may_have_arrived: bool) {
        match attempt {
            Attempt::Answered(reply) => self.desk.answer(&reply, ticket, times),
            Attempt::Lost(_) if may_have_arrived => {
                self.desk.record.borrow_mut().unknown_lines.push(ticket.line);
            }
            Attempt::Lost(_) => self.desk.record.borrow_mut().mishaps.unsent += 1,
        }
    }
}

async fn sleep_if(wait: Duration) {
    if !wait.is_zero() {
        sleep(wait).await;
    }
}
