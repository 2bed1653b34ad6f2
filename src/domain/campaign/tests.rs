//! Files that are read, files that are refused with their line, and changes that may not be made.

use proptest::prelude::*;

use super::*;

const SAMPLE: &str = include_str!("../../../deploy/campaigns/caiyun-2023.toml");

/// Line 1 to 4 the campaign, 6 to 11 its first drop, 13 to 18 its second, which has no voucher.
const SMALL: &str = r#"id = "small"
budget = "100.00 CNY"
time_zone = "Asia/Shanghai"

# the voucher drop
[[drop]]
id = "small-1"
opens_at = "2023-11-20T10:00:00+08:00"
closes_at = 2023-11-21T10:00:00+08:00
stock = 4
limit_per_person = 1
voucher = { face = "25.00", threshold = "100.00", valid_for = "72h" }
[[drop]]
id = "small-2"
opens_at = 2023-11-20T10:00:00
closes_at = "2023-11-20T10:30:00"
stock = 1_000
limit_per_person = 3
"#;

fn small() -> Campaign {
    Campaign::parse(SMALL).unwrap()
}

#[test]
fn the_sample_spends_its_budget_to_the_fen() {
    let campaign = Campaign::parse(SAMPLE).unwrap();
    assert_eq!((campaign.budget, campaign.currency.as_str()), (Fen(400_000_000), "CNY"));
    let drops: Vec<_> = campaign.drops.iter().map(|drop| (drop.id.as_str(), drop.stock)).collect();
    let expected = [
        ("caiyun-50-10", 120_000),
        ("caiyun-100-25", 40_000),
        ("caiyun-200-50", 20_000),
        ("caiyun-300-80", 10_000),
    ];
    assert_eq!(drops, expected);
    let worth: i64 =
        campaign.drops.iter().map(|d| d.voucher.as_ref().unwrap().face.times(d.stock).unwrap().0).sum();
    assert_eq!(Fen(worth), campaign.budget);
    for drop in &campaign.drops {
        let terms = drop.voucher.as_ref().unwrap();
        assert_eq!((drop.opens_at_ms, drop.limit_per_person), (1_700_445_600_000, 1));
        assert_eq!((terms.valid_ms, terms.regions.as_slice()), (604_800_000, ["53".to_owned()].as_slice()));
    }
}

#[test]
fn both_ways_of_writing_an_instant_mean_the_same() {
    let campaign = small();
    let [voucher, other] = campaign.drops.as_slice() else { panic!("two drops") };
    assert_eq!(voucher.opens_at_ms, other.opens_at_ms);
    assert_eq!(voucher.closes_at_ms - voucher.opens_at_ms, 86_400_000);
    assert_eq!((other.stock, other.limit_per_person, &other.voucher), (1_000, 3, &None));
    assert_eq!(campaign.name, "small");
}

/// (text in `SMALL`, what it is replaced by, the refusal)
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "= 4\n",
        "= 5\n",
        "line 10: drop \"small-1\": stock × face makes the vouchers so far worth 125.00, above the budget of 100.00 CNY",
    ),
    ("10:30:00", "10:00:00", "line 16: drop \"small-2\": closes_at is not after opens_at"),
    ("limit_per_person = 3", "limit = 3", "line 18: drop \"small-2\": unknown key \"limit\""),
    ("time_zone", "zone", "line 3: unknown key \"zone\""),
    ("valid_for = \"72h\"", "valid = \"72h\"", "line 12: drop \"small-1\": voucher: unknown key \"valid\""),
    (
        "\"72h\" }",
        "\"72h\", merchants = { shop = [] } }",
        "line 12: drop \"small-1\": voucher: merchants: unknown key \"shop\"",
    ),
    ("= 4\n", "= 0\n", "line 10: drop \"small-1\": stock: must be 1 to 4294967295, is 0"),
    ("= 4\n", "= -4\n", "line 10: drop \"small-1\": stock: must be 1 to 4294967295, is -4"),
    ("= 1_000", "= 4294967296", "line 17: drop \"small-2\": stock: must be 1 to 4294967295, is 4294967296"),
    (
        "= 1_000",
        "= 1000.0",
        "line 17: drop \"small-2\": stock: must be a whole number, is a number with a point",
    ),
    ("person = 3", "person = 101", "line 18: drop \"small-2\": limit_per_person: must be 1 to 100, is 101"),
    ("small-2", "small-1", "line 14: drop \"small-1\": id is already the id of another drop"),
    ("small-2", "Small", "line 14: drop \"Small\": id may not contain 'S'"),
    ("\"small\"", "\"\"", "line 1: id: must not be empty"),
    ("\"25.00\"", "\"0.00\"", "line 12: drop \"small-1\": voucher: face: must be more than zero"),
    (
        "\"25.00\"",
        "\"-25.00\"",
        "line 12: drop \"small-1\": voucher: face: must be more than zero, is -25.00",
    ),
    (
        "\"25.00\"",
        "\"2,5\"",
        "line 12: drop \"small-1\": voucher: face: \"2,5\" is not an amount like \"25.00\"",
    ),
    (
        "\"25.00\"",
        "25.00",
        "line 12: drop \"small-1\": voucher: face: must be a text in quotes, is a number with a point",
    ),
    (
        "\"25.00\"",
        "\"25.00 USD\"",
        "line 12: drop \"small-1\": voucher: face: is in \"USD\", but the budget is in \"CNY\"",
    ),
    ("\"100.00\"", "\"20.00\"", "line 12: drop \"small-1\": voucher: threshold is below the face of 25.00"),
    (
        "100.00 CNY",
        "100.00",
        "line 2: budget: \"100.00\" is not an amount with its currency, as in \"4000000.00 CNY\"",
    ),
    (
        "100.00 CNY",
        "100.00 JPY",
        "line 2: budget: currency \"JPY\" is not one of CNY, HKD, MOP, TWD, SGD, MYR, THB, EUR, GBP, USD",
    ),
    ("100.00 CNY", "0 CNY", "line 2: budget: must be more than zero"),
    (
        "Asia/Shanghai",
        "Asia/Kunming",
        "line 3: time_zone: \"Asia/Kunming\" is not a time zone like \"Asia/Shanghai\"",
    ),
    (
        "\"2023-11-20T10:00:00+08:00\"",
        "\"10 o'clock\"",
        "line 8: drop \"small-1\": opens_at: \"10 o'clock\" is not a date and time like \"2023-11-20T10:00:00+08:00\"",
    ),
    (
        "\"2023-11-20T10:00:00+08:00\"",
        "2023-11-20",
        "line 8: drop \"small-1\": opens_at: \"2023-11-20\" is not a date and time like \"2023-11-20T10:00:00+08:00\"",
    ),
    (
        "72h",
        "three days",
        "line 12: drop \"small-1\": voucher: valid_for: \"three days\" is not a duration like \"7d\", \"72h\" or \"30m\"",
    ),
    (
        "= 1_000",
        "= 1_000\nitem = { hold_for = \"31d\" }",
        "line 18: drop \"small-2\": item: hold_for is more than 30d",
    ),
    ("= 1_000", "= 1_000\nitem = {}", "line 18: drop \"small-2\": item: hold_for is missing"),
    (
        "= 1_000",
        "= 1_000\nitem = { hold_for = \"0m\" }",
        "line 18: drop \"small-2\": item: hold_for: must be more than zero",
    ),
    (
        "= 1_000",
        "= 1_000\nitem = { hold_for = \"1m\", claim_again = 1 }",
        "line 18: drop \"small-2\": item: claim_again: must be true or false, is a whole number",
    ),
    ("= 1_000", "= 1_000\nitem = { price = 1 }", "line 18: drop \"small-2\": item: unknown key \"price\""),
    (
        "= 4\n",
        "= 4\nitem = { hold_for = \"1m\" }\n",
        "line 11: drop \"small-1\": item cannot stand beside voucher: a claim gives one or the other",
    ),
    ("stock = 1_000\n", "", "line 13: drop \"small-2\": stock is missing"),
    ("budget = \"100.00 CNY\"\n", "", "line 1: budget is missing"),
    ("face = \"25.00\", ", "", "line 12: drop \"small-1\": voucher: face is missing"),
    ("stock = 4\n", "stock = 4\nstock = 4\n", "line 11: duplicate key"),
    ("stock = 4\n", "stock = \n", "line 10: string values must be quoted, expected literal string"),
];

#[test]
fn every_refusal_names_its_line_and_key() {
    for (from, to, refusal) in REFUSED {
        assert!(SMALL.contains(from), "{from}");
        let error = Campaign::parse(&SMALL.replacen(from, to, 1)).expect_err(to);
        assert_eq!(error.to_string(), *refusal);
    }
}

#[test]
fn a_file_without_drops_or_with_too_many_is_refused() {
    let head = "id = \"x\"\nbudget = \"1 CNY\"\ntime_zone = \"UTC\"\n";
    let refusal = |text: &str| Campaign::parse(text).unwrap_err().to_string();
    assert_eq!(refusal(head), "line 1: drop is missing");
    assert_eq!(
        refusal(&format!("{head}drop = []\n")),
        "line 4: drop: there must be at least one [[drop]] or [[wave]]"
    );
    assert_eq!(refusal(&format!("{head}drop = 1\n")), "line 4: drop: must be written as [[drop]]");
    let many = format!("{head}{}", "[[drop]]\n".repeat(257));
    assert_eq!(refusal(&many), "line 260: drop 257: at most 256 are allowed");
    assert_eq!(refusal(&" ".repeat(262_145)), "line 1: the file is larger than 262144 bytes");
}

#[test]
fn the_stored_form_reads_back_to_an_equal_campaign() {
    for text in [SMALL, SAMPLE] {
        let campaign = Campaign::parse(text).unwrap();
        let stored = campaign.to_canonical().unwrap();
        let back = Campaign::from_canonical(&stored).unwrap();
        assert_eq!(back, campaign);
        assert_eq!(back.digest().unwrap(), campaign.digest().unwrap());
    }
    assert_ne!(small().digest().unwrap(), Campaign::parse(SAMPLE).unwrap().digest().unwrap());
    assert!(Campaign::from_canonical("{\"id\":\"Not an id\"}").is_err());
}

#[test]
fn an_item_is_held_for_its_time_and_a_stored_campaign_without_one_reads_as_before() {
    let text = SMALL.replacen("= 1_000", "= 1_000\nitem = { hold_for = \"15m\", claim_again = false }", 1);
    let campaign = Campaign::parse(&text).unwrap();
    let item = campaign.drops[1].item.clone().unwrap();
    assert_eq!(item, ItemTerms { hold_ms: 900_000, claim_again: false });
    assert_eq!(item.held_until_ms(1_000), 901_000);
    let stored = campaign.to_canonical().unwrap();
    assert_eq!(Campaign::from_canonical(&stored).unwrap(), campaign);
    assert!(!small().to_canonical().unwrap().contains("item"), "what was stored before has the same digest");

    let mut longer = campaign.clone();
    longer.drops[1].item.as_mut().unwrap().hold_ms += 1;
    assert_eq!(changes(Some(&campaign), &longer, |_| 0).unwrap().changed, [campaign.drops[1].id.clone()]);
    let shorter = changes(Some(&longer), &campaign, |_| 0).unwrap_err();
    assert_eq!(shorter.to_string(), "drop \"small-2\": hold_for cannot become shorter");
    for (old, new) in [(&campaign, &small()), (&small(), &campaign)] {
        let refused = changes(Some(old), new, |_| 0).unwrap_err();
        assert_eq!(refused.to_string(), "drop \"small-2\": an item cannot come or go");
        assert_eq!(refused.about(), Some(&campaign.drops[1].id));
    }
}

#[test]
fn a_shifted_campaign_keeps_its_distances() {
    let mut campaign = small();
    campaign.drops[1].opens_at_ms += 5_000;
    let shifted = campaign.shift_to(1_000);
    assert_eq!((shifted.drops[0].opens_at_ms, shifted.drops[1].opens_at_ms), (1_000, 6_000));
    for (before, after) in campaign.drops.iter().zip(&shifted.drops) {
        assert_eq!(before.closes_at_ms - before.opens_at_ms, after.closes_at_ms - after.opens_at_ms);
    }
    assert_eq!(shifted.shift_to(campaign.drops[0].opens_at_ms), campaign);
    for at in [i64::MIN, -1, 0, crate::limits::INSTANT_MS_MAX, 1 << 48, i64::MAX] {
        let moved = changes(Some(&campaign), &campaign.shift_to(at), |_| 0);
        assert!(matches!(moved, Err(Refusal::OutOfTime(_))), "{at}");
    }
}

#[test]
fn changes_say_what_is_new_and_what_is_different() {
    let old = small();
    let id = |at: usize| old.drops[at].id.clone();
    let first = changes(None, &old, |_| 0).unwrap();
    assert_eq!((first.created, first.budget_to), (vec![id(0), id(1)], Fen(10_000)));
    assert!(changes(Some(&old), &old, |_| 4).unwrap().is_empty());

    let mut new = old.clone();
    new.budget = Fen(20_000);
    new.drops[0].stock = 8;
    new.drops[1].closes_at_ms += 1;
    let found = changes(Some(&old), &new, |_| 8).unwrap();
    assert_eq!(found.restocked, [StockChange { drop: id(0), from: 4, to: 8 }]);
    assert_eq!(
        (&found.changed, found.budget_from, found.budget_to),
        (&vec![id(1)], Fen(10_000), Fen(20_000))
    );
    assert!(!found.is_empty());

    let mut renamed = old.clone();
    renamed.name = "other".to_owned();
    assert!(changes(Some(&old), &renamed, |_| 0).unwrap().described);
    renamed = old.clone();
    renamed.drops.reverse();
    assert!(!changes(Some(&old), &renamed, |_| 0).unwrap().is_empty());
}

#[test]
fn what_was_promised_cannot_be_taken_back() {
    let old = small();
    let id = |at: usize| old.drops[at].id.clone();
    let refused = |change: fn(&mut Campaign)| {
        let mut new = old.clone();
        change(&mut new);
        changes(Some(&old), &new, |_| 3).unwrap_err()
    };
    assert_eq!(refused(|c| drop(c.drops.pop())), Refusal::DropRemoved(id(1)));
    assert!(matches!(refused(|c| c.currency = "EUR".to_owned()), Refusal::CurrencyChanged { .. }));
    assert!(matches!(refused(|c| c.id = CampaignId::new("y").unwrap()), Refusal::OtherCampaign { .. }));
    assert_eq!(refused(|c| c.drops[0].voucher = None), Refusal::VoucherChanged(id(0)));
    assert_eq!(
        refused(|c| c.drops[0].voucher.as_mut().unwrap().face = Fen(1)),
        Refusal::VoucherChanged(id(0))
    );
    assert_eq!(refused(|c| c.drops[1].voucher = c.drops[0].voucher.clone()), Refusal::VoucherChanged(id(1)));
    assert_eq!(
        refused(|c| c.drops[0].voucher.as_mut().unwrap().valid_ms = 1),
        Refusal::ValidityShortened(id(0))
    );
    assert_eq!(
        refused(|c| c.drops[1].limit_per_person = 1),
        Refusal::LimitLowered { drop: id(1), from: 3, to: 1 }
    );
    let shrunk = refused(|c| c.drops[0].stock = 2);
    assert_eq!(shrunk, Refusal::StockBelowClaimed { drop: id(0), stock: 2, claimed: 3 });
    assert_eq!(shrunk.to_string(), "drop \"small-1\": stock 2 is below the 3 already claimed");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_fail(text in ".{0,300}") {
        let _ = Campaign::parse(&text);
    }

    #[test]
    fn no_edit_of_a_file_makes_the_reader_fail(at in 0..SMALL.len(), cut in 0_usize..20, put in "[ -~\\n]{0,6}") {
        let end = (at + cut).min(SMALL.len());
        let edited = format!("{}{put}{}", &SMALL[..at], &SMALL[end..]);
        if let Err(error) = Campaign::parse(&edited) {
            let lines = edited.lines().count().max(1) + 1;
            prop_assert!((1..=lines).contains(&error.line), "{error}");
            prop_assert!(!error.to_string().contains('\n'));
        }
    }
}

const WAVES: &str = r#"
id = "c"
budget = "100.00 CNY"
time_zone = "Asia/Shanghai"
[[wave]]
id = "w"
opens_at = "2023-11-20T10:00:00"
open_for = "8h"
every = "1d"
count = 10
stock = 5
limit_per_person = 1
voucher = { face = "2.00", threshold = "10.00", valid_for = "7d" }
"#;

#[test]
fn a_wave_stands_for_its_drops() {
    let campaign = Campaign::parse(WAVES).unwrap();
    let ids: Vec<_> = campaign.drops.iter().map(|drop| drop.id.as_str()).collect();
    assert_eq!((ids.len(), ids[0], ids[9]), (10, "w-01", "w-10"));
    let day_ms = 86_400_000;
    for (drop, nth) in campaign.drops.iter().zip(0..) {
        assert_eq!(drop.opens_at_ms, campaign.drops[0].opens_at_ms + nth * day_ms);
        assert_eq!(drop.closes_at_ms, drop.opens_at_ms + 8 * 3_600_000);
        assert_eq!((drop.stock, &drop.voucher), (5, &campaign.drops[0].voucher));
    }
    for (from, to, what) in [
        (
            "count = 10",
            "count = 11",
            "line 11: wave \"w\": stock × face makes the vouchers so far worth 110.00",
        ),
        ("count = 10", "count = 257", "line 10: wave \"w\": count: must be 1 to 256, is 257"),
        ("every = \"1d\"", "every = \"1w\"", "line 9: wave \"w\": every: \"1w\" is not a duration"),
        ("open_for = \"8h\"", "closes_at = \"2024-01-01T10:00:00\"", "unknown key \"closes_at\""),
        (
            "[[wave]]",
            "[[drop]]\nid = \"w-01\"\nopens_at = \"2023-11-20T10:00:00\"\ncloses_at = \"2023-11-21T10:00:00\"\nstock = 1\nlimit_per_person = 1\n[[wave]]",
            "makes \"w-01\" the id of two drops",
        ),
    ] {
        let error = Campaign::parse(&WAVES.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    let nothing = WAVES.split("[[wave]]").next().unwrap();
    assert!(Campaign::parse(nothing).unwrap_err().to_string().contains("drop is missing"));
}

#[test]
fn on_no_day_can_more_be_claimed_than_the_daily_budget() {
    let with = |daily: &str, open_for: &str| {
        let daily = format!("daily_budget = \"{daily}\"\ntime_zone");
        Campaign::parse(&WAVES.replacen("time_zone", &daily, 1).replacen("8h", open_for, 1))
    };
    assert_eq!(with("10.00", "8h").unwrap().daily_budget, Some(Fen(1_000)));
    assert!(with("10.00", "14h").is_ok(), "it closes at midnight, to the millisecond");
    let error = with("10.00", "15h").unwrap_err().to_string();
    let words = "line 4: daily_budget: the drops that are open on 2023-11-21 have vouchers worth 20.00";
    assert!(error.starts_with(words), "{error}");
    assert!(with("20.00", "15h").is_ok());
    assert!(with("9.99", "8h").is_err());
    // Moved in time the same drops may touch other days.
    let campaign = with("10.00", "8h").unwrap();
    let late = campaign.shift_to(campaign.drops[0].opens_at_ms + 10 * 3_600_000);
    assert_eq!(late.day_over().map(|over| over.day), Some("2023-11-21".to_owned()));
    assert!(matches!(changes(None, &late, |_| 0), Err(Refusal::DailyBudget(_))));
    let mut richer = campaign.clone();
    richer.daily_budget = None;
    assert!(changes(Some(&campaign), &richer, |_| 0).unwrap().described);
}
