//! Codes, steps and who takes what.

use super::*;
use crate::domain::money::Fen;

fn actor(name: &str) -> Actor {
    Actor { key: Some(name.to_lowercase()), name: name.to_owned() }
}

fn details() -> Details {
    Details {
        name: "过桥米线".to_owned(),
        category: "H6210".to_owned(),
        region: "530102".to_owned(),
        shops: vec![Shop { id: "s-1".to_owned(), name: "总店".to_owned(), region: None }],
        cap_per_day: Some(100),
        cap_per_person_per_day: None,
        uat: false,
    }
}

fn entered() -> Merchant {
    Merchant::applied(Proposal { details: details(), by: actor("Ann"), at_ms: 1 })
}

#[test]
fn codes_are_told_from_other_texts() {
    let own = Categories::with(&["catering".to_owned()]);
    for good in ["F5211", "5211", "52", "621", "H", "catering"] {
        assert_eq!(own.check(good), Ok(()), "{good}");
    }
    for wrong in ["", "F62", "00", "98", "X5211", "52111", "5", "Catering", "f5211", "餐饮"] {
        assert!(own.check(wrong).is_err(), "{wrong}");
    }
    for (code, good) in
        [("530102", true), ("530000", true), ("810000", true), ("990000", false), ("53010", false)]
    {
        assert_eq!(check_region(code).is_ok(), good, "{code}");
    }
}

#[test]
fn a_rule_covers_what_is_part_of_it() {
    for (rule, value, covered) in [
        ("530102", "530102", true),
        ("530100", "530102", true),
        ("530000", "530102", true),
        ("53", "530102", true),
        ("5301", "530102", true),
        ("530100", "530302", false),
        ("530102", "530100", false),
        ("51", "530102", false),
        ("F", "F5211", true),
        ("F", "5211", true),
        ("H", "5211", false),
        ("52", "F5211", true),
        ("F52", "5211", true),
        ("F5211", "F52", false),
        ("yunnan", "yunnan", true),
        ("yunnan", "530102", false),
        ("53", "5301", true),
        ("", "530102", false),
    ] {
        assert_eq!(covers(rule, value), covered, "{rule} {value}");
    }
}

#[test]
fn a_voucher_is_taken_where_category_and_region_fit() {
    let details = details();
    let terms = |categories: &[&str], regions: &[&str]| VoucherTerms {
        face: Fen(1),
        threshold: Fen(1),
        valid_ms: 1,
        categories: categories.iter().map(|&text| text.to_owned()).collect(),
        regions: regions.iter().map(|&text| text.to_owned()).collect(),
    };
    let shop = details.shop("s-1").unwrap();
    assert!(details.takes(&terms(&[], &[]), shop));
    assert!(details.takes(&terms(&["62"], &["51", "53"]), shop));
    assert!(!details.takes(&terms(&["52"], &["53"]), shop));
    let elsewhere = Shop { region: Some("510104".to_owned()), ..shop.clone() };
    assert!(!details.takes(&terms(&["62"], &["53"]), &elsewhere), "the shop's own region counts");
}

#[test]
fn nobody_reviews_what_they_entered() {
    let entered = entered();
    let own = entered.after(Step::Review, &actor("ann"), false, None);
    assert_eq!(own, Err(StepError::SamePerson(actor("Ann"))));
    let reviewed = entered.after(Step::Review, &actor("Bob"), false, None).unwrap();
    assert_eq!(
        (reviewed.status, &reviewed.details, &reviewed.proposed),
        (Status::Reviewed, &Some(details()), &None)
    );
    assert!(entered.after(Step::Review, &actor("Ann"), true, None).is_ok(), "where one may do both");
    assert_eq!(reviewed.after(Step::Review, &actor("Bob"), false, None), Err(StepError::NothingProposed));
}

#[test]
fn steps_are_those_of_the_table() {
    let bob = actor("Bob");
    let entered = entered();
    assert!(entered.active().is_none());
    let early = entered.after(Step::Activate, &bob, false, None).unwrap_err();
    assert_eq!(early.to_string(), "a merchant that is applied cannot be activated");
    let active = entered
        .after(Step::Review, &bob, false, None)
        .unwrap()
        .after(Step::Activate, &bob, false, None)
        .unwrap();
    assert_eq!(active.active(), Some(&details()));
    let stopped = active.after(Step::Suspend, &bob, false, Some("complaints".to_owned())).unwrap();
    assert_eq!((stopped.status, stopped.active()), (Status::Suspended, None));
    let again = stopped.after(Step::Activate, &bob, false, None).unwrap();
    assert_eq!((again.status, &again.reason), (Status::Active, &None));
    let refused = entered.after(Step::Suspend, &bob, false, None).unwrap();
    assert_eq!(refused.after(Step::Activate, &bob, false, None), Err(StepError::NeverReviewed));
}

#[test]
fn vouchers_are_redeemed_where_the_shop_is() {
    let shop = |id: &str, region: Option<&str>| Shop {
        id: id.to_owned(),
        name: id.to_owned(),
        region: region.map(str::to_owned),
    };
    // (the shops' regions, where one is that names none of them)
    let cases: [(&[Option<&str>], Option<&str>); 6] = [
        (&[None], Some("530102")),
        (&[None, Some("530102")], Some("530102")),
        (&[Some("510104")], Some("510104")),
        (&[Some("510104"), Some("510104")], Some("510104")),
        (&[Some("510104"), None], None),
        (&[None, Some("510104"), Some("510104")], None),
    ];
    for (regions, unnamed) in cases {
        let shops: Vec<_> = regions.iter().map(|region| shop("s", *region)).collect();
        let all = Details { shops, ..details() };
        assert_eq!(all.region_at(None), unnamed, "{regions:?}");
        for (shop, region) in all.shops.iter().zip(regions) {
            assert_eq!(all.region_at(Some(shop)), Some(region.unwrap_or("530102")));
        }
    }
}

#[test]
fn tills_are_served_by_what_was_reviewed_also_in_a_suspension() {
    let bob = actor("Bob");
    let entered = entered();
    let reviewed = entered.after(Step::Review, &bob, false, None).unwrap();
    let active = reviewed.after(Step::Activate, &bob, false, None).unwrap();
    let suspended = active.after(Step::Suspend, &bob, false, None).unwrap();
    let never = entered.after(Step::Suspend, &bob, false, None).unwrap();
    let served =
        [&entered, &reviewed, &active, &suspended, &never].map(|merchant| merchant.served().is_some());
    assert_eq!(served, [false, false, true, true, false]);
    assert!(suspended.active().is_none());
}

#[test]
fn an_active_merchant_goes_on_by_what_was_reviewed() {
    let bob = actor("Bob");
    let mut merchant = entered()
        .after(Step::Review, &bob, false, None)
        .unwrap()
        .after(Step::Activate, &bob, false, None)
        .unwrap();
    let richer = Details { cap_per_day: Some(9_999), ..details() };
    merchant.proposed = Some(Proposal { details: richer.clone(), by: actor("Ann"), at_ms: 2 });
    assert_eq!(merchant.active().unwrap().cap_per_day, Some(100));
    let reviewed = merchant.after(Step::Review, &bob, false, None).unwrap();
    assert_eq!((reviewed.status, reviewed.active()), (Status::Active, Some(&richer)));
}
