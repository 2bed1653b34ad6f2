//! Where in a campaign file something stands, for refusals that only the stored state can cause.

use toml::de::{DeTable, DeValue};

use super::table::Source;
use super::wave;
use crate::domain::ids::DropId;

/// The line of a drop's `stock` (or, without one, of the drop), or of that of its wave, in a file that was read before.
#[must_use]
pub fn line_of_drop(text: &str, drop: &DropId) -> Option<usize> {
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
    let stock = found.get_ref().as_table().and_then(|table| table.get("stock"));
    Some(Source(text).line(stock.map_or_else(|| found.span(), toml::Spanned::span).start))
}

/// The line of the first rule about addresses in a file that was read before.
#[must_use]
pub fn line_of_address_rule(text: &str) -> Option<usize> {
    let parsed = DeTable::parse(text).ok()?;
    let rule_at = |table: &DeTable<'_>| {
        let rules = table.get("eligibility")?.get_ref().as_table()?;
        Some(rules.get("address_regions")?.span().start)
    };
    let file = parsed.get_ref();
    let of_drops =
        ["drop", "wave"].into_iter().filter_map(|key| file.get(key)?.get_ref().as_array()).flatten();
    let tables = std::iter::once(file).chain(of_drops.filter_map(|drop| drop.get_ref().as_table()));
    tables.filter_map(rule_at).min().map(|at| Source(text).line(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_is_found_by_its_stock() {
        let text = "id = \"c\"\n[[drop]]\nid = \"a\"\nstock = 1\n[[drop]]\nid = \"b\"\nlimit_per_person = 1\nstock = 2\n";
        let line = |id| line_of_drop(text, &DropId::new(id).unwrap());
        assert_eq!((line("a"), line("b"), line("c")), (Some(4), Some(8), None));
        let text = "id = \"c\"\n[[wave]]\nid = \"w\"\nstock = 1\n";
        assert_eq!(line_of_drop(text, &DropId::new("w-03").unwrap()), Some(4));
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
