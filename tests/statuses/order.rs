//! Checks run in the order of the contract: method and path, size, drop, ticket, limits, the form of body and key, gate, Redis.

use super::assert_problem;
use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Client, bearer, claims_path};
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

#[test]
fn the_first_check_that_fails_answers() {
    let limits = [("limits.person_per_second", "1"), ("limits.person_burst", "1")];
    let service = Service::start_with(&limits, &[]);
    service.apply_ok(&campaign("c", &[DropFile::open("tiny", 1), DropFile::open("pair", 2).limit(2)]));
    assert_eq!(service.claim("tiny", &service.ticket("tiny", "ann")).status, 201);
    let (bob, pair) = (bearer(&service.ticket("tiny", "bob")), bearer(&service.ticket("pair", "bob")));
    let large = vec![b' '; 17 * 1024];
    let long_header = "x".repeat(17 * 1024);
    let call = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        Client::connect(service.address()).call(method, path, headers, body)
    };

    let answer = call("DELETE", &claims_path("none"), &[("x-long", &long_header)], b"");
    assert_problem("the method before size and drop", &answer, 405, "method_not_allowed");
    let answer = call("POST", &claims_path("none"), &[("x-long", &long_header)], b"");
    assert_problem("the header's size before the drop", &answer, 431, "headers_too_large");
    let answer = call("POST", &claims_path("none"), &[], &large);
    assert_problem("the body's size before the drop", &answer, 413, "payload_too_large");
    let answer = call("POST", &claims_path("none"), &[], b"");
    assert_problem("the drop before the ticket", &answer, 404, "unknown_drop");
    let json = ("content-type", "application/json");
    let answer = call("POST", &claims_path("none"), &[json], b"{");
    assert_problem("the drop before the body's form", &answer, 404, "unknown_drop");
    let answer = call("POST", &claims_path("tiny"), &[json], b"{");
    assert_problem("the ticket before the body's form", &answer, 401, "ticket_missing");
    let carol = bearer(&service.ticket("tiny", "carol"));
    let answer = call("POST", &claims_path("tiny"), &[("authorization", &carol), json], b"{");
    assert_problem("the body's form before the gate", &answer, 400, "bad_request");
    let dora = bearer(&service.ticket("pair", "dora"));
    let answer = call("POST", &claims_path("pair"), &[("authorization", &dora)], b"{}");
    assert_problem("the body's form before the key", &answer, 415, "unsupported_media_type");
    for _ in 0..3 {
        let answer = call("POST", &claims_path("tiny"), &[("authorization", "Bearer x")], b"");
        assert_problem("a bad ticket is not counted for anybody", &answer, 401, "ticket_invalid");
    }
    let answer = call("POST", &claims_path("tiny"), &[("authorization", &bob)], b"");
    assert_problem("bob's first call is answered by the gate", &answer, 410, "sold_out");
    // The next two follow within a second of the first, unless the machine sleeps: then the gate answers again.
    let limited = wait_for("bob is limited", PATIENCE, || {
        let answer = call("POST", &claims_path("tiny"), &[("authorization", &bob)], b"");
        (answer.status == 429).then_some(answer)
    });
    assert_problem("the limits before the gate", &limited, 429, "rate_limited");
    let limited = wait_for("bob is limited here too", PATIENCE, || {
        let answer = call("POST", &claims_path("pair"), &[("authorization", &pair)], b"");
        (answer.status == 429).then_some(answer)
    });
    assert_problem("the limits before the idempotency key", &limited, 429, "rate_limited");
    let limited = wait_for("bob is limited with a body too", PATIENCE, || {
        let answer = call("POST", &claims_path("tiny"), &[("authorization", &bob), json], b"{");
        (answer.status == 429).then_some(answer)
    });
    assert_problem("the limits before the body's form", &limited, 429, "rate_limited");
}
