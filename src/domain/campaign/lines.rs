//! Where in a campaign file something stands, for refusals that only the stored state can cause.

use toml::de::{DeTable, DeValue};

use super::table::Source;
use super::{Refusal, wave};
use crate::domain::ids::DropId;

/// The line that asks for what is refused, in a file that was read before.
#[must_use]
pub fn line_of_refusal(text: &str, refusal: &Refusal) -> Option<usize> {
    let key = refusal.key();
    if let Some(drop) = refusal.about() {
        return line_in_drop(text, drop, key);
    }
    let parsed = DeTable::parse(text).ok()?;
    let file = parsed.get_ref();
    let at = tables(file).find_map(|table| at_key(table, key)).or_else(|| at_key(file, "budget"))?;
    Some(Source(text).line(at))
}

/// The line of a drop's key (`voucher.face` is `face` in its table `voucher`), or of as much of it as is there, in a file that was
/// read before. A drop of a wave has the keys of the wave.
#[must_use]
pub fn line_in_drop(text: &str, drop: &DropId, key: &str) -> Option<usize> {
    let parsed = DeTable::parse(text).ok()?;
    let find = |key: &str, is_it: &dyn Fn(&str) -> bool| {
        let DeValue::Array(tables) = parsed.get_ref().get(key)?.get_ref() else { return None };
        tables.iter().find(|table| {
            let id = table.get_ref().as_table().and_then(|table| table.get("id"));
            id.and_then(|id| id.get_ref().as_str()).is_some_and(is_it)
        })
    };
    let found = find("drop", &|id| id == drop.as_str())
        .or_else(|| find("wave", &|id| wave::is_of(id, drop.as_str())))?;
    let at = found.get_ref().as_table().and_then(|table| at_key(table, key));
    Some(Source(text).line(at.unwrap_or_else(|| found.span().start)))
}

/// Where the value of a key begins, or of the table that should have it.
fn at_key(table: &DeTable<'_>, key: &str) -> Option<usize> {
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    let value = table.get(first)?;
    let inner = rest.and_then(|rest| at_key(value.get_ref().as_table()?, rest));
    Some(inner.unwrap_or_else(|| value.span().start))
}

/// The file's own table, then those of its drops and waves.
fn tables<'t, 'i>(file: &'t DeTable<'i>) -> impl Iterator<Item = &'t DeTable<'i>> {
    let of_drops =
        ["drop", "wave"].into_iter().filter_map(|key| file.get(key)?.get_ref().as_array()).flatten();
    std::iter::once(file).chain(of_drops.filter_map(|drop| drop.get_ref().as_table()))
}

/// The line of the first rule about addresses in a file that was read before.
#[must_use]
pub fn line_of_address_rule(text: &str) -> Option<usize> {
    let parsed = DeTable::parse(text).ok()?;
    let rule_at = |table: &DeTable<'_>| {
        let rules = table.get("eligibility")?.get_ref().as_table()?;
        Some(rules.get("address_regions")?.span().start)
    };
    tables(parsed.get_ref()).filter_map(rule_at).min().map(|at| Source(text).line(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::CampaignId;
    use crate::domain::money::Fen;

    #[test]
    fn a_drop_is_found_by_its_key() {
        let text = "id = \"c\"\n[[drop]]\nid = \"a\"\nstock = 1\n[[drop]]\nid = \"b\"\nlimit_per_person = 1\nstock = 2\n\
                    [drop.voucher]\nface = \"1.00\"\n";
        let line = |id, key| line_in_drop(text, &DropId::new(id).unwrap(), key);
        assert_eq!((line("a", "stock"), line("b", "stock"), line("c", "stock")), (Some(4), Some(8), None));
        assert_eq!(
            (line("b", "id"), line("a", "item"), line("b", "voucher.face")),
            (Some(6), Some(2), Some(10))
        );
        assert_eq!((line("b", "voucher"), line("b", "voucher.valid_for")), (Some(9), Some(9)));
        let text = "id = \"c\"\n[[wave]]\nid = \"w\"\nstock = 1\n";
        assert_eq!(line_in_drop(text, &DropId::new("w-03").unwrap(), "stock"), Some(4));
    }

    #[test]
    fn a_refusal_of_the_whole_is_found_too() {
        let text = "id = \"c\"\nname = \"n\"\nbudget = \"1.00 CNY\"\n[[drop]]\nid = \"a\"\nstock = 1\n";
        let funded = format!("{text}funded_by = \"recycled\"\n");
        let short = Refusal::NotFunded { short: Fen(1) };
        assert_eq!((line_of_refusal(text, &short), line_of_refusal(&funded, &short)), (Some(3), Some(7)));
        assert_eq!(line_of_refusal(text, &Refusal::Ended(CampaignId::new("c").unwrap())), Some(1));
        let removed = Refusal::DropRemoved(DropId::new("b").unwrap());
        assert_eq!(line_of_refusal(text, &removed), None, "what is not there stands in no line");
    }

    #[test]
    fn a_rule_about_addresses_is_found_in_a_drop_a_wave_and_above() {
        let in_drop =
            "id = \"c\"\n[[drop]]\nid = \"a\"\n[[drop]]\neligibility = { address_regions = [\"53\"] }\n";
        assert_eq!(line_of_address_rule(in_drop), Some(5));
        let above = format!("eligibility = {{ address_regions = [\"53\"] }}\n{in_drop}");
        assert_eq!(line_of_address_rule(&above), Some(1));
        let in_wave = in_drop.replacen("[[drop]]\nid", "[[wave]]\nid", 1);
        assert_eq!(line_of_address_rule(&in_wave), Some(5), "the drop behind a wave");
        let in_wave = in_drop.replace("[[drop]]", "[[wave]]");
        assert_eq!(line_of_address_rule(&in_wave), Some(5));
        assert_eq!(line_of_address_rule("[[drop]]\nid = \"address_regions\"\n"), None);
    }
}
