//! A farm of scripts: several claims of one person, one right after the other, with tickets of all sorts and
//! without any back-off.

use std::{net::IpAddr, rc::Rc, time::Instant};

use super::{
    counting::Moments,
    desk::{Claim, Desk},
    errand::{Doubt, Errand, Line, Rules},
    pacer::Arrival,
};
use crate::{scenario::Behaviour, schedule::TicketSort};

/// Sends all claims of one bot. The connection is open.
pub(crate) async fn run(line: &mut Line, arrival: &Arrival) {
    let desk = Rc::clone(&line.desk);
    let Some(persona) = desk.persona(arrival.persona) else { return };
    let Behaviour::Bot { requests, .. } = &persona.behaviour else { return };
    let mut intended = arrival.due;
    let mut in_doubt = InDoubt { desk: &desk, claim: None };
    for request in 0..*requests {
        if request > 0 {
            if !persona.think.is_zero() {
                line.pause_until(Instant::now() + persona.think).await;
            }
            intended = Instant::now();
            if desk.is_over() || !line.connect(desk.give_up_at.get()).await {
                break;
            }
        }
        let sort = desk.plan.choices.ticket_sort(arrival.n, request);
        let good = matches!(sort, TicketSort::Valid);
        let Some(claim) = desk.note(desk.claim_of(arrival, request, sort)) else { break };
        let at = Moments { intended, sent: Instant::now() };
        // A bad ticket gets nothing, whatever becomes of it.
        let mut doubt = Doubt::of(&desk, &claim);
        doubt.remains = good && in_doubt.claim.is_none();
        let fate = Errand::new(line, &claim, Rules::patient(&desk, 0)).run_once(at).await;
        doubt.remains = false;
        drop(doubt);
        if good && fate.decides() {
            in_doubt.claim = None;
        } else if good && fate.may_have_arrived() {
            in_doubt.claim = Some(claim);
        }
    }
}

/// The claim of a bot of which nobody knows what became of it, noted as unknown when the bot goes.
struct InDoubt<'run> {
    desk: &'run Desk,
    claim: Option<Claim>,
}

impl Drop for InDoubt<'_> {
    fn drop(&mut self) {
        if let Some(claim) = &self.claim {
            self.desk.unknown(claim);
        }
    }
}

/// The address whose turn it is.
pub(crate) fn in_turn(addresses: &[IpAddr], n: u64, request: u32) -> Option<IpAddr> {
    let turn = n.wrapping_add(u64::from(request)).checked_rem(addresses.len() as u64)?;
    addresses.get(usize::try_from(turn).ok()?).copied()
}
