//! What all connections of one thread share: the plan, the clock, what is counted, and who is let in.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    net::IpAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use hyper::header::{self, HeaderName, HeaderValue};

use tokio::{sync::Notify, task::JoinError, time::sleep_until};

use super::{
    counting::{Counting, Moments},
    pacer::{Arrival, Pacer},
    plan::{DropTargets, Plan},
    sessions::{self, Sessions},
};
use crate::{
    claims_log::Pen,
    client::{answer, ask::Ask, wire::Reply},
    scenario::{AddressBlock, Arrivals, Persona, Reuse},
    schedule::{Due, TicketSort},
};

/// A send is late when it leaves more than this after its intended start.
pub(crate) const LATE_AFTER: Duration = Duration::from_millis(10);

/// Room for what a request may have beside its first lines and its ticket, in bytes.
const ROOM_BYTES: usize = 64;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// One claim of one person, ready to be sent as often as needed.
pub(crate) struct Claim {
    pub(crate) persona: usize,
    pub(crate) person: u64,
    pub(crate) drop: usize,
    pub(crate) ask: Ask,
}

/// What the connections of one thread share.
pub(crate) struct Desk {
    pub(crate) plan: Plan,
    pub(crate) start: Instant,
    /// No new arrival after this.
    pub(crate) until: Cell<Instant>,
    /// Nothing is waited for after this.
    pub(crate) give_up_at: Cell<Instant>,
    pub(crate) pacer: Pacer,
    pub(crate) sessions: Sessions,
    pub(crate) counting: RefCell<Counting>,
    pub(crate) pen: RefCell<Option<Pen>>,
    /// Everybody has come: the schedule, the people or the tickets are at their end, before the time is.
    all_came: Cell<bool>,
    /// Told when the run is to end before its time.
    stopped: Notify,
    /// The first error of the generator itself.
    fault: RefCell<Option<anyhow::Error>>,
    /// Told when there is one.
    faulty: Notify,
}

impl Desk {
    pub(crate) fn new(
        plan: Plan,
        start: Instant,
        planned: Duration,
        counting: Counting,
        pen: Option<Pen>,
    ) -> Self {
        let until = start + planned;
        Self {
            start,
            until: Cell::new(until),
            give_up_at: Cell::new(until + plan.scenario.connections.grace),
            pacer: Pacer::default(),
            sessions: Sessions::default(),
            counting: RefCell::new(counting),
            pen: RefCell::new(pen),
            all_came: Cell::new(false),
            stopped: Notify::new(),
            fault: RefCell::new(None),
            faulty: Notify::new(),
            plan,
        }
    }

    /// Keeps the first error. A run that has one comes to nothing, so it goes on no longer.
    pub(crate) fn note<T>(&self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault.borrow_mut().get_or_insert(error);
                self.faulty.notify_one();
                None
            }
        }
    }

    /// Notes how a task ended: one that broke took what it knew along.
    pub(crate) fn note_end(&self, ended: Result<(), JoinError>) {
        if ended.is_err_and(|error| error.is_panic()) {
            self.note::<()>(Err(anyhow!("a task of the generator broke")));
        }
    }

    /// Waits for an error of the generator itself.
    pub(crate) async fn fails(&self) {
        self.faulty.notified().await;
    }

    /// Counts something; an error of counting itself is kept.
    pub(crate) fn count(&self, count: impl FnOnce(&mut Counting) -> Result<()>) {
        let counted = count(&mut self.counting.borrow_mut());
        self.note(counted);
    }

    /// The first error of the generator itself.
    pub(crate) fn take_fault(&self) -> Option<anyhow::Error> {
        self.fault.borrow_mut().take()
    }

    /// No arrival may leave after this.
    pub(crate) fn last_call(&self) -> Instant {
        if self.plan.serves_the_rest() { self.give_up_at.get() } else { self.until.get() }
    }

    /// Lets nobody in from now on.
    pub(crate) fn stop(&self) {
        let now = Instant::now();
        self.until.set(self.until.get().min(now));
        self.give_up_at.set(self.give_up_at.get().min(now + self.plan.scenario.connections.grace));
        self.dismiss();
        self.stopped.notify_waiters();
    }

    /// Says that nobody is left who could come.
    pub(crate) fn all_came(&self) {
        self.all_came.set(true);
    }

    /// From the start, until when people were let in; nothing where all came before that.
    pub(crate) fn let_in_until(&self) -> Duration {
        if self.all_came.get() {
            return Duration::ZERO;
        }
        self.until.get().saturating_duration_since(self.start)
    }

    /// Sleeps until then, or until nothing is waited for any more, which may come sooner than it seemed.
    pub(crate) async fn sleep_until(&self, at: Instant) {
        loop {
            let wake_at = at.min(self.give_up_at.get());
            tokio::select! {
                biased;
                () = self.stopped.notified() => {}
                () = sleep_until(wake_at.into()) => return,
            }
        }
    }

    /// Whether nothing is waited for any more.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.give_up_at.get()
    }

    /// Sends away who still waits for a connection, and ends the schedule.
    pub(crate) fn dismiss(&self) {
        self.counting.borrow_mut().schedule().dropped += self.pacer.clear();
        self.pacer.end();
    }

    pub(crate) fn persona(&self, persona: usize) -> Option<&Persona> {
        self.plan.scenario.personas.get(persona)
    }

    /// Lets an arrival go; `None` when no ticket is left for it or for any later one.
    pub(crate) fn release(self: &Rc<Self>, due: Due, now: Instant) -> Option<()> {
        let person = self.plan.clerk.person(due.n)?;
        let persona = self.plan.choices.persona(due.n);
        let at = self.start + due.at;
        let released_late = now.saturating_duration_since(at) > LATE_AFTER;
        self.count(|counting| {
            counting.arrived(persona, at)?;
            counting.schedule().late_generator += u64::from(released_late);
            Ok(())
        });
        let arrival = Arrival { n: due.n, person, persona, due: at, is_late: released_late, waited: false };
        let pooled = self.persona(persona).is_some_and(|persona| self.plan.is_pooled(persona));
        let taken = if pooled { self.pacer.offer(arrival, now) } else { sessions::open(self, arrival) };
        if !taken {
            self.dropped();
        }
        Some(())
    }

    /// Counts an arrival that nothing kept from leaving but the generator: it was let go in time, and its turn came late.
    pub(crate) fn has_its_turn(&self, arrival: &mut Arrival, now: Instant) {
        if !arrival.is_late && !arrival.waited && now.saturating_duration_since(arrival.due) > LATE_AFTER {
            arrival.is_late = true;
            self.counting.borrow_mut().schedule().late_generator += 1;
        }
    }

    /// The next arrival of the closed model; `None` at the end.
    pub(crate) fn next_of_closed(&self) -> Option<Arrival> {
        let Arrivals::Closed { people, .. } = self.plan.scenario.arrivals else { return None };
        let due = Instant::now();
        if due >= self.until.get() {
            return None;
        }
        let n = self.plan.turns.next();
        let person = self.plan.clerk.person(n).filter(|_| people.is_none_or(|people| n < people));
        let Some(person) = person else {
            self.all_came();
            return None;
        };
        let persona = self.plan.choices.persona(n);
        self.count(|counting| counting.arrived(persona, due));
        Some(Arrival { n, person, persona, due, is_late: false, waited: false })
    }

    /// The claim that an arrival sends.
    pub(crate) fn claim(&self, arrival: &Arrival, sort: TicketSort) -> Result<Claim> {
        self.claim_of(arrival, 0, sort)
    }

    /// The claim that an arrival sends with its `request`-th request (from 0).
    pub(crate) fn claim_of(&self, arrival: &Arrival, request: u32, sort: TicketSort) -> Result<Claim> {
        let drop = self.plan.choices.drop(arrival.n);
        let person = arrival.person;
        let ticket = self.plan.clerk.ticket(person, drop, sort)?;
        let room = ticket.as_ref().map_or(0, |ticket| ticket.len()) + ROOM_BYTES;
        let mut ask = self.targets(drop)?.claim.request(person, room);
        if let Some(ticket) = ticket {
            ask.bearer(&ticket)?;
        }
        if self.plan.scenario.service.idempotency_key {
            let id = self.plan.scenario.drops.get(drop).map_or("", |drop| &*drop.id);
            ask.header(&IDEMPOTENCY_KEY, &HeaderValue::from_str(&format!("{id}-{person}"))?);
        }
        if let Some(address) = self.forwarded_for(arrival, request)? {
            ask.header(&FORWARDED_FOR, &address);
        }
        self.close_after(&mut ask);
        Ok(Claim { persona: arrival.persona, person, drop, ask })
    }

    /// The address that an arrival's request is said to come from.
    fn forwarded_for(&self, arrival: &Arrival, request: u32) -> Result<Option<HeaderValue>> {
        let blocks = self.persona(arrival.persona).map_or(&[][..], |persona| &persona.forwarded_for);
        let address = pretended(blocks, arrival.n, request);
        Ok(address.map(|address| HeaderValue::from_str(&address.to_string())).transpose()?)
    }

    /// The request that asks for the state of an arrival's drop.
    pub(crate) fn question(&self, arrival: &Arrival) -> Result<Ask> {
        let target = &self.targets(self.plan.choices.drop(arrival.n))?.state;
        let mut ask = target.request(arrival.person, ROOM_BYTES);
        if let Some(address) = self.forwarded_for(arrival, 0)? {
            ask.header(&FORWARDED_FOR, &address);
        }
        self.close_after(&mut ask);
        Ok(ask)
    }

    fn targets(&self, drop: usize) -> Result<&DropTargets> {
        self.plan.targets.get(drop).context("there is no such drop")
    }

    /// Where each request has its own connection the service closes first, so that a closed one does not keep one
    /// of our ports.
    fn close_after(&self, ask: &mut Ask) {
        if self.plan.scenario.connections.reuse == Reuse::NewEach {
            ask.header(&header::CONNECTION, &HeaderValue::from_static("close"));
        }
    }

    /// Counts the answer to a claim and notes the claim that it shows.
    pub(crate) fn answered(&self, claim: &Claim, reply: &Reply, at: Moments) {
        let code =
            if reply.status >= answer::REFUSALS { answer::problem_code(&reply.body) } else { Cow::default() };
        self.count(|counting| counting.answered(claim.persona, reply.status, &code, at));
        if let Some(pen) = self.pen.borrow_mut().as_mut()
            && matches!(reply.status, answer::CREATED | answer::OK)
        {
            match answer::claim(&reply.body) {
                Some(body) => {
                    self.note(pen.claim(&body, claim.drop, reply.status, claim.person));
                }
                None => self.count(|counting| {
                    counting.mishaps(claim.persona)?.unreadable_claims += 1;
                    Ok(())
                }),
            }
        }
    }

    /// Whether people come as others leave.
    pub(crate) fn is_closed_model(&self) -> bool {
        matches!(self.plan.scenario.arrivals, Arrivals::Closed { .. })
    }

    /// Somebody tried in vain to connect, and gave up. In a closed model, where nobody is due, that counts when it was
    /// so until the end: who went on till then would have sent more.
    pub(crate) fn found_nobody(&self) {
        if self.is_closed_model() && Instant::now() >= self.until.get() {
            self.counting.borrow_mut().schedule().dropped += 1;
        }
    }

    /// Counts an arrival that never left. In a closed model the try to connect has counted already.
    pub(crate) fn not_let_in(&self) {
        if !self.is_closed_model() {
            self.dropped();
        }
    }

    /// Counts an arrival that never left.
    pub(crate) fn dropped(&self) {
        self.counting.borrow_mut().schedule().dropped += 1;
    }

    /// Counts a claim that was meant but never sent.
    pub(crate) fn unsent(&self, persona: usize) {
        self.count(|counting| {
            counting.mishaps(persona)?.unsent += 1;
            Ok(())
        });
    }

    /// Notes that nobody knows what became of a claim.
    pub(crate) fn unknown(&self, claim: &Claim) {
        self.count(|counting| counting.unknown(claim.persona));
        let noted =
            self.pen.borrow_mut().as_mut().map_or(Ok(()), |pen| pen.unknown(claim.drop, claim.person));
        self.note(noted);
    }
}

/// The address of arrival `n`'s `request`-th request: the blocks take turns, and each gives its next address.
pub(crate) fn pretended(blocks: &[AddressBlock], n: u64, request: u32) -> Option<IpAddr> {
    let turn = n.wrapping_add(u64::from(request));
    let blocks_len = blocks.len() as u64;
    let block = blocks.get(usize::try_from(turn.checked_rem(blocks_len)?).ok()?)?;
    Some(block.address(turn / blocks_len))
}
