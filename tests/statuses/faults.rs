//! What people are told while Redis is silent, and that nothing is granted twice or lost by it.

use std::sync::mpsc;

use super::{assert_problem, retry_after_s};
use crate::support::campaign::{DropFile, campaign};
use crate::support::http::Client;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

#[test]
fn a_silent_redis_is_unavailable_and_nothing_is_claimed() {
    let service = Service::start();
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 5)]));
    let (ann, bob) = (service.ticket("d-1", "ann"), service.ticket("d-1", "bob"));
    assert_eq!(service.claim("d-1", &ann).status, 201);
    let frozen = service.freeze_redis();
    service.wait_unready("redis_down");
    for (what, ticket) in [("a holder", &ann), ("a stranger", &bob)] {
        let answer = service.claim("d-1", ticket);
        assert_problem(what, &answer, 503, "unavailable");
        assert_eq!(retry_after_s(&answer), Some(2));
    }
    assert_problem("mine", &service.mine("d-1", &ann), 503, "unavailable");
    assert_eq!(service.drop_state("d-1").status, 200, "the state is served from memory");
    drop(frozen);
    service.wait_ready();
    assert_eq!(service.claim("d-1", &ann).status, 200);
    assert_eq!(service.claim("d-1", &bob).status, 201);
}

#[test]
fn a_lost_reply_is_an_unknown_outcome_and_the_retry_tells() {
    // Longer than a poll may take to notice, so that the claim gets past the gate first.
    let service = Service::start_with(&[("server.threads", "1"), ("redis.response_timeout_ms", "1500")], &[]);
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 50)]));
    // The lane is connected by the first claim.
    assert_eq!(service.claim("d-1", &service.ticket("d-1", "first")).status, 201);
    let mut attempt = 0;
    let (ticket, lost) =
        wait_for("a claim gets past the gate before the silence is noticed", PATIENCE, || {
            attempt += 1;
            service.wait_ready();
            let ticket = service.ticket("d-1", &format!("p-{attempt}"));
            let frozen = service.freeze_redis();
            let answer = service.claim("d-1", &ticket);
            drop(frozen);
            (answer.code() != "unavailable").then_some((ticket, answer))
        });
    assert_problem("lost", &lost, 503, "outcome_unknown");
    assert_eq!(retry_after_s(&lost), Some(1));
    service.wait_ready();
    let again = service.claim("d-1", &ticket);
    assert_eq!((again.status, again.json()["replayed"].as_bool()), (200, Some(true)));
    let third = service.claim("d-1", &ticket);
    assert_eq!((third.status, third.text("claim_id")), (200, again.text("claim_id")));
    assert_eq!(service.redis_stock_left("d-1"), 48, "one unit each");
}

#[test]
fn a_full_queue_is_overloaded_and_what_waits_in_it_is_granted() {
    let settings = [
        ("server.threads", "1"),
        ("claim.batch_max", "1"),
        ("claim.inflight_max", "1"),
        ("claim.queue_max", "1"),
    ];
    let service = Service::start_with(&settings, &[]);
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 500)]));
    assert_eq!(service.claim("d-1", &service.ticket("d-1", "first")).status, 201);
    let (address, mint) = (service.address(), service.mint());
    let mut attempt = 0;
    let refused = wait_for("the queue is full before the silence is noticed", PATIENCE, || {
        attempt += 1;
        service.wait_ready();
        let tickets: Vec<_> = (0..8).map(|n| mint.ticket("d-1", &format!("p-{attempt}-{n}"))).collect();
        let frozen = service.freeze_redis();
        let (told, answers) = mpsc::channel();
        std::thread::scope(|scope| {
            for ticket in &tickets {
                let told = told.clone();
                scope.spawn(move || told.send(Client::connect(address).claim("d-1", ticket)));
            }
            // One is in flight, one waits for it and one may have been taken out already: some of the others are
            // refused at once, before anything moves.
            let first = answers.recv_timeout(PATIENCE).expect("some are refused");
            drop(frozen);
            (first.code() == "overloaded").then_some(first)
        })
    });
    assert_problem("overloaded", &refused, 503, "overloaded");
    assert_eq!(retry_after_s(&refused), Some(1));
    service.wait_ready();
    wait_for("those who waited and those who come again all have one", PATIENCE, || {
        let tickets = (0..8).map(|n| mint.ticket("d-1", &format!("p-{attempt}-{n}")));
        tickets.map(|ticket| service.claim("d-1", &ticket).status).all(|status| status < 300).then_some(())
    });
}
