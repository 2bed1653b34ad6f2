//! Orphan receipts: registered once, settled once, counted, and under the audit chain.

use super::*;
use crate::ledger::{ReceiptCounts, ReceiptRow, ReceiptState, Settlement};

fn lost(seq: u32) -> ClaimNumber {
    ClaimNumber { drop: DropNumber(1), shard: Shard(0), epoch: Epoch::FIRST, seq }
}

pub(super) async fn a_receipt_is_registered_once_for_a_person<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let length = ledger.chain_head().await.unwrap().length;
    let first = ledger.register_receipt(lost(7), "ann", NOW_MS).await.unwrap().expect("kept");
    assert_eq!((first.number, first.state(), first.shown_at_ms), (1, ReceiptState::Open, NOW_MS));
    let again = ledger.register_receipt(lost(7), "ann", NOW_MS + 5).await.unwrap();
    assert_eq!(again.as_ref(), Some(&first), "the first time counts");
    let other = ledger.register_receipt(lost(7), "bob", NOW_MS).await.unwrap().expect("kept");
    assert_eq!(other.number, 2);
    assert_eq!(ledger.receipts_of(lost(7)).await.unwrap(), [first.clone(), other.clone()]);
    assert_eq!(ledger.receipts_of(lost(8)).await.unwrap(), []);
    assert_eq!(ledger.receipts(0, 1).await.unwrap(), [first]);
    assert_eq!(ledger.receipts(1, 9).await.unwrap(), [other]);
    assert_eq!(ledger.chain_head().await.unwrap().length, length + 2);
    for person in 2..crate::limits::RECEIPT_PERSONS_MAX {
        assert!(ledger.register_receipt(lost(7), &format!("p{person}"), NOW_MS).await.unwrap().is_some());
    }
    assert_eq!(ledger.register_receipt(lost(7), "one too many", NOW_MS).await.unwrap(), None);
    verified(ledger).await;
}

pub(super) async fn a_claim_that_the_ledger_has_leaves_no_receipt<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    written(ledger, group(0, vec![Ok(vec![claims(MONEY, 1, "ann bob")])])).await;
    assert_eq!(ledger.register_receipt(lost(2), "cid", NOW_MS).await.unwrap(), None);
    assert!(ledger.register_receipt(lost(3), "cid", NOW_MS).await.unwrap().is_some());
    assert_eq!(ledger.receipt_counts().await.unwrap(), ReceiptCounts { open: 1, honoured: 0, void: 0 });
    verified(ledger).await;
}

pub(super) async fn a_receipt_is_settled_once<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    for (seq, person) in [(5, "ann"), (6, "bob"), (6, "cid")] {
        ledger.register_receipt(lost(seq), person, NOW_MS).await.unwrap().expect("kept");
    }
    let settle = async |number, settlement: &Settlement| {
        ledger.settle_receipt(number, settlement, "ann", NOW_MS + 9).await.unwrap()
    };
    let (honoured, void) = (Settlement::Honoured(lost(1)), Settlement::Void("it was bought".to_owned()));
    assert_eq!(settle(9, &void).await, None);
    let row = settle(1, &honoured).await.expect("it is there");
    assert_eq!(
        (row.state(), row.settled.clone()),
        (ReceiptState::Honoured, Some((NOW_MS + 9, honoured.clone())))
    );
    assert_eq!(settle(1, &void).await, Some(row), "what was decided stays");
    assert_eq!(settle(2, &void).await.map(|row| row.state()), Some(ReceiptState::Void));
    assert_eq!(ledger.receipt_counts().await.unwrap(), ReceiptCounts { open: 1, honoured: 1, void: 1 });
    let states: Vec<_> = ledger.receipts(0, 9).await.unwrap().iter().map(ReceiptRow::state).collect();
    assert_eq!(states, [ReceiptState::Honoured, ReceiptState::Void, ReceiptState::Open]);
    verified(ledger).await;
}

pub(super) async fn a_claim_is_honoured_for_one_person_alone<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    for person in ["ann", "bob"] {
        ledger.register_receipt(lost(5), person, NOW_MS).await.unwrap().expect("kept");
    }
    let by = |seq| Settlement::Honoured(lost(seq));
    assert!(ledger.settle_receipt(1, &by(1), "ann", NOW_MS).await.unwrap().is_some());
    assert!(ledger.settle_receipt(2, &by(2), "ann", NOW_MS).await.is_err());
    assert_eq!(ledger.receipt_counts().await.unwrap(), ReceiptCounts { open: 1, honoured: 1, void: 0 });
    verified(ledger).await;
}
