//! Which parts of a campaign and of its drops differ, and what each says before and after.
//!
//! Owns what a part is called, which is its key in the campaign file, and how its value is told. Whoever approves a
//! campaign goes by this, so every field is taken apart here: one that is added does not compile until it is told.

use serde::Serialize;

use super::{Campaign, DropSpec, ItemTerms, VoucherTerms};
use crate::clock::rfc3339;
use crate::domain::eligibility::Eligibility;
use crate::domain::ids::DropId;

/// A part of a campaign or of one of its drops, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The drop; nothing where it is a part of the campaign itself.
    pub drop: Option<DropId>,
    /// The key in the campaign file, behind those of the tables in which it stands.
    pub key: &'static str,
    /// Before.
    pub from: String,
    /// After.
    pub to: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(drop) = &self.drop {
            write!(f, "drop {drop}: ")?;
        }
        write!(f, "{} {} to {}", self.key, self.from, self.to)
    }
}

/// A key and its value.
type Part = (&'static str, String);

/// What differs of the campaign itself. The budget, the redemption rules and the stock are told elsewhere.
pub(super) fn of_campaign(old: &Campaign, new: &Campaign) -> Vec<Difference> {
    let mut all = differing(None, parts(old), parts(new));
    let ids = |campaign: &Campaign, beside: &Campaign| {
        let kept = campaign.drops.iter().filter(|drop| beside.drop_spec(&drop.id).is_some());
        list(&kept.map(|drop| drop.id.as_str()).collect::<Vec<_>>(), "none")
    };
    all.extend(differing(
        None,
        vec![("order of drops", ids(old, new))],
        vec![("order of drops", ids(new, old))],
    ));
    all
}

/// What differs of a drop, but its stock.
pub(super) fn of_drop(old: &DropSpec, new: &DropSpec) -> Vec<Difference> {
    differing(Some(&new.id), drop_parts(old), drop_parts(new))
}

/// Every rule of the campaign itself by its key in the file, with its value: what a new one says.
pub(super) fn told_of_campaign(campaign: &Campaign) -> Vec<String> {
    let mut told = tell(parts(campaign));
    let redemption = campaign.redemption.clone().unwrap_or_default();
    told.extend(redemption.told().into_iter().map(|(key, value)| format!("redemption: {key} {value}")));
    told
}

/// The same of a drop, but its stock: what it gives, to whom and when.
pub(super) fn told_of_drop(drop: &DropSpec) -> Vec<String> {
    let is_given = |key: &str| match key.split_once(':') {
        Some(("voucher", _)) => drop.voucher.is_some(),
        Some(("item", _)) => drop.item.is_some(),
        _ => true,
    };
    tell(drop_parts(drop).into_iter().filter(|(key, _)| is_given(key)).collect())
}

fn tell(parts: Vec<Part>) -> Vec<String> {
    parts.into_iter().map(|(key, value)| format!("{key} {value}")).collect()
}

fn differing(drop: Option<&DropId>, old: Vec<Part>, new: Vec<Part>) -> Vec<Difference> {
    let both = old.into_iter().zip(new).filter(|((_, from), (_, to))| from != to);
    both.map(|((key, from), (_, to))| Difference { drop: drop.cloned(), key, from, to }).collect()
}

fn parts(campaign: &Campaign) -> Vec<Part> {
    let Campaign {
        id: _,
        name,
        sponsor,
        budget: _,
        daily_budget,
        currency: _,
        time_zone,
        drops: _,
        eligibility,
        redemption: _,
    } = campaign;
    let mut parts = vec![
        ("name", quoted(name)),
        ("sponsor", or_none(sponsor.as_ref(), quoted)),
        ("time_zone", time_zone.clone()),
        ("daily_budget", or_none(daily_budget.as_ref(), ToString::to_string)),
    ];
    parts.extend(rules(eligibility.as_ref()));
    parts
}

fn drop_parts(drop: &DropSpec) -> Vec<Part> {
    let DropSpec {
        id: _,
        name,
        opens_at_ms,
        closes_at_ms,
        stock: _,
        limit_per_person,
        voucher,
        item,
        recycled,
        eligibility,
    } = drop;
    let mut parts = vec![
        ("name", or_none(name.as_ref(), quoted)),
        ("opens_at", rfc3339(*opens_at_ms)),
        ("closes_at", rfc3339(*closes_at_ms)),
        ("limit_per_person", limit_per_person.to_string()),
        ("funded_by", if *recycled { "recycled" } else { "budget" }.to_owned()),
    ];
    parts.extend(voucher_parts(voucher.as_ref()));
    parts.extend(item_parts(item.as_ref()));
    parts.extend(rules(eligibility.as_ref()));
    parts
}

fn voucher_parts(terms: Option<&VoucherTerms>) -> [Part; 5] {
    let told = terms.map(|VoucherTerms { face, threshold, valid_ms, categories, regions }| {
        [
            face.to_string(),
            threshold.to_string(),
            duration(valid_ms),
            list(categories, "all"),
            list(regions, "all"),
        ]
    });
    let [face, threshold, valid_for, category, region] = told.unwrap_or_else(nothing);
    [
        ("voucher: face", face),
        ("voucher: threshold", threshold),
        ("voucher: valid_for", valid_for),
        ("voucher: merchants: category", category),
        ("voucher: merchants: region", region),
    ]
}

fn item_parts(terms: Option<&ItemTerms>) -> [Part; 2] {
    let told = terms.map(|ItemTerms { hold_ms, claim_again }| [duration(hold_ms), claim_again.to_string()]);
    let [hold_for, claim_again] = told.unwrap_or_else(nothing);
    [("item: hold_for", hold_for), ("item: claim_again", claim_again)]
}

/// Rules that are not there let everybody in, as empty ones do.
fn rules(rules: Option<&Eligibility>) -> [Part; 6] {
    let Eligibility {
        regions,
        address_regions,
        min_account_age_ms,
        allow_list,
        one_per_campaign,
        cool_down_ms,
    } = rules.cloned().unwrap_or_default();
    [
        ("eligibility: regions", list(&regions, "none")),
        ("eligibility: address_regions", list(&address_regions, "none")),
        ("eligibility: min_account_age", or_none(min_account_age_ms.as_ref(), duration)),
        ("eligibility: allow_list", or_none(allow_list.as_ref(), quoted)),
        ("eligibility: one_per_campaign", one_per_campaign.to_string()),
        ("eligibility: cool_down", or_none(cool_down_ms.as_ref(), duration)),
    ]
}

fn nothing<const N: usize>() -> [String; N] {
    std::array::from_fn(|_| "none".to_owned())
}

fn or_none<T: ?Sized>(value: Option<&T>, told: impl Fn(&T) -> String) -> String {
    value.map_or_else(|| "none".to_owned(), told)
}

/// A text of the file's author, kept apart from the sentence.
fn quoted(text: &String) -> String {
    format!("{text:?}")
}

fn list(texts: &[impl std::fmt::Debug], empty: &str) -> String {
    if texts.is_empty() { empty.to_owned() } else { format!("{texts:?}") }
}

/// As a campaign file has it: `7d`, `90s`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "what it is called with is a reference")]
fn duration(ms: &i64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let whole = units.into_iter().find(|(_, unit_ms)| ms % unit_ms == 0);
    whole.map_or_else(|| format!("{ms}ms"), |(unit, unit_ms)| format!("{}{unit}", ms / unit_ms))
}

#[cfg(test)]
mod tests {
    use super::super::{Campaign, Refusal, changes};

    /// Everything that a file can say of a campaign, its drops and its wave.
    const FULL: &str = r#"id = "c"
name = "spring"
sponsor = "the city"
budget = "1000.00 CNY"
daily_budget = "900.00"
time_zone = "Asia/Shanghai"
eligibility = { regions = ["53"], min_account_age = "30d", one_per_campaign = true }
[[drop]]
id = "v"
name = "vouchers"
opens_at = "2023-11-20T10:00:00"
closes_at = "2023-11-21T10:00:00"
stock = 5
limit_per_person = 1
voucher = { face = "1.00", threshold = "10.00", valid_for = "7d", merchants = { category = ["F52"], region = ["53"] } }
eligibility = { allow_list = "vip", cool_down = "90s" }
[[drop]]
id = "i"
opens_at = "2023-11-20T10:00:00"
closes_at = "2023-11-21T10:00:00"
stock = 5
limit_per_person = 1
item = { hold_for = "15m" }
"#;

    fn sentences(edits: &[(&str, &str)]) -> Vec<String> {
        let edited = edits.iter().fold(FULL.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        let (old, new) = (Campaign::parse(FULL).unwrap(), Campaign::parse(&edited).unwrap());
        changes(Some(&old), &new, |_| 0).unwrap().sentences()
    }

    #[test]
    fn every_part_that_differs_is_told() {
        let rules =
            "eligibility = { regions = [\"53\"], min_account_age = \"30d\", one_per_campaign = true }\n";
        for (from, to, told) in [
            ("\"spring\"", "'the \"city\"'", &[r#"name "spring" to "the \"city\"""#][..]),
            ("sponsor = \"the city\"\n", "", &["sponsor \"the city\" to none"]),
            ("daily_budget = \"900.00\"\n", "", &["daily_budget 900.00 to none"]),
            (
                rules,
                "",
                &[
                    "eligibility: regions [\"53\"] to none",
                    "eligibility: min_account_age 30d to none",
                    "eligibility: one_per_campaign true to false",
                ],
            ),
            (
                "[\"53\"], min",
                "[\"53\", \"5101\"], address_regions = [\"53\"], min",
                &[
                    "eligibility: regions [\"53\"] to [\"53\", \"5101\"]",
                    "eligibility: address_regions none to [\"53\"]",
                ],
            ),
            ("\"vouchers\"", "\"coupons\"", &["drop v: name \"vouchers\" to \"coupons\""]),
            (
                "T10:00:00\"\ncloses",
                "T09:30:00\"\ncloses",
                &["drop v: opens_at 2023-11-20T02:00:00.000Z to 2023-11-20T01:30:00.000Z"],
            ),
            (
                "2023-11-21T10",
                "2023-11-21T11",
                &["drop v: closes_at 2023-11-21T02:00:00.000Z to 2023-11-21T03:00:00.000Z"],
            ),
            ("limit_per_person = 1", "limit_per_person = 2", &["drop v: limit_per_person 1 to 2"]),
            ("\"7d\"", "\"169h\"", &["drop v: voucher: valid_for 7d to 169h"]),
            (
                ", merchants = { category = [\"F52\"], region = [\"53\"] }",
                "",
                &[
                    "drop v: voucher: merchants: category [\"F52\"] to all",
                    "drop v: voucher: merchants: region [\"53\"] to all",
                ],
            ),
            (
                "eligibility = { allow_list = \"vip\", cool_down = \"90s\" }",
                "funded_by = \"recycled\"",
                &[
                    "drop v: funded_by budget to recycled",
                    "drop v: eligibility: allow_list \"vip\" to none",
                    "drop v: eligibility: cool_down 90s to none",
                ],
            ),
            (
                "\"15m\"",
                "\"1d\", claim_again = false",
                &["drop i: item: hold_for 15m to 1d", "drop i: item: claim_again true to false"],
            ),
        ] {
            assert_eq!(sentences(&[(from, to)]), told, "{to}");
            // And beside a change that is told as well.
            let with_stock = sentences(&[(from, to), ("stock = 5", "stock = 6")]);
            assert_eq!(with_stock[0], "drop v: stock 5 to 6");
            assert_eq!(with_stock[1..], *told, "{to}");
        }
        let zone = sentences(&[("Asia/Shanghai", "Asia/Hong_Kong")]);
        assert_eq!(zone, ["time_zone Asia/Shanghai to Asia/Hong_Kong"]);
        let old = Campaign::parse(FULL).unwrap();
        let mut turned = old.clone();
        turned.drops.reverse();
        let told = changes(Some(&old), &turned, |_| 0).unwrap().sentences();
        assert_eq!(told, ["order of drops [\"v\", \"i\"] to [\"i\", \"v\"]"]);
        assert!(sentences(&[]).is_empty());
    }

    #[test]
    fn two_drops_of_one_id_are_refused() {
        let mut campaign = Campaign::parse(FULL).unwrap();
        campaign.drops[1].id = campaign.drops[0].id.clone();
        for old in [None, Some(&Campaign::parse(FULL).unwrap())] {
            let refused = changes(old, &campaign, |_| 0).unwrap_err();
            assert_eq!(refused, Refusal::DropTwice(campaign.drops[0].id.clone()));
            assert_eq!(refused.to_string(), "drop \"v\" stands twice: the ids of drops must differ");
        }
    }
}
