//! The claim page as the service serves it: files and their headers, the hand-over of a login, the list of campaigns, callers from
//! other origins, and the demo's desk. What it does in a browser is in `browser`.

mod browser;
mod words;

use claimrush::clock::Clock;
use serde_json::json;

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Answer, Client};
use crate::support::service::Service;

fn get(service: &Service, path: &str, headers: &[(&str, &str)]) -> Answer {
    Client::connect(service.address()).call("GET", path, headers, b"")
}

/// A file that the document names, by the beginning of its name.
fn named(document: &Answer, name: &str) -> String {
    let html = String::from_utf8(document.body.clone()).expect("text");
    let found = html.split(['"', '=', ';']).find(|word| word.starts_with(&format!("/assets/{name}.")));
    found.unwrap_or_else(|| panic!("{name} is not in {html}")).to_owned()
}

#[test]
fn every_address_of_the_page_is_the_same_document() {
    let service = Service::start();
    let document = get(&service, "/", &[]);
    assert_eq!((document.status, document.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(document.header("cache-control"), Some("public, max-age=60"));
    assert_eq!(document.header("vary"), Some("Accept-Encoding"));
    assert_eq!(document.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(document.header("referrer-policy"), Some("no-referrer"));
    let policy = document.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"));
    for path in ["/d/any-drop", "/vouchers"] {
        assert_eq!(get(&service, path, &[]).body, document.body, "{path}");
    }
    let etag = document.header("etag").expect("a tag");
    let known = get(&service, "/d/x", &[("if-none-match", etag)]);
    assert_eq!((known.status, known.body.len(), known.header("etag")), (304, 0, Some(etag)));
    let packed = get(&service, "/", &[("accept-encoding", "gzip, br")]);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() < document.body.len());
    // What is packed is another thing than what is not: each has a tag of its own, and is known by it alone.
    let packed_tag = packed.header("etag").expect("a tag");
    assert_ne!(packed_tag, etag);
    for (accepted, tag, status) in [
        ("gzip", packed_tag, 304),
        ("gzip", etag, 200),
        ("identity", packed_tag, 200),
        ("identity", etag, 304),
    ] {
        let answer = get(&service, "/", &[("accept-encoding", accepted), ("if-none-match", tag)]);
        assert_eq!(answer.status, status, "{accepted} {tag}");
    }
    let both = format!("{etag}, {packed_tag}");
    assert_eq!(get(&service, "/", &[("accept-encoding", "gzip"), ("if-none-match", &both)]).status, 304);
    let mut client = Client::connect(service.address());
    let head = client.call("HEAD", "/", &[], b"");
    assert_eq!(head.header("content-length"), Some(document.body.len().to_string().as_str()));
    // The connection is in order behind it: HEAD had no body.
    assert_eq!(client.call("GET", "/v1/time", &[], b"").status, 200);
}

#[test]
fn files_are_kept_for_ever_under_names_that_change_with_them() {
    let service = Service::start();
    let document = get(&service, "/", &[]);
    for (name, kind) in [
        ("app", "text/javascript; charset=utf-8"),
        ("work", "text/javascript; charset=utf-8"),
        ("page", "text/css; charset=utf-8"),
        ("icon", "image/svg+xml"),
        ("zh", "application/json"),
        ("en", "application/json"),
    ] {
        let path = named(&document, name);
        let plain = get(&service, &path, &[]);
        assert_eq!((plain.status, plain.header("content-type")), (200, Some(kind)), "{path}");
        assert_eq!(plain.header("cache-control"), Some("public, max-age=31536000, immutable"));
        let mut tags = vec![plain.header("etag").expect("a tag").to_owned()];
        for (accepted, encoding) in [("gzip", "gzip"), ("gzip, deflate, br", "br")] {
            let packed = get(&service, &path, &[("accept-encoding", accepted)]);
            let tag = packed.header("etag").expect("a tag").to_owned();
            assert!(!tags.contains(&tag), "{path}: {tag}");
            tags.push(tag);
            assert_eq!(packed.header("content-encoding"), Some(encoding), "{path}");
            assert!(packed.body.len() < plain.body.len(), "{path}: {}", packed.body.len());
        }
        let etag = plain.header("etag").expect("a tag");
        assert_eq!(get(&service, &path, &[("if-none-match", etag)]).status, 304);
    }
    for path in ["/assets/app.js", "/assets/app.0000000000000000.js", "/assets/..%2f", "/favicon.ico"] {
        let answer = get(&service, path, &[]);
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
}

#[test]
fn a_form_hands_somebody_over_in_the_fragment() {
    let service = Service::start();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let post = |path: &str, headers: &[(&str, &str)], body: &str| {
        Client::connect(service.address()).call("POST", path, headers, body.as_bytes())
    };
    let answer = post("/d/d-1", &form, "return=x&ticket=aa.bb-_.cc");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/d/d-1#ticket=aa.bb-_.cc")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(post("/", &form, "identity=aa.bb.cc").header("location"), Some("/#identity=aa.bb.cc"));
    for body in ["", "ticket=", "ticket=a%0d%0ab", "ticket=a b", "ticket=a&identity=b", "other=a"] {
        let refused = post("/d/d-1", &form, body);
        assert_eq!((refused.status, refused.code().as_str()), (400, "bad_request"), "{body}");
    }
    let long = format!("ticket={}", "a".repeat(8 * 1024 + 1));
    assert_eq!(post("/", &form, &long).status, 400);
    assert_eq!(post("/", &[("content-type", "application/json")], "{}").status, 415);
    assert_eq!(post("/vouchers", &form, "ticket=a").header("allow"), Some("GET, HEAD"));
}

#[test]
fn the_list_has_what_is_open_or_to_come_first_and_what_is_over_last() {
    let service = Service::start();
    assert_eq!(get(&service, "/v1/campaigns", &[]).json()["campaigns"], json!([]));
    service.apply_ok(&campaign("c-over", &[DropFile::open("d-over", 5).closed()]));
    service.apply_ok(&campaign("c-later", &[DropFile::open("d-later", 5).not_open()]));
    service
        .apply_ok(&campaign("c-now", &[DropFile::open("d-now", 5), DropFile::open("d-now-2", 7).limit(2)]));
    let list = crate::support::wait_for("the list has them", crate::support::service::PATIENCE, || {
        let list = get(&service, "/v1/campaigns", &[]);
        (list.json()["campaigns"].as_array().expect("an array").len() == 3).then_some(list)
    });
    let campaigns = list.json()["campaigns"].clone();
    let ids: Vec<_> = campaigns.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["c-now", "c-later", "c-over"]);
    assert_eq!(campaigns[0]["time_zone"], "Asia/Shanghai");
    let drops = &campaigns[0]["drops"];
    assert_eq!((&drops[0]["id"], &drops[0]["stock_total"]), (&json!("d-now"), &json!(5)));
    assert_eq!((&drops[1]["limit_per_person"], &drops[1]["state"]), (&json!(2), &json!("open")));
    assert_eq!(list.header("cache-control"), Some("public, max-age=1"));
    let etag = list.header("etag").expect("a tag");
    assert_eq!(get(&service, "/v1/campaigns", &[("if-none-match", etag)]).status, 304);
}

#[test]
fn a_drop_says_which_merchants_take_its_voucher() {
    let service = Service::start();
    let file = campaign("c-1", &[DropFile::open("d-1", 5), DropFile::open("d-2", 5)]);
    let at_some = "valid_for = \"7d\", merchants = { category = [\"dining\"], region = [\"yunnan\"] } }";
    service.apply_ok(&file.replacen("valid_for = \"7d\" }", at_some, 1));
    let voucher = |drop: &str| service.drop_state(drop).json()["voucher"].clone();
    assert_eq!(voucher("d-1")["merchants"], json!({"category": ["dining"], "region": ["yunnan"]}));
    assert_eq!(voucher("d-2").get("merchants"), None, "all of them");
}

#[test]
fn the_time_is_nobodys_to_keep() {
    let service = Service::start();
    let before_ms = Clock::System.now_ms();
    let answer = get(&service, "/v1/time", &[]);
    let after_ms = Clock::System.now_ms();
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    let said: jiff::Timestamp = answer.text("server_time").parse().expect("an instant");
    let said_ms = said.as_millisecond();
    // Redis' clock is this machine's, read by way of a poll.
    assert!((before_ms - 1_000..=after_ms + 1_000).contains(&said_ms), "{before_ms} {said_ms} {after_ms}");
}

#[test]
fn pages_of_listed_origins_may_call_and_others_are_not_told_so() {
    let ours = "https://claim.example";
    let service = Service::start_with(&[("server.allowed_origins", ours)], &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 5)]));
    let ticket = service.ticket("d-1", "ann");
    let bearer = format!("Bearer {ticket}");
    let claim = |origin: &str| {
        let headers = [("authorization", bearer.as_str()), ("origin", origin)];
        Client::connect(service.address()).call("POST", "/v1/drops/d-1/claims", &headers, b"")
    };
    let allowed = |answer: &Answer| answer.header("access-control-allow-origin").map(ToOwned::to_owned);
    let answer = claim(ours);
    assert_eq!((answer.status, allowed(&answer).as_deref()), (201, Some(ours)));
    assert_eq!(answer.header("vary"), Some("Origin"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    // A page that is not listed gets an answer that its browser keeps from it.
    for origin in ["https://claim.example.evil", "http://claim.example", "null"] {
        assert_eq!(allowed(&claim(origin)), None, "{origin}");
    }
    let asks = |origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "POST")];
        Client::connect(service.address()).call("OPTIONS", "/v1/drops/d-1/claims", &headers, b"")
    };
    let told = asks(ours);
    assert_eq!((told.status, allowed(&told).as_deref()), (204, Some(ours)));
    assert_eq!(told.header("access-control-allow-methods"), Some("GET, POST"));
    assert!(
        told.header("access-control-allow-headers").is_some_and(|names| names.contains("idempotency-key"))
    );
    assert_eq!((asks("https://evil.example").status, allowed(&asks("https://evil.example"))), (405, None));
    // Refusals can be read too, and when to come back.
    let refused = get(&service, "/v1/drops/nowhere", &[("origin", ours)]);
    assert_eq!((refused.status, allowed(&refused).as_deref()), (404, Some(ours)));
    assert_eq!(refused.header("access-control-expose-headers"), Some("retry-after, etag"));
    let plain = Service::start();
    let headers = [("origin", ours), ("access-control-request-method", "POST")];
    let answer = Client::connect(plain.address()).call("OPTIONS", "/v1/drops/d-1/claims", &headers, b"");
    assert_eq!((answer.status, allowed(&answer)), (405, None), "nobody is listed");
}

#[test]
fn a_demo_lets_anybody_be_anybody_and_nothing_else_does() {
    let ask = |service: &Service, body: &str| {
        let headers = [("content-type", "application/json")];
        Client::connect(service.address()).call("POST", "/demo/tickets", &headers, body.as_bytes())
    };
    let plain = Service::start();
    plain.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 5)]));
    let body = json!({"drop": "d-1", "person": 7}).to_string();
    let refused = ask(&plain, &body);
    assert_eq!((refused.status, refused.code().as_str()), (404, "not_found"));
    assert_eq!(get(&plain, "/demo/tickets", &[]).status, 404);
    let demo = Service::start_with(&[], &["--demo"]);
    demo.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 5)]));
    let given = ask(&demo, &body);
    assert_eq!((given.status, given.text("person")), (201, "person-000007".to_owned()));
    let claim = demo.claim("d-1", &given.text("ticket"));
    let again = demo.claim("d-1", &ask(&demo, &body).text("ticket"));
    assert_eq!((claim.status, again.status), (201, 200));
    assert_eq!(claim.text("claim_id"), again.text("claim_id"));
    for (body, status) in [
        (r#"{"drop":"d-1","person":1000000}"#, 400),
        (r#"{"drop":"nowhere","person":1}"#, 404),
        (r#"{"drop":"d-1"}"#, 400),
        ("", 400),
    ] {
        assert_eq!(ask(&demo, body).status, status, "{body}");
    }
    assert_eq!(get(&demo, "/demo/tickets", &[]).header("allow"), Some("POST"));
}
