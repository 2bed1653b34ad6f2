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

/// `docs/API.md` says which these are.
#[test]
fn what_is_no_request_gets_a_bare_status_or_no_word() {
    let service = service(&[("server.header_timeout_ms", "400")]);
    let lines = "x: y\r\n".repeat(100);
    let counted = service.metric("claimrush_refusals_total");
    for (what, text, status) in [
        ("a bare carriage return", "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 400),
        ("a blank before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("a TLS hello", "\x16\x03\x01\x02\0\x01\0\r\n\r\n", 400),
        ("another version", "GET / HTTP/7.0\r\nHost: a\r\n\r\n", 400),
        ("a length that is none", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        ("two lengths", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("a strange coding", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        ("chunks in HTTP/1.0", "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("many lines", &format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"), 431),
        ("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0),
        ("a head that does not end", "GET / HTTP/1.1\r\nHost: a", 0),
    ] {
        for address in [service.address(), service.admin_address()] {
            let mut client = Client::connect(address);
            client.send(text.as_bytes());
            match client.try_answer(true) {
                Ok(answer) => {
                    assert_eq!((answer.status, answer.body.len()), (status, 0), "{what}");
                    assert_eq!(answer.header("x-request-id"), None, "{what}");
                }
                Err(error) => assert_eq!(status, 0, "{what}: {error}"),
            }
            assert!(client.is_closed_by_service(), "{what}");
        }
    }
    assert_eq!(service.metric("claimrush_refusals_total"), counted);
}

#[test]
fn who_sends_a_body_that_nobody_reads_is_told_that_the_connection_ends() {
    let service = service(&[]);
    let ann = bearer(&service.ticket("d-1", "ann"));
    let claims = claims_path("d-1");
    let announced = |length| ("content-length", length);
    let chunked = ("transfer-encoding", "chunked");
    let expecting = [announced("5"), ("expect", "100-continue")];
    for (method, path, headers, sent, status) in [
        // What stands behind the first bytes of the body is no request of its own.
        ("GET", "/v1/drops/d-1", &[announced("500000")][..], &b"{}"[..], 200),
        ("GET", "/", &[announced("5")], b"{}", 200),
        ("HEAD", "/v1/drops/d-1", &[announced("500000")], b"{}", 200),
        ("POST", "/v1/nothing", &[announced("500000")], b"{}", 404),
        ("POST", "/v1/nothing", &[announced("5")], b"", 404),
        ("POST", "/v1/nothing", &expecting, b"", 404),
        ("POST", "/v1/nothing", &[chunked], b"2\r\n{}\r\n", 404),
        ("POST", "/v1/claims/clm_A/cancel", &[chunked], b"", 404),
        ("DELETE", claims.as_str(), &[announced("500000")], b"{}", 405),
    ] {
        let mut client = Client::connect(service.address());
        let bytes = [request(method, path, headers, b"").as_slice(), sent].concat();
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
    // One that nobody reads is passed over where it has come whole, and what stands behind it is answered.
    for (method, path, status) in [("GET", "/v1/drops/d-1", 200), ("POST", "/v1/nothing", 404)] {
        let behind = request("GET", "/v1/time", &[], b"");
        client.send(&[request(method, path, &[], b"{}"), behind].concat());
        assert_eq!([client.answer().status, client.answer().status], [status, 200], "{method} {path}");
    }
}

#[test]
fn an_answer_is_not_lost_behind_a_body_that_nobody_reads() {
    let service = service(&[("server.body_timeout_ms", "3000")]);
    // More than the buffers on the way hold.
    let body = vec![b' '; 16 << 20];
    let json = ("content-type", "application/json");
    for (address, path, status) in [
        (service.address(), claims_path("d-1"), 413),
        (service.address(), "/v1/nothing".to_owned(), 404),
        (service.admin_address(), "/admin/v1/merchants".to_owned(), 401),
    ] {
        // Such a client looks for an answer when it has said all it has to say.
        let mut client = Client::connect(address);
        let sent = client.try_send(&request("POST", &path, &[json], &body));
        assert!(sent.is_ok(), "{path}: {sent:?}");
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{path}");
        assert!(client.is_closed_by_service());
    }
    // Nobody is waited for longer than a body may take.
    let mut endless = Client::connect(service.address());
    let head = request("POST", "/v1/nothing", &[("transfer-encoding", "chunked")], b"");
    endless.send(&head);
    assert_eq!(endless.answer().status, 404);
    let piece = b"1000\r\n".iter().copied().chain([b' '; 0x1000]).chain(*b"\r\n").collect::<Vec<u8>>();
    wait_for("the service gives up", PATIENCE, || endless.try_send(&piece).is_err().then_some(()));
    service.wait_connections(0);
}
