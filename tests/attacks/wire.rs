//! Bytes that are no honest HTTP: smuggled requests, bombs of chunks, garbage in a pipeline.

use super::*;

/// Bytes that two servers in a row might take apart in two ways, each with a claim hidden in what one of them takes for
/// a body.
fn smuggled(ticket: &str) -> Vec<(&'static str, Vec<u8>)> {
    let hidden =
        String::from_utf8(request("POST", &claims_path("d-1"), &[("authorization", &bearer(ticket))], b""))
            .expect("text");
    let with = |headers: &str, body: &str| {
        format!("POST /v1/drops/d-1/claims HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n{body}").into_bytes()
    };
    let length = hidden.len();
    vec![
        (
            "length and chunks",
            with(
                &format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
                &format!("0\r\n\r\n{hidden}"),
            ),
        ),
        (
            "chunks and length",
            with(
                &format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"),
                &format!("0\r\n\r\n{hidden}"),
            ),
        ),
        ("two lengths", with(&format!("Content-Length: 0\r\nContent-Length: {length}"), &hidden)),
        ("a length with a sign", with(&format!("Content-Length: +{length}"), &hidden)),
        ("a list of lengths", with(&format!("Content-Length: 0, {length}"), &hidden)),
        ("a strange coding", with("Transfer-Encoding: xchunked", &hidden)),
        (
            "a coding twice",
            with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", &format!("0\r\n\r\n{hidden}")),
        ),
        ("a folded header", with("X: a\r\n Content-Length: 9", &hidden)),
        ("a blank before the colon", with("Content-Length : 0", &hidden)),
        ("a bare line feed", b"POST /v1/drops/d-1/claims HTTP/1.1\nHost: x\nContent-Length: 0\n\n".to_vec()),
        (
            "a chunk of too many digits",
            with("Transfer-Encoding: chunked", &format!("fffffffffffffffff\r\n{hidden}")),
        ),
        ("a chunk with a sign", with("Transfer-Encoding: chunked", &format!("-1\r\n{hidden}"))),
        (
            "a bomb of chunk extensions",
            with("Transfer-Encoding: chunked", &format!("1;{}\r\nx\r\n0\r\n\r\n", "a=b;".repeat(20_000))),
        ),
        (
            "a bomb of trailers",
            with(
                "Transfer-Encoding: chunked",
                &format!("0\r\n{}\r\n", "x-trailer: 0123456789abcdef\r\n".repeat(40_000)),
            ),
        ),
        (
            "a bomb of one-byte chunks",
            with("Transfer-Encoding: chunked", &format!("{}0\r\n\r\n", "1\r\n \r\n".repeat(200_000))),
        ),
        (
            "a chunk as long as there are numbers",
            with("Transfer-Encoding: chunked", &format!("7fffffffffffffff\r\n{hidden}")),
        ),
        (
            "a chunk that is longer than it says",
            with("Transfer-Encoding: chunked", &format!("1\r\n{hidden}\r\n0\r\n\r\n")),
        ),
        ("a zero byte in the path", b"POST /v1/drops/d-1\0/claims HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("no version", b"POST /v1/drops/d-1/claims\r\n\r\n".to_vec()),
        ("another protocol", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
    ]
}

#[test]
fn nobody_smuggles_a_request_past_another() {
    let service = service(&[
        ("server.body_timeout_ms", "500"),
        ("server.header_timeout_ms", "500"),
        ("server.idle_timeout_ms", "1000"),
    ]);
    let ticket = service.ticket("d-1", "mallory");
    for (what, bytes) in smuggled(&ticket) {
        let mut client = Client::connect(service.address());
        let _ = client.try_send(&bytes);
        // One answer at most, and it is a refusal: what follows was not taken for a request of its own.
        let mut answers = Vec::new();
        while let Ok(answer) = client.try_answer(true) {
            answers.push(answer.status);
        }
        assert!(answers.len() <= 1 && answers.iter().all(|status| *status >= 400), "{what}: {answers:?}");
        assert_eq!(granted(&service), 0, "{what}");
    }
    assert_eq!(service.claim("d-1", &ticket).status, 201, "the service is well");
}

/// What is sent behind, or before, a good claim on the same connection.
fn garbage(ticket: &str) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("bytes of nothing", vec![0; 64]),
        ("every byte", (0..=255).cycle().take(5_000).collect()),
        ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hello\r\n\r\n".to_vec()),
        ("a line without an end", vec![b'A'; 100_000]),
        ("an answer", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("a method that is none", b"GRAB /v1/drops/d-1/claims\r\n\r\n".to_vec()),
        ("a ticket alone", format!("Authorization: {}\r\n\r\n", bearer(ticket)).into_bytes()),
    ]
}

#[test]
fn garbage_in_a_pipeline_gets_nothing_and_takes_nothing() {
    let service = service(&[("server.header_timeout_ms", "500"), ("server.idle_timeout_ms", "1000")]);
    let mut claims = 0;
    for (what, bytes) in garbage(&service.ticket("d-1", "mallory")) {
        let statuses_of = |sent: &[u8]| {
            let mut client = Client::connect(service.address());
            let _ = client.try_send(sent);
            let mut statuses = Vec::new();
            while let Ok(answer) = client.try_answer(true) {
                statuses.push(answer.status);
            }
            statuses
        };
        let claim = |person: &str| claim_request("d-1", &service.ticket("d-1", person));
        // Behind a claim: that one is answered, and a second claim behind the garbage is not read any more.
        let sent = [claim(&format!("{what} 1").replace(' ', "-")), bytes.clone(), claim("never")].concat();
        let statuses = statuses_of(&sent);
        claims += 1;
        assert_eq!(statuses.first(), Some(&201), "{what}: {statuses:?}");
        assert!(statuses.len() <= 2 && statuses.iter().skip(1).all(|s| *s >= 400), "{what}: {statuses:?}");
        // Before a claim: nothing is granted.
        let statuses = statuses_of(&[bytes, claim("never")].concat());
        assert!(statuses.len() <= 1 && statuses.iter().all(|s| *s >= 400), "{what}: {statuses:?}");
        assert_eq!(granted(&service), claims, "{what}");
    }
    assert_eq!(service.mine("d-1", &service.ticket("d-1", "never")).status, 404);
}
