//! Tickets for everybody of a scenario, before its run.
//!
//! Owns who asks for what: person n + 1 is arrival n, with its persona and its drop. A bot that the desk refuses comes with
//! the ticket of another of its persona, as a farm has all its tickets in one place.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use hyper::{Method, header::HeaderValue};
use tokio::task::{JoinSet, LocalSet};

use super::{asker::Asker, identity::Issuer};
use crate::{
    client::target::Target,
    cpu,
    engine::{Supply, pretended},
    results::{DeskPart, DeskResult},
    scenario::{Behaviour, Scenario, Tickets},
    schedule::Choices,
};

/// People who ask at a time, on each thread.
const ASKERS_PER_THREAD: usize = 16;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The tickets, and what the desk did.
pub(crate) struct Everybody {
    /// For the run.
    pub(crate) supply: Supply,
    /// For its results.
    pub(crate) desk: DeskResult,
}

/// What the threads share.
struct Queue {
    scenario: Scenario,
    choices: Choices,
    issuer: Issuer,
    target: Target,
    prefix: String,
    /// By person, which one of its persona it is.
    places: Vec<u64>,
    next: AtomicUsize,
    give_up_at: Instant,
    /// By person, once it has asked.
    tickets: Mutex<Vec<Option<String>>>,
    parts: Mutex<Vec<DeskPart>>,
}

/// Gets the tickets of a scenario whose tickets come from the desk.
///
/// # Errors
/// The key set cannot be used, the desk cannot be reached, or not everybody is through in time.
pub(crate) fn everybody(scenario: &Scenario, tell: &dyn Fn(&str)) -> Result<Everybody> {
    let Tickets::Desk { identity_keys, prefix, wait, .. } = &scenario.tickets else {
        bail!("this scenario's tickets do not come from the desk");
    };
    let persons =
        usize::try_from(scenario.desk_persons().context("nobody said how many persons there are")?)?;
    let choices = Choices::new(scenario);
    let began = Instant::now();
    let queue = Arc::new(Queue {
        places: places(&choices, persons, scenario.personas.len()),
        scenario: scenario.clone(),
        choices,
        issuer: Issuer::load(identity_keys)?,
        target: Target::new(&scenario.service.url, &Method::POST, "/")?,
        prefix: prefix.clone(),
        next: AtomicUsize::new(0),
        give_up_at: began + *wait,
        tickets: Mutex::new(vec![None; persons]),
        parts: Mutex::new(scenario.personas.iter().map(|persona| DeskPart::new(persona.title())).collect()),
    });
    let start = || {
        let queue = Arc::clone(&queue);
        thread::spawn(move || work(&queue))
    };
    let workers: Vec<_> = (0..cpu::cores()).map(|_| start()).collect();
    let mut tell_at = began + TELL_EVERY;
    while workers.iter().any(|worker| !worker.is_finished()) {
        thread::sleep(LOOK_EVERY);
        if Instant::now() >= tell_at {
            tell_at += TELL_EVERY;
            tell(&format!("{} of {persons} have asked", queue.asked()));
        }
    }
    for worker in workers {
        worker.join().map_err(|_| anyhow!("a thread broke"))??;
    }
    let personas = std::mem::take(&mut *lock(&queue.parts));
    let tickets = std::mem::take(&mut *lock(&queue.tickets));
    let desk = DeskResult { elapsed_s: began.elapsed().as_secs_f64(), personas };
    for part in &desk.personas {
        tell(&part.to_string());
    }
    ensure!(tickets.iter().any(Option::is_some), "nobody got a ticket");
    let comes_as = comes_as(scenario, &queue.choices, &tickets);
    let text = tickets
        .iter()
        .map(|ticket| ticket.as_deref().unwrap_or(""))
        .fold(String::new(), |text, ticket| text + ticket + "\n");
    Ok(Everybody { supply: Supply::Given { text, comes_as }, desk })
}

/// By person, which one of its persona it is, from 0.
fn places(choices: &Choices, persons: usize, personas: usize) -> Vec<u64> {
    let mut counts = vec![0_u64; personas];
    (0..persons as u64)
        .map(|n| {
            let Some(count) = counts.get_mut(choices.persona(n)) else { return 0 };
            *count += 1;
            *count - 1
        })
        .collect()
}

/// By arrival, as whom it comes.
fn comes_as(scenario: &Scenario, choices: &Choices, tickets: &[Option<String>]) -> Vec<u64> {
    let kind = |n: u64| (choices.persona(n), choices.drop(n));
    let mut lenders: BTreeMap<(usize, usize), Vec<u64>> = BTreeMap::new();
    for (n, _) in (0_u64..).zip(tickets).filter(|(_, ticket)| ticket.is_some()) {
        lenders.entry(kind(n)).or_default().push(n + 1);
    }
    let mut lent: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let arrivals = (0_u64..).zip(tickets).map(|(n, ticket)| {
        let persona = scenario.personas.get(choices.persona(n));
        let borrows = persona.is_some_and(|persona| matches!(persona.behaviour, Behaviour::Bot { .. }));
        let Some(own) = lenders.get(&kind(n)).filter(|_| borrows && ticket.is_none()) else { return n + 1 };
        let turn = lent.entry(kind(n)).or_default();
        *turn += 1;
        own.get(*turn % own.len()).copied().unwrap_or(n + 1)
    });
    arrivals.collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One thread's askers, until nobody waits any more.
fn work(queue: &Arc<Queue>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(LocalSet::new().run_until(async {
        let mut askers = JoinSet::new();
        for _ in 0..ASKERS_PER_THREAD {
            let queue = Arc::clone(queue);
            askers.spawn_local(async move { queue.ask_on().await });
        }
        while let Some(asked) = askers.join_next().await {
            asked??;
        }
        Ok(())
    }))
}

impl Queue {
    fn asked(&self) -> u64 {
        lock(&self.parts).iter().map(|part| part.asked).sum()
    }

    async fn ask_on(&self) -> Result<()> {
        let mut asker = Asker::new(self.target.clone());
        loop {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            if n >= self.places.len() {
                return Ok(());
            }
            ensure!(Instant::now() < self.give_up_at, "the desk is not through with everybody in time");
            self.ask_for(&mut asker, n).await?;
        }
    }

    async fn ask_for(&self, asker: &mut Asker, n: usize) -> Result<()> {
        let (number, place) = (n as u64, self.places.get(n).copied().unwrap_or_default());
        let persona_at = self.choices.persona(number);
        let persona = self.scenario.personas.get(persona_at).context("there is such a persona")?;
        let drop = self.scenario.drops.get(self.choices.drop(number)).context("there is such a drop")?;
        let address = pretended(&persona.forwarded_for, number, 0);
        asker.forwarded_for = address.map(|it| HeaderValue::from_str(&it.to_string())).transpose()?;
        let says = &persona.identity;
        let phone = place.checked_div(u64::from(says.accounts_per_phone));
        let phone = phone.map(|phone| format!("{}{}-phone-{phone}", self.prefix, persona.title()));
        let account = format!("{}{}", self.prefix, number + 1);
        let token = self.issuer.token(&account, phone.as_deref(), says)?;
        let (hashes, waits) = (asker.hashes, asker.told_to_wait);
        let outcome = tokio::time::timeout_at(self.give_up_at.into(), asker.ticket(&drop.id, &token)).await;
        let outcome = outcome.ok().context("the desk is not through with everybody in time")??;
        let mut parts = lock(&self.parts);
        let part = parts.get_mut(persona_at).context("there is such a persona")?;
        part.asked += 1;
        part.hashes += asker.hashes - hashes;
        part.told_to_wait += asker.told_to_wait - waits;
        match outcome {
            Ok(ticket) => {
                part.given += 1;
                if let Some(own) = lock(&self.tickets).get_mut(n) {
                    *own = Some(ticket);
                }
            }
            Err(code) => *part.refused.entry(code).or_default() += 1,
        }
        Ok(())
    }
}
