//! What a generator counts: by persona and by interval, merged without loss.
//!
//! Owns the raw numbers of a run as they travel between threads, workers and files. Histograms are added, never
//! their percentiles averaged; as JSON they are HdrHistogram V2 (deflated, base64), so that nothing is lost.

mod counts;
mod times;

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

pub use self::{
    counts::{Count, Counts, Kind},
    times::{Times, micros},
};
use crate::client::silence::NoReply;

/// The longest time told apart, in microseconds; longer ones are counted as this one.
pub const MICROS_MAX: u64 = 600_000_000;
/// Significant decimal digits of a time over the whole run.
pub const DIGITS: u8 = 3;
/// Significant decimal digits of a time within one interval.
pub const INTERVAL_DIGITS: u8 = 2;
/// Different `(status, code)` pairs of one persona; what comes after them is counted under the code `other`.
pub const KINDS_MAX: usize = 256;
/// Intervals of one run at the most.
pub const INTERVALS_MAX: usize = 3_600;

/// Plain counters; the names are those of the results.
macro_rules! counters {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $field:ident,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$doc])* pub $field: u64,)+ }
        impl $name {
            /// Adds another's.
            pub fn merge(&mut self, other: &Self) { $(self.$field += other.$field;)+ }
        }
    };
}

counters! {
    /// How a generator kept to its schedule.
    Schedule {
        /// Arrivals that were due.
        scheduled,
        /// Left more than 10 ms late because the generator had no CPU.
        late_generator,
        /// Left more than 10 ms late because all connections waited for answers.
        late_connections,
        /// Never left: no connection was free, or could be opened, in time.
        dropped,
    }
}

counters! {
    /// What is no answer.
    Mishaps {
        /// Connections that could not be opened.
        connect_failures,
        /// Connections opened again after one was lost or closed.
        reconnects,
        /// Replies lost after the request was sent.
        lost_replies,
        /// Requests sent again for the same claim.
        retries,
        /// Success bodies that are no claim.
        unreadable_claims,
        /// Claims meant but never sent.
        unsent,
        /// Connections that the service closed on a persona that deserved it.
        closed_on,
    }
}

/// What one persona did and got.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersonaTally {
    /// Its title.
    pub name: String,
    /// Its behaviour.
    pub kind: String,
    /// Persons that came.
    pub arrivals: u64,
    /// Requests sent.
    pub requests: u64,
    /// New claims (201).
    pub granted: u64,
    /// Claims that the person had already (200).
    pub replayed: u64,
    /// Claims whose outcome is unknown.
    pub unknown: u64,
    /// Answers by kind.
    pub counts: Counts,
    /// All answers, from the intended start.
    pub response: Times,
    /// All answers, from the actual send.
    pub service: Times,
    /// New claims, from the intended start.
    pub granted_response: Times,
    /// New claims, from the actual send.
    pub granted_service: Times,
    /// Refusals (status 400 and above), from the intended start.
    pub refused_response: Times,
    /// Refusals, from the actual send.
    pub refused_service: Times,
    /// What went wrong.
    pub mishaps: Mishaps,
}

impl PersonaTally {
    /// Nothing yet.
    ///
    /// # Errors
    /// Never in practice: the histograms' bounds are constants.
    pub fn new(name: &str, kind: &str) -> Result<Self> {
        let times = || Times::new(DIGITS);
        Ok(Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            arrivals: 0,
            requests: 0,
            granted: 0,
            replayed: 0,
            unknown: 0,
            counts: Counts::default(),
            response: times()?,
            service: times()?,
            granted_response: times()?,
            granted_service: times()?,
            refused_response: times()?,
            refused_service: times()?,
            mishaps: Mishaps::default(),
        })
    }

    /// Adds another's counts and times.
    ///
    /// # Errors
    /// Its times were told apart by more digits.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.arrivals += other.arrivals;
        self.requests += other.requests;
        self.granted += other.granted;
        self.replayed += other.replayed;
        self.unknown += other.unknown;
        for (kind, answers) in other.counts.iter() {
            self.counts.add(kind.status, &kind.code, answers);
        }
        self.response.merge(&other.response)?;
        self.service.merge(&other.service)?;
        self.granted_response.merge(&other.granted_response)?;
        self.granted_service.merge(&other.granted_service)?;
        self.refused_response.merge(&other.refused_response)?;
        self.refused_service.merge(&other.refused_service)?;
        self.mishaps.merge(&other.mishaps);
        Ok(())
    }
}

/// What happened in one interval of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Arrivals that were due.
    pub scheduled: u64,
    /// Requests sent.
    pub sent: u64,
    /// Answers.
    pub answers: u64,
    /// New claims.
    pub granted: u64,
    /// Lost replies.
    pub lost: u64,
    /// Answers by kind.
    pub counts: Counts,
    /// Answers of this interval, from the intended start.
    pub response: Times,
}

impl Interval {
    /// Nothing yet.
    ///
    /// # Errors
    /// Never in practice: the histogram's bounds are constants.
    pub fn new() -> Result<Self> {
        Ok(Self {
            scheduled: 0,
            sent: 0,
            answers: 0,
            granted: 0,
            lost: 0,
            counts: Counts::default(),
            response: Times::new(INTERVAL_DIGITS)?,
        })
    }

    /// Adds another's counts and times.
    ///
    /// # Errors
    /// Its times were told apart by more digits.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.scheduled += other.scheduled;
        self.sent += other.sent;
        self.answers += other.answers;
        self.granted += other.granted;
        self.lost += other.lost;
        for (kind, answers) in other.counts.iter() {
            self.counts.add(kind.status, &kind.code, answers);
        }
        self.response.merge(&other.response)
    }
}

/// Everything that a generator counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// By persona, in the order of the scenario.
    pub personas: Vec<PersonaTally>,
    /// The length of an interval.
    pub interval: Duration,
    /// By interval of the run's own clock: an answer counts where it came, an arrival where it was due.
    pub intervals: Vec<Interval>,
    /// How the schedule was kept.
    pub schedule: Schedule,
    /// From the start to the last answer.
    pub last_answer: Duration,
    /// From the start, until when people were let in: as was planned, or until somebody ended it. Nothing where everybody
    /// had come before: all of a crowd, or of the people or tickets that there are.
    pub let_in_until: Duration,
    /// What came in the place of a reply, where that was seen: the most telling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_reply: Option<NoReply>,
}

impl Tally {
    /// Nothing yet, for these `(name, kind)` personas.
    ///
    /// # Errors
    /// Never in practice: the histograms' bounds are constants.
    pub fn new<'a>(
        personas: impl IntoIterator<Item = (&'a str, &'a str)>,
        interval: Duration,
    ) -> Result<Self> {
        let personas = personas.into_iter().map(|(name, kind)| PersonaTally::new(name, kind));
        Ok(Self {
            personas: personas.collect::<Result<_>>()?,
            interval,
            intervals: Vec::new(),
            schedule: Schedule::default(),
            last_answer: Duration::ZERO,
            let_in_until: Duration::ZERO,
            no_reply: None,
        })
    }

    /// The interval in which a moment of the run lies; moments beyond the last possible one lie in that.
    ///
    /// # Errors
    /// Never in practice: the histograms' bounds are constants.
    pub fn interval_at(&mut self, since_start: Duration) -> Result<&mut Interval> {
        let number = since_start.as_nanos() / self.interval.as_nanos().max(1);
        let number = usize::try_from(number).unwrap_or(usize::MAX).min(INTERVALS_MAX - 1);
        while self.intervals.len() <= number {
            self.intervals.push(Interval::new()?);
        }
        self.intervals.get_mut(number).ok_or_else(|| anyhow::anyhow!("there is such an interval"))
    }

    /// Adds another generator's tally of the same scenario.
    ///
    /// # Errors
    /// The two are of different scenarios.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        ensure!(self.interval == other.interval, "the two tallies have intervals of different lengths");
        ensure!(self.personas.len() == other.personas.len(), "the two tallies have different personas");
        for (mine, theirs) in self.personas.iter_mut().zip(&other.personas) {
            ensure!(mine.name == theirs.name, "persona {} is not persona {}", mine.name, theirs.name);
            mine.merge(theirs)?;
        }
        while self.intervals.len() < other.intervals.len() {
            self.intervals.push(Interval::new()?);
        }
        for (mine, theirs) in self.intervals.iter_mut().zip(&other.intervals) {
            mine.merge(theirs)?;
        }
        self.schedule.merge(&other.schedule);
        self.last_answer = self.last_answer.max(other.last_answer);
        self.let_in_until = self.let_in_until.max(other.let_in_until);
        self.no_reply = self.no_reply.take().max(other.no_reply.clone());
        Ok(())
    }
}

/// The length of an interval that keeps a run of this length within a few hundred of them.
#[must_use]
pub fn interval_for(run: Duration) -> Duration {
    match run.as_secs() {
        0..=60 => Duration::from_millis(100),
        61..=119 => Duration::from_millis(500),
        120..=899 => Duration::from_secs(1),
        seconds => Duration::from_secs((seconds / 600).max(2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        Tally::new([("people", "honest"), ("farm", "bot")], Duration::from_secs(1)).unwrap()
    }

    #[test]
    fn merged_tallies_equal_one_and_survive_the_way_as_json() {
        let (mut one, mut left, mut right) = (tally(), tally(), tally());
        for n in 0..10_000_u64 {
            let (status, code) = if n % 3 == 0 { (410, "sold_out") } else { (201, "") };
            let time = Duration::from_micros(n * 37 % 9_001 + 1);
            let note = |tally: &mut Tally| {
                let persona = &mut tally.personas[usize::from(n % 5 == 0)];
                persona.counts.add(status, code, 1);
                persona.response.note(time);
                if status >= 400 {
                    persona.refused_response.note(time);
                }
                let interval = tally.interval_at(Duration::from_millis(n)).unwrap();
                interval.answers += 1;
                interval.response.note(time);
                tally.schedule.scheduled += 1;
            };
            note(&mut one);
            note(if n % 2 == 0 { &mut left } else { &mut right });
        }
        let right: Tally = serde_json::from_str(&serde_json::to_string(&right).unwrap()).unwrap();
        left.merge(&right).unwrap();
        assert_eq!(left, one);
    }

    #[test]
    fn kinds_and_intervals_are_bounded() {
        let mut counts = Counts::default();
        for n in 0..1_000 {
            counts.add(400, &format!("code-{n}"), 1);
        }
        assert_eq!(counts.iter().count(), KINDS_MAX + 1);
        assert_eq!(counts.iter().map(|(_, answers)| answers).sum::<u64>(), 1_000);
        let mut tally = tally();
        tally.interval_at(Duration::from_secs(10_000_000)).unwrap().sent += 1;
        assert_eq!(tally.intervals.len(), INTERVALS_MAX);
    }

    #[test]
    fn tallies_of_different_scenarios_do_not_mix() {
        let mut one = tally();
        let other = Tally::new([("people", "honest")], Duration::from_secs(1)).unwrap();
        assert!(one.merge(&other).is_err());
    }
}
