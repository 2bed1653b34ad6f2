//! Kill -9 of the service, its Redis and the drain at random moments of a rush, round after round in one running
//! history, which is compared with the ledger after each.
//!
//! `KILL_ROUNDS` rounds (20 without it) follow from `KILL_SEED`, which is printed.

mod history;
mod victims;

use claimrush::clock::Clock;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use history::{History, Sale};
use victims::{Scene, Victim};

const ROUNDS_DEFAULT: u64 = 20;

fn number_from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Rounds of rush, kill, restart and comparison at this drop.
fn rounds_of(sale: Sale, rounds: u64) {
    let seed = number_from_env("KILL_SEED").unwrap_or_else(|| Clock::System.now_ms().cast_unsigned());
    eprintln!("KILL_SEED={seed} KILL_ROUNDS={rounds}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut scene = Scene::set();
    let mut history = History::begin(&scene, sale);
    for round in 1..=rounds {
        let wishes = history.next_wishes(&scene, round, &mut random);
        let victims = Victim::some(&mut random);
        let after_answers = history.answers() + random.random_range(0..wishes.len());
        let told = std::thread::scope(|scope| {
            let crowd = history.crowd();
            let rush = scope.spawn(|| crowd.rush(&wishes, history::CONNECTIONS));
            history.wait_answers(after_answers);
            scene.kill_and_restart(&victims, &mut random, |address| crowd.move_to(address));
            rush.join().expect("everybody was answered")
        });
        history.note(told);
        scene.wait_drained();
        history.assert_in_ledger(&scene);
        eprintln!("round {round}: {victims:?} after {after_answers} answers; {} rows", history.claimed());
    }
}

#[test]
fn what_anybody_was_told_stands_in_the_ledger_whoever_is_killed() {
    rounds_of(Sale::OneEach, number_from_env("KILL_ROUNDS").unwrap_or(ROUNDS_DEFAULT));
}

#[test]
fn every_key_keeps_its_claim_whoever_is_killed() {
    rounds_of(Sale::TwoEach, number_from_env("KILL_ROUNDS").unwrap_or(ROUNDS_DEFAULT).div_ceil(4));
}
