//! What somebody is told who gets something: claims, replays, what they hold, and the public state.

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Client, bearer, claims_path};
use crate::support::service::Service;

#[test]
fn a_claim_is_201_and_the_same_claim_200_ever_after() {
    let service = Service::start();
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 5), DropFile::open("pair", 5).limit(2)]));
    let ticket = service.ticket("d-1", "ann");
    let first = service.claim("d-1", &ticket);
    assert_eq!(first.status, 201);
    assert_eq!(first.header("content-type"), Some("application/json"));
    let claim = first.json();
    assert_eq!(
        (&claim["drop"], &claim["seq"], &claim["replayed"]),
        (&"d-1".into(), &1.into(), &false.into())
    );
    assert_eq!(claim["status"], "issued");
    assert!(first.text("claim_id").starts_with("clm_"));
    assert!(!first.text("voucher").is_empty());
    assert!(first.text("claimed_at").parse::<jiff::Timestamp>().is_ok());

    // Another ticket of the same person, a body and a key of its own: still the same claim.
    let mut client = Client::connect(service.address());
    let again = client.call(
        "POST",
        &claims_path("d-1"),
        &[
            ("authorization", &bearer(&service.ticket("d-1", "ann"))),
            ("content-type", "application/json"),
            ("idempotency-key", "k-1"),
        ],
        b"{}",
    );
    assert_eq!(again.status, 200);
    let mut expected = claim.clone();
    expected["replayed"] = true.into();
    assert_eq!(again.json(), expected);

    let mine = service.mine("d-1", &ticket);
    assert_eq!((mine.status, mine.header("cache-control")), (200, Some("no-store")));
    assert_eq!(mine.json()["claims"], serde_json::json!([expected]));
}

#[test]
fn a_key_names_a_claim_where_the_limit_is_above_one() {
    let service = Service::start();
    service.apply_ok(&campaign("c", &[DropFile::open("pair", 5).limit(2)]));
    let authorization = bearer(&service.ticket("pair", "ann"));
    let mut client = Client::connect(service.address());
    let mut claim = |key: &str| {
        let headers = [("authorization", authorization.as_str()), ("idempotency-key", key)];
        let answer = client.call("POST", &claims_path("pair"), &headers, b"");
        (answer.status, answer.text("claim_id"), answer.json())
    };
    let (first, second) = (claim("k-1"), claim("k-2"));
    assert_eq!((first.0, second.0), (201, 201));
    assert_ne!(first.1, second.1);
    let (again, beyond) = (claim("k-1"), claim("k-3"));
    assert_eq!((again.0, &again.1), (200, &first.1));
    assert_eq!((beyond.0, &beyond.2["code"]), (409, &"limit_reached".into()));
    let again = claim("k-2");
    assert_eq!((again.0, &again.1), (200, &second.1), "a refusal in between changes nothing");
    let mine = service.mine("pair", &service.ticket("pair", "ann"));
    assert_eq!(mine.json()["claims"].as_array().map(Vec::len), Some(2));
}

#[test]
fn double_clicks_get_one_claim_and_no_refusal() {
    let service = Service::start();
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 50)]));
    let (address, ticket) = (service.address(), service.ticket("d-1", "ann"));
    let mut answers: Vec<_> = std::thread::scope(|scope| {
        let clicks: Vec<_> =
            (0..10).map(|_| scope.spawn(|| Client::connect(address).claim("d-1", &ticket))).collect();
        clicks.into_iter().map(|click| click.join().expect("it is answered")).collect()
    });
    answers.sort_by_key(|answer| std::cmp::Reverse(answer.status));
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [201, 200, 200, 200, 200, 200, 200, 200, 200, 200]);
    assert!(answers.iter().all(|answer| answer.text("claim_id") == answers[0].text("claim_id")));
    let state = service.redis_stock_left("d-1");
    assert_eq!(state, 49, "ten clicks took one unit");
}

#[test]
fn the_state_of_a_drop_has_every_field_and_a_tag() {
    let service = Service::start();
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 5), DropFile::open("later", 7).not_open()]));
    let answer = service.drop_state("d-1");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("cache-control"), Some("public, max-age=1"));
    let state = answer.json();
    for (field, value) in [
        ("id", serde_json::json!("d-1")),
        ("campaign", "c".into()),
        ("state", "open".into()),
        ("stock_total", 5.into()),
        ("stock_left", 5.into()),
        ("limit_per_person", 1.into()),
        ("poll_after_ms", 1_000.into()),
    ] {
        assert_eq!(state[field], value, "{field}");
    }
    for field in ["opens_at", "closes_at", "server_time"] {
        assert!(answer.text(field).parse::<jiff::Timestamp>().is_ok(), "{field}");
    }
    assert_eq!(service.drop_state("later").text("state"), "scheduled");

    let tag = answer.header("etag").expect("a tag").to_owned();
    let mut client = Client::connect(service.address());
    let known = client.call("GET", "/v1/drops/d-1", &[("if-none-match", &tag)], b"");
    assert_eq!((known.status, known.body.len(), known.header("etag")), (304, 0, Some(tag.as_str())));
    let other = client.call("GET", "/v1/drops/d-1", &[("if-none-match", "W/\"0\"")], b"");
    assert_eq!((other.status, other.text("id")), (200, "d-1".to_owned()));
    let head = client.call("HEAD", "/v1/drops/d-1", &[], b"");
    assert_eq!((head.status, head.header("etag")), (200, Some(tag.as_str())));
    assert!(head.header("content-length").is_some_and(|length| length != "0"), "as GET would have it");

    assert_eq!(client.claim("d-1", &service.ticket("d-1", "ann")).status, 201);
    let changed = client.call("GET", "/v1/drops/d-1", &[("if-none-match", &tag)], b"");
    assert_eq!((changed.status, changed.json()["stock_left"].as_u64()), (200, Some(4)));
}

#[test]
fn a_campaign_is_shown_with_its_drops() {
    let service = Service::start();
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 5), DropFile::open("d-2", 7)]));
    let mut client = Client::connect(service.address());
    let answer = client.call("GET", "/v1/campaigns/c", &[], b"");
    let shown = answer.json();
    assert_eq!((answer.status, &shown["id"], &shown["name"]), (200, &"c".into(), &"彩云".into()));
    assert_eq!((&shown["budget"], &shown["currency"]), (&"1000000.00".into(), &"CNY".into()));
    assert_eq!(shown["drops"][1]["id"], "d-2");
    assert_eq!(shown["drops"][1]["voucher"]["face"], "1.00");
    let tag = answer.header("etag").expect("a tag");
    assert_eq!(client.call("GET", "/v1/campaigns/c", &[("if-none-match", tag)], b"").status, 304);
    assert_eq!(client.call("HEAD", "/v1/campaigns/c", &[], b"").status, 200);
}
