//! Two runs side by side: what became better, what became worse.
//!
//! Reads two results documents and nothing else. Percentiles are those of the documents; curves are drawn from
//! their histograms, never from averages.

mod load;
mod page;
mod rows;

use std::{fmt::Write as _, path::PathBuf};

use anyhow::Result;

pub use self::rows::{Effect, Group, Row, Unit, groups};
use crate::{outfile, results::Results, streams};

/// What `compare` is told on the command line.
#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// The results.json of the run before
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// The results.json of the run after
    #[arg(value_name = "AFTER")]
    after: PathBuf,
    /// Draws both runs into this HTML page, too
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Compares two runs, tells the terminal, and draws the page that was asked for.
///
/// # Errors
/// A file cannot be read, is no results document or has another format, or the page cannot be written; the file is
/// named.
pub fn run(args: &CompareArgs) -> Result<()> {
    let (before, after) = (Results::read(&args.before)?, Results::read(&args.after)?);
    if let Some(path) = &args.out {
        outfile::write(path, page::page(&before, &after)?)?;
    }
    streams::print(&text(&before, &after))
}

/// What stands between the two runs and a fair comparison.
#[must_use]
pub fn caveats(before: &Results, after: &Results) -> Vec<String> {
    let mut caveats = Vec::new();
    let (old, new) = (&before.scenario, &after.scenario);
    if old.name != new.name {
        caveats.push(format!("the runs rehearsed different scenarios: {} and {}", old.name, new.name));
    }
    let differences = load::differences(before, after);
    if !differences.is_empty() {
        caveats.push(format!("the loads differ: {}", differences.join("; ")));
    }
    let machine = |results: &Results| {
        let environment = &results.environment;
        format!("{}, {} cores, {}", environment.processor, environment.cores, environment.system)
    };
    if machine(before) != machine(after) {
        caveats.push(format!("the machines differ: {}; {}", machine(before), machine(after)));
    }
    for (name, results) in [("before", before), ("after", after)] {
        if !results.verdict.valid {
            let because = results.verdict.invalid_because.join("; ");
            caveats.push(format!("the run {name} is invalid: {because}"));
        }
    }
    caveats
}

/// The comparison for a terminal.
#[must_use]
pub fn text(before: &Results, after: &Results) -> String {
    let mut out = String::new();
    let [old, new] =
        [before, after].map(|run| format!("{} {}", run.scenario.name, run.environment.started_at));
    // Lines are written to memory, which cannot fail.
    let _ = writeln!(out, "before: {old}\nafter:  {new}");
    for caveat in caveats(before, after) {
        let _ = writeln!(out, "warning: {caveat}");
    }
    for group in groups(before, after) {
        let _ = writeln!(out, "\n{:<30}{:>12}{:>12}{:>14}", group.title, "before", "after", "change");
        for row in &group.rows {
            let [old, new] = [row.before, row.after].map(|value| row.unit.spell(value));
            let line =
                format!("  {:<28}{old:>12}{new:>12}{:>14}  {}", row.name, row.change(), row.effect().word());
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
    out
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
