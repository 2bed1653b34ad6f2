//! Negative controls: what a lesser system would do, made by the test behind the service's back. The checker must see
//! it each time; if it does not, the other rows prove nothing.

use claimrush::domain::ids::Shard;
use claimrush::redis::keys;
use redis::cmd;
use rusqlite::Connection;

use crate::journal::{deliver_again, entries};
use crate::lost::{append_only_file, cut};
use crate::matrix::{After, Row, Stage};
use crate::scene::{DURABLE, External, Scene};
use crate::support::drainer::Drainer;
use crate::support::postgres::own_port;
use crate::support::proxy::Upstream;
use crate::support::redis::RedisServer;
use crate::support::service::PATIENCE;
use crate::support::wait_for;

/// Fails unless each of these promises is seen to be broken; how the table says it.
pub(crate) fn caught(after: &After, promises: &[&str]) -> String {
    let broken = after.broken();
    for promise in promises {
        let seen = broken.iter().any(|line| line.starts_with(&format!("{promise}: ")));
        assert!(seen, "{promise} is broken and nobody sees it: {broken:#?}");
    }
    format!("caught: {}", promises.join(", "))
}

/// A service without a drain, whose Redis the test may do anything to.
fn undrained() -> Scene {
    Scene::beside(External::start(&DURABLE), &[], &["--no-drain"])
}

#[test]
fn trim_before_commit() {
    Row::new("control: the journal is trimmed before the ledger has it").observe(
        undrained,
        |stage: &mut Stage| stage.rush.wait_more(50),
        |(), after: &mut After| {
            let trim: u64 = after
                .scene
                .ask_redis(cmd("XTRIM").arg(keys::journal(Shard::FIRST)).arg("MAXLEN").arg("=").arg(0));
            assert!(trim > 0, "something was lost");
            after.scene.drain = Some(Drainer::start(&after.scene.service));
            after.everybody_asks_again();
            caught(after, &["I2", "I3"])
        },
    );
}

#[test]
fn every_second_and_the_tail_is_lost() {
    Row::new("control: appendfsync everysec, kill -9, and the last second's bytes lost").observe(
        // One that promises more stops when it sees that.
        || Scene::beside(External::start(&DURABLE), &[("claim.ack", "memory")], &["--no-drain"]),
        |stage: &mut Stage| {
            let () = stage.scene.ask_redis(cmd("CONFIG").arg("SET").arg("appendfsync").arg("everysec"));
            stage.rush.wait_more(100);
        },
        |(), after: &mut After| {
            after.scene.service.kill();
            let external = after.scene.external.as_mut().expect("an external Redis");
            external.server.crash(|folder| cut(&append_only_file(folder), 4_000));
            after.scene.service.restart();
            after.scene.drain = Some(Drainer::start(&after.scene.service));
            // Nobody asks again: whoever was told "yours" has gone home with it.
            after.scene.wait_drained();
            caught(after, &["I2"])
        },
    );
}

#[test]
fn acknowledge_before_commit() {
    Row::new("control: claims acknowledged by a Redis that keeps nothing").observe(
        undrained,
        |stage: &mut Stage| {
            let External { proxy, server } = stage.scene.external.as_ref().expect("an external Redis");
            // A copy of Redis, which answers in its place for a while, and goes with its disk. It is set as the service
            // asks: it would get no claim otherwise.
            let copy = RedisServer::start(&DURABLE);
            let follow = |place: &str, port: &str| {
                let mut client = redis::Client::open(copy.url().expose()).unwrap().get_connection().unwrap();
                let () = cmd("REPLICAOF").arg(place).arg(port).query(&mut client).expect("it follows");
            };
            // Nothing is written meanwhile: a copy that misses something would be seen by its numbers.
            proxy.cut();
            let port = own_port();
            let () = stage.scene.ask_redis(cmd("CONFIG").arg("SET").arg("port").arg(port));
            follow("127.0.0.1", &port.to_string());
            wait_for("the copy is made", PATIENCE, || {
                let info: String = stage.scene.ask_redis(cmd("INFO").arg("replication"));
                let field = |name: &str| Some(info.split_once(name)?.1.split([',', '\r']).next()?.to_owned());
                (field("state=")? == "online" && field(",offset=")? == field("master_repl_offset:")?)
                    .then_some(())
            });
            follow("NO", "ONE");
            proxy.point_to(Upstream::Unix(copy.folder().join("r.sock")));
            proxy.heal();
            stage.rush.wait_more(50);
            proxy.point_to(Upstream::Unix(server.folder().join("r.sock")));
            proxy.reset_all();
        },
        |(), after: &mut After| {
            after.scene.drain = Some(Drainer::start(&after.scene.service));
            after.scene.wait_drained();
            caught(after, &["I2"])
        },
    );
}

#[test]
fn constraint_dropped() {
    Row::new("control: the ledger's unique constraint dropped, entries delivered twice").observe(
        undrained,
        |stage: &mut Stage| stage.rush.wait_more(50),
        |(), after: &mut After| {
            let ledger = Connection::open(after.scene.service.data().join("ledger.db")).expect("it opens");
            ledger
                .execute_batch(
                    "DROP TABLE claim; CREATE TABLE claim (number INTEGER, person TEXT, mark TEXT,
                     claimed_at_ms INTEGER, status INTEGER) STRICT",
                )
                .expect("it is changed");
            let taken = entries(after.scene);
            deliver_again(after.scene, &taken);
            after.scene.drain = Some(Drainer::start(&after.scene.service));
            after.everybody_asks_again();
            caught(after, &["I2", "I3", "I4"])
        },
    );
}
