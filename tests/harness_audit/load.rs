//! A load on the built service, with all that its clients saw.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use claimrush_loadtest::audit::{self, AuditBaseline, AuditPlan, LookupLimits, PersonTickets, ServiceAccess};
use claimrush_loadtest::results::AuditResult;
use hyper::header::HeaderValue;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Client, bearer, claims_path};
use crate::support::mint::Mint;
use crate::support::service::{PATIENCE, Service};

/// What the persons of the runs are called: this and their number.
pub(super) const PREFIX: &str = "person-";

pub(super) fn ticket(mint: &Mint, person: u64, drop: &str) -> String {
    mint.ticket(drop, &format!("{PREFIX}{person}"))
}

/// Tickets of which the harness cannot read whose they are.
pub(super) struct Opaque(pub(super) Mint);

impl PersonTickets for Opaque {
    fn authorization(&self, person: u64, drop: &str) -> anyhow::Result<HeaderValue> {
        Ok(HeaderValue::from_str(&bearer(&ticket(&self.0, person, drop)))?)
    }

    fn name(&self, _: u64, _: &str) -> Option<String> {
        None
    }
}

/// A load that is over: the service, what its clients saw, and what was there before.
pub(super) struct Load {
    pub(super) service: Service,
    pub(super) folder: TempDir,
    pub(super) log: Vec<Value>,
    pub(super) baseline: AuditBaseline,
}

impl Load {
    /// Twenty people and a handful more, after a few who came before the load: in "a-1" (stock 40, one each) and in
    /// "a-2" (stock 20, three each). "tiny" has a stock of two, "one" is for one each; they are no part of the load.
    pub(super) fn run() -> Self {
        let service = Service::start();
        service.apply_ok(&campaign(
            "a",
            &[
                DropFile::open("a-1", 40),
                DropFile::open("a-2", 20).limit(3),
                DropFile::open("tiny", 2).limit(3),
                DropFile::open("one", 40),
            ],
        ));
        let mut load = Self {
            service,
            folder: crate::support::folder(),
            log: Vec::new(),
            baseline: AuditBaseline::default(),
        };
        (101..=103).for_each(|person| {
            load.claim("a-1", person, "");
        });
        load.baseline = load.take_baseline(3);
        for person in 1..=20 {
            load.claim_and_log("a-1", person, "");
        }
        for (person, key) in [(1, "x"), (1, "y"), (2, "x"), (2, "x")] {
            load.claim_and_log("a-2", person, key);
        }
        load.claim_and_log("a-1", 1, "");
        // Someone from before the load comes again, and is told of the claim that was there.
        load.claim_and_log("a-1", 101, "");
        // Of these replies nobody knows: one was granted, one never arrived, one is of somebody who was told later.
        load.claim("a-1", 30, "");
        for person in [30, 31, 1] {
            load.log.push(unknown("a-1", person));
        }
        for key in ["x", "y"] {
            load.claim("a-2", 40, key);
            load.log.push(unknown("a-2", 40));
        }
        load.wait_drained();
        load
    }

    /// Waits until all claims are in the ledger: however long a disk takes, an audit that follows finds them there.
    pub(super) fn wait_drained(&self) {
        crate::support::wait_for("all is in the ledger", PATIENCE, || {
            (self.service.journal_length() == 0).then_some(())
        });
    }

    pub(super) fn access(&self) -> ServiceAccess {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_claimrush"));
        ServiceAccess { binary, data: Some(self.service.data()), config: None }
    }

    /// What is in the ledger, once the first drop has so many rows.
    pub(super) fn take_baseline(&self, rows: usize) -> AuditBaseline {
        crate::support::wait_for("claims are drained", PATIENCE, || {
            (crate::support::ledger::rows(&self.service.data(), "a-1").len() == rows).then_some(())
        });
        AuditBaseline::take(&self.access(), &drops(), Instant::now() + PATIENCE).expect("it is exported")
    }

    fn claim(&self, drop: &str, person: u64, key: &str) -> (u16, Value) {
        let authorization = bearer(&ticket(&self.service.mint(), person, drop));
        let headers = [("authorization", &*authorization), ("idempotency-key", key)];
        let answer = Client::connect(self.service.address()).call("POST", &claims_path(drop), &headers, b"");
        assert!(matches!(answer.status, 200 | 201), "{}", answer.status);
        (answer.status, answer.json())
    }

    pub(super) fn claim_and_log(&mut self, drop: &str, person: u64, key: &str) {
        let (status, claim) = self.claim(drop, person, key);
        self.log.push(json!({
            "claim_id": claim["claim_id"], "drop": drop, "seq": claim["seq"], "status": status,
            "ticket_line": person,
        }));
    }

    /// The log's line of this person's first answer in this drop.
    pub(super) fn line(&self, drop: &str, person: u64) -> usize {
        let is_it = |line: &Value| line["drop"] == drop && line["ticket_line"] == person;
        self.log.iter().position(is_it).expect("it was told")
    }

    pub(super) fn plan(&self) -> AuditPlan {
        let mint = self.service.mint();
        let tickets = move |person: u64, drop: &str| -> anyhow::Result<HeaderValue> {
            Ok(HeaderValue::from_str(&bearer(&ticket(&mint, person, drop)))?)
        };
        AuditPlan {
            claims_log: self.folder.path().join("claims.jsonl"),
            tickets: Arc::new(tickets),
            url: format!("http://{}", self.service.address()),
            mine_path: "/v1/drops/{drop}/claims/mine".to_owned(),
            state_path: "/v1/drops/{drop}".to_owned(),
            drops: drops(),
            service: Some(self.access()),
            baseline: Some(self.baseline.clone()),
            lookups: LookupLimits { per_second: 2_000, connections: 4, ..LookupLimits::default() },
            deadline: PATIENCE,
            drain_wait: Duration::from_millis(500),
        }
    }

    pub(super) fn audit(&self, plan: &AuditPlan) -> AuditResult {
        audit_log(plan, &self.log)
    }

    pub(super) fn change_ledger(&self, sql: &str) {
        let ledger = Connection::open(self.service.data().join("ledger.db")).expect("it opens");
        ledger.busy_timeout(PATIENCE).expect("it is set");
        ledger.execute_batch("PRAGMA foreign_keys = OFF").expect("it is set");
        ledger.execute_batch(sql).expect("it is changed");
    }
}

/// Audits as if this were what the clients saw.
pub(super) fn audit_log(plan: &AuditPlan, log: &[Value]) -> AuditResult {
    let mut text = String::new();
    for line in log {
        text += &line.to_string();
        text.push('\n');
    }
    std::fs::write(&plan.claims_log, text).expect("it is written");
    audit::run(plan, &|_| {}).expect("it comes to a result")
}

pub(super) fn drops() -> Vec<String> {
    vec!["a-1".to_owned(), "a-2".to_owned()]
}

pub(super) fn unknown(drop: &str, person: u64) -> Value {
    json!({"ticket_line": person, "outcome": "unknown", "drop": drop})
}
