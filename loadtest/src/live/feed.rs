//! What the view makes of the readings: rates, and response times of the last second and so far.
//!
//! Owns the differences between readings and their history. Draws nothing and reads no clock: time is what the
//! readings say. Times so far are put together from what each second told, good enough to look at; a run's results
//! are computed from its tally alone.

use std::{collections::VecDeque, time::Duration};

use anyhow::Result;
use hdrhistogram::Histogram;

use super::reading::Reading;
use crate::tally::{DIGITS, Times};

/// Rates and times are made anew when this has passed: the fourth of readings that come every 250 ms is not missed
/// because it came a little early.
const SECOND: Duration = Duration::from_millis(950);
/// Seconds of history that are kept: more than a terminal has columns.
pub const HISTORY_MAX: usize = 1_024;

/// Times in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantiles {
    /// Median.
    pub p50_us: u64,
    /// 90 %.
    pub p90_us: u64,
    /// 99 %.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
}

impl Quantiles {
    /// Those of a histogram of microseconds; `None` if it is empty.
    #[must_use]
    pub fn of(times: &Histogram<u64>) -> Option<Self> {
        (!times.is_empty()).then(|| Self {
            p50_us: times.value_at_quantile(0.5),
            p90_us: times.value_at_quantile(0.9),
            p99_us: times.value_at_quantile(0.99),
            max_us: times.max(),
        })
    }
}

/// One second of the run, or as much time as lay between two readings that were further apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Second {
    /// Requests sent a second.
    pub sent_per_s: f64,
    /// Answers a second.
    pub answers_per_s: f64,
    /// New claims a second.
    pub granted_per_s: f64,
    /// Lost replies a second.
    pub lost_per_s: f64,
    /// Response times of its answers; `None` if there were none.
    pub times: Option<Quantiles>,
}

/// A run as the view knows it.
#[derive(Debug)]
pub struct Feed {
    now: Reading,
    /// The reading with which the last whole second ended.
    mark: Reading,
    /// The times of all seconds.
    so_far: Times,
    /// The longest time of any reading, in microseconds: also of one that fell between two seconds.
    longest_us: u64,
    history: VecDeque<Second>,
}

impl Feed {
    /// Nothing has happened yet.
    ///
    /// # Errors
    /// Never in practice: the histograms' bounds are constants.
    pub fn new() -> Result<Self> {
        Ok(Self {
            now: Reading::new()?,
            mark: Reading::new()?,
            so_far: Times::new(DIGITS)?,
            longest_us: 0,
            history: VecDeque::new(),
        })
    }

    /// Takes the newest reading; returns whether a second has become whole.
    pub fn tell(&mut self, reading: &Reading) -> bool {
        self.now.clone_from(reading);
        self.longest_us = self.longest_us.max(reading.recent.histogram().max());
        let past = reading.elapsed.saturating_sub(self.mark.elapsed);
        if past < SECOND {
            return false;
        }
        if self.history.len() == HISTORY_MAX {
            self.history.pop_front();
        }
        self.history.push_back(second_between(&self.mark, reading, past));
        // Fails only for times beyond the longest that is told apart; the tally has none.
        let _added = self.so_far.merge(&reading.recent);
        self.mark.clone_from(reading);
        true
    }

    /// The newest reading.
    #[must_use]
    pub fn now(&self) -> &Reading {
        &self.now
    }

    /// The last whole second; `None` before the first.
    #[must_use]
    pub fn last(&self) -> Option<&Second> {
        self.history.back()
    }

    /// The last [`HISTORY_MAX`] seconds, oldest first.
    #[must_use]
    pub fn history(&self) -> impl ExactSizeIterator<Item = &Second> {
        self.history.iter()
    }

    /// Response times of all whole seconds so far; `None` before the first answer.
    #[must_use]
    pub fn so_far(&self) -> Option<Quantiles> {
        let seconds = Quantiles::of(self.so_far.histogram())?;
        Some(Quantiles { max_us: seconds.max_us.max(self.longest_us), ..seconds })
    }
}

fn second_between(before: &Reading, after: &Reading, past: Duration) -> Second {
    // A worker that is not heard of for a moment takes its sums with it: nothing may go below zero.
    let per_s =
        |read: fn(&Reading) -> u64| read(after).saturating_sub(read(before)) as f64 / past.as_secs_f64();
    Second {
        sent_per_s: per_s(|reading| reading.sent),
        answers_per_s: per_s(|reading| reading.answers),
        granted_per_s: per_s(|reading| reading.granted),
        lost_per_s: per_s(|reading| reading.lost),
        times: Quantiles::of(after.recent.histogram()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(elapsed_ms: u64, answers: u64) -> Reading {
        let mut reading = Reading::new().unwrap();
        reading.elapsed = Duration::from_millis(elapsed_ms);
        (reading.sent, reading.answers, reading.granted) = (answers * 2, answers, answers / 2);
        reading
    }

    #[test]
    fn rates_are_differences_over_whole_seconds() {
        let mut feed = Feed::new().unwrap();
        assert!(!feed.tell(&reading(750, 90)));
        assert_eq!(feed.last(), None);
        assert_eq!(feed.now().answers, 90);
        assert!(feed.tell(&reading(1_000, 100)));
        assert!(!feed.tell(&reading(1_900, 500)));
        assert!(feed.tell(&reading(3_000, 500)));
        let rates: Vec<_> = feed
            .history()
            .map(|second| (second.sent_per_s, second.answers_per_s, second.granted_per_s))
            .collect();
        assert_eq!(rates, [(200.0, 100.0, 50.0), (400.0, 200.0, 100.0)]);
    }

    #[test]
    fn times_are_told_by_second_and_add_up() {
        let mut feed = Feed::new().unwrap();
        let mut told = reading(1_000, 100);
        (1..=100).for_each(|us| told.recent.note(Duration::from_micros(us)));
        feed.tell(&told);
        let quantiles = |p50_us, p90_us, p99_us, max_us| Some(Quantiles { p50_us, p90_us, p99_us, max_us });
        assert_eq!(feed.last().unwrap().times, quantiles(50, 90, 99, 100));

        told = reading(1_500, 100);
        told.recent.note(Duration::from_micros(255));
        feed.tell(&told);
        told = reading(2_000, 200);
        (1..=100).for_each(|_| told.recent.note(Duration::from_micros(200)));
        feed.tell(&told);
        let last = feed.last().unwrap().times.unwrap();
        assert_eq!((last.p50_us, last.p99_us), (200, 200));
        let so_far = feed.so_far().unwrap();
        assert_eq!((so_far.p50_us, so_far.p90_us), (100, 200));
        assert_eq!(so_far.max_us, 255, "seen between two seconds");

        feed.tell(&reading(3_000, 200));
        assert_eq!(feed.last().unwrap().times, None, "nothing was answered");
        assert_eq!(feed.so_far().unwrap(), so_far);
    }

    #[test]
    fn sums_that_go_back_are_no_rate_and_history_is_bounded() {
        let mut feed = Feed::new().unwrap();
        feed.tell(&reading(1_000, 100));
        feed.tell(&reading(2_000, 40));
        assert_eq!(feed.last().unwrap().answers_per_s.to_bits(), 0.0_f64.to_bits());
        for second in 3..HISTORY_MAX as u64 + 100 {
            feed.tell(&reading(second * 1_000, second));
        }
        assert_eq!(feed.history().len(), HISTORY_MAX);
    }

    #[test]
    fn readings_a_quarter_of_a_second_apart_make_a_second_of_every_fourth() {
        let mut feed = Feed::new().unwrap();
        let whole: Vec<_> = (1..=8).map(|n| feed.tell(&reading(n * 250 - n % 3, n))).collect();
        assert_eq!(whole, [false, false, false, true, false, false, false, true]);
    }
}
