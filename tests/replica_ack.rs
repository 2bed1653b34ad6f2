//! `ack = "replica"`: what is acknowledged stands on replicas too, and what does not is not acknowledged.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use claimrush::config::{Ack, Config};
use claimrush::domain::ids::{DropId, PersonId, Shard};
use claimrush::redis::fence::Fence;
use claimrush::redis::{keys, reads};

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Answer, Client, bearer, claims_path};
use crate::support::postgres::own_port;
use crate::support::redis::RedisServer;
use crate::support::replicated::{Replicated, ask, programs};
use crate::support::service::{PATIENCE, Service};
use crate::support::signals::Frozen;
use crate::support::{claimrush, folder, outcome, wait_for};

/// How long a batch waits in these tests: longer than a busy machine's disk keeps a replica that is there, short for a test
/// of one that is not.
const WAIT_MS: &str = "2500";
/// Two batches wait for less than that.
const RESPONSE_MS: &str = "20000";

fn serve(redis: &RedisServer, ack: &str) -> Service {
    let url = redis.url();
    let settings = [
        ("redis.url", url.expose()),
        ("claim.ack", ack),
        ("redis.replica_wait_ms", WAIT_MS),
        ("redis.response_timeout_ms", RESPONSE_MS),
    ];
    let service = Service::start_with(&settings, &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 100_000), DropFile::open("d-2", 9).limit(2)]));
    service.wait_ready();
    service
}

fn claim_with_key(service: &Service, ticket: &str, key: &str) -> Answer {
    let headers = [("authorization", &*bearer(ticket)), ("idempotency-key", key)];
    Client::connect(service.address()).call("POST", &claims_path("d-2"), &headers, b"")
}

/// Checks that an answer is the same claim as an earlier one, given again.
fn assert_again(again: &Answer, first: &Answer) {
    assert_eq!((again.status, again.text("claim_id")), (200, first.text("claim_id")));
    assert_eq!(again.json()["replayed"], true);
}

fn assert_unknown(what: &str, answer: &Answer) {
    assert_eq!((answer.status, answer.code().as_str()), (503, "outcome_unknown"), "{what}");
}

#[test]
fn without_its_replica_nothing_is_acknowledged_and_the_same_claim_comes_with_it() {
    for program in programs() {
        let servers = Replicated::start(program);
        let service = serve(&servers.primary, "replica");
        let (a, b, nobody) =
            (service.ticket("d-1", "a"), service.ticket("d-1", "b"), service.ticket("d-1", "n"));
        let keyed = service.ticket("d-2", "k");
        let first = service.claim("d-1", &a);
        assert_eq!(first.status, 201, "{program}: the replica has it");
        assert_eq!(service.mine("d-1", &a).status, 200);
        let (k1, k2) = (claim_with_key(&service, &keyed, "k1"), claim_with_key(&service, &keyed, "k2"));
        assert_eq!((k1.status, k2.status), (201, 201));
        let follows = || (service.metric("claimrush_redis_replicas")? == 1).then_some(());
        wait_for("its replica is counted", PATIENCE, follows);

        let frozen = Frozen::freeze(servers.replica.pid());
        assert_unknown("a new claim", &service.claim("d-1", &b));
        assert_unknown("a claim that is given again", &service.claim("d-1", &a));
        assert_unknown("what a holder has", &service.mine("d-1", &a));
        assert_eq!(service.mine("d-1", &nobody).status, 404, "who has nothing is told so");
        assert_eq!(claim_with_key(&service, &keyed, "k3").code(), "limit_reached", "a refusal stands");
        assert!(service.metric("claimrush_replica_short_batches_total") >= Some(2));
        assert_eq!(service.metric("claimrush_outcome_unknown_total"), Some(2));
        drop(frozen);

        let b_again = wait_for("the replica is back", PATIENCE, || {
            Some(service.claim("d-1", &b)).filter(|answer| answer.status != 503)
        });
        assert_eq!(
            (b_again.status, &b_again.json()["seq"]),
            (200, &2.into()),
            "it was made at the first try"
        );
        assert_again(&service.claim("d-1", &a), &first);
        assert_again(&claim_with_key(&service, &keyed, "k1"), &k1);
        assert_eq!(service.mine("d-1", &b).status, 200);
    }
}

#[test]
fn fsync_waits_for_no_replica() {
    let servers = Replicated::start("redis-server");
    let service = serve(&servers.primary, "fsync");
    let frozen = Frozen::freeze(servers.replica.pid());
    assert_eq!(service.claim("d-1", &service.ticket("d-1", "a")).status, 201);
    assert_eq!(service.metric("claimrush_replica_short_batches_total"), Some(0));
    let fence = keys::fence(Shard::FIRST);
    assert!(
        !ask::<bool>(&servers.primary, &["EXISTS", &fence]).expect("it answers"),
        "nothing more is written"
    );
    drop(frozen);
}

#[test]
fn a_replica_that_died_and_came_back_confirms_what_was_unknown() {
    let mut servers = Replicated::start("redis-server");
    let service = serve(&servers.primary, "replica");
    let (a, b) = (service.ticket("d-1", "a"), service.ticket("d-1", "b"));
    servers.replica.crash(|_| {
        assert_unknown("a claim without a replica", &service.claim("d-1", &a));
        // A primary that is told to have replicas refuses the write itself: then nothing was claimed.
        let () = ask(&servers.primary, &["CONFIG", "SET", "min-replicas-to-write", "1"]).expect("it answers");
        assert_eq!(service.claim("d-1", &b).code(), "unavailable");
        let () = ask(&servers.primary, &["CONFIG", "SET", "min-replicas-to-write", "0"]).expect("it answers");
    });
    servers.wait_in_step();
    let again = service.claim("d-1", &a);
    assert_eq!((again.status, &again.json()["seq"]), (200, &1.into()));
    let first = service.claim("d-1", &b);
    assert_eq!((first.status, &first.json()["seq"]), (201, &2.into()));
}

#[test]
fn a_server_that_forgot_its_scripts_is_told_them_again() {
    for program in programs() {
        let servers = Replicated::start(program);
        let service = serve(&servers.primary, "replica");
        let first = service.claim("d-1", &service.ticket("d-1", "a"));
        let () = ask(&servers.primary, &["SCRIPT", "FLUSH"]).expect("it answers");
        let second = service.claim("d-1", &service.ticket("d-1", "b"));
        assert_eq!((first.status, second.status, &second.json()["seq"]), (201, 201, &2.into()));
        let () = ask(&servers.primary, &["SCRIPT", "FLUSH"]).expect("it answers");
        let frozen = Frozen::freeze(servers.replica.pid());
        assert_unknown("after the script was sent again", &service.claim("d-1", &service.ticket("d-1", "c")));
        drop(frozen);
    }
}

#[test]
fn every_acknowledged_claim_is_on_the_promoted_replica() {
    for program in programs() {
        let mut servers = Replicated::start(program);
        let service = serve(&servers.primary, "replica");
        let told = rush_until_killed(&service, &mut servers.primary);
        servers.promote();
        let (drop, mut missing) = (DropId::new("d-1").expect("an id"), Vec::new());
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let mut replica = servers.replica.connect().await;
            for (person, seq) in &told {
                let id = PersonId::new(person).expect("an id");
                let held =
                    reads::claims_of(&mut replica, Shard::FIRST, &drop, &id).await.expect("it answers");
                if held.first().is_none_or(|grant| u64::from(grant.seq) != *seq) {
                    missing.push(format!("{person} was told {seq}, the replica has {held:?}"));
                }
            }
        });
        assert!(missing.is_empty(), "{program}: of {}: {missing:?}", told.len());
    }
}

/// Many claim; the server is killed in the midst. Who was told 201 or 200 with which number.
fn rush_until_killed(service: &Service, primary: &mut RedisServer) -> HashMap<String, u64> {
    let (mint, address) = (service.mint(), service.address());
    let (next, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let told = Mutex::new(HashMap::new());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                loop {
                    let person = format!("p-{}", next.fetch_add(1, Ordering::Relaxed));
                    let answer = client.claim("d-1", &mint.ticket("d-1", &person));
                    if answer.status == 503 {
                        return;
                    }
                    let seq = answer.json()["seq"].as_u64().expect("a claim");
                    told.lock().expect("nobody panics").insert(person, seq);
                    answered.fetch_add(1, Ordering::Release);
                }
            });
        }
        wait_for("a rush is on", PATIENCE, || (answered.load(Ordering::Acquire) > 500).then_some(()));
        primary.kill();
    });
    told.into_inner().expect("nobody panics")
}

/// The exit code and the line of a service that does not start on this Redis.
fn refusal(redis: &RedisServer) -> (i32, String) {
    let folder = folder();
    let mut command = claimrush(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.env("CLAIMRUSH_REDIS__URL", redis.url().expose()).env("CLAIMRUSH_CLAIM__ACK", "replica");
    let (exit, _, line) = outcome(&command.output().expect("it runs"));
    (exit, line)
}

/// Redis 7.0 counts no offset before its first replica comes: to its `WAIT`, one that has just begun to load has
/// everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_comes_during_the_wait_confirms_nothing() {
    let port = own_port();
    let primary =
        RedisServer::start(&["bind 127.0.0.1", "repl-diskless-sync-delay 0", &format!("port {port}")]);
    let replica = RedisServer::in_memory();
    let mut config = Config::default();
    config.claim.ack = Ack::Replica;
    config.redis.replica_wait_ms = 10_000;
    let fence = Fence::of(&config, Shard::FIRST).expect("replicas are asked for");
    let mut connection = primary.connect().await;
    let raised = tokio::spawn(async move { fence.raise(&mut connection).await.map(|first| (first, fence)) });
    wait_for("the wait has begun", PATIENCE, || {
        let clients: String = ask(&primary, &["INFO", "clients"]).ok()?;
        clients.contains("blocked_clients:1").then_some(())
    });
    let () = ask(&replica, &["REPLICAOF", "127.0.0.1", &port.to_string()]).expect("it answers");
    let (first, fence) = raised.await.expect("it ends").expect("it answers");
    assert_eq!(first.received, 0);
    let second = fence.raise(&mut primary.connect().await).await.expect("it answers");
    assert_eq!(second.received, 1, "behind a later write it does");
}

#[test]
fn a_service_does_not_start_where_replicas_are_missing() {
    let servers = Replicated::start("redis-server");
    let frozen = Frozen::freeze(servers.replica.pid());
    let received = "claimrush: redis: 0 of redis.replicas = 1 received a write within redis.replica_wait_ms = 500: \
                    claim.ack = \"replica\" needs them connected and in step\n";
    assert_eq!(refusal(&servers.primary), (69, received.to_owned()));
    drop(frozen);
    let (exit, line) = refusal(&servers.replica);
    assert!(
        exit == 69 && line.starts_with("claimrush: redis: ") && line.contains("read only replica"),
        "{line}"
    );

    let unsafe_primary = RedisServer::start(&["appendonly yes", "appendfsync everysec"]);
    let settings = "claimrush: redis: appendfsync is \"everysec\": with claim.ack = \"replica\" set \
                    \"appendfsync always\" in redis.conf\n";
    assert_eq!(refusal(&unsafe_primary), (69, settings.to_owned()));
}

#[test]
fn a_replica_without_a_disk_is_refused_by_a_server_that_can_tell() {
    for program in programs() {
        let servers = Replicated::start_with(program, &["appendonly no"]);
        servers.wait_confirmed(false);
        if servers.has_waitaof {
            let synced = "claimrush: redis: 0 of redis.replicas = 1 synced a write to disk within \
                          redis.replica_wait_ms = 500: claim.ack = \"replica\" needs \"appendonly yes\" and \
                          \"appendfsync always\" in the replicas' redis.conf\n";
            assert_eq!(refusal(&servers.primary), (69, synced.to_owned()), "{program}");
        } else {
            let service = serve(&servers.primary, "replica");
            assert_eq!(service.claim("d-1", &service.ticket("d-1", "a")).status, 201, "{program}: in memory");
        }
    }
}

#[test]
fn waiting_for_disks_takes_no_second() {
    for program in programs() {
        let servers = Replicated::start(program);
        let service = serve(&servers.primary, "replica");
        // A replica reports by itself once a second: claims that waited for that would take that long, most of them, while
        // a machine that is busy holds up some.
        let mut times = [0; 11].map(|_: u8| Duration::ZERO);
        for (n, time) in times.iter_mut().enumerate() {
            let began = Instant::now();
            assert_eq!(service.claim("d-1", &service.ticket("d-1", &format!("p-{n}"))).status, 201);
            *time = began.elapsed();
        }
        times.sort_unstable();
        assert!(times[5] < Duration::from_millis(500), "{program}: {times:?}");
    }
}
