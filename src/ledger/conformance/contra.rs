//! Reversals of what staff noted by mistake: once, the way it came, and never more than is there.

use super::life::{at, number, pots, redeem, redeemed, refund, sold};
use super::*;
use crate::domain::campaign::CampaignState;
use crate::domain::ids::CampaignId;
use crate::domain::life::{Pot, Step};
use crate::ledger::life::{Action, Key, MoneyMove, Noted, Refused, Request, Verdict};
use crate::ledger::postings::Account;

pub(crate) fn settle(merchant: &str, amount: i64, payment: &str, after: Option<u64>) -> Action {
    let (campaign, merchant, payment) = (campaign().id, merchant.to_owned(), payment.to_owned());
    Action::Settle { campaign, merchant, amount: Fen(amount), payment, after, detail: None }
}

fn shift(from: Pot, to: Pot, amount: i64, reference: &str, after: Option<u64>) -> Action {
    let (campaign, amount) = (campaign().id, Fen(amount));
    let (reference, reason) = (reference.to_owned(), "it ends".to_owned());
    Action::Move { campaign, from, to, amount, reference, after, reason, over: false }
}

pub(crate) fn contra(step: u64) -> Action {
    Action::Contra { campaign: campaign().id, step, reason: "a slip".to_owned(), over: false }
}

fn void(seq: u32) -> Action {
    Action::Review { claim: number(1, seq), verdict: Verdict::Void, reason: String::new(), seen: None }
}

/// A ledger in which a payment was reversed and noted again by its reference: steps 2, 3 and 4 in records 4, 5 and 6.
pub(crate) async fn reversed<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    redeemed(ledger, 0, 1, "o1").await;
    for (step, action) in
        [(2, settle("m1", 60, "t1", None)), (3, contra(2)), (4, settle("m1", 600, "t1", Some(3)))]
    {
        assert_eq!(at(ledger, 1, action).await.unwrap().step.number, step);
    }
}

pub(super) async fn a_payment_is_reversed_once_and_noted_again<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    redeemed(ledger, 0, 1, "o1").await;
    let (id, owed) = (campaign().id, Account::Payable("m1".to_owned()));
    let first = at(ledger, 1, settle("m1", 60, "t1", None)).await.unwrap().step;
    let noted = async || ledger.noted(&id, &owed, &Account::Settled, "t1").await.unwrap();
    assert_eq!(noted().await, Some(Noted { step: first.number, contra: None }));
    let key = |key: &str| Key { actor: "books".to_owned(), key: key.to_owned(), content: "c".to_owned() };
    let keyed = |name| Request { action: contra(first.number), key: Some(key(name)) };
    let outcomes = ledger.life(vec![keyed("k1"), keyed("k1"), keyed("k2")], NOW_MS + 2).await.unwrap();
    let contra_step = outcomes[0].as_ref().unwrap().step.clone();
    let by = contra_step.number;
    assert_eq!((contra_step.step, contra_step.moved), (Some(Step::Contra), 60));
    assert_eq!((contra_step.redemption, contra_step.order_id.as_deref()), (Some(first.number), Some("t1")));
    assert!(outcomes[1].as_ref().unwrap().replayed, "the same key is told the same");
    assert_eq!(outcomes[2], Err(Refused::Reversed { by }));
    assert_eq!(at(ledger, 3, contra(first.number)).await, Err(Refused::Reversed { by }));
    assert_eq!(pots(ledger).await, [2_000, 1_000, 0, 0, 0, 0]);
    let moved = MoneyMove { from: owed.clone(), to: Account::Settled, contra: Some(by) };
    assert_eq!(ledger.money_move(&id, first.number).await.unwrap(), Some(moved));
    assert_eq!(noted().await, Some(Noted { step: first.number, contra: Some(by) }));
    let (all, numbers) = (ledger.postings(&id, 0, 99).await.unwrap(), (first.posting, contra_step.posting));
    let last = all.last().unwrap();
    assert_eq!((last.kind.as_str(), last.reverses, Some(last.number)), ("contra", numbers.0, numbers.1));
    assert_eq!(all.iter().filter(|posting| posting.reverses.is_some()).count(), 1);

    // Nobody notes it again who does not know of the reversal, and then it is noted once.
    let used = |step| Err(Refused::ReferenceUsed { step });
    assert_eq!(at(ledger, 4, settle("m1", 600, "t1", None)).await, used(first.number));
    assert_eq!(at(ledger, 4, settle("m1", 600, "t1", Some(by + 1))).await, used(first.number));
    assert_eq!(at(ledger, 4, settle("m1", 600, "t2", Some(by))).await, Err(Refused::Changed));
    let second = at(ledger, 4, settle("m1", 600, "t1", Some(by))).await.unwrap().step.number;
    assert_eq!(at(ledger, 5, settle("m1", 1, "t1", Some(by))).await, used(second));
    assert_eq!(at(ledger, 5, settle("m1", 1, "t1", None)).await, used(second));
    assert_eq!(pots(ledger).await, [2_000, 400, 600, 0, 0, 0]);
    // And again, within one transaction with what knows nothing of it.
    let both = [contra(second), settle("m1", 1, "t1", Some(by))].map(|action| Request { action, key: None });
    let outcomes = ledger.life(both.to_vec(), NOW_MS + 6).await.unwrap();
    let by = outcomes[0].as_ref().unwrap().step.number;
    assert_eq!(outcomes[1], used(second));
    at(ledger, 7, settle("m1", 700, "t1", Some(by))).await.unwrap();
    assert_eq!(pots(ledger).await, [2_000, 300, 700, 0, 0, 0]);
    verified(ledger).await;
}

/// A merchant owes again what it did not give back; a closed period keeps what it was closed with.
pub(super) async fn a_repayment_is_reversed<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let redemption = redeemed(ledger, 0, 1, "o1").await;
    at(ledger, 1, settle("m1", 600, "t1", None)).await.unwrap();
    at(ledger, 2, refund(redemption, None)).await.unwrap();
    let (campaign, merchant) = (campaign().id, "m1".to_owned());
    let repay = |amount, after| {
        let (campaign, merchant, payment) = (campaign.clone(), merchant.clone(), "b1".to_owned());
        Action::Repay { campaign, merchant, amount: Fen(amount), payment, after, detail: None }
    };
    let wrong = at(ledger, 3, repay(600, None)).await.unwrap().step.number;
    ledger.close_period(&campaign, NOW_MS + 4, "ann", NOW_MS + 5).await.unwrap().unwrap();
    let by = at(ledger, 2, contra(wrong)).await.unwrap().step;
    assert_eq!(by.at_ms, NOW_MS + 4, "not into what is closed");
    assert_eq!(pots(ledger).await, [3_000, -600, 600, 0, 0, 0]);
    at(ledger, 5, repay(200, Some(by.number))).await.unwrap();
    assert_eq!(at(ledger, 6, repay(401, None)).await, Err(Refused::ReferenceUsed { step: by.number + 1 }));
    assert_eq!(pots(ledger).await, [3_000, -400, 400, 0, 0, 0]);
    verified(ledger).await;
}

pub(super) async fn nothing_goes_back_that_is_not_there<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let redemption = redeemed(ledger, 0, 1, "o1").await;
    let paid = at(ledger, 1, settle("m1", 600, "t1", None)).await.unwrap().step.number;
    at(ledger, 2, refund(redemption, None)).await.unwrap();
    let (id, merchant, payment) = (campaign().id, "m1".to_owned(), "b1".to_owned());
    let back = Action::Repay { campaign: id, merchant, amount: Fen(1), payment, after: None, detail: None };
    at(ledger, 3, back).await.unwrap();
    assert_eq!(at(ledger, 4, contra(paid)).await, Err(Refused::TooMuch), "a part of it came back");

    // What came back pays for what may be claimed: a transfer of it is reversed while it is not needed.
    for seq in [2, 3] {
        at(ledger, 5, void(seq)).await.unwrap();
    }
    let moved = at(ledger, 6, shift(Pot::Recovered, Pot::Recycled, 1_000, "d1", None)).await.unwrap().step;
    let on = at(ledger, 7, shift(Pot::Recycled, Pot::Treasury, 400, "d1", None)).await.unwrap().step;
    assert_eq!(at(ledger, 8, contra(moved.number)).await, Err(Refused::TooMuch), "400 of it went on");
    at(ledger, 9, contra(on.number)).await.unwrap();
    let mut larger = ledger.catalogue().await.unwrap().campaigns[0].campaign.clone();
    larger.drops[0].stock += 1;
    let revision = ledger.revision().await.unwrap();
    ledger.apply_campaign(&larger, revision, "ann", NOW_MS).await.unwrap();
    assert_eq!(at(ledger, 10, contra(moved.number)).await, Err(Refused::TooMuch), "it is promised again");
    let over =
        Action::Contra { campaign: campaign().id, step: moved.number, reason: "r".to_owned(), over: true };
    ledger.set_campaign_state(&campaign().id, CampaignState::Ended, "ann", NOW_MS + 11).await.unwrap();
    at(ledger, 12, over).await.unwrap();
    assert_eq!(pots(ledger).await, [1_000, -599, 599, 0, 0, 2_000]);
    verified(ledger).await;
}

pub(super) async fn what_staff_did_not_move_is_not_reversed<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let redemption = redeemed(ledger, 0, 1, "o1").await;
    at(ledger, 0, Action::Redeem(redeem(2, "m2", "o2"))).await.unwrap();
    let paid = at(ledger, 1, settle("m1", 600, "t1", None)).await.unwrap().step.number;
    let by = at(ledger, 2, contra(paid)).await.unwrap().step.number;
    for step in [redemption, by, 0, 99, u64::MAX] {
        assert_eq!(at(ledger, 3, contra(step)).await, Err(Refused::UnknownMove), "{step}");
    }
    let mut other = campaign();
    other.id = CampaignId::new("market").unwrap();
    other.drops.truncate(1);
    other.drops[0].id = DropId::new("market-money").unwrap();
    let revision = ledger.revision().await.unwrap();
    ledger.apply_campaign(&other, revision, "ann", NOW_MS).await.unwrap();
    let again = at(ledger, 4, settle("m1", 600, "t2", None)).await.unwrap().step.number;
    let of = |id: &CampaignId| Action::Contra {
        campaign: id.clone(),
        step: again,
        reason: "r".to_owned(),
        over: false,
    };
    assert_eq!(at(ledger, 5, of(&other.id)).await, Err(Refused::UnknownMove));
    assert_eq!(at(ledger, 5, of(&CampaignId::new("nowhere").unwrap())).await, Err(Refused::UnknownCampaign));
    assert_eq!(ledger.money_move(&other.id, again).await.unwrap(), None);
    verified(ledger).await;
}

/// (what an intruder does to [`reversed`], the record that shows it, a word of the explanation), as in
/// [`super::tampering::LIFE_TAMPERED`].
pub(crate) const CONTRA_TAMPERED: &[(&str, u64, &str)] = &[
    ("UPDATE step SET redemption = 1 WHERE number = 3", 5, "steps are not those"),
    ("UPDATE step SET redemption = NULL WHERE number = 3", 5, "steps are not those"),
    // With these a payment is reversed once more, or noted once more.
    ("DELETE FROM money_reference WHERE step = 3", 7, "2 references of payments are not"),
    ("DELETE FROM money_reference WHERE step = 4", 7, "1 references of payments are not"),
    ("UPDATE money_reference SET reference = 't1\n9' WHERE step = 4", 7, "1 references of payments are not"),
    ("UPDATE money_reference SET reference = 't2\n3' WHERE step = 4", 7, "2 references of payments are not"),
    ("UPDATE money_reference SET reference = '\n4' WHERE step = 3", 7, "3 references of payments are not"),
];

/// What nobody wrote may stand there: a reversal of nothing, of something else, of more, or of what was reversed before.
pub(crate) const CONTRA_WRONG: &[&str] = &[
    "UPDATE step SET redemption = 99 WHERE number = 3",
    "UPDATE step SET redemption = NULL WHERE number = 3",
    "UPDATE step SET redemption = 1 WHERE number = 3",
    "UPDATE step SET redemption = 4 WHERE number = 3",
    "UPDATE step SET moved = 61 WHERE number = 3",
    "UPDATE step SET campaign = 2 WHERE number = 3",
    "INSERT INTO step (number, at_ms, step, campaign, redemption, refunded, back, moved, posting) \
     SELECT 9, at_ms, step, campaign, redemption, refunded, back, moved, posting FROM step WHERE number = 3",
];
