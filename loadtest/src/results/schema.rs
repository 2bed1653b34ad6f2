//! The published JSON schema of the results.

use schemars::{Schema, generate::SchemaSettings};

use super::Results;

/// The schema of a results document, as it stands in `loadtest/schema/results.schema.json`.
#[must_use]
pub fn schema() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<Results>()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::outputs::sample;

    const PUBLISHED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/results.schema.json");

    #[test]
    fn the_published_schema_is_current() {
        let current = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            fs::write(PUBLISHED, &current).unwrap();
        }
        let published = fs::read_to_string(PUBLISHED).unwrap();
        assert!(published == current, "run the tests once with UPDATE_SCHEMA=1 and commit {PUBLISHED}");
    }

    #[test]
    fn results_are_valid_and_strangers_are_not() {
        let validator = jsonschema::validator_for(&serde_json::to_value(schema()).unwrap()).unwrap();
        let (results, _) = sample::sold_out();
        let mut document = serde_json::to_value(&results).unwrap();
        let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        document["total"]["granted"] = "many".into();
        assert!(!validator.is_valid(&document));
    }

    #[test]
    fn results_survive_the_way_as_json() {
        let (results, _) = sample::sold_out();
        let text = serde_json::to_string(&results).unwrap();
        let read: Results = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}
