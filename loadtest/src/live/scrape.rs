//! What the service says of itself while it is under load.
//!
//! Owns a thread with a runtime of its own, so that a slow or dead admin address disturbs neither the load nor the
//! screen: the view only ever looks at what was last heard. Asks each address at most once a second.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde::Deserialize;
use tokio::{
    runtime,
    sync::oneshot,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{exposition, fetch::Fetch};
use crate::scenario::Scenario;

/// How often each address is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long all answers of one address may take.
const ANSWER_WAIT: Duration = Duration::from_millis(800);
/// What was heard longer ago than this is no longer told.
const FRESH_FOR: Duration = Duration::from_secs(5);
/// Drops whose state is asked for; further ones are left out.
const DROPS_MAX: usize = 16;
/// Stands for the drop's id in a path.
const DROP: &str = "{drop}";

/// The names of the service's metrics.
mod metric {
    pub(super) const DRAIN_LAG_SECONDS: &str = "claimrush_drain_lag_seconds";
    pub(super) const DRAIN_LAG_ENTRIES: &str = "claimrush_drain_lag_entries";
    pub(super) const QUEUE_CLAIMS: &str = "claimrush_queue_claims";
    pub(super) const REDIS_UP: &str = "claimrush_redis_up";
    pub(super) const STOCK_LEFT: &str = "claimrush_drop_stock_left";
}

/// Where the service is asked how it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrapeTargets {
    /// Its public address, as `http://host:port`.
    pub url: String,
    /// The path of a drop's public state; `{drop}` stands for the drop's id.
    pub state_path: String,
    /// The drops that are claimed.
    pub drops: Vec<String>,
    /// Its admin address, whose `/metrics` are read; none if it has none.
    pub admin_url: Option<String>,
}

impl From<&Scenario> for ScrapeTargets {
    fn from(scenario: &Scenario) -> Self {
        Self {
            url: scenario.service.url.clone(),
            state_path: scenario.service.state_path.clone(),
            drops: scenario.drops.iter().map(|share| share.id.clone()).collect(),
            admin_url: scenario.service.admin_url.clone(),
        }
    }
}

/// What is known of the service now; `None` for what it has not said lately.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceState {
    /// The drops, in the order of the scenario.
    pub drops: Vec<DropState>,
    /// Age of the oldest claim that is not yet in the ledger, in seconds.
    pub drain_lag_s: Option<f64>,
    /// Journal entries that are not yet in the ledger.
    pub journal_entries: Option<u64>,
    /// Claims that wait for a batch.
    pub queue_claims: Option<u64>,
    /// Whether the service reaches Redis.
    pub redis_up: Option<bool>,
    /// Why something could not be asked, a line for each address.
    pub troubles: Vec<String>,
}

/// What is known of one drop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DropState {
    /// Its id.
    pub id: String,
    /// As in `open` or `sold_out`.
    pub state: Option<String>,
    /// Units left.
    pub left: Option<u64>,
    /// Units that there were.
    pub total: Option<u64>,
}

impl ServiceState {
    /// Units left and units that there were, over all drops; `None` while one is not known.
    #[must_use]
    pub fn stock(&self) -> (Option<u64>, Option<u64>) {
        let sum = |read: fn(&DropState) -> Option<u64>| {
            let known: Option<Vec<_>> = self.drops.iter().map(read).collect();
            known.filter(|known| !known.is_empty()).map(|known| known.iter().sum())
        };
        (sum(|drop| drop.left), sum(|drop| drop.total))
    }
}

/// Keeps asking until it is dropped.
pub struct Scrape {
    board: Arc<Board>,
    /// Its end ends the thread.
    _until: oneshot::Sender<()>,
}

impl Scrape {
    /// Starts to ask.
    ///
    /// # Errors
    /// An address cannot be understood, or the system has no thread left.
    pub fn start(targets: &ScrapeTargets) -> Result<Self> {
        let mut drops = targets.drops.clone();
        drops.truncate(DROPS_MAX);
        let states = Fetch::new(&targets.url)?;
        let metrics = targets.admin_url.as_deref().map(Fetch::new).transpose()?;
        let paths = drops.iter().map(|drop| targets.state_path.replace(DROP, drop)).collect();
        let board = Arc::new(Board { drops, ..Board::default() });
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (until, ended) = oneshot::channel();
        let shared = Arc::clone(&board);
        thread::Builder::new().name("scrape".into()).spawn(move || {
            if let Some(metrics) = metrics {
                runtime.spawn(ask_metrics(Arc::clone(&shared), metrics));
            }
            runtime.spawn(ask_states(shared, states, paths));
            // An error only says that the other end is gone: that is the sign to end.
            let _gone = runtime.block_on(ended);
            // A host name that is still being looked up is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { board, _until: until })
    }

    /// What was heard last. Never waits for the service.
    #[must_use]
    pub fn state(&self) -> ServiceState {
        self.board.state(Instant::now())
    }
}

/// What both questions have last heard.
#[derive(Default)]
struct Board {
    drops: Vec<String>,
    metrics: Mutex<Heard<Bytes>>,
    states: Mutex<Heard<Vec<Option<PublicState>>>>,
}

struct Heard<T> {
    last: Option<(Instant, T)>,
    trouble: Option<String>,
}

impl<T> Default for Heard<T> {
    fn default() -> Self {
        Self { last: None, trouble: None }
    }
}

impl<T: Clone> Heard<T> {
    fn hear(&mut self, heard: Result<T>, now: Instant) {
        match heard {
            Ok(answer) => (self.last, self.trouble) = (Some((now, answer)), None),
            Err(error) => self.trouble = Some(format!("{error:#}")),
        }
    }

    fn fresh(&self, now: Instant) -> Option<&T> {
        self.last
            .as_ref()
            .filter(|(at, _)| now.saturating_duration_since(*at) <= FRESH_FOR)
            .map(|(_, heard)| heard)
    }
}

/// The part of a drop's public state that is shown.
#[derive(Debug, Clone, Deserialize)]
struct PublicState {
    state: Option<String>,
    stock_left: Option<u64>,
    stock_total: Option<u64>,
}

impl Board {
    fn state(&self, now: Instant) -> ServiceState {
        let metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let text = metrics.fresh(now).map(|page| String::from_utf8_lossy(page)).unwrap_or_default();
        let public = states.fresh(now).map(Vec::as_slice).unwrap_or_default();
        let drops = self.drops.iter().enumerate().map(|(at, id)| {
            let public = public.get(at).and_then(Option::as_ref);
            let counted = exposition::labelled(&text, metric::STOCK_LEFT, "drop", id).and_then(whole);
            DropState {
                id: id.clone(),
                state: public.and_then(|public| public.state.clone()),
                left: public.and_then(|public| public.stock_left).or(counted),
                total: public.and_then(|public| public.stock_total),
            }
        });
        let troubles = [("state", &states.trouble), ("metrics", &metrics.trouble)];
        let tell = |(what, trouble): (&str, &Option<String>)| {
            trouble.as_ref().map(|trouble| format!("{what}: {trouble}"))
        };
        ServiceState {
            drops: drops.collect(),
            drain_lag_s: exposition::sum(&text, metric::DRAIN_LAG_SECONDS),
            journal_entries: exposition::sum(&text, metric::DRAIN_LAG_ENTRIES).and_then(whole),
            queue_claims: exposition::sum(&text, metric::QUEUE_CLAIMS).and_then(whole),
            redis_up: exposition::sum(&text, metric::REDIS_UP).map(|up| up > 0.0),
            troubles: troubles.into_iter().filter_map(tell).collect(),
        }
    }
}

/// A count that a metric tells as a floating-point number.
fn whole(value: f64) -> Option<u64> {
    format!("{value:.0}").parse().ok()
}

async fn ask_metrics(board: Arc<Board>, mut fetch: Fetch) {
    let mut turn = turns();
    loop {
        turn.tick().await;
        let page = in_time(fetch.page("/metrics")).await;
        board.metrics.lock().unwrap_or_else(PoisonError::into_inner).hear(page, Instant::now());
    }
}

async fn ask_states(board: Arc<Board>, mut fetch: Fetch, paths: Vec<String>) {
    let mut turn = turns();
    loop {
        turn.tick().await;
        let states = in_time(read_states(&mut fetch, &paths)).await;
        board.states.lock().unwrap_or_else(PoisonError::into_inner).hear(states, Instant::now());
    }
}

/// A service that has no such page, or says something else there, is no trouble: its stock is just not known.
async fn read_states(fetch: &mut Fetch, paths: &[String]) -> Result<Vec<Option<PublicState>>> {
    let mut states = Vec::with_capacity(paths.len());
    for path in paths {
        let page = fetch.page(path).await.with_context(|| path.clone())?;
        states.push(serde_json::from_slice(&page).ok());
    }
    Ok(states)
}

async fn in_time<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    match timeout(ANSWER_WAIT, answer).await {
        Ok(answer) => answer,
        Err(_) => bail!("no answer within {} ms", ANSWER_WAIT.as_millis()),
    }
}

fn turns() -> tokio::time::Interval {
    let mut turn = interval(ASK_EVERY);
    // After a slow answer the next question comes a second later, not at once.
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    turn
}

#[cfg(test)]
#[path = "scrape_tests.rs"]
mod tests;
