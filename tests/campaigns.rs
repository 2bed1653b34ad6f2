//! Campaigns through the command line against a running service: what is applied, what is refused, and that both
//! outlast a restart.

use claimrush::clock::{Clock, rfc3339};

use crate::support::campaign::{DropFile, campaign};
use crate::support::drainer::Drainer;
use crate::support::outcome;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

/// What an operator sees of everything: the list, and each campaign.
fn all_of(service: &Service, campaigns: &[&str]) -> String {
    let mut text = service.campaign(&["list"]).1;
    for id in campaigns {
        text.push_str(&service.campaign(&["show", id]).1);
    }
    text
}

fn claim(service: &Service, drop: &str, person: &str) -> u16 {
    service.claim(drop, &service.ticket(drop, person)).status
}

#[test]
fn applying_creates_then_changes_then_does_nothing() {
    let mut service = Service::start();
    assert_eq!(service.campaign(&["list"]), (0, "no campaigns\n".to_owned(), String::new()));
    let drop = DropFile::open("d-1", 2);
    let file = campaign("c", std::slice::from_ref(&drop));
    let created = "c created\n  drop d-1 created\n  budget 0.00 to 1000000.00\n";
    assert_eq!(service.apply_ok(&file), created);
    assert_eq!(service.apply_ok(&file), "c unchanged\n");
    assert_eq!((claim(&service, "d-1", "ann"), claim(&service, "d-1", "bob")), (201, 201));
    assert_eq!(claim(&service, "d-1", "cid"), 410);

    let raised = campaign("c", &[drop.clone().stock(3)]);
    assert_eq!(service.apply_ok(&raised), "c changed\n  drop d-1: stock 2 to 3\n");
    assert_eq!(service.apply_ok(&raised), "c unchanged\n");
    wait_for("the new unit is there", PATIENCE, || (claim(&service, "d-1", "cid") == 201).then_some(()));
    assert_eq!(claim(&service, "d-1", "dan"), 410);

    // Shrinking to exactly what is claimed is possible while there is more.
    service.apply_ok(&campaign("c", &[drop.clone().stock(5)]));
    assert_eq!(service.apply_ok(&raised), "c changed\n  drop d-1: stock 5 to 3\n");
    assert_eq!((claim(&service, "d-1", "eve"), service.redis_stock_left("d-1")), (410, 0));

    let two = campaign("c", &[drop.clone().stock(3), DropFile::open("d-2", 1)]);
    assert_eq!(service.apply_ok(&two), "c changed\n  drop d-2 created\n");
    assert_eq!(claim(&service, "d-2", "ann"), 201);

    let before = all_of(&service, &["c"]);
    service.stop();
    service.restart();
    assert_eq!(all_of(&service, &["c"]), before, "a restart keeps everything");
    assert_eq!(service.apply_ok(&two), "c unchanged\n");
    assert_eq!((claim(&service, "d-1", "ann"), claim(&service, "d-2", "ann")), (200, 200));
}

#[test]
fn a_refused_file_changes_nothing() {
    let service = Service::start();
    let (d1, d2) = (DropFile::open("d-1", 5), DropFile::open("d-2", 5));
    let pair = DropFile::open("pair", 5).limit(2);
    service.apply_ok(&campaign("c", &[d1.clone(), d2.clone()]));
    service.apply_ok(&campaign("p", std::slice::from_ref(&pair)));
    service.apply_ok(&campaign("other", &[DropFile::open("taken", 5)]));
    for person in ["ann", "bob", "cid"] {
        assert_eq!(claim(&service, "d-2", person), 201);
    }
    let before = all_of(&service, &["c", "other", "p"]);
    let good = campaign("c", &[d1.clone().stock(9), d2.clone()]);
    // Each would also raise d-1, whose stock stands in line 9, or add a drop: none of it may happen.
    for (what, file, line, word) in [
        ("below what is claimed", campaign("c", &[d1.clone().stock(9), d2.clone().stock(2)]), 16, "claimed"),
        ("a drop removed", campaign("c", &[d1.clone().stock(9)]), 0, "cannot be removed"),
        ("a limit lowered", campaign("p", &[pair.limit(1)]), 10, "cannot fall from 2 to 1"),
        (
            "a drop of another campaign",
            campaign("new", &[DropFile::open("d-9", 1), DropFile::open("taken", 1)]),
            13,
            "already belongs",
        ),
        ("the budget exceeded", good.replace("1000000.00 CNY", "13.00 CNY"), 16, "above the budget"),
        ("an unknown key", good.replace("name = ", "nome = "), 2, "nome"),
        ("an unknown key in a drop", good.replacen("stock = 9", "stok = 9", 1), 9, "stok"),
        ("a stock of nothing", good.replacen("stock = 9", "stock = 0", 1), 9, "stock"),
        ("a negative stock", good.replacen("stock = 9", "stock = -9", 1), 9, "stock"),
        (
            "a limit of nothing",
            good.replacen("limit_per_person = 1", "limit_per_person = 0", 1),
            10,
            "limit_per_person",
        ),
        ("the same id twice", good.replace("\"d-2\"", "\"d-1\""), 13, "already"),
        ("closing before opening", good.replacen("closes_at = \"20", "closes_at = \"19", 1), 8, "closes_at"),
        ("another face", good.replacen("\"1.00\"", "\"2.00\"", 1), 11, "face"),
        ("a shorter validity", good.replacen("\"7d\"", "\"6d\"", 1), 11, "valid_for"),
        ("another currency", good.replace("CNY", "EUR"), 3, "currency"),
        ("no TOML", good.replacen("stock = 9", "stock 9", 1), 9, ""),
    ] {
        let (exit, out, err) = service.apply(&file);
        assert_eq!((exit, out.as_str()), (1, ""), "{what}: {err}");
        let named = if line == 0 {
            "claimrush: c.toml: ".to_owned()
        } else {
            format!("claimrush: c.toml: line {line}: ")
        };
        assert!(err.starts_with(&named) && err.contains(word) && err.lines().count() == 1, "{what}: {err}");
        assert_eq!(all_of(&service, &["c", "other", "p"]), before, "{what}");
    }
    assert_eq!(service.redis_stock_left("d-2"), 2, "what was tried to be taken away is on sale");
    assert_eq!((claim(&service, "d-2", "dan"), claim(&service, "d-2", "eve")), (201, 201));
    assert_eq!(service.claim("d-9", &service.ticket("d-9", "ann")).status, 404);
}

#[test]
fn campaigns_that_are_not_there_are_named() {
    let service = Service::start();
    for args in [&["show", "none"][..], &["pause", "none"], &["resume", "none"]] {
        let (exit, out, err) = service.campaign(args);
        assert_eq!((exit, out.as_str()), (1, ""));
        assert_eq!(err, "claimrush: There is no such campaign\n", "{args:?}");
    }
}

#[test]
fn another_machine_reaches_the_listener_with_the_token() {
    let service = Service::start();
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 5)]));
    let url = format!("http://{}", service.admin_address());
    let wrong = service.data().with_file_name("wrong.token");
    std::fs::write(&wrong, "not-the-token\n").expect("it is written");
    let elsewhere = crate::support::folder();
    let list_at = |url: &str, token_file: &std::path::Path| {
        let mut command = crate::support::claimrush(elsewhere.path());
        command.args(["campaign", "list", "--admin", url, "--token-file"]).arg(token_file);
        outcome(&command.output().expect("it runs"))
    };
    let list = |token_file: &std::path::Path| list_at(&url, token_file);
    let (exit, out, err) = list(&service.data().join("admin.token"));
    assert_eq!((exit, err.as_str()), (0, ""));
    assert_eq!(out, service.campaign(&["list"]).1);
    let (exit, out, err) = list(&wrong);
    assert_eq!((exit, out.as_str()), (1, ""));
    assert!(err.contains("A valid token or key is required") && err.lines().count() == 1, "{err}");
    let (exit, _, err) = list(&elsewhere.path().join("none"));
    assert_eq!(exit, 1);
    assert!(err.contains("none: No such file"), "{err}");
    let public = format!("http://{}", service.address());
    let (exit, out, err) = list_at(&public, &service.data().join("admin.token"));
    assert_eq!((exit, out.as_str(), err.lines().count()), (69, "", 1), "{err}");
    assert!(err.contains("not one of an admin listener") && err.contains("the public listener"), "{err}");
}

#[test]
fn what_was_applied_while_redis_was_silent_is_loaded_when_it_answers() {
    let service = Service::start();
    let drop = DropFile::open("d-1", 2);
    service.apply_ok(&campaign("c", std::slice::from_ref(&drop)));
    assert_eq!((claim(&service, "d-1", "ann"), claim(&service, "d-1", "bob")), (201, 201));

    let frozen = service.freeze_redis();
    let (exit, out, err) = service.apply(&campaign("c", &[drop.clone().stock(3)]));
    assert_eq!((exit, out.as_str(), err.lines().count()), (1, "", 1), "{err}");
    let (exit, _, err) = service.apply(&campaign("c", &[drop.clone().stock(1)]));
    assert_eq!((exit, err.lines().count()), (1, 1), "nothing can be taken away unseen: {err}");
    std::mem::drop(frozen);
    service.wait_ready();
    // The first file was stored before Redis was asked, so that it holds as soon as Redis can be told.
    assert_eq!(service.apply_ok(&campaign("c", &[drop.stock(3)])), "c unchanged\n");
    wait_for("the new unit is there", PATIENCE, || (claim(&service, "d-1", "cid") == 201).then_some(()));
    assert_eq!(service.redis_stock_left("d-1"), 0);
}

#[test]
fn what_was_claimed_today_counts_today_wherever_the_drop_is_moved() {
    let service = Service::start();
    let now_ms = Clock::System.now_ms();
    let drop = |id: &str, opens_at_ms: i64| {
        let (opens_at, closes_at) = (rfc3339(opens_at_ms), rfc3339(opens_at_ms + 7_200_000));
        format!(
            "[[drop]]\nid = \"{id}\"\nopens_at = \"{opens_at}\"\ncloses_at = \"{closes_at}\"\nstock = 1\n\
             limit_per_person = 1\nvoucher = {{ face = \"1.00\", threshold = \"5.00\", valid_for = \"7d\" }}\n"
        )
    };
    let (today_ms, later_ms) = (now_ms - 3_600_000, now_ms + 3 * 86_400_000);
    let file = |drops: &[String]| {
        let head = campaign("c", &[]).replace("time_zone", "daily_budget = \"1.00 CNY\"\ntime_zone");
        head + &drops.concat()
    };
    service.apply_ok(&file(&[drop("a", today_ms)]));
    assert_eq!(claim(&service, "a", "ann"), 201);
    let (exit, _, err) = service.apply(&file(&[drop("a", today_ms), drop("b", today_ms)]));
    assert!(exit == 1 && err.contains("have vouchers worth 2.00"), "{err}");
    let moved = file(&[drop("a", later_ms), drop("b", today_ms)]);
    let path = service.data().join("draft.toml");
    std::fs::write(&path, &moved).expect("written");
    let drafted = service.campaign(&["draft", &path.to_string_lossy()]);
    for (exit, out, err) in [service.apply(&moved), drafted, service.apply(&file(&[drop("a", later_ms)]))] {
        assert_eq!((exit, out.as_str()), (1, ""), "{err}");
        assert!(err.contains("line 8: drop \"a\" was open on ") && err.lines().count() == 1, "{err}");
    }
    assert_eq!(service.drop_state("b").status, 404);
    // Another day's drop takes no day from anybody.
    service.apply_ok(&file(&[drop("a", today_ms), drop("b", later_ms)]));
    // Nor is the budget gone around by taking it out, moving the drop, and putting it back in for the rest of the day.
    let moved = [drop("a", later_ms), drop("b", later_ms + 2 * 86_400_000)];
    service.apply_ok(&(campaign("c", &[]) + &moved.concat()));
    let (exit, out, err) = service.apply(&file(&moved));
    assert_eq!((exit, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("line 8: drop \"a\" was open on ") && err.lines().count() == 1, "{err}");
}

#[test]
fn a_drain_that_stands_still_keeps_nobody_from_pausing_a_campaign() {
    let service = Service::start_with(&[], &["--no-drain"]);
    let drop = DropFile::open("d-1", 5);
    service.apply_ok(&campaign("c-1", std::slice::from_ref(&drop)));
    service.apply_ok(&campaign("c-2", &[DropFile::open("d-2", 5)]));
    assert_eq!(claim(&service, "d-1", "ann"), 201);
    // A daily budget that is new counts what today has seen, which the ledger does not know yet.
    let daily = campaign("c-1", &[drop]).replace("time_zone", "daily_budget = \"9.00 CNY\"\ntime_zone");
    let looks = || {
        let stats: String = service.ask_redis(redis::cmd("INFO").arg("commandstats"));
        let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_xrange:calls="));
        calls.and_then(|rest| rest.split(',').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    std::thread::scope(|scope| {
        let before = looks();
        let applying = scope.spawn(|| service.apply(&daily));
        wait_for("it looks again and again for the drain", PATIENCE, || {
            (looks() > before + 20).then_some(())
        });
        let paused = service.campaign(&["pause", "c-2"]);
        assert!(!applying.is_finished(), "it waits: {paused:?}");
        assert_eq!(paused.0, 0, "{paused:?}");
        service.wait_state("d-2", "paused");
        assert!(!applying.is_finished(), "it waits");
        let _drain = Drainer::start(&service);
        let (exit, out, err) = applying.join().expect("it ends");
        assert_eq!(exit, 0, "{out}{err}");
    });
}
