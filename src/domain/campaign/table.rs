//! One table of a campaign file, read key by key, every refusal with its line.
//!
//! Owns the way from byte spans to lines and from TOML types to texts and numbers. Knows no campaign.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::FileError;
use crate::limits;

/// The file's text, for counting lines.
#[derive(Clone, Copy)]
pub(super) struct Source<'t>(pub(super) &'t str);

impl Source<'_> {
    /// The line in which a byte stands, from 1.
    pub(super) fn line(self, at: usize) -> usize {
        let before = self.0.as_bytes().get(..at).unwrap_or(self.0.as_bytes());
        // A file is at most 256 KiB, read once: counting is cheaper than an index.
        #[expect(clippy::naive_bytecount, reason = "a file is small and refused once")]
        let newlines = before.iter().filter(|byte| **byte == b'\n').count();
        newlines.saturating_add(1)
    }
}

/// A table, where it begins, and what to call it in a refusal.
pub(super) struct Table<'t, 'i> {
    source: Source<'t>,
    span: Range<usize>,
    /// `drop "x"`, or nothing for the file's own keys.
    called: String,
    table: &'t DeTable<'i>,
}

/// One value and where it stands.
pub(super) struct Field<'t, 'i> {
    key: &'static str,
    value: &'t Spanned<DeValue<'i>>,
}

impl<'t, 'i> Table<'t, 'i> {
    /// Opens a table in which only `known` keys may stand.
    pub(super) fn open(
        source: Source<'t>,
        span: Range<usize>,
        called: String,
        table: &'t DeTable<'i>,
        known: &[&str],
    ) -> Result<Self, FileError> {
        let opened = Self { source, span, called, table };
        let unknown = table.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        match unknown.min_by_key(|key| key.span().start) {
            None => Ok(opened),
            Some(key) => Err(opened.refuse_at(key.span().start, &format!("unknown key {:?}", key.get_ref()))),
        }
    }

    pub(super) fn get(&self, key: &'static str) -> Option<Field<'t, 'i>> {
        let (_, value) = self.table.iter().find(|(name, _)| name.get_ref() == key)?;
        Some(Field { key, value })
    }

    pub(super) fn need(&self, key: &'static str) -> Result<Field<'t, 'i>, FileError> {
        self.get(key).ok_or_else(|| self.refuse_at(self.span.start, &format!("{key} is missing")))
    }

    /// A refusal of one key's value: `key: what`, in the value's line.
    pub(super) fn refuse(&self, field: &Field<'_, '_>, what: &str) -> FileError {
        self.refuse_at(field.value.span().start, &format!("{}: {what}", field.key))
    }

    /// A refusal of a key against the rest of the file: `key what`.
    pub(super) fn refuse_rule(&self, field: &Field<'_, '_>, what: &str) -> FileError {
        self.refuse_at(field.value.span().start, &format!("{} {what}", field.key))
    }

    fn refuse_at(&self, at: usize, what: &str) -> FileError {
        let called = if self.called.is_empty() { String::new() } else { format!("{}: ", self.called) };
        // A quoted value may carry line breaks; a refusal is one line.
        let what = format!("{called}{what}").replace(['\n', '\r'], " ");
        FileError { line: self.source.line(at), what }
    }

    /// A text that is not blank, not longer than a name may be, and has no control characters.
    pub(super) fn text(&self, field: &Field<'t, 'i>) -> Result<&'t str, FileError> {
        match field.value.get_ref() {
            DeValue::String(text) => name(text).map_err(|what| self.refuse(field, what)),
            other => Err(self.refuse(field, &format!("must be a text in quotes, is {}", kind(other)))),
        }
    }

    /// A text, or a date and time as TOML writes it without quotes.
    pub(super) fn text_or_datetime(&self, field: &Field<'t, 'i>) -> Result<String, FileError> {
        match field.value.get_ref() {
            DeValue::Datetime(at) => Ok(at.to_string()),
            _ => self.text(field).map(str::to_owned),
        }
    }

    /// A whole number from 1 to `max`.
    pub(super) fn count(&self, field: &Field<'t, 'i>, max: u64) -> Result<u64, FileError> {
        let DeValue::Integer(number) = field.value.get_ref() else {
            let what = format!("must be a whole number, is {}", kind(field.value.get_ref()));
            return Err(self.refuse(field, &what));
        };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(count) if (1..=max).contains(&count) => Ok(count),
            _ => Err(self.refuse(field, &format!("must be 1 to {max}, is {}", number.as_str()))),
        }
    }

    /// `true` or `false`.
    pub(super) fn truth(&self, field: &Field<'t, 'i>) -> Result<bool, FileError> {
        match field.value.get_ref() {
            DeValue::Boolean(truth) => Ok(*truth),
            other => Err(self.refuse(field, &format!("must be true or false, is {}", kind(other)))),
        }
    }

    /// Texts in brackets.
    pub(super) fn texts(&self, field: &Field<'t, 'i>) -> Result<Vec<String>, FileError> {
        let DeValue::Array(array) = field.value.get_ref() else {
            let what = format!("must be texts in brackets, is {}", kind(field.value.get_ref()));
            return Err(self.refuse(field, &what));
        };
        if array.len() > limits::MERCHANT_RULES_MAX {
            return Err(self.refuse(field, &format!("has more than {} entries", limits::MERCHANT_RULES_MAX)));
        }
        let entries = array.iter().map(|value| Field { key: field.key, value });
        entries.map(|entry| self.text(&entry).map(str::to_owned)).collect()
    }

    /// A table in this table.
    pub(super) fn table(&self, field: &Field<'t, 'i>, known: &[&str]) -> Result<Table<'t, 'i>, FileError> {
        let DeValue::Table(table) = field.value.get_ref() else {
            let what = format!("must be a table, is {}", kind(field.value.get_ref()));
            return Err(self.refuse(field, &what));
        };
        let called = if self.called.is_empty() {
            field.key.to_owned()
        } else {
            format!("{}: {}", self.called, field.key)
        };
        Table::open(self.source, field.value.span(), called, table, known)
    }

    /// The tables of `[[key]]`, each called by its id, or `key 1`, `key 2` … where it has none to be called by.
    pub(super) fn tables(
        &self,
        field: &Field<'t, 'i>,
        max: usize,
        known: &[&str],
    ) -> Result<Vec<Self>, FileError> {
        let DeValue::Array(array) = field.value.get_ref() else {
            return Err(self.refuse(field, &format!("must be written as [[{}]]", field.key)));
        };
        if let Some(surplus) = array.get(max) {
            let what = format!("{} {}: at most {max} are allowed", field.key, max.saturating_add(1));
            return Err(self.refuse_at(surplus.span().start, &what));
        }
        let entries = array.iter().enumerate().map(|(at, value)| {
            let DeValue::Table(table) = value.get_ref() else {
                return Err(self.refuse(field, &format!("must be written as [[{}]]", field.key)));
            };
            let called = match id(table) {
                Some(id) => format!("{} {id:?}", field.key),
                None => format!("{} {}", field.key, at.saturating_add(1)),
            };
            Table::open(self.source, value.span(), called, table, known)
        });
        entries.collect()
    }
}

/// The id by which a table may be called in a refusal, whatever else is wrong with it.
fn id<'t>(table: &'t DeTable<'_>) -> Option<&'t str> {
    let id = table.get("id")?.get_ref().as_str()?;
    (1..=limits::ID_BYTES_MAX).contains(&id.len()).then_some(id)
}

fn name(text: &str) -> Result<&str, &'static str> {
    if text.trim().is_empty() {
        Err("must not be empty")
    } else if text.len() > limits::NAME_BYTES_MAX {
        Err("is too long")
    } else if text.chars().any(char::is_control) {
        Err("may not contain control characters")
    } else {
        Ok(text)
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
