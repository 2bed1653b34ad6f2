//! Rows: a replica takes the place of the primary. What the new one lacks must be noticed before anything is sold from
//! it, and with `ack = "replica"` nothing that anybody was told may be lacking.

use std::time::Duration;

use claimrush::domain::ids::{DropId, Shard};
use claimrush::redis::keys;

use crate::matrix::{After, DROP, Row, Stage};
use crate::scene::{DURABLE, External, Scene};
use crate::support::postgres::own_port;
use crate::support::proxy::{Proxy, Upstream};
use crate::support::redis::RedisServer;
use crate::support::replicated::ask;
use crate::support::service::PATIENCE;
use crate::support::wait_for;

/// A primary that is reached through a proxy, its replica behind a proxy of its own, and the replica's port.
struct Pair {
    scene: Scene,
    replica: RedisServer,
    replica_port: u16,
    /// What lies between the two servers.
    between: Proxy,
}

fn way_to(server: &RedisServer) -> Upstream {
    Upstream::Unix(server.folder().join("r.sock"))
}

/// A server on a port, with further settings.
fn server(port: u16, more: &[&str]) -> RedisServer {
    let listens = format!("port {port}");
    let base = ["bind 127.0.0.1", &listens, "repl-diskless-sync-delay 0"];
    RedisServer::start(&[&DURABLE[..], &base, more].concat())
}

/// Follows a primary from now on.
fn follow(replica: &RedisServer, port: u16) {
    let () = ask(replica, &["REPLICAOF", "127.0.0.1", &port.to_string()]).expect("it answers");
}

fn wait_in_step(primary: &RedisServer) {
    wait_for("the replica confirms a write", PATIENCE, || {
        // Twice: before its first replica comes Redis 7.0 counts no offset, and takes one that has just begun to load
        // for one that has everything.
        let info: String = ask(primary, &["INFO", "replication"]).ok()?;
        info.contains("state=online").then_some(())?;
        confirmed(primary).filter(|confirmed| *confirmed)?;
        confirmed(primary).filter(|confirmed| *confirmed).map(|_| ())
    });
}

/// Whether the replica has a write that was made now. One that has just been copied whole confirms nothing for up to a
/// second.
fn confirmed(primary: &RedisServer) -> Option<bool> {
    let mut connection = primary.connect_blocking().ok()?;
    let () = redis::cmd("SET").arg("in-step").arg(1).query(&mut connection).ok()?;
    let confirmed: u32 = redis::cmd("WAIT").arg(1).arg(200).query(&mut connection).ok()?;
    Some(confirmed == 1)
}

impl Pair {
    fn start(settings: &[(&str, &str)], primary_settings: &[&str]) -> Self {
        let port = own_port();
        let primary = server(port, primary_settings);
        let between = Proxy::start(Upstream::Tcp(([127, 0, 0, 1], port).into()));
        let replica_port = own_port();
        let replica = server(replica_port, &[]);
        follow(&replica, between.address().port());
        wait_in_step(&primary);
        let proxy = Proxy::start(way_to(&primary));
        let scene = Scene::beside(External { proxy, server: primary }, settings, &[]);
        Self { scene, replica, replica_port, between }
    }
}

/// Lets the service reach another server in the place of the one that it has.
fn swap(scene: &mut Scene, other: RedisServer) -> RedisServer {
    let external = scene.external.as_mut().expect("a Redis behind a proxy");
    external.proxy.cut();
    wait_for("nobody is connected", PATIENCE, || (external.proxy.connections() == 0).then_some(()));
    external.proxy.point_to(way_to(&other));
    let before = std::mem::replace(&mut external.server, other);
    external.proxy.heal();
    before
}

fn seq_in(server: &RedisServer) -> u32 {
    try_seq_in(server).expect("it has the drop")
}

/// The number of the last claim; nothing while the server has no drop.
fn try_seq_in(server: &RedisServer) -> Option<u32> {
    let key = keys::drop(Shard::FIRST, &DropId::new(DROP).expect("an id"));
    ask(server, &["HGET", &key, "seq"]).expect("it answers")
}

fn assert_kept(after: &mut After) {
    after.everybody_asks_again();
    let broken = after.broken();
    assert!(broken.is_empty(), "broken:\n{}", broken.join("\n"));
}

/// Sells on, or is made anew by an operator where claims that nobody was told of are lacking.
fn settle(after: &mut After) -> String {
    let probe = after.history.new_wish();
    let ready = wait_for("the service has compared the new one", PATIENCE, || {
        let answer = after.scene.service.readiness()?;
        if answer.status == 503 && answer.text("reason") == "shard_frozen" {
            return Some(false);
        }
        let answer = after.scene.service.claim(DROP, &after.scene.service.ticket(DROP, &probe.person));
        matches!(answer.status, 200 | 201).then_some(true)
    });
    if !ready {
        let recover = ["recover", "--apply", "--accept-loss"];
        let recovered = after.scene.service.command(&recover).output().expect("it runs");
        assert!(recovered.status.success(), "{recovered:?}");
    }
    assert_kept(after);
    if ready { "held" } else { "frozen; recovered by an operator, held" }.to_owned()
}

#[test]
fn a_replica_that_lags_is_promoted() {
    let pair = std::cell::RefCell::new(None);
    Row::new("replica that lags is promoted, ack = fsync").observe(
        || {
            let Pair { scene, replica, between, .. } = Pair::start(&[], &[]);
            *pair.borrow_mut() = Some((replica, between));
            scene
        },
        |stage: &mut Stage| {
            let (replica, between) = pair.borrow_mut().take().expect("a replica");
            wait_for("the replica follows", PATIENCE, || try_seq_in(&replica).filter(|seq| *seq > 0));
            between.cut();
            stage.rush.wait_more(100);
            let () = ask(&replica, &["REPLICAOF", "NO", "ONE"]).expect("it answers");
            let had = seq_in(&replica);
            let primary = swap(stage.scene, replica);
            stage.scene.service.wait_unready("shard_frozen");
            assert!(seq_in(&primary) > had, "it lags");
            let promoted = &stage.scene.external.as_ref().expect("a Redis").server;
            assert_eq!(seq_in(promoted), had, "nothing is given away by the one that lacks something");
            primary
        },
        |primary, after: &mut After| {
            let _lagging = swap(after.scene, primary);
            after.scene.service.wait_ready();
            assert_kept(after);
            "frozen, nothing sold; held at the old primary".to_owned()
        },
    );
}

/// What `ack = "replica"` is set to.
const REPLICATED: [(&str, &str); 3] =
    [("claim.ack", "replica"), ("redis.replicas", "1"), ("redis.replica_wait_ms", "300")];

#[test]
fn the_primary_is_killed_and_its_replica_promoted() {
    let pair = std::cell::RefCell::new(None);
    Row::new("kill -9 of the primary, its replica promoted, ack = replica").observe(
        || {
            let Pair { scene, replica, replica_port, between } = Pair::start(&REPLICATED, &[]);
            *pair.borrow_mut() = Some((replica, replica_port, between));
            scene
        },
        |stage: &mut Stage| {
            let (replica, replica_port, _between) = pair.borrow_mut().take().expect("a replica");
            stage.rush.wait_more(50);
            stage.scene.external.as_mut().expect("a Redis").server.kill();
            let () = ask(&replica, &["REPLICAOF", "NO", "ONE"]).expect("it answers");
            // Another one follows the new primary, as an operator or a Sentinel sees to it.
            let third = server(own_port(), &[]);
            follow(&third, replica_port);
            drop(swap(stage.scene, replica));
            third
        },
        |_third, after: &mut After| settle(after),
    );
}

#[test]
fn a_stale_master_comes_back_after_a_partition() {
    let pair = std::cell::RefCell::new(None);
    Row::new("partition, failover, the stale master comes back, ack = replica").observe(
        || {
            let Pair { scene, replica, replica_port, between } =
                Pair::start(&REPLICATED, &["min-replicas-to-write 1"]);
            *pair.borrow_mut() = Some((replica, replica_port, between));
            scene
        },
        |stage: &mut Stage| {
            let (replica, replica_port, between) = pair.borrow_mut().take().expect("a replica");
            stage.rush.wait_more(50);
            // The primary is alone with the front end: it may tell nobody anything.
            between.cut();
            let primary = &stage.scene.external.as_ref().expect("a Redis").server;
            wait_for("the primary is alone", PATIENCE, || {
                let info: String = ask(primary, &["INFO", "replication"]).ok()?;
                info.contains("connected_slaves:0").then_some(())
            });
            let stale = seq_in(&stage.scene.external.as_ref().expect("a Redis").server);
            let () = ask(&replica, &["REPLICAOF", "NO", "ONE"]).expect("it answers");
            let third = server(own_port(), &[]);
            follow(&third, replica_port);
            let old = swap(stage.scene, replica);
            std::thread::sleep(Duration::from_millis(500));
            assert_eq!(seq_in(&old), stale, "the stale one grants nothing more");
            // It heals, and follows the new one.
            follow(&old, replica_port);
            between.heal();
            (third, old)
        },
        |_servers, after: &mut After| settle(after),
    );
}
