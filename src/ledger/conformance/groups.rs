//! Stretches of the journal: rows, positions, quarantine, chain.

use super::*;
use crate::domain::ids::CampaignId;
use crate::ledger::{ClaimStatus, Quarantined, Tally};

pub(super) async fn claims_become_rows_money_and_a_position<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let both = vec![claims(MONEY, 1, "ann bob"), claims(THINGS, 1, "ann\t00ff00ff00ff00ff")];
    let more = vec![claims(MONEY, 3, "cid")];
    assert_eq!(written(ledger, group(0, vec![Ok(both), Ok(more)])).await, (4, 0, 0));
    assert_eq!(ledger.position(Shard(0)).await.unwrap(), id(2));
    assert_eq!(holders(ledger, 1).await, pairs(&[(1, "ann"), (2, "bob"), (3, "cid")]));
    let row = claim(ledger, 2, 1).await;
    assert_eq!((row.mark.as_deref(), row.status), (Some("00ff00ff00ff00ff"), ClaimStatus::Issued));
    assert_eq!(
        (claim(ledger, 1, 2).await.claimed_at_ms, claim(ledger, 1, 3).await.claimed_at_ms),
        (NOW_MS + 1, NOW_MS + 3)
    );
    assert_eq!(money(ledger).await, (97_000, 3_000, 0));
    let tally = |drop, claims, seq_max| Tally {
        drop: DropNumber(drop),
        shard: Shard(0),
        epoch: Epoch::FIRST,
        claims,
        returned: 0,
        seq_max,
    };
    assert_eq!(ledger.tallies().await.unwrap(), [tally(1, 3, 3), tally(2, 1, 1)]);
    verified(ledger).await;
}

pub(super) async fn claims_are_paged_over_shards_and_epochs<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let of_epoch = |epoch| match claims(THINGS, 1, "ann bob cid") {
        JournalEvent::Claimed { drop, claimed_at_ms, first_seq, takers, .. } => {
            JournalEvent::Claimed { drop, epoch: Epoch(epoch), claimed_at_ms, first_seq, takers }
        }
        JournalEvent::Returned { .. } => panic!("these are claims"),
    };
    written(ledger, Group { shard: Shard(1), ..group(0, vec![Ok(vec![of_epoch(1)])]) }).await;
    written(ledger, group(0, vec![Ok(vec![of_epoch(2), of_epoch(1), claims(MONEY, 1, "dan")])])).await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = ledger.claims(DropNumber(2), after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        after = Some(last.number);
        seen.extend(page.iter().map(|row| (row.number.shard.0, row.number.epoch.0, row.number.seq)));
    }
    let expected = [(0, 1), (0, 2), (1, 1)].into_iter().flat_map(|(s, e)| [(s, e, 1), (s, e, 2), (s, e, 3)]);
    assert_eq!(seen, expected.collect::<Vec<_>>());
    assert_eq!(ledger.position(Shard(1)).await.unwrap(), id(1));
    verified(ledger).await;
}

pub(super) async fn a_group_that_does_not_follow_is_not_written<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let first = || group(0, vec![Ok(vec![claims(MONEY, 1, "ann")])]);
    written(ledger, first()).await;
    let head = ledger.chain_head().await.unwrap();
    for stray in [first(), group(7, vec![Ok(vec![claims(MONEY, 2, "bob")])])] {
        assert_eq!(ledger.commit(stray).await.unwrap(), Committed::Moved { position: id(1) });
    }
    assert_eq!(ledger.chain_head().await.unwrap(), head);
    assert_eq!(holders(ledger, 1).await, pairs(&[(1, "ann")]));
}

pub(super) async fn entries_must_ascend<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let mut twisted = group(0, vec![Ok(vec![claims(MONEY, 1, "ann")]), Ok(vec![claims(MONEY, 2, "bob")])]);
    twisted.entries.reverse();
    assert!(ledger.commit(twisted).await.is_err());
    assert_eq!(ledger.position(Shard(0)).await.unwrap(), JournalId::START);
    assert!(holders(ledger, 1).await.is_empty());
}

pub(super) async fn claims_that_are_there_word_for_word_are_passed_over<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let again = || Ok(vec![claims(MONEY, 1, "ann bob cid")]);
    assert_eq!(written(ledger, group(0, vec![again()])).await, (3, 0, 0));
    assert_eq!(written(ledger, group(1, vec![again(), Ok(vec![claims(MONEY, 4, "dan")])])).await, (1, 0, 0));
    // A stretch that begins in what is known and ends beyond it.
    let mut overlap = claims(MONEY, 4, "dan eve fay");
    assert_eq!(written(ledger, group(3, vec![Ok(vec![overlap.clone()])])).await, (2, 0, 0));
    if let JournalEvent::Claimed { claimed_at_ms, .. } = &mut overlap {
        *claimed_at_ms += 1;
    }
    assert_eq!(written(ledger, group(4, vec![Ok(vec![overlap])])).await, (0, 0, 1));
    assert_eq!(holders(ledger, 1).await.len(), 6);
    assert_eq!(money(ledger).await, (94_000, 6_000, 0));
    verified(ledger).await;
}

pub(super) async fn a_number_that_somebody_else_holds_goes_to_quarantine<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    written(ledger, group(0, vec![Ok(vec![claims(MONEY, 1, "ann bob")])])).await;
    let conflict = vec![claims(THINGS, 1, "ann"), claims(MONEY, 2, "eve")];
    let rest = vec![claims(MONEY, 3, "cid")];
    assert_eq!(written(ledger, group(1, vec![Ok(conflict), Ok(rest)])).await, (1, 0, 1));
    // Nothing of the conflicting entry was written, not even what stood before the conflict.
    assert!(holders(ledger, 2).await.is_empty());
    assert_eq!(holders(ledger, 1).await, pairs(&[(1, "ann"), (2, "bob"), (3, "cid")]));
    assert_eq!(money(ledger).await, (97_000, 3_000, 0));
    let kept = ledger.quarantine(0, 10).await.unwrap();
    let [Quarantined { number: 1, shard: Shard(0), id: at, poison }] = kept.as_slice() else {
        panic!("{kept:?}")
    };
    assert_eq!((*at, poison.reason.as_str()), (id(2), "claim number 2 is already held by another claim"));
    assert!(poison.raw.contains("eve") && poison.raw.contains(MONEY), "{}", poison.raw);
    verified(ledger).await;
}

pub(super) async fn what_cannot_be_accepted_goes_to_quarantine_and_the_rest_goes_on<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let long = "x".repeat(129);
    let bad = [
        (claims("nobody", 1, "ann"), "there is no drop \"nobody\""),
        (claims(MONEY, 1, "ann  bob"), "person \"\" must have 1 to 128 characters, has 0"),
        (claims(MONEY, 1, &long), "must have 1 to 128 characters, has 129"),
        (claims(MONEY, 1, "ann\tmark"), "mark \"mark\" is not 16 hex digits"),
        (claims(MONEY, 0, "ann"), "claim numbers from 0 on do not exist"),
        (claims(MONEY, u32::MAX, "ann bob"), "claim numbers from 4294967295 on do not exist"),
    ];
    let mut contents = vec![Ok(vec![claims(MONEY, 1, "ann")]), Err(poison("?"))];
    contents.extend(bad.iter().map(|(event, _)| Ok(vec![event.clone()])));
    contents.push(Ok(vec![claims(MONEY, 2, "bob")]));
    assert_eq!(written(ledger, group(0, contents)).await, (2, 0, 7));
    assert_eq!(holders(ledger, 1).await, pairs(&[(1, "ann"), (2, "bob")]));
    assert_eq!(ledger.quarantine_open().await.unwrap(), 7);
    let kept = ledger.quarantine(0, 100).await.unwrap();
    for (kept, (_, reason)) in kept.iter().skip(1).zip(&bad) {
        assert!(kept.poison.reason.ends_with(reason), "{} instead of {reason}", kept.poison.reason);
    }
    assert_eq!(ledger.quarantine(0, 3).await.unwrap(), kept[..3]);
    assert_eq!(ledger.quarantine(3, 100).await.unwrap(), kept[3..], "by their numbers, 1, 2, 3 …");
    verified(ledger).await;
}

pub(super) async fn poison_is_kept_once<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    assert_eq!(written(ledger, group(0, vec![Err(poison("first")), Err(poison("second"))])).await, (0, 0, 2));
    // The same place in another shard's journal is another place.
    let elsewhere = Group { shard: Shard(1), ..group(0, vec![Err(poison("first"))]) };
    assert_eq!(written(ledger, elsewhere).await, (0, 0, 1));
    let kept = ledger.quarantine(0, 10).await.unwrap();
    let raw: Vec<_> = kept.iter().map(|kept| (kept.shard.0, kept.poison.raw.as_str())).collect();
    assert_eq!(raw, [(0, "first"), (0, "second"), (1, "first")]);
    verified(ledger).await;
}

pub(super) async fn every_group_adds_a_record_to_the_chain<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let mut heads = vec![ledger.chain_head().await.unwrap()];
    for at in 0..5 {
        let seq = u32::try_from(at).unwrap() * 2 + 1;
        written(ledger, group(at, vec![Ok(vec![claims(MONEY, seq, &format!("p{seq} q{seq}"))])])).await;
        heads.push(ledger.chain_head().await.unwrap());
    }
    assert!(
        heads.windows(2).all(|pair| pair[1].length == pair[0].length + 1 && pair[1].hash != pair[0].hash)
    );
    verified(ledger).await;
}

pub(super) async fn every_head_that_there_was_is_found_again<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    written(ledger, group(0, vec![Ok(vec![claims(MONEY, 1, "ann")])])).await;
    let kept = ledger.chain_head().await.unwrap();
    assert_eq!(ledger.chain_record(&kept.hash).await.unwrap(), Some(kept.length));
    written(ledger, group(1, vec![Ok(vec![claims(MONEY, 2, "bob")])])).await;
    assert_ne!(ledger.chain_head().await.unwrap(), kept);
    assert_eq!(ledger.chain_record(&kept.hash).await.unwrap(), Some(kept.length));
    for never in [&"0".repeat(64), &kept.hash[1..], &kept.hash.to_uppercase(), "no hash", ""] {
        assert_eq!(ledger.chain_record(never).await.unwrap(), None, "{never}");
    }
}

pub(super) async fn a_standing_is_all_of_one_moment<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let events = vec![claims(MONEY, 1, "ann bob"), returned(MONEY, 2, "bob", true)];
    written(ledger, group(0, vec![Ok(events)])).await;
    let standing = ledger.standing(Shard(0)).await.unwrap();
    assert_eq!(standing.position, id(1));
    assert_eq!(standing.catalogue.revision, ledger.revision().await.unwrap());
    assert_eq!(standing.catalogue.campaigns.len(), 1);
    assert_eq!(standing.tallies, ledger.tallies().await.unwrap());
    assert_eq!(standing.balances, ledger.balances().await.unwrap());
    assert_eq!(ledger.standing(Shard(1)).await.unwrap().position, JournalId::START);
}

pub(super) async fn too_many_claims_and_repeated_marks_are_found<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let (one, two) = ("\t0000000000000001", "\t0000000000000002");
    let takers = format!("ann{one} ann{two} bob{one} ann{one} bob{two}");
    written(ledger, group(0, vec![Ok(vec![claims(THINGS, 1, &takers)])])).await;
    let over = |limit| ledger.over_limit(DropNumber(2), limit, 10);
    assert_eq!(over(3).await.unwrap(), []);
    assert_eq!(over(2).await.unwrap(), [("ann".to_owned(), 3)]);
    assert_eq!(over(1).await.unwrap(), [("ann".to_owned(), 3), ("bob".to_owned(), 2)]);
    assert_eq!(ledger.over_limit(DropNumber(2), 1, 1).await.unwrap().len(), 1);
    let repeated = ledger.repeated_marks(DropNumber(2), 10).await.unwrap();
    assert_eq!(repeated, [("ann".to_owned(), "0000000000000001".to_owned(), 2)]);
    // A returned claim no longer counts against the limit.
    written(ledger, group(1, vec![Ok(vec![returned(THINGS, 1, "ann", true)])])).await;
    assert_eq!(over(2).await.unwrap(), []);
}

pub(super) async fn persons_in_several_drops_are_found<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let marked = "ann\t0000000000000001 bob\t0000000000000001 bob\t0000000000000002 cid\t0000000000000001";
    let events = vec![claims(MONEY, 1, "ann cid dan"), claims(THINGS, 1, marked)];
    written(ledger, group(0, vec![Ok(events)])).await;
    let found =
        async |since_ms, limit| ledger.in_several_drops(&campaign().id, since_ms, limit).await.unwrap();
    let claimed_at_ms = claim(ledger, 1, 1).await.claimed_at_ms;
    assert_eq!(found(claimed_at_ms, 10).await, [("ann".to_owned(), 2), ("cid".to_owned(), 2)]);
    assert_eq!(found(claimed_at_ms, 1).await.len(), 1);
    assert_eq!(found(claimed_at_ms + 1, 10).await, [], "they won before the rule held");
    // Who may claim again has won nowhere; who may not has.
    written(ledger, group(1, vec![Ok(vec![returned(MONEY, 1, "ann", true)])])).await;
    written(ledger, group(2, vec![Ok(vec![returned(MONEY, 2, "cid", false)])])).await;
    assert_eq!(found(claimed_at_ms, 10).await, [("cid".to_owned(), 2)]);
    let elsewhere = CampaignId::new("elsewhere").unwrap();
    assert_eq!(ledger.in_several_drops(&elsewhere, 0, 10).await.unwrap(), []);
}

pub(super) async fn money_is_conserved_to_the_fen<L: Ledger>(ledger: &L) {
    let mut odd = campaign();
    odd.budget = Fen(100_001);
    odd.drops[0].voucher.as_mut().unwrap().face = Fen(333);
    ledger.apply_campaign(&odd, 0, "ann", NOW_MS).await.unwrap();
    let mut seq = 1;
    for at in 0..20_u64 {
        let takers: Vec<_> = (0..5).map(|n| format!("p{at}-{n}")).collect();
        let mut events = vec![claims(MONEY, seq, &takers.join(" "))];
        events.push(returned(MONEY, seq + 1, &takers[1], at % 2 == 0));
        written(ledger, group(at, vec![Ok(events)])).await;
        seq += 5;
    }
    let (unissued, live, recycled) = money(ledger).await;
    assert_eq!((unissued, live, recycled), (100_001 - 90 * 333, 80 * 333, 10 * 333));
    verified(ledger).await;
}
