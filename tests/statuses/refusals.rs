//! What somebody is told who gets nothing, while all is well with the service.

use claimrush::clock::Clock;
use claimrush::guard::ticket::KeyFile;

use super::{assert_problem, retry_after_s};
use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Client, bearer, claim_request, claims_path, request};
use crate::support::mint::Mint;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

const TWO_HOURS_MS: i64 = 2 * 3_600_000;

/// Whatever is asked, on a connection of its own, with the status and code that answer it.
struct Row {
    what: &'static str,
    bytes: Vec<u8>,
    status: u16,
    code: &'static str,
}

fn row(what: &'static str, bytes: Vec<u8>, status: u16, code: &'static str) -> Row {
    Row { what, bytes, status, code }
}

fn post(drop: &str, ticket: &str, header: (&str, &str), body: &[u8]) -> Vec<u8> {
    request("POST", &claims_path(drop), &[("authorization", &bearer(ticket)), header], body)
}

/// A claim with more headers behind its ticket's.
fn twice(drop: &str, ticket: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let authorization = bearer(ticket);
    request("POST", &claims_path(drop), &[&[("authorization", authorization.as_str())], more].concat(), b"")
}

fn assert_rows(service: &Service, rows: Vec<Row>) {
    for Row { what, bytes, status, code } in rows {
        let mut client = Client::connect(service.address());
        client.send(&bytes);
        assert_problem(what, &client.answer(), status, code);
    }
}

fn tickets(service: &Service) -> Vec<Row> {
    let mint = service.mint();
    let now_ms = Clock::System.now_ms();
    let forged = Mint::new(&KeyFile::generate()).ticket("d-1", "ann");
    let good = mint.ticket("d-1", "ann");
    let unsigned = good.rsplit_once('.').map(|(signed, _)| format!("{signed}.")).expect("a JWT");
    let no_ticket = request("POST", &claims_path("d-1"), &[], b"");
    let basic = request("POST", &claims_path("d-1"), &[("authorization", "Basic YTpi")], b"");
    let claim = |ticket: &str| claim_request("d-1", ticket);
    vec![
        row("no ticket", no_ticket, 401, "ticket_missing"),
        row("another scheme", basic, 401, "ticket_invalid"),
        row("garbage", claim("garbage"), 401, "ticket_invalid"),
        row("forged", claim(&forged), 401, "ticket_invalid"),
        row("unsigned", claim(&unsigned), 401, "ticket_invalid"),
        row("for another drop", claim(&mint.ticket("past", "ann")), 401, "ticket_invalid"),
        row("expired", claim(&mint.ticket_from("d-1", "ann", now_ms - TWO_HOURS_MS)), 401, "ticket_expired"),
        row("early", claim(&mint.ticket_from("d-1", "ann", now_ms + TWO_HOURS_MS)), 401, "ticket_invalid"),
        row("two of them", twice("d-1", &good, &[("authorization", "Bearer x")]), 401, "ticket_invalid"),
        row(
            "the same twice",
            twice("d-1", &good, &[("authorization", &bearer(&good))]),
            401,
            "ticket_invalid",
        ),
        row("nobody's", request("GET", "/v1/drops/d-1/claims/mine", &[], b""), 401, "ticket_missing"),
    ]
}

fn requests(service: &Service) -> Vec<Row> {
    let (ticket, pair) = (service.ticket("d-1", "ann"), service.ticket("pair", "ann"));
    let json = ("content-type", "application/json");
    let large = vec![b' '; 17 * 1024];
    let long_path = format!("/v1/drops/{}/claims", "x".repeat(1_100));
    let long_header = "x".repeat(17 * 1024);
    let many: Vec<(String, &str)> = (0..70).map(|n| (format!("x-{n}"), "1")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let get = |path: &str| request("GET", path, &[], b"");
    vec![
        row("no JSON", post("d-1", &ticket, json, b"{"), 400, "bad_request"),
        row("no JSON object", post("d-1", &ticket, json, b"[1]"), 400, "bad_request"),
        row("no key", claim_request("pair", &pair), 400, "idempotency_key_required"),
        row("an empty key", post("pair", &pair, ("idempotency-key", ""), b""), 400, "bad_request"),
        row(
            "a long key",
            post("pair", &pair, ("idempotency-key", &"k".repeat(129)), b""),
            400,
            "bad_request",
        ),
        row("a foreign key", post("pair", &pair, ("idempotency-key", "schlüssel"), b""), 400, "bad_request"),
        row("a key with a blank", post("pair", &pair, ("idempotency-key", "a b"), b""), 400, "bad_request"),
        row(
            "two keys",
            twice("pair", &pair, &[("idempotency-key", "a"), ("idempotency-key", "b")]),
            400,
            "bad_request",
        ),
        row("a key twice", twice("pair", &pair, &[("idempotency-key", "a"); 2]), 400, "bad_request"),
        row("no such path", get("/v1/nothing"), 404, "not_found"),
        row("no such drop", get("/v1/drops/none"), 404, "unknown_drop"),
        row("no such drop to claim in", claim_request("none", &ticket), 404, "unknown_drop"),
        row("no such campaign", get("/v1/campaigns/none"), 404, "unknown_campaign"),
        row("a large body", post("d-1", &ticket, json, &large), 413, "payload_too_large"),
        row("a long target", request("POST", &long_path, &[], b""), 414, "target_too_long"),
        row(
            "a long host in it",
            get(&format!("http://{}/v1/time", "x".repeat(1_100))),
            414,
            "target_too_long",
        ),
        row(
            "another type",
            post("d-1", &ticket, ("content-type", "text/plain"), b"x"),
            415,
            "unsupported_media_type",
        ),
        row("a long header", post("d-1", &ticket, ("x-long", &long_header), b""), 431, "headers_too_large"),
        row("many headers", request("GET", "/v1/drops/d-1", &many, b""), 431, "headers_too_large"),
    ]
}

#[test]
fn requests_and_tickets_that_are_wrong() {
    let service = Service::start_with(&[("limits.person_burst", "100")], &[]);
    let drops = [DropFile::open("d-1", 5), DropFile::open("pair", 5).limit(2), DropFile::open("past", 5)];
    service.apply_ok(&campaign("c", &drops));
    assert_rows(&service, tickets(&service));
    assert_rows(&service, requests(&service));

    let mine = service.mine("d-1", &service.ticket("d-1", "ann"));
    assert_problem("holds nothing", &mine, 404, "no_claim");
    let unauthorized = service.claim("d-1", "garbage");
    assert_eq!(unauthorized.header("www-authenticate"), Some("Bearer"));
    for (method, path, allow) in [
        ("GET", "/v1/drops/d-1/claims", "POST"),
        ("DELETE", "/v1/drops/d-1/claims", "POST"),
        ("POST", "/v1/drops/d-1/claims/mine", "GET, HEAD"),
        ("PUT", "/v1/drops/d-1", "GET, HEAD"),
        ("POST", "/v1/campaigns/c", "GET, HEAD"),
    ] {
        let answer = Client::connect(service.address()).call(method, path, &[], b"");
        assert_problem(&format!("{method} {path}"), &answer, 405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
    for drop in ["d-1", "pair"] {
        assert_eq!(service.drop_state(drop).json()["stock_left"], 5, "nobody was given anything");
    }
}

#[test]
fn drops_that_give_nothing_now() {
    let service = Service::start();
    let drops = [
        DropFile::open("tiny", 1),
        DropFile::open("pair", 5).limit(2),
        DropFile::open("later", 5).not_open(),
        DropFile::open("past", 5).closed(),
    ];
    service.apply_ok(&campaign("c", &drops));
    service.apply_ok(&campaign("p", &[DropFile::open("halted", 5)]));
    assert_eq!(service.campaign(&["pause", "p"]), (0, "p is paused\n".to_owned(), String::new()));
    let claim = |drop: &str, person: &str| service.claim(drop, &service.ticket(drop, person));

    assert_eq!(claim("tiny", "ann").status, 201);
    let sold_out = claim("tiny", "bob");
    assert_problem("sold out", &sold_out, 410, "sold_out");
    assert_eq!(retry_after_s(&sold_out), None);
    assert_problem("closed", &claim("past", "ann"), 410, "closed");
    let early = claim("later", "ann");
    assert_problem("not open", &early, 425, "not_open");
    let wait_s = retry_after_s(&early).expect("it can be waited for");
    assert!((3_000..=3_600).contains(&wait_s), "{wait_s} s until it opens in an hour");
    let paused = claim("halted", "ann");
    assert_problem("paused", &paused, 503, "paused");
    assert_eq!(retry_after_s(&paused), Some(5));

    for (drop, state) in [
        ("tiny", "sold_out"),
        ("later", "scheduled"),
        ("past", "closed"),
        ("halted", "paused"),
        ("pair", "open"),
    ] {
        service.wait_state(drop, state);
    }
}

#[test]
fn a_person_who_asks_too_often_is_told_when_to_come_back() {
    let limits = [("limits.person_per_second", "1"), ("limits.person_burst", "3")];
    let service = Service::start_with(&limits, &[]);
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 5)]));
    let ann = service.ticket("d-1", "ann");
    let mut client = Client::connect(service.address());
    let limited = wait_for("ann is limited", PATIENCE, || {
        let answer = client.claim("d-1", &ann);
        assert!([200, 201, 429].contains(&answer.status), "{}", answer.status);
        (answer.status == 429).then_some(answer)
    });
    assert_problem("too often", &limited, 429, "rate_limited");
    assert_eq!(retry_after_s(&limited), Some(1));
    assert_eq!(client.claim("d-1", &service.ticket("d-1", "bob")).status, 201, "others are not held up");
    wait_for("ann may come back", PATIENCE, || (client.claim("d-1", &ann).status == 200).then_some(()));
}
