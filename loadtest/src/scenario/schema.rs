//! The JSON schemas of the files that this program reads and writes, made from their types.
//!
//! Owns the form of the published schemas (draft 2020-12); the words come from the types themselves.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::Value;

use super::Scenario;

/// The JSON schema (draft 2020-12) of a scenario file, whose TOML maps to JSON in the obvious way.
#[must_use]
pub fn scenario_schema() -> Value {
    schema_of::<Scenario>("A claimrush-loadtest scenario")
}

/// The JSON schema (draft 2020-12) of any type that is read from a file, under a title.
#[must_use]
pub fn schema_of<T: JsonSchema>(title: &str) -> Value {
    let mut schema =
        SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
}

/// A length of time as people write it: `500ms`, `1.5s`, `10m`, `1h 30m`.
pub(super) struct DurationText;

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A length of time with its unit, as in 500ms, 1.5s, 10m or 1h 30m.",
            "pattern": r"^\s*(\d[\d.]*\s*[A-Za-zµ]+\s*)+$|^0$",
        })
    }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
