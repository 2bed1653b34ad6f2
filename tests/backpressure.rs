//! Too much waits for the ledger, Redis has no memory left, or a disk is full: new claims are refused, nothing is lost,
//! and the rush goes on when there is room again.

use std::collections::HashSet;
use std::ops::Range;

use crate::support::campaign::{DropFile, campaign};
use crate::support::disk::{limit_files, redis_told_by_error};
use crate::support::drainer::Drainer;
use crate::support::http::{Answer, Client, bearer, claims_path};
use crate::support::redis::RedisServer;
use crate::support::replicated::ask;
use crate::support::service::{PATIENCE, Service};
use crate::support::{folder, outcome, wait_for};

/// Few entries may wait in these tests, and who waits for an answer to change asks often.
const SETTINGS: [(&str, &str); 3] =
    [("journal.entries_max", "40"), ("limits.person_per_second", "10000"), ("limits.person_burst", "10000")];

fn claim_with_key(service: &Service, ticket: &str, key: &str) -> Answer {
    let headers = [("authorization", &*bearer(ticket)), ("idempotency-key", key)];
    Client::connect(service.address()).call("POST", &claims_path("d-2"), &headers, b"")
}

/// New people claim one after another until one is refused; those who were told "yours", and the refusal.
fn claim_until_refused(service: &Service, persons: Range<u32>) -> (Vec<String>, Answer) {
    let mut told = Vec::new();
    for n in persons {
        let person = format!("person-{n}");
        let answer = service.claim("d-1", &service.ticket("d-1", &person));
        if answer.status != 201 {
            return (told, answer);
        }
        told.push(person);
    }
    panic!("{} claims, and nobody is refused", told.len());
}

fn assert_refused(answer: &Answer) {
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert!(answer.header("retry-after").is_some(), "it says when to come back");
}

/// Exit code, output and complaints of a command beside the service.
fn run(service: &Service, args: &[&str]) -> (i32, String, String) {
    outcome(&service.command(args).output().expect("it runs"))
}

/// The audit holds and everybody in `told` has a row.
fn assert_nothing_lost(service: &Service, told: &[String]) {
    wait_for("all is in the ledger", PATIENCE, || (service.journal_length() == 0).then_some(()));
    let (code, out, err) = run(service, &["audit"]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, rows, err) = run(service, &["ledger", "export", "--drop", "d-1", "--format", "csv"]);
    assert_eq!(code, 0, "{err}");
    let persons: HashSet<&str> = rows.lines().skip(1).filter_map(|row| row.split(',').nth(5)).collect();
    let lost: Vec<_> = told.iter().filter(|person| !persons.contains(person.as_str())).collect();
    assert!(lost.is_empty(), "{lost:?} have no row");
    assert_eq!(persons.len(), told.len(), "and nobody else has one");
}

#[test]
fn a_full_journal_refuses_newcomers_and_nobody_else_until_it_is_drained() {
    let service = Service::start_with(&SETTINGS, &["--no-drain"]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 100_000), DropFile::open("d-2", 9).limit(2)]));
    let keyed = service.ticket("d-2", "keyed");
    assert_eq!(claim_with_key(&service, &keyed, "k1").status, 201);
    let (mut told, refusal) = claim_until_refused(&service, 0..100_000);
    assert_refused(&refusal);
    assert!(told.len() >= 39, "the journal may be filled: {}", told.len());
    assert_eq!(service.metric("claimrush_journal_full"), Some(1));

    for person in &told {
        let again = service.claim("d-1", &service.ticket("d-1", person));
        assert_eq!((again.status, &again.json()["replayed"]), (200, &true.into()), "{person}");
    }
    assert_eq!(service.mine("d-1", &service.ticket("d-1", &told[0])).status, 200);
    assert_refused(&claim_with_key(&service, &keyed, "k2"));
    assert_refused(&claim_with_key(&service, &keyed, "k1"));
    assert_eq!(service.mine("d-2", &keyed).status, 200, "what they have can be asked for");
    let entries = service.journal_length();
    assert_eq!(entries, 1 + told.len() as u64, "nothing was trimmed, nothing was added");

    let _drain = Drainer::start(&service);
    let newcomer = wait_for("there is room again", PATIENCE, || {
        Some(service.claim("d-1", &service.ticket("d-1", "newcomer"))).filter(|answer| answer.status != 503)
    });
    assert_eq!(newcomer.status, 201);
    assert_eq!(service.metric("claimrush_journal_full"), Some(0));
    told.push("newcomer".to_owned());
    assert_eq!(claim_with_key(&service, &keyed, "k2").status, 201);
    assert_nothing_lost(&service, &told);
    let log = service.log();
    assert_eq!(log.matches("the journal is full").count(), 1, "{log}");
}

#[test]
fn after_a_restart_holders_are_known_before_newcomers_are_let_in() {
    let mut service = Service::start_with(&SETTINGS, &["--no-drain"]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 100_000)]));
    let (told, _) = claim_until_refused(&service, 0..100_000);
    service.stop();
    service.restart_with(&["--no-drain"]);
    assert_refused(&service.claim("d-1", &service.ticket("d-1", "newcomer")));
    for person in &told {
        let ticket = service.ticket("d-1", person);
        wait_for("a holder gets their claim again", PATIENCE, || {
            (service.claim("d-1", &ticket).status == 200).then_some(())
        });
    }
    assert_eq!(service.journal_length(), told.len() as u64);
}

#[test]
fn redis_without_memory_refuses_before_it_writes_and_goes_on_with_more() {
    let safe = ["appendonly yes", "appendfsync always", "maxmemory-policy noeviction"];
    let redis = RedisServer::start(&safe);
    let url = redis.url();
    let settings = [&SETTINGS[1..], &[("redis.url", url.expose())]].concat();
    let service = Service::start_with(&settings, &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 100_000)]));
    let claim = |person: &str| service.claim("d-1", &service.ticket("d-1", person));
    assert_eq!(claim("first").status, 201);

    let () = ask(&redis, &["CONFIG", "SET", "maxmemory", "1mb"]).expect("it answers");
    let mut told = vec!["first".to_owned()];
    // The first ones may come before the next look at the memory: then Redis itself refuses the script.
    for n in 0..20 {
        let answer = claim(&format!("early-{n}"));
        assert_eq!(answer.status, 503, "{}", answer.code());
        assert!(["overloaded", "unavailable"].contains(&answer.code().as_str()), "{}", answer.code());
    }
    wait_for("the memory is looked at", PATIENCE, || {
        (service.metric("claimrush_journal_full")? == 1).then_some(())
    });
    assert_refused(&claim("late"));
    assert_eq!(service.mine("d-1", &service.ticket("d-1", "first")).status, 200, "reading needs none");

    let () = ask(&redis, &["CONFIG", "SET", "maxmemory", "0"]).expect("it answers");
    wait_for("there is room again", PATIENCE, || (claim("late").status == 201).then_some(()));
    told.push("late".to_owned());
    let answer = claim("early-0");
    assert_eq!((answer.status, &answer.json()["seq"]), (201, &3.into()), "it was not half done before");
    told.push("early-0".to_owned());
    assert_eq!(claim("first").status, 200);
    wait_for("all is in the ledger", PATIENCE, || {
        (service.metric("claimrush_claims_durable_total")? == 3).then_some(())
    });
    let (code, out, err) = run(&service, &["audit"]);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn a_ledger_whose_disk_is_full_is_filled_again_when_there_is_room() {
    let service = Service::start_with(&SETTINGS, &["--no-drain"]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 100_000)]));
    let drain = Drainer::start(&service);
    assert_eq!(service.claim("d-1", &service.ticket("d-1", "first")).status, 201);
    wait_for("the first is in the ledger", PATIENCE, || (service.journal_length() == 0).then_some(()));

    // Room for the log, and for no transaction.
    limit_files(drain.pid(), Some(16 * 1024));
    let (more, refusal) = claim_until_refused(&service, 0..100_000);
    assert_refused(&refusal);
    let entries = service.journal_length();
    assert!(entries >= 39, "nothing left the journal: {entries}");

    limit_files(drain.pid(), None);
    let newcomer = wait_for("there is room again", PATIENCE, || {
        Some(service.claim("d-1", &service.ticket("d-1", "newcomer"))).filter(|answer| answer.status != 503)
    });
    assert_eq!(newcomer.status, 201);
    let told = [vec!["first".to_owned()], more, vec!["newcomer".to_owned()]].concat();
    assert_nothing_lost(&service, &told);
}

#[test]
fn redis_whose_disk_is_full_acknowledges_nothing_and_forgets_nothing() {
    let programs = folder();
    let redis = redis_told_by_error(programs.path());
    let settings = [&SETTINGS[1..], &[("redis.server_bin", redis.to_str().expect("a path"))]].concat();
    let service = Service::start_with(&settings, &["--no-drain"]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 100_000)]));
    let claim = |person: &str| service.claim("d-1", &service.ticket("d-1", person));
    let mut told: Vec<String> = (0..10).map(|n| format!("early-{n}")).collect();
    assert!(told.iter().all(|person| claim(person).status == 201));

    let full = service.redis_pid();
    limit_files(full, Some(1));
    // Redis ends rather than acknowledge what it cannot keep; the service starts it again, with room.
    wait_for("another Redis is there", PATIENCE, || {
        let person = format!("late-{}", told.len());
        let answer = claim(&person);
        assert!([201, 200, 503].contains(&answer.status), "{}", answer.status);
        if answer.status != 503 {
            told.push(person);
        }
        (service.try_redis_pid()? != full && answer.status != 503).then_some(())
    });
    assert!(told.len() > 10, "it goes on");
    for person in &told {
        assert_eq!(claim(person).status, 200, "{person} still has their claim");
    }
    let _drain = Drainer::start(&service);
    wait_for("all is in the ledger", PATIENCE, || (service.journal_length() == 0).then_some(()));
    let (code, out, err) = run(&service, &["audit"]);
    assert_eq!(code, 0, "{out}{err}");
}
