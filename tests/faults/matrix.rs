//! One row of the matrix: rounds of rush, fault, recovery, asking again and checking; and its line in the table.

use std::collections::BTreeSet;
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
const STOCK_AMPLE: usize = 40_000;
/// Units for the crowd at a round's end ...
const STOCK_AT_END: usize = 60;
/// ... and how many come for them.
const CROWD_AT_END: usize = 90;
/// After any single fault, arrivals are served as before within this time. It is measured where rows run one after the other,
/// with a number of rounds (`make faults`), and not beside other tests, which take the machine's cores and its disk.
const RECOVERY_MAX: Duration = Duration::from_secs(5);

/// A row: its name in the table, and how it is run.
pub(crate) struct Row {
    name: &'static str,
    limit: u32,
    recovery_max: Option<Duration>,
    /// Of which each round takes the next.
    variants: u64,
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
    /// Which of the row's variants it is.
    pub(crate) variant: usize,
}

/// What there is to judge when nobody comes any more.
pub(crate) struct After<'a> {
    pub(crate) scene: &'a mut Scene,
    pub(crate) history: &'a mut History,
    pub(crate) crowd: &'a Crowd,
}

impl After<'_> {
    /// Everybody asks again, where the service is now, until there is an answer that counts.
    pub(crate) fn everybody_asks_again(&mut self) {
        self.crowd.move_to(self.scene.service.address());
        self.history.note_end(self.crowd.rush(self.history.wishes(), CONNECTIONS));
        self.scene.wait_drained();
    }

    /// What is broken now.
    pub(crate) fn broken(&self) -> Vec<String> {
        checker::broken(self.scene, self.history, DROP, STOCK_AMPLE, "")
    }
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
        Self { name, limit: 1, recovery_max: Some(RECOVERY_MAX), variants: 1 }
    }

    /// A person may have two claims, each by a key.
    pub(crate) fn two_each(self) -> Self {
        Self { limit: 2, ..self }
    }

    /// Has this many variants, of which each round takes the next.
    pub(crate) fn variants(self, count: usize) -> Self {
        Self { variants: count as u64, ..self }
    }

    /// Runs it: `fault` does its work while people arrive, and gives the instant from which recovery counts. Then
    /// arrivals must be served as before, and every promise hold.
    pub(crate) fn run(&self, mut scene: Scene, mut fault: impl FnMut(&mut Stage) -> Instant) {
        let asked = rounds_asked();
        let rounds = asked.map_or(1, |rounds| rounds * self.variants);
        let (seed, mut random) = self.seeded(rounds);
        // A single round takes any of the variants; many take them in turn.
        let first = if asked.is_some() { 0 } else { random.random_range(0..self.variants) };
        let mut history = History::begin(self.limit);
        let mut result = Measured::default();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let crowd = Crowd::new(DROP, scene.service.mint().wide(), scene.service.address());
            for round in 0..rounds {
                let mut fault = |stage: &mut Stage| {
                    stage.variant = usize::try_from((first + round) % self.variants).expect("a variant");
                    fault(stage)
                };
                let measured = self.round(&mut scene, &crowd, &mut history, &mut random, &mut fault);
                eprintln!("{}, round {round}: {} claims, {measured:?}", self.name, history.claimed());
                result.worst(&measured);
            }
        }));
        let word = if outcome.is_ok() { "held" } else { "BROKEN" };
        report::note(self.name, rounds, seed, word, Some(&result));
        self.keep_failure(outcome, seed, &scene, &history);
    }

    /// Runs it without a recovery, each round in a scene of its own: `fault` does its work while people arrive; then
    /// nobody comes any more, and `verdict` says how it ended, by its own checks.
    pub(crate) fn observe<T>(
        &self,
        scene: impl Fn() -> Scene,
        fault: impl Fn(&mut Stage) -> T,
        verdict: impl Fn(T, &mut After) -> String,
    ) {
        let rounds = rounds_asked().unwrap_or(1);
        let (seed, mut random) = self.seeded(rounds);
        let mut said = BTreeSet::new();
        for round in 0..rounds {
            let mut scene = scene();
            let mut history = History::begin(self.limit);
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let crowd = Crowd::new(DROP, scene.service.mint().wide(), scene.service.address());
                scene.service.apply_ok(&self.campaign(STOCK_AMPLE));
                let done = rush(&mut scene, &crowd, &mut history, &mut random, &fault);
                verdict(done, &mut After { scene: &mut scene, history: &mut history, crowd: &crowd })
            }));
            let word = outcome.as_deref().unwrap_or("BROKEN").to_owned();
            eprintln!("{}, round {round}: {} claims, {word}", self.name, history.claimed());
            said.insert(word);
            let words = said.iter().map(String::as_str).collect::<Vec<_>>().join(" / ");
            report::note(self.name, rounds, seed, &words, None);
            self.keep_failure(outcome.map(|_| ()), seed, &scene, &history);
        }
    }

    /// Runs it by its own frame, which is given the number of rounds and panics where a promise is broken.
    pub(crate) fn repeat(&self, rounds_default: u64, frame: impl FnOnce(u64, &mut StdRng)) {
        let rounds = rounds_asked().unwrap_or(rounds_default);
        let (seed, mut random) = self.seeded(rounds);
        let outcome = catch_unwind(AssertUnwindSafe(|| frame(rounds, &mut random)));
        report::note(self.name, rounds, seed, if outcome.is_ok() { "held" } else { "BROKEN" }, None);
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    }

    fn seeded(&self, rounds: u64) -> (u64, StdRng) {
        let seed = number_from_env("FAULT_SEED");
        let seed = seed.unwrap_or_else(|| Clock::System.now_ms().cast_unsigned() % 1_000_000);
        eprintln!("{}: FAULT_SEED={seed}, {rounds} rounds", self.name);
        (seed, StdRng::seed_from_u64(seed))
    }

    fn keep_failure(&self, outcome: std::thread::Result<()>, seed: u64, scene: &Scene, history: &History) {
        if let Err(panic) = outcome {
            report::keep(self.name, seed, scene, history);
            resume_unwind(panic);
        }
    }

    /// The campaign with this stock.
    pub(crate) fn campaign(&self, stock: usize) -> String {
        let stock = u32::try_from(stock).expect("a stock");
        campaign("fault-campaign", &[DropFile::open(DROP, stock).limit(self.limit)])
    }

    fn round(
        &self,
        scene: &mut Scene,
        crowd: &Crowd,
        history: &mut History,
        random: &mut StdRng,
        fault: &mut impl FnMut(&mut Stage) -> Instant,
    ) -> Measured {
        scene.service.apply_ok(&self.campaign(history.claimed() + STOCK_AMPLE));
        let head = checker::head(scene);
        let measured = rush(scene, crowd, history, random, |stage| {
            let from = fault(stage);
            Measured { recovery: stage.rush.wait_recovered(from), held_up: stage.rush.held_up() }
        });
        // Everybody asks again: who was told, who was not, and more people than there are units left.
        history.note_end(crowd.rush(history.wishes(), CONNECTIONS));
        let stock = history.claimed() + STOCK_AT_END;
        scene.service.apply_ok(&self.campaign(stock));
        let late: Vec<Wish> = (0..CROWD_AT_END).map(|_| history.new_wish()).collect();
        history.note_end(crowd.rush(&late, CONNECTIONS));
        scene.wait_drained();
        let broken = checker::broken(scene, history, DROP, stock, &head);
        assert!(broken.is_empty(), "broken:\n{}", broken.join("\n"));
        assert_eq!(history.claimed(), stock, "more people than units came, so that all are gone");
        if let Some(max) = self.recovery_max.filter(|_| rounds_asked().is_some()) {
            assert!(measured.recovery <= max, "I8: {measured:?}, {max:?} is promised");
        }
        measured
    }
}

/// People arrive, and once they are served well `act` does something.
fn rush<T>(
    scene: &mut Scene,
    crowd: &Crowd,
    history: &mut History,
    random: &mut StdRng,
    act: impl FnOnce(&mut Stage) -> T,
) -> T {
    let rush = Rush::begin(crowd, history, random.random());
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| rush.work());
        }
        let _stopper = Stopper(&rush);
        rush.wait_recovered(rush.began());
        act(&mut Stage { scene, rush: &rush, random, variant: 0 })
    })
}

fn rounds_asked() -> Option<u64> {
    number_from_env("FAULT_ROUNDS")
}

fn number_from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}
