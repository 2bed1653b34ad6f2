//! In what the loads of two runs differ.
//!
//! Owns what of a scenario is no load: what it is called, what must hold, and where the service and the tickets are, which
//! are other ones for each run.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::results::Results;

/// Keys of a scenario that may differ between two runs of the same load.
const NO_LOAD: [&str; 10] = [
    "name",
    "about",
    "thresholds",
    "service.url",
    "service.admin_url",
    "tickets.prefix",
    "tickets.key_file",
    "tickets.path",
    "tickets.skip",
    "tickets.identity_keys",
];
/// Differences that are named; the others are counted.
const NAMED_MAX: usize = 8;

/// What differs, by its key, with both values.
pub(super) fn differences(before: &Results, after: &Results) -> Vec<String> {
    let mut found = Vec::new();
    let scenario = |run: &Results| serde_json::to_value(&run.scenario).unwrap_or_default();
    compare("", &scenario(before), &scenario(after), &mut found);
    let [old, new] = [before, after].map(|run| run.environment.threads);
    if old != new {
        found.push(format!("threads {old} and {new}"));
    }
    let more = found.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        found.truncate(NAMED_MAX);
        found.push(format!("and {more} more"));
    }
    found
}

fn compare(key: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    if before == after || NO_LOAD.contains(&key) {
        return;
    }
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let [old, new] = [old, new].map(|table| table.get(name).unwrap_or(&Value::Null));
                compare(&below(name), old, new, found);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (place, (old, new)) in old.iter().zip(new).enumerate() {
                compare(&below(&place.to_string()), old, new, found);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            found.push(format!("{key}: {} and {} of them", old.len(), new.len()));
        }
        _ => found.push(format!("{key} {} and {}", shown(before), shown(after))),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}
