//! Who is killed, and what starts them again.

use std::net::SocketAddr;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::support::drainer::Drainer;
use crate::support::redis::{kill_9, processes_in};
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

/// One of the processes of a rush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Victim {
    /// Started again by the test, on the same folder; its Redis is adopted.
    Service,
    /// Started again by the service.
    Redis,
    /// Started again by the test.
    Drain,
}

impl Victim {
    /// One to three of them, in random order.
    pub(super) fn some(random: &mut StdRng) -> Vec<Self> {
        let mut all = vec![Self::Service, Self::Redis, Self::Drain];
        let count = random.random_range(1..=all.len());
        (0..count).map(|_| all.remove(random.random_range(0..all.len()))).collect()
    }
}

/// The processes of the rush.
pub(super) struct Scene {
    pub(super) service: Service,
    drain: Drainer,
}

impl Scene {
    /// Starts a service without a drain, and the drain.
    pub(super) fn set() -> Self {
        // People who are sent away by an outage come back at once, and must not be held up for it.
        let settings = [("limits.person_per_second", "1000"), ("limits.person_burst", "1000")];
        let service = Service::start_with(&settings, &["--no-drain"]);
        let drain = Drainer::start(&service);
        Self { service, drain }
    }

    /// Kills them one after the other, then brings back what does not come back by itself. The service comes back
    /// with a drain of its own, beside the other one, or without.
    pub(super) fn kill_and_restart(
        &mut self,
        victims: &[Victim],
        random: &mut StdRng,
        moved: impl Fn(SocketAddr),
    ) {
        for victim in victims {
            match victim {
                Victim::Service => self.service.kill(),
                Victim::Redis => processes_in(&self.service.redis_dir()).into_iter().for_each(kill_9),
                Victim::Drain => self.drain.kill(),
            }
        }
        if victims.contains(&Victim::Service) {
            self.service.restart_with(if random.random() { &[] } else { &["--no-drain"] });
            moved(self.service.address());
        }
        if victims.contains(&Victim::Drain) {
            self.drain = Drainer::start(&self.service);
        }
    }

    /// Waits until the ledger has all of the journal.
    pub(super) fn wait_drained(&self) {
        wait_for("the journal is drained", PATIENCE, || (self.service.journal_length() == 0).then_some(()));
    }
}
