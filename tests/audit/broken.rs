//! Each broken thing is reported by the checks that it breaks.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use super::{Audited, busy, wait_drained};
use crate::support::redis::ManagedFolder;
use crate::support::service::Service;
use claimrush::domain::ids::{DropId, Shard};
use claimrush::redis::keys;

/// A copy of a stopped service's data folder, to be broken.
struct Copy(ManagedFolder);

impl Copy {
    fn of(data: &Path) -> Self {
        let copy = ManagedFolder::new();
        copy_folder(data, copy.path());
        Self(copy)
    }

    /// The same with its ledger changed behind the program's back.
    fn with_ledger(self, sql: &str) -> Self {
        let ledger = Connection::open(self.0.path().join("ledger.db")).expect("it opens");
        ledger.execute_batch("PRAGMA foreign_keys = OFF").expect("it is set");
        ledger.execute_batch(sql).expect("it is changed");
        self
    }

    fn audit(&self, args: &[&str]) -> Audited {
        Audited::of_folder(self.0.path(), args)
    }
}

pub(super) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("it is made");
    std::fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("it is ours");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type") {
            kind if kind.is_dir() => copy_folder(&entry.path(), &target),
            kind if kind.is_file() => {
                std::fs::copy(entry.path(), target).expect("it is copied");
            }
            _ => {}
        }
    }
}

/// A stopped [`busy`] service, and a folder with its claims log.
async fn stopped() -> (Service, TempDir, PathBuf) {
    let (mut service, log) = busy().await;
    service.stop();
    let folder = crate::support::folder();
    let path = folder.path().join("log.jsonl");
    std::fs::write(&path, log).expect("it is written");
    (service, folder, path)
}

#[tokio::test]
async fn what_is_changed_in_the_ledger_is_reported() {
    let (service, _folder, _) = stopped().await;
    let data = service.data();
    Copy::of(&data).audit(&[]).assert_holds();
    let last = "(SELECT max(number) FROM claim WHERE number >> 32 = 1)";
    for (sql, broken, words) in [
        (
            "DELETE FROM claim WHERE number = (1 << 32) + 7".to_owned(),
            &["I2", "I3", "I5", "I7"][..],
            "a-1: the ledger misses 1 of the claims 1 to 20",
        ),
        (
            format!("DELETE FROM claim WHERE number = {last}"),
            &["I2", "I3", "I5", "I7"],
            "a-1: Redis gave 20 claims, 1 of them stands in neither ledger nor journal",
        ),
        (
            "UPDATE claim SET person = 'eve' WHERE number = (1 << 32) + 7".to_owned(),
            &["I2", "I7"],
            "(no 7) is another person's in Redis than in the ledger",
        ),
        (
            "UPDATE claim SET person = 'p-3' WHERE number = (1 << 32) + 7".to_owned(),
            &["I2", "I4", "I6", "I7"],
            "a-1: one person has 2 live claims in the ledger, 1 may be",
        ),
        (
            "UPDATE claim SET status = 1 WHERE number = (1 << 32) + 7".to_owned(),
            &["I3", "I5", "I7"],
            "a-1: 0 returns in Redis, 1 in ledger and journal",
        ),
        (
            "UPDATE claim SET mark = (SELECT mark FROM claim WHERE mark IS NOT NULL ORDER BY number LIMIT 1) \
             WHERE mark IS NOT NULL"
                .to_owned(),
            &["I2", "I6", "I7"],
            "a-3: one person has 3 claims of the key with mark",
        ),
        (
            "DROP TRIGGER line_stays; UPDATE posting_line SET amount = amount - 1 WHERE account = 'live' \
             AND posting = (SELECT max(posting) FROM posting_line)"
                .to_owned(),
            &["I5", "I7"],
            "a: 1 posting does not balance",
        ),
        (
            "DROP TRIGGER line_stays; UPDATE posting_line SET amount = amount + \
             CASE account WHEN 'live' THEN -1 ELSE 1 END WHERE posting = (SELECT max(posting) FROM posting_line)"
                .to_owned(),
            &["I5", "I7"],
            "live in the postings, 22.00 by its live rows",
        ),
    ] {
        Copy::of(&data).with_ledger(&sql).audit(&[]).assert_broken(broken, words);
    }
}

#[tokio::test]
async fn a_chain_that_was_cut_is_missed_by_its_kept_head() {
    let (service, _folder, _) = stopped().await;
    let copy = Copy::of(&service.data());
    let head = copy.audit(&[]).head().to_owned();
    let cut = "DROP TRIGGER audit_is_kept; DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)";
    let copy = copy.with_ledger(cut);
    copy.audit(&["--head", &head]).assert_broken(&["I7"], &format!("no record has the given head {head}"));
}

#[tokio::test]
async fn what_clients_saw_and_the_ledger_lacks_is_reported() {
    let (service, _folder, path) = stopped().await;
    let log = std::fs::read_to_string(&path).unwrap();
    let audit = |log: String| {
        std::fs::write(&path, log).unwrap();
        Audited::of(&service, &["--claims-log", path.to_str().unwrap()])
    };
    audit(log.clone()).assert_holds();
    // Plain claim ids, one a line, and nothing after the last.
    let ids: Vec<String> = log
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["claim_id"].as_str().unwrap().to_owned()
        })
        .collect();
    audit(ids.join("\n")).assert_holds();

    let with = |line: serde_json::Value| audit(format!("{log}{line}\n"));
    let number = claimrush::domain::ids::ClaimNumber::parse_claim_id(&ids[0]).unwrap();
    let never = claimrush::domain::ids::ClaimNumber { seq: 21, ..number }.claim_id();
    with(json!({"claim_id": never, "drop": "a-1", "seq": 21, "status": 201, "ticket_line": 50}))
        .assert_broken(&["I2"], &format!("line 21: {never} stands in neither ledger nor journal"));
    with(json!({"claim_id": ids[0], "drop": "a-1", "seq": 1, "status": 201, "ticket_line": 50}))
        .assert_broken(&["I2"], &format!("line 21: {} was given to the tickets 1 and 50", ids[0]));
    with(json!({"claim_id": ids[0], "drop": "a-3", "seq": 1, "status": 201, "ticket_line": 1}))
        .assert_broken(&["I2"], "is no claim of its drop and number");
    // The same claim given again to the same ticket is what a retry gets.
    with(json!({"claim_id": ids[0], "drop": "a-1", "seq": 1, "status": 200, "ticket_line": 1}))
        .assert_holds();

    std::fs::write(&path, format!("{log}what is this\n")).unwrap();
    let mut command = service.command(&["audit", "--claims-log", path.to_str().unwrap()]);
    let (exit, out, err) = crate::support::outcome(&command.output().unwrap());
    assert_eq!((exit, out.as_str()), (1, ""));
    assert!(err.ends_with("line 21: is neither a claim id nor a line of a claims log\n"), "{err}");
}

#[tokio::test]
async fn what_is_changed_in_redis_is_reported() {
    let (mut service, _) = busy().await;
    service.kill();
    let id = DropId::new("a-1").unwrap();
    let (drop, holders, journal) =
        (keys::drop(Shard::FIRST, &id), keys::holders(Shard::FIRST, &id), keys::journal(Shard::FIRST));
    let mut redis = service.redis();
    let mut run = |words: &[&str]| -> redis::Value {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut redis).expect("redis answers")
    };
    let audit = || Audited::of(&service, &[]);
    audit().assert_holds();

    run(&["HINCRBY", &drop, "stock", "1"]);
    let line = "a-1: stock 40 in the ledger, but in Redis 21 left + 20 accepted - 0 returned = 41";
    audit().assert_broken(&["I1"], line);
    run(&["HINCRBY", &drop, "stock", "-2"]);
    run(&["HINCRBY", &drop, "seq", "1"]);
    let line = "a-1: Redis gave 21 claims, 1 of them stands in neither ledger nor journal";
    audit().assert_broken(&["I3"], line);
    run(&["HSET", &drop, "stock", "-1", "seq", "20"]);
    audit().assert_broken(&["I1", "I3"], "a-1: what Redis holds of it is no drop");
    run(&["HSET", &drop, "stock", "20", "state", "frozen"]);
    audit().assert_broken(&["F"], "a-1 is frozen");
    run(&["HSET", &drop, "state", "running"]);
    audit().assert_holds();

    let field = |person: &str| -> Vec<u8> {
        redis::cmd("HGET").arg(&holders).arg(person).query(&mut service.redis()).expect("redis answers")
    };
    let (three, four) = (field("p-3"), field("p-4"));
    let set = |person: &str, value: &[u8]| {
        let mut set = redis::cmd("HSET");
        set.arg(&holders).arg(person).arg(value);
        set.exec(&mut service.redis()).expect("redis answers");
    };
    run(&["HDEL", &holders, "p-3"]);
    audit().assert_broken(&["I2"], "(no 4) has no holder in Redis");
    set("p-3", &[three.clone(), four].concat());
    audit().assert_broken(&["I2", "I4"], "a-1: one person holds 2 of 1");
    set("p-3", &three);
    set("eve", &three);
    audit().assert_broken(&["I2"], "(no 4) is another person's in Redis than in the ledger");
    run(&["HDEL", &holders, "eve"]);
    audit().assert_holds();

    run(&["XADD", &journal, "*", "nonsense", "x"]);
    run(&["XADD", &journal, "*", "claims", "never-heard-of 1 1700000000000 1 ann"]);
    audit().assert_broken(&["Q"], "2 entries of the journal cannot be accepted");
    service.restart();
    wait_drained(&service);
    Audited::of(&service, &[]).assert_broken(&["Q"], "unknown field \"nonsense\"");
    Audited::of(&service, &[]).assert_broken(&["Q"], "there is no drop \"never-heard-of\"");
}
