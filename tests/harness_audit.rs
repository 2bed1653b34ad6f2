//! The harness' audit after a load, against the built service: what holds is said to hold, and each thing that is
//! broken behind its back is reported by the check that promises it.

mod load;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use claimrush::domain::ids::ClaimNumber;
use claimrush_loadtest::audit::{self, AuditBaseline, AuditPlan, LookupLimits, ServiceAccess};
use claimrush_loadtest::results::AuditResult;
use hyper::header::HeaderValue;

use self::load::{Load, Opaque, PREFIX, audit_log, ticket};
use crate::support::campaign::{DropFile, campaign};
use crate::support::drainer::Drainer;
use crate::support::http::{Client, bearer, claims_path};
use crate::support::service::{PATIENCE, Service};

const OUTSIDE: [&str; 4] = ["seen_once", "granted_within_stock", "found_by_owner", "unknown_settled"];
const LEDGER: [&str; 3] = ["in_the_ledger", "ledger_has_no_surprise", "numbers_without_gaps"];
const SERVICE: [&str; 10] = ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "Q", "F", "R"];

fn ids(audited: &AuditResult) -> BTreeSet<&str> {
    audited.checks.iter().map(|check| check.id.as_str()).collect()
}

fn detail<'a>(audited: &'a AuditResult, id: &str) -> &'a str {
    let check = audited.checks.iter().find(|check| check.id == id);
    &check.unwrap_or_else(|| panic!("no {id} in {audited:#?}")).detail
}

fn compared<'a>(audited: &'a AuditResult, id: &str) -> &'a str {
    let check = audited.checks.iter().find(|check| check.id == id);
    &check.unwrap_or_else(|| panic!("no {id} in {audited:#?}")).compared
}

/// Fails unless these checks alone are broken, and the first of them says these words; persons are never named.
#[track_caller]
fn assert_broken(audited: &AuditResult, ids: &[&str], words: &str) {
    let broken: BTreeSet<_> =
        audited.checks.iter().filter(|check| !check.ok).map(|check| check.id.as_str()).collect();
    assert_eq!(broken, ids.iter().copied().collect(), "{audited:#?}");
    assert!(!audited.ok);
    assert!(detail(audited, ids[0]).contains(words), "{audited:#?}");
    assert!(!format!("{audited:?}").contains(PREFIX), "{audited:#?}");
}

#[test]
fn a_load_that_went_well_is_said_to_have_gone_well() {
    let load = Load::run();
    let audited = load.audit(&load.plan());
    assert!(audited.ok, "{audited:#?}");
    assert_eq!(audited.left_out, Vec::<String>::new());
    let service: Vec<_> = SERVICE.iter().map(|id| format!("service.{id}")).collect();
    let all = OUTSIDE.into_iter().chain(LEDGER).chain(service.iter().map(String::as_str));
    assert_eq!(ids(&audited), all.collect());
    for (id, words) in [
        ("seen_once", "26 answers with a claim with each other: 24 claims of 23 persons"),
        (
            "granted_within_stock",
            "22 claims of a-1 with its stock of 40; 5 claims of a-2 with its stock of 20",
        ),
        ("found_by_owner", "24 claims that 23 persons were told of"),
        ("unknown_settled", "5 unknown outcomes with the claims that their 4 persons are shown"),
        ("in_the_ledger", "26 answers with a claim with 29 ledger rows"),
        ("ledger_has_no_surprise", "29 ledger rows with 3 from before the run, 23 that were told, 3 granted"),
        ("numbers_without_gaps", "29 ledger rows in 2 series"),
        ("service.I2", "24 claims that clients saw"),
    ] {
        assert!(compared(&audited, id).contains(words), "{:#?}", audited.checks);
    }
    let settled = "3 claims were granted; 1 persons had been told after all; 1 got none";
    assert_eq!(detail(&audited, "unknown_settled"), settled);

    // Whose a ticket is need not be known, as long as nothing is unknown of them.
    let told: Vec<_> = load.log.iter().filter(|line| line["outcome"].is_null()).cloned().collect();
    let opaque = AuditPlan { tickets: Arc::new(Opaque(load.service.mint())), ..load.plan() };
    assert_broken(&audit_log(&opaque, &told), &["ledger_has_no_surprise"], "nobody was told of it; ");
    assert!(load.audit(&opaque).ok);
}

#[test]
fn what_is_not_checked_is_said_to_be_left_out() {
    let load = Load::run();
    let outside = load.audit(&AuditPlan { service: None, ..load.plan() });
    assert!(outside.ok, "{outside:#?}");
    assert_eq!(ids(&outside), OUTSIDE.into());
    assert!(outside.left_out[0].starts_with("in_the_ledger, ledger_has_no_surprise, "), "{outside:#?}");
    assert!(outside.left_out[0].ends_with("no service binary was given, so the ledger was not looked at"));

    let no_baseline = load.audit(&AuditPlan { baseline: None, ..load.plan() });
    assert!(no_baseline.ok && !ids(&no_baseline).contains("ledger_has_no_surprise"), "{no_baseline:#?}");
    let why = "ledger_has_no_surprise: what the ledger held before the run was not noted";
    assert_eq!(no_baseline.left_out, [why]);

    let state_path = "/v1/campaigns/a".to_owned();
    let no_stock = load.audit(&AuditPlan { service: None, state_path, ..load.plan() });
    assert!(no_stock.ok && !ids(&no_stock).contains("granted_within_stock"), "{no_stock:#?}");
    let why = "granted_within_stock of a-2: its state has no stock_total".to_owned();
    assert!(no_stock.left_out.contains(&why), "{no_stock:#?}");
    let why = "the limit per person of a-1: its state has no limit_per_person".to_owned();
    assert!(no_stock.left_out.contains(&why), "{no_stock:#?}");

    // A sample is called one, is the same each time, and outcomes that it leaves open are nobody's surprise.
    let lookups = LookupLimits { lookups_max: Some(2), ..load.plan().lookups };
    let sampled = load.audit(&AuditPlan { lookups: lookups.clone(), ..load.plan() });
    assert!(sampled.ok, "{sampled:#?}");
    assert!(
        compared(&sampled, "found_by_owner").ends_with("a sample of 2 of 23 persons (seed 1)"),
        "{sampled:#?}"
    );
    assert!(compared(&sampled, "unknown_settled").ends_with("a sample of 2 of 4 persons (seed 1)"));
    assert_eq!(load.audit(&AuditPlan { lookups: lookups.clone(), ..load.plan() }), sampled);
    let tickets = Arc::new(Opaque(load.service.mint()));
    let nameless = load.audit(&AuditPlan { lookups, tickets, ..load.plan() });
    assert!(nameless.ok && nameless.left_out[0].starts_with("ledger_has_no_surprise: "), "{nameless:#?}");
}

#[test]
fn what_clients_saw_and_the_service_does_not_have_is_reported() {
    let load = Load::run();
    let told_twice = ["found_by_owner", "in_the_ledger", "seen_once", "service.I2"];

    let mut never = load.log[0].clone();
    let number = ClaimNumber::parse_claim_id(never["claim_id"].as_str().unwrap()).unwrap();
    never["claim_id"] = ClaimNumber { seq: 39, ..number }.claim_id().into();
    (never["seq"], never["ticket_line"]) = (39.into(), 50.into());
    let audited = audit_log(&load.plan(), &[&*load.log, &[never]].concat());
    let ids = ["found_by_owner", "in_the_ledger", "service.I2"];
    assert_broken(&audited, &ids, "(no 39) of a-1 is not shown to its person 50");

    let mut twice = load.log[2].clone();
    twice["ticket_line"] = 60.into();
    let audited = audit_log(&load.plan(), &[&*load.log, &[twice]].concat());
    assert_broken(&audited, &told_twice, "is not shown to its person 60");
    assert!(detail(&audited, "seen_once").ends_with("was told to the persons 3 and 60"), "{audited:#?}");

    let again = load.log[2].clone();
    let audited = audit_log(&load.plan(), &[&*load.log, &[again]].concat());
    assert_broken(&audited, &["seen_once"], "was told to person 3 as new twice");

    let mut more = load.log[2].clone();
    more["ticket_line"] = 4.into();
    let audited = audit_log(&load.plan(), &[&*load.log, &[more]].concat());
    assert_broken(&audited, &told_twice, "is not shown to its person 4");
    assert!(
        detail(&audited, "seen_once").contains("person 4 got 2 new claims of a-1, 1 may be"),
        "{audited:#?}"
    );
}

#[test]
fn what_the_service_has_and_clients_did_not_see_is_reported() {
    let load = Load::run();
    let state_path = "/v1/drops/tiny".to_owned();
    let audited = load.audit(&AuditPlan { state_path, ..load.plan() });
    assert_broken(
        &audited,
        &["granted_within_stock"],
        "22 claims of a-1 were granted, 2 are all that there is; 5 claims of a-2 were granted, 2 are",
    );

    let state_path = "/v1/drops/one".to_owned();
    let audited = load.audit(&AuditPlan { state_path, ..load.plan() });
    let ids = ["seen_once", "found_by_owner", "unknown_settled"];
    assert_broken(&audited, &ids, "person 1 got 2 new claims of a-2, 1 may be");
    assert_eq!(detail(&audited, "unknown_settled"), "person 40 holds 2 claims of a-2, 1 may be");

    let mut silent = load.log.clone();
    silent.remove(load.line("a-1", 7));
    let audited = audit_log(&load.plan(), &silent);
    assert_broken(&audited, &["ledger_has_no_surprise"], "(no 10) of a-1: nobody was told of it");

    let mut fewer = load.log.clone();
    fewer.remove(load.line("a-2", 40));
    let audited = audit_log(&load.plan(), &fewer);
    let words = "person 40 of a-2 got 2 claims out of 1 unknown outcomes";
    assert_broken(&audited, &["unknown_settled"], words);
}

#[test]
fn what_is_changed_in_the_ledger_is_reported() {
    let load = Load::run();
    assert!(load.audit(&load.plan()).ok);
    // Numbers 1 to 3 are from before the load: 10 is person 7's.
    load.change_ledger("UPDATE claim SET person = 'person-8' WHERE number = (1 << 32) + 10");
    let ids = ["in_the_ledger", "service.I2", "service.I4", "service.I6", "service.I7"];
    let words = "of a-1, told to person 7, stands in the ledger as another's";
    assert_broken(&load.audit(&load.plan()), &ids, words);
    let opaque = AuditPlan { tickets: Arc::new(Opaque(load.service.mint())), ..load.plan() };
    let words = "told to person 8, stands in the ledger as another's";
    assert_broken(&load.audit(&opaque), &ids, words);

    load.change_ledger("DELETE FROM claim WHERE number = (1 << 32) + 10");
    let ids =
        ["in_the_ledger", "numbers_without_gaps", "service.I2", "service.I3", "service.I5", "service.I7"];
    let audited = load.audit(&load.plan());
    assert_broken(&audited, &ids, "of a-1, told to person 7, has 0 rows");
    assert_eq!(detail(&audited, "numbers_without_gaps"), "a-1, shard 0, epoch 1: 1 missing before no 11");

    load.change_ledger("DELETE FROM claim WHERE number = (1 << 32) + 2");
    let audited = load.audit(&load.plan());
    let words = "of a-1 had a row before the run and has none now";
    assert!(detail(&audited, "ledger_has_no_surprise").ends_with(words), "{audited:#?}");
}

#[test]
fn what_cannot_be_asked_is_no_success() {
    let mut load = Load::run();
    let binary = load.folder.path().join("gone");
    let audited =
        load.audit(&AuditPlan { service: Some(ServiceAccess { binary, ..load.access() }), ..load.plan() });
    let ids = [LEDGER.as_slice(), &["service.audit"]].concat();
    assert_broken(&audited, &ids, "a-1: ledger export: cannot run ");

    let data = Some(load.folder.path().join("nothing"));
    let audited =
        load.audit(&AuditPlan { service: Some(ServiceAccess { data, ..load.access() }), ..load.plan() });
    assert_broken(&audited, &ids, "a-1: ledger export: claimrush: ");

    let mint = load.service.mint();
    let tickets = move |person: u64, _: &str| -> anyhow::Result<HeaderValue> {
        anyhow::ensure!(person != 5, "person 5 left theirs at home");
        Ok(HeaderValue::from_str(&bearer(&ticket(&mint, person, "a-2")))?)
    };
    let audited = load.audit(&AuditPlan { tickets: Arc::new(tickets), service: None, ..load.plan() });
    let words = "person 1 of a-1 could not be looked up: 401 ticket_invalid";
    assert_broken(&audited, &["found_by_owner", "unknown_settled"], words);
    assert!(detail(&audited, "found_by_owner").contains("no ticket: person 5 left theirs at home"));
    assert!(detail(&audited, "found_by_owner").ends_with("and 11 more"), "{audited:#?}");

    load.service.stop();
    let plan = AuditPlan { deadline: Duration::from_secs(1), ..load.plan() };
    let error = audit::run(&plan, &|_| {}).unwrap_err();
    assert!(format!("{error:#}").starts_with("the service does not say how a-1 stands: "), "{error:#}");
}

#[test]
fn a_service_that_asks_for_patience_gets_it() {
    let service =
        Service::start_with(&[("limits.person_per_second", "1"), ("limits.person_burst", "1")], &[]);
    service.apply_ok(&campaign("a", &[DropFile::open("a-1", 40), DropFile::open("a-2", 20)]));
    let folder = crate::support::folder();
    let mut load = Load { service, folder, log: Vec::new(), baseline: AuditBaseline::default() };
    load.baseline = load.take_baseline(0);
    (1..=4).for_each(|person| load.claim_and_log("a-1", person, ""));
    load.wait_drained();
    // Everybody uses up what they may ask in a second just before they are looked up.
    let (mint, address, asked) = (load.service.mint(), load.service.address(), Mutex::new(BTreeSet::new()));
    let tickets = move |person: u64, drop: &str| -> anyhow::Result<HeaderValue> {
        let authorization = bearer(&ticket(&mint, person, drop));
        if asked.lock().expect("nobody panics").insert(person) {
            let path = format!("{}/mine", claims_path(drop));
            Client::connect(address).call("GET", &path, &[("authorization", &authorization)], b"");
        }
        Ok(HeaderValue::from_str(&authorization)?)
    };
    let audited = load.audit(&AuditPlan { tickets: Arc::new(tickets), ..load.plan() });
    assert!(audited.ok, "{audited:#?}");
    assert!(compared(&audited, "found_by_owner").starts_with("4 claims that 4 persons were told of"));
    let metrics = Client::connect(load.service.admin_address()).call("GET", "/metrics", &[], b"");
    let metrics = String::from_utf8(metrics.body).unwrap();
    let refused = metrics.lines().find(|line| line.contains("rate_limited") && !line.ends_with(" 0"));
    assert!(refused.is_some(), "nobody was asked to wait: {metrics}");
}

#[test]
fn the_ledger_is_waited_for_as_long_as_something_comes() {
    let mut load = nothing_yet(Service::start_with(&[], &["--no-drain"]));
    (1..=4).for_each(|person| load.claim_and_log("a-1", person, ""));
    // Claims that stay in the journal are no rows.
    let audited = load.audit(&load.plan());
    assert_broken(&audited, &["in_the_ledger"], "of a-1, told to person 1, has 0 rows");

    let plan = AuditPlan { drain_wait: load.plan().deadline, ..load.plan() };
    let drainer = RefCell::new(None);
    let audited = audit::run(&plan, &|line| {
        if line == "ledger: 0 rows of a-1, 4 still missing" {
            drainer.borrow_mut().get_or_insert_with(|| Drainer::start(&load.service));
        }
    });
    let audited = audited.expect("it comes to a result");
    assert!(audited.ok && drainer.borrow().is_some(), "{audited:#?}");
}

#[test]
fn units_that_are_held_and_go_back_may_be_granted_again() {
    // Never sold out, so that nobody is refused before the front end knows that units are back.
    let held = DropFile::open("a-1", 3).item("hold_for = \"1s\"");
    let mut load = with_first_drop(Service::start(), held);
    for _ in 0..2 {
        (1..=2).for_each(|person| load.claim_and_log("a-1", person, ""));
        crate::support::wait_for("both units are back", PATIENCE, || {
            (load.service.redis_stock_left("a-1") == 3).then_some(())
        });
    }
    load.wait_drained();
    let audited = load.audit(&load.plan());
    assert!(audited.ok, "{audited:#?}");
    let again = "units that are held and go back are granted again";
    let limit = format!("the limit per person of a-1: in what was granted over time, since {again}");
    assert_eq!(audited.left_out, [limit, format!("granted_within_stock of a-1: {again}")]);
    let owners = compared(&audited, "found_by_owner");
    assert!(owners.starts_with("4 claims that 2 persons were told of"), "{audited:#?}");
}

/// A service with the drops of the loads, and nothing claimed.
fn nothing_yet(service: Service) -> Load {
    with_first_drop(service, DropFile::open("a-1", 40))
}

/// The same with another drop in the place of the first.
fn with_first_drop(service: Service, first: DropFile) -> Load {
    service.apply_ok(&campaign("a", &[first, DropFile::open("a-2", 20)]));
    let folder = crate::support::folder();
    let mut load = Load { service, folder, log: Vec::new(), baseline: AuditBaseline::default() };
    load.baseline = load.take_baseline(0);
    load
}
