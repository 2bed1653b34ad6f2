//! Rows: a process stands still for longer than others wait for it, and goes on.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::matrix::{Row, Stage};
use crate::scene::Scene;
use crate::support::drainer::Drainer;
use crate::support::service::PATIENCE;
use crate::support::signals::Frozen;
use crate::support::wait_for;

/// Longer than any time-out between the processes but the clients' own.
const STANDSTILL: Duration = Duration::from_millis(2_500);

/// Stops a process and lets it go on; the instant at which it does.
fn stand_still(pid: u32) -> Instant {
    let frozen = Frozen::freeze(pid);
    std::thread::sleep(STANDSTILL);
    drop(frozen);
    Instant::now()
}

/// Stops a drain at a moment at which it does not hold the ledger's file. One that is stopped while it does holds
/// everybody up until it goes on, by SQLite's own rules; what comes then is the row of a drain that is alone.
fn freeze_between_transactions(pid: u32, ledger: &Path) -> Frozen {
    let probe = Connection::open(ledger).expect("the ledger opens");
    probe.busy_timeout(Duration::ZERO).expect("it is set");
    wait_for("the drain is between two transactions", PATIENCE, || {
        let frozen = Frozen::freeze(pid);
        probe.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok().then_some(frozen)
    })
}

#[test]
fn service_stands_still() {
    let row = Row::new("SIGSTOP and SIGCONT of the service");
    row.run(Scene::whole(), |stage: &mut Stage| stand_still(stage.scene.service.pid()));
}

#[test]
fn redis_stands_still() {
    let row = Row::new("SIGSTOP and SIGCONT of Redis").two_each();
    row.run(Scene::whole(), |stage: &mut Stage| stand_still(stage.scene.redis_pid()));
}

#[test]
fn drain_stands_still_while_another_goes_on() {
    let row = Row::new("a drain stands still, another takes over, the first wakes late");
    row.run(Scene::with_drain(), |stage: &mut Stage| {
        let first = stage.scene.drain.take().expect("a drain");
        let ledger = stage.scene.service.data().join("ledger.db");
        let frozen = freeze_between_transactions(first.pid(), &ledger);
        let second = Drainer::start(&stage.scene.service);
        stage.rush.wait_more(300);
        drop(frozen);
        // Both drain on; then the first ends in order, which takes all that is there.
        stage.rush.wait_more(100);
        assert!(first.stop().success(), "it ends in order");
        stage.scene.drain = Some(second);
        Instant::now()
    });
}

#[test]
fn drain_stands_still_alone() {
    let row = Row::new("SIGSTOP and SIGCONT of a separate drain");
    row.run(Scene::with_drain(), |stage: &mut Stage| {
        stand_still(stage.scene.drain.as_ref().expect("a drain").pid())
    });
}
