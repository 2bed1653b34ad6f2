//! A server takes the place of another and lacks what was acknowledged: it is compared before it may give anything
//! away, what it lacks stays known, and the old one may sell on when it is back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use claimrush::domain::ids::{DropId, Shard};
use claimrush::redis::keys;

use crate::support::campaign::{DropFile, campaign};
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
    let proxy = Proxy::start(way_to(server));
    let url = format!("redis://{}", proxy.address());
    let service = Service::start_with(&[("redis.url", &url)], flags);
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

/// State and number of the last claim, as a server has them.
fn drop_in(server: &RedisServer) -> (String, u32) {
    let key = keys::drop(Shard::FIRST, &DropId::new("d-1").expect("an id"));
    ask(server, &["HMGET", &key, "state", "seq"]).expect("it answers")
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
