//! The rules of the house that a compiler does not check, over every file of the project.

use std::fs;
use std::path::{Path, PathBuf};

/// A file longer than this is telling that a part is missing.
const LINES_MAX: usize = 400;

/// Words that may stand in these places alone.
const ONE_PLACE: [(&str, &[&str]); 4] = [
    ("StatusCode::", &["src/http/reply.rs"]),
    (concat!("\"cr:", "{"), &["src/redis/keys.rs"]),
    (concat!("SystemTime", "::now"), &["src/clock.rs"]),
    // It ends the process where nothing can be written there.
    ("eprintln!", &[]),
];

/// The modules, each above all that it may import. Not the order in which a claim meets them: the back office and the drain, past
/// which no claim goes, work with what stands on its way, and everybody reads the configuration.
const IMPORTS_GO_DOWN: [&str; 24] = [
    "main",
    "cli",
    "serve",
    "http",
    "backoffice",
    "drain",
    "desk",
    "rush",
    "redis",
    "ledger",
    "datadir",
    "config",
    "guard",
    "web",
    "telemetry",
    "signals",
    "lines",
    "outfile",
    "infile",
    "domain",
    "clock",
    "exit",
    "failpoint",
    "limits",
];

/// What a module may not reach for although it stands below: what its doc says.
const KEPT_APART: [(&str, &[&str]); 10] = [
    (
        "src/domain",
        &["crate::http", "crate::guard", "crate::rush", "crate::redis", "crate::ledger", "rusqlite", "hyper"],
    ),
    ("src/ledger", &["crate::http", "crate::guard", "crate::rush", "crate::redis", "crate::drain", "hyper"]),
    ("src/drain", &["crate::http", "crate::guard", "crate::rush", "rusqlite", "hyper::"]),
    ("src/redis", &["crate::http", "crate::guard", "crate::rush", "crate::ledger", "rusqlite", "hyper::"]),
    ("src/rush", &["crate::http", "crate::guard", "crate::ledger", "rusqlite", "hyper::", "redis::keys"]),
    ("src/guard", &["crate::http", "crate::rush", "crate::redis", "crate::ledger", "rusqlite"]),
    ("src/desk", &["crate::http", "rusqlite", "tokio_postgres"]),
    ("src/http", &["rusqlite", "tokio_postgres", "redis::keys", "crate::drain"]),
    (
        "src/web",
        &["crate::http", "crate::guard", "crate::rush", "crate::redis", "crate::ledger", "hyper", "rusqlite"],
    ),
    ("src/telemetry", &["crate::http", "crate::rush", "crate::redis", "crate::ledger", "crate::domain"]),
];

/// What no file holds.
const NOWHERE: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[ign", "ore"), concat!("todo", "!(")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the project that ends in one of these, with its text, by its path from the root.
fn files(endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let made_by_tools =
                ["target", "node_modules", "bench-out", "demo-out", "fairness-out", "claimrush-data"];
            if path.is_dir() && !path.is_symlink() {
                if !name.starts_with('.') && !made_by_tools.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let place = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((place, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no {endings:?} below {}", root().display());
    found
}

/// Fails with all findings at once.
fn none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let long = files(&[".rs", ".lua", ".js", ".mjs", ".css"]).into_iter().filter_map(|(place, text)| {
        let lines = text.lines().count();
        (lines > LINES_MAX).then(|| format!("{place} has {lines} lines; at most {LINES_MAX}"))
    });
    none(&long.collect::<Vec<_>>());
}

#[test]
fn every_module_says_what_it_owns() {
    let modules = files(&[".rs"]).into_iter().filter(|(place, _)| !place.ends_with("tests.rs"));
    let silent = modules.filter(|(_, text)| !text.starts_with("//! "));
    none(&silent.map(|(place, _)| format!("{place} does not begin with a module doc")).collect::<Vec<_>>());
}

#[test]
fn one_place_for_one_thing() {
    let mut findings = Vec::new();
    for (place, text) in files(&[".rs"]).iter().filter(|(place, _)| place.starts_with("src/")) {
        for (word, allowed) in ONE_PLACE {
            if text.contains(word) && !allowed.contains(&place.as_str()) {
                findings.push(format!("{place} holds `{word}`, which stands in {allowed:?} alone"));
            }
        }
    }
    none(&findings);
}

/// The module of the crate that a file of `src/` belongs to.
fn module_of(place: &str) -> Option<&str> {
    place.strip_prefix("src/")?.split(['/', '.']).next().filter(|module| *module != "lib")
}

#[test]
fn imports_go_down() {
    let level = |module: &str| IMPORTS_GO_DOWN.iter().position(|known| *known == module);
    let mut findings = Vec::new();
    for (place, text) in files(&[".rs"]) {
        let Some(module) = module_of(&place) else { continue };
        let Some(own) = level(module) else {
            findings.push(format!("{place}: {module} has no place in the order of imports"));
            continue;
        };
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            for named in line.split("crate::").skip(1) {
                let named =
                    named.split(|c: char| !(c.is_ascii_lowercase() || c == '_')).next().unwrap_or_default();
                if level(named).is_some_and(|level| level < own) {
                    findings.push(format!("{place}: `{line}` imports upwards"));
                }
            }
        }
    }
    none(&findings);
}

#[test]
fn modules_keep_apart() {
    let mut findings = Vec::new();
    for (place, text) in files(&[".rs"]) {
        for (module, forbidden) in KEPT_APART.iter().filter(|(module, _)| place.starts_with(module)) {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code.filter(|line| forbidden.iter().any(|word| line.contains(word))) {
                findings.push(format!("{place}: `{}` has no place in {module}", line.trim()));
            }
        }
    }
    none(&findings);
}

#[test]
fn nothing_is_left_for_later() {
    let mut findings = Vec::new();
    for (place, text) in files(&[".rs", ".lua", ".sh", ".toml", "Makefile"]) {
        for word in NOWHERE.iter().filter(|word| text.contains(**word)) {
            findings.push(format!("{place} holds {word}"));
        }
    }
    none(&findings);
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut findings = Vec::new();
    for (place, text) in files(&[".md"]) {
        let folder = root().join(&place).parent().unwrap().to_path_buf();
        for target in
            text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
        {
            let file = target.split('#').next().unwrap();
            let elsewhere = target.contains("://") || file.is_empty();
            if !elsewhere && !folder.join(file).exists() {
                findings.push(format!("{place} links to {target}, which is not there"));
            }
        }
    }
    none(&findings);
}
