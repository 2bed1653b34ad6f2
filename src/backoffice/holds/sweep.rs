//! The sweep over holds: ends those whose time is over, and gives back what the ledger has given up.
//!
//! Walks over a drop's claims in the order in which they were granted, which is the order in which they fall due, and
//! keeps in memory up to where everything is settled ([`walk`](super::walk)), for the Redis that is there: another one may
//! have lost what was given back, and is walked over from the start. A hold that the ledger does not end keeps no
//! other one from its end. Any number of services may sweep at once: the ledger takes a step once, and
//! a unit goes back once.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::walk::{Looked, Stand, Walk};
use super::{HoldError, Holds, Owed};
use crate::clock::UnixMs;
use crate::domain::campaign::ItemTerms;
use crate::domain::ids::{ClaimNumber, DropNumber, PersonId};
use crate::domain::life::State;
use crate::failpoint::Step as FailStep;
use crate::ledger::life::{Action, Outcome, Refused, Request};
use crate::ledger::{ClaimRow, ClaimStatus, LedgerError};
use crate::limits;
use crate::rush::gate::DropGate;
use crate::telemetry::repeated::Repeated;

/// Sweeps until it is told to stop.
pub struct Sweeper {
    holds: Arc<Holds>,
    walks: HashMap<DropNumber, Walk>,
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
        let mut sweeping = Repeated::default();
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match stop.run_until_cancelled(self.sweep()).await {
                Some(Err(error)) if sweeping.failed(&error) => {
                    tracing::warn!(%error, "holds could not be swept");
                }
                Some(Ok(())) if sweeping.went_well() => tracing::info!("holds are swept again"),
                _ => {}
            }
        }
    }

    /// One sweep over all drops with items.
    async fn sweep(&mut self) -> Result<(), HoldError> {
        let Self { holds, walks } = self;
        let again = std::mem::take(&mut *holds.owed.lock().unwrap_or_else(PoisonError::into_inner));
        give_back(holds, again).await;
        let (began, mut swept) = (Instant::now(), Ok(()));
        let (mut left_ms, mut stuck) = (None, 0);
        for drop in holds.campaigns.gate.drops() {
            let rules = drop.rules();
            let Some(terms) = &rules.spec.item else { continue };
            let walk = walks.entry(rules.number).or_default();
            let run_id = holds.campaigns.gate.trust.run_id();
            walk.keep_to(Stand { run_id, epoch: drop.view().map(|view| view.epoch) });
            // One drop's trouble must not keep the others from being swept.
            let sweep = Sweep { holds, drop: &drop, terms };
            match sweep.walk(rules.number, walk).await {
                Ok(oldest_ms) => {
                    let oldest_ms = walk.stuck.values().copied().chain(oldest_ms).min();
                    left_ms = [left_ms, oldest_ms].into_iter().flatten().min();
                    stuck += walk.stuck.len();
                }
                Err(error) => swept = Err(error),
            }
        }
        let owed = holds.owed.lock().unwrap_or_else(PoisonError::into_inner).len();
        holds.metrics.hold_returns_owed.set(owed as f64);
        if swept.is_ok() {
            holds.metrics.holds_stuck.set(stuck as f64);
            holds.swept.whole(began, left_ms);
        }
        swept
    }
}

/// One sweep over one drop.
struct Sweep<'a> {
    holds: &'a Arc<Holds>,
    drop: &'a DropGate,
    terms: &'a ItemTerms,
}

impl Sweep<'_> {
    /// The end of the oldest hold that is not stuck and still stands although its time is over.
    async fn walk(self, number: DropNumber, walk: &mut Walk) -> Result<Option<UnixMs>, HoldError> {
        let ledger = &self.holds.campaigns.ledger;
        self.try_again(walk).await?;
        let mut at = walk.settled;
        let (mut is_gapless, mut left_ms) = (true, None);
        loop {
            let rows = ledger.claims(number, at, limits::HOLD_PAGE).await?;
            let Some(last) = rows.last().map(|row| row.number) else { break };
            let is_last_page = rows.len() < limits::HOLD_PAGE as usize;
            let looked = self.settle(rows).await?;
            left_ms = [left_ms, self.oldest_left(&looked)].into_iter().flatten().min();
            at = Some(last);
            if !walk.pass(&looked, &mut is_gapless) || is_last_page {
                break;
            }
        }
        walk.is_whole = true;
        Ok(left_ms)
    }

    /// Looks from time to time at what the walk has left behind.
    async fn try_again(&self, walk: &mut Walk) -> Result<(), HoldError> {
        let claims = walk.take_due();
        if claims.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::with_capacity(claims.len());
        for claim in claims {
            rows.extend(self.holds.campaigns.ledger.claim(claim).await?);
        }
        let looked = self.settle(rows).await?;
        walk.tried(&looked);
        Ok(())
    }

    /// Ends what is due of these claims and gives back what was given up.
    async fn settle(&self, rows: Vec<ClaimRow>) -> Result<Vec<Looked>, HoldError> {
        let mut looked = self.look(rows).await?;
        self.lapse(&mut looked).await?;
        let given_up = looked.iter().filter(|one| one.is_given_up());
        let owed = given_up.filter_map(|one| owed_of(self.drop, self.terms, one));
        give_back(self.holds, owed.collect()).await;
        Ok(looked)
    }

    fn oldest_left(&self, looked: &[Looked]) -> Option<UnixMs> {
        let now_ms = self.holds.now_ms();
        let until = looked.iter().filter(|one| one.is_held()).map(|one| one.held_until_ms);
        until.filter(|until_ms| *until_ms <= now_ms).min()
    }

    async fn look(&self, rows: Vec<ClaimRow>) -> Result<Vec<Looked>, HoldError> {
        let ledger = &self.holds.campaigns.ledger;
        let numbers: Vec<ClaimNumber> = rows.iter().map(|row| row.number).collect();
        let mut states = Vec::with_capacity(numbers.len());
        match ledger.states(&numbers).await {
            Ok(all) => states.extend(all.into_iter().map(Ok)),
            // One of them cannot be read: it must not hide the others.
            Err(LedgerError::Corrupt(_)) => {
                for number in &numbers {
                    match ledger.states(std::slice::from_ref(number)).await {
                        Err(LedgerError::Corrupt(why)) => states.push(Err(why)),
                        other => states.extend(other?.into_iter().map(Ok)),
                    }
                }
            }
            Err(error) => return Err(error.into()),
        }
        let looked = |(row, state): (ClaimRow, Result<Option<State>, String>)| {
            let held_until_ms = self.terms.held_until_ms(row.claimed_at_ms);
            let (state, stuck) = match state {
                Ok(state) => (state.unwrap_or(State::Held), None),
                Err(why) => (State::Held, Some(why)),
            };
            Looked { row, state, held_until_ms, stuck }
        };
        Ok(rows.into_iter().zip(states).map(looked).collect())
    }

    /// Ends the holds whose time is over.
    async fn lapse(&self, looked: &mut [Looked]) -> Result<(), HoldError> {
        let now_ms = self.holds.now_ms();
        let due = |one: &&mut Looked| one.is_held() && now_ms >= one.held_until_ms;
        let due: Vec<&mut Looked> = looked.iter_mut().filter(due).collect();
        if due.is_empty() {
            return Ok(());
        }
        // What cannot be written is looked for by halves, so that all the others are.
        let mut parts = vec![due];
        let mut lapsed = 0;
        while let Some(mut part) = parts.pop() {
            let lapse = |one: &&mut Looked| Action::Lapse { claim: one.row.number };
            let requests = part.iter().map(lapse).map(|action| Request { action, key: None }).collect();
            match self.holds.campaigns.ledger.life(requests, now_ms).await {
                Ok(outcomes) => {
                    for (one, outcome) in part.into_iter().zip(outcomes) {
                        lapsed += one.ended(&outcome);
                    }
                }
                Err(LedgerError::Corrupt(_)) if part.len() > 1 => {
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                }
                Err(LedgerError::Corrupt(why)) => {
                    for one in part {
                        one.stuck = Some(why.clone());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.holds.count(super::Ended::Lapsed, lapsed);
        FailStep::HoldDecided.reached();
        Ok(())
    }
}

/// Gives units back, some at a time; what does not come through is tried again.
async fn give_back(holds: &Arc<Holds>, mut owed: Vec<Owed>) {
    while !owed.is_empty() {
        let rest = owed.split_off(owed.len().min(limits::HOLD_RETURNS));
        let mut returns = JoinSet::new();
        for one in std::mem::replace(&mut owed, rest) {
            let holds = Arc::clone(holds);
            returns.spawn(async move { if holds.give_back(&one).await { None } else { Some(one) } });
        }
        let failed = returns.join_all().await.into_iter().flatten();
        holds.owed.lock().unwrap_or_else(PoisonError::into_inner).extend(failed);
    }
}

impl Looked {
    /// Takes what the ledger says of its end; how many holds that ended.
    fn ended(&mut self, outcome: &Outcome) -> u64 {
        match outcome {
            Ok(_) => {
                self.state = State::Lapsed;
                return 1;
            }
            // Somebody was faster: a payment, its holder, another service.
            Err(Refused::NotFrom(state)) => self.state = *state,
            Err(Refused::Returned) => self.row.status = ClaimStatus::Returned,
            // The ledger has terms by which it is held for longer: the gate will have them in a moment.
            Err(Refused::NotDue) => {}
            Err(refused) => self.stuck = Some(format!("{refused:?}")),
        }
        0
    }
}

fn owed_of(drop: &DropGate, terms: &ItemTerms, one: &Looked) -> Option<Owed> {
    let person = PersonId::new(&one.row.person).ok()?;
    let claim_again = terms.claim_again;
    Some(Owed { drop: drop.id.clone(), person, claim: one.row.number, claim_again })
}
