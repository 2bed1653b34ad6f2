//! Who is killed, and what starts them again.

use std::net::SocketAddr;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::scene::Scene;
use crate::support::drainer::Drainer;

/// One of the processes of a rush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    /// Started again by the test, on the same folder; its Redis is adopted.
    Service,
    /// Started again by the service.
    Redis,
    /// Started again by the test.
    Drain,
}

impl Victim {
    /// One to three of them, in random order.
    pub(crate) fn some(random: &mut StdRng) -> Vec<Self> {
        let mut all = vec![Self::Service, Self::Redis, Self::Drain];
        let count = random.random_range(1..=all.len());
        (0..count).map(|_| all.remove(random.random_range(0..all.len()))).collect()
    }
}

/// Kills them one after the other, then brings back what does not come back by itself. The service comes back with a
/// drain of its own, beside the other one, or without.
pub(crate) fn kill_and_restart(
    scene: &mut Scene,
    victims: &[Victim],
    random: &mut StdRng,
    moved: impl Fn(SocketAddr),
) {
    for victim in victims {
        match victim {
            Victim::Service => scene.service.kill(),
            Victim::Redis => scene.kill_redis(),
            Victim::Drain => scene.drain.as_mut().expect("a drain").kill(),
        }
    }
    if victims.contains(&Victim::Service) {
        scene.service.restart_with(if random.random() { &[] } else { &["--no-drain"] });
        moved(scene.service.address());
    }
    if victims.contains(&Victim::Drain) {
        scene.drain = Some(Drainer::start(&scene.service));
    }
}
