//! `claimrush audit`, through the built binary on real services: what holds is said to hold, while people claim,
//! while it is stopped, and after a crash.

mod broken;
mod lost;
mod quarantine;
mod verify;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use claimrush::domain::ids::{DropId, Epoch, PersonId, Shard};
use claimrush::redis::pool::connect_once;
use claimrush::redis::scripts::{Return, return_claim};
use serde_json::{Value, json};

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Client, bearer, claims_path};
use crate::support::redis::REPLY_TIMEOUT;
use crate::support::service::{PATIENCE, Service};
use crate::support::{claimrush, folder, outcome, wait_for};

/// What an audit said.
pub(crate) struct Audited {
    exit: i32,
    report: Value,
}

impl Audited {
    /// Audits a service's folder with these further arguments.
    fn of(service: &Service, args: &[&str]) -> Self {
        Self::read(service.command(&["audit", "--json"]).args(args).output())
    }

    /// Audits a folder that nobody serves.
    fn of_folder(data: &Path, args: &[&str]) -> Self {
        let mut command = claimrush(data);
        Self::read(command.args(["audit", "--json", "--data"]).arg(data).args(args).output())
    }

    fn read(output: std::io::Result<std::process::Output>) -> Self {
        let (exit, out, err) = outcome(&output.expect("it runs"));
        let report = serde_json::from_str(&out).unwrap_or_else(|_| unreachable!("exit {exit}: {out}{err}"));
        assert_eq!(err, "");
        Self { exit, report }
    }

    /// The checks that are broken, after seeing that exit code and report agree.
    fn broken(&self) -> BTreeSet<&str> {
        let checks = self.report["checks"].as_array().expect("checks");
        let ids: Vec<_> = checks.iter().map(|check| check["id"].as_str().expect("an id")).collect();
        assert_eq!(ids, ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "Q", "F", "R"]);
        let broken: BTreeSet<_> = checks
            .iter()
            .filter(|check| {
                let ok = check["ok"].as_bool().expect("a verdict");
                assert_eq!(ok, check["detail"] == "", "{check}");
                !ok
            })
            .map(|check| check["id"].as_str().expect("an id"))
            .collect();
        assert_eq!(self.report["ok"], json!(broken.is_empty()));
        assert_eq!(self.exit, i32::from(!broken.is_empty()));
        broken
    }

    /// Fails unless everything holds.
    fn assert_holds(&self) {
        assert!(self.broken().is_empty(), "{:#}", self.report);
    }

    /// Fails unless these are the broken checks, and one of their details says `words`.
    fn assert_broken(&self, ids: &[&str], words: &str) {
        assert_eq!(self.broken(), ids.iter().copied().collect(), "{:#}", self.report);
        let checks = self.report["checks"].as_array().expect("checks");
        let said =
            checks.iter().any(|check| check["detail"].as_str().is_some_and(|text| text.contains(words)));
        assert!(said, "nobody says {words:?}: {:#}", self.report);
    }

    fn head(&self) -> &str {
        self.report["head"].as_str().expect("a head")
    }
}

/// People `from` to `to` claim in the drop of one each, and again where a disk that stands still for a while makes
/// them unavailable; the claims log of what they saw.
fn claim(service: &Service, drop: &str, from: u32, to: u32) -> String {
    let mint = service.mint();
    let mut client = Client::connect(service.address());
    let mut log = String::new();
    for person in from..to {
        let ticket = mint.ticket(drop, &format!("p-{person}"));
        let answer = wait_for("the claim is decided", PATIENCE, || {
            Some(client.claim(drop, &ticket)).filter(|answer| answer.status != 503)
        });
        assert!(matches!(answer.status, 200 | 201), "{}", answer.status);
        let claim = answer.json();
        let line = json!({
            "claim_id": claim["claim_id"], "drop": drop, "seq": claim["seq"],
            "status": answer.status, "ticket_line": person + 1,
        });
        log += &line.to_string();
        log.push('\n');
    }
    log
}

/// Waits until all that was claimed is in the ledger.
fn wait_drained(service: &Service) {
    wait_for("the journal is empty", PATIENCE, || (service.journal_length() == 0).then_some(()));
}

/// A service with claims in a drop of one each ("a-1", 20 claims and a log of them) and in one of three each
/// ("a-3", 3 claims), one of which was returned.
async fn busy() -> (Service, String) {
    let service = Service::start();
    service.apply_ok(&campaign("a", &[DropFile::open("a-1", 40), DropFile::open("a-3", 10).limit(3)]));
    let log = claim(&service, "a-1", 0, 20);
    let (ticket, mut client) = (service.ticket("a-3", "bob"), Client::connect(service.address()));
    for key in ["k1", "k2", "k3", "k1"] {
        let headers = [("authorization", &*bearer(&ticket)), ("idempotency-key", key)];
        let answer = client.call("POST", &claims_path("a-3"), &headers, b"");
        assert!(matches!(answer.status, 200 | 201), "{}", answer.status);
    }
    let url = claimrush::datadir::DataDir::open(&service.data()).unwrap().run_info().unwrap().redis_url;
    let mut redis = connect_once(&url, REPLY_TIMEOUT).await.expect("redis answers");
    let (drop, person) = (DropId::new("a-3").unwrap(), PersonId::new("bob").unwrap());
    let returned =
        Return { drop: &drop, person: &person, epoch: Epoch::FIRST, seq: 2, may_claim_again: true };
    return_claim(&mut redis, Shard::FIRST, &returned).await.expect("redis answers").expect("it is returned");
    wait_drained(&service);
    (service, log)
}

#[tokio::test]
async fn everything_holds_while_it_runs_and_stopped_and_after_a_crash() {
    let (mut service, log) = busy().await;
    let path = service.data().join("log.jsonl");
    std::fs::write(&path, log + "{\"ticket_line\":99,\"outcome\":\"unknown\"}\n").unwrap();
    let log = path.to_str().unwrap();

    let running = Audited::of(&service, &["--claims-log", log]);
    running.assert_holds();
    let lines = json!([
        {"drop": "a-1", "stock_total": 40, "left": 20, "accepted": 20, "returned": 0, "ledger_rows": 20, "in_journal": 0},
        {"drop": "a-3", "stock_total": 10, "left": 8, "accepted": 3, "returned": 1, "ledger_rows": 3, "in_journal": 0},
    ]);
    assert_eq!(running.report["drops"], lines);
    let compared = running.report["checks"][1]["compared"].as_str().unwrap();
    assert!(compared.starts_with("23 claims of ledger and journal"), "{compared}");
    assert!(compared.contains("20 claims that clients saw"), "{compared}");
    assert!(compared.contains("1 outcome is unknown"), "{compared}");

    // A crash leaves Redis running: it is looked at and left as it was.
    let redis = service.redis_pid();
    service.kill();
    let crashed = Audited::of(&service, &["--head", running.head()]);
    crashed.assert_holds();
    assert_eq!((service.try_redis_pid(), &crashed.report["drops"]), (Some(redis), &lines));

    // The next start goes on with it, and an old head is still found in the longer chain.
    service.restart();
    claim(&service, "a-1", 20, 25);
    service.stop();
    let stopped = Audited::of(&service, &["--head", running.head()]);
    stopped.assert_holds();
    assert_eq!(stopped.report["drops"][0]["ledger_rows"], 25);
    assert_ne!(stopped.head(), running.head());
    assert_eq!(service.try_redis_pid(), None);

    let (exit, table, _) = outcome(&service.command(&["audit"]).output().unwrap());
    assert_eq!(exit, 0);
    assert!(table.ends_with("\nall 10 checks hold\n"), "{table}");
    assert!(table.lines().all(|line| line.len() <= 100), "{table}");
    assert!(table.contains(stopped.head()), "{table}");
}

#[test]
fn what_is_in_the_journal_alone_counts() {
    let mut service = Service::start_with(&[], &["--no-drain"]);
    service.apply_ok(&campaign("a", &[DropFile::open("a-1", 40)]));
    let log = claim(&service, "a-1", 0, 15);
    let path = service.data().join("log.jsonl");
    std::fs::write(&path, &log).unwrap();
    for stopped in [false, true] {
        let audited = Audited::of(&service, &["--claims-log", path.to_str().unwrap()]);
        audited.assert_holds();
        let drop = &audited.report["drops"][0];
        assert_eq!(
            (&drop["accepted"], &drop["ledger_rows"], &drop["in_journal"]),
            (&json!(15), &json!(0), &json!(15))
        );
        if !stopped {
            service.stop();
        }
    }
}

#[test]
fn audits_in_the_middle_of_a_rush_are_never_a_false_alarm() {
    const PEOPLE: u32 = 4_000;
    const THREADS: u32 = 8;
    let service = Service::start();
    let drop = DropFile::open("a-1", PEOPLE);
    service.apply_ok(&campaign("a", std::slice::from_ref(&drop)));
    let over = AtomicBool::new(false);
    let audits = std::thread::scope(|scope| {
        let audits = scope.spawn(|| {
            let mut audits = 0;
            while !over.load(Ordering::Acquire) || audits < 3 {
                Audited::of(&service, &[]).assert_holds();
                audits += 1;
                // Campaigns change in a rush too.
                let changed = campaign("a", &[drop.clone().stock(PEOPLE + audits)]);
                wait_for("the campaign is changed", PATIENCE, || {
                    let (exit, _, err) = service.apply(&changed);
                    assert!(matches!(exit, 0 | 69), "{err}");
                    (exit == 0).then_some(())
                });
            }
            audits
        });
        let each = PEOPLE / THREADS;
        let rush: Vec<_> = (0..THREADS)
            .map(|n| {
                let service = &service;
                scope.spawn(move || claim(service, "a-1", n * each, (n + 1) * each))
            })
            .collect();
        for thread in rush {
            thread.join().expect("everybody claims");
        }
        over.store(true, Ordering::Release);
        audits.join().expect("every audit holds")
    });
    assert!(audits >= 3);
    wait_drained(&service);
    let audited = Audited::of(&service, &[]);
    audited.assert_holds();
    assert_eq!(audited.report["drops"][0]["ledger_rows"], PEOPLE);
}

#[test]
fn a_folder_that_somebody_else_holds_is_unavailable() {
    let folder = folder();
    let dir = claimrush::datadir::DataDir::create(&folder.path().join("data")).unwrap();
    let _lock = dir.lock(&claimrush::clock::Clock::System).unwrap();
    let output = claimrush(folder.path()).args(["audit", "--data", "data"]).output().unwrap();
    let line = format!("claimrush: another claimrush (pid {}) is serving data\n", std::process::id());
    assert_eq!(outcome(&output), (69, String::new(), line));
}

#[test]
fn a_folder_without_a_service_or_ledger_is_unavailable() {
    let folder = folder();
    let gone = claimrush(folder.path()).args(["audit", "--data", "gone"]).output().unwrap();
    assert_eq!(
        outcome(&gone),
        (69, String::new(), "claimrush: no service runs on gone: there is no such folder\n".to_owned())
    );
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let (exit, out, err) =
        outcome(&claimrush(folder.path()).args(["audit", "--data", "empty"]).output().unwrap());
    assert_eq!((exit, out.as_str(), err.lines().count()), (69, "", 1), "{err}");
    assert!(err.starts_with("claimrush: ledger unavailable: cannot open "), "{err}");
    assert!(!folder.path().join("empty/redis").exists());
}
