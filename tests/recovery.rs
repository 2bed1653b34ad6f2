//! Redis has lost a drop: it is frozen, `claimrush recover` says what would be made anew from the ledger and what was
//! lost, and makes it. Holders keep their claims, nobody gets a unit that somebody has, and the audit holds.

mod seal;

use std::time::Instant;

use claimrush::domain::ids::{DropId, PersonId, Shard};
use claimrush::limits;
use claimrush::redis::keys;
use claimrush::redis::scripts::{self, ClaimCall};
use redis::cmd;

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Client, bearer, claims_path};
use crate::support::outcome;
use crate::support::postgres::PostgresServer;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

const STOCK: u32 = 40;
const BEFORE: u32 = 25;

fn run(service: &Service, args: &[&str]) -> (i32, String, String) {
    outcome(&service.command(args).output().expect("it runs"))
}

fn claim(service: &Service, person: u32) -> (u16, serde_json::Value) {
    let answer = service.claim("d-1", &service.ticket("d-1", &format!("p-{person}")));
    (answer.status, answer.json())
}

fn claim_keyed(service: &Service, person: &str, key: &str) -> (u16, serde_json::Value) {
    let ticket = service.ticket("d-2", person);
    let headers = [("authorization", &*bearer(&ticket)), ("idempotency-key", key)];
    let answer = Client::connect(service.address()).call("POST", &claims_path("d-2"), &headers, b"");
    (answer.status, answer.json())
}

fn file() -> String {
    campaign("c-1", &[DropFile::open("d-1", STOCK), DropFile::open("d-2", 9).limit(2)])
}

/// A service with claims of both drops, all in the ledger; what the first drop's people were told.
fn sold(settings: &[(&str, &str)]) -> (Service, Vec<serde_json::Value>) {
    let service = Service::start_with(settings, &[]);
    service.apply_ok(&file());
    let told = (0..BEFORE).map(|person| claim(&service, person).1).collect();
    for key in ["k1", "k2"] {
        assert_eq!(claim_keyed(&service, "twice", key).0, 201);
    }
    wait_for("all is in the ledger", PATIENCE, || (service.journal_length() == 0).then_some(()));
    (service, told)
}

/// Everybody has what they had, new people get what is left and no more, and the audit holds.
fn assert_recovered(service: &Service, told: &[serde_json::Value]) {
    service.wait_ready();
    for (person, before) in (0..).zip(told) {
        let (status, again) = claim(service, person);
        assert_eq!(
            (status, &again["claim_id"], &again["voucher"]),
            (200, &before["claim_id"], &before["voucher"])
        );
    }
    let both = ["k1", "k2"].map(|key| claim_keyed(service, "twice", key));
    assert_eq!(both.each_ref().map(|(status, _)| *status), [200, 200]);
    assert_ne!(both[0].1["claim_id"], both[1].1["claim_id"]);
    assert_eq!(claim_keyed(service, "twice", "k3").0, 409);
    let left = STOCK - u32::try_from(told.len()).unwrap();
    for person in 1_000..1_000 + left {
        let (status, answer) = claim(service, person);
        assert_eq!((status, answer["seq"].as_u64()), (201, Some(u64::from(person - 999))), "{answer}");
    }
    assert_eq!(claim(service, 2_000).0, 410, "nothing is sold twice");
    wait_for("all is in the ledger", PATIENCE, || (service.journal_length() == 0).then_some(()));
    let (exit, out, err) = run(service, &["audit"]);
    assert_eq!(exit, 0, "{out}{err}");
}

fn lose_everything(service: &Service) {
    let () = service.ask_redis(&cmd("FLUSHALL"));
    service.wait_unready("shard_frozen");
}

#[test]
fn an_empty_redis_gets_back_what_the_ledger_has() {
    let (service, told) = sold(&[]);
    let (exit, out, _) = run(&service, &["recover"]);
    assert_eq!((exit, out.starts_with("nothing is lost")), (0, true), "{out}");
    lose_everything(&service);
    assert_eq!(claim(&service, 0).0, 503);

    let (exit, plan, err) = run(&service, &["recover"]);
    assert_eq!((exit, err.as_str()), (0, ""));
    let row = plan.lines().find(|line| line.starts_with("d-1")).expect("a row");
    let row: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(row, ["d-1", "1", "2", "gone", "25", "0", "40", "15"], "{plan}");
    assert!(plan.contains("nothing was changed"), "{plan}");
    assert_eq!(claim(&service, 0).0, 503, "it was a dry run");

    let (exit, _, err) = run(&service, &["recover", "--apply"]);
    assert_eq!(exit, 1, "{err}");
    assert!(err.contains("drop d-1: 0 claims are known to be lost, and nobody can prove"), "{err}");
    assert_eq!(claim(&service, 0).0, 503);

    let (exit, done, err) = run(&service, &["recover", "--apply", "--accept-loss"]);
    assert_eq!((exit, err.as_str()), (0, ""), "{done}");
    assert!(done.contains("made anew from the ledger"), "{done}");
    assert_recovered(&service, &told);
    assert_eq!(run(&service, &["recover"]).1.lines().count(), 1, "nothing is left to do");
}

#[test]
fn it_is_the_same_from_postgres_and_after_a_restart_and_a_second_loss() {
    let server = PostgresServer::start(&[]);
    let url = server.url();
    let (mut service, mut told) = sold(&[("ledger.url", &url)]);
    for round in 0..2 {
        lose_everything(&service);
        service.stop();
        assert_eq!(service.restart_to_judge().as_deref(), Some("shard_frozen"));
        let (exit, _, err) = run(&service, &["recover", "--apply", "--accept-loss"]);
        assert_eq!((exit, err.as_str()), (0, ""));
        service.wait_ready();
        let (status, answer) = claim(&service, 100 + round);
        assert_eq!((status, answer["seq"].as_u64()), (201, Some(1)), "numbers begin again in an epoch");
        wait_for("all is in the ledger", PATIENCE, || (service.journal_length() == 0).then_some(()));
        assert_eq!(run(&service, &["audit"]).0, 0);
        told.push(answer);
    }
    let rows = server.sql(
        "SELECT string_agg(epoch || ':' || carried, ' ' ORDER BY epoch) FROM loaded WHERE drop_number = 1",
    );
    assert_eq!(rows, "1:0 2:25 3:26");
    let stock = run(&service, &["ledger", "export", "--drop", "d-1", "--format", "csv"]).1;
    assert_eq!(stock.lines().count() - 1, told.len());
}

#[test]
fn what_was_seen_and_is_in_no_store_is_named_and_needs_to_be_accepted() {
    let service = Service::start_with(&[], &["--no-drain"]);
    service.apply_ok(&file());
    let told: Vec<_> = (0..3).map(|person| claim(&service, person).1).collect();
    wait_for("the service has seen it", PATIENCE, || {
        (service.drop_state("d-1").json()["stock_left"] == STOCK - 3).then_some(())
    });
    lose_everything(&service);
    let (exit, plan, _) = run(&service, &["recover", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
    let drop = &plan["drops"][0];
    assert_eq!((exit, drop["lost"].as_u64(), drop["in_ledger"].as_u64()), (0, Some(3), Some(0)), "{plan}");
    let named: Vec<_> = drop["lost_claims"].as_array().unwrap().iter().collect();
    assert_eq!(named, told.iter().map(|claim| &claim["claim_id"]).collect::<Vec<_>>());
    let (_, _, err) = run(&service, &["recover", "--apply"]);
    assert!(err.contains("drop d-1: 3 claims are known to be lost"), "{err}");
    assert_eq!(run(&service, &["recover", "--apply", "--accept-loss"]).0, 0);
    service.wait_ready();
    assert_eq!(claim(&service, 0).0, 201, "their claim is gone, and they may claim again");
}

/// A recovery that dies at any of its steps leaves the drop frozen, and the next one makes it.
#[test]
fn a_recovery_that_is_killed_at_any_step_is_begun_again() {
    for step in ["recovery.begun", "recovery.held", "recovery.noted", "recovery.finished"] {
        let (mut service, told) = sold(&[]);
        lose_everything(&service);
        service.stop();
        service.restart_until_killed(step, |service| {
            let _ = service.command(&["recover", "--apply", "--accept-loss"]).output();
        });
        let reason = service.restart_to_judge();
        let (exit, plan, err) = run(&service, &["recover", "--apply", "--accept-loss"]);
        assert_eq!((exit, err.as_str()), (0, ""), "{step}: {reason:?} {plan}");
        assert_recovered(&service, &told);
    }
}

#[test]
fn a_drop_that_was_never_open_comes_back_by_itself() {
    let service = Service::start();
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", STOCK).not_open()]));
    let () = service.ask_redis(&cmd("FLUSHALL"));
    wait_for("it is made anew", PATIENCE, || service.log().contains("never_open").then_some(()));
    service.wait_ready();
    assert_eq!(service.drop_state("d-1").json()["stock_left"], STOCK);
    assert_eq!(run(&service, &["audit"]).0, 0);
}

/// Everything of these drops and the journal, as Redis has it now.
fn dump(service: &Service, drops: &[&str]) -> Vec<(String, Vec<u8>)> {
    let ids = drops.iter().map(|drop| DropId::new(drop).unwrap());
    let keys = ids.flat_map(|id| [keys::drop(Shard::FIRST, &id), keys::holders(Shard::FIRST, &id)]);
    let keys = keys.chain([keys::journal(Shard::FIRST)]);
    keys.filter_map(|key| Some((key.clone(), service.ask_redis::<Option<_>>(cmd("DUMP").arg(key))?)))
        .collect()
}

/// Kills the service, takes its Redis back to what was dumped of these keys, and starts it again.
fn go_back(service: &mut Service, dumped: &[(String, Vec<u8>)]) {
    service.kill();
    for (key, bytes) in dumped {
        let () = service.ask_redis(cmd("RESTORE").arg(key).arg(0).arg(bytes).arg("REPLACE"));
    }
    assert_eq!(service.restart_to_judge().as_deref(), Some("shard_frozen"));
}

fn status(service: &Service, drop: &str, person: &str) -> u16 {
    service.claim(drop, &service.ticket(drop, person)).status
}

fn wait_drained(service: &Service) {
    wait_for("all is in the ledger", PATIENCE, || (service.journal_length() == 0).then_some(()));
}

/// That the journal ends too early may be all that tells of a loss, and the next entry ends that.
#[test]
fn what_was_lost_stays_lost_whatever_is_written_after_it() {
    let mut service = Service::start();
    let drops = [DropFile::open("d-1", 2), DropFile::open("d-2", 9), DropFile::open("later", 9).not_open()];
    service.apply_ok(&campaign("c-1", &drops));
    assert_eq!(status(&service, "d-1", "ann"), 201);
    wait_drained(&service);
    let dumped = dump(&service, &["d-1", "d-2"]);
    assert_eq!(status(&service, "d-2", "ann"), 201);
    wait_drained(&service);
    go_back(&mut service, &dumped);
    assert!(service.log().contains("never_open"), "a drop is made anew: {}", service.log());
    assert_eq!((status(&service, "d-1", "bob"), status(&service, "d-2", "bob")), (503, 503));
    // A new drop lacks nothing and sells, which is written to the journal too.
    service.apply_ok(&campaign("c-2", &[DropFile::open("new", 3)]));
    assert_eq!(status(&service, "new", "bob"), 201);
    wait_drained(&service);
    service.apply_ok(&campaign("c-3", &[DropFile::open("newer", 3)]));
    assert_eq!(status(&service, "d-1", "bob"), 503, "nobody has decided anything");
    service.kill();
    assert_eq!(service.restart_to_judge().as_deref(), Some("shard_frozen"));
    assert_eq!(run(&service, &["recover", "--apply", "--accept-loss"]).0, 0);
    service.wait_ready();
    assert_eq!(["ann", "bob", "cid"].map(|person| status(&service, "d-1", person)), [200, 201, 410]);
    wait_drained(&service);
    assert_eq!(run(&service, &["audit"]).0, 0);
}

#[test]
fn a_lost_return_freezes_and_its_unit_is_sold_after_the_recovery() {
    let mut service = Service::start();
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 2).item("hold_for = \"1h\"")]));
    let ticket = service.ticket("d-1", "ann");
    let held = service.claim("d-1", &ticket).text("claim_id");
    wait_drained(&service);
    let mut dumped = dump(&service, &["d-1"]);
    let path = format!("/v1/claims/{held}/cancel");
    let headers = [("authorization", &*bearer(&ticket))];
    assert_eq!(Client::connect(service.address()).call("POST", &path, &headers, b"").status, 200);
    wait_for("the unit is back", PATIENCE, || (service.redis_stock_left("d-1") == 2).then_some(()));
    wait_drained(&service);
    // The journal goes as far as it did.
    dumped.retain(|(key, _)| *key != keys::journal(Shard::FIRST));
    go_back(&mut service, &dumped);
    assert_eq!(status(&service, "d-1", "bob"), 503);
    assert_eq!(run(&service, &["recover", "--apply", "--accept-loss"]).0, 0);
    service.wait_ready();
    assert_eq!(["bob", "cid", "dan"].map(|person| status(&service, "d-1", person)), [201, 201, 410]);
    wait_drained(&service);
    assert_eq!(run(&service, &["audit"]).0, 0);
    // What went back before the new epoch is not looked for in it.
    service.kill();
    assert_eq!(service.restart_to_judge(), None);
}

/// Claims of the drop that is made anew in a measured run; `make recovery` sets a million.
const CLAIMS_DEFAULT: u32 = 20_000;

/// Grants claims by the script itself, as many in a call as there may be.
fn grant(service: &Service, drop: &str, claims: u32) {
    let drop = DropId::new(drop).unwrap();
    let mut call = ClaimCall::new(Shard::FIRST, 0);
    let mut redis = service.redis();
    let _: String = cmd("SCRIPT").arg("LOAD").arg(scripts::CLAIM.source).query(&mut redis).unwrap();
    for first in (0..claims).step_by(limits::BATCH_CLAIMS_MAX) {
        call.reset(u64::from(first));
        for person in first..claims.min(first + u32::try_from(limits::BATCH_CLAIMS_MAX).unwrap()) {
            let person = PersonId::new(&format!("p-{person}")).unwrap();
            call.claim(&drop, &person, None).expect("it fits");
        }
        let _: redis::Value = call.to_evalsha().query(&mut redis).unwrap();
    }
}

#[test]
fn a_large_drop_comes_back_from_postgres_to_the_last_claim() {
    let claims =
        std::env::var("RECOVERY_CLAIMS").map_or(CLAIMS_DEFAULT, |text| text.parse().expect("a number"));
    let server = PostgresServer::start(&[]);
    let url = server.url();
    let service = Service::start_with(&[("ledger.url", &url)], &[]);
    let file = campaign("c-1", &[DropFile::open("d-1", claims + 1)]);
    service.apply_ok(&file.replace("1000000.00 CNY", "9000000.00 CNY"));
    grant(&service, "d-1", claims);
    wait_for("all is in the ledger", PATIENCE, || (service.journal_length() == 0).then_some(()));
    let (exit, out, err) = run(&service, &["audit"]);
    assert_eq!(exit, 0, "{out}{err}");
    lose_everything(&service);
    let began = Instant::now();
    let (exit, out, err) = run(&service, &["recover", "--apply", "--accept-loss"]);
    let took = began.elapsed().as_secs_f64();
    assert_eq!((exit, err.as_str()), (0, ""), "{out}");
    service.wait_ready();
    let ready = began.elapsed().as_secs_f64();
    println!("{claims} claims: made anew in {took:.2} s, claimed from again after {ready:.2} s");
    // Every holder's record beside every row.
    let (exit, out, err) = run(&service, &["audit", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&out).expect(&err);
    assert_eq!(exit, 0, "{out}");
    println!("{}", report["checks"][1]["compared"]);
    assert_eq!((claim(&service, 0).0, claim(&service, claims - 1).0), (200, 200));
    assert_eq!((claim(&service, claims).0, claim(&service, claims + 1).0), (201, 410), "one unit was left");
}
