//! Connections: kept alive, pipelined, slow, half open, too many, and clients that do it all wrong.

mod words;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Client, bearer, claim_request, claims_path, request};
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

/// A service with one open drop, and with these settings.
fn service(settings: &[(&str, &str)]) -> Service {
    let service = Service::start_with(settings, &[]);
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 200)]));
    service
}

#[test]
fn pipelined_claims_are_answered_in_their_order() {
    let service = service(&[]);
    let mint = service.mint();
    let mut client = Client::connect(service.address());
    for round in 0..2 {
        let tickets: Vec<_> = (0..50).map(|n| mint.ticket("d-1", &format!("p-{round}-{n}"))).collect();
        let all: Vec<u8> = tickets.iter().flat_map(|ticket| claim_request("d-1", ticket)).collect();
        client.send(&all);
        let seqs: Vec<_> = tickets
            .iter()
            .map(|_| {
                let answer = client.answer();
                assert_eq!(answer.status, 201);
                answer.json()["seq"].as_u64().expect("a number")
            })
            .collect();
        let first = round * 50 + 1;
        assert_eq!(seqs, (first..first + 50).collect::<Vec<_>>(), "each answer belongs to its request");
    }
    // Different requests in one write, one of them refused: the answers still line up.
    let mut mixed = claim_request("d-1", "garbage");
    mixed.extend(request("GET", "/v1/drops/d-1", &[], b""));
    mixed.extend(claim_request("none", "garbage"));
    client.send(&mixed);
    let statuses: Vec<_> = (0..3).map(|_| client.answer().status).collect();
    assert_eq!(statuses, [401, 200, 404]);
}

#[test]
fn a_slow_header_is_closed_and_an_idle_connection_outlives_it() {
    let service = service(&[("server.header_timeout_ms", "400"), ("server.idle_timeout_ms", "4000")]);
    let mut with_body = Client::connect(service.address());
    // The body in a write of its own, as many clients send it.
    let ann = bearer(&service.ticket("d-1", "ann"));
    let headers = [
        ("authorization", ann.as_str()),
        ("expect", "100-continue"),
        ("content-length", "2"),
        ("content-type", "application/json"),
    ];
    with_body.send(&request("POST", &claims_path("d-1"), &headers, b""));
    assert_eq!(with_body.answer().status, 100, "the header has been read");
    with_body.send(b"{}");
    assert_eq!(with_body.answer().status, 201);
    // After the claim, whose time is the disk's.
    let mut idle = Client::connect(service.address());
    let mut used = Client::connect(service.address());
    let mut slow = Client::connect(service.address());
    assert_eq!(used.call("GET", "/v1/drops/d-1", &[], b"").status, 200);

    let began = Instant::now();
    slow.send(b"GET /v1/drops/d-1 HTTP/1.1\r\nhost");
    assert!(slow.is_closed_by_service(), "a header that does not end is not waited for");
    assert!(began.elapsed() >= Duration::from_millis(400), "it had its time");
    for (what, client) in
        [("never used", &mut idle), ("used", &mut used), ("used with a body", &mut with_body)]
    {
        client.try_send(&request("GET", "/v1/drops/d-1", &[], b"")).expect("it is open");
        assert_eq!(client.try_answer(true).map(|answer| answer.status).ok(), Some(200), "{what}");
    }
    let began = Instant::now();
    for client in [&mut idle, &mut used, &mut with_body] {
        assert!(client.is_closed_by_service(), "idle for too long");
    }
    assert!(began.elapsed() >= Duration::from_secs(3), "they had their time");
}

#[test]
fn a_header_that_trickles_is_closed() {
    let service = service(&[("server.header_timeout_ms", "400")]);
    let mut client = Client::connect(service.address());
    let bytes = request("GET", "/v1/drops/d-1", &[("x-slow", &"x".repeat(2_000))], b"");
    let sent = bytes.iter().take_while(|byte| {
        std::thread::sleep(Duration::from_millis(10));
        client.try_send(&[**byte]).is_ok()
    });
    assert!(sent.count() < bytes.len(), "closed long before the twenty seconds that it would take");
}

#[test]
fn a_body_that_trickles_is_408() {
    let service = service(&[("server.body_timeout_ms", "400")]);
    let mut client = Client::connect(service.address());
    let ann = bearer(&service.ticket("d-1", "ann"));
    let headers =
        [("authorization", ann.as_str()), ("content-length", "10"), ("content-type", "application/json")];
    client.send(&request("POST", &claims_path("d-1"), &headers, b""));
    client.send(b"{");
    let answer = client.answer();
    assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(client.is_closed_by_service());
    assert_eq!(service.drop_state("d-1").json()["stock_left"], 200, "nothing was claimed");
}

#[test]
fn a_body_too_large_is_413_announced_or_not() {
    let service = service(&[]);
    let ann = bearer(&service.ticket("d-1", "ann"));
    let mut client = Client::connect(service.address());
    let headers = [("authorization", ann.as_str()), ("content-length", "20000")];
    client.send(&request("POST", &claims_path("d-1"), &headers, b""));
    let answer = client.answer();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (413, Some("close")),
        "before a byte of it came"
    );

    let mut client = Client::connect(service.address());
    let headers = [("authorization", ann.as_str()), ("transfer-encoding", "chunked")];
    client.send(&request("POST", &claims_path("d-1"), &headers, b""));
    let mut chunk = b"5000\r\n".to_vec();
    chunk.resize(chunk.len() + 0x5000, b' ');
    let _ = client.try_send(&chunk);
    let answer = client.answer();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (413, Some("close")),
        "what comes behind it is not read"
    );
}

#[test]
fn a_half_open_client_is_closed_and_may_come_again() {
    let service = service(&[]);
    let ann = service.ticket("d-1", "ann");
    let mut client = Client::connect(service.address());
    client.send(&claim_request("d-1", &ann));
    client.end_sending();
    // Its end may be seen before its claim is: then it counts as a client that went away before it asked.
    let told = client.try_answer(true).ok();
    assert!(told.as_ref().is_none_or(|answer| answer.status == 201));
    assert!(client.is_closed_by_service());
    let again = service.claim("d-1", &ann);
    assert!(again.status == 200 || (again.status == 201 && told.is_none()), "{}", again.status);
    assert_eq!(service.redis_stock_left("d-1"), 199);

    let mut early = Client::connect(service.address());
    early.send(b"POST /v1/drops/d-1/claims HTTP/1.1\r\nhost");
    early.end_sending();
    assert!(early.is_closed_by_service(), "half a request is not waited for");
}

#[test]
fn a_client_that_never_reads_is_closed() {
    let service = service(&[("server.body_timeout_ms", "400")]);
    let mut client = Client::connect(service.address());
    let requests = request("GET", "/v1/drops/d-1", &[], b"").repeat(200);
    // Once both sides' buffers are full nothing moves any more, until the service gives up.
    wait_for("the service gives up", PATIENCE, || client.try_send(&requests).is_err().then_some(()));
    service.wait_connections(0);
    assert_eq!(service.drop_state("d-1").status, 200, "others are served");
}

#[test]
fn connections_above_the_cap_are_closed_and_the_place_is_free_again() {
    let service = service(&[("server.max_connections", "3")]);
    let state = request("GET", "/v1/drops/d-1", &[], b"");
    let mut held: Vec<_> = (0..3)
        .map(|_| {
            wait_for("a place", PATIENCE, || {
                let mut client = Client::connect(service.address());
                client.try_send(&state).ok()?;
                client.try_answer(true).ok().map(|_| client)
            })
        })
        .collect();
    let mut fourth = Client::connect(service.address());
    assert!(fourth.is_closed_by_service(), "one too many");
    for client in &mut held {
        client.send(&state);
        assert_eq!(client.answer().status, 200, "those that are in stay");
    }
    drop(held);
    wait_for("a place is free", PATIENCE, || {
        let mut client = Client::connect(service.address());
        client.try_send(&state).ok()?;
        client.try_answer(true).ok().filter(|answer| answer.status == 200)
    });
    assert!(service.metric("claimrush_connections_refused_total").is_some_and(|refused| refused >= 1));
}

/// All of them from this machine, which has many addresses.
#[test]
fn one_address_leaves_connections_to_others() {
    let settings = [
        ("server.max_connections", "8"),
        ("server.max_connections_per_address", "3"),
        ("server.trusted_proxies", "127.0.0.9/32"),
        ("limits.exempt_loopback", "false"),
    ];
    let service = service(&settings);
    let state = request("GET", "/v1/drops/d-1", &[], b"");
    let connect = |last: u8| Client::connect_from([127, 0, 0, last].into(), service.address());
    let hold = |last: u8| {
        let mut client = connect(last);
        client.send(&state);
        assert_eq!(client.answer().status, 200);
        client
    };
    // What applied the campaign has gone.
    service.wait_connections(0);
    let mut greedy: Vec<_> = (0..3).map(|_| hold(7)).collect();
    for _ in 0..5 {
        assert!(connect(7).is_closed_by_service(), "no more of this one");
    }
    let others = [hold(8), hold(8), hold(8)];
    let behind_a_proxy = [hold(9), hold(9)];
    assert!(connect(9).is_closed_by_service(), "all are taken, and a proxy has no more either");
    for client in &mut greedy {
        client.send(&state);
        assert_eq!(client.answer().status, 200, "those that are in stay");
    }
    let refused = |name: &str| service.metric(&format!("claimrush_connections_{name}_total"));
    assert_eq!((refused("address_refused"), refused("refused")), (Some(5), Some(1)));
    drop((greedy.pop(), others, behind_a_proxy));
    wait_for("a place of this address is free", PATIENCE, || {
        let mut client = connect(7);
        client.try_send(&state).ok()?;
        client.try_answer(true).ok().filter(|answer| answer.status == 200)
    });
}

#[test]
fn what_is_no_http_is_400_or_closed() {
    let service = service(&[]);
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello tls\r\n\r\n"[..],
        b"HELLO\r\n\r\n",
        b"GET /v1/drops/d-1 HTTP/7.0\r\n\r\n",
        b"POST /v1/drops/d-1/claims HTTP/1.1\r\nhost: c\r\ncontent-length: x\r\n\r\n",
        b"GET /v1/drops/d-1 HTTP/1.1\r\nbad header\r\n\r\n",
    ] {
        let mut client = Client::connect(service.address());
        client.send(garbage);
        // Never a reset without a word: the header is small enough to be read whole.
        match client.try_answer(true) {
            Ok(answer) => assert_eq!(answer.status, 400, "{}", String::from_utf8_lossy(garbage)),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "{error}"),
        }
        assert!(client.is_closed_by_service());
    }
    let mut client = Client::connect(service.address());
    // A header beyond any buffer: it may be closed while it is still being sent, with or without a word.
    let huge = request("GET", "/v1/drops/d-1", &[("x-huge", &"x".repeat(4_000_000))], b"");
    let _ = client.try_send(&huge);
    if let Ok(answer) = client.try_answer(true) {
        assert_eq!(answer.status, 431);
    }
    assert!(client.is_closed_by_service());
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let service = service(&[]);
    let mut client = Client::connect(service.address());
    client.send(b"GET /v1/drops/d-1 HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().text("id"), "d-1");
    assert!(client.is_closed_by_service());

    let mut kept = Client::connect(service.address());
    for _ in 0..2 {
        kept.send(b"GET /v1/drops/d-1 HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
        assert_eq!(kept.answer().status, 200);
    }
}

#[test]
fn a_client_that_says_close_is_closed() {
    let service = service(&[]);
    let mut client = Client::connect(service.address());
    let answer = client.call("GET", "/v1/drops/d-1", &[("connection", "close")], b"");
    assert_eq!(answer.status, 200);
    assert!(client.is_closed_by_service());
}

#[test]
fn a_claim_is_theirs_even_if_its_client_has_gone() {
    // Long waits, so that nothing but the client gives up.
    let service = service(&[("claim.queue_wait_ms", "30000"), ("redis.response_timeout_ms", "60000")]);
    let mint = service.mint();
    // The lanes are connected by claims that go through.
    for n in 0..8 {
        assert_eq!(service.claim("d-1", &mint.ticket("d-1", &format!("first-{n}"))).status, 201);
    }
    let mut attempt = 0;
    let gone = wait_for("claims are queued before the silence is noticed", PATIENCE, || {
        attempt += 1;
        service.wait_ready();
        service.wait_connections(0);
        let refused_before = service.metric("claimrush_refusals_total");
        let frozen = service.freeze_redis();
        let tickets: Vec<_> = (0..20).map(|n| mint.ticket("d-1", &format!("gone-{attempt}-{n}"))).collect();
        let connect = |ticket: &String| {
            let mut client = Client::connect(service.address());
            client.send(&claim_request("d-1", ticket));
            client
        };
        let clients: Vec<_> = tickets.iter().map(connect).collect();
        service.wait_connections(20);
        service.wait_all_read();
        drop(clients);
        drop(frozen);
        service.wait_connections(0);
        (service.metric("claimrush_refusals_total") == refused_before).then_some(tickets)
    });
    for ticket in &gone {
        wait_for("it is theirs", PATIENCE, || (service.mine("d-1", ticket).status == 200).then_some(()));
    }
}

/// Looks over many connections at once until the service stops; gives how often.
fn look_until_stopped(address: SocketAddr, stopping: &AtomicBool) -> usize {
    let mut clients: Vec<_> = (0..40).map(|_| Client::connect(address)).collect();
    let looks = ["/", "/v1/time", "/v1/drops/d-1"].map(|path| request("GET", path, &[], b""));
    let mut answered = 0;
    loop {
        let sent =
            clients.iter_mut().zip(looks.iter().cycle()).try_for_each(|(client, look)| client.try_send(look));
        let told = sent.and_then(|()| {
            clients.iter_mut().try_for_each(|client| {
                let answer = client.try_answer(true)?;
                assert!(answer.status == 200 || stopping.load(Ordering::Relaxed), "{}", answer.status);
                answered += 1;
                Ok(())
            })
        });
        if let Err(error) = told {
            assert!(stopping.load(Ordering::Relaxed), "a look went unanswered: {error}");
            return answered;
        }
    }
}

#[test]
fn a_flood_of_looks_keeps_no_claim_from_its_answer_and_no_stop_from_its_end() {
    let mut service = service(&[("server.threads", "1")]);
    let (mint, address, stopping) = (service.mint(), service.address(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let floods: Vec<_> = (0..3).map(|_| scope.spawn(|| look_until_stopped(address, &stopping))).collect();
        service.wait_connections(3 * 40);
        let mut apart = Client::connect(address);
        let mut mixed = Client::connect(address);
        for n in 0..60 {
            let (one, other) =
                (mint.ticket("d-1", &format!("one-{n}")), mint.ticket("d-1", &format!("other-{n}")));
            assert_eq!(apart.claim("d-1", &one).status, 201);
            // A browser's connection, and one that goes away while its look may be waiting.
            mixed.send(&[request("GET", "/v1/drops/d-1", &[], b""), claim_request("d-1", &other)].concat());
            assert_eq!([mixed.answer().status, mixed.answer().status], [200, 201]);
            Client::connect(address).send(&request("GET", "/", &[], b""));
        }
        assert_eq!(service.drop_state("d-1").json()["stock_left"], 80);
        drop((apart, mixed));
        service.wait_connections(3 * 40);
        stopping.store(true, Ordering::Relaxed);
        service.stop();
        for flood in floods {
            assert!(flood.join().expect("every look was answered") > 40, "each connection looked again");
        }
    });
}
