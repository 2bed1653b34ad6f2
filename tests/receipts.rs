//! Voucher codes shown by people: a held one, somebody else's, a forged one, and one that no store knows any more,
//! which is registered, counted, and settled by an operator.

use claimrush::clock::Clock;
use claimrush::domain::ids::{DropId, Shard};
use claimrush::redis::keys;
use redis::cmd;
use serde_json::Value;

use crate::support::campaign::{DropFile, campaign};
use crate::support::drainer::Drainer;
use crate::support::http::{Answer, Client, bearer};
use crate::support::outcome;
use crate::support::postgres::PostgresServer;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

fn run(service: &Service, args: &[&str]) -> (i32, String, String) {
    outcome(&service.command(args).output().expect("it runs"))
}

/// What `claimrush receipt list --all --json` says.
fn list(service: &Service) -> Value {
    let (exit, out, err) = run(service, &["receipt", "list", "--all", "--json"]);
    assert_eq!((exit, err.as_str()), (0, ""));
    serde_json::from_str(&out).expect("JSON")
}

fn claim(service: &Service, person: &str) -> Value {
    let answer = service.claim("d-1", &service.ticket("d-1", person));
    assert!(matches!(answer.status, 200 | 201), "{person}: {answer:?}");
    answer.json()
}

fn show(service: &Service, code: &Value, ticket: &str) -> Answer {
    let path = format!("/v1/vouchers/{}", code.as_str().expect("a code"));
    let headers = [("authorization", &*bearer(ticket))];
    let headers = if ticket.is_empty() { &[][..] } else { &headers[..] };
    Client::connect(service.address()).call("GET", &path, headers, b"")
}

/// (status, the voucher's `status` or the problem's code) of a code that a person shows.
fn shown(service: &Service, claim: &Value, person: &str) -> (u16, String) {
    let answer = show(service, &claim["voucher"], &service.ticket("d-1", person));
    let word = if answer.status == 200 { "status" } else { "code" };
    (answer.status, answer.text(word))
}

fn drops() -> [DropFile; 3] {
    [DropFile::open("d-1", 6), DropFile::open("reserve", 2).not_open(), DropFile::open("other", 2).limit(2)]
}

/// Three claims of the first drop that were told and are lost, and the drop made anew without them.
fn lost_three(settings: &[(&str, &str)]) -> (Service, [Value; 3]) {
    let service = Service::start_with(settings, &["--no-drain"]);
    service.apply_ok(&campaign("c-1", &drops()));
    let told = ["ann", "bob", "cid"].map(|person| claim(&service, person));
    assert_eq!(shown(&service, &told[0], "ann"), (200, "issued".to_owned()), "from the journal's side");
    let () = service.ask_redis(&cmd("FLUSHALL"));
    service.wait_unready("shard_frozen");
    assert_eq!(shown(&service, &told[0], "ann"), (503, "unavailable".to_owned()));
    assert_eq!(list(&service)["receipts"].as_array().map(Vec::len), Some(0), "the right Redis may come back");
    let (exit, out, err) = run(&service, &["recover", "--apply", "--accept-loss"]);
    assert_eq!((exit, err.as_str()), (0, ""), "{out}");
    service.wait_ready();
    (service, told)
}

fn honour(service: &Service, args: &[&str]) -> (i32, String, String) {
    run(service, &[&["receipt", "honour"], args].concat())
}

#[test]
fn only_the_holder_sees_a_voucher_and_nobody_a_forged_one() {
    let service = Service::start();
    service.apply_ok(&campaign("c-1", &drops()));
    let held = claim(&service, "ann");
    for _ in 0..2 {
        let answer = show(&service, &held["voucher"], &service.ticket("d-1", "ann"));
        assert_eq!(answer.status, 200);
        let voucher = answer.json();
        for key in ["claim_id", "drop", "seq", "voucher", "claimed_at"] {
            assert_eq!(voucher[key], held[key], "{key}");
        }
        assert_eq!(voucher["status"], "issued");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(shown(&service, &held, "bob"), (404, "unknown_voucher".to_owned()));
        // Once more when the ledger has it.
        wait_for("all is in the ledger", PATIENCE, || (service.journal_length() == 0).then_some(()));
    }
    let code = held["voucher"].as_str().expect("a code");
    for forged in
        [&code.replace(&code[20..21], if &code[20..21] == "0" { "1" } else { "0" }), &code[..31], "x"]
    {
        let answer = show(&service, &Value::from(forged), &service.ticket("d-1", "ann"));
        assert_eq!((answer.status, answer.text("code")), (404, "unknown_voucher".to_owned()), "{forged}");
    }
    assert_eq!(show(&service, &held["voucher"], "").text("code"), "ticket_missing");
    let elsewhere = service.ticket("other", "ann");
    assert_eq!(show(&service, &held["voucher"], &elsewhere).text("code"), "ticket_invalid");
    let path = format!("/v1/vouchers/{code}");
    assert_eq!(Client::connect(service.address()).call("POST", &path, &[], b"").status, 405);
    assert_eq!(list(&service)["open"], 0);
}

#[test]
fn a_code_that_no_store_knows_is_registered_and_honoured_once() {
    let (service, told) = lost_three(&[]);
    settle_all(&service, &told);
}

#[test]
fn it_is_the_same_on_postgres() {
    let server = PostgresServer::start(&[]);
    let (service, told) = lost_three(&[("ledger.url", &server.url())]);
    settle_all(&service, &told);
}

fn settle_all(service: &Service, told: &[Value; 3]) {
    let review = (200, "in_review".to_owned());
    for (claim, person) in told.iter().zip(["ann", "bob", "cid"]) {
        for _ in 0..2 {
            assert_eq!(shown(service, claim, person), review);
        }
    }
    // A code says that a claim was given, not to whom.
    assert_eq!(shown(service, &told[0], "eve"), review);
    let listed = list(service);
    let rows: Vec<_> = listed["receipts"].as_array().expect("rows").iter().collect();
    assert_eq!(rows.iter().map(|row| &row["person"]).collect::<Vec<_>>(), ["ann", "bob", "cid", "eve"]);
    assert_eq!(rows[0]["claim_id"], told[0]["claim_id"]);
    assert!(rows.iter().all(|row| row["state"] == "open" && row["ahead"] == false && row["found"] == false));
    wait_for("the metric shows them", PATIENCE, || {
        (service.metric("claimrush_orphan_receipts")? == 4).then_some(())
    });
    let (exit, audit, err) = run(service, &["audit", "--json"]);
    assert_eq!(exit, 0, "{audit}{err}");
    assert!(audit.contains("4 open, 0 honoured and 0 void receipts"), "{audit}");

    // Who is owed gets it in a pause too; without a drain nobody is told so yet.
    assert_eq!(service.campaign(&["pause", "c-1"]).0, 0);
    let drainer = Drainer::start(service);
    let (exit, out, err) = honour(service, &["1"]);
    assert_eq!((exit, err.as_str()), (0, ""));
    assert!(out.starts_with("receipt 1 is honoured: ann has clm_"), "{out}");
    assert_eq!(honour(service, &["1"]), (0, out.clone(), String::new()), "once");
    assert_eq!(service.campaign(&["resume", "c-1"]).0, 0);
    let again = claim(service, "ann");
    assert!(
        out.contains(again["claim_id"].as_str().expect("an id")),
        "it is their claim from now on: {again}"
    );
    let replaced = show(service, &told[0]["voucher"], &service.ticket("d-1", "ann")).json();
    assert_eq!(
        (&replaced["status"], &replaced["replaced_by"]["voucher"]),
        (&"replaced".into(), &again["voucher"])
    );
    assert_eq!(shown(service, &again, "ann"), (200, "issued".to_owned()));

    let refused = |args: &[&str], what: &str| {
        let (exit, _, err) = run(service, args);
        assert_eq!(exit, 1, "{err}");
        assert!(err.contains(what), "{args:?}: {err}");
    };
    refused(&["receipt", "honour", "4"], "receipt 1 for the same claim is honoured");
    refused(
        &["receipt", "void", "4", "--reason", " "],
        "reason: must have 1 to 500 bytes and no control characters",
    );
    refused(&["receipt", "void", "1", "--reason", "no"], "it is honoured already");
    refused(&["receipt", "void", "99", "--reason", "no"], "there is no receipt 99");
    refused(&["receipt", "honour", "0"], "there is no receipt 0");
    for _ in 0..2 {
        let (exit, out, _) = run(service, &["receipt", "void", "4", "--reason", "ann had it"]);
        assert_eq!((exit, out.as_str()), (0, "receipt 4 is void\n"));
    }
    refused(&["receipt", "honour", "4"], "it is void");
    assert_eq!(shown(service, &told[0], "eve"), (200, "void".to_owned()));

    // Bob has claimed again meanwhile; Cid comes when nothing is left. Both get theirs from the reserve.
    claim(service, "bob");
    refused(&["receipt", "honour", "2"], "all that one person may have in drop d-1");
    for person in ["dan", "fay", "gil", "hal"] {
        claim(service, person);
    }
    refused(&["receipt", "honour", "3"], "drop d-1 has nothing left");
    refused(&["receipt", "honour", "3", "--from", "nowhere"], "there is no drop \"nowhere\"");
    let (exit, out, err) = honour(service, &["2", "3", "--from", "reserve"]);
    assert_eq!((exit, err.as_str(), out.lines().count()), (0, "", 2), "{out}");
    assert_eq!(service.redis_stock_left("reserve"), 0);
    let reserve = DropId::new("reserve").expect("an id");
    let holders: u64 = service.ask_redis(cmd("HLEN").arg(keys::holders(Shard::FIRST, &reserve)));
    assert_eq!(holders, 2);
    assert_eq!(service.claim("reserve", &service.ticket("reserve", "mob")).status, 425, "it never opened");

    let (_, table, _) = run(service, &["receipt", "list"]);
    assert_eq!(table, "0 open, 3 honoured, 1 void\n");
    let (exit, audit, err) = run(service, &["audit", "--json"]);
    assert_eq!(exit, 0, "{audit}{err}");
    assert!(audit.contains("0 open, 3 honoured and 1 void receipts"), "{audit}");
    drop(drainer);
}

#[test]
fn a_drop_of_another_worth_gives_nothing_and_a_claim_that_came_back_is_not_owed() {
    let (service, told) = lost_three(&[]);
    assert_eq!(shown(&service, &told[0], "ann").0, 200);
    service.apply_ok(&campaign("c-2", &[DropFile::open("foreign", 3)]));
    let (exit, _, err) = honour(&service, &["1", "--from", "foreign"]);
    assert_eq!(exit, 1);
    assert!(err.contains("is of another campaign or gives another voucher"), "{err}");
    // What the lost Redis had is brought to the ledger after all, as from a copy of its journal.
    let at = told[0]["seq"].as_u64().expect("a number");
    let mut entry = cmd("XADD");
    entry
        .arg(keys::journal(Shard::FIRST))
        .arg("*")
        .arg("claims")
        .arg(format!("d-1 1 {} {at} ann", Clock::System.now_ms()));
    let _: String = service.ask_redis(&entry);
    let _drainer = Drainer::start(&service);
    wait_for("the ledger has it", PATIENCE, || {
        list(&service)["receipts"][0]["found"].as_bool()?.then_some(())
    });
    let (exit, _, err) = honour(&service, &["1"]);
    assert_eq!(exit, 1);
    assert!(err.contains("the ledger has the claim by now, as this person's: void it"), "{err}");
    assert_eq!(shown(&service, &told[0], "ann"), (200, "issued".to_owned()));
    let (_, table, _) = run(&service, &["receipt", "list"]);
    assert!(table.contains("the ledger has the claim by now"), "{table}");
}

#[test]
fn a_code_beyond_what_redis_has_granted_says_that_redis_went_back() {
    let mut service = Service::start_with(&[], &["--no-drain"]);
    service.apply_ok(&campaign("c-1", &drops()));
    let told = ["ann", "bob"].map(|person| claim(&service, person));
    service.kill();
    // The last claim vanishes with all its traces while nobody looks.
    let drop = DropId::new("d-1").expect("an id");
    let mut redis = service.redis();
    let last: Vec<(String, Vec<String>)> = cmd("XREVRANGE")
        .arg(keys::journal(Shard::FIRST))
        .arg("+")
        .arg("-")
        .arg("COUNT")
        .arg(1)
        .query(&mut redis)
        .expect("the journal is read");
    let () = redis::pipe()
        .cmd("XDEL")
        .arg(keys::journal(Shard::FIRST))
        .arg(&last[0].0)
        .ignore()
        .cmd("HDEL")
        .arg(keys::holders(Shard::FIRST, &drop))
        .arg("bob")
        .ignore()
        .cmd("HSET")
        .arg(keys::drop(Shard::FIRST, &drop))
        .arg("seq")
        .arg(1)
        .arg("stock")
        .arg(5)
        .ignore()
        .query(&mut redis)
        .expect("it is changed");
    service.restart();
    assert_eq!(shown(&service, &told[0], "ann"), (200, "issued".to_owned()));
    assert_eq!(shown(&service, &told[1], "bob"), (200, "in_review".to_owned()));
    assert_eq!(list(&service)["receipts"][0]["ahead"], true);
    assert!(service.log().contains("a signed code is beyond what Redis has granted"), "{}", service.log());
    let (_, table, _) = run(&service, &["receipt", "list"]);
    assert!(table.contains("says that Redis went back and nobody saw it"), "{table}");
}
