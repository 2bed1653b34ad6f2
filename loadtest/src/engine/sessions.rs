//! Personas with connections of their own, each in a task of its own.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Instant,
};

use tokio::{
    sync::Notify,
    task::{JoinError, JoinSet},
    time::Duration,
};

use super::{
    bot,
    counting::Moments,
    desk::Desk,
    errand::{Attempt, Doubt, Errand, Line, Rules},
    pacer::Arrival,
    refresher, slowloris,
};
use crate::{
    client::{link::Way, wire::Lost},
    scenario::Behaviour,
    schedule::TicketSort,
};

/// The sessions of one thread.
#[derive(Default)]
pub(crate) struct Sessions {
    /// The connections that they may have open.
    connections: Cell<usize>,
    tasks: RefCell<JoinSet<()>>,
    none_left: Notify,
}

impl Sessions {
    /// Waits until the last one is over.
    pub(crate) async fn all_over(&self) {
        while self.connections.get() > 0 {
            self.none_left.notified().await;
        }
    }

    /// How one ended that nobody has asked about; `None` when there is none.
    pub(crate) fn ended(&self) -> Option<Result<(), JoinError>> {
        self.tasks.borrow_mut().try_join_next()
    }

    /// Ends them all; [`Sessions::all_over`] tells when they have gone.
    pub(crate) fn abort_all(&self) {
        self.tasks.borrow_mut().abort_all();
    }
}

/// A session's right to its connections.
struct Right {
    desk: Rc<Desk>,
    connections: usize,
}

impl Drop for Right {
    fn drop(&mut self) {
        let sessions = &self.desk.sessions;
        sessions.connections.set(sessions.connections.get() - self.connections);
        if sessions.connections.get() == 0 {
            sessions.none_left.notify_one();
        }
    }
}

/// Starts a session; `false` when there are too many already.
pub(crate) fn open(desk: &Rc<Desk>, arrival: Arrival) -> bool {
    let behaviour = desk.persona(arrival.persona).map(|persona| &persona.behaviour);
    let connections = if matches!(behaviour, Some(Behaviour::DoubleClicker {})) { 2 } else { 1 };
    let open = desk.sessions.connections.get() + connections;
    if open > desk.plan.sessions_max {
        return false;
    }
    desk.sessions.connections.set(open);
    let right = Right { desk: Rc::clone(desk), connections };
    let mut tasks = desk.sessions.tasks.borrow_mut();
    // Those that are over need no place any more.
    while let Some(ended) = tasks.try_join_next() {
        desk.note_end(ended);
    }
    tasks.spawn_local(async move {
        let (desk, mut arrival) = (&right.desk, arrival);
        desk.has_its_turn(&mut arrival, Instant::now());
        run(desk, &arrival).await;
    });
    true
}

/// One session from its first connection to its last.
pub(crate) async fn run(desk: &Rc<Desk>, arrival: &Arrival) {
    let Some(persona) = desk.persona(arrival.persona) else { return };
    match &persona.behaviour {
        Behaviour::Slowloris { every, hold } => slowloris::run(desk, arrival, *every, *hold).await,
        Behaviour::DoubleClicker {} => press_twice(desk, arrival).await,
        Behaviour::Honest { retries } => claim(desk, arrival, Rules::patient(desk, *retries)).await,
        Behaviour::Impatient { patience, retries } => {
            let (lost_retries, pause) = (*retries, persona.think);
            let rules = Rules { reply_wait: *patience, busy_retries: 0, lost_retries, pause };
            claim(desk, arrival, rules).await;
        }
        Behaviour::Abandoner { stay } => abandon(desk, arrival, *stay).await,
        Behaviour::Refresher { .. } => {
            if let Some(mut line) = connected(desk, arrival, desk.plan.way.clone()).await {
                refresher::run(&mut line, arrival).await;
            }
        }
        Behaviour::Bot { addresses, .. } => {
            let way = Way { from: bot::in_turn(addresses, arrival.n, 0), ..desk.plan.way.clone() };
            if let Some(mut line) = connected(desk, arrival, way).await {
                bot::run(&mut line, arrival).await;
            }
        }
    }
}

/// A line with an open connection; without one in time the arrival never left.
async fn connected(desk: &Rc<Desk>, arrival: &Arrival, way: Way) -> Option<Line> {
    let line = opened(desk, arrival, way).await;
    if line.is_none() {
        desk.not_let_in();
    }
    line
}

/// A line with an open connection; without one in time its claim is counted as unsent.
async fn opened(desk: &Rc<Desk>, arrival: &Arrival, way: Way) -> Option<Line> {
    let mut line = Line::new(desk, way, None, arrival.persona);
    if line.connect(desk.give_up_at.get()).await {
        return Some(line);
    }
    desk.unsent(arrival.persona);
    None
}

async fn claim(desk: &Rc<Desk>, arrival: &Arrival, rules: Rules) {
    let Some(claim) = desk.note(desk.claim(arrival, TicketSort::Valid)) else { return };
    if let Some(mut line) = connected(desk, arrival, desk.plan.way.clone()).await {
        Errand::new(&mut line, &claim, rules).run(arrival.due, Instant::now()).await;
    }
}

/// Two claims at the same moment, once both connections stand. Who gets one of them at least has come.
async fn press_twice(desk: &Rc<Desk>, arrival: &Arrival) {
    let Some(claim) = desk.note(desk.claim(arrival, TicketSort::Valid)) else { return };
    let open = || opened(desk, arrival, desk.plan.way.clone());
    let (first, second) = tokio::join!(open(), open());
    if first.is_none() && second.is_none() {
        return desk.not_let_in();
    }
    let (rules, now) = (Rules::patient(desk, 0), Instant::now());
    let press = async |line: Option<Line>| {
        if let Some(mut line) = line {
            Errand::new(&mut line, &claim, rules).run(arrival.due, now).await;
        }
    };
    tokio::join!(press(first), press(second));
}

/// Sends a claim and closes before the reply. A reply that is faster is counted.
async fn abandon(desk: &Rc<Desk>, arrival: &Arrival, stay: Duration) {
    let Some(claim) = desk.note(desk.claim(arrival, TicketSort::Valid)) else { return };
    let Some(mut line) = connected(desk, arrival, desk.plan.way.clone()).await else { return };
    let at = Moments { intended: arrival.due, sent: Instant::now() };
    let mut doubt = Doubt::of(desk, &claim);
    // On a slow network the claim itself has to leave first.
    let hang_up_at = at.sent + stay.max(desk.plan.way.one_way() * 2);
    match line.exchange(&claim.ask, at.sent, hang_up_at).await {
        Ok(reply) => {
            desk.answered(&claim, &reply, at);
            doubt.remains = Attempt::of(&reply).may_have_arrived();
        }
        Err(Lost::Unknown) => {}
        Err(Lost::Unsent) => {
            doubt.remains = false;
            desk.unsent(arrival.persona);
        }
    }
}
