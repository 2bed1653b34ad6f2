//! Those who poll a drop's state until it is open, and then claim.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use super::{
    counting::Moments,
    desk::Desk,
    errand::{Errand, Line, Rules},
    pacer::Arrival,
};
use crate::{
    client::{
        answer,
        wire::{Lost, Reply},
    },
    scenario::{Behaviour, LENGTH_MAX},
    schedule::TicketSort,
};

/// The word under which answers to polls are counted, so that nobody takes them for claims.
const POLL: &str = "state";

/// What a poll tells its person to do.
enum Advice {
    Claim,
    /// It is over.
    Closed,
    /// Nothing is left at the moment; whoever waits for more asks again after this.
    Gone(Option<Duration>),
    /// Asks again after this, if it is told.
    AskAgain(Option<Duration>),
}

/// One person's polls and claim. The connection is open.
pub(crate) async fn run(line: &mut Line, arrival: &Arrival) {
    let desk = Rc::clone(&line.desk);
    let Some(persona) = desk.persona(arrival.persona) else { return };
    let Behaviour::Refresher { obeys, every, polls_max, waits_for_more } = &persona.behaviour else { return };
    let mut intended = arrival.due;
    for _ in 0..*polls_max {
        let wait = match poll(line, &desk, arrival, intended).await {
            Advice::Claim => return claim(line, &desk, arrival, persona.think).await,
            Advice::Closed => break,
            Advice::Gone(_) if !waits_for_more => break,
            Advice::Gone(told) | Advice::AskAgain(told) => told.filter(|_| *obeys).unwrap_or(*every),
        };
        if Instant::now() + wait >= desk.give_up_at.get() {
            break;
        }
        line.pause_until(Instant::now() + wait).await;
        intended = Instant::now();
        if desk.is_over() || !line.connect(desk.give_up_at.get()).await {
            break;
        }
    }
    desk.unsent(arrival.persona);
}

async fn poll(line: &mut Line, desk: &Desk, arrival: &Arrival, intended: Instant) -> Advice {
    let Some(question) = desk.note(desk.question(arrival)) else { return Advice::AskAgain(None) };
    let at = Moments { intended, sent: Instant::now() };
    let give_up_at = at.sent + desk.plan.scenario.connections.reply_wait;
    match line.exchange(&question, at.sent, give_up_at).await {
        Ok(reply) => {
            let code =
                if reply.status < answer::REFUSALS { POLL.into() } else { answer::problem_code(&reply.body) };
            desk.count(|counting| counting.answered(arrival.persona, reply.status, &code, at));
            advice(&reply)
        }
        Err(lost) => {
            if lost == Lost::Unknown {
                desk.count(|counting| counting.lost(arrival.persona));
            }
            Advice::AskAgain(None)
        }
    }
}

fn advice(reply: &Reply) -> Advice {
    let Some(state) = answer::state(&reply.body).filter(|_| reply.status == answer::OK) else {
        return Advice::AskAgain(
            reply.retry_after.map(|seconds| Duration::from_secs(seconds).min(LENGTH_MAX)),
        );
    };
    let poll_after = state.poll_after_ms.map(|ms| Duration::from_millis(ms).min(LENGTH_MAX));
    match &*state.state {
        "open" => Advice::Claim,
        "sold_out" => Advice::Gone(poll_after),
        "closed" => Advice::Closed,
        _ => Advice::AskAgain(poll_after),
    }
}

async fn claim(line: &mut Line, desk: &Desk, arrival: &Arrival, think: Duration) {
    if !think.is_zero() {
        line.pause_until(Instant::now() + think).await;
    }
    let intended = Instant::now();
    let connected = !desk.is_over() && line.connect(desk.give_up_at.get()).await;
    let Some(claim) = desk.note(desk.claim(arrival, TicketSort::Valid)) else { return };
    if !connected {
        return desk.unsent(arrival.persona);
    }
    Errand::new(line, &claim, Rules::patient(desk, 0)).run(intended, Instant::now()).await;
}
