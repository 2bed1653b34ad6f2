//! What scripts try at the public listener, and what they must not get. Forged and foreign tickets have their own tests
//! beside the verifier (`src/guard/ticket/attacks.rs`), identities and challenges beside the desk.

mod slow;
mod wire;

use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Answer, Client, bearer, claim_request, claims_path, request};
use crate::support::service::Service;

const STOCK: u32 = 100_000;

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

/// Lets this process, and the services that it starts, have so many descriptors that a thousand requests can have a
/// connection each; tells how many connections there may be.
fn connections_for_a_thousand() -> usize {
    const DESCRIPTORS: u64 = 3_000;
    let limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.unwrap_or(DESCRIPTORS).min(DESCRIPTORS);
    if limit.current.is_some_and(|current| current < allowed) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), ..limit }).expect("it may be raised");
    }
    if allowed == DESCRIPTORS { 1_000 } else { 250 }
}

/// Sends each client its share of a thousand requests, all but the last byte of each; then all last bytes; then reads.
fn sent_at_once(clients: &mut [Client], request_of: impl Fn(usize) -> Vec<u8>) -> Vec<u16> {
    let each = 1_000 / clients.len();
    let mut lasts = Vec::new();
    for (n, client) in clients.iter_mut().enumerate() {
        let mut bytes: Vec<u8> = (0..each).flat_map(|at| request_of(n * each + at)).collect();
        lasts.push(bytes.pop().expect("a request has bytes"));
        client.send(&bytes);
    }
    for (client, last) in clients.iter_mut().zip(lasts) {
        client.send(&[last]);
    }
    clients
        .iter_mut()
        .flat_map(|client| (0..each).map(|_| client.answer().status).collect::<Vec<_>>())
        .collect()
}

/// Whole seconds since then, a begun one too: so many more are let in by a limit of one a second.
pub(crate) fn seconds_since(began: Instant) -> usize {
    usize::try_from(began.elapsed().as_secs()).expect("few") + 1
}

fn count(statuses: &[u16], wanted: u16) -> usize {
    statuses.iter().filter(|status| **status == wanted).count()
}

#[test]
fn a_ticket_that_is_used_a_thousand_times_at_once_gets_what_one_person_may_have() {
    let connections = connections_for_a_thousand();
    let service = service(&[]);
    service.apply_ok(&campaign("c-2", &[DropFile::open("pair", STOCK).limit(2)]));
    let ticket = service.ticket("d-1", "ann");
    let mut clients: Vec<_> = (0..connections).map(|_| Client::connect(service.address())).collect();
    let statuses = sent_at_once(&mut clients, |_| claim_request("d-1", &ticket));
    assert_eq!((count(&statuses, 201), count(&statuses, 200), granted(&service)), (1, 999, 1));
    // With a limit of two, a thousand keys: two get something.
    let authorization = bearer(&service.ticket("pair", "ann"));
    let statuses = sent_at_once(&mut clients, |n| {
        let key = format!("key-{n}");
        let headers = [("authorization", authorization.as_str()), ("idempotency-key", &key)];
        request("POST", &claims_path("pair"), &headers, b"")
    });
    assert_eq!((count(&statuses, 201), count(&statuses, 409)), (2, 998));
    assert_eq!(service.redis_stock_left("pair"), u64::from(STOCK) - 2);
}

#[test]
fn a_ticket_of_another_campaign_is_no_ticket() {
    let service = service(&[]);
    service.apply_ok(&campaign("c-2", &[DropFile::open("d-2", STOCK)]));
    let foreign = service.ticket("d-2", "ann");
    let answer = service.claim("d-1", &foreign);
    assert_eq!((answer.status, answer.code().as_str(), granted(&service)), (401, "ticket_invalid", 0));
    assert_eq!(service.claim("d-2", &foreign).status, 201, "where it belongs");
}

#[test]
fn an_address_that_somebody_writes_into_a_header_is_not_believed() {
    let few = [
        ("limits.address_per_second", "1"),
        ("limits.address_burst", "3"),
        ("limits.exempt_loopback", "false"),
    ];
    let direct = service(&few);
    let let_in = |service: &Service, claim: &dyn Fn(usize) -> Answer| {
        let began = Instant::now();
        let statuses: Vec<u16> = (0..40).map(|n| claim(n).status).collect();
        let refused = count(&statuses, 429);
        // Three at once, and one more for each second that a slow machine took.
        assert!((37 - seconds_since(began).min(37)..=37).contains(&refused), "{statuses:?}");
        assert_eq!(granted(service), u64::try_from(40 - refused).expect("few"), "{statuses:?}");
    };
    let_in(&direct, &|n| {
        let ticket = direct.ticket("d-1", &format!("p-{n}"));
        claim_from(&direct, &ticket, "x-forwarded-for", &format!("192.0.2.{n}"))
    });
    // Behind a proxy it is the address that the proxy saw, whatever the client wrote before it.
    let proxied = service(&[&few[..], &[("server.trusted_proxies", "127.0.0.0/8")]].concat());
    let_in(&proxied, &|n| {
        let ticket = proxied.ticket("d-1", &format!("p-{n}"));
        claim_from(&proxied, &ticket, "x-forwarded-for", &format!("198.51.100.{n}, 192.0.2.9"))
    });
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
    let began = Instant::now();
    // Forty addresses of one /64, then forty /64 of one /48: four get through, then six more.
    let addresses = (0..40).map(|n| format!("2001:db8:7:1::{n:x}"));
    for (n, address) in addresses.chain((2..42).map(|n| format!("2001:db8:7:{n:x}::1"))).enumerate() {
        let answer =
            claim_from(&service, &service.ticket("d-1", &format!("p-{n}")), "x-forwarded-for", &address);
        if answer.status == 429 {
            refused.push(answer);
        }
    }
    let slack = seconds_since(began).min(30);
    assert!((70 - 2 * slack..=70).contains(&refused.len()), "{} refused", refused.len());
    let [first, .., last] = refused.as_slice() else { panic!("many are refused") };
    for (answer, name, policy) in [(first, "address", "q=4;w=4"), (last, "network", "q=10;w=10")] {
        let limit = answer.header("ratelimit").expect("a header");
        assert!(limit.starts_with(&format!("\"{name}\";r=0;t=")), "{limit}");
        assert_eq!(answer.header("ratelimit-policy"), Some(format!("\"{name}\";{policy}").as_str()));
        assert!(answer.header("retry-after").is_some());
    }
}
