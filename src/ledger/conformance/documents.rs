//! Documents: revisions that follow, all or none, read back in every way, and under the audit chain.

use super::*;
use crate::ledger::{Document, LedgerError, PutDocument};

fn put(kind: &'static str, id: &str, expected: u64, body: &str) -> PutDocument {
    PutDocument::new(kind, id, expected, &body, "ann").unwrap()
}

fn revisions(rows: &[Document]) -> Vec<(&str, u64, String)> {
    rows.iter().map(|row| (row.id.as_str(), row.revision, row.read().unwrap())).collect()
}

pub(super) async fn a_document_has_every_revision_once<L: Ledger>(ledger: &L) {
    assert_eq!(ledger.document("thing", "a").await.unwrap(), None);
    assert_eq!(ledger.documents_revision().await.unwrap(), 0);
    let length = ledger.chain_head().await.unwrap().length;
    let first = ledger.put_document(put("thing", "a", 0, "one 券"), NOW_MS).await.unwrap();
    assert_eq!((first.number, first.revision, first.changed_at_ms), (1, 1, NOW_MS));
    assert_eq!((first.kind.as_str(), first.actor.as_str()), ("thing", "ann"));
    assert_eq!(ledger.document("thing", "a").await.unwrap(), Some(first.clone()));
    let second = ledger.put_document(put("thing", "a", 1, "two"), NOW_MS + 1).await.unwrap();
    assert_eq!(ledger.document("thing", "a").await.unwrap(), Some(second.clone()));
    assert_eq!(ledger.document("other", "a").await.unwrap(), None);
    assert_eq!(ledger.documents_revision().await.unwrap(), 2);
    assert_eq!(ledger.chain_head().await.unwrap().length, length + 2);
    for (before, limit, expected) in [(u64::MAX, 9, &[2, 1][..]), (2, 9, &[1]), (u64::MAX, 1, &[2])] {
        let found = ledger.document_history("thing", "a", before, limit).await.unwrap();
        assert_eq!(found.iter().map(|row| row.revision).collect::<Vec<_>>(), expected);
    }
    let changes = [first, second];
    for after in 0..=2 {
        let found = ledger.document_changes(after, 9).await.unwrap();
        assert_eq!(found, changes[usize::try_from(after).unwrap()..]);
    }
    verified(ledger).await;
}

pub(super) async fn a_stale_document_is_refused_and_so_is_what_came_with_it<L: Ledger>(ledger: &L) {
    ledger.put_document(put("thing", "a", 0, "one"), NOW_MS).await.unwrap();
    let head = ledger.chain_head().await.unwrap();
    for (expected, found) in [(0, 1), (2, 1)] {
        let puts = vec![put("thing", "b", 0, "new"), put("thing", "a", expected, "two")];
        let error = ledger.put_documents(puts, NOW_MS).await.unwrap_err();
        assert!(
            matches!(&error, LedgerError::StaleDocument { id, expected: e, found: f, .. }
                if id == "a" && (*e, *f) == (expected, found)),
            "{error}"
        );
    }
    assert_eq!(ledger.document("thing", "b").await.unwrap(), None);
    assert_eq!(ledger.chain_head().await.unwrap(), head);
    verified(ledger).await;
}

pub(super) async fn documents_of_a_kind_are_paged_by_their_ids<L: Ledger>(ledger: &L) {
    let puts = vec![
        put("thing", "b", 0, "b1"),
        put("thing", "a", 0, "a1"),
        put("thing", "ü", 0, "u1"),
        put("other", "c", 0, "c1"),
        put("thing", "b", 1, "b2"),
    ];
    let written = ledger.put_documents(puts, NOW_MS).await.unwrap();
    let numbers: Vec<_> = written.iter().map(|row| row.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    let page = ledger.documents("thing", "", 2).await.unwrap();
    assert_eq!(revisions(&page), [("a", 1, "a1".to_owned()), ("b", 2, "b2".to_owned())]);
    let rest = ledger.documents("thing", "b", 9).await.unwrap();
    assert_eq!(revisions(&rest), [("ü", 1, "u1".to_owned())]);
    assert_eq!(ledger.all_documents("thing").await.unwrap().len(), 3);
    assert_eq!(ledger.put_documents(Vec::new(), NOW_MS).await.unwrap(), []);
    verified(ledger).await;
}

pub(super) async fn of_two_who_change_a_document_one_is_first<L: Ledger>(ledger: &L) {
    ledger.put_document(put("thing", "a", 0, "one"), NOW_MS).await.unwrap();
    let (left, right) = tokio::join!(
        ledger.put_document(put("thing", "a", 1, "left"), NOW_MS),
        ledger.put_document(put("thing", "a", 1, "right"), NOW_MS),
    );
    assert_eq!([&left, &right].iter().filter(|done| done.is_ok()).count(), 1, "{left:?} {right:?}");
    assert_eq!(ledger.documents_revision().await.unwrap(), 2);
    verified(ledger).await;
}
