//! Rows: kill -9 of the service, its Redis and the drain at random moments while a drop sells out, round after round
//! in one running history, which is compared with the ledger after each.

mod history;

use history::{History, Sale};
use rand::RngExt;

use crate::matrix::Row;
use crate::scene::Scene;
use crate::victims::{Victim, kill_and_restart};

/// Rounds where no number is asked for.
const ROUNDS: u64 = 3;

/// Rounds of rush, kill, restart and comparison at this drop.
fn rounds_of(name: &'static str, sale: Sale) {
    Row::new(name).repeat(ROUNDS, |rounds, random| {
        let mut scene = Scene::with_drain();
        let mut history = History::begin(&scene, sale);
        for round in 1..=rounds {
            let wishes = history.next_wishes(&scene, round, random);
            let victims = Victim::some(random);
            let after_answers = history.answers() + random.random_range(0..wishes.len());
            let told = std::thread::scope(|scope| {
                let crowd = history.crowd();
                let rush = scope.spawn(|| crowd.rush(&wishes, history::CONNECTIONS));
                history.wait_answers(after_answers);
                kill_and_restart(&mut scene, &victims, random, |address| crowd.move_to(address));
                rush.join().expect("everybody was answered")
            });
            history.note(told);
            scene.wait_drained();
            history.assert_in_ledger(&scene);
            eprintln!("round {round}: {victims:?} after {after_answers} answers; {} rows", history.claimed());
        }
    });
}

#[test]
fn what_anybody_was_told_stands_in_the_ledger_whoever_is_killed() {
    rounds_of("kill -9 of any of them while a drop sells out, one each", Sale::OneEach);
}

#[test]
fn every_key_keeps_its_claim_whoever_is_killed() {
    rounds_of("kill -9 of any of them while a drop sells out, two each by their keys", Sale::TwoEach);
}
