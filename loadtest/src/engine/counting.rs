//! What one thread counts, as cheaply as possible.
//!
//! Kinds of answers are numbered when they first come, so that an answer costs no allocation and no search in a
//! tree; the [`Tally`] gets its words at the end of each interval and of the run. For the same reason a time is noted in
//! as few histograms as tell everything, and these are added, without loss, where others are made of them: the answers
//! of a persona are its grants, its refusals and the rest, and what is shown of the last second is what is noted by interval.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::meter::{Meter, PersonaReading};
use crate::{
    client::{answer, silence::NoReply},
    scenario::Scenario,
    tally::{
        Counts, INTERVAL_DIGITS, Interval, KINDS_MAX, Mishaps, PersonaTally, Schedule, Tally, Times, micros,
    },
};

/// What stands for the codes of all kinds beyond [`KINDS_MAX`].
const OTHER: &str = "other";

/// The moments of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    /// When its person meant to have the answer asked for.
    pub(crate) intended: Instant,
    /// When it was sent.
    pub(crate) sent: Instant,
}

/// Counts one thread's share of a run.
pub(crate) struct Counting {
    start: Instant,
    tally: Tally,
    /// Every kind of answer so far; its place is its number.
    kinds: Vec<(u16, Box<str>)>,
    /// By persona, then by the number of the kind.
    by_persona: Vec<Vec<u64>>,
    /// By the number of the kind: answers of the interval in which the last answer came.
    of_interval: Vec<u64>,
    answers_in: usize,
    /// The interval found last: its number and what belongs to it.
    last: (usize, Range<Duration>),
    /// Answers of that interval that stand neither there nor in the window yet.
    recent: Times,
    window: Times,
    meter: Arc<Meter>,
    sums: Sums,
}

/// The numbers of the meter.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    scheduled: u64,
    sent: u64,
    answers: u64,
    granted: u64,
    lost: u64,
}

impl Counting {
    pub(crate) fn new(
        scenario: &Scenario,
        interval: Duration,
        start: Instant,
        meter: Arc<Meter>,
    ) -> Result<Self> {
        let personas = scenario.personas.iter().map(|persona| (persona.title(), persona.behaviour.kind()));
        Ok(Self {
            start,
            tally: Tally::new(personas, interval)?,
            kinds: Vec::new(),
            by_persona: vec![Vec::new(); scenario.personas.len()],
            of_interval: Vec::new(),
            answers_in: 0,
            last: (0, Duration::ZERO..Duration::ZERO),
            recent: Times::new(INTERVAL_DIGITS)?,
            window: Times::new(INTERVAL_DIGITS)?,
            meter,
            sums: Sums::default(),
        })
    }

    /// A person was due.
    pub(crate) fn arrived(&mut self, persona: usize, due: Instant) -> Result<()> {
        self.persona(persona)?.arrivals += 1;
        self.interval_at(due)?.1.scheduled += 1;
        self.tally.schedule.scheduled += 1;
        self.sums.scheduled += 1;
        self.meter.scheduled.store(self.sums.scheduled, Ordering::Release);
        Ok(())
    }

    /// A request leaves.
    pub(crate) fn sent(&mut self, persona: usize, at: Instant) -> Result<()> {
        self.persona(persona)?.requests += 1;
        self.interval_at(at)?.1.sent += 1;
        self.sums.sent += 1;
        self.meter.sent.store(self.sums.sent, Ordering::Release);
        Ok(())
    }

    /// A request did not leave after all.
    pub(crate) fn not_sent(&mut self, persona: usize, at: Instant) -> Result<()> {
        self.persona(persona)?.requests -= 1;
        self.interval_at(at)?.1.sent -= 1;
        self.sums.sent -= 1;
        self.meter.sent.store(self.sums.sent, Ordering::Release);
        Ok(())
    }

    /// A request was answered, now.
    pub(crate) fn answered(&mut self, persona: usize, status: u16, code: &str, at: Moments) -> Result<()> {
        let now = Instant::now();
        let (response, service) = (micros(now - at.intended), micros(now - at.sent));
        let kind = self.kind(status, code);
        // An answer with a code of its own is to something else than a claim.
        let granted = status == answer::CREATED && code.is_empty();

        count(self.by_persona.get_mut(persona).context("there is no such persona")?, kind);
        let tally = self.persona(persona)?;
        let (responses, services) = if granted {
            tally.granted += 1;
            (&mut tally.granted_response, &mut tally.granted_service)
        } else if status >= answer::REFUSALS {
            (&mut tally.refused_response, &mut tally.refused_service)
        } else {
            tally.replayed += u64::from(status == answer::OK && code.is_empty());
            (&mut tally.response, &mut tally.service)
        };
        responses.note_micros(response);
        services.note_micros(service);

        let (number, interval) = self.interval_at(now)?;
        interval.answers += 1;
        interval.granted += u64::from(granted);
        if number != self.answers_in {
            self.close_interval()?;
            self.answers_in = number;
        }
        count(&mut self.of_interval, kind);
        self.recent.note_micros(response);

        self.tally.last_answer = now - self.start;
        self.sums.answers += 1;
        self.meter.answers.store(self.sums.answers, Ordering::Release);
        self.sums.granted += u64::from(granted);
        self.meter.granted.store(self.sums.granted, Ordering::Release);
        Ok(())
    }

    /// A reply was lost, now.
    pub(crate) fn lost(&mut self, persona: usize) -> Result<()> {
        self.persona(persona)?.mishaps.lost_replies += 1;
        self.interval_at(Instant::now())?.1.lost += 1;
        self.sums.lost += 1;
        self.meter.lost.store(self.sums.lost, Ordering::Release);
        Ok(())
    }

    /// Notes what came in the place of a reply, if nothing more telling did before.
    pub(crate) fn no_reply(&mut self, came: NoReply) {
        let known = self.tally.no_reply.take();
        self.tally.no_reply = known.max(Some(came));
    }

    /// The outcome of a claim stays unknown.
    pub(crate) fn unknown(&mut self, persona: usize) -> Result<()> {
        self.persona(persona)?.unknown += 1;
        Ok(())
    }

    /// Where the rest of what can go wrong is counted.
    pub(crate) fn mishaps(&mut self, persona: usize) -> Result<&mut Mishaps> {
        Ok(&mut self.persona(persona)?.mishaps)
    }

    /// How the schedule is kept.
    pub(crate) fn schedule(&mut self) -> &mut Schedule {
        &mut self.tally.schedule
    }

    /// Hands the meter what it does not get on the way.
    pub(crate) fn publish(&mut self) -> Result<()> {
        self.spread_recent()?;
        let window = std::mem::replace(&mut self.window, Times::new(INTERVAL_DIGITS)?);
        let mut counts = Counts::default();
        for of_persona in &self.by_persona {
            add(&mut counts, &self.kinds, of_persona);
        }
        let personas = self.tally.personas.iter().zip(&self.by_persona);
        let personas = personas.map(|(tally, answers)| PersonaReading::of(tally, answers.iter().sum()));
        self.meter.publish(self.tally.schedule, counts, personas.collect(), window);
        Ok(())
    }

    /// Everything that was counted; nothing is left here.
    pub(crate) fn finish(&mut self) -> Result<Tally> {
        self.close_interval()?;
        for (persona, of_persona) in self.tally.personas.iter_mut().zip(&self.by_persona) {
            add(&mut persona.counts, &self.kinds, of_persona);
            for part in [&persona.granted_response, &persona.refused_response] {
                persona.response.merge(part)?;
            }
            for part in [&persona.granted_service, &persona.refused_service] {
                persona.service.merge(part)?;
            }
        }
        let nothing = Tally::new([], self.tally.interval)?;
        Ok(std::mem::replace(&mut self.tally, nothing))
    }

    fn persona(&mut self, persona: usize) -> Result<&mut PersonaTally> {
        self.tally.personas.get_mut(persona).context("there is no such persona")
    }

    /// The number of a kind; the first of its status with too many before it stands for `other`.
    fn kind(&mut self, status: u16, code: &str) -> usize {
        let known = self.kinds.iter().position(|(known, its)| *known == status && **its == *code);
        known.unwrap_or_else(|| {
            if self.kinds.len() < KINDS_MAX || code == OTHER {
                self.kinds.push((status, code.into()));
                self.kinds.len() - 1
            } else {
                self.kind(status, OTHER)
            }
        })
    }

    /// The interval of a moment and its number. Most moments lie in the same one as the moment before.
    fn interval_at(&mut self, at: Instant) -> Result<(usize, &mut Interval)> {
        let at = at.saturating_duration_since(self.start);
        if !self.last.1.contains(&at) {
            self.tally.interval_at(at)?;
            let length = self.tally.interval.as_nanos().max(1);
            let number = usize::try_from(at.as_nanos() / length)?.min(self.tally.intervals.len() - 1);
            let from = u64::try_from(number as u128 * length).map(Duration::from_nanos)?;
            self.last = (number, from..from + self.tally.interval);
        }
        let number = self.last.0;
        Ok((number, self.tally.intervals.get_mut(number).context("there is such an interval")?))
    }

    fn close_interval(&mut self) -> Result<()> {
        self.spread_recent()?;
        if let Some(interval) = self.tally.intervals.get_mut(self.answers_in) {
            add(&mut interval.counts, &self.kinds, &self.of_interval);
        }
        self.of_interval.fill(0);
        Ok(())
    }

    /// Adds the latest times to their interval and to the window.
    fn spread_recent(&mut self) -> Result<()> {
        if let Some(interval) = self.tally.intervals.get_mut(self.answers_in) {
            interval.response.merge(&self.recent)?;
        }
        self.window.merge(&self.recent)?;
        self.recent.clear();
        Ok(())
    }
}

fn count(counts: &mut Vec<u64>, kind: usize) {
    if counts.len() <= kind {
        counts.resize(kind + 1, 0);
    }
    if let Some(answers) = counts.get_mut(kind) {
        *answers += 1;
    }
}

fn add(counts: &mut Counts, kinds: &[(u16, Box<str>)], by_kind: &[u64]) {
    for ((status, code), &answers) in kinds.iter().zip(by_kind) {
        if answers > 0 {
            counts.add(*status, code, answers);
        }
    }
}

#[cfg(test)]
#[path = "counting_tests.rs"]
mod tests;
