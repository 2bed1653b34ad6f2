//! Everything that one look at a run shows, and what in it deserves a warning.
//!
//! Owns which facts are shown; the screen and the plain lines own how.

use std::time::Duration;

use super::{
    Stop,
    feed::Feed,
    scrape::ServiceState,
    words::{UNKNOWN, grouped, stopwatch},
};

/// One look at a run.
pub(crate) struct Scene<'run> {
    /// What is rehearsed.
    pub(crate) title: &'run str,
    /// Against what.
    pub(crate) target: &'run str,
    /// How long arrivals come.
    pub(crate) planned: Duration,
    /// The run.
    pub(crate) feed: &'run Feed,
    /// The service; `None` if it is not asked.
    pub(crate) service: Option<&'run ServiceState>,
    /// What was asked of the run.
    pub(crate) stop: Stop,
}

/// Something that is not as it should be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    /// The run or the service is in trouble; otherwise only the view is.
    pub(crate) grave: bool,
    /// One line.
    pub(crate) text: String,
}

impl Scene<'_> {
    /// The share of the planned time that has passed, 0 to 1.
    pub(crate) fn progress(&self) -> f64 {
        let planned = self.planned.as_secs_f64();
        if planned > 0.0 { (self.feed.now().elapsed.as_secs_f64() / planned).min(1.0) } else { 1.0 }
    }

    /// `0:12 of 1:00`, and what is waited for.
    pub(crate) fn clock(&self) -> String {
        let elapsed = self.feed.now().elapsed;
        let phase = match self.stop {
            Stop::No if elapsed < self.planned => "",
            Stop::No => " · last answers",
            Stop::Gently => " · stopping",
            Stop::Now => " · leaving",
        };
        format!("{} of {}{phase}", stopwatch(elapsed), stopwatch(self.planned))
    }

    /// What the keys do now.
    pub(crate) fn keys(&self) -> &'static str {
        match self.stop {
            Stop::No => "q or Ctrl-C: stop sending and finish",
            Stop::Gently => "waiting for the last answers · q or Ctrl-C: leave at once",
            Stop::Now => "leaving",
        }
    }

    /// What is not as it should be, gravest first.
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        let schedule = &self.feed.now().schedule;
        let counted = [
            (schedule.dropped, "arrivals never left"),
            (schedule.late_generator, "arrivals left late: the generator has no CPU to spare"),
            (schedule.late_connections, "arrivals left late: every connection waited for an answer"),
        ];
        let counted = counted.into_iter().filter(|(number, _)| *number > 0);
        let mut warnings: Vec<_> = counted
            .map(|(number, what)| Warning { grave: true, text: format!("{} {what}", grouped(number)) })
            .collect();
        if let Some(service) = self.service {
            if service.redis_up == Some(false) {
                warnings.insert(0, Warning { grave: true, text: "the service does not reach Redis".into() });
            }
            let troubles = service.troubles.iter();
            warnings.extend(troubles.map(|trouble| Warning { grave: false, text: trouble.clone() }));
        }
        warnings
    }

    /// Units left in all drops: `12,345`.
    pub(crate) fn stock_left(&self) -> String {
        self.service.and_then(|service| service.stock().0).map_or_else(|| UNKNOWN.into(), grouped)
    }

    /// Units left and units that there were: `12,345 of 40,000`.
    pub(crate) fn stock(&self) -> String {
        let left = self.stock_left();
        match self.service.and_then(|service| service.stock().1) {
            Some(total) => format!("{left} of {}", grouped(total)),
            None => left,
        }
    }

    /// The age of the oldest claim not yet in the ledger: `0.12 s`.
    pub(crate) fn drain_lag(&self) -> String {
        let lag = self.service.and_then(|service| service.drain_lag_s);
        lag.map_or_else(|| UNKNOWN.into(), |seconds| format!("{seconds:.2} s"))
    }

    /// Journal entries not yet in the ledger: `37`.
    pub(crate) fn journal(&self) -> String {
        self.service.and_then(|service| service.journal_entries).map_or_else(|| UNKNOWN.into(), grouped)
    }

    /// Claims that wait for a batch: `37`.
    pub(crate) fn queue(&self) -> String {
        self.service.and_then(|service| service.queue_claims).map_or_else(|| UNKNOWN.into(), grouped)
    }
}
