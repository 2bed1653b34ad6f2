//! The chain without a store.

use super::*;
use proptest::prelude::*;

fn section(first_seq: u32, count: u32) -> Section {
    Section { drop: 1, epoch: 1, first_seq, count, sha256: String::new() }
}

#[test]
fn a_digest_does_not_depend_on_how_the_journal_cut_the_claims() {
    let digest = |pieces: &[(i64, &str)]| {
        let mut digest = ClaimsDigest::default();
        for (at_ms, takers) in pieces {
            digest.push(*at_ms, takers);
        }
        digest.finish()
    };
    let whole = digest(&[(5, "ann bob\t00ff00ff00ff00ff"), (6, "cid")]);
    assert_eq!(digest(&[(5, "ann"), (5, "bob\t00ff00ff00ff00ff"), (6, "cid")]), whole);
    let mut rows = ClaimsDigest::default();
    rows.push_row(5, "ann", None);
    rows.push_row(5, "bob", Some("00ff00ff00ff00ff"));
    rows.push_row(6, "cid", None);
    assert_eq!(rows.finish(), whole);
    for other in [[(5, "ann bob"), (6, "cid")], [(5, "ann"), (6, "bob\t00ff00ff00ff00ff cid")]] {
        assert_ne!(digest(&other), whole);
    }
}

#[test]
fn a_walk_stops_where_a_record_does_not_follow() {
    let state =
        |campaign: &str| Content::State { campaign: campaign.to_owned(), state: CampaignState::Paused };
    let first = Record::next(&ORIGIN, 1, 5, None, state("one")).unwrap();
    let second = Record::next(&first.hash, 2, 6, None, state("two")).unwrap();
    let mut walk = Walk::default();
    assert_eq!(walk.step(&first), Ok(state("one")));
    assert_eq!(walk.step(&second), Ok(state("two")));
    assert_eq!(walk.head(), ChainHead { length: 2, hash: HEXLOWER.encode(&second.hash) });
    assert_eq!(Walk::default().step(&second).unwrap_err().index, 1);
    // A record that is hashed anew still shows its place.
    let misplaced = Record { index: 1, ..Record::next(&ORIGIN, 3, 5, None, state("one")).unwrap() };
    assert!(Walk::default().step(&misplaced).unwrap_err().what.contains("record 3"));
}

proptest! {
    #[test]
    fn coverage_counts_each_claim_once(stretches in prop::collection::vec((1..60_u32, 1..10_u32), 1..40)) {
        let (mut coverage, mut covered) = (Coverage::default(), std::collections::BTreeSet::new());
        for (first, count) in stretches {
            let free = (first..first + count).all(|seq| !covered.contains(&seq));
            prop_assert_eq!(coverage.add(0, &section(first, count)), free);
            if free {
                covered.extend(first..first + count);
            }
        }
        let counts: Vec<_> = coverage.counts().collect();
        prop_assert_eq!(counts, vec![((1, 0, 1), covered.len() as u64)]);
    }
}
