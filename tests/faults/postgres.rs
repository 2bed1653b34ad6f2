//! Rows: the ledger is in PostgreSQL, and the server or the way to it fails while claims are drained into it. People
//! must not notice: Redis has their claims, and the ledger gets them as soon as it can.

use std::time::{Duration, Instant};

use claimrush::limits;
use rand::RngExt;
use rustix::process::Signal;

use crate::matrix::{Row, Stage};
use crate::scene::{Postgres, Scene};
use crate::support::proxy::{Direction, Weather};
use crate::support::service::PATIENCE;
use crate::support::wait_for;

/// Ends and starts in one round: one of them is likely to hit a transaction in its middle.
const TIMES: usize = 4;
/// The drain commits every 50 ms while people come.
const SOME_COMMITS: u64 = 400;

fn ledger<'s>(stage: &'s mut Stage) -> &'s mut Postgres {
    stage.scene.ledger.as_mut().expect("a ledger in PostgreSQL")
}

/// Lets the drain work for a random while.
fn let_it_work(stage: &mut Stage) {
    std::thread::sleep(Duration::from_millis(stage.random.random_range(0..SOME_COMMITS)));
}

#[test]
fn stopped_at_once() {
    let row = Row::new("PostgreSQL stopped at once (immediate) while claims are copied into it, four times");
    row.run(Scene::with_postgres(), |stage: &mut Stage| {
        for _ in 0..TIMES {
            let_it_work(stage);
            ledger(stage).server.stop_at_once();
            stage.rush.wait_more(50);
            ledger(stage).server.start_again();
        }
        Instant::now()
    });
}

#[test]
fn killed() {
    let row = Row::new("kill -9 of all of PostgreSQL, four times").two_each();
    row.run(Scene::with_postgres(), |stage: &mut Stage| {
        for _ in 0..TIMES {
            let_it_work(stage);
            ledger(stage).server.kill();
            stage.rush.wait_more(50);
            ledger(stage).server.start_again();
        }
        Instant::now()
    });
}

#[test]
fn stands_still() {
    Row::new("SIGSTOP and SIGCONT of PostgreSQL").run(Scene::with_postgres(), |stage: &mut Stage| {
        ledger(stage).server.signal_all(Signal::STOP);
        stage.rush.wait_more(300);
        ledger(stage).server.signal_all(Signal::CONT);
        Instant::now()
    });
}

#[test]
fn replies_of_commits_are_lost() {
    let row = Row::new("replies of PostgreSQL lost, those of commits too, for longer than the drain waits");
    row.run(Scene::with_postgres(), |stage: &mut Stage| {
        let hole = Weather { hole: Some(Direction::Replies), ..Weather::default() };
        ledger(stage).proxy.set(hole);
        wait_for("the drain gives up a connection", limits::LEDGER_ANSWER_TIMEOUT + PATIENCE, || {
            stage.scene.service.log().contains("the server did not answer in time").then_some(())
        });
        ledger(stage).proxy.heal();
        Instant::now()
    });
}

#[test]
fn connections_are_reset() {
    let row = Row::new("connections to PostgreSQL reset, twenty times");
    row.run(Scene::with_postgres(), |stage: &mut Stage| {
        for _ in 0..20 {
            ledger(stage).proxy.reset_all();
            std::thread::sleep(Duration::from_millis(stage.random.random_range(0..120)));
        }
        Instant::now()
    });
}
