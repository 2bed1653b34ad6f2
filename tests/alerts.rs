//! The rules and alerts of `deploy/prometheus`, by Prometheus' own tool: they are well formed, and each alert fires and is quiet
//! again on made-up series.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::folder;
use crate::support::prometheus::{is_there, rules_dir};

/// What an alert with this expression does at any time, whatever it is to alert of.
const NEVER: &str = "vector(0) > 1";
const ALWAYS: &str = "vector(1) > 0";

fn promtool(folder: &Path, args: &[&str]) -> Output {
    Command::new("promtool").args(args).current_dir(folder).output().expect("it runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn read(name: &str) -> String {
    fs::read_to_string(rules_dir().join(name)).expect("it is there")
}

/// What stands after this word at the beginnings of lines.
fn after<'t>(text: &'t str, word: &'t str) -> impl Iterator<Item = &'t str> {
    text.lines()
        .filter_map(move |line| line.trim_start().strip_prefix(word))
        .map(|rest| rest.trim().trim_matches('"'))
}

fn alert_names() -> Vec<String> {
    let names: Vec<_> = after(&read("alerts.yml"), "- alert:").map(str::to_owned).collect();
    assert!(names.len() > 30, "{names:?}");
    names
}

fn test_files() -> Vec<String> {
    let files = fs::read_dir(rules_dir().join("tests")).expect("it is there");
    let mut names: Vec<_> = files
        .map(|file| format!("tests/{}", file.expect("it is read").file_name().to_string_lossy()))
        .collect();
    names.sort();
    names
}

/// The rules and their tests in a folder of the test's own, with the expression of every alert replaced.
fn with_alerts_of(expression: &str) -> (tempfile::TempDir, PathBuf) {
    let work = folder();
    let place = work.path().to_path_buf();
    fs::create_dir(place.join("tests")).expect("it is made");
    for name in test_files() {
        fs::copy(rules_dir().join(&name), place.join(&name)).expect("it is copied");
    }
    fs::write(place.join("recording.yml"), "groups: []\n").expect("it is written");
    let mut replaced = String::new();
    let mut in_expression = false;
    for line in read("alerts.yml").lines() {
        let expr = line.starts_with("        expr:");
        in_expression = expr || in_expression && line.starts_with("          ");
        if expr {
            let _ = writeln!(replaced, "        expr: {expression}");
        } else if !in_expression && !line.starts_with("        for:") {
            replaced.push_str(line);
            replaced.push('\n');
        }
    }
    fs::write(place.join("alerts.yml"), replaced).expect("it is written");
    (work, place)
}

/// A time such as `1h30m`, in seconds.
fn seconds(time: &str) -> u64 {
    let mut number = 0;
    let mut sum = 0;
    for character in time.chars() {
        match character {
            '0'..='9' => number = number * 10 + u64::from(character.to_digit(10).expect("a digit")),
            unit => {
                sum += number
                    * match unit {
                        'd' => 86_400,
                        'h' => 3_600,
                        'm' => 60,
                        's' => 1,
                        other => panic!("{other} in {time}"),
                    };
                number = 0;
            }
        }
    }
    sum
}

/// The times at which the tests found an alert otherwise than they should: those at which it should have fired, and those at which
/// it should have been quiet.
#[derive(Default, Debug)]
struct Misses {
    fires: Vec<u64>,
    quiet: Vec<u64>,
}

fn misses(output: &str) -> BTreeMap<String, Misses> {
    let mut found: BTreeMap<String, Misses> = BTreeMap::new();
    let mut lines = output.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some((name, time)) =
            line.strip_prefix("alertname: ").and_then(|rest| rest.split_once(", time: "))
        else {
            continue;
        };
        let at = seconds(time.trim_end_matches([',', ' ']));
        let misses = found.entry(name.to_owned()).or_default();
        let expected = lines.next().expect("what was expected follows");
        if expected.starts_with("exp:[]") { misses.quiet.push(at) } else { misses.fires.push(at) }
    }
    found
}

#[test]
fn rules_and_configuration_are_well_formed() {
    if !is_there("promtool") {
        return;
    }
    for args in [
        ["check", "rules", "recording.yml"],
        ["check", "rules", "alerts.yml"],
        ["check", "config", "prometheus.yml"],
    ] {
        let output = promtool(rules_dir(), &args);
        assert!(output.status.success() && text(&output).contains("SUCCESS"), "{args:?}: {}", text(&output));
    }
}

#[test]
fn every_alert_fires_and_is_quiet_again() {
    if !is_there("promtool") {
        return;
    }
    let files = test_files();
    let args: Vec<_> = ["test", "rules"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let output = promtool(rules_dir(), &args);
    assert!(output.status.success(), "{}", text(&output));
}

/// The tests above would be worth nothing for an alert that has none, or whose test holds whatever the alert does.
#[test]
fn no_alert_is_without_a_test_that_it_can_fail() {
    if !is_there("promtool") {
        return;
    }
    let files = test_files();
    let args: Vec<_> = ["test", "rules"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let found = [NEVER, ALWAYS].map(|expression| {
        let (_work, place) = with_alerts_of(expression);
        let output = promtool(&place, &args);
        assert!(!output.status.success(), "{}", text(&output));
        misses(&text(&output))
    });
    let [never, always] = found;
    for name in alert_names() {
        let fires = never.get(&name).and_then(|misses| misses.fires.first()).copied();
        let fires = fires.unwrap_or_else(|| panic!("{name}: no test that it fires"));
        let quiet = always.get(&name).map(|misses| misses.quiet.clone()).unwrap_or_default();
        assert!(quiet.iter().any(|at| *at < fires), "{name}: no test that it is quiet before: {quiet:?}");
        assert!(quiet.iter().any(|at| *at > fires), "{name}: no test that it is quiet again: {quiet:?}");
    }
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-');
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn every_alert_says_what_it_is_and_leads_to_a_place_in_the_runbook() {
    let alerts = read("alerts.yml");
    let runbook = fs::read_to_string(rules_dir().join("../../docs/RUNBOOK.md")).expect("it is there");
    let anchors: Vec<_> = after(&runbook, "## ").map(anchor).collect();
    let blocks: Vec<_> = alerts.split("- alert:").skip(1).collect();
    for block in &blocks {
        let name = block.lines().next().expect("a name").trim();
        let place = after(block, "runbook:").next().unwrap_or_default();
        let place =
            place.strip_prefix("docs/RUNBOOK.md#").unwrap_or_else(|| panic!("{name} leads to {place:?}"));
        assert!(
            anchors.iter().any(|anchor| anchor == place),
            "{name}: the runbook has no #{place}: {anchors:?}"
        );
        assert!(
            after(block, "summary:").next().is_some_and(|summary| summary.len() > 15),
            "{name} has no summary"
        );
        let severity = after(block, "labels: { severity:").next().unwrap_or_default();
        assert!(["critical }", "warning }"].contains(&severity), "{name}: severity {severity:?}");
        let listed = runbook.contains(&format!("`{name}`")) || name.contains("Burn");
        assert!(listed, "{name} is not in the runbook's table");
    }
    assert_eq!(blocks.len(), alert_names().len());
}
