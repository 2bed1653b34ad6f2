//! A Redis that answers and takes no writes: no claim can be granted, and operators know before anybody claims.

use crate::support::campaign::{DropFile, campaign};
use crate::support::redis::RedisServer;
use crate::support::replicated::ask;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

const SETTINGS: [&str; 5] = [
    "appendonly yes",
    "appendfsync always",
    "maxmemory-policy noeviction",
    "save \"\"",
    // The name of the snapshot's file may be set.
    "enable-protected-configs yes",
];

/// What is done to a Redis.
type Doing<'a> = &'a dyn Fn();

fn service(redis: &RedisServer) -> Service {
    let service = Service::start_with(&[("redis.url", redis.url().expose())], &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 1_000)]));
    service.wait_ready();
    service
}

fn say(redis: &RedisServer, words: &[&str]) {
    let _: redis::Value = ask(redis, words).expect("it answers");
}

#[test]
fn a_redis_that_takes_no_writes_is_known_before_anybody_claims() {
    let redis = RedisServer::start(&SETTINGS);
    let service = service(&redis);
    // A snapshot cannot be put where a folder is.
    std::fs::create_dir(redis.folder().join("taken.rdb")).unwrap();
    let saved = || {
        let info: String = ask(&redis, &["INFO", "persistence"]).ok()?;
        (!info.contains("rdb_bgsave_in_progress:1")).then(|| info.contains("rdb_last_bgsave_status:ok"))
    };
    let snapshot = |name: &str, goes_well: bool| {
        say(&redis, &["CONFIG", "SET", "dbfilename", name]);
        say(&redis, &["BGSAVE"]);
        wait_for("a snapshot", PATIENCE, || (saved()? == goes_well).then_some(()));
    };
    let trouble: [(&str, Doing<'_>, Doing<'_>); 3] = [
        ("READONLY", &|| say(&redis, &["REPLICAOF", "127.0.0.1", "1"]), &|| {
            say(&redis, &["REPLICAOF", "NO", "ONE"]);
        }),
        ("NOREPLICAS", &|| say(&redis, &["CONFIG", "SET", "min-replicas-to-write", "1"]), &|| {
            say(&redis, &["CONFIG", "SET", "min-replicas-to-write", "0"]);
        }),
        (
            "MISCONF",
            &|| {
                say(&redis, &["CONFIG", "SET", "save", "3600 100000"]);
                snapshot("taken.rdb", false);
            },
            &|| snapshot("free.rdb", true),
        ),
    ];
    for (n, (what, begin, end)) in trouble.into_iter().enumerate() {
        assert_eq!(service.metric("claimrush_redis_writable"), Some(1), "before {what}");
        begin();
        service.wait_unready("redis_refuses_writes");
        assert_eq!(service.metric("claimrush_redis_writable"), Some(0), "{what}");
        assert_eq!(service.metric("claimrush_ready"), Some(0), "{what}");
        assert_eq!(service.metric("claimrush_redis_up"), Some(1), "{what}");
        let ticket = service.ticket("d-1", &format!("person-{n}"));
        let refused = service.claim("d-1", &ticket);
        assert_eq!((refused.status, refused.code().as_str()), (503, "unavailable"), "{what}");
        end();
        service.wait_ready();
        assert_eq!(service.claim("d-1", &ticket).status, 201, "after {what}");
    }
    let log = service.log();
    assert_eq!(log.matches("Redis answers and takes no writes").count(), 3, "{log}");
}

#[test]
fn a_journal_that_cannot_be_measured_is_told_of_and_does_not_pass_for_full() {
    let redis = RedisServer::start(&SETTINGS);
    let service = service(&redis);
    say(&redis, &["CONFIG", "SET", "maxmemory", "1mb"]);
    wait_for("it is full", PATIENCE, || (service.metric("claimrush_journal_full")? == 1).then_some(()));
    assert_eq!(service.metric("claimrush_redis_memory_max_bytes"), Some(1 << 20));
    say(&redis, &["ACL", "SETUSER", "default", "-memory"]);
    wait_for("it is not known", PATIENCE, || (service.metric("claimrush_journal_full")? == 0).then_some(()));
    let unknown = service.metric("claimrush_journal_fill_ratio");
    assert_eq!(unknown, None, "what is not known has no number");
    say(&redis, &["ACL", "SETUSER", "default", "+memory"]);
    wait_for("it is full", PATIENCE, || (service.metric("claimrush_journal_full")? == 1).then_some(()));
    let told = "the journal cannot be measured";
    assert_eq!(service.log().matches(told).count(), 1, "{}", service.log());
    drop(service);

    // So it is where that was never known.
    let locked =
        RedisServer::start(&[&SETTINGS[..], &["user default on nopass ~* &* +@all -memory"]].concat());
    let service = Service::start_with(&[("redis.url", locked.url().expose())], &[]);
    wait_for("it is told", PATIENCE, || service.log().contains(told).then_some(()));
}
