//! What staff read: lives of vouchers, movements, postings, payments and periods of a campaign.

use super::life::{at, number, pots, redeem, redeemed, refund, sold};
use super::*;
use crate::domain::ids::CampaignId;
use crate::domain::life::{Pot, Step};
use crate::ledger::life::{Action, Refused, StepRow, Verdict};
use crate::ledger::{Movement, PostingRow};

fn settle(amount: i64, payment: &str) -> Action {
    Action::Settle {
        campaign: campaign().id,
        merchant: "m1".to_owned(),
        amount: Fen(amount),
        payment: payment.to_owned(),
        after: None,
        detail: Some("why".to_owned()),
    }
}

fn numbers(steps: &[StepRow]) -> Vec<u64> {
    steps.iter().map(|step| step.number).collect()
}

pub(super) async fn a_vouchers_life_is_read_in_pages<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    assert_eq!(ledger.steps_of(number(1, 1), 0, 9).await.unwrap(), []);
    for order in ["o1", "o2"] {
        let redemption = redeemed(ledger, 1, 1, order).await;
        redeemed(ledger, 1, if order == "o1" { 2 } else { 3 }, &format!("{order}b")).await;
        at(ledger, 2, refund(redemption, None)).await.unwrap();
    }
    let all = ledger.steps_of(number(1, 1), 0, 9).await.unwrap();
    assert_eq!(numbers(&all), [1, 3, 4, 6]);
    assert_eq!(all.last(), ledger.last_step(number(1, 1)).await.unwrap().as_ref());
    let page = ledger.steps_of(number(1, 1), 1, 2).await.unwrap();
    assert_eq!(numbers(&page), [3, 4]);
    for nobody in [number(1, 99), number(9, 1)] {
        assert_eq!(ledger.steps_of(nobody, 0, 9).await.unwrap(), []);
    }
}

pub(super) async fn a_decision_is_about_what_was_seen<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let review = |verdict, seen| Action::Review {
        claim: number(1, 1),
        verdict,
        reason: "a broker's".to_owned(),
        seen: Some(seen),
    };
    assert_eq!(at(ledger, 1, review(Verdict::Freeze, 7)).await, Err(Refused::Changed));
    let frozen = at(ledger, 1, review(Verdict::Freeze, 0)).await.unwrap().step.number;
    assert_eq!(at(ledger, 2, review(Verdict::Void, 0)).await, Err(Refused::Changed));
    // Also within one transaction each is decided after those before it.
    let both = [review(Verdict::Release, frozen), review(Verdict::Void, frozen)];
    let both = both.into_iter().map(|action| crate::ledger::life::Request { action, key: None });
    let outcomes = ledger.life(both.collect(), NOW_MS + 3).await.unwrap();
    assert!(outcomes[0].is_ok());
    assert_eq!(outcomes[1], Err(Refused::Changed));
    verified(ledger).await;
}

pub(super) async fn movements_add_up_to_the_accounts<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    redeemed(ledger, 10, 1, "o1").await;
    at(ledger, 20, Action::Redeem(redeem(2, "m2", "o2"))).await.unwrap();
    at(ledger, 30, settle(400, "t1")).await.unwrap();
    let id = campaign().id;
    let all = ledger.movements(&id, i64::MAX).await.unwrap();
    let mut sums = std::collections::BTreeMap::new();
    for Movement { account, amount, .. } in &all {
        *sums.entry(account.clone()).or_insert(0) += amount.0;
    }
    let accounts = ledger.accounts(&id).await.unwrap();
    assert_eq!(sums, accounts.iter().map(|(account, amount)| (account.clone(), amount.0)).collect());
    let of = |kind: &str| {
        let rows = all.iter().filter(move |row| row.kind == kind);
        rows.map(|row| (row.account.as_str(), row.gains, row.amount.0)).collect::<Vec<_>>()
    };
    assert_eq!(of("redeemed"), [("live", 0, -2_000), ("payable:m1", 1, 1_000), ("payable:m2", 1, 1_000)]);
    assert_eq!(of("settled"), [("payable:m1", 0, -400), ("settled", 1, 400)]);
    // An instant itself does not count, as a period that ends then does not have it.
    let before = |ms| ledger.movements(&id, NOW_MS + ms);
    let settled = |rows: Vec<Movement>| rows.iter().any(|row| row.kind == "settled");
    assert!(!settled(before(30).await.unwrap()));
    assert!(settled(before(31).await.unwrap()));
    let nowhere = CampaignId::new("nowhere").unwrap();
    assert_eq!(ledger.movements(&nowhere, i64::MAX).await.unwrap(), []);
    pots(ledger).await;
}

pub(super) async fn postings_and_money_steps_are_read_in_pages<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    redeemed(ledger, 10, 1, "o1").await;
    for payment in ["t1", "t2", "t3"] {
        at(ledger, 20, settle(100, payment)).await.unwrap();
    }
    at(
        ledger,
        30,
        Action::Review { claim: number(1, 2), verdict: Verdict::Void, reason: String::new(), seen: None },
    )
    .await
    .unwrap();
    let back = Action::Move {
        campaign: campaign().id,
        from: Pot::Recovered,
        to: Pot::Treasury,
        amount: Fen(1_000),
        reference: "t1".to_owned(),
        after: None,
        reason: "back".to_owned(),
        over: false,
    };
    at(ledger, 31, back).await.unwrap();
    let id = campaign().id;
    let all = ledger.postings(&id, 0, 99).await.unwrap();
    let kinds: Vec<_> = all.iter().map(|posting| posting.kind.as_str()).collect();
    assert_eq!(kinds, ["budget", "claimed", "redeemed", "settled", "settled", "settled", "voided", "moved"]);
    let redeemed = PostingRow {
        number: 3,
        at_ms: NOW_MS + 10,
        kind: "redeemed".to_owned(),
        drop: Some(MONEY.to_owned()),
        reverses: None,
        lines: vec![("live".to_owned(), Fen(-1_000)), ("payable:m1".to_owned(), Fen(1_000))],
    };
    assert_eq!((&all[2], &all[0].drop), (&redeemed, &None));
    let page = ledger.postings(&id, 2, 3).await.unwrap();
    assert_eq!(page, all[2..5]);
    let paid = ledger.money_steps(&id, Step::Settled, 0, 99).await.unwrap();
    let told: Vec<_> = paid.iter().map(|step| (step.order_id.as_deref(), step.detail.as_deref())).collect();
    assert_eq!(told, ["t1", "t2", "t3"].map(|payment| (Some(payment), Some("why"))));
    let rest = ledger.money_steps(&id, Step::Settled, paid[0].number, 1).await.unwrap();
    assert_eq!(rest, paid[1..2]);
    let moved = ledger.money_steps(&id, Step::Moved, 0, 99).await.unwrap();
    assert_eq!((moved.len(), moved[0].posting), (1, Some(8)));
    let nowhere = CampaignId::new("nowhere").unwrap();
    assert_eq!(ledger.postings(&nowhere, 0, 9).await.unwrap(), []);
    assert_eq!(ledger.money_steps(&nowhere, Step::Moved, 0, 9).await.unwrap(), []);
    verified(ledger).await;
}

pub(super) async fn a_campaigns_periods_are_read_in_pages<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let id = campaign().id;
    for ms in 1..=3 {
        ledger.close_period(&id, NOW_MS + ms, "ann", NOW_MS + 9).await.unwrap().unwrap();
    }
    let all = ledger.periods().await.unwrap();
    assert_eq!(ledger.periods_of(&id, 0, 9).await.unwrap(), all);
    assert_eq!(ledger.periods_of(&id, 1, 1).await.unwrap(), all[1..2]);
    let nowhere = CampaignId::new("nowhere").unwrap();
    assert_eq!(ledger.periods_of(&nowhere, 0, 9).await.unwrap(), []);
    let record = ledger.audit_records(0, 99).await.unwrap().pop().unwrap();
    assert!(record.body.contains(r#""actor":"ann""#) && record.body.contains("period"), "{}", record.body);
    verified(ledger).await;
}

pub(super) async fn late_payments_are_counted_from_the_first<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let open = async || {
        let open = ledger.late_payments_open().await.unwrap();
        (open.count, open.oldest_at_ms.map(|at_ms| at_ms - NOW_MS))
    };
    assert_eq!(open().await, (0, None));
    let pay = |payment: &str| Action::Confirm {
        claim: number(2, 1),
        payment: payment.to_owned(),
        amount: Fen(9_900),
    };
    at(ledger, 500, pay("p1")).await.unwrap();
    let first = at(ledger, 600, pay("p2")).await.unwrap().step.number;
    at(ledger, 700, pay("p3")).await.unwrap();
    assert_eq!(open().await, (2, Some(600)));
    let detail = "r".to_owned();
    at(ledger, 800, Action::PaymentRefunded { late: first, detail }).await.unwrap();
    assert_eq!(open().await, (1, Some(700)));
}
