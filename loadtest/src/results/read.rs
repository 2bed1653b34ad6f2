//! Reads documents that runs have left.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{FORMAT, Results};

/// The largest document that is read, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

impl Results {
    /// Reads the results of a run.
    ///
    /// # Errors
    /// The file cannot be read, is too large, or is no results document of this format.
    pub fn read(path: &Path) -> Result<Self> {
        let document = document(path)?;
        let name = path.display();
        let format = document.get("format").and_then(Value::as_u64);
        let format = format.with_context(|| format!("{name} holds no results: it has no `format`"))?;
        ensure!(
            format == u64::from(FORMAT),
            "{name} has results of format {format}; this program reads format {FORMAT}"
        );
        serde_json::from_value(document)
            .with_context(|| format!("{name} holds no results of format {FORMAT}"))
    }
}

/// Reads a JSON file that is not too large to be a result of this program or the service.
///
/// # Errors
/// The file cannot be read, is too large, or is no JSON; it is named.
pub(crate) fn document(path: &Path) -> Result<Value> {
    let name = path.display();
    let mut text = String::new();
    // What is longer is not read further: it may have no end.
    let length = File::open(path)
        .and_then(|file| file.take(DOCUMENT_BYTES_MAX + 1).read_to_string(&mut text))
        .with_context(|| format!("cannot read {name}"))?;
    ensure!(length as u64 <= DOCUMENT_BYTES_MAX, "{name} has more than {DOCUMENT_BYTES_MAX} bytes");
    serde_json::from_str(&text).with_context(|| format!("{name} is no JSON"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn documents_of_another_kind_are_refused_by_name() {
        let scratch = tempfile::tempdir().unwrap();
        let refused = |content: &str| {
            let path = scratch.path().join("old.json");
            fs::write(&path, content).unwrap();
            let error = format!("{:#}", Results::read(&path).unwrap_err());
            assert!(error.contains("old.json"), "{error}");
            error
        };
        assert!(refused("{}").contains("holds no results: it has no `format`"));
        assert!(refused("{\"format\": 7}").contains("format 7; this program reads format 1"));
        assert!(refused("{\"format\": 1}").contains("missing field"));
        assert!(refused("nothing").contains("is no JSON"));
        assert!(format!("{:#}", Results::read(&scratch.path().join("gone")).unwrap_err()).contains("gone"));
        let endless = format!("{:#}", Results::read(Path::new("/dev/zero")).unwrap_err());
        assert_eq!(endless, format!("/dev/zero has more than {DOCUMENT_BYTES_MAX} bytes"));
    }
}
