//! Connections that are held with next to nothing, and everybody else beside them.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::support::service::PATIENCE;
use crate::support::wait_for;

/// Ways to hold a connection with next to nothing; the fifth is [`never_reading`].
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

/// Asks for much, and takes none of it.
fn never_reading(service: &Service) -> Client {
    let mut client = Client::connect(service.address());
    client.send(&request("GET", "/v1/drops/d-1", &[], b"").repeat(2_000));
    client
}

/// The p99 of claims, one after the other, by persons from this number on.
fn claims_p99(service: &Service, from: usize, claims: usize) -> Duration {
    let mint = service.mint();
    let mut client = Client::connect(service.address());
    let mut times: Vec<Duration> = (from..from + claims)
        .map(|n| {
            let ticket = mint.ticket("d-1", &format!("p-{n}"));
            let began = Instant::now();
            assert_eq!(client.claim("d-1", &ticket).status, 201);
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// 408 slow connections beside honest claims. `make attacks` measures the p99 with `ATTACK_CLAIMS` claims and holds the
/// service to it; without, on a machine that may be busy with anything, everybody else must get their claim.
#[test]
fn slow_connections_in_five_forms_slow_nobody_else() {
    let measured = std::env::var("ATTACK_CLAIMS").ok().map(|text| text.parse().expect("a number"));
    let claims = measured.unwrap_or(300);
    let service = service(&[
        ("server.header_timeout_ms", "1000"),
        ("server.body_timeout_ms", "1000"),
        ("server.idle_timeout_ms", "2000"),
    ]);
    claims_p99(&service, 1_000_000, claims / 10);
    let calm = claims_p99(&service, 0, claims);
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
        let _held: Vec<_> = (0..8).map(|_| never_reading(&service)).collect();
        wait_for("they hold their connections", PATIENCE, || {
            (service.metric("claimrush_connections")? > 100).then_some(())
        });
        let slowed = claims_p99(&service, claims, claims);
        stop.store(true, Ordering::Release);
        slowed
    });
    println!("p99 of {claims} claims: {calm:?} alone, {slowed:?} beside 408 slow connections");
    if measured.is_some() {
        assert!(slowed < calm * 2 + Duration::from_millis(5), "p99 {calm:?}, then {slowed:?}");
    }
}

#[test]
fn slow_connections_are_ended_by_the_service() {
    let service = service(&[
        ("server.header_timeout_ms", "1000"),
        ("server.body_timeout_ms", "1000"),
        ("server.idle_timeout_ms", "2000"),
    ]);
    for (what, bytes) in SLOW {
        let mut client = Client::connect(service.address());
        client.send(bytes.as_bytes());
        // The client itself waits for thirty seconds; the service is to end it before.
        let ended = loop {
            match client.try_answer(true) {
                Ok(answer) => assert_eq!(answer.status, 408, "{what}"),
                Err(error) => break error.kind(),
            }
        };
        assert!(!matches!(ended, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{what}: {ended}");
    }
    let _held = never_reading(&service);
    service.wait_connections(0);
}
