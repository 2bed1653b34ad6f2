//! One connection during a run: connect, take a ticket, send, record, try again.
//!
//! Owns what a lost reply means: the claim may have been granted, so the ticket is sent again until an answer says
//! what became of it, and stays unknown if none does.

use std::{
    borrow::Cow,
    cell::RefCell,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::time::sleep;

use crate::{
    claims_log::Pen,
    client::{
        answer,
        wire::{Lost, Reply, Wire},
    },
    pacer::{Arrival, Pacer},
    record::Record,
    tickets::{Ticket, TicketHand},
    worker::{Meter, Plan},
};

/// Waits between attempts to connect or to send a ticket again.
const BACKOFF_MIN: Duration = Duration::from_millis(5);
/// See [`BACKOFF_MIN`].
const BACKOFF_MAX: Duration = Duration::from_millis(250);
/// The longest wait that a `Retry-After` can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

/// What the connections of one thread share.
pub(crate) struct Desk {
    pub(crate) start: Instant,
    pub(crate) until: Instant,
    pub(crate) give_up_at: Instant,
    pub(crate) plan: Plan,
    pub(crate) hand: RefCell<TicketHand>,
    pub(crate) record: RefCell<Record>,
    pub(crate) pen: RefCell<Option<Pen>>,
    /// The first error of the generator itself.
    pub(crate) fault: RefCell<Option<anyhow::Error>>,
    pub(crate) pacer: Option<Pacer>,
    pub(crate) meter: Arc<Meter>,
}

impl Desk {
    /// Keeps the first error.
    pub(crate) fn note(&self, result: Result<()>) {
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
                Some(claim) => self.note(pen.claim(&claim, 0, reply.status, ticket.line)),
                None => record.mishaps.unreadable_claims += 1,
            }
        }
    }

    /// Notes how a ticket ended. After a lost reply a server error says nothing about the claim.
    fn settle(&self, attempt: &Attempt, ticket: &Ticket, times: Sending, may_have_arrived: bool) {
        let decided = match attempt {
            Attempt::Answered(reply) => {
                self.answer(reply, ticket, times);
                reply.status < answer::SERVER_ERRORS
            }
            Attempt::Lost(_) => {
                self.record.borrow_mut().mishaps.unsent += u64::from(!may_have_arrived);
                false
            }
        };
        if may_have_arrived && !decided {
            self.record.borrow_mut().unknown_lines.push(ticket.line);
        }
    }

    fn lost(&self) {
        let mishaps = &mut self.record.borrow_mut().mishaps;
        mishaps.lost_replies += 1;
        self.meter.lost.store(mishaps.lost_replies, Ordering::Relaxed);
    }

    /// What the thread remembers.
    pub(crate) fn finish(&self) -> Result<Record> {
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

impl Attempt {
    /// Whether a claim may have been granted without its client being told.
    fn may_have_arrived(&self) -> bool {
        match self {
            Self::Answered(reply) => {
                reply.status == answer::SERVICE_UNAVAILABLE
                    && answer::problem_code(&reply.body) == answer::OUTCOME_UNKNOWN
            }
            Self::Lost(lost) => *lost == Lost::Unknown,
        }
    }
}

/// One connection and what it does during the run.
pub(crate) struct Caller {
    pub(crate) desk: Rc<Desk>,
    pub(crate) wire: Option<Wire>,
    /// Whether this connection has sent anything: a later one is a reconnect.
    pub(crate) ticket_used: bool,
}

impl Caller {
    /// Spends tickets until the run is over.
    pub(crate) async fn run(mut self) {
        let desk = Rc::clone(&self.desk);
        while self.connect(desk.until).await {
            let arrival = match &desk.pacer {
                Some(pacer) => match self.wait_for_arrival(pacer).await {
                    Some(arrival) => Some(arrival),
                    None => break,
                },
                None => None,
            };
            // The service may have closed the connection meanwhile.
            if !self.connect(desk.until).await {
                if let Some(pacer) = &desk.pacer {
                    pacer.dropped();
                }
                break;
            }
            let now = Instant::now();
            if arrival.is_none() && now >= desk.until {
                break;
            }
            let taken = desk.hand.borrow_mut().take();
            let Some(ticket) = taken else {
                if let Some(pacer) = &desk.pacer {
                    pacer.out_of_tickets();
                }
                break;
            };
            self.spend(&ticket, arrival, now).await;
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
    async fn spend(&mut self, ticket: &Ticket, arrival: Option<Arrival>, first_sent: Instant) {
        let desk = Rc::clone(&self.desk);
        if let (Some(pacer), Some(arrival)) = (&desk.pacer, arrival) {
            pacer.sent(arrival, first_sent);
        }
        let mut times =
            Sending { intended: arrival.map_or(first_sent, |arrival| arrival.due), sent: first_sent };
        let mut backoff = BACKOFF_MIN;
        let mut retry_unknown_until = None;
        loop {
            let attempt = self.attempt(ticket, times.sent).await;
            if attempt.may_have_arrived() {
                let now = Instant::now();
                retry_unknown_until.get_or_insert((now + desk.plan.retry_unknown_for).min(desk.give_up_at));
            }
            let wait = self.wait_before_retry(&attempt, backoff);
            let until = retry_unknown_until.unwrap_or(desk.until);
            if let Some(wait) = wait
                && Instant::now() + wait < until
            {
                sleep(wait).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
                if self.connect(until).await {
                    desk.record.borrow_mut().mishaps.retries += 1;
                    times.sent = Instant::now();
                    continue;
                }
            }
            return desk.settle(&attempt, ticket, times, retry_unknown_until.is_some());
        }
    }

    /// How long to wait before the ticket is sent again; `None` if this outcome stands.
    fn wait_before_retry(&self, attempt: &Attempt, backoff: Duration) -> Option<Duration> {
        let plan = &self.desk.plan;
        match attempt {
            Attempt::Answered(reply) if reply.status == answer::SERVICE_UNAVAILABLE => {
                let wait = Duration::from_secs(reply.retry_after?).min(RETRY_AFTER_MAX);
                (plan.retry_busy || attempt.may_have_arrived()).then_some(wait)
            }
            Attempt::Answered(_) => None,
            Attempt::Lost(_) => Some(backoff),
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
                if lost == Lost::Unknown {
                    self.desk.lost();
                }
                Attempt::Lost(lost)
            }
        }
    }
}
