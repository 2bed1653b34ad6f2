//! A ledger that was brought back from a backup and is behind Redis: what Redis still has gets lost by that nowhere, and
//! nothing is sold twice.

use redis::cmd;

use crate::support::campaign::{DropFile, campaign};
use crate::support::ledger::rows;
use crate::support::outcome;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

fn run(service: &Service, args: &[&str]) -> (i32, String, String) {
    outcome(&service.command(args).output().expect("it runs"))
}

fn status(service: &Service, drop: &str, person: &str) -> u16 {
    service.claim(drop, &service.ticket(drop, person)).status
}

fn wait_drained(service: &Service) {
    wait_for("all is in the ledger", PATIENCE, || (service.journal_length() == 0).then_some(()));
}

/// Copies the ledger as `docs/BACKUP.md` says, beside the running service.
fn back_up(service: &Service) {
    let backup = service.data().join("backup.db");
    let ledger = rusqlite::Connection::open(service.data().join("ledger.db")).expect("a ledger");
    ledger.execute("VACUUM INTO ?1", [backup.to_str().expect("a path")]).expect("it is copied");
}

/// Puts the copy in the place of the ledger. The service must have ended.
fn bring_back(service: &Service) {
    for file in ["ledger.db-wal", "ledger.db-shm"] {
        let _ = std::fs::remove_file(service.data().join(file));
    }
    std::fs::rename(service.data().join("backup.db"), service.data().join("ledger.db")).expect("a backup");
}

#[test]
fn claims_of_a_drop_that_is_not_in_it_wait_until_the_campaign_is_applied_again() {
    let mut service = Service::start();
    service.apply_ok(&campaign("early", &[DropFile::open("d-1", 9)]));
    back_up(&service);
    let late = campaign("late", &[DropFile::open("d-2", 9)]);
    service.apply_ok(&late);
    // The ledger is away for a while, and lost then.
    service.stop();
    service.restart_with(&["--no-drain"]);
    assert_eq!(["d-1", "d-2", "d-2", "d-1"].map(|drop| status(&service, drop, drop)), [201, 201, 200, 200]);
    assert_eq!((status(&service, "d-2", "bob"), status(&service, "d-1", "bob")), (201, 201));
    assert_eq!(service.journal_length(), 4);
    service.kill();
    bring_back(&service);
    service.restart_with(&[]);
    let waits = "the journal has claims of drop \"d-2\", which Redis has and the ledger does not";
    wait_for("the log says so", PATIENCE, || service.log().contains(waits).then_some(()));
    assert_eq!(
        (service.journal_length(), rows(&service.data(), "d-1").len()),
        (3, 1),
        "what stands before is written"
    );
    let (exit, report, _) = run(&service, &["audit", "--json"]);
    assert_eq!(
        (exit, report.contains("2 entries of the journal cannot be accepted by this ledger")),
        (1, true),
        "{report}"
    );

    service.apply_ok(&late);
    wait_drained(&service);
    assert_eq!((rows(&service.data(), "d-1").len(), rows(&service.data(), "d-2").len()), (2, 2));
    let (exit, report, err) = run(&service, &["audit"]);
    assert_eq!(exit, 0, "{report}{err}");
}

/// Redis is in an epoch of which the ledger knows nothing, and its journal goes further than the ledger ever will.
#[test]
fn a_drop_that_was_made_anew_after_the_backup_can_be_made_anew_from_it() {
    let mut service = Service::start();
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 4)]));
    assert_eq!(status(&service, "d-1", "ann"), 201);
    wait_drained(&service);
    back_up(&service);
    let () = service.ask_redis(&cmd("FLUSHALL"));
    service.wait_unready("shard_frozen");
    assert_eq!(run(&service, &["recover", "--apply", "--accept-loss"]).0, 0);
    service.wait_ready();
    assert_eq!(status(&service, "d-1", "bob"), 201);
    wait_drained(&service);
    service.kill();
    bring_back(&service);
    assert_eq!(service.restart_to_judge().as_deref(), Some("shard_frozen"));
    let (exit, plan, _) = run(&service, &["recover", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
    let drop = &plan["drops"][0];
    assert_eq!(
        (exit, &drop["epoch"], &drop["next_epoch"], &drop["lost"]),
        (0, &1.into(), &3.into(), &1.into())
    );
    let (exit, done, err) = run(&service, &["recover", "--apply", "--accept-loss"]);
    assert_eq!((exit, err.as_str()), (0, ""), "{done}");
    service.wait_ready();
    let again = ["ann", "cid", "dan", "eve", "fay"].map(|person| status(&service, "d-1", person));
    assert_eq!(again, [200, 201, 201, 201, 410]);
    wait_drained(&service);
    let (exit, report, err) = run(&service, &["audit"]);
    assert_eq!(exit, 0, "{report}{err}");
}

/// Its journal is drained to the end, and yet it lacks claims that were trimmed before.
#[test]
fn it_does_not_pass_for_complete_after_an_orderly_stop() {
    let mut service = Service::start();
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 4)]));
    assert_eq!(status(&service, "d-1", "ann"), 201);
    wait_drained(&service);
    back_up(&service);
    assert_eq!(status(&service, "d-1", "bob"), 201);
    wait_drained(&service);
    service.kill();
    bring_back(&service);
    service.restart();
    assert_eq!(status(&service, "d-1", "cid"), 201);
    wait_drained(&service);
    service.stop();
    std::fs::remove_dir_all(service.redis_dir()).expect("it is there");
    assert_eq!(service.restart_to_judge().as_deref(), Some("shard_frozen"), "{}", service.log());
    assert_eq!(status(&service, "d-1", "dan"), 503, "the unit that bob has is not given again");
}
