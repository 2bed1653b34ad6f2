//! The published schema is the one of the types, takes every shipped scenario and refuses broken ones.

use std::{env, fs, path::PathBuf, process::Command};

use super::*;
use crate::scenario::load;

fn crate_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn shipped() -> Vec<PathBuf> {
    let folder = fs::read_dir(crate_folder().join("scenarios")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|kind| kind == "toml")).collect();
    files.sort();
    files
}

fn as_json(toml: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(toml).unwrap()).unwrap()
}

#[test]
fn the_published_schema_is_up_to_date() {
    let path = crate_folder().join("schema/scenario.schema.json");
    let generated = serde_json::to_string_pretty(&scenario_schema()).unwrap() + "\n";
    if env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let published = fs::read_to_string(&path).unwrap();
    assert!(published == generated, "the types have changed: run the tests once with UPDATE_SCHEMA=1");
}

#[test]
fn every_shipped_scenario_is_sound() {
    let validator = jsonschema::validator_for(&scenario_schema()).unwrap();
    let names: Vec<_> = shipped()
        .iter()
        .map(|path| {
            let scenario = load(path, &[]).unwrap_or_else(|error| panic!("{error:#}"));
            let text = fs::read_to_string(path).unwrap();
            assert!(text.starts_with("# "), "{} begins with what it rehearses", path.display());
            validator.validate(&as_json(&text)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            // What a result holds of a scenario is a scenario file, too.
            let written = serde_json::to_value(&scenario).unwrap();
            validator.validate(&written).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(path.file_stem().unwrap().to_str().unwrap(), scenario.name);
            assert!(!scenario.thresholds.is_empty(), "{} asks for something", scenario.name);
            scenario.name
        })
        .collect();
    let expected = [
        "bot-attack",
        "overload-10x",
        "release-10am",
        "restock",
        "slow-clients",
        "smoke",
        "soak",
        "sold-out-storm",
    ];
    assert_eq!(names, expected);
}

const FARM: &str = r#"name = "attack"
[[drop]]
id = "d"
[arrivals]
profile = "constant"
rate = 1_000
duration = "15s"
[tickets]
source = "desk"
identity_keys = "identity-keys.json"
persons = 15_000
[[persona]]
name = "people"
kind = "honest"
forwarded_for = ["10.0.0.0/8"]
[[persona]]
name = "farm"
kind = "bot"
requests = 40
identity = { accounts_per_phone = 100 }
tickets = { valid = 5, forged = 2 }
"#;

#[test]
fn broken_scenarios_are_refused() {
    let validator = jsonschema::validator_for(&scenario_schema()).unwrap();
    let text = FARM;
    assert!(validator.is_valid(&as_json(text)));
    for (old, new) in [
        ("name = \"attack\"", "nome = \"attack\""),
        ("[arrivals]", "[arrival]"),
        ("rate = 1_000", "rate = \"fast\""),
        ("rate = 1_000", "rate = 1_000\nspeed = 2"),
        ("duration = \"15s\"", "duration = 15"),
        ("duration = \"15s\"", "duration = \"soon\""),
        ("profile = \"constant\"", "profile = \"burst\""),
        ("kind = \"bot\"", "kind = \"robot\""),
        ("requests = 40", "requests = -1"),
        ("requests = 40", "requests = 40\npatience = \"1s\""),
        ("forged = 2", "faked = 2"),
        ("name = \"people\"", "nome = \"people\""),
        ("source = \"desk\"", "source = \"print\""),
        ("source = \"desk\"", "source = \"desk\"\nkey_file = \"ticket.key\""),
        ("10.0.0.0/8", "the moon"),
        ("accounts_per_phone = 100", "phones = 1"),
        ("[arrivals]", "[service]\nmethod = \"FETCH\"\n[arrivals]"),
    ] {
        assert!(text.contains(old), "{old}");
        assert!(!validator.is_valid(&as_json(&text.replacen(old, new, 1))), "{new} passes");
    }
}

#[test]
fn lengths_of_time_match_what_is_read() {
    let validator = jsonschema::validator_for(&schema_of::<DurationText>("time")).unwrap();
    for text in ["5ms", "1.5s", "10m", "1h 30m", "1h30m", "0s", "250us", "5 s", "1day 2h", "0"] {
        assert!(validator.is_valid(&text.into()) && humantime::parse_duration(text).is_ok(), "{text}");
    }
    for text in ["", "5", "s", "soon", "-5s", "5s!"] {
        assert!(!validator.is_valid(&text.into()) && humantime::parse_duration(text).is_err(), "{text}");
    }
}

#[test]
fn the_k6_script_is_javascript() {
    let script = crate_folder().join("scenarios/smoke.k6.js");
    let text = fs::read_to_string(&script).unwrap();
    assert!(text.contains("constant-arrival-rate") && text.contains("/v1/drops/${drop}/claims"));
    // Node takes a module by its name's ending only. Where there is no node, the words above must do.
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("smoke.mjs");
    fs::copy(script, &module).unwrap();
    if let Ok(checked) = Command::new("node").arg("--check").arg(module).output() {
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}
