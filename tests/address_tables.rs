//! Address tables in a running service: rules at the desk, the limit by autonomous system, files that change, and wrong ones.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;

use crate::attacks::seconds_since;
use crate::desk::{desk, identity};
use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Answer, Client, bearer, claims_path};
use crate::support::mmdb::{Table, place, system};
use crate::support::service::{PATIENCE, Service};
use crate::support::{claimrush, folder, outcome, wait_for};

/// A balancer stands on this machine.
const BEHIND_A_PROXY: (&str, &str) = ("server.trusted_proxies", "127.0.0.0/8");

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    // As an updater does it: whoever looks sees the one before or the whole new one.
    std::fs::write(folder.join("new"), bytes).expect("it is written");
    std::fs::rename(folder.join("new"), &path).expect("it is renamed");
    path
}

fn regions(yunnan: &str, beijing: &str) -> Vec<u8> {
    Table::of("GeoLite2-City", &[(yunnan, place("CN", &["YN"])), (beijing, place("CN", &["BJ"]))])
}

/// A campaign that lets in who asks from Yunnan.
fn for_yunnan() -> String {
    let text = campaign("c-1", &[DropFile::open("d-1", 9)]);
    text.replacen("[[drop]]", "eligibility = { address_regions = [\"53\"] }\n[[drop]]", 1)
}

/// Asks the desk for a ticket, from an address.
fn ask_from(service: &Service, account: &str, address: Option<&str>) -> Answer {
    let body = json!({"identity": identity(account, &json!({}))}).to_string();
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(address.map(|address| ("x-forwarded-for", address)));
    Client::connect(service.address()).call("POST", "/v1/drops/d-1/tickets", &headers, body.as_bytes())
}

fn claim_from(service: &Service, person: &str, address: &str) -> Answer {
    let authorization = bearer(&service.ticket("d-1", person));
    let headers = [("authorization", authorization.as_str()), ("x-forwarded-for", address)];
    Client::connect(service.address()).call("POST", &claims_path("d-1"), &headers, b"")
}

fn desk_with(table: &Path) -> (tempfile::TempDir, Service) {
    desk(&[
        BEHIND_A_PROXY,
        ("desk.challenge", "none"),
        ("desk.person_per_minute", "60000"),
        ("desk.address_per_minute", "60000"),
        ("guard.region_table", table.to_str().expect("a path")),
    ])
}

#[test]
fn who_asks_from_elsewhere_gets_no_ticket_and_no_reason() {
    let files = folder();
    let table = write(files.path(), "regions.mmdb", &regions("192.0.2.0/24", "198.51.100.0/24"));
    let (_folder, service) = desk_with(&table);
    service.apply_ok(&for_yunnan());
    for (address, status) in [
        (Some("192.0.2.7"), 201),
        (Some("198.51.100.7"), 403),
        (Some("203.0.113.7"), 403),
        (Some("2001:db8::1"), 403),
        // What the client wrote itself stands left of what the balancer saw.
        (Some("192.0.2.7, 198.51.100.7"), 403),
        (None, 403),
    ] {
        let answer = ask_from(&service, "ann", address);
        assert_eq!(answer.status, status, "{address:?}: {answer:?}");
        if status == 403 {
            assert_eq!(answer.code(), "not_eligible");
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(!text.contains("address") && !text.contains("region"), "the reason is for staff: {text}");
        }
    }
    let metrics = Client::connect(service.admin_address()).call("GET", "/metrics", &[], b"");
    let metrics = String::from_utf8(metrics.body).expect("text");
    for (rule, count) in [("address_region", 2), ("address_unknown", 3)] {
        let line = format!("claimrush_desk_ineligible_total{{rule=\"{rule}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}");
    }
}

#[test]
fn a_table_that_changes_is_read_again_and_a_wrong_one_is_not_believed() {
    let files = folder();
    let table = write(files.path(), "regions.mmdb", &regions("192.0.2.0/24", "198.51.100.0/24"));
    let (_folder, service) = desk_with(&table);
    service.apply_ok(&for_yunnan());
    let ask = |address| ask_from(&service, "ann", Some(address)).status;
    assert_eq!((ask("192.0.2.7"), ask("198.51.100.7")), (201, 403));
    write(files.path(), "regions.mmdb", &regions("198.51.100.0/24", "192.0.2.0/24"));
    wait_for("the new table is read", PATIENCE, || (ask("198.51.100.7") == 201).then_some(()));
    assert_eq!(ask("192.0.2.7"), 403);
    let systems = Table::of("GeoLite2-ASN", &[("192.0.2.0/24", system(64_496))]);
    for (wrong, said) in [
        (&systems[..], "is a table of \\\"GeoLite2-ASN\\\", which names no region of China"),
        (&b"half a table"[..], "is no table in MaxMind's format"),
    ] {
        write(files.path(), "regions.mmdb", wrong);
        wait_for("the log says so", PATIENCE, || {
            let log = service.log().replace("\\\"", "\"");
            let said = said.replace("\\\"", "\"");
            (log.contains("the one before holds on") && log.contains(&said)).then_some(())
        });
        assert_eq!((ask("192.0.2.7"), ask("198.51.100.7")), (403, 201), "the one before holds on");
    }
    std::fs::remove_file(&table).expect("it is there");
    write(files.path(), "regions.mmdb", &regions("192.0.2.0/24", "198.51.100.0/24"));
    wait_for("it is believed again", PATIENCE, || (ask("192.0.2.7") == 201).then_some(()));
}

#[test]
fn a_rule_that_nobody_can_judge_is_refused_and_lets_nobody_in() {
    let (_folder, service) = desk(&[("desk.challenge", "none")]);
    let refused = "claimrush: c.toml: line 5: address_regions needs an address-to-region table, and guard.region_table of this \
                   service names none\n";
    assert_eq!(service.apply(&for_yunnan()), (1, String::new(), refused.to_owned()));
    let files = folder();
    let table = write(files.path(), "regions.mmdb", &regions("192.0.2.0/24", "198.51.100.0/24"));
    let (_folder, mut service) = desk_with(&table);
    service.apply_ok(&for_yunnan());
    assert_eq!(ask_from(&service, "ann", Some("192.0.2.7")).status, 201);
    // Started again without the table that the campaign needs.
    service.stop();
    service.restart_without("guard.region_table");
    let answer = ask_from(&service, "ann", Some("192.0.2.7"));
    assert_eq!((answer.status, answer.code()), (503, "unavailable".to_owned()));
    assert!(service.log().contains("guard.region_table is not set"), "{}", service.log());
}

/// The file as a draft.
fn draft(service: &Service, file: &str) -> (i32, String, String) {
    let path = service.data().join("c.toml");
    std::fs::write(&path, file).expect("it is written");
    service.campaign(&["draft", &path.to_string_lossy()])
}

#[test]
fn a_rule_that_nobody_can_judge_is_refused_as_a_draft_too() {
    let needs = "address_regions needs an address-to-region table";
    let (_folder, service) = desk(&[("desk.challenge", "none"), ("backoffice.approval", "two-person")]);
    let day = "opens_at = \"2023-11-20T10:00:00\"\nopen_for = \"8h\"\nevery = \"1d\"\ncount = 2\n";
    let in_wave = format!(
        "id = \"w\"\nbudget = \"9.00 CNY\"\ntime_zone = \"Asia/Shanghai\"\n[[wave]]\nid = \"w\"\n{day}stock = 1\n\
         limit_per_person = 1\neligibility = {{ address_regions = [\"53\"] }}\n"
    );
    for (file, line) in [(for_yunnan(), 5), (in_wave, 12)] {
        let (exit, out, err) = draft(&service, &file);
        assert_eq!((exit, out.as_str()), (1, ""), "{err}");
        assert!(err.contains(&format!("line {line}: {needs}")), "{err}");
    }
    assert_eq!(service.campaign(&["drafts"]).1, "no drafts\n");

    // Drafted where there was a table, and approved or copied where there is none any more.
    let files = folder();
    let table = write(files.path(), "regions.mmdb", &regions("192.0.2.0/24", "198.51.100.0/24"));
    let (_folder, mut service) = desk_with(&table);
    service.apply_ok(&for_yunnan());
    let (exit, _, err) = draft(&service, &for_yunnan().replace("stock = 9", "stock = 10"));
    assert_eq!(exit, 0, "{err}");
    service.stop();
    service.restart_without("guard.region_table");
    for args in [&["approve", "c-1"][..], &["copy", "c-1", "c-2", "--opens-at", "+3600"]] {
        let (exit, _, err) = service.campaign(args);
        assert!(exit == 1 && err.contains(needs), "{args:?}: {err}");
    }
    let (_, out, _) = service.campaign(&["drafts"]);
    assert!(out.contains("waiting") && !out.contains("c-2"), "{out}");
    assert_eq!(service.drop_state("d-1").json()["stock_total"], 9);
}

#[test]
fn a_service_does_not_start_with_a_table_that_is_wrong() {
    let files = folder();
    let systems = Table::of("GeoLite2-ASN", &[("192.0.2.0/24", system(64_496))]);
    let systems = write(files.path(), "asn.mmdb", &systems);
    let text = write(files.path(), "text.mmdb", b"person,until,reason\n");
    let gone = files.path().join("gone.mmdb");
    for (key, path, cause) in [
        ("region_table", &gone, "No such file or directory (os error 2)"),
        ("region_table", &systems, "is a table of \"GeoLite2-ASN\", which names no region of China"),
        ("asn_table", &text, "is no table in MaxMind's format: "),
    ] {
        let work = folder();
        let mut serve = claimrush(work.path());
        let addresses =
            [("CLAIMRUSH_SERVER__LISTEN", "127.0.0.1:0"), ("CLAIMRUSH_SERVER__ADMIN_LISTEN", "127.0.0.1:0")];
        serve.envs(addresses).env(format!("CLAIMRUSH_GUARD__{}", key.to_uppercase()), path).arg("serve");
        let (exit, out, err) = outcome(&serve.output().expect("it runs"));
        let line = format!("claimrush: config: guard.{key}: {}: {cause}", path.display());
        assert_eq!((exit, out.as_str(), err.lines().count()), (64, "", 1), "{err}");
        assert!(err.starts_with(&line), "{err}");
    }
}

#[test]
fn an_autonomous_system_comes_only_so_often() {
    let files = folder();
    let table = Table::of(
        "GeoLite2-ASN",
        &[
            ("192.0.2.0/24", system(64_496)),
            ("2001:db8::/32", system(64_496)),
            ("198.51.100.0/24", system(64_497)),
        ],
    );
    let table = write(files.path(), "asn.mmdb", &table);
    let service = Service::start_with(
        &[
            BEHIND_A_PROXY,
            ("guard.asn_table", table.to_str().expect("a path")),
            ("limits.asn_per_second", "1"),
            ("limits.asn_burst", "20"),
            ("limits.asn_exempt", "AS64497, 64499"),
        ],
        &[],
    );
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 900)]));
    let farm =
        (0..100).map(|n| if n % 2 == 0 { format!("192.0.2.{n}") } else { format!("2001:db8:{n:x}::1") });
    let mut refused = Vec::new();
    let began = Instant::now();
    for (n, address) in farm.enumerate() {
        let answer = claim_from(&service, &format!("farm-{n}"), &address);
        if answer.status == 429 {
            refused.push(answer);
        }
    }
    let slack = seconds_since(began).min(79);
    assert!((80 - slack..=80).contains(&refused.len()), "{} refused", refused.len());
    let limit = refused[0].header("ratelimit").expect("a header");
    assert!(limit.starts_with("\"asn\";r=0;t="), "{limit}");
    assert_eq!(refused[0].header("ratelimit-policy"), Some("\"asn\";q=20;w=20"));
    assert!(refused[0].header("retry-after").is_some());
    for n in 0..25 {
        let exempt = claim_from(&service, &format!("carrier-{n}"), &format!("198.51.100.{n}"));
        let unknown = claim_from(&service, &format!("nowhere-{n}"), &format!("203.0.113.{n}"));
        let direct = service.claim("d-1", &service.ticket("d-1", &format!("direct-{n}")));
        assert_eq!((exempt.status, unknown.status, direct.status), (201, 201, 201));
    }
}
