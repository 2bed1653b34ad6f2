//! What a request must say of itself, and what it is told when its connection ends with the answer.

use super::*;

#[test]
fn a_request_says_once_for_which_host_it_is() {
    let service = service(&[]);
    let listeners = [(service.address(), "/v1/drops/d-1"), (service.admin_address(), "/healthz")];
    for (address, path) in listeners {
        let mut client = Client::connect(address);
        for (hosts, status) in [
            ("", 400),
            ("Host: a\r\nHost: a\r\n", 400),
            ("Host: a\r\nHost: b\r\n", 400),
            ("Host: \r\n", 400),
            ("Host: a b\r\n", 400),
            ("Host: a/b\r\n", 400),
            ("Host: user@a\r\n", 400),
            ("Host: a.example:8080\r\n", 200),
            ("Host: [::1]:8080\r\n", 200),
        ] {
            client.send(format!("GET {path} HTTP/1.1\r\n{hosts}\r\n").as_bytes());
            let answer = client.answer();
            assert_eq!(answer.status, status, "{path} {hosts:?}");
            assert!(status == 200 || answer.code() == "bad_request", "{path} {hosts:?}");
        }
    }
    // Nothing is granted to it either.
    let ann = service.ticket("d-1", "ann");
    let claim = String::from_utf8(claim_request("d-1", &ann)).expect("text").replace("host: claims\r\n", "");
    let mut client = Client::connect(service.address());
    client.send(claim.as_bytes());
    assert_eq!(client.answer().status, 400);
    assert_eq!(service.drop_state("d-1").json()["stock_left"], 200);
}

#[test]
fn who_sends_a_body_that_nobody_reads_is_told_that_the_connection_ends() {
    let service = service(&[]);
    let ann = bearer(&service.ticket("d-1", "ann"));
    let claims = claims_path("d-1");
    for (method, path, length, status) in [
        ("GET", "/v1/drops/d-1", "500000", 200),
        ("GET", "/", "5", 200),
        ("HEAD", "/v1/drops/d-1", "500000", 200),
        ("POST", "/v1/nothing", "500000", 404),
        ("DELETE", claims.as_str(), "500000", 405),
    ] {
        let mut client = Client::connect(service.address());
        let mut bytes = request(method, path, &[("content-length", length)], b"");
        // What stands behind the first bytes of the body is no request of its own.
        bytes.extend_from_slice(b"{}");
        client.send(&bytes);
        let answer = client.try_answer(method != "HEAD").expect("an answer");
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{method} {path}");
        assert!(client.is_closed_by_service(), "{method} {path}");
    }
    let mut client = Client::connect(service.admin_address());
    client.send(&request("POST", "/admin/v1/campaigns", &[("content-length", "200000")], b""));
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("connection")), (401, Some("close")));
    // A body that is read, and none, leave the connection open.
    let mut client = Client::connect(service.address());
    let json = [("authorization", ann.as_str()), ("content-type", "application/json")];
    for (method, path, headers, body) in [
        ("POST", claims.as_str(), &json[..], &b"{}"[..]),
        ("GET", "/v1/drops/d-1", &[("content-length", "0")], b""),
        ("POST", "/v1/drops/none/claims", &json, b"{}"),
        ("GET", "/v1/nothing", &[], b""),
    ] {
        let answer = client.call(method, path, headers, body);
        assert_eq!(answer.header("connection"), None, "{method} {path}");
    }
}
