//! People who arrive at a steady rate, whatever happens to those before them, and what each was told.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::history::{History, Said};
use crate::support::crowd::{Crowd, Wish};
use crate::support::wait_for;

/// Who arrives in a second.
const ARRIVALS_PER_SECOND: u32 = 250;
/// An arrival is served well if its first attempt brings the claim within this time of its arrival.
const WELL_WITHIN: Duration = Duration::from_secs(1);
/// Service has recovered with the first of so many arrivals in a row ...
const WINDOW_ARRIVALS: usize = ARRIVALS_PER_SECOND as usize / 2;
/// ... of whom all but one in twenty are served well.
const WINDOW_WELL: usize = WINDOW_ARRIVALS - WINDOW_ARRIVALS / 20;
/// How long a recovery is waited for. Where it is measured it has failed long before: the row compares it with what is promised.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(180);
/// People who ask at one time.
pub(crate) const CONNECTIONS: usize = 32;
/// The pause before somebody without an answer asks again: doubled from the first to the second.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// See [`RETRY_FIRST`].
const RETRY_LAST: Duration = Duration::from_millis(800);
/// One arrival in so many is somebody who came before and asks again.
const AGAIN_ONE_IN: u32 = 10;

/// One rush; its workers are the caller's threads.
pub(crate) struct Rush<'a> {
    crowd: &'a Crowd,
    state: Mutex<State<'a>>,
    began: Instant,
    stopped: AtomicBool,
}

struct State<'a> {
    arrivals: Vec<Arrival>,
    /// When to ask again: time, index of the arrival, the pause before.
    retries: BinaryHeap<Reverse<(Instant, usize, Duration)>>,
    history: &'a mut History,
    random: StdRng,
}

struct Arrival {
    wish: Wish,
    due: Instant,
    /// Whether the first attempt served it well, once that has ended.
    well: Option<bool>,
}

/// What a worker does next.
enum Task {
    Ask(usize, Wish, Option<Duration>),
    Wait,
    End,
}

impl<'a> Rush<'a> {
    /// Begins now; the first arrivals are due at once.
    pub(crate) fn begin(crowd: &'a Crowd, history: &'a mut History, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        let state = State { arrivals: Vec::new(), retries: BinaryHeap::new(), history, random };
        Self { crowd, state: Mutex::new(state), began: Instant::now(), stopped: AtomicBool::new(false) }
    }

    /// When it began.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// One of the workers: asks for whoever is due, until the rush is stopped.
    pub(crate) fn work(&self) {
        let mut client = None;
        loop {
            match self.next() {
                Task::End => return,
                Task::Wait => std::thread::sleep(Duration::from_millis(1)),
                Task::Ask(index, wish, pause) => {
                    let ticket = self.crowd.ticket(&wish);
                    let said = Said::of(self.crowd.attempt(&mut client, &ticket, wish.key));
                    if matches!(said, Said::Nothing) {
                        client = None;
                    }
                    self.note(index, pause, said);
                }
            }
        }
    }

    fn next(&self) -> Task {
        let now = Instant::now();
        let mut state = self.locked();
        if self.stopped.load(Ordering::Acquire) {
            return Task::End;
        }
        let index = state.arrivals.len();
        let due = self.began + Duration::from_secs(1) * u32::try_from(index).unwrap() / ARRIVALS_PER_SECOND;
        if due <= now {
            let again = index > 0 && state.random.random_ratio(1, AGAIN_ONE_IN);
            let wish = if again {
                let before = state.random.random_range(0..index);
                state.arrivals[before].wish.clone()
            } else {
                state.history.new_wish()
            };
            state.arrivals.push(Arrival { wish: wish.clone(), due, well: None });
            return Task::Ask(index, wish, None);
        }
        match state.retries.peek() {
            Some(Reverse((at, index, pause))) if *at <= now => {
                let (index, pause) = (*index, *pause);
                state.retries.pop();
                Task::Ask(index, state.arrivals[index].wish.clone(), Some(pause))
            }
            _ => Task::Wait,
        }
    }

    fn note(&self, index: usize, paused: Option<Duration>, said: Said) {
        let now = Instant::now();
        let mut state = self.locked();
        let state = &mut *state;
        let arrival = &mut state.arrivals[index];
        if paused.is_none() {
            arrival.well = Some(said.is_claim() && now - arrival.due <= WELL_WITHIN);
        }
        let conclusive = said.is_conclusive();
        state.history.note(&arrival.wish, now - self.began, said);
        if !conclusive {
            let pause = paused.map_or(RETRY_FIRST, |pause| (pause * 2).min(RETRY_LAST));
            state.retries.push(Reverse((now + pause, index, pause)));
        }
    }

    /// Waits until arrivals are served as before, and gives how long after `fault` that began.
    pub(crate) fn wait_recovered(&self, fault: Instant) -> Duration {
        wait_for("arrivals are served well", RECOVERY_PATIENCE, || {
            let state = self.locked();
            let after: Vec<_> = state.arrivals.iter().filter(|arrival| arrival.due >= fault).collect();
            let well = |window: &&[&Arrival]| {
                window.iter().filter(|arrival| arrival.well == Some(true)).count() >= WINDOW_WELL
            };
            let first = after.windows(WINDOW_ARRIVALS).find(well)?;
            Some(first[0].due - fault)
        })
    }

    /// Waits until so many more have had an answer that counts.
    pub(crate) fn wait_more(&self, count: usize) {
        let before = self.locked().history.claimed();
        wait_for("more people have their claims", RECOVERY_PATIENCE, || {
            (self.locked().history.claimed() >= before + count).then_some(())
        });
    }

    /// More people come over connections of their own, all at once, and ask until there is an answer that counts, with this
    /// pause before each asks again.
    pub(crate) fn crowd_comes(&self, people: usize, connections: usize, pause: Duration) {
        let wishes: Vec<_> = {
            let mut state = self.locked();
            (0..people).map(|_| state.history.new_wish()).collect()
        };
        let told = self.crowd.rush_with_pauses(&wishes, connections, pause);
        self.locked().history.note_end(told);
    }

    /// How many arrivals were not served well so far.
    pub(crate) fn held_up(&self) -> usize {
        self.locked().arrivals.iter().filter(|arrival| arrival.well == Some(false)).count()
    }

    /// Nobody arrives any more, and the workers end.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// The crowd, to be told where the service has gone.
    pub(crate) fn crowd(&self) -> &Crowd {
        self.crowd
    }

    fn locked(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops a rush at the end of its scope, also when a test fails there.
pub(crate) struct Stopper<'r, 'a>(pub(crate) &'r Rush<'a>);

impl Drop for Stopper<'_, '_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
