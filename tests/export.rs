//! `claimrush ledger export`, through the built binary on a real service.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::redemptions::street::{Street, order};
use crate::support::campaign::{DropFile, campaign};
use crate::support::http::Client;
use crate::support::service::{PATIENCE, Service};
use crate::support::{outcome, wait_for};

const PERSONS: [&str; 5] = ["ann", "a,b", "say\"so\"", "=1+1", "-2"];

fn export(service: &Service, drop: &str, args: &[&str]) -> (i32, String, String) {
    let mut command = service.command(&["ledger", "export", "--drop", drop]);
    outcome(&command.args(args).output().expect("it runs"))
}

fn claimed() -> (Service, Vec<Value>) {
    let service = Service::start();
    service.apply_ok(&campaign("a", &[DropFile::open("a-1", 40), DropFile::open("a-2", 40)]));
    let mut client = Client::connect(service.address());
    let claims = PERSONS.map(|person| client.claim("a-1", &service.ticket("a-1", person)).json());
    wait_for("the journal is empty", PATIENCE, || (service.journal_length() == 0).then_some(()));
    (service, claims.into())
}

#[test]
fn the_exports_say_what_clients_were_told_running_and_stopped() {
    let (mut service, claims) = claimed();
    let mut before = None;
    for _ in ["running", "stopped"] {
        let (exit, text, err) = export(&service, "a-1", &["--format", "csv"]);
        assert_eq!((exit, err.as_str()), (0, ""));
        assert!(text.starts_with("claim_id,drop,shard,epoch,seq,person,status,claimed_at\n"), "{text}");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), PERSONS.len());
        for ((row, claim), person) in rows.iter().zip(&claims).zip(PERSONS) {
            let told = |field: &str| claim[field].as_str().unwrap().to_owned();
            let seq = claim["seq"].to_string();
            let (id, at) = (told("claim_id"), told("claimed_at"));
            assert_eq!(row, vec![id.as_str(), "a-1", "0", "1", &seq, person, "issued", &at]);
        }
        let (exit, text, _) = export(&service, "a-1", &["--format", "json"]);
        let objects: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert_eq!((exit, objects.len()), (0, PERSONS.len()));
        assert_eq!((objects[3]["person"].as_str(), objects[3]["seq"].as_u64()), (Some("=1+1"), Some(4)));
        let now = Some((rows, objects));
        assert!(before.is_none() || before == now);
        before = now;
        if service.try_redis_pid().is_some() {
            service.stop();
        }
    }
}

#[test]
fn each_claim_stands_as_the_ledger_has_it() {
    let street = Street::open(None);
    let items = [
        DropFile::open("phone", 5).item("hold_for = \"1s\""),
        DropFile::open("desk", 5).item("hold_for = \"15m\""),
    ];
    street.service.apply_ok(&campaign("sale", &items));
    let till = street.key("m-1");
    let codes = ["ann", "bob", "cid"].map(|person| street.voucher(person).0);
    assert_eq!(street.redeem(&till, &codes[0], "k-1", &order("o-1", "6.00")).status, 201);
    street.ran(&["voucher", "freeze", &codes[1], "--reason", "a broker's"]);
    for drop in ["phone", "desk"] {
        assert_eq!(street.service.claim(drop, &street.service.ticket(drop, "ann")).status, 201);
    }
    let statuses = |drop: &str| -> Vec<String> {
        let (exit, text, err) = export(&street.service, drop, &["--format", "csv"]);
        assert_eq!((exit, err.as_str()), (0, ""));
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        reader.records().map(|row| row.unwrap()[6].to_owned()).collect()
    };
    street.wait_drained();
    assert_eq!(statuses("d-1"), ["redeemed", "frozen", "issued"]);
    assert_eq!(statuses("desk"), ["held"]);
    wait_for("it lapses", PATIENCE, || (statuses("phone") == ["lapsed"]).then_some(()));
    street.wait_drained();
    assert_eq!(statuses("phone"), ["lapsed"], "its unit went back as well");
}

#[test]
fn a_file_takes_its_name_when_it_is_whole_and_is_for_its_owner_alone() {
    let (service, _) = claimed();
    for format in ["csv", "json", "xlsx"] {
        let out = service.data().join(format!("claims.{format}"));
        std::fs::write(&out, "what stood there before").unwrap();
        let (exit, text, err) =
            export(&service, "a-1", &["--format", format, "--out", out.to_str().unwrap()]);
        assert_eq!((exit, text.as_str(), err.as_str()), (0, "", ""), "{format}");
        assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
        let mut head = [0; 2];
        std::fs::File::open(&out).unwrap().read_exact(&mut head).unwrap();
        assert_eq!(
            &head,
            match format {
                "csv" => b"cl",
                "json" => b"[\n",
                _ => b"PK",
            }
        );
    }
    // A workbook goes through a pipe as well, whole.
    for args in [&["--format", "xlsx"][..], &["--format", "xlsx", "--out", "/dev/stdout"]] {
        let mut command = service.command(&["ledger", "export", "--drop", "a-1"]);
        let output = command.args(args).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        // The end of a zip archive: 22 bytes that begin so.
        let end = output.stdout.len().checked_sub(22).map(|at| &output.stdout[at..at + 4]);
        assert_eq!((&output.stdout[..4], end), (&b"PK\x03\x04"[..], Some(&b"PK\x05\x06"[..])), "{args:?}");
    }
    let nowhere = service.data().join("gone/claims.csv");
    let (exit, _, err) = export(&service, "a-1", &["--format", "csv", "--out", nowhere.to_str().unwrap()]);
    assert_eq!((exit, err.lines().count()), (1, 1), "{err}");
}

#[test]
fn an_empty_drop_has_a_header_and_an_unknown_one_is_refused() {
    let (service, _) = claimed();
    let header = "claim_id,drop,shard,epoch,seq,person,status,claimed_at\n";
    assert_eq!(export(&service, "a-2", &["--format", "csv"]), (0, header.to_owned(), String::new()));
    let refused = "claimrush: the ledger has no drop \"a-9\"\n";
    assert_eq!(export(&service, "a-9", &["--format", "csv"]), (1, String::new(), refused.to_owned()));
}

#[test]
fn what_cannot_be_written_whole_is_a_failure() {
    let service = Service::start();
    service.apply_ok(&campaign("a", &[DropFile::open("a-1", 40)]));
    for args in [
        &["audit"][..],
        &["audit", "verify"],
        &["audit", "--json"],
        &["campaign", "list"],
        &["books", "postings", "a", "--csv"],
        &["key", "add", "--role", "finance", "--name", "ann"],
        &["check-config"],
        &["ledger", "export", "--drop", "a-1", "--format", "csv"],
        &["ledger", "export", "--drop", "a-1", "--format", "xlsx"],
        &["ticket", "mint", "--drop", "a-1", "--user", "ann"],
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let (exit, _, err) = outcome(&service.command(args).stdout(full).output().expect("it runs"));
        assert_eq!(exit, 1, "{args:?}: {err}");
        assert!(err.contains("No space left on device"), "{args:?}: {err}");
    }
}
