//! No secret and no personal number in the logs: a rush at `debug` with every decision logged, all ways to be refused, the desk, vouchers
//! and admin calls; then the log is searched for all that was sent and answered.

use claimrush::guard::ticket::KEY_FILE_NAME;
use serde_json::{Value, json};

use crate::desk::{self, identity};
use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Client, bearer, claims_path};
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

const PHONE: &str = "13800138000";
const ADDRESSES: [&str; 2] = ["203.0.113.77", "2001:db8:77::1"];
const KEY: &str = "idempotency-13900139000";
const DEVICE: &str = "device-of-somebody-1234";

/// One call; what must not be logged of it is kept.
fn call(service: &Service, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let json = [("content-type", "application/json"), ("x-forwarded-for", ADDRESSES[0])];
    let headers = [&json[..], headers].concat();
    let answer = Client::connect(service.address()).call(method, path, &headers, text.as_bytes());
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

fn claims(service: &Service, drop: &str, ticket: &str) -> (u16, Value) {
    let authorization = bearer(ticket);
    let headers = [
        ("authorization", authorization.as_str()),
        ("idempotency-key", KEY),
        ("x-request-id", PHONE),
        ("device-id", DEVICE),
        ("x-real-ip", ADDRESSES[1]),
    ];
    call(service, "POST", &claims_path(drop), &headers, &Value::Null)
}

/// Somebody goes through the desk to a claim and looks at its voucher; all that was said.
fn honest(service: &Service) -> Vec<String> {
    let token = identity(PHONE, &json!({"dims": {"phone": "hash-of-a-phone", "id_card": "hash-of-a-card"}}));
    let (_, challenge) = call(service, "POST", "/v1/drops/d-1/challenges", &[], &Value::Null);
    let solution =
        claimrush::guard::challenge::solve(&serde_json::from_value(challenge).expect("a challenge"));
    let solution = solution.expect("there is a number");
    let asked = json!({"identity": token, "solution": solution, "device": DEVICE});
    let (status, given) = call(service, "POST", "/v1/drops/d-1/tickets", &[], &asked);
    assert_eq!(status, 201, "{given}");
    let ticket = given["ticket"].as_str().expect("a ticket").to_owned();
    // The same solution is spent.
    assert_eq!(call(service, "POST", "/v1/drops/d-1/tickets", &[], &asked).0, 403);
    let (status, claim) = claims(service, "d-1", &ticket);
    assert_eq!(status, 201, "{claim}");
    assert_eq!(claims(service, "d-1", &ticket).0, 200);
    let code = claim["voucher"].as_str().expect("a code").to_owned();
    let authorization = bearer(&ticket);
    let headers = [("authorization", authorization.as_str())];
    assert_eq!(call(service, "GET", &format!("/v1/vouchers/{code}"), &headers, &Value::Null).0, 200);
    let wrong = format!("{}{}", &code[..code.len() - 1], if code.ends_with('0') { '1' } else { '0' });
    assert_eq!(call(service, "GET", &format!("/v1/vouchers/{wrong}"), &headers, &Value::Null).0, 404);
    let payload =
        ticket.split('.').nth(1).and_then(|part| data_encoding::BASE64URL_NOPAD.decode(part.as_bytes()).ok());
    let payload: Value = serde_json::from_slice(&payload.expect("base64")).expect("JSON");
    let person = payload["sub"].as_str().expect("a person").to_owned();
    let mut said: Vec<_> = token.split('.').chain(ticket.split('.')).map(str::to_owned).collect();
    said.extend([solution, code, person]);
    said
}

/// Every way to be refused that is cheap to take; the tickets.
fn refused(service: &Service) -> Vec<String> {
    let (now_ms, mint) = (claimrush::clock::Clock::System.now_ms(), service.mint());
    let ann = mint.ticket("d-1", "ann-wang-person");
    let ways = [
        ("d-1", mint.ticket_from("d-1", "bob-li-person", now_ms - 10_800_000), 401),
        ("d-1", mint.ticket("later", "bob-li-person"), 401),
        ("d-1", format!("{}xx", &ann[..ann.len() - 2]), 401),
        ("later", mint.ticket("later", "bob-li-person"), 425),
        ("over", mint.ticket("over", "bob-li-person"), 410),
        (PHONE, mint.ticket("d-1", "bob-li-person"), 404),
    ];
    for (drop, ticket, status) in &ways {
        assert_eq!(claims(service, drop, ticket).0, *status, "{drop}");
    }
    // One unit was left; whoever comes next is too late, and whoever goes on is too often there.
    assert_eq!(claims(service, "d-1", &ann).0, 201);
    let cid = mint.ticket("d-1", "cid-zhao-person");
    let last = wait_for("somebody comes too often", PATIENCE, || {
        let status = claims(service, "d-1", &cid).0;
        assert!([410, 429].contains(&status), "{status}");
        (status == 429).then_some(status)
    });
    assert_eq!(last, 429);
    assert_eq!(call(service, "POST", "/v1/drops/d-1/tickets", &[], &json!({"identity": PHONE})).0, 401);
    assert_eq!(call(service, "POST", "/v1/drops/d-1/tickets", &[], &json!({"phone": PHONE})).0, 400);
    assert_eq!(call(service, "GET", &format!("/v1/{PHONE}"), &[], &Value::Null).0, 404);
    ways.into_iter().map(|(_, ticket, _)| ticket).chain([ann, cid]).collect()
}

/// Staff, with the right token and with a wrong one; both.
fn staff(service: &Service) -> Vec<String> {
    let token =
        std::fs::read_to_string(service.data().join("admin.token")).expect("it is there").trim().to_owned();
    for (given, status) in [(token.as_str(), 200), ("a-wrong-admin-token", 401)] {
        for path in ["/admin/v1/campaigns", "/admin/v1/receipts", "/admin/v1/recovery"] {
            let headers = [("authorization", &*bearer(given))];
            let answer = Client::connect(service.admin_address()).call("GET", path, &headers, b"");
            assert_eq!(answer.status, status, "{path}");
        }
    }
    let (exit, _, _) = service.apply("id = \"bad\"\nname = 7\n");
    assert_ne!(exit, 0);
    vec![token, "a-wrong-admin-token".to_owned()]
}

#[test]
fn a_rush_at_debug_tells_no_secret_and_nobodys_number() {
    let settings = [
        ("log.level", "debug"),
        ("log.format", "json"),
        ("log.decisions", "all"),
        ("desk.person_per_minute", "600"),
        ("limits.person_per_second", "1"),
        ("server.trusted_proxies", "127.0.0.0/8"),
    ];
    let (_folder, service) = desk::desk(&settings);
    let drops = [
        DropFile::open("d-1", 2),
        DropFile::open("d-2", 5),
        DropFile::open("later", 5).not_open(),
        DropFile::open("over", 5).closed(),
    ];
    service.apply_ok(&campaign("c-1", &drops));
    let mut secrets = honest(&service);
    secrets.extend(refused(&service));
    secrets.extend(staff(&service));
    let keys = std::fs::read_to_string(service.data().join(KEY_FILE_NAME)).expect("it is there");
    secrets.extend(keys.split('"').skip(1).step_by(2).filter(|text| text.len() > 16).map(str::to_owned));
    for person in ["ann-wang", "bob-li", "cid-zhao", "hash-of-a"] {
        secrets.push(person.to_owned());
    }
    secrets.extend([PHONE, KEY, DEVICE, "eyJ"].into_iter().chain(ADDRESSES).map(str::to_owned));
    // With Redis away the log says so, and of nobody.
    let frozen = service.freeze_redis();
    let ticket = service.ticket("d-2", "dan-sun-person");
    assert_eq!(claims(&service, "d-2", &ticket).0, 503);
    drop(frozen);
    secrets.extend([ticket, "dan-sun".to_owned()]);
    let log = service.log();
    let decided = log.lines().filter(|line| line.contains("\"decided\"")).count();
    let debug = log.lines().filter(|line| line.contains("\"DEBUG\"")).count();
    assert!(decided > 15 && debug > 10, "the log says nothing: {log}");
    for secret in &secrets {
        assert!(secret.len() > 1 && !log.contains(secret.as_str()), "{secret} is in the log");
    }
}
