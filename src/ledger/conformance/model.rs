//! A tiny model of vouchers and books, which predicts every outcome and every balance.

use proptest::prelude::*;

use super::life::{VALID_MS, number, redeem};
use super::*;
use crate::domain::life::State;
use crate::domain::life::rules::discount_back;
use crate::ledger::life::{Action, Redeem, Request, Verdict};

/// Vouchers in the model, all of 10.00 and claimed at once.
const VOUCHERS: u32 = 4;
const FACE: i64 = 1_000;
const ORDER: i64 = 10_007;
const CLAIMED_MS: i64 = NOW_MS + 1;
const REVERSE_MS: i64 = 900_000;

/// What is tried: which kind, with which voucher, at which merchant, how much, after how long.
pub(crate) type Try = (u8, u32, u8, i64, i64);

/// Histories of tries.
pub(crate) fn histories() -> impl Strategy<Value = Vec<Try>> {
    let wait_ms = prop_oneof![6 => 0..60_000_i64, 2 => 0..VALID_MS / 3, 1 => VALID_MS / 2..VALID_MS];
    prop::collection::vec((0..12_u8, 1..=VOUCHERS, 0..2_u8, 1..ORDER, wait_ms), 1..40)
}

#[derive(Clone, Default)]
struct Redemption {
    number: u64,
    merchant: usize,
    refunded: i64,
    back: i64,
    at_ms: i64,
}

#[derive(Clone)]
struct Voucher {
    state: State,
    redemption: Redemption,
}

struct Model {
    vouchers: Vec<Voucher>,
    live: i64,
    payable: [i64; 2],
    settled: i64,
    recycled: i64,
    recovered: i64,
    /// Payments that stand: step, merchant and amount.
    paid: Vec<(u64, usize, i64)>,
}

fn merchant(index: usize) -> String {
    format!("m{index}")
}

impl Model {
    fn new() -> Self {
        let voucher = Voucher { state: State::Issued, redemption: Redemption::default() };
        let live = FACE * i64::from(VOUCHERS);
        let vouchers = vec![voucher; VOUCHERS as usize];
        Self { vouchers, live, payable: [0; 2], settled: 0, recycled: 0, recovered: 0, paid: Vec::new() }
    }

    /// The action of a try, and the state that it leads to; nothing where it is refused.
    fn act(&mut self, (kind, seq, at, amount, _): Try, now_ms: i64, order: usize) -> (Action, Option<State>) {
        let at = usize::from(at);
        let over = now_ms >= CLAIMED_MS + VALID_MS;
        let v = self.vouchers[seq as usize - 1].clone();
        let r = &v.redemption;
        let theirs = r.number > 0 && r.merchant == at;
        let review =
            |verdict| Action::Review { claim: number(1, seq), verdict, reason: "r".to_owned(), seen: None };
        let to = |go: bool, state| go.then_some(state);
        let refund = |amount| Action::Refund {
            redemption: r.number,
            merchant: merchant(at),
            amount: Some(Fen(amount)),
        };
        let stands = matches!(v.state, State::Redeemed | State::Lost);
        let (action, state) = match kind {
            0..=2 => {
                let redeem =
                    Redeem { amount: Fen(ORDER), ..redeem(seq, &merchant(at), &format!("o{order}")) };
                (Action::Redeem(redeem), to(v.state == State::Issued && !over, State::Redeemed))
            }
            3 => (refund(ORDER), {
                let whole = theirs && v.state == State::Redeemed;
                to(whole, if over { State::Lost } else { State::Issued })
            }),
            4 | 5 => (refund(amount), to(theirs && stands && amount <= ORDER - r.refunded, State::Lost)),
            6 => {
                let go = theirs && v.state == State::Redeemed && now_ms <= r.at_ms + REVERSE_MS;
                let action = Action::Reverse { redemption: r.number, merchant: merchant(at) };
                (action, to(go, if over { State::Expired } else { State::Issued }))
            }
            7 => (
                Action::Expire { claim: number(1, seq) },
                to(v.state == State::Issued && over, State::Expired),
            ),
            8 => (review(Verdict::Freeze), to(v.state == State::Issued, State::Frozen)),
            9 if v.state == State::Frozen => {
                (review(Verdict::Release), Some(if over { State::Expired } else { State::Issued }))
            }
            9 => (review(Verdict::Void), to(v.state == State::Issued, State::Void)),
            11 => {
                let at = seq as usize - 1;
                let found = (at < self.paid.len()).then(|| self.paid.remove(at));
                if let Some((_, merchant, amount)) = found {
                    self.payable[merchant] += amount;
                    self.settled -= amount;
                }
                return (contra::contra(found.map_or(0, |(step, ..)| step)), None);
            }
            _ if stands => (review(Verdict::Recover), Some(State::Void)),
            _ => {
                let amount = amount.min(self.payable[at].max(1));
                let settle = Action::Settle {
                    campaign: campaign().id,
                    merchant: merchant(at),
                    amount: Fen(amount),
                    payment: format!("t{order}"),
                    after: None,
                    detail: None,
                };
                if amount <= self.payable[at] {
                    self.payable[at] -= amount;
                    self.settled += amount;
                }
                return (settle, None);
            }
        };
        if let Some(state) = state {
            self.book(&v, seq, kind, at, amount, state, now_ms);
        }
        (action, state)
    }

    /// Moves what a step moves.
    #[expect(clippy::too_many_arguments, reason = "one call, and each of them says something else")]
    fn book(&mut self, v: &Voucher, seq: u32, kind: u8, at: usize, amount: i64, state: State, now_ms: i64) {
        let before = match v.state {
            State::Issued | State::Frozen => &mut self.live,
            _ => &mut self.payable[v.redemption.merchant],
        };
        let mut redemption = v.redemption.clone();
        let moved = match kind {
            4 | 5 => {
                redemption.refunded += amount;
                discount_back(Fen(FACE), Fen(ORDER), Fen(redemption.refunded)).0 - redemption.back
            }
            10 => FACE - redemption.back,
            _ => FACE,
        };
        *before -= moved;
        match state {
            State::Issued | State::Frozen => self.live += moved,
            State::Redeemed => {
                redemption = Redemption { merchant: at, at_ms: now_ms, ..Redemption::default() };
                self.payable[at] += moved;
            }
            State::Void => self.recovered += moved,
            _ => self.recycled += moved,
        }
        if matches!(kind, 3..=5) {
            redemption.back += moved;
        }
        if kind == 3 {
            redemption.refunded = ORDER;
        }
        self.vouchers[seq as usize - 1] = Voucher { state, redemption };
    }
}

/// Plays a history, and compares every outcome and every balance with the model's.
pub(crate) async fn play<L: Ledger>(ledger: &L, history: &[Try]) {
    stocked(ledger).await;
    written(ledger, group(0, vec![Ok(vec![claims(MONEY, 1, "ann bob cid dan")])])).await;
    let (mut model, mut now_ms) = (Model::new(), CLAIMED_MS);
    for (order, one) in history.iter().enumerate() {
        now_ms += one.4;
        let seq = one.1;
        let settled = model.settled;
        let (action, state) = model.act(*one, now_ms, order);
        let is_settlement = matches!(action, Action::Settle { .. } | Action::Contra { .. });
        let outcome = ledger.life(vec![Request { action: action.clone(), key: None }], now_ms).await.unwrap();
        let context = format!("{action:?} at {now_ms}: {outcome:?}");
        match &outcome[0] {
            Ok(done) if is_settlement => {
                let (step, moved) = (done.step.number, model.settled - settled);
                assert_eq!(done.step.moved, moved.abs(), "{context}");
                if moved > 0 {
                    model.paid.push((step, usize::from(one.2), moved));
                }
            }
            Ok(done) => {
                assert_eq!(done.step.state, state, "{context}");
                let voucher = &mut model.vouchers[seq as usize - 1];
                if state == Some(State::Redeemed) {
                    voucher.redemption.number = done.step.number;
                }
            }
            Err(_) if is_settlement => assert_eq!(model.settled, settled, "{context}"),
            Err(_) => assert_eq!(state, None, "{context}"),
        }
        let books = &ledger.balances().await.unwrap()[0];
        let payable: i64 = model.payable.iter().sum();
        let expected = [model.live, payable, model.settled, model.recycled, 0, model.recovered];
        let found =
            [books.live, books.payable, books.settled, books.recycled, books.treasury, books.recovered];
        assert_eq!(found.map(|fen| fen.0), expected, "{context}");
        assert_eq!((books.spread(), books.unbalanced), (Some(books.budget), 0));
    }
    verified(ledger).await;
}
