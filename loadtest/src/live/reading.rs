//! How a run stands at one moment: sums since its start, and the times of the last second.
//!
//! Owns the numbers that the view is told, and their addition over several workers. Rates are the view's affair.

use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::{
    engine::{MeterReading, PersonaReading},
    tally::{Counts, INTERVAL_DIGITS, Schedule, Times},
};

/// A run up to one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Since the start of the run.
    pub elapsed: Duration,
    /// How the schedule was kept: arrivals due, late and dropped.
    pub schedule: Schedule,
    /// Requests sent.
    pub sent: u64,
    /// Answers.
    pub answers: u64,
    /// New claims (201).
    pub granted: u64,
    /// Replies lost after the request was sent.
    pub lost: u64,
    /// Connections that stand; 0 if that is not known.
    pub connections: u64,
    /// Answers by kind.
    pub counts: Counts,
    /// Answers of about the last second, from the intended start of their requests.
    pub recent: Times,
    /// Each persona, in the order of the scenario; may be empty.
    pub personas: Vec<PersonaReading>,
}

impl Reading {
    /// The moment of the start.
    ///
    /// # Errors
    /// Never in practice: the histogram's bounds are constants.
    pub fn new() -> Result<Self> {
        Ok(Self {
            elapsed: Duration::ZERO,
            schedule: Schedule::default(),
            sent: 0,
            answers: 0,
            granted: 0,
            lost: 0,
            connections: 0,
            counts: Counts::default(),
            recent: Times::new(INTERVAL_DIGITS)?,
            personas: Vec::new(),
        })
    }

    /// What an engine's meter shows at this moment of the run. A meter does not tell who was late for want of a free
    /// connection.
    #[must_use]
    pub fn of(meter: MeterReading, elapsed: Duration, connections: u64) -> Self {
        let schedule = Schedule {
            scheduled: meter.scheduled,
            late_generator: meter.late_generator,
            dropped: meter.dropped,
            ..Schedule::default()
        };
        Self {
            elapsed,
            schedule,
            sent: meter.sent,
            answers: meter.answers,
            granted: meter.granted,
            lost: meter.lost,
            connections,
            counts: meter.counts,
            recent: meter.recent,
            personas: meter.personas,
        }
    }

    /// Adds another worker's reading of the same moment; personas are matched by name.
    ///
    /// # Errors
    /// The response times were told apart by more digits.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.recent.merge(&other.recent)?;
        self.elapsed = self.elapsed.max(other.elapsed);
        self.schedule.merge(&other.schedule);
        self.sent += other.sent;
        self.answers += other.answers;
        self.granted += other.granted;
        self.lost += other.lost;
        self.connections += other.connections;
        for (kind, answers) in other.counts.iter() {
            self.counts.add(kind.status, &kind.code, answers);
        }
        PersonaReading::merge_all(&mut self.personas, &other.personas);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_becomes_a_reading_with_nothing_mixed_up() {
        let mut empty = Reading::new().unwrap();
        empty.counts.add(201, "", 4);
        empty.recent.note(Duration::from_millis(1));
        let meter = MeterReading {
            scheduled: 1,
            sent: 2,
            answers: 3,
            granted: 4,
            lost: 5,
            late_generator: 6,
            dropped: 7,
            counts: empty.counts.clone(),
            personas: vec![PersonaReading { name: "bea".into(), arrivals: 1, answers: 3, granted: 4 }],
            recent: empty.recent.clone(),
        };
        let reading = Reading::of(meter.clone(), Duration::from_secs(8), 9);
        let schedule = Schedule { scheduled: 1, late_generator: 6, late_connections: 0, dropped: 7 };
        let expected = Reading {
            elapsed: Duration::from_secs(8),
            schedule,
            sent: 2,
            answers: 3,
            granted: 4,
            lost: 5,
            connections: 9,
            personas: meter.personas.clone(),
            ..empty
        };
        assert_eq!(reading, expected);
    }

    #[test]
    fn two_workers_add_up() {
        let persona =
            |name: &str, arrivals| PersonaReading { name: name.into(), arrivals, answers: 1, granted: 1 };
        let mut one = Reading::new().unwrap();
        one.elapsed = Duration::from_secs(3);
        (one.sent, one.answers, one.connections) = (5, 4, 10);
        one.counts.add(201, "", 4);
        one.recent.note(Duration::from_millis(1));
        one.personas.push(persona("people", 5));
        let mut other = one.clone();
        other.elapsed = Duration::from_secs(4);
        other.counts.add(410, "sold_out", 2);
        other.schedule.dropped = 1;
        other.recent.note(Duration::from_millis(9));
        other.personas.push(persona("farm", 7));

        one.merge(&other).unwrap();
        assert_eq!(one.elapsed, Duration::from_secs(4));
        assert_eq!((one.sent, one.answers, one.connections, one.schedule.dropped), (10, 8, 20, 1));
        let kinds: Vec<_> = one.counts.iter().map(|(kind, answers)| (kind.status, answers)).collect();
        assert_eq!(kinds, [(201, 8), (410, 2)]);
        assert_eq!(one.recent.histogram().len(), 3);
        assert_eq!(
            one.personas,
            [
                PersonaReading { name: "people".into(), arrivals: 10, answers: 2, granted: 2 },
                PersonaReading { name: "farm".into(), arrivals: 7, answers: 1, granted: 1 },
            ]
        );
    }
}
