//! The service killed at every step of a hold's end, and payments against the end of their time: each unit is sold, or back in
//! stock once.

use std::sync::Barrier;
use std::thread;

use claimrush::clock::Clock;
use serde_json::json;

use super::shop::Shop;
use crate::support::clock::FakeClock;
use crate::support::http::Client;
use crate::support::postgres::PostgresServer;
use crate::support::service::PATIENCE;
use crate::support::wait_for;

/// Where a cancellation or the end of a hold can be cut off, in the order of the way.
const STEPS: [&str; 9] = [
    "life.read",
    "life.written",
    "life.testified",
    "life.committed",
    "hold.decided",
    "hold.returned",
    "drain.written",
    "drain.committed",
    "drain.trimmed",
];

#[test]
fn a_hold_that_ends_is_given_back_once_wherever_the_service_dies() {
    for step in STEPS {
        ends(&[], step);
    }
}

#[test]
fn and_on_postgres_too() {
    let server = PostgresServer::start(&[]);
    let url = server.url();
    for step in ["life.written", "life.committed", "hold.decided", "hold.returned"] {
        // One ledger each: the drop's name is one drop's.
        server.query("postgres", "DROP DATABASE claims WITH (FORCE)");
        server.query("postgres", "CREATE DATABASE claims");
        ends(&[("ledger.url", &*url)], step);
    }
}

/// Two holds: one is cancelled, the other lapses when three hours have gone by; either end is cut off. No time but that of the
/// test's own clock goes by, so that nothing lapses while it is paid for, however slow the machine is.
fn ends(settings: &[(&str, &str)], step: &str) {
    let mut shop = Shop::by(Some(FakeClock::new()), settings, 5, "hold_for = \"3h\"");
    let claim = shop.claimed("ann");
    shop.claimed("bob");
    shop.wait_stock(3);
    shop.service.kill();
    let cancel = {
        let ticket = crate::support::http::bearer(&shop.ticket("ann"));
        let path = format!("/v1/claims/{claim}/cancel");
        move |service: &crate::support::service::Service| {
            let Ok(mut client) = Client::try_connect(service.address()) else { return };
            // Killed under way, it does not answer.
            let _ = client.try_call("POST", &path, &[("authorization", &ticket)], b"");
        }
    };
    shop.service.restart_until_killed(step, cancel);
    shop.clock.as_mut().expect("a clock").set(3 * 3_600);
    shop.service.restart_until_killed(step, |_| {});
    shop.service.restart();
    wait_for("both holds are over", PATIENCE, || {
        let over = |person: &str| ["cancelled", "lapsed"].contains(&shop.statuses(person)[0].as_str());
        (over("ann") && over("bob")).then_some(())
    });
    shop.wait_stock(5);
    shop.audit();
    // Nothing is given back a second time by later sweeps, and the units can be had.
    for person in ["cid", "dan", "eve", "fay", "gil"] {
        let claim = shop.claimed(person);
        assert_eq!(
            shop.pay(&claim, &format!("msg_{person}"), &format!("pay_{person}")).text("outcome"),
            "confirmed"
        );
    }
    assert!([409, 410].contains(&shop.claim("hal").status), "{step}: no sixth unit");
    shop.wait_stock(0);
    shop.audit();
}

#[test]
fn a_payment_is_never_lost_or_taken_twice_wherever_the_service_dies() {
    for step in ["life.read", "life.written", "life.testified", "life.committed"] {
        let mut shop = Shop::open(&[], 1, "hold_for = \"15m\"");
        let claim = shop.claimed("ann");
        shop.wait_stock(0);
        shop.service.kill();
        let body = json!({"payment": "pay_1", "amount": "1.00"}).to_string();
        let at_s = Clock::System.now_ms() / 1_000;
        let message = Shop::signed(&claim, "msg_1", at_s, body.as_bytes());
        shop.service.restart_until_killed(step, |service| {
            let Ok(mut client) = Client::try_connect(service.address()) else { return };
            let _ = client.try_send(&message).and_then(|()| client.try_answer(true));
        });
        shop.service.restart();
        let mut client = Client::connect(shop.service.address());
        client.send(&message);
        let answer = client.answer();
        assert_eq!((answer.status, answer.text("outcome")), (200, "confirmed".to_owned()), "{step}");
        assert_eq!(answer.json()["replayed"], step == "life.committed", "{step}");
        assert_eq!(shop.statuses("ann"), ["confirmed"]);
        assert!(shop.late().is_empty());
        shop.audit();
    }
}

#[test]
fn of_a_payment_and_the_end_of_the_hold_one_wins() {
    const HOLDS: usize = 24;
    let shop = Shop::open(&[], 24, "hold_for = \"2s\"");
    let claims: Vec<(String, i64)> = (0..HOLDS)
        .map(|n| {
            let answer = shop.claim(&format!("p-{n}"));
            (answer.text("claim_id"), super::instant_ms(&answer, "hold_expires_at"))
        })
        .collect();
    // Each is paid for around the end of its time, some before, some after, and cancelled at the same moment by a third.
    let start = Barrier::new(HOLDS);
    let outcomes: Vec<(String, bool)> = thread::scope(|scope| {
        let paying: Vec<_> = claims
            .iter()
            .enumerate()
            .map(|(n, (claim, until_ms))| {
                let (shop, start) = (&shop, &start);
                scope.spawn(move || {
                    start.wait();
                    let at_ms = until_ms + i64::try_from(n).expect("small") * 50 - 400;
                    wait_for("its moment", PATIENCE, || (Clock::System.now_ms() >= at_ms).then_some(()));
                    let cancelled = n % 3 == 0;
                    thread::scope(|both| {
                        let cancel = cancelled.then(|| both.spawn(|| shop.cancel(claim, &format!("p-{n}"))));
                        let paid = shop.pay(claim, &format!("msg_{n}"), &format!("pay_{n}"));
                        assert_eq!(paid.status, 200);
                        let given_back =
                            cancel.is_some_and(|cancel| cancel.join().expect("it ends").status == 200);
                        (paid.text("outcome"), given_back)
                    })
                })
            })
            .collect();
        paying.into_iter().map(|one| one.join().expect("it ends")).collect()
    });
    let confirmed = outcomes.iter().filter(|(outcome, _)| outcome == "confirmed").count();
    for (n, (outcome, given_back)) in outcomes.iter().enumerate() {
        assert!(!(outcome == "confirmed" && *given_back), "p-{n} has paid and given back");
        assert_eq!(*outcome == "confirmed", shop.statuses(&format!("p-{n}")) == ["confirmed"], "p-{n}");
    }
    shop.wait_stock(u64::try_from(HOLDS - confirmed).expect("small"));
    assert_eq!(shop.late().len(), HOLDS - confirmed, "every other payment is to be refunded");
    shop.audit();
}
