//! An entry that nobody could understand breaks the audit until somebody has looked at it.

use claimrush::domain::ids::Shard;
use claimrush::redis::keys;
use serde_json::Value;

use super::{Audited, wait_drained};
use crate::support::campaign::{DropFile, campaign};
use crate::support::http::Client;
use crate::support::outcome;
use crate::support::postgres::PostgresServer;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

fn run(service: &Service, args: &[&str]) -> (i32, String, String) {
    outcome(&service.command(args).output().expect("it runs"))
}

fn ran(service: &Service, args: &[&str]) -> String {
    let (exit, out, err) = run(service, args);
    assert_eq!((exit, err.as_str()), (0, ""), "{args:?}: {out}");
    out
}

/// Writes to the journal what does not belong there.
fn poison(service: &Service, field: &str, text: &[u8]) {
    let journal = keys::journal(Shard::FIRST);
    let _: String = service.ask_redis(redis::cmd("XADD").arg(journal).arg("*").arg(field).arg(text));
}

fn what_the_audit_compared(service: &Service) -> String {
    let (_, out, _) = run(service, &["audit", "--json"]);
    let report: Value = serde_json::from_str(&out).expect("JSON");
    let row = report["checks"].as_array().expect("checks").iter().find(|check| check["id"] == "Q");
    row.expect("it is there")["compared"].as_str().expect("a text").to_owned()
}

fn settles(mut service: Service) {
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 5)]));
    assert_eq!(service.claim("d-1", &service.ticket("d-1", "ann")).status, 201);
    assert_eq!(ran(&service, &["quarantine", "list"]), "0 to look at\n");
    poison(&service, "nonsense", b"a\0b");
    poison(&service, "claims", b"never-heard-of 1 1700000000000 1 ann");
    wait_drained(&service);
    Audited::of(&service, &[]).assert_broken(&["Q"], "unknown field \"nonsense\"");
    assert_eq!(service.metric("claimrush_journal_quarantined_total"), Some(2));

    let list = ran(&service, &["quarantine", "list"]);
    for words in
        ["entry 1: ", "unknown field \"nonsense\"", "says \"nonsense a\\0", "entry 2: ", "2 to look at\n"]
    {
        assert!(list.contains(words), "{words}: {list}");
    }
    let (exit, _, err) = run(&service, &["quarantine", "settle", "3", "--note", "why"]);
    assert_eq!((exit, err.as_str()), (1, "claimrush: there is no entry 3 in quarantine\n"));
    for note in [" ", "a\nb"] {
        let (exit, _, err) = run(&service, &["quarantine", "settle", "1", "--note", note]);
        assert!(exit == 1 && err.contains("note: must have 1 to 500 bytes"), "{err}");
    }

    let note = "a test of the firewall; closed";
    let said = format!("entry 1 is settled: {note}\n");
    assert_eq!(ran(&service, &["quarantine", "settle", "1", "--note", note]), said);
    assert_eq!(
        ran(&service, &["quarantine", "settle", "1", "--note", "other"]),
        said,
        "what was said first stays"
    );
    let broken = Audited::of(&service, &[]);
    broken.assert_broken(&["Q"], "there is no drop \"never-heard-of\"");
    assert!(!broken.report.to_string().contains("nonsense"), "{:#}", broken.report);
    let waiting = |count| {
        wait_for("the gauge shows what nobody has settled", PATIENCE, || {
            (service.metric("claimrush_quarantine_entries")? == count).then_some(())
        });
    };
    waiting(1);
    ran(&service, &["quarantine", "settle", "1", "2", "--note", "the same"]);
    waiting(0);
    Audited::of(&service, &[]).assert_holds();
    let compared = what_the_audit_compared(&service);
    assert!(compared.starts_with("2 entries in the ledger's quarantine, 2 of them settled,"), "{compared}");
    assert_eq!(ran(&service, &["quarantine", "list"]), "0 to look at\n");
    let all = ran(&service, &["quarantine", "list", "--all"]);
    assert!(all.contains("settled by admin token, ") && all.contains(&format!(": {note}\n")), "{all}");

    // It outlasts the service, and the next one is to be looked at like the first.
    service.stop();
    Audited::of(&service, &[]).assert_holds();
    service.restart();
    poison(&service, "nonsense", b"again");
    wait_drained(&service);
    Audited::of(&service, &[]).assert_broken(&["Q"], "unknown field \"nonsense\"");
    assert!(ran(&service, &["quarantine", "list"]).contains("entry 3: "));
    let anybody = Client::connect(service.admin_address()).call("GET", "/admin/v1/quarantine", &[], b"");
    assert_eq!(anybody.status, 401);
}

#[test]
fn an_entry_that_somebody_has_looked_at_breaks_the_audit_no_more() {
    settles(Service::start());
}

#[test]
fn an_entry_that_somebody_has_looked_at_breaks_the_audit_no_more_in_postgres() {
    let server = PostgresServer::start(&[]);
    settles(Service::start_with(&[("ledger.url", &server.url())], &[]));
}
