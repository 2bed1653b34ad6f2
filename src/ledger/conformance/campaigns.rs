//! Campaigns: applied, changed, refused, paused, noted as loaded.

use super::*;
use crate::domain::campaign::{CampaignState, Refusal};
use crate::domain::ids::CampaignId;
use crate::ledger::{LedgerError, Loaded};

pub(super) async fn an_empty_ledger_has_nothing<L: Ledger>(ledger: &L) {
    let catalogue = ledger.catalogue().await.unwrap();
    assert_eq!((catalogue.revision, catalogue.campaigns.len()), (0, 0));
    assert_eq!(ledger.position(Shard(3)).await.unwrap(), JournalId::START);
    assert!(ledger.tallies().await.unwrap().is_empty());
    assert!(ledger.balances().await.unwrap().is_empty());
    let head = ledger.chain_head().await.unwrap();
    assert_eq!((head.length, head.hash), (0, "0".repeat(64)));
    verified(ledger).await;
}

pub(super) async fn a_campaign_is_stored_with_its_budget_and_numbers<L: Ledger>(ledger: &L) {
    let changes = ledger.apply_campaign(&campaign(), 0, "ann", NOW_MS).await.unwrap();
    assert_eq!((changes.created.len(), changes.budget_to), (2, Fen(100_000)));
    let catalogue = ledger.catalogue().await.unwrap();
    assert_eq!((catalogue.revision, ledger.revision().await.unwrap()), (1, 1));
    let [record] = catalogue.campaigns.as_slice() else { panic!("one campaign") };
    assert_eq!((&record.campaign, record.state), (&campaign(), CampaignState::Running));
    let drops: Vec<_> =
        record.drops.iter().map(|drop| (drop.id.as_str(), drop.number.0, drop.loaded.len())).collect();
    assert_eq!(drops, [(MONEY, 1, 0), (THINGS, 2, 0)]);
    assert_eq!(money(ledger).await, (100_000, 0, 0));
    verified(ledger).await;
}

pub(super) async fn applying_twice_changes_nothing<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let head = ledger.chain_head().await.unwrap();
    assert!(ledger.apply_campaign(&campaign(), 1, "ann", NOW_MS + 1).await.unwrap().is_empty());
    assert_eq!((ledger.revision().await.unwrap(), ledger.chain_head().await.unwrap()), (1, head));
}

pub(super) async fn a_stale_revision_is_refused<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let mut more = campaign();
    more.drops[1].stock = 60;
    let error = ledger.apply_campaign(&more, 0, "ann", NOW_MS).await.unwrap_err();
    assert!(matches!(error, LedgerError::Stale { expected: 0, found: 1 }), "{error}");
    for (revision, found) in [(0, 1), (1, 2), (1, 2)] {
        ledger.outdate(revision).await.unwrap();
        assert_eq!(ledger.revision().await.unwrap(), found, "no other one is raised");
    }
    assert_eq!(ledger.catalogue().await.unwrap().campaigns[0].campaign, campaign());
}

pub(super) async fn a_refused_campaign_changes_nothing<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    written(
        ledger,
        group(0, vec![Ok(vec![claims(THINGS, 1, "ann bob cid"), returned(THINGS, 2, "bob", true)])]),
    )
    .await;
    let head = ledger.chain_head().await.unwrap();
    let mut less = campaign();
    less.drops[1].stock = 1;
    let mut thief = campaign();
    thief.id = CampaignId::new("thief").unwrap();
    let refusals = [
        (less, "drop \"shop-things\": stock 1 is below the 2 already claimed"),
        (thief, "drop \"shop-money\" already belongs to campaign \"shop\""),
    ];
    for (file, text) in refusals {
        let error = ledger.apply_campaign(&file, 1, "ann", NOW_MS).await.unwrap_err();
        assert!(matches!(error, LedgerError::Refused(_)));
        assert_eq!(error.to_string(), text);
    }
    let mut removed = campaign();
    removed.drops.pop();
    let error = ledger.apply_campaign(&removed, 1, "ann", NOW_MS).await.unwrap_err();
    assert!(matches!(error, LedgerError::Refused(Refusal::DropRemoved(_))));
    assert_eq!((ledger.revision().await.unwrap(), ledger.chain_head().await.unwrap()), (1, head));
    let mut enough = campaign();
    enough.drops[1].stock = 2;
    assert_eq!(ledger.apply_campaign(&enough, 1, "ann", NOW_MS).await.unwrap().restocked.len(), 1);
}

pub(super) async fn a_changed_budget_is_posted<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let mut richer = campaign();
    richer.budget = Fen(150_000);
    ledger.apply_campaign(&richer, 1, "ann", NOW_MS).await.unwrap();
    assert_eq!(money(ledger).await, (150_000, 0, 0));
    ledger.apply_campaign(&campaign(), 2, "ann", NOW_MS).await.unwrap();
    assert_eq!(money(ledger).await, (100_000, 0, 0));
    assert_eq!(ledger.chain_head().await.unwrap().length, 3);
    verified(ledger).await;
}

pub(super) async fn pausing_and_loading_raise_the_revision<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let shop = campaign().id;
    assert!(ledger.set_campaign_state(&shop, CampaignState::Paused, "ann", NOW_MS).await.unwrap());
    assert!(ledger.set_campaign_state(&shop, CampaignState::Paused, "ann", NOW_MS).await.unwrap());
    let nobody = CampaignId::new("nobody").unwrap();
    assert!(!ledger.set_campaign_state(&nobody, CampaignState::Paused, "ann", NOW_MS).await.unwrap());
    assert_eq!(ledger.revision().await.unwrap(), 2);
    for _ in 0..2 {
        ledger.mark_loaded(DropNumber(2), Shard(0), Epoch::FIRST).await.unwrap();
    }
    ledger.mark_loaded(DropNumber(2), Shard(0), Epoch(2)).await.unwrap();
    assert!(ledger.mark_loaded(DropNumber(9), Shard(0), Epoch::FIRST).await.is_err());
    let catalogue = ledger.catalogue().await.unwrap();
    let [record] = catalogue.campaigns.as_slice() else { panic!("one campaign") };
    assert_eq!((catalogue.revision, record.state), (4, CampaignState::Paused));
    let loaded = |epoch| Loaded { shard: Shard(0), epoch, carried: 0, seen_seq: 0 };
    assert_eq!(record.drops[1].loaded, [loaded(Epoch::FIRST), loaded(Epoch(2))]);
    // A changed file leaves the state alone.
    let mut more = campaign();
    more.drops[1].stock = 60;
    ledger.apply_campaign(&more, 4, "ann", NOW_MS).await.unwrap();
    assert_eq!(ledger.catalogue().await.unwrap().campaigns[0].state, CampaignState::Paused);
    verified(ledger).await;
}

pub(super) async fn a_drop_keeps_the_days_on_which_it_was_open<L: Ledger>(ledger: &L) {
    let mut daily = campaign();
    daily.daily_budget = Some(Fen(100_000));
    ledger.apply_campaign(&daily, 0, "ann", NOW_MS - 1).await.unwrap();
    let mut later = daily.clone();
    later.drops[0].opens_at_ms += 86_400_000;
    let refused = ledger.apply_campaign(&later, 1, "ann", NOW_MS).await.unwrap_err();
    let text = "drop \"shop-money\" was open on 2023-11-20, and its window has to keep that day while there is a daily budget";
    assert_eq!(refused.to_string(), text);
    assert_eq!(ledger.revision().await.unwrap(), 1);
    ledger.apply_campaign(&later, 1, "ann", NOW_MS - 1).await.unwrap();
    verified(ledger).await;
}

pub(super) async fn a_daily_budget_that_comes_back_counts_what_was_claimed<L: Ledger>(ledger: &L) {
    const DAY_MS: i64 = 86_400_000;
    let mut daily = campaign();
    daily.daily_budget = Some(Fen(100_000));
    for drop in &mut daily.drops {
        drop.closes_at_ms = drop.opens_at_ms + 1_000;
    }
    ledger.apply_campaign(&daily, 0, "ann", NOW_MS).await.unwrap();
    written(ledger, group(0, vec![Ok(vec![claims(MONEY, 1, "ann bob"), claims(THINGS, 1, "cid")])])).await;
    // Taken out, moved to the next day, and put back: what was claimed would count on no day.
    let moved = daily.shift_to(daily.drops[0].opens_at_ms + DAY_MS);
    let free = Campaign { daily_budget: None, ..moved.clone() };
    ledger.apply_campaign(&free, 1, "ann", NOW_MS + 2_000).await.unwrap();
    let refused = ledger.apply_campaign(&moved, 2, "ann", NOW_MS + 3_000).await.unwrap_err();
    assert!(
        matches!(&refused, LedgerError::Refused(Refusal::DayLeft { drop, day }) if drop.as_str() == MONEY && day == "2023-11-20"),
        "{refused}"
    );
    assert_eq!(ledger.revision().await.unwrap(), 2);
    let mut touching = moved.clone();
    touching.drops[0].opens_at_ms = NOW_MS + 4_000;
    ledger.apply_campaign(&touching, 2, "ann", NOW_MS + 3_000).await.unwrap();
    // When the day is over it may come back whatever was claimed on it.
    ledger.apply_campaign(&free, 3, "ann", NOW_MS + 5_000).await.unwrap();
    assert!(ledger.apply_campaign(&moved, 4, "ann", NOW_MS + 5_000).await.is_err());
    ledger.apply_campaign(&moved, 4, "ann", NOW_MS + DAY_MS).await.unwrap();
    verified(ledger).await;
}
