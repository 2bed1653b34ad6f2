//! A server takes the place of another and lacks what was acknowledged: it is compared before it may give anything
//! away, what it lacks stays known, and the old one may sell on when it is back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use claimrush::domain::ids::{DropId, Shard};
use claimrush::redis::keys;

use crate::support::campaign::{DropFile, campaign};
use crate::support::postgres::PostgresServer;
use crate::support::proxy::{Proxy, Upstream};
use crate::support::redis::RedisServer;
use crate::support::replicated::{Replicated, ask};
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

const CLIENTS: usize = 8;

fn way_to(server: &RedisServer) -> Upstream {
    Upstream::Unix(server.folder().join("r.sock"))
}

/// A service behind a proxy that leads to `server`, with one drop; `flags` as of `serve`.
fn serve(server: &RedisServer, flags: &[&'static str]) -> (Proxy, Service) {
    serve_with(server, &[], flags)
}

fn serve_with(server: &RedisServer, settings: &[(&str, &str)], flags: &[&'static str]) -> (Proxy, Service) {
    let proxy = Proxy::start(way_to(server));
    let url = format!("redis://{}", proxy.address());
    let service = Service::start_with(&[&[("redis.url", &*url)], settings].concat(), flags);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 100_000)]));
    service.wait_ready();
    (proxy, service)
}

fn swap(proxy: &Proxy, server: &RedisServer) {
    proxy.cut();
    wait_for("nobody is connected", PATIENCE, || (proxy.connections() == 0).then_some(()));
    proxy.point_to(way_to(server));
    proxy.heal();
}

fn drop_key() -> String {
    keys::drop(Shard::FIRST, &DropId::new("d-1").expect("an id"))
}

/// State and number of the last claim, as a server has them.
fn drop_in(server: &RedisServer) -> (String, u32) {
    ask(server, &["HMGET", &drop_key(), "state", "seq"]).expect("it answers")
}

/// One claim each of `from..to`; how many were granted.
fn claim_all(service: &Service, persons: std::ops::Range<u32>) -> usize {
    let granted =
        |n: &u32| service.claim("d-1", &service.ticket("d-1", &format!("person-{n}"))).status == 201;
    persons.filter(granted).count()
}

/// People who come for the first time, over and over, until `stop`.
fn press_on(service: &Service, client: usize, stop: &AtomicBool) {
    for n in 0.. {
        if stop.load(Ordering::Acquire) {
            return;
        }
        service.claim("d-1", &service.ticket("d-1", &format!("client-{client}-{n}")));
    }
}

#[test]
fn a_replica_that_lags_gives_nothing_away_again() {
    let servers = Replicated::start("redis-server");
    // What only Redis knows is in no ledger: nothing but what this front end has seen tells of the loss.
    let (proxy, mut service) = serve(&servers.primary, &["--no-drain"]);
    assert_eq!(claim_all(&service, 0..20), 20);
    servers.wait_in_step();
    servers.promote();
    assert_eq!(claim_all(&service, 20..30), 10);

    let stop = AtomicBool::new(false);
    let last = thread::scope(|scope| {
        let (service, stop) = (&service, &stop);
        for client in 0..CLIENTS {
            scope.spawn(move || press_on(service, client, stop));
        }
        // In the middle of a rush, so that claims wait for the new server the moment it is there.
        wait_for("the rush goes on", PATIENCE, || (drop_in(&servers.primary).1 > 60).then_some(()));
        swap(&proxy, &servers.replica);
        service.wait_unready("shard_frozen");
        thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Release);
        drop_in(&servers.primary).1
    });
    assert_eq!(drop_in(&servers.replica), ("frozen".to_owned(), 20), "not one was given away again");

    service.kill();
    assert_eq!(service.restart_to_judge().as_deref(), Some("shard_frozen"), "the loss outlives who saw it");
    let newcomer = service.ticket("d-1", "newcomer");
    assert_eq!(service.claim("d-1", &newcomer).code(), "unavailable");

    swap(&proxy, &servers.primary);
    service.wait_ready();
    let answer = service.claim("d-1", &newcomer);
    assert_eq!((answer.status, &answer.json()["seq"]), (201, &(last + 1).into()));
}

#[test]
fn a_replica_that_has_everything_sells_on() {
    let servers = Replicated::start("redis-server");
    let (proxy, service) = serve(&servers.primary, &[]);
    assert_eq!(claim_all(&service, 0..20), 20);
    servers.wait_in_step();
    servers.promote();
    swap(&proxy, &servers.replica);
    let answer = wait_for("claims are granted again", PATIENCE, || {
        Some(service.claim("d-1", &service.ticket("d-1", "next"))).filter(|answer| answer.status == 201)
    });
    assert_eq!(answer.json()["seq"], 21);
    assert_eq!(drop_in(&servers.primary).1, 20, "the old one is asked for nothing any more");
    service.wait_ready();
}

/// It has the same drop, and is further: a rehearsal's, say. It lacks what the ledger has, so nobody claims there; and what it
/// says of itself is no loss of the right one.
#[test]
fn the_right_server_sells_on_after_another_one_took_its_place() {
    let durable = ["appendonly yes", "appendfsync always"];
    let (right, wrong) = (RedisServer::start(&durable), RedisServer::start(&durable));
    let (proxy, service) = serve(&right, &[]);
    assert_eq!(claim_all(&service, 0..5), 5);
    let (key, journal) = (drop_key(), keys::journal(Shard::FIRST));
    wait_for("all is in the ledger", PATIENCE, || {
        (ask::<u64>(&right, &["XLEN", &journal]).ok()? == 0).then_some(())
    });
    for (next, epoch, seq) in [(6, "1", "40"), (7, "3", "2")] {
        let fields: Vec<String> = ask(&right, &["HGETALL", &key]).expect("it answers");
        let fields = fields.iter().map(String::as_str);
        let copy: Vec<&str> =
            ["HSET", &key].into_iter().chain(fields).chain(["epoch", epoch, "seq", seq]).collect();
        let () = ask(&wrong, &["DEL", &key]).expect("it answers");
        let _: u64 = ask(&wrong, &copy).expect("it answers");
        swap(&proxy, &wrong);
        service.wait_unready("shard_frozen");
        wait_for("it has looked there", PATIENCE, || {
            (service.metric("claimrush_drop_seq")? == seq.parse::<u64>().expect("a number")).then_some(())
        });
        swap(&proxy, &right);
        service.wait_ready();
        let granted = wait_for("claims are granted again", PATIENCE, || {
            Some(service.claim("d-1", &service.ticket("d-1", &format!("next-{seq}"))))
                .filter(|answer| answer.status == 201)
        });
        assert_eq!(granted.json()["seq"], next);
    }
}

/// Nobody can compare it while the ledger is away, and it may lack anything.
#[test]
fn nobody_is_told_that_they_hold_nothing_by_a_server_that_was_not_compared() {
    let (servers, mut ledger) = (Replicated::start("redis-server"), PostgresServer::start(&[]));
    let (proxy, service) = serve_with(&servers.primary, &[("ledger.url", &ledger.url())], &[]);
    assert_eq!(claim_all(&service, 0..5), 5);
    servers.wait_in_step();
    servers.promote();
    assert_eq!(claim_all(&service, 5..6), 1);
    let mine = |person: &str| service.mine("d-1", &service.ticket("d-1", person));
    assert_eq!((mine("person-5").status, mine("nobody").code()), (200, "no_claim".to_owned()));
    ledger.stop_at_once();
    swap(&proxy, &servers.replica);
    wait_for("it has met the other server", PATIENCE, || {
        (service.readiness()?.text("reason") == "redis_not_compared").then_some(())
    });
    assert_eq!(mine("person-4").status, 200);
    for person in ["person-5", "nobody"] {
        assert_eq!(mine(person).code(), "unavailable", "{person}");
    }
    ledger.start_again();
    service.wait_unready("shard_frozen");
    assert_eq!(mine("person-5").code(), "unavailable");
    swap(&proxy, &servers.primary);
    service.wait_ready();
    assert_eq!((mine("person-5").status, mine("nobody").code()), (200, "no_claim".to_owned()));
}
