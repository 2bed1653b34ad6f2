//! Where in a campaign file something stands, for refusals that only the stored state can cause.

use toml::de::{DeTable, DeValue};

use super::table::Source;
use crate::domain::ids::DropId;

/// The line of a drop's `stock` (or, without one, of the drop) in a file that was read before.
#[must_use]
pub fn line_of_drop(text: &str, drop: &DropId) -> Option<usize> {
    let parsed = DeTable::parse(text).ok()?;
    let DeValue::Array(drops) = parsed.get_ref().get("drop")?.get_ref() else { return None };
    let found = drops.iter().find(|table| {
        let id = table.get_ref().as_table().and_then(|table| table.get("id"));
        id.and_then(|id| id.get_ref().as_str()) == Some(drop.as_str())
    })?;
    let stock = found.get_ref().as_table().and_then(|table| table.get("stock"));
    Some(Source(text).line(stock.map_or_else(|| found.span(), toml::Spanned::span).start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_is_found_by_its_stock() {
        let text = "id = \"c\"\n[[drop]]\nid = \"a\"\nstock = 1\n[[drop]]\nid = \"b\"\nlimit_per_person = 1\nstock = 2\n";
        let line = |id| line_of_drop(text, &DropId::new(id).unwrap());
        assert_eq!((line("a"), line("b"), line("c")), (Some(4), Some(8), None));
    }
}
