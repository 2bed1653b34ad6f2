//! Steps of vouchers, holds and money: each kind once, with what it moves and what is refused.

use super::*;
use crate::domain::campaign::{ItemTerms, RedemptionRules, Unused};
use crate::domain::life::rules::{Merchant, Unmet};
use crate::domain::life::{Pot, State, Step};
use crate::ledger::CloseRefused;
use crate::ledger::life::{Action, Done, Key, Outcome, Redeem, Refused, Request, ShownAs, Verdict};

/// A quarter of an hour, the default time to take a redemption back.
const REVERSE_MS: i64 = 900_000;
/// How long a voucher of [`MONEY`] is valid.
pub(crate) const VALID_MS: i64 = 7 * 86_400_000;
/// A day.
const DAY_MS: i64 = 86_400_000;

pub(crate) fn number(drop: u32, seq: u32) -> ClaimNumber {
    ClaimNumber { drop: DropNumber(drop), shard: Shard(0), epoch: Epoch::FIRST, seq }
}

pub(crate) fn merchant(id: &str) -> Merchant {
    let (category, region) = ("5211".to_owned(), "530102".to_owned());
    Merchant { id: id.to_owned(), category, region, per_day: None, person_per_day: None }
}

pub(crate) fn redeem(seq: u32, at: &str, order_id: &str) -> Redeem {
    Redeem {
        claim: number(1, seq),
        shown: ShownAs::Code,
        merchant: merchant(at),
        barred: None,
        shop: Some("shop-1".to_owned()),
        order_id: order_id.to_owned(),
        amount: Fen(10_000),
        detail: None,
        trial: false,
    }
}

fn keyed(action: Action, key: &str, content: &str) -> Request {
    let key = Key { actor: "m1".to_owned(), key: key.to_owned(), content: content.to_owned() };
    Request { action, key: Some(key) }
}

/// Takes one step at an instant after [`NOW_MS`].
pub(crate) async fn at<L: Ledger>(ledger: &L, after_ms: i64, action: Action) -> Outcome {
    let request = Request { action, key: None };
    ledger.life(vec![request], NOW_MS + after_ms).await.unwrap().remove(0)
}

pub(super) async fn redeemed<L: Ledger>(ledger: &L, after_ms: i64, seq: u32, order: &str) -> u64 {
    let done = at(ledger, after_ms, Action::Redeem(redeem(seq, "m1", order))).await.unwrap();
    assert_eq!((done.step.state, done.replayed), (Some(State::Redeemed), false));
    done.step.number
}

pub(super) fn refund(redemption: u64, amount: Option<i64>) -> Action {
    Action::Refund { redemption, merchant: "m1".to_owned(), amount: amount.map(Fen) }
}

fn reverse(redemption: u64) -> Action {
    Action::Reverse { redemption, merchant: "m1".to_owned() }
}

fn review(seq: u32, verdict: Verdict) -> Action {
    Action::Review { claim: number(1, seq), verdict, reason: "a broker's".to_owned(), seen: None }
}

/// (live, payable, settled, recycled, treasury, recovered), after checking that all adds up to the budget.
pub(crate) async fn pots<L: Ledger>(ledger: &L) -> [i64; 6] {
    let all = ledger.balances().await.unwrap();
    let books = &all[0];
    assert_eq!((books.spread(), books.unbalanced), (Some(books.budget), 0));
    let accounts = ledger.accounts(&books.campaign).await.unwrap();
    assert_eq!(accounts.values().map(|amount| amount.0).sum::<i64>(), 0, "{accounts:?}");
    [books.live, books.payable, books.settled, books.recycled, books.treasury, books.recovered]
        .map(|fen| fen.0)
}

/// A ledger with three vouchers of 10.00 and two things, and the campaign as `change` has it.
pub(super) async fn sold<L: Ledger>(ledger: &L, change: impl FnOnce(&mut RedemptionRules)) {
    let mut campaign = campaign();
    let mut rules = RedemptionRules::default();
    change(&mut rules);
    campaign.redemption = Some(rules);
    campaign.drops[1].item = Some(ItemTerms { hold_ms: 1_000, claim_again: true });
    ledger.apply_campaign(&campaign, 0, "ann", NOW_MS).await.unwrap();
    let events = vec![claims(MONEY, 1, "ann bob ann"), claims(THINGS, 1, "ann bob")];
    written(ledger, group(0, vec![Ok(events)])).await;
}

pub(super) async fn a_redemption_is_made_once_and_told_again<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let length = ledger.chain_head().await.unwrap().length;
    let request = || keyed(Action::Redeem(redeem(1, "m1", "o1")), "k1", "c1");
    let other = || keyed(Action::Redeem(redeem(2, "m1", "o2")), "k1", "c2");
    let outcomes = ledger.life(vec![request(), request(), other()], NOW_MS + 5).await.unwrap();
    let first = outcomes[0].clone().unwrap();
    assert_eq!((first.step.number, first.replayed), (1, false));
    assert_eq!((first.step.discount, first.step.moved), (Some(1_000), 1_000));
    assert_eq!(outcomes[1], Ok(Done { replayed: true, ..first.clone() }));
    assert_eq!(outcomes[2], Err(Refused::KeyReused));
    let later = ledger.life(vec![other(), request()], NOW_MS + DAY_MS).await.unwrap();
    assert_eq!(later, [Err(Refused::KeyReused), Ok(Done { replayed: true, ..first.clone() })]);
    let again = Action::Redeem(redeem(1, "m2", "o9"));
    assert_eq!(at(ledger, 9, again).await, Err(Refused::NotFrom(State::Redeemed)));
    let nobody = Action::Redeem(redeem(9, "m2", "o9"));
    assert_eq!(at(ledger, 9, nobody).await, Err(Refused::UnknownClaim));
    let thing = Action::Redeem(Redeem { claim: number(2, 1), ..redeem(1, "m2", "o9") });
    assert_eq!(at(ledger, 9, thing).await, Err(Refused::OtherKind));
    assert_eq!(ledger.chain_head().await.unwrap().length, length + 1, "what is refused leaves nothing");
    assert_eq!(pots(ledger).await, [2_000, 1_000, 0, 0, 0, 0]);
    assert_eq!(ledger.last_step(number(1, 1)).await.unwrap(), Some(first.step.clone()));
    assert_eq!(ledger.last_step(number(1, 2)).await.unwrap(), None);
    assert_eq!(ledger.steps(0, 9).await.unwrap(), [first.step]);
    verified(ledger).await;
}

pub(super) async fn terms_and_caps_are_kept<L: Ledger>(ledger: &L) {
    sold(ledger, |rules| {
        rules.person_per_day = Some(2);
        rules.person_per_merchant_per_day = Some(1);
    })
    .await;
    let low = Redeem { amount: Fen(4_999), ..redeem(1, "m1", "o1") };
    assert_eq!(at(ledger, 0, Action::Redeem(low)).await, Err(Refused::Unmet(Unmet::Threshold)));
    let late = Action::Redeem(redeem(1, "m1", "o1"));
    assert_eq!(at(ledger, VALID_MS + 1, late).await, Err(Refused::Expired));
    redeemed(ledger, 0, 1, "o1").await;
    // The third claim is of the first one's holder.
    let twice = || Action::Redeem(redeem(3, "m1", "o3"));
    assert_eq!(at(ledger, 0, twice()).await, Err(Refused::PersonCap));
    let mut capped = redeem(2, "m1", "o2");
    capped.merchant.per_day = Some(1);
    assert_eq!(at(ledger, 0, Action::Redeem(capped.clone())).await, Err(Refused::MerchantCap));
    capped.merchant.per_day = Some(2);
    at(ledger, 0, Action::Redeem(capped)).await.unwrap();
    let mut choosy = redeem(3, "m3", "o3");
    choosy.merchant.person_per_day = Some(0);
    assert_eq!(at(ledger, 0, Action::Redeem(choosy)).await, Err(Refused::PersonCap));
    // 10:00 in Shanghai: the next day begins fourteen hours later.
    assert_eq!(at(ledger, 14 * 3_600_000 - 1, twice()).await, Err(Refused::PersonCap));
    at(ledger, 14 * 3_600_000, twice()).await.unwrap();
    verified(ledger).await;
}

pub(super) async fn an_order_takes_one_voucher<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let first = redeemed(ledger, 0, 1, "o1").await;
    let second = || Action::Redeem(redeem(2, "m1", "o1"));
    assert_eq!(at(ledger, 1, second()).await, Err(Refused::OrderUsed));
    at(ledger, 1, Action::Redeem(redeem(2, "m2", "o1"))).await.unwrap();
    // A redemption that was taken back leaves its order free; a refunded order is over.
    at(ledger, 2, reverse(first)).await.unwrap();
    let third = at(ledger, 3, Action::Redeem(redeem(3, "m1", "o1"))).await.unwrap().step.number;
    at(ledger, 4, refund(third, None)).await.unwrap();
    assert_eq!(at(ledger, 5, Action::Redeem(redeem(1, "m1", "o1"))).await, Err(Refused::OrderUsed));
    verified(ledger).await;
}

pub(super) async fn a_full_refund_in_time_gives_the_voucher_back<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let redemption = redeemed(ledger, 0, 1, "o1").await;
    let of_another = Action::Refund { redemption, merchant: "m2".to_owned(), amount: None };
    assert_eq!(at(ledger, 1, of_another).await, Err(Refused::UnknownRedemption));
    assert_eq!(at(ledger, 1, refund(redemption, Some(10_001))).await, Err(Refused::TooMuch));
    assert_eq!(at(ledger, 1, refund(redemption, Some(0))).await, Err(Refused::TooMuch));
    let done = at(ledger, 1, refund(redemption, Some(10_000))).await.unwrap();
    assert_eq!((done.step.step, done.step.state), (Some(Step::Refunded), Some(State::Issued)));
    assert_eq!(pots(ledger).await, [3_000, 0, 0, 0, 0, 0]);
    assert_eq!(at(ledger, 2, refund(redemption, None)).await, Err(Refused::Undone));
    // Usable again, and only until its own end.
    let again = redeemed(ledger, VALID_MS, 1, "o2").await;
    assert_eq!(at(ledger, VALID_MS, refund(redemption, None)).await, Err(Refused::Undone));
    assert!(again > redemption);
    verified(ledger).await;
}

pub(super) async fn a_partial_or_late_refund_loses_the_voucher<L: Ledger>(ledger: &L) {
    sold(ledger, |rules| rules.unused = Unused::Treasury).await;
    let [part, late] = [redeemed(ledger, 0, 1, "o1").await, redeemed(ledger, 0, 2, "o2").await];
    let done = at(ledger, 1, refund(part, Some(3_333))).await.unwrap();
    assert_eq!((done.step.state, done.step.moved), (Some(State::Lost), 333));
    assert_eq!(pots(ledger).await, [1_000, 1_667, 0, 0, 333, 0]);
    let again = Action::Redeem(redeem(1, "m1", "o9"));
    assert_eq!(at(ledger, 2, again).await, Err(Refused::NotFrom(State::Lost)));
    assert_eq!(at(ledger, 2, refund(part, Some(6_668))).await, Err(Refused::TooMuch));
    let rest = at(ledger, 2, refund(part, None)).await.unwrap();
    assert_eq!((rest.step.refunded, rest.step.back, rest.step.moved), (10_000, 1_000, 667));
    assert_eq!(at(ledger, 3, refund(part, None)).await, Err(Refused::Undone));
    let done = at(ledger, VALID_MS + 2, refund(late, None)).await.unwrap();
    assert_eq!((done.step.step, done.step.state), (Some(Step::RefundedLate), Some(State::Lost)));
    assert_eq!(pots(ledger).await, [1_000, 0, 0, 0, 2_000, 0]);
    verified(ledger).await;
}

pub(super) async fn a_redemption_is_taken_back_for_a_while<L: Ledger>(ledger: &L) {
    sold(ledger, |rules| rules.person_per_day = Some(1)).await;
    let first = redeemed(ledger, 0, 1, "o1").await;
    assert_eq!(at(ledger, REVERSE_MS + 1, reverse(first)).await, Err(Refused::TooLate));
    at(ledger, REVERSE_MS, reverse(first)).await.unwrap();
    assert_eq!(at(ledger, REVERSE_MS, reverse(first)).await, Err(Refused::Undone));
    assert_eq!(pots(ledger).await, [3_000, 0, 0, 0, 0, 0]);
    // As if it had never been: nor does it count for the day.
    redeemed(ledger, REVERSE_MS + 1, 3, "o1").await;
    // Taken back after the voucher's end, the voucher has expired.
    let last = redeemed(ledger, VALID_MS, 1, "o3").await;
    let done = at(ledger, VALID_MS + 9, reverse(last)).await.unwrap();
    assert_eq!((done.step.step, done.step.state), (Some(Step::ReversedLate), Some(State::Expired)));
    assert_eq!(pots(ledger).await, [1_000, 1_000, 0, 1_000, 0, 0]);
    verified(ledger).await;
}

/// A till may know the number of the redemption to come, and take it back before it has been answered.
pub(super) async fn a_redemption_taken_back_in_its_own_transaction_counts_nothing<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let next = redeemed(ledger, 0, 1, "o1").await + 1;
    let requests = [Action::Redeem(redeem(2, "m1", "o2")), reverse(next)];
    let requests = requests.into_iter().map(|action| Request { action, key: None }).collect();
    let outcomes = ledger.life(requests, NOW_MS + 1).await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    verified(ledger).await;
}

pub(super) async fn fraud_is_frozen_voided_and_recovered<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    at(ledger, 0, review(1, Verdict::Freeze)).await.unwrap();
    let frozen = Action::Redeem(redeem(1, "m1", "o1"));
    assert_eq!(at(ledger, 1, frozen).await, Err(Refused::NotFrom(State::Frozen)));
    at(ledger, 2, review(1, Verdict::Release)).await.unwrap();
    let redemption = redeemed(ledger, 3, 1, "o1").await;
    assert_eq!(at(ledger, 4, review(1, Verdict::Void)).await, Err(Refused::NotFrom(State::Redeemed)));
    at(ledger, 4, refund(redemption, Some(5_000))).await.unwrap();
    let recovered = at(ledger, 5, review(1, Verdict::Recover)).await.unwrap();
    assert_eq!((recovered.step.moved, recovered.step.detail.as_deref()), (500, Some("a broker's")));
    assert_eq!(at(ledger, 5, refund(redemption, None)).await, Err(Refused::Undone));
    at(ledger, 6, review(2, Verdict::Void)).await.unwrap();
    at(ledger, 6, review(3, Verdict::Freeze)).await.unwrap();
    assert_eq!(pots(ledger).await, [1_000, 0, 0, 500, 0, 1_500]);
    let late = at(ledger, VALID_MS + 9, review(3, Verdict::Release)).await.unwrap();
    assert_eq!(late.step.state, Some(State::Expired));
    assert_eq!(pots(ledger).await, [0, 0, 0, 1_500, 0, 1_500]);
    verified(ledger).await;
}

pub(super) async fn holds_are_confirmed_cancelled_or_lapse<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let pay = |seq, payment: &str| Action::Confirm {
        claim: number(2, seq),
        payment: payment.to_owned(),
        amount: Fen(9_900),
    };
    let lapse = |seq| Action::Lapse { claim: number(2, seq) };
    let done = at(ledger, 1_000, pay(1, "p1")).await.unwrap();
    assert_eq!((done.step.state, done.step.moved), (Some(State::Confirmed), 0));
    let twice = at(ledger, 1_000, pay(1, "p2")).await.unwrap();
    assert_eq!((twice.step.step, twice.step.amount), (Some(Step::LatePayment), Some(9_900)));
    assert_eq!(at(ledger, 1_001, lapse(1)).await, Err(Refused::NotFrom(State::Confirmed)));
    assert_eq!(at(ledger, 1_000, lapse(2)).await, Err(Refused::NotDue));
    at(ledger, 1_001, lapse(2)).await.unwrap();
    let late = at(ledger, 1_002, pay(2, "p3")).await.unwrap();
    assert_eq!((late.step.step, late.step.state), (Some(Step::LatePayment), Some(State::Lapsed)));
    let cancel = Action::Cancel { claim: number(2, 2) };
    assert_eq!(at(ledger, 1_001, cancel).await, Err(Refused::NotFrom(State::Lapsed)));
    // The unit of a hold that is over goes back to stock; a payment that comes then is kept all the same.
    assert_eq!(written(ledger, group(1, vec![Ok(vec![returned(THINGS, 2, "bob", true)])])).await, (0, 1, 0));
    at(ledger, 1_002, pay(2, "p4")).await.unwrap();
    assert_eq!(at(ledger, 1_002, Action::Expire { claim: number(2, 1) }).await, Err(Refused::OtherKind));
    let voucher = Action::Cancel { claim: number(1, 1) };
    assert_eq!(at(ledger, 1_002, voucher).await, Err(Refused::OtherKind));
    assert_eq!(pots(ledger).await, [3_000, 0, 0, 0, 0, 0]);
    verified(ledger).await;
}

pub(super) async fn vouchers_expire_in_pages<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let early = Action::Expire { claim: number(1, 1) };
    assert_eq!(at(ledger, VALID_MS, early).await, Err(Refused::NotDue));
    redeemed(ledger, 0, 2, "o2").await;
    assert!(!ledger.expire(2, NOW_MS + VALID_MS).await.unwrap().looked_at);
    let mut expired = Vec::new();
    loop {
        let page = ledger.expire(2, NOW_MS + VALID_MS + 9).await.unwrap();
        if !page.looked_at {
            break;
        }
        expired.push(page.expired);
    }
    assert_eq!(expired, [1, 1], "the second one is redeemed");
    assert_eq!(pots(ledger).await, [0, 1_000, 0, 2_000, 0, 0]);
    // Later claims are looked at where the last look ended.
    written(ledger, group(1, vec![Ok(vec![claims(MONEY, 4, "dan")])])).await;
    assert_eq!(ledger.expire(9, NOW_MS + 2 * VALID_MS).await.unwrap().expired, 1);
    assert!(!ledger.expire(9, NOW_MS + 9 * VALID_MS).await.unwrap().looked_at);
    verified(ledger).await;
}

pub(super) async fn merchants_are_paid_what_they_are_owed<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let redemption = redeemed(ledger, 0, 1, "o1").await;
    let settle = |merchant: &str, amount, payment: &str| Action::Settle {
        campaign: campaign().id,
        merchant: merchant.to_owned(),
        amount: Fen(amount),
        payment: payment.to_owned(),
        after: None,
        detail: None,
    };
    assert_eq!(at(ledger, 1, settle("m1", 1_001, "t1")).await, Err(Refused::TooMuch));
    assert_eq!(at(ledger, 1, settle("m2", 1, "t1")).await, Err(Refused::TooMuch));
    let requests = [settle("m1", 600, "t1"), settle("m1", 600, "t2")];
    let requests = requests.into_iter().map(|action| Request { action, key: None }).collect();
    let outcomes = ledger.life(requests, NOW_MS + 2).await.unwrap();
    assert!(outcomes[0].is_ok());
    assert_eq!(outcomes[1], Err(Refused::TooMuch), "each is decided after the one before");
    // What is refunded after it was paid is owed by the merchant.
    at(ledger, 3, refund(redemption, None)).await.unwrap();
    assert_eq!(pots(ledger).await, [3_000, -600, 600, 0, 0, 0]);
    let accounts = ledger.accounts(&campaign().id).await.unwrap();
    assert_eq!((accounts["payable:m1"], accounts.get("payable:m2")), (Fen(-600), None));
    verified(ledger).await;
}

pub(super) async fn money_that_may_be_claimed_stays<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    // A unit that went back to stock is paid for by recycled money.
    written(ledger, group(1, vec![Ok(vec![returned(MONEY, 2, "bob", false)])])).await;
    let moving = |from, to, amount| Action::Move {
        campaign: campaign().id,
        from,
        to,
        amount: Fen(amount),
        reference: "decision 7".to_owned(),
        after: None,
        reason: "the programme ends".to_owned(),
        over: false,
    };
    assert_eq!(at(ledger, 1, moving(Pot::Recycled, Pot::Treasury, 1)).await, Err(Refused::TooMuch));
    assert_eq!(at(ledger, 1, moving(Pot::Live, Pot::Treasury, 1)).await, Err(Refused::OtherKind));
    at(ledger, 1, review(1, Verdict::Void)).await.unwrap();
    at(ledger, 2, moving(Pot::Recovered, Pot::Recycled, 1_000)).await.unwrap();
    assert_eq!(at(ledger, 3, moving(Pot::Recycled, Pot::Treasury, 1_001)).await, Err(Refused::TooMuch));
    at(ledger, 3, moving(Pot::Recycled, Pot::Treasury, 1_000)).await.unwrap();
    assert_eq!(pots(ledger).await, [1_000, 0, 0, 1_000, 1_000, 0]);
    verified(ledger).await;
}

pub(super) async fn a_closed_period_stays_closed<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    redeemed(ledger, 5, 1, "o1").await;
    let id = campaign().id;
    let close = async |until_ms, now_ms| {
        ledger.close_period(&id, NOW_MS + until_ms, "ann", NOW_MS + now_ms).await.unwrap()
    };
    assert_eq!(close(10, 9).await, Err(CloseRefused::NotOver));
    let first = close(5, 20).await.unwrap();
    let held = |period: &crate::ledger::Period, account: &str| {
        let line = period.lines.iter().find(|line| line.account == account);
        line.map_or((0, 0), |line| (line.opening.0, line.closing.0))
    };
    assert_eq!((held(&first, "live"), held(&first, "budget")), ((0, 3_000), (0, -100_000)));
    assert_eq!(close(5, 20).await, Err(CloseRefused::Closed));
    let second = close(10, 20).await.unwrap();
    assert_eq!((held(&second, "live"), held(&second, "payable:m1")), ((3_000, 2_000), (0, 1_000)));
    // A clock that is behind does not write into it.
    let done = at(ledger, 7, Action::Redeem(redeem(2, "m1", "o2"))).await.unwrap();
    assert_eq!(done.step.at_ms, NOW_MS + 10);
    written(ledger, Group { now_ms: NOW_MS, ..group(1, vec![Ok(vec![claims(MONEY, 4, "dan")])]) }).await;
    assert_eq!(ledger.periods().await.unwrap(), [first, second]);
    let nowhere = crate::domain::ids::CampaignId::new("nowhere").unwrap();
    let unknown = ledger.close_period(&nowhere, NOW_MS, "ann", NOW_MS).await.unwrap();
    assert_eq!(unknown, Err(CloseRefused::UnknownCampaign));
    pots(ledger).await;
    verified(ledger).await;
}

pub(super) async fn a_used_voucher_does_not_go_back_to_stock<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    redeemed(ledger, 0, 1, "o1").await;
    let back = |seq, person| Ok(vec![returned(MONEY, seq, person, true)]);
    assert_eq!(written(ledger, group(1, vec![back(1, "ann"), back(2, "bob")])).await, (0, 1, 1));
    let kept = ledger.quarantine(0, 9).await.unwrap();
    assert_eq!(kept[0].poison.reason, "returns claim 1, which is redeemed");
    assert_eq!(at(ledger, 3, Action::Redeem(redeem(2, "m1", "o2"))).await, Err(Refused::Returned));
    assert_eq!(pots(ledger).await, [1_000, 1_000, 0, 0, 0, 0]);
    verified(ledger).await;
}

pub(super) async fn a_trial_changes_nothing<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let head = ledger.chain_head().await.unwrap();
    let trial = Redeem { trial: true, ..redeem(1, "m1", "o1") };
    let done = at(ledger, 0, Action::Redeem(trial.clone())).await.unwrap();
    assert_eq!((done.step.number, done.step.discount), (0, Some(1_000)));
    let low = Redeem { amount: Fen(1), ..trial };
    assert_eq!(at(ledger, 0, Action::Redeem(low)).await, Err(Refused::Unmet(Unmet::Threshold)));
    assert_eq!(ledger.chain_head().await.unwrap(), head);
    assert_eq!(ledger.last_step(number(1, 1)).await.unwrap(), None);
}
