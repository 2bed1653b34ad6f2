//! The scripts' headers, their bodies, `lua/README.md` and the Rust table of codes say the same.

use std::collections::{BTreeMap, BTreeSet};

use claimrush::domain::ids::{DropId, Shard};
use claimrush::limits;
use claimrush::redis::codes::Code;
use claimrush::redis::{keys, scripts};

const README: &str = include_str!("../lua/README.md");

/// A code's name and number.
type Codes = BTreeMap<String, i64>;

/// A script taken apart.
struct Parts {
    header: Vec<String>,
    /// Without comments.
    body: String,
}

fn take_apart(source: &str) -> Parts {
    let lines: Vec<&str> = source.lines().skip(1).collect();
    let end = lines.iter().position(|line| !line.starts_with("--")).unwrap_or(lines.len());
    let header = lines[..end].iter().map(|line| line.trim_start_matches("--").to_owned()).collect();
    let body = lines[end..].iter().map(|line| line.split("--").next().unwrap_or_default());
    Parts { header, body: body.collect::<Vec<_>>().join("\n") }
}

/// `2 * d + 1` and `2d+1` are one slot.
fn normal(index: &str) -> String {
    index.chars().filter(|c| !c.is_whitespace() && *c != '*').collect()
}

/// The slots that the header lists: `KEYS[…]` or `ARGV[…]` at the beginning of a line.
fn listed_slots(parts: &Parts) -> BTreeSet<String> {
    let slots = parts.header.iter().filter_map(|line| {
        let line = line.trim_start();
        let (table, rest) = line.split_at_checked(5)?;
        let index = rest.split(']').next()?;
        matches!(table, "KEYS[" | "ARGV[").then(|| format!("{table}{}]", normal(index)))
    });
    slots.collect()
}

/// The slots that the body reads: `KEYS[…]`, `ARGV[…]` and `unpack(ARGV, a, b)`, which is `ARGV[a..b]`.
fn used_slots(parts: &Parts) -> BTreeSet<String> {
    let mut slots = BTreeSet::new();
    for table in ["KEYS[", "ARGV["] {
        for rest in parts.body.split(table).skip(1) {
            let index = rest.split(']').next().unwrap_or_default();
            slots.insert(format!("{table}{}]", normal(index)));
        }
    }
    for rest in parts.body.split("unpack(ARGV,").skip(1) {
        let range = rest.split(')').next().unwrap_or_default();
        slots.insert(format!("ARGV[{}]", normal(range).replace(',', "..")));
    }
    slots
}

fn is_code_name(word: &str) -> bool {
    word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

/// The codes that the header lists: a name and a negative number at the beginning of an indented line.
fn listed_codes(parts: &Parts) -> Codes {
    let codes = parts.header.iter().filter_map(|line| {
        let mut words = line.strip_prefix("   ")?.split_whitespace();
        let name = words.next().filter(|word| is_code_name(word))?;
        Some((name.to_owned(), words.next()?.parse().ok()?))
    });
    codes.collect()
}

/// The codes that the body declares: `local A, B = -1, -2`.
fn declared_codes(parts: &Parts) -> Codes {
    let mut codes = Codes::new();
    for line in parts.body.lines() {
        let Some((names, numbers)) = line.strip_prefix("local ").and_then(|rest| rest.split_once('=')) else {
            continue;
        };
        for (name, number) in names.split(',').zip(numbers.split(',')) {
            if let (true, Ok(number @ ..0)) = (is_code_name(name.trim()), number.trim().parse()) {
                codes.insert(name.trim().to_owned(), number);
            }
        }
    }
    codes
}

/// Rows of README's code table: name, number, scripts.
fn table_rows(readme: &str) -> Vec<(String, i64, BTreeSet<String>)> {
    let rows = readme.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, number, _, files, _] = cells[..] else { return None };
        let name = name.strip_prefix('`')?.strip_suffix('`').filter(|name| is_code_name(name))?;
        let files = files.split(',').map(|file| file.trim().trim_matches('`').to_owned()).collect();
        Some((name.to_owned(), number.parse().ok()?, files))
    });
    rows.collect()
}

/// Everything in which the sources disagree, one line each.
fn disagreements(sources: &[(&str, String)], readme: &str, rust: &Codes) -> Vec<String> {
    let mut found = Vec::new();
    let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, source) in sources {
        let parts = take_apart(source);
        let (listed, declared) = (listed_codes(&parts), declared_codes(&parts));
        if listed != declared {
            found.push(format!("{file}: header has the codes {listed:?}, body {declared:?}"));
        }
        for (name, number) in &declared {
            if rust.get(name) != Some(number) {
                found.push(format!("{file}: {name} is {number}, in Rust {:?}", rust.get(name)));
            }
            if parts.body.matches(name.as_str()).count() < 2 {
                found.push(format!("{file}: {name} is declared and never replied"));
            }
            users.entry(name.clone()).or_default().insert((*file).to_owned());
        }
        let (listed, used) = (listed_slots(&parts), used_slots(&parts));
        if listed != used || listed.is_empty() {
            found.push(format!("{file}: header lists {listed:?}, body uses {used:?}"));
        }
        if !source.starts_with("#!lua\n") {
            found.push(format!("{file}: does not begin with #!lua"));
        }
        for banned in ["MAXLEN", "'cr:", "\"cr:"] {
            if parts.body.contains(banned) {
                found.push(format!("{file}: has {banned}"));
            }
        }
        if !readme.contains(&format!("| `{file}` |")) {
            found.push(format!("README: no row for {file}"));
        }
    }
    let rows = table_rows(readme);
    let numbers: Codes = rows.iter().map(|(name, number, _)| (name.clone(), *number)).collect();
    if numbers != *rust {
        found.push(format!("README has the codes {numbers:?}, Rust {rust:?}"));
    }
    for (name, _, files) in rows {
        if users.get(&name) != Some(&files) {
            found.push(format!("README: {name} is of {files:?}, but used by {:?}", users.get(&name)));
        }
    }
    found
}

fn sources() -> Vec<(&'static str, String)> {
    scripts::ALL.iter().map(|script| (script.file, script.source.to_owned())).collect()
}

fn rust_codes() -> Codes {
    Code::ALL.iter().map(|code| (code.name().to_owned(), code.number())).collect()
}

#[test]
fn headers_bodies_readme_and_rust_agree() {
    assert_eq!(disagreements(&sources(), README, &rust_codes()), Vec::<String>::new());
}

#[test]
fn every_script_file_has_its_caller() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("lua");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("the folder of the scripts")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "lua"))
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    let known: BTreeSet<String> = scripts::ALL.iter().map(|script| script.file.to_owned()).collect();
    assert_eq!(files, known);
}

#[test]
fn the_key_map_names_the_keys_that_are_built() {
    let drop = DropId::new("x").expect("an id");
    let shard = Shard(7);
    let of_drop = [keys::drop(shard, &drop), keys::holders(shard, &drop)];
    for key in of_drop.into_iter().chain([keys::journal(shard), keys::fence(shard)]) {
        let pattern = key.replace("{s7}", "{sN}").replace(":x", ":<drop>");
        assert!(README.contains(&format!("| `{pattern}` |")), "README's key map lacks {pattern}");
    }
}

#[test]
fn the_caps_of_the_scripts_are_those_of_the_program() {
    let cap = |source: &str, name: &str| {
        let declared = source.lines().find_map(|line| line.strip_prefix(&format!("local {name} = ")));
        declared.and_then(|number| number.parse::<usize>().ok()).expect(name)
    };
    assert_eq!(cap(scripts::CLAIM.source, "CLAIMS_MAX"), limits::BATCH_CLAIMS_MAX);
    let limit_max = usize::try_from(limits::LIMIT_PER_PERSON_MAX).expect("a small number");
    assert_eq!(cap(scripts::CONFIGURE.source, "LIMIT_MAX"), limit_max);
    let records_max = cap(scripts::CLAIM.source, "RECORDS_BYTES_MAX") / 21;
    assert!(records_max >= 2 * limit_max, "a person has room for {records_max} claims");
}

#[test]
fn a_number_names_one_code() {
    for code in Code::ALL {
        assert!(code.number() < 0, "{code:?}");
        assert_eq!(Code::from_number(code.number()), Some(*code));
    }
}

/// Each plants one disagreement: file, text, its replacement.
const PLANTED: &[(&str, &str, &str)] = &[
    ("claim.lua", "--   PAUSED        -2 ", "--   PAUSED        -3 "),
    ("claim.lua", "--   PAUSED        -2 ", "--   HALTED        -2 "),
    ("claim.lua", "= -1, -2, -3,", "= -1, -3, -2,"),
    ("claim.lua", "-- ARGV[i+2] ", "-- ARGV[i+3] "),
    ("claim.lua", "-- KEYS[1] ", "-- the journal "),
    ("claim.lua", "unpack(ARGV, to + 1, to + n)", "unpack(ARGV, to + 2, to + n)"),
    ("claim.lua", "if state == 'paused' then return PAUSED end", ""),
    ("claim.lua", "redis.call('XADD', KEYS[1], '*',", "redis.call('XADD', KEYS[1], 'MAXLEN', 9, '*',"),
    ("claim.lua", "#!lua\n", "#!lua flags=allow-oom\n"),
    ("return.lua", "ARGV[5]", "ARGV[6]"),
    ("configure.lua", "OUT_OF_DATE, UNSETTLED = -7, -8, -12, -13", "OUT_OF_DATE = -7, -8, -12"),
    ("state.lua", "redis.call('HSET', KEYS[d],", "redis.call('HSET', 'cr:{s0}:drop:x',"),
    ("README.md", "| `CLOSED` | -3 |", "| `CLOSED` | -13 |"),
    (
        "README.md",
        "| `FROZEN` | -6 | the drop is being loaded or rebuilt | `claim.lua`, `state.lua`, `return.lua` |",
        "",
    ),
    ("README.md", "`claim.lua`, `configure.lua`, `restore.lua`, `state.lua`, `return.lua`", "`claim.lua`"),
];

#[test]
fn a_planted_disagreement_is_found() {
    for (file, text, replacement) in PLANTED {
        let (mut sources, mut readme) = (sources(), README.to_owned());
        let planted_in = if *file == "README.md" {
            &mut readme
        } else {
            &mut sources.iter_mut().find(|(name, _)| name == file).expect("a script").1
        };
        assert!(planted_in.contains(text), "{file} lacks {text:?}");
        *planted_in = planted_in.replacen(text, replacement, 1);
        assert_ne!(disagreements(&sources, &readme, &rust_codes()), Vec::<String>::new(), "{text:?}");
    }
    let mut rust = rust_codes();
    rust.insert("PAUSED".into(), -20);
    assert_ne!(disagreements(&sources(), README, &rust), Vec::<String>::new(), "a changed Rust code");
}
