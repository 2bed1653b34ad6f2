//! Payments for held units: each is told of any number of times and counts once.

use super::life::{at, number, sold};
use super::*;
use crate::domain::life::Step;
use crate::ledger::life::{Action, Done, Request};

fn pay(seq: u32, payment: &str) -> Action {
    Action::Confirm { claim: number(2, seq), payment: payment.to_owned(), amount: Fen(9_900) }
}

pub(super) async fn a_payment_counts_once_whatever_came_between<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let bought = at(ledger, 500, pay(1, "p1")).await.unwrap();
    assert_eq!(bought.step.step, Some(Step::Confirmed));
    let late = at(ledger, 600, pay(1, "p2")).await.unwrap();
    assert_eq!(late.step.step, Some(Step::LatePayment));
    let again = |done: &Done| Ok(Done { replayed: true, ..done.clone() });
    assert_eq!(at(ledger, 700, pay(1, "p1")).await, again(&bought), "the one that bought the unit");
    assert_eq!(at(ledger, 700, pay(1, "p2")).await, again(&late));
    let detail = "r".to_owned();
    at(ledger, 800, Action::PaymentRefunded { late: late.step.number, detail }).await.unwrap();
    assert_eq!(at(ledger, 900, pay(1, "p2")).await, again(&late), "one that was refunded");
    assert_eq!(at(ledger, 900, pay(1, "p1")).await, again(&bought));
    assert_eq!(ledger.late_payments_open().await.unwrap().count, 0);
    // Within one transaction as well; a payment of the same name for another claim is another one.
    let told = [pay(2, "p1"), pay(2, "p2"), pay(2, "p1"), pay(2, "p2")];
    let told = told.map(|action| Request { action, key: None }).to_vec();
    let outcomes = ledger.life(told, NOW_MS + 950).await.unwrap();
    let [first, second] = [&outcomes[0], &outcomes[1]].map(|outcome| outcome.clone().unwrap());
    assert_eq!((first.replayed, first.step.step), (false, Some(Step::Confirmed)));
    assert_eq!((second.replayed, second.step.step), (false, Some(Step::LatePayment)));
    assert_eq!(outcomes[2..], [again(&first), again(&second)]);
    assert_eq!(ledger.late_payments(0, 9).await.unwrap().len(), 2);
    verified(ledger).await;
}
