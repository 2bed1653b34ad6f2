//! Bugs that flash-sale systems have shipped, each looked for from outside in the built service: those that no other test
//! looks for (docs/PROGRAMMES.md says which test looks for which).

use std::sync::Barrier;

use claimrush::clock::{Clock, rfc3339};
use claimrush::datadir::DataDir;
use claimrush::domain::ids::{DropId, Shard};
use claimrush::redis::keys;
use redis::cmd;

use crate::redemptions::street::{Plan, Street, call, file, order, redemptions_of};
use crate::support::campaign::{DropFile, campaign};
use crate::support::clock::FakeClock;
use crate::support::drainer::Drainer;
use crate::support::http::{Answer, Client, bearer, claims_path};
use crate::support::outcome;
use crate::support::postgres::PostgresServer;
use crate::support::redis::RedisServer;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

/// Statuses, counted.
fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// What calls of so many threads are answered that begin at one instant.
fn at_once(calls: usize, call: impl Fn(usize) -> Answer + Sync) -> Vec<Answer> {
    let (ready, call) = (Barrier::new(calls), &call);
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..calls)
            .map(|n| {
                let ready = &ready;
                scope.spawn(move || {
                    ready.wait();
                    call(n)
                })
            })
            .collect();
        started.into_iter().map(|call| call.join().expect("it ends")).collect()
    })
}

fn claim_keyed(service: &Service, drop: &str, person: &str, key: &str) -> Answer {
    let ticket = bearer(&service.ticket(drop, person));
    let headers = [("authorization", ticket.as_str()), ("idempotency-key", key)];
    Client::connect(service.address()).call("POST", &claims_path(drop), &headers, b"")
}

/// Everything is in the ledger, and the audit finds nothing.
fn audited(service: &Service) {
    wait_for("the ledger has it", PATIENCE, || (service.journal_length() == 0).then_some(()));
    let (exit, out, err) = outcome(&service.command(&["audit"]).output().expect("it runs"));
    assert_eq!(exit, 0, "{out}{err}");
}

/// "The stock's key and the orders' key were the same": a person, or a drop, whose name is a word of the keys.
#[test]
fn names_that_the_stores_use_themselves_are_names_like_any_other() {
    let service = Service::start();
    let drops = ["holders", "drop", "journal", "fence", "bonds"];
    service.apply_ok(&campaign("c", &drops.map(|id| DropFile::open(id, 10).limit(2))));
    let persons = ["stock", "seq", "epoch", "state", "limit", "returned", "over", "once", "rebuild"];
    for drop in drops {
        for (n, person) in (1_u64..).zip(persons) {
            let claim = claim_keyed(&service, drop, person, "k");
            assert_eq!((claim.status, claim.json()["seq"].as_u64()), (201, Some(n)), "{drop}: {person}");
            assert_eq!(service.redis_stock_left(drop), 10 - n, "{drop}: {person}");
        }
        let id = DropId::new(drop).expect("an id");
        let held: u64 = service.ask_redis(cmd("HLEN").arg(keys::holders(Shard::FIRST, &id)));
        assert_eq!(held, 9, "{drop}");
    }
    assert_eq!(claim_keyed(&service, "drop", "stock", "k").status, 200);
    audited(&service);
}

/// "The cache was warmed with the total, not with what is left", and "the stock was written anew from the database every two
/// seconds".
#[test]
fn a_service_that_starts_or_stands_for_long_sells_what_is_left() {
    let mut service = Service::start();
    let drop = DropFile::open("d-1", 5);
    service.apply_ok(&campaign("c", std::slice::from_ref(&drop)));
    let claim = |service: &Service, person: &str| service.claim("d-1", &service.ticket("d-1", person)).status;
    let left = |service: &Service| service.drop_state("d-1").json()["stock_left"].clone();
    assert_eq!(["ann", "bob"].map(|person| claim(&service, person)), [201, 201]);
    for ordered in [true, false] {
        if ordered {
            service.stop();
        } else {
            service.kill();
        }
        service.restart();
        assert_eq!((left(&service), service.redis_stock_left("d-1")), (3.into(), 3), "in the first answer");
    }
    // The watch over the ledger has everything set anew when the file was changed, if only in its name.
    for round in 0..5 {
        let name = format!("round {round}");
        service.apply_ok(&campaign("c", std::slice::from_ref(&drop)).replace("彩云", &name));
        wait_for("it has been loaded", PATIENCE, || {
            let shown = Client::connect(service.address()).call("GET", "/v1/campaigns/c", &[], b"");
            (shown.text("name") == name).then_some(())
        });
        assert_eq!((left(&service), service.redis_stock_left("d-1")), (3.into(), 3), "{name}");
    }
    let more = ["cid", "dan", "eve", "fay", "gus"].map(|person| claim(&service, person));
    assert_eq!(more, [201, 201, 201, 410, 410]);
    audited(&service);
}

/// "Calls before the start ate stock": a crowd presses from before the release until all is gone.
#[test]
fn whoever_presses_before_the_start_eats_no_stock_and_is_served_after_it() {
    const STOCK: u32 = 24;
    const PERSONS: usize = 30;
    let generous = [("limits.person_per_second", "10000"), ("limits.person_burst", "10000")];
    let service = Service::start_with(&generous, &[]);
    let later = campaign("c", &[DropFile::open("d-1", STOCK).not_open()]);
    service.apply_ok(&later);
    let mint = service.mint();
    let tickets: Vec<_> = (0..PERSONS).map(|n| mint.ticket("d-1", &format!("p-{n}"))).collect();
    let early = at_once(PERSONS, |n| service.claim("d-1", &tickets[n]));
    assert_eq!(count(&early, 425), PERSONS, "{early:?}");

    let opens_at_ms = Clock::System.now_ms() + 1_500;
    let opens = later.lines().find(|line| line.starts_with("opens_at")).expect("a line");
    service.apply_ok(&later.replace(opens, &format!("opens_at = \"{}\"", rfc3339(opens_at_ms))));
    let told = at_once(PERSONS, |n| {
        let mut client = Client::connect(service.address());
        wait_for("the drop opens", PATIENCE, || {
            Some(client.claim("d-1", &tickets[n])).filter(|answer| answer.status != 425)
        })
    });
    assert_eq!((count(&told, 201), count(&told, 410)), (24, 6), "{told:?}");
    for answer in told.iter().filter(|answer| answer.status == 201) {
        let at = answer.text("claimed_at").parse::<jiff::Timestamp>().expect("RFC 3339").as_millisecond();
        assert!(at >= opens_at_ms, "granted {} ms early", opens_at_ms - at);
    }
    assert_eq!(service.redis_stock_left("d-1"), 0);
    audited(&service);
}

/// "Orders older than five seconds were thrown away": claims that have waited two hours for the ledger.
#[test]
fn claims_that_wait_for_hours_come_to_the_ledger() {
    let mut clock = FakeClock::new();
    clock.set(-7_200);
    let service = Service::start_in(clock.environment(), &[], &["--no-drain"]);
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 30).later(-3)]));
    let mint = clock.mint(&service);
    let ids: Vec<_> = (0..30)
        .map(|n| {
            let claim = service.claim("d-1", &mint.ticket("d-1", &format!("p-{n}")));
            assert_eq!(claim.status, 201, "{}", claim.json());
            claim.text("claim_id")
        })
        .collect();
    clock.set(0);
    let _drainer = Drainer::start(&service);
    audited(&service);
    let export = ["ledger", "export", "--drop", "d-1", "--format", "csv"];
    let (exit, rows, err) = outcome(&service.command(&export).output().expect("it runs"));
    assert_eq!((exit, rows.lines().count()), (0, 31), "{err}");
    for id in ids {
        assert_eq!(rows.matches(&id).count(), 1, "{id}");
    }
}

/// "Five parallel sends to one person gave three false limit errors", and "the limit was raced": as many as one may have are
/// granted, whichever of those at once they are, and no more. With the limits by person as they are by default.
#[test]
fn of_many_claims_of_one_person_at_once_as_many_are_granted_as_they_may_have() {
    let service = Service::start();
    service.apply_ok(&campaign("c", &[DropFile::open("five", 1_000).limit(5)]));
    for round in 0..8 {
        let person = format!("p-{round}");
        let five = at_once(5, |n| claim_keyed(&service, "five", &person, &format!("k-{n}")));
        assert_eq!(count(&five, 201), 5, "{five:?}");
        let again = at_once(5, |n| claim_keyed(&service, "five", &person, &format!("k-{n}")));
        assert_eq!(count(&again, 200), 5, "{again:?}");
        let person = format!("q-{round}");
        let twelve = at_once(12, |n| claim_keyed(&service, "five", &person, &format!("k-{n}")));
        assert_eq!((count(&twelve, 201), count(&twelve, 409)), (5, 7), "{twelve:?}");
    }
    assert_eq!(service.redis_stock_left("five"), 1_000 - 8 * 10);
    audited(&service);
}

/// "The usage limit was raced by parallel requests": at the tills of two services of one ledger.
#[test]
fn of_many_redemptions_of_one_person_at_once_as_many_are_made_as_a_day_may_have() {
    const CAP: usize = 5;
    let durable = ["appendonly yes", "appendfsync always", "maxmemory-policy noeviction"];
    let files = vec![file("c-1", &DropFile::open("d-1", 200).limit(20), "person_per_day = 5")];
    let street = Street::of(Plan {
        postgres: Some(PostgresServer::start(&[])),
        redis: Some(RedisServer::start(&durable)),
        files,
        ..Plan::default()
    });
    let data = street.service.data();
    let info = DataDir::open(&data).expect("a folder").run_info().expect("it runs");
    let key_file = data.join("ticket.key");
    let other = Service::start_with(
        &[
            ("redis.url", info.redis_url.expose()),
            ("ledger.url", info.ledger_url.expose()),
            ("ticket.key_file", key_file.to_str().expect("a path")),
        ],
        &["--no-drain"],
    );
    let tills = ["m-1", "m-3"].map(|merchant| street.key(merchant));
    let (warm, _) = street.voucher("warm");
    for till in &tills {
        wait_for("the other one knows the till", PATIENCE, || {
            let path = format!("/v1/vouchers/{warm}");
            let headers = [("authorization", bearer(till))];
            let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
            let seen = Client::connect(other.address()).call("GET", &path, &headers, b"");
            (seen.status == 200).then_some(())
        });
    }
    let services = [&street.service, &other];
    for (person, vouchers, taken) in [("ann", CAP, CAP), ("bob", 12, CAP)] {
        let (codes, _) = street.vouchers("d-1", person, vouchers);
        let answers = at_once(vouchers, |n| {
            let (id, path) = (format!("{person}-{n}"), redemptions_of(&codes[n]));
            call(services[n % 2], &tills[n / 2 % 2], &path, Some(&id), &order(&id, "6.00"))
        });
        let refused = answers.iter().filter(|answer| answer.status != 201);
        assert_eq!(count(&answers, 201), taken, "{answers:?}");
        assert!(refused.clone().all(|answer| answer.code() == "daily_limit_reached"), "{answers:?}");
    }
    street.audited();
}
