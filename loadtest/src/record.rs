//! What one thread remembers of its requests; threads are merged without loss at the end.
//!
//! Histograms are merged, never percentiles averaged. Memory does not grow with the number of requests.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::pacer::Punctuality;

/// The longest time told apart, in microseconds; longer ones are counted as this one.
const MICROS_MAX: u64 = 600_000_000;
/// Significant decimal digits of a recorded time.
const DIGITS: u8 = 3;
/// Different (status, code) pairs; what comes after them is counted under the code `other`.
const KINDS_MAX: usize = 256;

/// How often one kind of answer came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count {
    /// HTTP status.
    pub status: u16,
    /// The problem's `code`; empty for a success.
    pub code: Box<str>,
    /// Answers.
    pub answers: u64,
}

/// Two views of the same answers, in microseconds.
#[derive(Debug, Clone)]
pub struct Times {
    /// From the intended start: what a person waits.
    pub response: Histogram<u64>,
    /// From the actual send: what the service takes.
    pub service: Histogram<u64>,
}

impl Times {
    fn new() -> Result<Self> {
        let empty = Histogram::new_with_bounds(1, MICROS_MAX, DIGITS)?;
        Ok(Self { response: empty.clone(), service: empty })
    }

    fn record(&mut self, response: Duration, service: Duration) {
        self.response.saturating_record(micros(response));
        self.service.saturating_record(micros(service));
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        self.response.add(&other.response)?;
        self.service.add(&other.service)?;
        Ok(())
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Events that are no answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mishaps {
    /// Connections that could not be opened.
    pub connect_failures: u64,
    /// Connections opened again after one was lost or closed.
    pub reconnects: u64,
    /// Replies lost after the request was sent.
    pub lost_replies: u64,
    /// Requests sent again with the same ticket.
    pub retries: u64,
    /// Success bodies that are no claim although claims are logged.
    pub unreadable_claims: u64,
    /// Tickets taken but never sent.
    pub unsent: u64,
}

impl Mishaps {
    fn merge(&mut self, other: &Self) {
        self.connect_failures += other.connect_failures;
        self.reconnects += other.reconnects;
        self.lost_replies += other.lost_replies;
        self.retries += other.retries;
        self.unreadable_claims += other.unreadable_claims;
        self.unsent += other.unsent;
    }
}

/// What one thread, or all of them together, remember.
#[derive(Debug, Clone)]
pub struct Record {
    /// Times of all answers.
    pub all: Times,
    /// Times of new claims (201) alone.
    pub granted: Times,
    /// Answers by kind.
    pub counts: Vec<Count>,
    /// Ticket lines whose outcome is unknown.
    pub unknown_lines: Vec<u64>,
    /// What went wrong.
    pub mishaps: Mishaps,
    /// How the schedule was kept (open model).
    pub punctuality: Punctuality,
    /// From the start of the run to the last answer.
    pub last_answer: Duration,
}

impl Record {
    /// Nothing yet.
    ///
    /// # Errors
    /// The histograms' bounds are not accepted.
    pub fn new() -> Result<Self> {
        Ok(Self {
            all: Times::new()?,
            granted: Times::new()?,
            counts: Vec::new(),
            unknown_lines: Vec::new(),
            mishaps: Mishaps::default(),
            punctuality: Punctuality::default(),
            last_answer: Duration::ZERO,
        })
    }

    /// One answer and its times.
    pub fn answer(&mut self, status: u16, code: &str, response: Duration, service: Duration) {
        self.all.record(response, service);
        if status == crate::client::answer::CREATED {
            self.granted.record(response, service);
        }
        self.count(status, code, 1);
    }

    fn count(&mut self, status: u16, code: &str, answers: u64) {
        if let Some(known) =
            self.counts.iter_mut().find(|count| count.status == status && &*count.code == code)
        {
            known.answers += answers;
        } else if self.counts.len() < KINDS_MAX || code == "other" {
            self.counts.push(Count { status, code: code.into(), answers });
        } else {
            self.count(status, "other", answers);
        }
    }

    /// All answers.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.all.response.len()
    }

    /// Adds another thread's record.
    ///
    /// # Errors
    /// The histograms do not fit together.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.all.merge(&other.all)?;
        self.granted.merge(&other.granted)?;
        for count in &other.counts {
            self.count(count.status, &count.code, count.answers);
        }
        self.unknown_lines.extend_from_slice(&other.unknown_lines);
        self.mishaps.merge(&other.mishaps);
        self.punctuality.merge(other.punctuality);
        self.last_answer = self.last_answer.max(other.last_answer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_records_equal_one() {
        let (mut one, mut left, mut right) =
            (Record::new().unwrap(), Record::new().unwrap(), Record::new().unwrap());
        for n in 1..=10_000_u64 {
            let (status, code) = if n % 3 == 0 { (410, "sold_out") } else { (201, "") };
            let time = Duration::from_micros(n * 37 % 9_001 + 1);
            one.answer(status, code, time, time);
            if n % 2 == 0 { &mut left } else { &mut right }.answer(status, code, time, time);
        }
        left.merge(&right).unwrap();
        assert_eq!(left.all.response, one.all.response);
        assert_eq!(left.granted.service, one.granted.service);
        left.counts.sort();
        one.counts.sort();
        assert_eq!(left.counts, one.counts);
    }

    #[test]
    fn kinds_are_bounded() {
        let mut record = Record::new().unwrap();
        for n in 0..1_000 {
            record.answer(400, &format!("code-{n}"), Duration::ZERO, Duration::ZERO);
        }
        assert_eq!(record.counts.len(), KINDS_MAX + 1);
        assert_eq!(record.counts.last().unwrap().answers, 1_000 - KINDS_MAX as u64);
    }
}
