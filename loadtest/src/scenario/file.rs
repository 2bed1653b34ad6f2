//! Reads a scenario file, with changes from the command line.
//!
//! Owns the way from text to a checked [`Scenario`]: each refusal is one line that names the file, the line or the
//! changed key, and what is allowed.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, de::IntoDeserializer};
use toml::{Spanned, Table, Value, de::DeTable, de::DeValue};

use super::{Arrivals, Scenario, check};

/// The largest scenario file, in bytes.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// The keys that say which kind a table is of.
const TAGS: [&str; 3] = ["kind", "profile", "source"];
/// Parts of a dotted key at the most.
const KEY_PARTS_MAX: usize = 8;

/// Reads a scenario, applies the overrides in order, and checks the whole.
///
/// An override is `key=value`: the key with dots and with list places from 0, as in `drop.0.id`; the value in TOML,
/// or bare text. A list grows by one with the place after its last. The file of a trace is sought beside the
/// scenario.
///
/// # Errors
/// The file cannot be read, is no TOML, or says something that is not allowed; or an override does.
pub fn load(path: &Path, overrides: &[String]) -> Result<Scenario> {
    let shown = path.display();
    let text = read(path)?;
    let mut table: Table = toml::from_str(&text).map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_at(&text, span.start));
        anyhow::anyhow!("{shown}:{line}: {}", one_line(error.message()))
    })?;
    let changes = overrides.iter().map(|change| Change::apply(change, &mut table));
    let changes = changes.collect::<Result<Vec<_>>>()?;
    let place = |key: &[String]| place_of(path, &text, &changes, key);
    let mut scenario = match read_table(&table) {
        Ok(scenario) => scenario,
        Err(fault) => {
            let key = culprit(&table, &fault);
            bail!("{}: {}{}", place(&key), named(&key), explained(&fault));
        }
    };
    if let Err(refusal) = check(&scenario) {
        bail!("{}: {refusal}", place(&parts(&refusal.key)));
    }
    if let Arrivals::Trace { file, .. } = &mut scenario.arrivals {
        *file = path.parent().map_or_else(PathBuf::new, Path::to_path_buf).join(&*file);
    }
    Ok(scenario)
}

fn read(path: &Path) -> Result<String> {
    let about = || format!("scenario {}", path.display());
    let mut text = String::new();
    let file = File::open(path).with_context(about)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).with_context(about)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        bail!("{}: it is larger than {FILE_BYTES_MAX} bytes, the most that is allowed", about());
    }
    Ok(text)
}

/// What the types say to a table, or why not.
fn read_table(table: &Table) -> Result<Scenario, String> {
    let deserializer = IntoDeserializer::<toml::de::Error>::into_deserializer(table.clone());
    Scenario::deserialize(deserializer).map_err(|error| one_line(error.message()))
}

/// One `--set key=value`.
struct Change {
    /// As it was given.
    text: String,
    key: Vec<String>,
}

impl Change {
    fn apply(text: &str, table: &mut Table) -> Result<Self> {
        let Some((key, value)) = text.split_once('=') else {
            bail!("--set {text}: key=value is needed, as in arrivals.rate=5000");
        };
        let key = parts(key.trim());
        if key.iter().any(String::is_empty) || key.len() > KEY_PARTS_MAX {
            bail!("--set {text}: the key needs 1 to {KEY_PARTS_MAX} names with dots between them");
        }
        let (first, rest) = key.split_first().with_context(|| format!("--set {text}: the key is empty"))?;
        let slot = table.entry(first.clone()).or_insert_with(|| Value::Table(Table::new()));
        *slot_at(slot, rest).with_context(|| format!("--set {text}"))? = value_of(value.trim());
        Ok(Self { text: text.to_owned(), key })
    }
}

/// The place of the value under `key`; missing tables are made.
fn slot_at<'a>(mut slot: &'a mut Value, key: &[String]) -> Result<&'a mut Value> {
    for part in key {
        slot = match slot {
            Value::Table(table) => table.entry(part.clone()).or_insert_with(|| Value::Table(Table::new())),
            Value::Array(items) => {
                let length = items.len();
                let at = part.parse().ok().filter(|at: &usize| *at <= length);
                let Some(at) = at else {
                    bail!("{part} is no place in a list of {length}: 0 to {length} are");
                };
                if at == length {
                    items.push(Value::Table(Table::new()));
                }
                items.get_mut(at).context("the list has that place")?
            }
            other => bail!("{part} cannot be set in a {}", other.type_str()),
        };
    }
    Ok(slot)
}

/// A TOML value, or the text itself where it is none.
fn value_of(text: &str) -> Value {
    let document: Result<Table, _> = toml::from_str(&format!("value = {text}"));
    let alone = |mut table: Table| if table.len() == 1 { table.remove("value") } else { None };
    document.ok().and_then(alone).unwrap_or_else(|| Value::String(text.to_owned()))
}

fn parts(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}

/// The key that a fault is about: the one whose removal changes what is said. Tables whose kind is one of their own
/// keys are read in two steps, and the reader's own word on the place does not survive that.
fn culprit(table: &Table, fault: &str) -> Vec<String> {
    let missing = fault.starts_with("missing field");
    let mut key = Vec::new();
    while key.len() < KEY_PARTS_MAX {
        let mut children = children_at(table, &key, missing);
        // Without its kind a table is not read at all: the kind is guilty only where nothing else is.
        children.sort_by_key(|child| TAGS.contains(&child.as_str()));
        let guilty = children.into_iter().find(|child| {
            let mut without = table.clone();
            let mut place = key.clone();
            place.push(child.clone());
            remove(&mut without, &place);
            read_table(&without).err().is_none_or(|other| other != fault)
        });
        match guilty {
            Some(child) => key.push(child),
            None => break,
        }
    }
    key
}

/// The keys below `key`; only those that hold others where `holders` is asked for.
fn children_at(table: &Table, key: &[String], holders: bool) -> Vec<String> {
    let holds = |value: &Value| !holders || matches!(value, Value::Table(_) | Value::Array(_));
    let of_table = |table: &Table| {
        table.iter().filter(|(_, value)| holds(value)).map(|(name, _)| name.clone()).collect()
    };
    let Some((first, rest)) = key.split_first() else {
        return of_table(table);
    };
    let start = table.get(first);
    let found = rest.iter().fold(start, |value, part| match value? {
        Value::Table(table) => table.get(part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    });
    match found {
        Some(Value::Table(table)) => of_table(table),
        Some(Value::Array(items)) => {
            let places = items.iter().enumerate().filter(|(_, value)| holds(value));
            places.map(|(at, _)| at.to_string()).collect()
        }
        _ => Vec::new(),
    }
}

fn remove(table: &mut Table, key: &[String]) {
    let Some((last, above)) = key.split_last() else {
        return;
    };
    let Some((first, rest)) = above.split_first() else {
        table.remove(last);
        return;
    };
    match table.get_mut(first).map(|slot| slot_at(slot, rest)) {
        Some(Ok(Value::Table(table))) => drop(table.remove(last)),
        Some(Ok(Value::Array(items))) => {
            if let Some(at) = last.parse().ok().filter(|at: &usize| *at < items.len()) {
                items.remove(at);
            }
        }
        _ => {}
    }
}

/// Where a key was said: in an override, else on a line of the file.
fn place_of(path: &Path, text: &str, changes: &[Change], key: &[String]) -> String {
    let touches =
        |change: &&Change| !key.is_empty() && (key.starts_with(&change.key) || change.key.starts_with(key));
    if let Some(change) = changes.iter().rev().find(touches) {
        return format!("--set {}", change.text);
    }
    let shown = path.display();
    match line_of(text, key) {
        Some(line) => format!("{shown}:{line}"),
        None => shown.to_string(),
    }
}

/// The line (from 1) of the deepest part of a key that stands in the text.
fn line_of(text: &str, key: &[String]) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut at = None;
    let mut value: Option<&Spanned<DeValue<'_>>> = None;
    for part in key {
        let table = match value.map(Spanned::get_ref) {
            None => document.get_ref(),
            Some(DeValue::Table(table)) => table,
            Some(DeValue::Array(items)) => {
                let Some(item) = part.parse().ok().and_then(|at: usize| items.get(at)) else {
                    break;
                };
                at = Some(item.span().start);
                value = Some(item);
                continue;
            }
            Some(_) => break,
        };
        let Some((name, found)) = table.iter().find(|(name, _)| name.get_ref().as_ref() == part) else {
            break;
        };
        at = Some(name.span().start);
        value = Some(found);
    }
    at.map(|at| line_at(text, at))
}

fn line_at(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

fn named(key: &[String]) -> String {
    if key.is_empty() { String::new() } else { format!("{}: ", key.join(".")) }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Adds what is allowed where the reader only says what it expected.
fn explained(fault: &str) -> String {
    match fault.strip_suffix("expected a duration") {
        Some(start) => format!("{start}expected a length of time such as \"500ms\", \"1.5s\" or \"10m\""),
        None => fault.to_owned(),
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
