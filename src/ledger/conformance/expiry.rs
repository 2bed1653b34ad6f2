//! Vouchers that go back to their holders when the sweep has passed them: they expire all the same.

use super::life::{VALID_MS, at, number, pots, redeemed, refund, sold};
use super::*;
use crate::domain::life::{State, Step};
use crate::ledger::life::{Action, Verdict};

/// A little after the end of every voucher.
const OVER_MS: i64 = VALID_MS + 9;

fn review(seq: u32, verdict: Verdict) -> Action {
    Action::Review { claim: number(1, seq), verdict, reason: "a broker's".to_owned(), seen: None }
}

/// How many expire at an instant after [`NOW_MS`].
async fn expired<L: Ledger>(ledger: &L, after_ms: i64) -> u64 {
    let mut expired = 0;
    loop {
        let page = ledger.expire(2, NOW_MS + after_ms).await.unwrap();
        expired += page.expired;
        if !page.looked_at {
            return expired;
        }
    }
}

pub(super) async fn a_longer_validity_ends_too<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let redemption = redeemed(ledger, 0, 1, "o1").await;
    at(ledger, 0, review(2, Verdict::Freeze)).await.unwrap();
    assert_eq!(expired(ledger, OVER_MS).await, 1, "the third one");
    let mut longer = ledger.catalogue().await.unwrap().campaigns.remove(0).campaign;
    longer.drops[0].voucher.as_mut().unwrap().valid_ms *= 2;
    let revision = ledger.revision().await.unwrap();
    ledger.apply_campaign(&longer, revision, "ann", NOW_MS + OVER_MS).await.unwrap();
    let back = at(ledger, OVER_MS, refund(redemption, None)).await.unwrap();
    assert_eq!((back.step.step, back.step.state), (Some(Step::Refunded), Some(State::Issued)));
    let back = at(ledger, OVER_MS, review(2, Verdict::Release)).await.unwrap();
    assert_eq!((back.step.step, back.step.state), (Some(Step::Released), Some(State::Issued)));
    assert_eq!((expired(ledger, OVER_MS).await, pots(ledger).await), (0, [2_000, 0, 0, 1_000, 0, 0]));
    assert_eq!(expired(ledger, OVER_MS + VALID_MS).await, 2);
    assert_eq!((expired(ledger, OVER_MS + VALID_MS).await, pots(ledger).await), (0, [0, 0, 0, 3_000, 0, 0]));
    verified(ledger).await;
}

pub(super) async fn a_clock_that_is_behind_keeps_no_voucher_from_expiring<L: Ledger>(ledger: &L) {
    sold(ledger, |_| {}).await;
    let redemption = redeemed(ledger, 0, 2, "o1").await;
    assert_eq!(expired(ledger, OVER_MS).await, 2);
    let back = at(ledger, VALID_MS, refund(redemption, None)).await.unwrap();
    assert_eq!(back.step.state, Some(State::Issued));
    assert_eq!((expired(ledger, OVER_MS).await, pots(ledger).await), (1, [0, 0, 0, 3_000, 0, 0]));
    // Later claims are looked at from where the sweep was.
    written(ledger, group(1, vec![Ok(vec![claims(MONEY, 4, "dan")])])).await;
    assert_eq!(expired(ledger, OVER_MS + VALID_MS).await, 1);
    verified(ledger).await;
}
