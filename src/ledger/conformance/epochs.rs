//! Epochs: rebuilt drops, what was seen of them, seals, and the earliest release instant.

use super::*;
use crate::ledger::{Grounds, Loaded, LostClaims, Rebuilt, Seen};

fn rebuilt(epoch: u16, carried: u64) -> Rebuilt {
    Rebuilt {
        drop: DropNumber(1),
        shard: Shard(0),
        epoch: Epoch(epoch),
        carried,
        grounds: Grounds::Operator,
        lost: vec![LostClaims { epoch: 1, first_seq: 3, last_seq: 4 }],
        actor: Some("ann".to_owned()),
        now_ms: NOW_MS,
    }
}

async fn loaded_now<L: Ledger>(ledger: &L) -> Option<Loaded> {
    ledger.catalogue().await.unwrap().campaigns[0].drops[0].loaded_in(Shard(0))
}

pub(super) async fn a_rebuilt_drop_is_noted_once_and_recorded<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    assert_eq!(loaded_now(ledger).await, None);
    ledger.mark_loaded(DropNumber(1), Shard(0), Epoch::FIRST).await.unwrap();
    let (revision, head) = (ledger.revision().await.unwrap(), ledger.chain_head().await.unwrap());
    ledger.note_rebuilt(&rebuilt(2, 7)).await.unwrap();
    let noted = Loaded { shard: Shard(0), epoch: Epoch(2), carried: 7, seen_seq: 0 };
    assert_eq!(loaded_now(ledger).await, Some(noted));
    assert_eq!(ledger.revision().await.unwrap(), revision + 1);
    assert_eq!(ledger.chain_head().await.unwrap().length, head.length + 1);
    // What an epoch carries never changes again.
    ledger.note_rebuilt(&rebuilt(2, 8)).await.unwrap();
    assert_eq!(loaded_now(ledger).await, Some(noted));
    assert_eq!(ledger.revision().await.unwrap(), revision + 1);
    let missing = Rebuilt { drop: DropNumber(9), ..rebuilt(2, 0) };
    assert!(ledger.note_rebuilt(&missing).await.is_err());
    verified(ledger).await;
}

pub(super) async fn the_highest_number_seen_is_kept<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    ledger.mark_loaded(DropNumber(1), Shard(0), Epoch::FIRST).await.unwrap();
    let revision = ledger.revision().await.unwrap();
    let seen = |epoch, seq| Seen { drop: DropNumber(1), epoch: Epoch(epoch), seq };
    for (seen, kept) in [(seen(1, 5), 5), (seen(1, 3), 5), (seen(2, 9), 5), (seen(1, 8), 8)] {
        ledger.note_seen(Shard(0), &[seen]).await.unwrap();
        assert_eq!(loaded_now(ledger).await.map(|loaded| loaded.seen_seq), Some(kept));
    }
    ledger.note_seen(Shard(3), &[seen(1, 99)]).await.unwrap();
    ledger.note_rebuilt(&rebuilt(2, 0)).await.unwrap();
    assert_eq!(loaded_now(ledger).await.map(|loaded| loaded.seen_seq), Some(0), "another epoch");
    assert_eq!(ledger.revision().await.unwrap(), revision + 1, "what is seen is no change of the catalogue");
    verified(ledger).await;
}

pub(super) async fn a_seal_holds_until_it_is_broken_or_outdated<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let sealed = async || ledger.is_sealed(Shard(0)).await.unwrap();
    assert!(!sealed().await);
    assert!(ledger.seal(Shard(0), JournalId::START).await.unwrap(), "an empty shard can be sealed");
    assert!(sealed().await && !ledger.is_sealed(Shard(1)).await.unwrap());
    written(ledger, group(0, vec![Ok(vec![claims(MONEY, 1, "ann")])])).await;
    assert!(!sealed().await, "something was committed since");
    assert!(!ledger.seal(Shard(0), JournalId::START).await.unwrap(), "the ledger stands elsewhere");
    assert!(!sealed().await);
    for _ in 0..2 {
        assert!(ledger.seal(Shard(0), id(1)).await.unwrap());
        assert!(sealed().await);
    }
    for _ in 0..2 {
        ledger.unseal(Shard(0)).await.unwrap();
        assert!(!sealed().await);
    }
    verified(ledger).await;
}

pub(super) async fn the_earliest_release_instant_is_kept<L: Ledger>(ledger: &L) {
    let earliest = async || ledger.catalogue().await.unwrap().campaigns[0].drops[0].opens_at_min_ms;
    stocked(ledger).await;
    assert_eq!(earliest().await, Some(NOW_MS));
    for (revision, (opens_at_ms, kept)) in
        (1..).zip([(NOW_MS + 5, NOW_MS), (NOW_MS - 5, NOW_MS - 5), (NOW_MS + 9, NOW_MS - 5)])
    {
        let mut moved = campaign();
        moved.drops[0].opens_at_ms = opens_at_ms;
        ledger.apply_campaign(&moved, revision, "ann", NOW_MS).await.unwrap();
        assert_eq!(earliest().await, Some(kept));
    }
    verified(ledger).await;
}

pub(super) async fn a_row_says_how_it_was_returned<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    written(ledger, group(0, vec![Ok(vec![claims(THINGS, 1, "ann bob cid")])])).await;
    let returns = vec![returned(THINGS, 1, "ann", true), returned(THINGS, 2, "bob", false)];
    written(ledger, group(1, vec![Ok(returns)])).await;
    let rows = ledger.claims(DropNumber(2), None, 9).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.may_claim_again).collect::<Vec<_>>(), [true, false, false]);
    for row in rows {
        assert_eq!(claim(ledger, 2, row.number.seq).await, row);
    }
}
