//! Bans by a call: at once here, soon at other front ends, after a restart, until they end; and what of it is kept.

use claimrush::clock::rfc3339;
use serde_json::{Value, json};

use crate::desk::{desk, identity};
use crate::support::campaign::{DropFile, campaign};
use crate::support::clock::FakeClock;
use crate::support::http::{Answer, Client, bearer};
use crate::support::postgres::PostgresServer;
use crate::support::redis::RedisServer;
use crate::support::service::{PATIENCE, Service};
use crate::support::{outcome, wait_for};

/// Runs `claimrush ban …`.
fn ban(service: &Service, args: &[&str]) -> (i32, String, String) {
    outcome(&service.command(&["ban"]).args(args).output().expect("it runs"))
}

fn ban_ok(service: &Service, args: &[&str]) -> String {
    let (exit, out, err) = ban(service, args);
    assert_eq!((exit, err.as_str()), (0, ""), "{out}");
    out
}

/// Runs `claimrush ban …` in vain: the line that it says.
fn ban_refused(service: &Service, args: &[&str]) -> String {
    let (exit, out, err) = ban(service, args);
    assert_eq!((exit, out.as_str()), (1, ""), "{err}");
    err
}

fn claim(service: &Service, person: &str) -> (u16, String) {
    let answer = service.claim("d-1", &service.ticket("d-1", person));
    (answer.status, if answer.status < 300 { String::new() } else { answer.code() })
}

fn blocked() -> (u16, String) {
    (403, "blocked".to_owned())
}

fn granted(status: u16) -> (u16, String) {
    (status, String::new())
}

fn admin(service: &Service, method: &str, path: &str, body: &Value) -> Answer {
    let token = std::fs::read_to_string(service.data().join("admin.token")).expect("a token");
    let authorization = bearer(token.lines().next().expect("a line").trim());
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let body = if method == "GET" { String::new() } else { body.to_string() };
    Client::connect(service.admin_address()).call(method, path, &headers, body.as_bytes())
}

fn audited(service: &Service) {
    let (exit, out, err) = outcome(&service.command(&["audit"]).output().expect("it runs"));
    assert_eq!(exit, 0, "{out}{err}");
}

#[test]
fn a_ban_holds_at_once_outlasts_a_restart_and_is_lifted() {
    let mut service = Service::start();
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    assert_eq!(claim(&service, "ann"), granted(201));
    assert_eq!(ban_ok(&service, &["list"]), "no bans\n");
    assert_eq!(ban_ok(&service, &["add", "ann", "--reason", "sold vouchers on"]), "ann is banned for ever\n");
    assert_eq!(claim(&service, "ann"), blocked(), "also who has a claim");
    assert_eq!(claim(&service, "bob"), granted(201));
    let list = ban_ok(&service, &["list"]);
    for word in ["ann", "active", "for ever", "admin token", "sold vouchers on"] {
        assert!(list.contains(word), "{list}");
    }
    service.stop();
    service.restart();
    assert_eq!(claim(&service, "ann"), blocked(), "after a restart");
    service.kill();
    service.restart();
    assert_eq!(claim(&service, "ann"), blocked(), "after a crash");
    assert_eq!(ban_ok(&service, &["lift", "ann"]), "ann may take part again\n");
    assert_eq!(claim(&service, "ann"), granted(200), "her claim is there");
    assert_eq!(ban_refused(&service, &["lift", "ann"]), "claimrush: ann is not banned\n");
    assert_eq!(ban_ok(&service, &["list"]), "no bans\n");
    let all = ban_ok(&service, &["list", "--all"]);
    assert!(all.contains("lifted") && all.contains("sold vouchers on (lifted by admin token, "), "{all}");
    service.stop();
    service.restart();
    assert_eq!(claim(&service, "ann"), granted(200), "a lift outlasts a restart too");
    audited(&service);
    assert!(!service.log().contains("ann"), "no person in a log: {}", service.log());
}

/// Who waits for an answer to change asks often.
const GENEROUS: [(&str, &str); 2] = [("limits.person_per_second", "10000"), ("limits.person_burst", "10000")];

#[test]
fn a_ban_ends_by_itself() {
    // By a clock of the test's own, which waits until somebody was refused.
    let mut clock = FakeClock::new();
    let service = Service::start_in(clock.environment(), &GENEROUS, &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let until = rfc3339(clock.now_ms() + 3_600_000);
    let said = ban_ok(&service, &["add", "ann", "--reason", "trial", "--until", &until]);
    assert_eq!(said, format!("ann is banned until {until}\n"));
    let claim = |clock: &FakeClock| {
        let answer = service.claim("d-1", &clock.mint(&service).ticket("d-1", "ann"));
        (answer.status, if answer.status < 300 { String::new() } else { answer.code() })
    };
    assert_eq!(claim(&clock), blocked());
    clock.advance(&service, "d-1", 7_200);
    assert_eq!(claim(&clock), granted(201));
    assert_eq!(ban_refused(&service, &["lift", "ann"]), "claimrush: ann is not banned\n");
    let list = admin(&service, "GET", "/admin/v1/bans", &Value::Null).json();
    assert_eq!((&list["bans"][0]["state"], &list["bans"][0]["until"]), (&json!("expired"), &json!(until)));
    // The next one takes its place.
    ban_ok(&service, &["add", "ann", "--reason", "again"]);
    assert_eq!(claim(&clock), blocked());
    audited(&service);
}

#[test]
fn whoever_is_banned_gets_no_ticket_either() {
    let (_folder, service) = desk(&[("desk.challenge", "none"), ("desk.person_per_minute", "600")]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let ask = || {
        let body = json!({"identity": identity("ann", &json!({}))}).to_string();
        let headers = [("content-type", "application/json")];
        Client::connect(service.address()).call("POST", "/v1/drops/d-1/tickets", &headers, body.as_bytes())
    };
    let ticket = ask().text("ticket");
    let payload = ticket.split('.').nth(1).expect("a payload");
    let payload = data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).expect("base64url");
    let payload: Value = serde_json::from_slice(&payload).expect("JSON");
    let person = payload["sub"].as_str().expect("a person").to_owned();
    ban_ok(&service, &["add", &person, "--reason", "a farm"]);
    let (refused, claimed) = (ask(), service.claim("d-1", &ticket));
    assert_eq!((refused.status, refused.code()), blocked());
    assert_eq!((claimed.status, claimed.code()), blocked());
    ban_ok(&service, &["lift", &person]);
    assert_eq!((ask().status, service.claim("d-1", &ticket).status), (201, 201));
}

#[test]
fn what_is_no_ban_is_refused_and_keeps_nobody_out() {
    let service = Service::start();
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let long = "x".repeat(501);
    for (args, said) in [
        (&["add", "ann", "--reason", " "][..], "reason must have 1 to 500 bytes and no control characters"),
        (&["add", "ann", "--reason", &long], "reason must have 1 to 500 bytes and no control characters"),
        (&["add", "ann", "--reason", "a\nb"], "reason must have 1 to 500 bytes and no control characters"),
        (&["add", "a b", "--reason", "x"], "person: "),
        (&["add", "ann", "--reason", "x", "--until", "soon"], "until \"soon\" must be a date and time like"),
        (&["add", "ann", "--reason", "x", "--until", "2020-01-01T00:00:00Z"], "is past"),
        (&["lift", "ann"], "ann is not banned"),
        (&["lift", "a b"], "a b is not banned"),
    ] {
        let line = ban_refused(&service, args);
        assert!(line.contains(said) && line.lines().count() == 1, "{args:?}: {line}");
    }
    for (method, path, body, status, code) in [
        ("POST", "/admin/v1/bans", json!({"person": "ann"}), 400, "bad_request"),
        ("POST", "/admin/v1/bans", json!({"person": "ann", "reason": "x", "for": 1}), 400, "bad_request"),
        ("POST", "/admin/v1/bans/lift", json!({"person": "ann"}), 404, "unknown_ban"),
        ("GET", "/admin/v1/bans?after=*", Value::Null, 400, "bad_request"),
        ("GET", "/admin/v1/bans?from=1", Value::Null, 400, "bad_request"),
        ("DELETE", "/admin/v1/bans", Value::Null, 405, "method_not_allowed"),
    ] {
        let answer = admin(&service, method, path, &body);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{method} {path} {body}");
    }
    let anybody = Client::connect(service.admin_address()).call("GET", "/admin/v1/bans", &[], b"");
    assert_eq!(anybody.status, 401);
    assert_eq!(claim(&service, "ann"), granted(201));
    assert_eq!(ban_ok(&service, &["list", "--all"]), "no bans\n");
}

#[test]
fn a_ban_by_one_front_end_holds_at_the_other() {
    let server = PostgresServer::start(&[]);
    let redis = RedisServer::start(&["appendonly yes", "appendfsync always", "maxmemory-policy noeviction"]);
    let (redis_url, ledger_url) = (redis.url(), server.url());
    let stores = [("redis.url", redis_url.expose()), ("ledger.url", ledger_url.as_str())];
    let settings = [&stores[..], &GENEROUS].concat();
    let one = Service::start_with(&settings, &[]);
    let keys = one.data().join("ticket.key");
    let keys = [("ticket.key_file", keys.to_str().expect("a path"))];
    let other = Service::start_with(&[&settings[..], &keys].concat(), &["--no-drain"]);
    one.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    other.wait_state("d-1", "open");
    let at_other = |person: &str| {
        let answer = other.claim("d-1", &one.ticket("d-1", person));
        (answer.status, if answer.status < 300 { String::new() } else { answer.code() })
    };
    assert_eq!(at_other("ann"), granted(201));
    ban_ok(&one, &["add", "ann", "--reason", "a farm"]);
    assert_eq!(claim(&one, "ann"), blocked());
    wait_for("the other front end knows", PATIENCE, || (at_other("ann") == blocked()).then_some(()));
    ban_ok(&other, &["lift", "ann"]);
    assert_eq!(at_other("ann"), granted(200));
    wait_for("the first one knows", PATIENCE, || (claim(&one, "ann") == granted(200)).then_some(()));
    // Who comes later knows it from the start.
    ban_ok(&one, &["add", "ann", "--reason", "a farm, again"]);
    let late = Service::start_with(&[&settings[..], &keys].concat(), &["--no-drain"]);
    let answer = late.claim("d-1", &one.ticket("d-1", "ann"));
    assert_eq!((answer.status, answer.code()), blocked());
    wait_for("all is in the ledger", PATIENCE, || (one.journal_length() == 0).then_some(()));
    audited(&one);
}
