//! By what money moves: a reference moves it once between two accounts of a campaign.

use super::life::{at, pots, redeem, redeemed, refund, sold};
use super::*;
use crate::domain::ids::CampaignId;
use crate::domain::life::{Pot, Step};
use crate::ledger::life::{Action, Key, Refused, Request, Verdict};

/// Steps as a store could have them before references were unique, for a ledger that holds [`campaign`]: two payments of
/// one reference, one to somebody else, two transfers of one reference, and one of which no reference is known.
pub(crate) const BOOKED_TWICE: &str = "\
    INSERT INTO posting (number, at_ms, campaign, kind) VALUES (7, 1, 1, 'moved'); \
    INSERT INTO posting_line (posting, account, amount) VALUES (7, 'recovered', -5), (7, 'treasury', 5); \
    INSERT INTO step (number, at_ms, step, campaign, merchant, order_id, refunded, back, moved, posting, detail) VALUES \
        (1, 1, 'settled', 1, 'm1', 't1', 0, 0, 5, NULL, NULL), (2, 1, 'settled', 1, 'm1', 't1', 0, 0, 5, NULL, NULL), \
        (3, 1, 'settled', 1, 'm2', 't1', 0, 0, 5, NULL, NULL), \
        (4, 1, 'moved', 1, NULL, NULL, 0, 0, 5, 7, '{\"reason\":\"r\",\"reference\":\"d1\"}'), \
        (5, 1, 'moved', 1, NULL, NULL, 0, 0, 5, 7, '{\"reason\":\"r\",\"reference\":\"d1\"}'), \
        (6, 1, 'moved', 1, NULL, NULL, 0, 0, 5, 7, 'no JSON');";

fn settle(id: &CampaignId, merchant: &str, amount: i64, payment: &str) -> Action {
    let (campaign, merchant, payment) = (id.clone(), merchant.to_owned(), payment.to_owned());
    Action::Settle { campaign, merchant, amount: Fen(amount), payment, after: None, detail: None }
}

fn shift(from: Pot, to: Pot, amount: i64, reference: &str) -> Action {
    let (reference, reason) = (reference.to_owned(), "it ends".to_owned());
    let (campaign, amount) = (campaign().id, Fen(amount));
    Action::Move { campaign, from, to, amount, reference, after: None, reason, over: false }
}

fn used<T>(step: u64) -> Result<T, Refused> {
    Err(Refused::ReferenceUsed { step })
}

pub(super) async fn money_moves_once_by_a_reference<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    redeemed(ledger, 0, 1, "o1").await;
    at(ledger, 0, Action::Redeem(redeem(2, "m2", "o2"))).await.unwrap();
    let id = campaign().id;
    let first = at(ledger, 1, settle(&id, "m1", 100, "t1")).await.unwrap().step.number;
    // Whatever the amount is, also one that is not there; and by another key.
    for amount in [100, 50, 9_999] {
        assert_eq!(at(ledger, 2, settle(&id, "m1", amount, "t1")).await, used(first));
    }
    let key = |key: &str, content: &str| {
        Some(Key { actor: "books".to_owned(), key: key.to_owned(), content: content.to_owned() })
    };
    let keyed = |name: &str| Request { action: settle(&id, "m1", 100, "t2"), key: key(name, "c") };
    let outcomes = ledger.life(vec![keyed("k1"), keyed("k2"), keyed("k1")], NOW_MS + 3).await.unwrap();
    let second = outcomes[0].as_ref().unwrap().step.number;
    assert_eq!(outcomes[1], used(second), "also within one transaction");
    assert!(outcomes[2].as_ref().unwrap().replayed, "the same key is told the same");
    // A refused payment leaves its reference free, and a batch order of a bank pays several merchants.
    assert_eq!(at(ledger, 4, settle(&id, "m2", 1_001, "t1")).await, Err(Refused::TooMuch));
    at(ledger, 4, settle(&id, "m2", 1_000, "t1")).await.unwrap();

    let void = Action::Review {
        claim: life::number(1, 3),
        verdict: Verdict::Void,
        reason: String::new(),
        seen: None,
    };
    at(ledger, 5, void).await.unwrap();
    let moved = at(ledger, 6, shift(Pot::Recovered, Pot::Recycled, 400, "t1")).await.unwrap().step.number;
    assert_eq!(at(ledger, 7, shift(Pot::Recovered, Pot::Recycled, 400, "t1")).await, used(moved));
    let on = at(ledger, 7, shift(Pot::Recycled, Pot::Treasury, 400, "t1")).await.unwrap().step.number;
    assert_eq!(at(ledger, 8, shift(Pot::Recycled, Pot::Treasury, 400, "t1")).await, used(on));
    assert_eq!(pots(ledger).await, [0, 800, 1_200, 0, 400, 600]);
    verified(ledger).await;
}

pub(super) async fn another_campaign_may_be_paid_for_by_the_same_reference<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    redeemed(ledger, 0, 1, "o1").await;
    let mut other = campaign();
    other.id = CampaignId::new("market").unwrap();
    other.drops.truncate(1);
    other.drops[0].id = DropId::new("market-money").unwrap();
    let revision = ledger.revision().await.unwrap();
    ledger.apply_campaign(&other, revision, "ann", NOW_MS).await.unwrap();
    written(ledger, group(1, vec![Ok(vec![claims("market-money", 1, "ann")])])).await;
    let mut theirs = redeem(1, "m1", "o2");
    theirs.claim.drop = DropNumber(3);
    at(ledger, 1, Action::Redeem(theirs)).await.unwrap();
    let id = campaign().id;
    let both = [&id, &other.id].map(|id| Request { action: settle(id, "m1", 1_000, "t1"), key: None });
    let outcomes = ledger.life(both.to_vec(), NOW_MS + 2).await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    verified(ledger).await;
}

/// What is refunded after it was paid is owed by the merchant, which gives it back once by a reference, and no more of it.
pub(super) async fn what_a_merchant_owes_is_given_back_once<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let redemption = redeemed(ledger, 0, 1, "o1").await;
    let id = campaign().id;
    at(ledger, 1, settle(&id, "m1", 600, "t1")).await.unwrap();
    let repay = |merchant: &str, amount, payment: &str| {
        let (campaign, merchant, payment) = (id.clone(), merchant.to_owned(), payment.to_owned());
        Action::Repay { campaign, merchant, amount: Fen(amount), payment, after: None, detail: None }
    };
    assert_eq!(at(ledger, 2, repay("m1", 1, "b1")).await, Err(Refused::TooMuch), "it is owed something");
    at(ledger, 3, refund(redemption, None)).await.unwrap();
    for (merchant, amount) in [("m1", 601), ("m2", 1), ("m1", 0), ("m1", -5)] {
        assert_eq!(at(ledger, 4, repay(merchant, amount, "b1")).await, Err(Refused::TooMuch), "{merchant}");
    }
    let first = at(ledger, 4, repay("m1", 200, "t1")).await.unwrap().step;
    assert_eq!((first.step, first.moved, first.state), (Some(Step::Repaid), 200, None));
    assert_eq!(at(ledger, 5, repay("m1", 1, "t1")).await, used(first.number));
    let requests = [repay("m1", 300, "b2"), repay("m1", 101, "b3"), repay("m1", 100, "b3")];
    let requests = requests.into_iter().map(|action| Request { action, key: None }).collect();
    let outcomes = ledger.life(requests, NOW_MS + 6).await.unwrap();
    assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(pots(ledger).await, [3_000, 0, 0, 0, 0, 0]);
    verified(ledger).await;
}

/// What was recovered of a merchant that had been paid is moved when it has come back, and not before.
pub(super) async fn what_a_merchant_still_has_is_not_moved<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    redeemed(ledger, 0, 1, "o1").await;
    let id = campaign().id;
    at(ledger, 1, settle(&id, "m1", 700, "t1")).await.unwrap();
    let review = |seq, verdict| {
        let (claim, reason) = (life::number(1, seq), "fraud".to_owned());
        Action::Review { claim, verdict, reason, seen: None }
    };
    at(ledger, 2, review(1, Verdict::Recover)).await.unwrap();
    assert_eq!(pots(ledger).await, [2_000, -700, 700, 0, 0, 1_000]);
    assert_eq!(at(ledger, 3, shift(Pot::Recovered, Pot::Treasury, 301, "d1")).await, Err(Refused::TooMuch));
    assert_eq!(at(ledger, 3, shift(Pot::Recovered, Pot::Recycled, 301, "d1")).await, Err(Refused::TooMuch));
    at(ledger, 3, shift(Pot::Recovered, Pot::Treasury, 300, "d1")).await.unwrap();
    assert_eq!(at(ledger, 4, shift(Pot::Recovered, Pot::Treasury, 1, "d2")).await, Err(Refused::TooMuch));
    // What another one recovers of holders is there.
    at(ledger, 5, review(2, Verdict::Void)).await.unwrap();
    at(ledger, 6, shift(Pot::Recovered, Pot::Recycled, 1_000, "d2")).await.unwrap();
    let (campaign, merchant, payment) = (id, "m1".to_owned(), "b1".to_owned());
    let back = Action::Repay { campaign, merchant, amount: Fen(600), payment, after: None, detail: None };
    at(ledger, 7, back).await.unwrap();
    assert_eq!(at(ledger, 8, shift(Pot::Recovered, Pot::Treasury, 601, "d3")).await, Err(Refused::TooMuch));
    at(ledger, 8, shift(Pot::Recovered, Pot::Treasury, 600, "d3")).await.unwrap();
    assert_eq!(pots(ledger).await, [1_000, -100, 100, 1_000, 900, 100]);
    verified(ledger).await;
}

/// What a ledger with [`BOOKED_TWICE`] does once it has been brought up.
pub(crate) async fn what_was_booked_twice_stands<L: Ledger>(ledger: &L) {
    let id = campaign().id;
    assert_eq!(at(ledger, 1, settle(&id, "m1", 1, "t1")).await, used(1));
    assert_eq!(at(ledger, 1, settle(&id, "m2", 1, "t1")).await, used(3));
    assert_eq!(at(ledger, 1, settle(&id, "m3", 1, "t1")).await, Err(Refused::TooMuch));
    assert_eq!(at(ledger, 1, shift(Pot::Recovered, Pot::Treasury, 1, "d1")).await, used(4));
    assert_eq!(ledger.steps(0, 9).await.unwrap().len(), 6, "what is booked stays");
}
