//! Claims whose unit goes back to stock.

use super::*;
use crate::ledger::ClaimStatus;

pub(super) async fn a_return_gives_the_money_back<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    written(ledger, group(0, vec![Ok(vec![claims(MONEY, 1, "ann bob")])])).await;
    assert_eq!(written(ledger, group(1, vec![Ok(vec![returned(MONEY, 1, "ann", true)])])).await, (0, 1, 0));
    assert_eq!(money(ledger).await, (99_000, 1_000, 0));
    let statuses = [claim(ledger, 1, 1).await.status, claim(ledger, 1, 2).await.status];
    assert_eq!(statuses, [ClaimStatus::Returned, ClaimStatus::Issued]);
    let tallies = ledger.tallies().await.unwrap();
    assert_eq!((tallies[0].claims, tallies[0].returned, tallies[0].seq_max), (2, 1, 2));
    verified(ledger).await;
}

pub(super) async fn a_return_without_another_claim_recycles_the_money<L: Ledger>(ledger: &L) {
    let mut tight = campaign();
    tight.budget = Fen(100_000);
    ledger.apply_campaign(&tight, 0, "ann", NOW_MS).await.unwrap();
    let everybody: Vec<_> = (0..100).map(|n| format!("p{n}")).collect();
    written(ledger, group(0, vec![Ok(vec![claims(MONEY, 1, &everybody.join(" "))])])).await;
    assert_eq!(money(ledger).await, (0, 100_000, 0));
    written(ledger, group(1, vec![Ok(vec![returned(MONEY, 7, "p6", false)])])).await;
    assert_eq!(money(ledger).await, (0, 99_000, 1_000));
    // The unit is claimed again, by somebody else: recycled money pays for it.
    written(ledger, group(2, vec![Ok(vec![claims(MONEY, 101, "late")])])).await;
    assert_eq!(money(ledger).await, (0, 100_000, 0));
    verified(ledger).await;
}

pub(super) async fn a_return_is_written_once<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    written(ledger, group(0, vec![Ok(vec![claims(MONEY, 1, "ann")])])).await;
    let twice = || Ok(vec![returned(MONEY, 1, "ann", true)]);
    assert_eq!(written(ledger, group(1, vec![twice(), twice()])).await, (0, 1, 0));
    assert_eq!(written(ledger, group(3, vec![twice()])).await, (0, 0, 0));
    // Nor does the claim come back to life when its entry is delivered again.
    assert_eq!(written(ledger, group(4, vec![Ok(vec![claims(MONEY, 1, "ann")])])).await, (0, 0, 0));
    assert_eq!(claim(ledger, 1, 1).await.status, ClaimStatus::Returned);
    assert_eq!(money(ledger).await, (100_000, 0, 0));
    verified(ledger).await;
}

pub(super) async fn a_return_of_a_foreign_or_missing_claim_goes_to_quarantine<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    written(ledger, group(0, vec![Ok(vec![claims(MONEY, 1, "ann")])])).await;
    let bad = vec![
        Ok(vec![returned(MONEY, 1, "bob", true)]),
        Ok(vec![returned(MONEY, 2, "ann", true)]),
        Ok(vec![returned(THINGS, 1, "ann", true)]),
        Ok(vec![returned("nobody", 1, "ann", true)]),
    ];
    assert_eq!(written(ledger, group(1, bad)).await, (0, 0, 4));
    assert_eq!(claim(ledger, 1, 1).await.status, ClaimStatus::Issued);
    assert_eq!(money(ledger).await, (99_000, 1_000, 0));
    let reasons: Vec<_> =
        ledger.quarantine(0, 9).await.unwrap().into_iter().map(|kept| kept.poison.reason).collect();
    assert!(reasons[0].contains("somebody else") && reasons[1].contains("not there"), "{reasons:?}");
    verified(ledger).await;
}

pub(super) async fn a_claim_may_be_returned_in_its_own_group<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let events = vec![claims(MONEY, 1, "ann"), returned(MONEY, 1, "ann", true)];
    assert_eq!(
        written(ledger, group(0, vec![Ok(events), Ok(vec![claims(MONEY, 2, "ann")])])).await,
        (2, 1, 0)
    );
    assert_eq!(money(ledger).await, (99_000, 1_000, 0));
    verified(ledger).await;
}
