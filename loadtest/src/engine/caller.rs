//! One kept-alive connection during a run: takes one arrival after the other.

use std::{rc::Rc, time::Instant};

use tokio::time::sleep_until;

use super::{
    bot,
    desk::{Desk, LATE_AFTER},
    errand::{Errand, Line, Rules},
    pacer::Arrival,
    sessions,
};
use crate::{
    scenario::{Arrivals, Behaviour, Reuse},
    schedule::TicketSort,
};

/// One connection and what it does during the run.
pub(crate) struct Caller {
    pub(crate) line: Line,
}

impl Caller {
    /// Serves arrivals until the run is over.
    pub(crate) async fn run(self) {
        let desk = Rc::clone(&self.line.desk);
        if matches!(desk.plan.scenario.arrivals, Arrivals::Closed { .. }) {
            self.run_closed(&desk).await;
        } else {
            self.run_open(&desk).await;
        }
    }

    /// Arrivals come when they are due.
    async fn run_open(mut self, desk: &Rc<Desk>) {
        while self.line.connect(desk.last_call()).await {
            let Some(mut arrival) = self.line.while_idle(desk.pacer.next()).await else { return };
            self.line.persona = arrival.persona;
            let mut now = Instant::now();
            desk.has_its_turn(&mut arrival, now);
            // The service may have closed the connection meanwhile.
            if !self.line.is_open() {
                if !self.line.connect(desk.last_call()).await {
                    return desk.dropped();
                }
                now = Instant::now();
            }
            if !arrival.is_late && now.saturating_duration_since(arrival.due) > LATE_AFTER {
                desk.counting.borrow_mut().schedule().late_connections += 1;
            }
            self.serve(desk, &arrival, now).await;
        }
    }

    /// The next arrival comes when the one before has its answer and has thought.
    async fn run_closed(mut self, desk: &Rc<Desk>) {
        sleep_until(desk.start.into()).await;
        let keeps = desk.plan.scenario.connections.reuse == Reuse::KeepAlive;
        while !keeps || self.line.connect(desk.until.get()).await {
            let Some(arrival) = desk.next_of_closed() else { return };
            let Some(persona) = desk.persona(arrival.persona) else { return };
            self.line.persona = arrival.persona;
            if desk.plan.is_pooled(persona) {
                self.serve(desk, &arrival, arrival.due).await;
            } else {
                Box::pin(sessions::run(desk, &arrival)).await;
            }
            if !persona.think.is_zero() {
                let next_at = Instant::now() + persona.think;
                if next_at >= desk.until.get() {
                    return;
                }
                Box::pin(self.line.pause_until(next_at)).await;
            }
        }
    }

    async fn serve(&mut self, desk: &Rc<Desk>, arrival: &Arrival, now: Instant) {
        let Some(persona) = desk.persona(arrival.persona) else { return };
        match &persona.behaviour {
            Behaviour::Bot { .. } => Box::pin(bot::run(&mut self.line, arrival)).await,
            Behaviour::Honest { retries } => {
                let Some(claim) = desk.note(desk.claim(arrival, TicketSort::Valid)) else { return };
                let rules = Rules::patient(desk, *retries);
                Errand::new(&mut self.line, &claim, rules).run(arrival.due, now).await;
            }
            _ => {}
        }
    }
}
