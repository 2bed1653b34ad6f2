//! Bonds: first come, one holder, and a choice that may be left when it is over.

use super::*;
use crate::ledger::{Bind, Bound, Choice};

fn bind(person: &str, dimensions: &[&str]) -> Bind {
    let dimensions = dimensions.iter().map(|text| (*text).to_owned()).collect();
    Bind { campaign: campaign().id, person: person.to_owned(), dimensions, choice: None }
}

fn choosing(person: &str, drop: &str, may_leave: &[&str]) -> Bind {
    let id = |drop: &&str| DropId::new(drop).unwrap();
    let choice = Choice { drop: id(&drop), may_leave: may_leave.iter().map(id).collect() };
    Bind { choice: Some(choice), ..bind(person, &[]) }
}

async fn outcomes<L: Ledger>(ledger: &L, requests: Vec<Bind>) -> Vec<Bound> {
    ledger.bind(requests, NOW_MS).await.unwrap()
}

pub(super) async fn the_first_to_show_a_dimension_holds_it<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let length = ledger.chain_head().await.unwrap().length;
    let first = outcomes(ledger, vec![bind("ann", &["phone:1", "card:1"]), bind("ann", &["phone:1"])]).await;
    assert_eq!(first, [Bound::Theirs, Bound::Theirs]);
    let nowhere =
        Bind { campaign: crate::domain::ids::CampaignId::new("nowhere").unwrap(), ..bind("x", &["p"]) };
    let mixed = outcomes(
        ledger,
        vec![
            bind("ann", &["phone:1", "card:1"]),
            bind("bob", &["phone:2", "card:1"]),
            bind("cid", &["phone:2"]),
            bind("bob", &["phone:2"]),
            nowhere,
        ],
    )
    .await;
    let expected = [Bound::Theirs, Bound::Anothers(1), Bound::Theirs, Bound::Anothers(0), Bound::NoCampaign];
    assert_eq!(mixed, expected, "a refused request binds nothing");
    assert_eq!(ledger.chain_head().await.unwrap().length, length + 2);
    assert_eq!(outcomes(ledger, vec![bind("cid", &["phone:2", "phone:2"])]).await, [Bound::Theirs]);
    assert_eq!(ledger.chain_head().await.unwrap().length, length + 2, "what stands already is no news");
    verified(ledger).await;
}

pub(super) async fn one_drop_is_chosen_until_it_is_over<L: Ledger>(ledger: &L) {
    stocked(ledger).await;
    let elsewhere = Bound::Elsewhere(MONEY.to_owned());
    for (request, outcome) in [
        (choosing("ann", MONEY, &[]), Bound::Theirs),
        (choosing("ann", MONEY, &[]), Bound::Theirs),
        (choosing("ann", THINGS, &[]), elsewhere.clone()),
        (choosing("bob", THINGS, &[]), Bound::Theirs),
        (choosing("ann", THINGS, &[MONEY]), Bound::Theirs),
        (choosing("ann", MONEY, &[]), Bound::Elsewhere(THINGS.to_owned())),
        (choosing("ann", MONEY, &[THINGS]), Bound::Theirs),
        (choosing("ann", THINGS, &[THINGS]), elsewhere),
    ] {
        assert_eq!(outcomes(ledger, vec![request.clone()]).await, [outcome], "{request:?}");
    }
    verified(ledger).await;
}
