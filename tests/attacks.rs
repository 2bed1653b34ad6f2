//! What scripts try at the public listener, and what they must not get. Forged and foreign tickets have their own tests
//! beside the verifier (`src/guard/ticket/attacks.rs`), identities and challenges beside the desk.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Answer, Client, bearer, claims_path, request};
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

const STOCK: u32 = 5_000;

fn service(settings: &[(&str, &str)]) -> Service {
    let generous = [("limits.person_per_second", "10000"), ("limits.person_burst", "10000")];
    let service = Service::start_with(&[&generous[..], settings].concat(), &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", STOCK)]));
    service
}

fn claim_from(service: &Service, ticket: &str, header: &str, addresses: &str) -> Answer {
    let authorization = bearer(ticket);
    let headers = [("authorization", authorization.as_str()), (header, addresses)];
    Client::connect(service.address()).call("POST", &claims_path("d-1"), &headers, b"")
}

/// Claims in Redis.
fn granted(service: &Service) -> u64 {
    u64::from(STOCK) - service.redis_stock_left("d-1")
}

#[test]
fn a_ticket_that_is_sent_a_thousand_times_at_once_gets_one_claim() {
    let service = service(&[]);
    let ticket = service.ticket("d-1", "ann");
    let (first, again) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                let mut client = Client::connect(service.address());
                for _ in 0..20 {
                    match client.claim("d-1", &ticket).status {
                        201 => first.fetch_add(1, Ordering::Relaxed),
                        200 => again.fetch_add(1, Ordering::Relaxed),
                        status => panic!("answered {status}"),
                    };
                }
            });
        }
    });
    assert_eq!((first.into_inner(), again.into_inner(), granted(&service)), (1, 999, 1));
}

#[test]
fn an_address_that_somebody_writes_into_a_header_is_not_believed() {
    let few = [
        ("limits.address_per_second", "1"),
        ("limits.address_burst", "3"),
        ("limits.exempt_loopback", "false"),
    ];
    let direct = service(&few);
    let statuses: Vec<u16> = (0..6)
        .map(|n| {
            let ticket = direct.ticket("d-1", &format!("p-{n}"));
            claim_from(&direct, &ticket, "x-forwarded-for", &format!("192.0.2.{n}")).status
        })
        .collect();
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 3, "{statuses:?}");
    // Behind a proxy it is the address that the proxy saw, whatever the client wrote before it.
    let proxied = service(&[&few[..], &[("server.trusted_proxies", "127.0.0.0/8")]].concat());
    let statuses: Vec<u16> = (0..6)
        .map(|n| {
            let ticket = proxied.ticket("d-1", &format!("p-{n}"));
            claim_from(&proxied, &ticket, "x-forwarded-for", &format!("198.51.100.{n}, 192.0.2.9")).status
        })
        .collect();
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 3, "{statuses:?}");
    assert_eq!(granted(&direct) + granted(&proxied), 6);
}

#[test]
fn addresses_that_change_within_a_network_are_one() {
    let service = service(&[
        ("server.trusted_proxies", "127.0.0.0/8"),
        ("limits.address_per_second", "1"),
        ("limits.address_burst", "4"),
        ("limits.network_per_second", "1"),
        ("limits.network_burst", "10"),
    ]);
    let mut refused = Vec::new();
    // Forty addresses of one /64, then forty /64 of one /48: four get through, then six more.
    let addresses = (0..40).map(|n| format!("2001:db8:7:1::{n:x}"));
    for (n, address) in addresses.chain((2..42).map(|n| format!("2001:db8:7:{n:x}::1"))).enumerate() {
        let answer =
            claim_from(&service, &service.ticket("d-1", &format!("p-{n}")), "x-forwarded-for", &address);
        if answer.status == 429 {
            refused.push(answer);
        }
    }
    let slack = 4; // Seconds that a slow machine may take.
    assert!((70 - 2 * slack..=70).contains(&refused.len()), "{} refused", refused.len());
    let [first, .., last] = refused.as_slice() else { panic!("many are refused") };
    for (answer, name, policy) in [(first, "address", "q=4;w=4"), (last, "network", "q=10;w=10")] {
        let limit = answer.header("ratelimit").expect("a header");
        assert!(limit.starts_with(&format!("\"{name}\";r=0;t=")), "{limit}");
        assert_eq!(answer.header("ratelimit-policy"), Some(format!("\"{name}\";{policy}").as_str()));
        assert!(answer.header("retry-after").is_some());
    }
}

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

/// Ways to hold a connection with next to nothing.
const SLOW: [(&str, &str); 4] = [
    ("nothing at all", ""),
    ("a header that never ends", "POST /v1/drops/d-1/claims HTTP/1.1\r\nHost: x\r\nX-A: "),
    (
        "a body that never comes",
        "POST /v1/drops/d-1/claims HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    ),
    (
        "chunks that never end",
        "POST /v1/drops/d-1/claims HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ),
];

#[test]
fn slow_connections_in_four_forms_do_not_slow_anybody_else() {
    let service = service(&[
        ("server.header_timeout_ms", "1000"),
        ("server.body_timeout_ms", "1000"),
        ("server.idle_timeout_ms", "2000"),
    ]);
    let claims = |from: u32| -> Duration {
        let mut client = Client::connect(service.address());
        let mut times: Vec<Duration> = (from..from + 400)
            .map(|n| {
                let ticket = service.ticket("d-1", &format!("p-{n}"));
                let began = Instant::now();
                assert_eq!(client.claim("d-1", &ticket).status, 201);
                began.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[times.len() * 99 / 100]
    };
    let calm = claims(0);
    let stop = AtomicBool::new(false);
    let slowed = thread::scope(|scope| {
        for (_, bytes) in SLOW {
            let (service, stop) = (&service, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Acquire) {
                    let held: Vec<_> = (0..100)
                        .map(|_| {
                            let mut client = Client::connect(service.address());
                            client.send(bytes.as_bytes());
                            client
                        })
                        .collect();
                    thread::sleep(Duration::from_millis(300));
                    drop(held);
                }
            });
        }
        wait_for("they hold their connections", PATIENCE, || {
            (service.metric("claimrush_connections")? > 100).then_some(())
        });
        let slowed = claims(1_000);
        stop.store(true, Ordering::Release);
        slowed
    });
    eprintln!("p99 {calm:?} alone, {slowed:?} beside 400 slow connections");
    assert!(slowed < calm * 5 + Duration::from_millis(50), "p99 {calm:?}, then {slowed:?}");
    // And each of the forms is ended by the service itself.
    for (what, bytes) in SLOW {
        let mut client = Client::connect(service.address());
        client.send(bytes.as_bytes());
        let began = Instant::now();
        let ended = loop {
            match client.try_answer(true) {
                Ok(answer) => assert_eq!(answer.status, 408, "{what}"),
                Err(error) => break error.kind(),
            }
        };
        assert!(!matches!(ended, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{what}: {ended}");
        assert!(began.elapsed() < Duration::from_secs(5), "{what}: {:?}", began.elapsed());
    }
}
