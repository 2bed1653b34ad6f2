//! One row of the matrix: rounds of rush, fault, recovery, asking again and checking; and its line in the table.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use claimrush::clock::Clock;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::checker;
use crate::history::History;
use crate::report;
use crate::rush::{CONNECTIONS, Rush, Stopper};
use crate::scene::Scene;
use crate::support::campaign::{DropFile, campaign};
use crate::support::crowd::{Crowd, Wish};

/// The drop of every row.
pub(crate) const DROP: &str = "fault-rush";
/// Units that the arrivals of one round cannot use up.
const STOCK_AMPLE: u32 = 40_000;
/// Units for the crowd at a round's end ...
const STOCK_AT_END: usize = 60;
/// ... and how many come for them.
const CROWD_AT_END: usize = 90;
/// After any single fault, arrivals are served as before within this time.
const RECOVERY_MAX: Duration = Duration::from_secs(5);

/// A row: its name in the table, and how it is run.
pub(crate) struct Row {
    name: &'static str,
    limit: u32,
    recovery_max: Option<Duration>,
    /// How many rounds each of the asked for is.
    times: u64,
}

/// What a fault did to people.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measured {
    /// How long after the fault arrivals were served as before.
    pub(crate) recovery: Duration,
    /// How many arrivals did not get their claim at the first attempt within a second.
    pub(crate) held_up: usize,
}

impl Measured {
    fn worst(&mut self, other: &Self) {
        self.recovery = self.recovery.max(other.recovery);
        self.held_up = self.held_up.max(other.held_up);
    }
}

/// What a fault has to do with.
pub(crate) struct Stage<'s, 'r, 'a> {
    pub(crate) scene: &'s mut Scene,
    pub(crate) rush: &'r Rush<'a>,
    pub(crate) random: &'s mut StdRng,
}

impl Stage<'_, '_, '_> {
    /// Tells everybody where the service listens now.
    pub(crate) fn move_people(&self) {
        self.rush.crowd().move_to(self.scene.service.address());
    }
}

impl Row {
    /// A row of this name, with a limit of one.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, limit: 1, recovery_max: Some(RECOVERY_MAX), times: 1 }
    }

    /// A person may have two claims, each by a key.
    pub(crate) fn two_each(self) -> Self {
        Self { limit: 2, ..self }
    }

    /// Has this many variants, of which each round takes the next.
    pub(crate) fn variants(self, times: usize) -> Self {
        Self { times: times as u64, ..self }
    }

    /// Runs it: `fault` does its work while people arrive, and gives the instant from which recovery counts.
    pub(crate) fn run(&self, mut scene: Scene, mut fault: impl FnMut(&mut Stage) -> Instant) {
        let rounds = number_from_env("FAULT_ROUNDS").unwrap_or(1) * self.times;
        let seed = number_from_env("FAULT_SEED");
        let seed = seed.unwrap_or_else(|| Clock::System.now_ms().cast_unsigned() % 1_000_000);
        eprintln!("{}: FAULT_SEED={seed} FAULT_ROUNDS={rounds}", self.name);
        let mut random = StdRng::seed_from_u64(seed);
        let mut history = History::begin(self.limit);
        let mut result = Measured::default();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let crowd = Crowd::new(DROP, scene.service.mint(), scene.service.address());
            for round in 1..=rounds {
                let measured = self.round(&mut scene, &crowd, &mut history, &mut random, &mut fault);
                eprintln!("{}, round {round}: {} claims, {measured:?}", self.name, history.claimed());
                result.worst(&measured);
            }
        }));
        let word = if outcome.is_ok() { "held" } else { "BROKEN" };
        report::note(self.name, rounds, seed, word, Some(&result));
        if let Err(panic) = outcome {
            report::keep(self.name, seed, &scene, &history);
            resume_unwind(panic);
        }
    }

    fn round(
        &self,
        scene: &mut Scene,
        crowd: &Crowd,
        history: &mut History,
        random: &mut StdRng,
        fault: &mut impl FnMut(&mut Stage) -> Instant,
    ) -> Measured {
        let drop = |stock: usize| {
            let stock = u32::try_from(stock).expect("a stock");
            campaign("fault-campaign", &[DropFile::open(DROP, stock).limit(self.limit)])
        };
        scene.service.apply_ok(&drop(history.claimed() + STOCK_AMPLE as usize));
        let head = checker::head(scene);
        let rush = Rush::begin(crowd, history, random.random());
        let measured = std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| rush.work());
            }
            let _stopper = Stopper(&rush);
            rush.wait_recovered(rush.began());
            let from = fault(&mut Stage { scene, rush: &rush, random });
            Measured { recovery: rush.wait_recovered(from), held_up: rush.held_up() }
        });
        // Everybody asks again: who was told, who was not, and more people than there are units left.
        history.note_end(crowd.rush(history.wishes(), CONNECTIONS));
        let stock = history.claimed() + STOCK_AT_END;
        scene.service.apply_ok(&drop(stock));
        let late: Vec<Wish> = (0..CROWD_AT_END).map(|_| history.new_wish()).collect();
        history.note_end(crowd.rush(&late, CONNECTIONS));
        scene.wait_drained();
        let broken = checker::broken(scene, history, DROP, u32::try_from(stock).expect("a stock"), &head);
        assert!(broken.is_empty(), "broken:\n{}", broken.join("\n"));
        assert_eq!(history.claimed(), stock, "more people than units came, so that all are gone");
        if let Some(max) = self.recovery_max {
            assert!(measured.recovery <= max, "I8: {measured:?}, {max:?} is promised");
        }
        measured
    }
}

fn number_from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}
