//! A whole campaign: minted, rushed for, redeemed over days, refunded in every way, expired, and run a second time with what
//! came back. Money is counted to the fen after every step.

use super::life::{VALID_MS, merchant, number, pots};
use super::*;
use crate::domain::campaign::Refusal;
use crate::domain::life::State;
use crate::ledger::LedgerError;
use crate::ledger::life::{Action, Outcome, Redeem, Request, ShownAs};

const PEOPLE: u32 = 100;
const DAY_MS: i64 = 86_400_000;
const FACE: i64 = 1_000;

/// The campaign's first wave: a hundred vouchers for the whole budget.
fn first_wave() -> Campaign {
    Campaign { budget: Fen(100_000), drops: vec![campaign().drops[0].clone()], ..campaign() }
}

/// The same with a second wave of `stock` vouchers, for what came back.
fn second_wave(stock: u64) -> Campaign {
    let mut both = first_wave();
    let mut later = both.drops[0].clone();
    later.id = DropId::new("shop-later").unwrap();
    (later.stock, later.recycled) = (stock, true);
    both.drops.push(later);
    both
}

async fn all<L: Ledger>(ledger: &L, now_ms: i64, actions: Vec<Action>) -> Vec<Outcome> {
    let requests = actions.into_iter().map(|action| Request { action, key: None }).collect();
    let outcomes = ledger.life(requests, now_ms).await.unwrap();
    pots(ledger).await;
    outcomes
}

fn redeem(drop: u32, seq: u32) -> Action {
    Action::Redeem(Redeem {
        claim: number(drop, seq),
        shown: ShownAs::Code,
        merchant: merchant(&format!("m{}", seq % 5)),
        barred: None,
        shop: None,
        order_id: format!("{drop}-{seq}"),
        amount: Fen(5_000 + i64::from(seq)),
        detail: None,
        trial: false,
    })
}

pub(crate) async fn a_whole_campaign<L: Ledger>(ledger: &L) {
    ledger.apply_campaign(&first_wave(), 0, "ann", NOW_MS).await.unwrap();
    let people: Vec<_> = (1..=PEOPLE).map(|n| format!("p{n}")).collect();
    written(ledger, group(0, vec![Ok(vec![claims(MONEY, 1, &people.join(" "))])])).await;
    assert_eq!(pots(ledger).await, [100_000, 0, 0, 0, 0, 0]);

    // 70 of 100 are redeemed, ten a day.
    let mut redemptions = Vec::new();
    for day in 0..7_u32 {
        let now_ms = NOW_MS + i64::from(day) * DAY_MS + 60_000;
        let outcomes = all(ledger, now_ms, (1..=10).map(|n| redeem(1, day * 10 + n)).collect()).await;
        redemptions.extend(outcomes.into_iter().map(|outcome| outcome.unwrap().step));
    }
    assert_eq!(pots(ledger).await, [30_000, 70_000, 0, 0, 0, 0]);

    // On the last day: 5 orders are refunded whole, 5 in halves, 5 redemptions taken back, 5 refunded after the end.
    let last_ms = NOW_MS + 6 * DAY_MS + 120_000;
    let refund = |at: usize, part: Option<i64>| Action::Refund {
        redemption: redemptions[at].number,
        merchant: redemptions[at].merchant.clone().unwrap(),
        amount: part.map(Fen),
    };
    let whole = all(ledger, last_ms, (0..5).map(|at| refund(at, None)).collect()).await;
    assert!(whole.iter().all(|outcome| outcome.as_ref().unwrap().step.state == Some(State::Issued)));
    let half = |at: usize| Some(redemptions[at].amount.unwrap() / 2);
    let parts = all(ledger, last_ms, (5..10).map(|at| refund(at, half(at))).collect()).await;
    let back: i64 = parts.iter().map(|outcome| outcome.as_ref().unwrap().step.moved).sum();
    assert!((5 * 490..=5 * 500).contains(&back), "{back}");
    let reversals = (60..65).map(|at| Action::Reverse {
        redemption: redemptions[at].number,
        merchant: redemptions[at].merchant.clone().unwrap(),
    });
    let reversed = all(ledger, last_ms, reversals.collect()).await;
    assert!(reversed.iter().all(Result::is_ok));
    assert_eq!(pots(ledger).await, [40_000, 60_000 - back, 0, back, 0, 0]);

    // The week is over: whoever did not use theirs has lost it, and five refunds come too late.
    let over_ms = NOW_MS + VALID_MS + 200;
    let mut expired = 0;
    loop {
        let page = ledger.expire(16, over_ms).await.unwrap();
        pots(ledger).await;
        expired += page.expired;
        if !page.looked_at {
            break;
        }
    }
    assert_eq!(expired, 40);
    let late = all(ledger, over_ms, (10..15).map(|at| refund(at, None)).collect()).await;
    assert!(late.iter().all(|outcome| outcome.as_ref().unwrap().step.state == Some(State::Lost)));
    let came_back = 40_000 + back + 5_000;
    assert_eq!(pots(ledger).await, [0, 55_000 - back, 0, came_back, 0, 0]);

    // Merchants are paid, and the books of the wave closed.
    let accounts = ledger.accounts(&campaign().id).await.unwrap();
    let owed = accounts.iter().filter_map(|(name, amount)| Some((name.strip_prefix("payable:")?, *amount)));
    let settle = owed.filter(|(_, amount)| amount.0 > 0).map(|(merchant, amount)| Action::Settle {
        campaign: campaign().id,
        merchant: merchant.to_owned(),
        amount,
        payment: "week 1".to_owned(),
        after: None,
        detail: None,
    });
    assert!(all(ledger, over_ms, settle.collect()).await.iter().all(Result::is_ok));
    assert_eq!(pots(ledger).await, [0, 0, 55_000 - back, came_back, 0, 0]);
    ledger.close_period(&campaign().id, over_ms + 1, "ann", over_ms + 1).await.unwrap().unwrap();

    // What came back is given out again, and no fen more.
    let revision = ledger.revision().await.unwrap();
    let stock = u64::try_from(came_back / FACE).unwrap();
    let refused = ledger.apply_campaign(&second_wave(stock + 1), revision, "ann", over_ms).await.unwrap_err();
    assert!(
        matches!(refused, LedgerError::Refused(Refusal::NotFunded { short }) if short.0 == FACE - came_back % FACE)
    );
    ledger.apply_campaign(&second_wave(stock), revision, "ann", over_ms).await.unwrap();
    let takers: Vec<_> = (1..=stock).map(|n| format!("q{n}")).collect();
    let claimed = JournalEvent::Claimed {
        drop: DropId::new("shop-later").unwrap(),
        epoch: Epoch::FIRST,
        claimed_at_ms: over_ms,
        first_seq: 1,
        takers: Takers::new(&takers.join(" ")),
    };
    written(ledger, Group { now_ms: over_ms, ..group(1, vec![Ok(vec![claimed])]) }).await;
    let given = i64::try_from(stock).unwrap() * FACE;
    assert_eq!(pots(ledger).await, [given, 0, 55_000 - back, came_back - given, 0, 0]);
    let again = all(ledger, over_ms + DAY_MS, vec![redeem(2, 1), redeem(1, 100)]).await;
    assert!(again[0].is_ok() && again[1].is_err());
    let vouchers = ledger.standing(Shard(0)).await.unwrap().vouchers;
    let count = |drop, state| {
        let found = vouchers.iter().find(|of| of.drop == DropNumber(drop) && of.state == state);
        found.map_or(0, |of| of.claims)
    };
    let states = [count(1, State::Redeemed), count(1, State::Lost), count(1, State::Expired)];
    assert_eq!((states, count(2, State::Redeemed)), ([50, 10, 40], 1));
    verified(ledger).await;
}
