//! The ticket desk over HTTP: from an identity to a claim, and everything that does not get a ticket.

mod allow_list;
mod draw;
mod harness;
mod rules;
mod sources;

use std::path::Path;

use claimrush::domain::ids::{CampaignId, Shard};
use claimrush::guard::challenge::{Challenge, solve};
use claimrush::redis::keys;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use redis::cmd;
use serde_json::{Value, json};

use crate::support::campaign::{DropFile, campaign};
use crate::support::clock::FakeClock;
use crate::support::http::{Answer, Client, request};
use crate::support::outcome;
use crate::support::redis::RedisServer;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

/// Public keys, and one shared secret: the bytes 0 to 31.
const KEY_SET: &str = include_str!("../src/desk/identity/keys/set.json");
/// What a fast test needs.
const EASY: (&str, &str) = ("desk.difficulty", "50");

fn key_file(folder: &Path) -> String {
    let path = folder.join("identity-keys.json");
    std::fs::write(&path, KEY_SET).expect("it is written");
    path.to_str().expect("a path").to_owned()
}

/// A service whose desk believes the key set, with further settings.
pub(crate) fn desk(settings: &[(&str, &str)]) -> (tempfile::TempDir, Service) {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = key_file(folder.path());
    let settings = [&[("desk.keys_file", keys.as_str()), EASY], settings].concat();
    (folder, Service::start_with(&settings, &[]))
}

/// An identity token of an account, with further claims.
pub(crate) fn identity(account: &str, more: &Value) -> String {
    let now_s = jsonwebtoken::get_current_timestamp();
    let mut claims = json!({"sub": account, "exp": now_s + 600});
    for (name, value) in more.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    let header = Header { kid: Some("hs".to_owned()), ..Header::new(Algorithm::HS256) };
    let secret: Vec<u8> = (0..32).collect();
    encode(&header, &claims, &EncodingKey::from_secret(&secret)).expect("it is signed")
}

fn post(service: &Service, path: &str, body: &Value) -> Answer {
    let body = body.to_string();
    Client::connect(service.address()).call(
        "POST",
        path,
        &[("content-type", "application/json")],
        body.as_bytes(),
    )
}

fn challenge(service: &Service, drop: &str) -> Challenge {
    let answer =
        Client::connect(service.address()).call("POST", &format!("/v1/drops/{drop}/challenges"), &[], b"");
    assert_eq!(answer.status, 201, "{answer:?}");
    serde_json::from_value(answer.json()).expect("a challenge")
}

fn solution(service: &Service, drop: &str) -> String {
    solve(&challenge(service, drop)).expect("there is a number")
}

/// Asks for a ticket with a fresh solution.
fn ask(service: &Service, drop: &str, identity: &str) -> Answer {
    let body = json!({"identity": identity, "solution": solution(service, drop)});
    post(service, &format!("/v1/drops/{drop}/tickets"), &body)
}

fn said(answer: &Answer) -> (u16, String) {
    (answer.status, if answer.status == 201 { String::new() } else { answer.text("code") })
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn given() -> (u16, String) {
    (201, String::new())
}

#[test]
fn an_identity_and_some_work_become_a_ticket_and_a_claim() {
    let (_folder, service) = desk(&[("log.level", "debug")]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let identity = identity("+8613800000000", &json!({"dims": {"phone": "secret-phone-hash"}}));
    let answer = ask(&service, "d-1", &identity);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let ticket = answer.text("ticket");
    let claim = service.claim("d-1", &ticket);
    assert_eq!(claim.status, 201);
    // Another ticket is for the same person: one claim.
    let again = service.claim("d-1", &ask(&service, "d-1", &identity).text("ticket"));
    assert_eq!((again.status, again.text("claim_id")), (200, claim.text("claim_id")));
    wait_for("it is in the ledger", PATIENCE, || (service.journal_length() == 0).then_some(()));
    let (exit, rows, _) = outcome(
        &service.command(&["ledger", "export", "--drop", "d-1", "--format", "csv"]).output().unwrap(),
    );
    assert_eq!(exit, 0);
    assert!(rows.contains(",u-") && !rows.contains("13800000000"), "{rows}");
    // Nothing that names anybody reaches a log, not even at debug.
    for secret in ["13800000000", "secret-phone-hash", &ticket, &identity, "eyJ"] {
        assert!(!service.log().contains(secret), "{secret} is in the log");
    }
    let (exit, _, err) = outcome(&service.command(&["audit"]).output().unwrap());
    assert_eq!(exit, 0, "{err}");
}

#[test]
fn nothing_else_becomes_a_ticket() {
    let (_folder, service) = desk(&[("desk.person_per_minute", "600")]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9), DropFile::open("d-2", 9)]));
    let good = identity("ann", &json!({}));
    let expired = identity("ann", &json!({"exp": 1_000}));
    // One character of the signature's first half: the last one has bits that say nothing.
    let (signed, signature) = good.rsplit_once('.').expect("a token");
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{signed}.{first}{}", &signature[1..]);
    for (token, status, code) in [
        ("", 401, "identity_missing"),
        (expired.as_str(), 401, "identity_expired"),
        (forged.as_str(), 401, "identity_invalid"),
        ("a.b.c", 401, "identity_invalid"),
        (&service.ticket("d-1", "ann"), 401, "identity_invalid"),
    ] {
        let answer = ask(&service, "d-1", token);
        assert_eq!(said(&answer), refused(status, code), "{token}");
    }
    let path = "/v1/drops/d-1/tickets";
    let spent = solution(&service, "d-1");
    let with = |solution: &str| said(&post(&service, path, &json!({"identity": good, "solution": solution})));
    assert_eq!(with(&spent), given());
    assert_eq!(with(&spent), refused(403, "challenge_failed"), "once");
    assert_eq!(with(&solution(&service, "d-2")), refused(403, "challenge_failed"), "another drop's");
    assert_eq!(with(""), refused(403, "challenge_failed"));
    let odd = post(&service, path, &json!({"identity": good, "role": "admin"}));
    assert_eq!(said(&odd), refused(400, "bad_request"));
    assert_eq!(ask_nowhere(&service, &json!({})), refused(404, "unknown_drop"));
    let whatever = json!({"role": "admin"});
    assert_eq!(ask_nowhere(&service, &whatever), refused(404, "unknown_drop"), "before what is sent is read");
    let get = Client::connect(service.address()).call("GET", path, &[], b"");
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
}

fn ask_nowhere(service: &Service, body: &Value) -> (u16, String) {
    said(&post(service, "/v1/drops/nowhere/tickets", body))
}

#[test]
fn a_solution_is_spent_by_one_of_many_who_send_it_at_once() {
    let (_folder, service) = desk(&[("desk.person_per_minute", "6000")]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let body = json!({"identity": identity("ann", &json!({})), "solution": solution(&service, "d-1")});
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = || said(&post(&service, "/v1/drops/d-1/tickets", &body));
        let threads: Vec<_> = (0..32).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it asks")).collect()
    });
    assert_eq!(answers.iter().filter(|answer| **answer == given()).count(), 1, "{answers:?}");
}

#[test]
fn one_natural_person_has_one_claim_with_any_number_of_accounts() {
    let (_folder, service) = desk(&[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9), DropFile::open("d-2", 9)]));
    service.apply_ok(&campaign("c-2", &[DropFile::open("d-3", 9)]));
    let account = |n: u32, dims: Value| identity(&format!("account-{n}"), &json!({ "dims": dims }));
    let first = account(1, json!({"phone": "p1", "id_card": "i1", "device": "x1"}));
    assert_eq!(said(&ask(&service, "d-1", &first)), given());
    for (n, dims) in [
        (2, json!({"phone": "p1"})),
        (3, json!({"phone": "p3", "id_card": "i1"})),
        (4, json!({"phone": "p4", "id_card": "i4", "device": "x1"})),
        (5, json!({"device": "x1", "payment": "b5"})),
    ] {
        let answer = ask(&service, "d-2", &account(n, dims));
        assert_eq!(said(&answer), refused(403, "not_eligible"));
        assert!(!String::from_utf8_lossy(&answer.body).contains("union"), "the reason is for staff");
    }
    assert_eq!(service.metric("claimrush_desk_ineligible_total"), Some(4));
    // What a refused account showed besides is nobody's.
    assert_eq!(said(&ask(&service, "d-1", &account(6, json!({"phone": "p3"})))), given());
    assert_eq!(said(&ask(&service, "d-3", &account(2, json!({"phone": "p1"})))), given(), "another campaign");
    // The ledger remembers where Redis has forgotten.
    let bonds = keys::bonds(Shard::FIRST, &CampaignId::new("c-1").expect("an id"));
    let fields: u64 = service.ask_redis(cmd("HLEN").arg(&bonds));
    assert_eq!(fields, 4);
    let _: u64 = service.ask_redis(cmd("DEL").arg(&bonds));
    let other = account(7, json!({"id_card": "i1"}));
    assert_eq!(said(&ask(&service, "d-1", &other)), refused(403, "not_eligible"));
    assert_eq!(said(&ask(&service, "d-1", &first)), given());
    let fields: Vec<String> = service.ask_redis(cmd("HKEYS").arg(&bonds));
    assert!(!fields.is_empty() && fields.iter().all(|field| field.len() > 20), "hashes alone: {fields:?}");
    let (exit, out, err) = outcome(&service.command(&["audit"]).output().unwrap());
    assert_eq!(exit, 0, "{out}{err}");
}

#[test]
fn a_solution_is_spent_once_also_where_the_clock_of_redis_is_ahead() {
    let redis = RedisServer::start(&["appendonly yes", "appendfsync always", "maxmemory-policy noeviction"]);
    let mut clock = FakeClock::new();
    clock.set(-40);
    let (folder, url) = (tempfile::tempdir().expect("a folder"), redis.url());
    let keys = key_file(folder.path());
    let settings = [
        ("redis.url", url.expose()),
        ("desk.keys_file", keys.as_str()),
        EASY,
        ("desk.challenge_valid_s", "30"),
        ("desk.person_per_minute", "600"),
    ];
    let service = Service::start_in(clock.environment(), &settings, &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let body = json!({"identity": identity("ann", &json!({})), "solution": solution(&service, "d-1")});
    let ask = || said(&post(&service, "/v1/drops/d-1/tickets", &body));
    assert_eq!((ask(), ask()), (given(), refused(403, "challenge_failed")));
}
