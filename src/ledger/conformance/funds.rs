//! What a campaign's money is kept for: a lower budget, and the end of the campaign.

use super::life::{VALID_MS, at, pots};
use super::*;
use crate::domain::campaign::Refusal;
use crate::domain::life::Pot;
use crate::ledger::LedgerError;
use crate::ledger::life::{Action, Refused};

/// What the first wave gives: fifty vouchers of 10.00.
const WAVE: i64 = 50_000;

/// Half of the campaign's money was claimed and came back; a second wave of as much is announced.
async fn a_wave_that_came_back<L: Ledger>(ledger: &L) -> Campaign {
    let mut first = campaign();
    first.drops.truncate(1);
    first.drops[0].stock = 50;
    ledger.apply_campaign(&first, 0, "ann", NOW_MS).await.unwrap();
    let people: Vec<_> = (1..=50).map(|n| format!("p{n}")).collect();
    written(ledger, group(0, vec![Ok(vec![claims(MONEY, 1, &people.join(" "))])])).await;
    assert_eq!(ledger.expire(99, NOW_MS + VALID_MS + 99).await.unwrap().expired, 50);
    let mut both = first;
    let mut later = both.drops[0].clone();
    later.id = DropId::new("shop-later").unwrap();
    later.recycled = true;
    both.drops.push(later);
    let revision = ledger.revision().await.unwrap();
    ledger.apply_campaign(&both, revision, "ann", NOW_MS).await.unwrap();
    assert_eq!(money(ledger).await, (WAVE, 0, WAVE));
    both
}

/// Claims of the second wave, from its first on.
async fn claimed_later<L: Ledger>(ledger: &L, count: u32) {
    let people: Vec<_> = (1..=count).map(|n| format!("q{n}")).collect();
    written(ledger, group(1, vec![Ok(vec![claims("shop-later", 1, &people.join(" "))])])).await;
}

pub(super) async fn a_lower_budget_takes_what_came_back<L: Ledger>(ledger: &L) {
    let mut lower = a_wave_that_came_back(ledger).await;
    claimed_later(ledger, 50).await;
    assert_eq!(money(ledger).await, (0, WAVE, WAVE), "the budget paid for the second wave");
    for (budget, recycled) in [(80_000, 30_000), (WAVE, 0)] {
        lower.budget = Fen(budget);
        let revision = ledger.revision().await.unwrap();
        ledger.apply_campaign(&lower, revision, "ann", NOW_MS).await.unwrap();
        assert_eq!(money(ledger).await, (0, WAVE, recycled));
    }
    let mut richer = lower.clone();
    richer.budget = Fen(60_000);
    let revision = ledger.revision().await.unwrap();
    ledger.apply_campaign(&richer, revision, "ann", NOW_MS).await.unwrap();
    assert_eq!(money(ledger).await, (10_000, WAVE, 0));
    verified(ledger).await;
}

pub(super) async fn a_lower_budget_leaves_what_may_be_claimed<L: Ledger>(ledger: &L) {
    let mut lower = a_wave_that_came_back(ledger).await;
    claimed_later(ledger, 20).await;
    lower.budget = Fen(49_999);
    let revision = ledger.revision().await.unwrap();
    let refused = ledger.apply_campaign(&lower, revision, "ann", NOW_MS).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Refused(Refusal::NotFunded { short: Fen(1) })), "{refused}");
    assert_eq!(money(ledger).await, (30_000, 20_000, WAVE));
    lower.budget = Fen(WAVE);
    ledger.apply_campaign(&lower, revision, "ann", NOW_MS).await.unwrap();
    assert_eq!(money(ledger).await, (0, 20_000, 30_000));
    // What is left pays for all that may still be claimed.
    let people: Vec<_> = (21..=50).map(|n| format!("q{n}")).collect();
    written(ledger, group(2, vec![Ok(vec![claims("shop-later", 21, &people.join(" "))])])).await;
    assert_eq!(pots(ledger).await, [WAVE, 0, 0, 0, 0, 0]);
    verified(ledger).await;
}

pub(super) async fn nothing_is_kept_of_a_campaign_that_is_over<L: Ledger>(ledger: &L) {
    let mut tight = a_wave_that_came_back(ledger).await;
    tight.budget = Fen(WAVE);
    let revision = ledger.revision().await.unwrap();
    ledger.apply_campaign(&tight, revision, "ann", NOW_MS).await.unwrap();
    claimed_later(ledger, 1).await;
    let back = |amount, reference: &str, over| Action::Move {
        campaign: campaign().id,
        from: Pot::Recycled,
        to: Pot::Treasury,
        amount: Fen(amount),
        reference: reference.to_owned(),
        after: None,
        reason: "it ends".to_owned(),
        over,
    };
    assert_eq!(money(ledger).await, (0, 1_000, WAVE - 1_000));
    assert_eq!(at(ledger, 1, back(1, "d1", false)).await, Err(Refused::TooMuch), "49 may still be claimed");
    assert_eq!(at(ledger, 1, back(WAVE, "d1", true)).await, Err(Refused::TooMuch), "one was claimed");
    at(ledger, 1, back(WAVE - 1_000, "d1", true)).await.unwrap();
    assert_eq!(pots(ledger).await, [1_000, 0, 0, 0, WAVE - 1_000, 0]);
    verified(ledger).await;
}

pub(super) async fn what_was_never_issued_goes_back_when_the_campaign_is_over<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    written(ledger, group(0, vec![Ok(vec![claims(MONEY, 1, "ann")])])).await;
    let back = |to, amount, reference: &str, over| Action::Move {
        campaign: campaign().id,
        from: Pot::Unissued,
        to,
        amount: Fen(amount),
        reference: reference.to_owned(),
        after: None,
        reason: "it ends".to_owned(),
        over,
    };
    let left = campaign().budget.0 - 1_000;
    assert_eq!(
        at(ledger, 1, back(Pot::Treasury, 1, "d1", false)).await,
        Err(Refused::TooMuch),
        "99 are left"
    );
    assert_eq!(at(ledger, 1, back(Pot::Recycled, 1, "d1", true)).await, Err(Refused::OtherKind));
    assert_eq!(at(ledger, 1, back(Pot::Treasury, left + 1, "d1", true)).await, Err(Refused::TooMuch));
    at(ledger, 1, back(Pot::Treasury, left - 1, "d1", true)).await.unwrap();
    let twice = at(ledger, 1, back(Pot::Treasury, 1, "d1", true)).await;
    assert!(matches!(twice, Err(Refused::ReferenceUsed { .. })), "{twice:?}");
    at(ledger, 1, back(Pot::Treasury, 1, "d2", true)).await.unwrap();
    assert_eq!((money(ledger).await, pots(ledger).await), ((0, 1_000, 0), [1_000, 0, 0, 0, left, 0]));
    verified(ledger).await;
}
