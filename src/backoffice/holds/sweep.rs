//! The sweep over holds: ends those whose time is over, and gives back what the ledger has given up.
//!
//! Walks over a drop's claims in the order in which they were granted, which is the order in which they fall due, and
//! keeps in memory up to where everything is settled. Any number of services may sweep at once: the ledger takes a step once, and
//! a unit goes back once.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{HoldError, Holds, Owed};
use crate::clock::UnixMs;
use crate::domain::campaign::ItemTerms;
use crate::domain::ids::{ClaimNumber, DropNumber, PersonId};
use crate::domain::life::State;
use crate::failpoint::Step as FailStep;
use crate::ledger::life::{Action, Refused, Request};
use crate::ledger::{ClaimRow, ClaimStatus};
use crate::limits;
use crate::rush::gate::DropGate;

/// How far the walk over a drop's claims has come.
#[derive(Debug, Default, Clone, Copy)]
struct Walk {
    /// Everything up to here is settled.
    settled: Option<ClaimNumber>,
    /// All claims were looked at once, those not due yet too: one may have been cancelled by a service that died.
    is_whole: bool,
}

/// Sweeps until it is told to stop.
pub struct Sweeper {
    holds: Arc<Holds>,
    walks: HashMap<DropNumber, Walk>,
}

/// A claim, how it stands, and whether nothing is left to be done with it.
struct Looked {
    row: ClaimRow,
    state: State,
}

impl Looked {
    fn is_settled(&self) -> bool {
        self.row.status == ClaimStatus::Returned || self.state == State::Confirmed
    }

    fn is_given_up(&self) -> bool {
        matches!(self.state, State::Cancelled | State::Lapsed) && !self.is_settled()
    }
}

impl Sweeper {
    /// A sweeper that has looked at nothing yet.
    #[must_use]
    pub fn new(holds: Arc<Holds>) -> Self {
        Self { holds, walks: HashMap::new() }
    }

    /// Sweeps every [`limits::HOLD_SWEEP_INTERVAL`] until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(limits::HOLD_SWEEP_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let swept = stop.run_until_cancelled(self.sweep()).await;
            if let Some(Err(error)) = swept {
                tracing::warn!(%error, "holds could not be swept");
            }
        }
    }

    /// One sweep over all drops with items.
    async fn sweep(&mut self) -> Result<(), HoldError> {
        let again = std::mem::take(&mut *self.holds.owed.lock().unwrap_or_else(PoisonError::into_inner));
        self.give_back(again).await;
        let (began, mut left_ms, mut swept) = (Instant::now(), None, Ok(()));
        for drop in self.holds.campaigns.gate.drops() {
            let rules = drop.rules();
            let Some(terms) = &rules.spec.item else { continue };
            let walk = self.walks.get(&rules.number).copied().unwrap_or_default();
            // One drop's trouble must not keep the others from being swept.
            match self.sweep_drop(&drop, rules.number, (terms, &mut left_ms), walk).await {
                Ok(walk) => {
                    self.walks.insert(rules.number, walk);
                }
                Err(error) => swept = Err(error),
            }
        }
        let owed = self.holds.owed.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.holds.metrics.hold_returns_owed.set(owed as f64);
        if swept.is_ok() {
            self.holds.swept.whole(began, left_ms);
        }
        swept
    }

    async fn sweep_drop(
        &self,
        drop: &DropGate,
        number: DropNumber,
        (terms, left_ms): (&ItemTerms, &mut Option<UnixMs>),
        mut walk: Walk,
    ) -> Result<Walk, HoldError> {
        let mut at = walk.settled;
        let mut all_settled = true;
        loop {
            let rows = self.holds.campaigns.ledger.claims(number, at, limits::HOLD_PAGE).await?;
            let Some(last) = rows.last().map(|row| row.number) else { break };
            let is_last_page = rows.len() < limits::HOLD_PAGE as usize;
            let mut looked = self.look(rows).await?;
            self.lapse(terms, &mut looked).await?;
            *left_ms = [*left_ms, self.oldest_left(terms, &looked)].into_iter().flatten().min();
            let given_up = looked.iter().filter(|one| one.is_given_up());
            let owed = given_up.filter_map(|one| owed_of(drop, terms, one));
            self.give_back(owed.collect()).await;
            for one in &looked {
                // What is given up counts as settled: it is back, or on the list of what is owed.
                all_settled &= one.is_settled() || one.is_given_up();
                if all_settled {
                    walk.settled = Some(one.row.number);
                }
            }
            at = Some(last);
            if is_last_page || (!all_settled && walk.is_whole) {
                break;
            }
        }
        walk.is_whole = true;
        Ok(walk)
    }

    async fn look(&self, rows: Vec<ClaimRow>) -> Result<Vec<Looked>, HoldError> {
        let numbers: Vec<ClaimNumber> = rows.iter().map(|row| row.number).collect();
        let states = self.holds.campaigns.ledger.states(&numbers).await?;
        let looked = rows.into_iter().zip(states);
        Ok(looked.map(|(row, state)| Looked { row, state: state.unwrap_or(State::Held) }).collect())
    }

    /// The end of the oldest hold that still stands although its time is over.
    fn oldest_left(&self, terms: &ItemTerms, looked: &[Looked]) -> Option<UnixMs> {
        let now_ms = self.holds.now_ms();
        let held = looked.iter().filter(|one| one.state == State::Held && !one.is_settled());
        let until = held.map(|one| terms.held_until_ms(one.row.claimed_at_ms));
        until.filter(|until_ms| *until_ms <= now_ms).min()
    }

    /// Ends the holds whose time is over.
    async fn lapse(&self, terms: &ItemTerms, looked: &mut [Looked]) -> Result<(), HoldError> {
        let now_ms = self.holds.now_ms();
        let due = |one: &&mut Looked| {
            let is_held = one.state == State::Held && !one.is_settled();
            is_held && now_ms >= terms.held_until_ms(one.row.claimed_at_ms)
        };
        let mut due: Vec<&mut Looked> = looked.iter_mut().filter(due).collect();
        if due.is_empty() {
            return Ok(());
        }
        let lapse =
            |one: &&mut Looked| Request { action: Action::Lapse { claim: one.row.number }, key: None };
        let requests = due.iter().map(lapse).collect();
        let outcomes = self.holds.campaigns.ledger.life(requests, now_ms).await?;
        let mut lapsed = 0;
        for (one, outcome) in due.iter_mut().zip(outcomes) {
            match outcome {
                Ok(_) => {
                    lapsed += 1;
                    one.state = State::Lapsed;
                }
                // Somebody was faster: a payment, its holder, another service.
                Err(Refused::NotFrom(state)) => one.state = state,
                Err(Refused::Returned) => one.row.status = ClaimStatus::Returned,
                Err(refused) => {
                    tracing::warn!(claim = one.row.number.claim_id(), ?refused, "a hold does not end");
                }
            }
        }
        self.holds.count(super::Ended::Lapsed, lapsed);
        FailStep::HoldDecided.reached();
        Ok(())
    }

    /// Gives units back, some at a time; what does not come through is tried again.
    async fn give_back(&self, mut owed: Vec<Owed>) {
        while !owed.is_empty() {
            let rest = owed.split_off(owed.len().min(limits::HOLD_RETURNS));
            let mut returns = JoinSet::new();
            for one in std::mem::replace(&mut owed, rest) {
                let holds = Arc::clone(&self.holds);
                returns.spawn(async move { if holds.give_back(&one).await { None } else { Some(one) } });
            }
            let failed = returns.join_all().await.into_iter().flatten();
            self.holds.owed.lock().unwrap_or_else(PoisonError::into_inner).extend(failed);
        }
    }
}

fn owed_of(drop: &DropGate, terms: &ItemTerms, one: &Looked) -> Option<Owed> {
    let person = PersonId::new(&one.row.person).ok()?;
    let claim_again = terms.claim_again;
    Some(Owed { drop: drop.id.clone(), person, claim: one.row.number, claim_again })
}
