//! What others see of a thread while it runs.
//!
//! The thread only stores plain numbers on its way; counts by kind and recent times are handed over a few times a
//! second.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::tally::{Counts, PersonaTally, Schedule, Times};

/// How often a thread hands over what is more than a number.
pub(crate) const PUBLISH_EVERY: Duration = Duration::from_millis(250);
/// Hand-overs that make up "about the last second".
const WINDOWS: usize = 4;

/// One thread's meter.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Meter {
    pub(crate) scheduled: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) answers: AtomicU64,
    pub(crate) granted: AtomicU64,
    pub(crate) lost: AtomicU64,
    published: Mutex<Published>,
}

#[derive(Debug, Default)]
struct Published {
    schedule: Schedule,
    counts: Counts,
    personas: Vec<PersonaReading>,
    windows: VecDeque<Times>,
}

/// What one persona has done and got so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonaReading {
    /// Its title.
    pub name: String,
    /// Persons that came.
    pub arrivals: u64,
    /// Answers.
    pub answers: u64,
    /// New claims (201).
    pub granted: u64,
}

impl PersonaReading {
    /// Of what was counted, and its answers.
    pub(crate) fn of(tally: &PersonaTally, answers: u64) -> Self {
        Self { name: tally.name.clone(), arrivals: tally.arrivals, answers, granted: tally.granted }
    }

    /// Adds what others counted; personas are matched by their names.
    pub fn merge_all(mine: &mut Vec<Self>, others: &[Self]) {
        for other in others {
            match mine.iter_mut().find(|one| one.name == other.name) {
                Some(one) => {
                    one.arrivals += other.arrivals;
                    one.answers += other.answers;
                    one.granted += other.granted;
                }
                None => mine.push(other.clone()),
            }
        }
    }
}

impl Meter {
    /// Hands over what was counted so far, and the times since the last hand-over.
    pub(crate) fn publish(
        &self,
        schedule: Schedule,
        counts: Counts,
        personas: Vec<PersonaReading>,
        window: Times,
    ) {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.schedule = schedule;
        published.counts = counts;
        published.personas = personas;
        if published.windows.len() == WINDOWS {
            published.windows.pop_front();
        }
        published.windows.push_back(window);
    }
}

/// What a run shows while it lasts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeterReading {
    /// Arrivals that were due so far.
    pub scheduled: u64,
    /// Requests sent so far.
    pub sent: u64,
    /// Answers so far.
    pub answers: u64,
    /// New claims (201) so far.
    pub granted: u64,
    /// Replies lost so far.
    pub lost: u64,
    /// Arrivals so far that the generator let go late; at most 250 ms old.
    pub late_generator: u64,
    /// Arrivals so far that never left; at most 250 ms old.
    pub dropped: u64,
    /// Answers so far by kind; at most 250 ms old.
    pub counts: Counts,
    /// Each persona, in the order of the scenario; at most 250 ms old, and empty before that.
    pub personas: Vec<PersonaReading>,
    /// Answers of about the last second, from the intended start.
    pub recent: Times,
}

impl MeterReading {
    /// The sum of all meters; `empty` has the histogram without any time.
    pub(crate) fn of<'a>(meters: impl Iterator<Item = &'a Meter>, empty: &Times) -> Self {
        let mut reading = Self {
            scheduled: 0,
            sent: 0,
            answers: 0,
            granted: 0,
            lost: 0,
            late_generator: 0,
            dropped: 0,
            counts: Counts::default(),
            personas: Vec::new(),
            recent: empty.clone(),
        };
        for meter in meters {
            reading.add(meter);
        }
        reading
    }

    /// Adds another process' reading.
    ///
    /// # Errors
    /// The other tells times apart by more digits.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.scheduled += other.scheduled;
        self.sent += other.sent;
        self.answers += other.answers;
        self.granted += other.granted;
        self.lost += other.lost;
        self.late_generator += other.late_generator;
        self.dropped += other.dropped;
        for (kind, answers) in other.counts.iter() {
            self.counts.add(kind.status, &kind.code, answers);
        }
        PersonaReading::merge_all(&mut self.personas, &other.personas);
        self.recent.merge(&other.recent)
    }

    fn add(&mut self, meter: &Meter) {
        // Against the order in which a request is counted, so that none shows as answered that does not show as sent.
        let published = meter.published.lock().unwrap_or_else(PoisonError::into_inner);
        self.lost += meter.lost.load(Ordering::Acquire);
        self.granted += meter.granted.load(Ordering::Acquire);
        self.answers += meter.answers.load(Ordering::Acquire);
        self.sent += meter.sent.load(Ordering::Acquire);
        self.scheduled += meter.scheduled.load(Ordering::Acquire);
        self.late_generator += published.schedule.late_generator;
        self.dropped += published.schedule.dropped;
        for (kind, answers) in published.counts.iter() {
            self.counts.add(kind.status, &kind.code, answers);
        }
        PersonaReading::merge_all(&mut self.personas, &published.personas);
        // All windows have the same bounds, so that adding them cannot fail.
        let _added: Result<()> = published.windows.iter().try_for_each(|window| self.recent.merge(window));
    }
}
