//! Kill -9 of the service, its Redis and the drain at random moments of a rush, round after round in one running
//! history, which is compared with the ledger after each.
//!
//! `KILL_ROUNDS` rounds (20 without it) follow from `KILL_SEED`, which is printed.

mod history;
mod victims;

use claimrush::clock::Clock;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use history::History;
use victims::{Scene, Victim};

const ROUNDS_DEFAULT: u64 = 20;

fn number_from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn what_anybody_was_told_stands_in_the_ledger_whoever_is_killed() {
    let rounds = number_from_env("KILL_ROUNDS").unwrap_or(ROUNDS_DEFAULT);
    let seed = number_from_env("KILL_SEED").unwrap_or_else(|| Clock::System.now_ms().cast_unsigned());
    eprintln!("KILL_SEED={seed} KILL_ROUNDS={rounds}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut scene = Scene::set();
    let mut history = History::begin(&scene);
    for round in 1..=rounds {
        let people = history.next_people(&scene, round, &mut random);
        let victims = Victim::some(&mut random);
        let after_answers = history.answers() + random.random_range(0..people.len());
        let told = std::thread::scope(|scope| {
            let crowd = history.crowd();
            let rush = scope.spawn(|| crowd.rush(&people, history::CONNECTIONS));
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
