//! Many payments at once, each told twice at the same moment, as payment services do.

use std::sync::Barrier;

use super::shop::Shop;
use crate::support::http::Answer;
use crate::support::postgres::PostgresServer;
use crate::support::service::PATIENCE;
use crate::support::wait_for;

const BUYERS: usize = 24;

fn all_pay_at_once(shop: &Shop) {
    let claims: Vec<String> = (0..BUYERS).map(|n| shop.claimed(&format!("p-{n}"))).collect();
    let at_once = Barrier::new(2 * BUYERS);
    let answers: Vec<(Answer, Answer)> = std::thread::scope(|scope| {
        let pay = |n: usize| {
            let (at_once, claim) = (&at_once, &claims[n]);
            scope.spawn(move || {
                at_once.wait();
                // As payment services do: what was not taken for want of time (503) is told again.
                wait_for("the payment is taken", PATIENCE, || {
                    let answer = shop.pay(claim, &format!("msg_{n}"), &format!("pay_{n}"));
                    (answer.status != 503).then_some(answer)
                })
            })
        };
        let calls: Vec<_> = (0..BUYERS).map(|n| (pay(n), pay(n))).collect();
        let ended = calls.into_iter().map(|(one, other)| (one.join(), other.join()));
        ended.map(|(one, other)| (one.expect("it ends"), other.expect("it ends"))).collect()
    });
    for (one, other) in &answers {
        let said = |answer: &Answer| (answer.status, answer.text("outcome"), answer.text("recorded_at"));
        assert_eq!((said(one).0, said(one).1.as_str()), (200, "confirmed"), "{}", one.json());
        assert_eq!(said(one), said(other));
        let replayed = [one, other].map(|answer| answer.json()["replayed"] == true);
        assert!(replayed == [true, false] || replayed == [false, true], "{replayed:?}");
    }
    assert_eq!(shop.service.metric("claimrush_holds_total"), Some(BUYERS as u64));
    assert!(shop.late().is_empty(), "nobody paid twice");
    shop.wait_stock(1);
    shop.audit();
}

#[test]
fn payments_that_come_at_once_are_each_recorded_once() {
    all_pay_at_once(&Shop::open(&[], u32::try_from(BUYERS).unwrap() + 1, "hold_for = \"15m\""));
}

#[test]
fn payments_that_come_at_once_are_each_recorded_once_in_postgres() {
    let server = PostgresServer::start(&[]);
    let ledger = [("ledger.url", &*server.url())];
    all_pay_at_once(&Shop::open(&ledger, u32::try_from(BUYERS).unwrap() + 1, "hold_for = \"15m\""));
}
