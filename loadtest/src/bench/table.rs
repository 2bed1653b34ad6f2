//! Medians, ratios, targets: the table of what was measured against what is to be reached.
//!
//! Owns the targets of the design's section 6 that the bench measures.

use std::{collections::BTreeSet, fmt::Write, fs, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

use super::{
    Measurements,
    ack::{self, AckMode, LedgerStore},
    contender::Contender,
    measure::Sample,
};
use crate::{cli::BenchArgs, outfile};

/// One comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What is compared.
    pub what: String,
    /// The measured value.
    pub value: f64,
    /// The bound.
    pub target: f64,
    /// The value is to stay below the bound; otherwise above.
    pub at_most: bool,
    /// Whether it does.
    pub met: bool,
}

impl Row {
    fn new(what: &str, value: f64, at_most: bool, target: f64) -> Self {
        let met = if at_most { value <= target } else { value >= target };
        Self { what: what.to_owned(), value, target, at_most, met }
    }
}

/// The middle value; `None` of none.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().checked_sub(1)? / 2)?, values.get(values.len() / 2)?);
    Some(f64::midpoint(*low, *high))
}

/// Medians of one contender at one number of connections.
pub(super) struct Medians<'a>(pub(super) &'a [Sample]);

impl Medians<'_> {
    pub(super) fn of(&self, who: Contender, connections: usize, value: fn(&Sample) -> f64) -> Option<f64> {
        let matching = self.0.iter().filter(|s| s.contender == who && s.connections == connections);
        median(matching.map(value).collect())
    }

    pub(super) fn rate(&self, who: Contender, connections: usize) -> Option<f64> {
        self.of(who, connections, |sample| sample.per_s)
    }

    fn cpu(&self, who: Contender, connections: usize) -> Option<f64> {
        self.of(who, connections, |sample| sample.cpu_us)
    }
}

/// What is compared with what: name, value (if both were measured), at most, target.
type Comparison = (&'static str, Option<f64>, bool, f64);

/// Compares what was measured; what was not is left out.
#[must_use]
pub fn compare(measured: &Measurements) -> Vec<Row> {
    let comparisons = ratios(&Medians(&measured.samples)).into_iter().chain(ends(measured));
    comparisons
        .filter_map(|(what, value, at_most, target)| Some(Row::new(what, value?, at_most, target)))
        .collect()
}

fn ratios(medians: &Medians<'_>) -> Vec<Comparison> {
    const FSYNC: Contender = Contender::Ack(AckMode::Fsync, LedgerStore::Sqlite);
    const MEMORY: Contender = Contender::Ack(AckMode::Memory, LedgerStore::Sqlite);
    use Contender::{Claimrush, Echo, EchoByWrk, Node, Pooled, SoldOut, Webdis};
    let over =
        |above: Option<f64>, below: Option<f64>| Some(above? / below?).filter(|ratio| ratio.is_finite());
    let rate =
        |above, below, connections| over(medians.rate(above, connections), medians.rate(below, connections));
    let cpu =
        |above, below, connections| over(medians.cpu(above, connections), medians.cpu(below, connections));
    let generator = |sample: &Sample| sample.generator_cpu_us;
    let generators = over(medians.of(Echo, 256, generator), medians.of(EchoByWrk, 256, generator));
    vec![
        ("claims/s ÷ echo requests/s, 256 connections", rate(Claimrush, Echo, 256), false, 0.60),
        ("claims/s ÷ echo requests/s, 1,000 connections", rate(Claimrush, Echo, 1_000), false, 0.70),
        (
            "CPU per durable claim ÷ CPU per echo request, 1,000 connections",
            cpu(Claimrush, Echo, 1_000),
            true,
            1.8,
        ),
        ("claims/s ÷ webdis, 256 connections", rate(Claimrush, Webdis, 256), false, 1.5),
        ("CPU per claim ÷ webdis", cpu(Claimrush, Webdis, 256), true, 0.6),
        ("claims/s ÷ fastify + ioredis, 256 connections", rate(Claimrush, Node, 256), false, 2.5),
        ("CPU per claim ÷ fastify + ioredis", cpu(Claimrush, Node, 256), true, 0.35),
        (
            "claims/s ÷ one checkout and EVALSHA a claim, 256 connections",
            rate(Claimrush, Pooled, 256),
            false,
            12.0,
        ),
        ("sold-out answers/s ÷ echo requests/s, 256 connections", rate(SoldOut, Echo, 256), false, 0.90),
        ("claims/s, ack = fsync ÷ memory, 256 connections", rate(FSYNC, MEMORY, 256), false, 0.85),
        ("claims/s, ack = fsync ÷ memory, 1,000 connections", rate(FSYNC, MEMORY, 1_000), false, 0.85),
        ("generator CPU a request ÷ wrk's, echo, 256 connections", generators, true, 1.3),
    ]
}

/// The durable share of the worst round, and memory.
fn ends(measured: &Measurements) -> Vec<Comparison> {
    let finishes = || measured.finishes.iter();
    let longest = finishes().map(|finish| finish.journal_empty_after_s).max_by(f64::total_cmp);
    let durable = finishes().map(|finish| finish.durable_per_s / finish.decided_per_s).collect();
    vec![
        // A second's lag at the end of a short run is within the next row's target: 1.0 to one decimal.
        ("durable/s ÷ decided/s", median(durable), false, 0.95),
        ("seconds until the journal is empty, worst round", longest, true, 1.0),
        (
            "Redis bytes a claim, drained",
            measured.memory.map(|memory| memory.redis_bytes_per_claim),
            true,
            100.0,
        ),
        (
            "service bytes an idle kept-alive connection",
            measured.memory.map(|memory| memory.bytes_per_connection),
            true,
            12.0 * 1_024.0,
        ),
    ]
}

/// The tables as markdown.
///
/// # Errors
/// Never in practice: text is written to memory.
pub fn markdown(args: &BenchArgs, measured: &Measurements, rows: &[Row]) -> Result<String> {
    let mut out = String::new();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    writeln!(
        out,
        "{cores} cores shared by contender, Redis, ledger and generator; {} rounds of {} s, contenders in turn; \
         medians. Closed model; CPU is that of the contender's processes and its Redis.\n",
        args.rounds, args.seconds
    )?;
    writeln!(out, "| contender | connections | requests/s | CPU a request | generator CPU | p99 |")?;
    writeln!(out, "| --- | ---: | ---: | ---: | ---: | ---: |")?;
    let medians = Medians(&measured.samples);
    let mut measured_at: Vec<_> = measured.samples.iter().map(|s| (s.contender, s.connections)).collect();
    measured_at.sort_unstable();
    measured_at.dedup();
    for (who, connections) in measured_at {
        let of = |value| medians.of(who, connections, value).unwrap_or(f64::NAN);
        writeln!(
            out,
            "| {} | {connections} | {:.0} | {:.2} µs | {:.2} µs | {:.2} ms |",
            who.name(),
            of(|sample| sample.per_s),
            of(|sample| sample.cpu_us),
            of(|sample| sample.generator_cpu_us),
            of(|sample| sample.p99_ms)
        )?;
    }
    out.push_str(&ack::markdown(measured)?);
    writeln!(out, "\n| what | measured | target | |")?;
    writeln!(out, "| --- | ---: | ---: | --- |")?;
    for row in rows {
        let bound = if row.at_most { "≤" } else { "≥" };
        let verdict = if row.met { "met" } else { "missed" };
        writeln!(out, "| {} | {:.2} | {bound} {:.2} | {verdict} |", row.what, row.value, row.target)?;
    }
    let warned = measured.samples.iter().flat_map(|sample| {
        let at = format!("{}, {} connections", sample.contender.name(), sample.connections);
        sample.warnings.iter().map(move |warning| format!("{at}: {warning}"))
    });
    for warning in warned.collect::<BTreeSet<_>>() {
        writeln!(out, "\nWarned of: {warning}")?;
    }
    for missing in &measured.missing {
        writeln!(out, "\nNot measured: {missing}")?;
    }
    Ok(out)
}

/// Puts the tables between the markers of a page's section: `<!-- SECTION: begin -->` and `<!-- SECTION: end -->`.
///
/// # Errors
/// The page cannot be read or written, or has no markers.
pub fn insert(page: &Path, section: &str, markdown: &str) -> Result<()> {
    let text = fs::read_to_string(page).with_context(|| format!("{}", page.display()))?;
    let replaced = replace(&text, section, markdown).with_context(|| {
        let (begin, end) = markers(section);
        format!("{} has no lines {begin} and {end}", page.display())
    })?;
    outfile::write(page, replaced)
}

fn markers(section: &str) -> (String, String) {
    (format!("<!-- {section}: begin -->"), format!("<!-- {section}: end -->"))
}

fn replace(text: &str, section: &str, markdown: &str) -> Option<String> {
    let (begin, end) = markers(section);
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n\n{markdown}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn sample(contender: Contender, per_s: f64, cpu_us: f64) -> Sample {
        Sample {
            contender,
            round: 1,
            connections: 256,
            per_s,
            cpu_us,
            generator_cpu_us: 1.0,
            p99_ms: 1.0,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn rows_are_ratios_of_medians_and_only_of_what_was_measured() {
        let samples = vec![
            sample(Contender::Claimrush, 30.0, 6.0),
            sample(Contender::Claimrush, 10.0, 6.0),
            sample(Contender::Claimrush, 20.0, 6.0),
            sample(Contender::Webdis, 10.0, 8.0),
        ];
        let rows = compare(&Measurements { samples, ..Measurements::default() });
        let told: Vec<_> = rows.iter().map(|row| (row.what.as_str(), row.value, row.met)).collect();
        assert_eq!(
            told,
            [("claims/s ÷ webdis, 256 connections", 2.0, true), ("CPU per claim ÷ webdis", 0.75, false)]
        );
    }

    #[test]
    fn modes_stand_beside_each_other_with_their_ratios() {
        let samples = vec![
            sample(Contender::Ack(AckMode::Memory, LedgerStore::Sqlite), 100.0, 10.0),
            sample(Contender::Ack(AckMode::Fsync, LedgerStore::Sqlite), 80.0, 12.0),
        ];
        let measured = Measurements { samples, ..Measurements::default() };
        let [row] = &compare(&measured)[..] else { unreachable!("fsync and memory were measured") };
        assert_eq!((row.value, row.met), (0.8, false));
        let text = ack::markdown(&measured).unwrap();
        assert!(
            text.contains("| 256 | `memory` | SQLite | 100 | 1.00 | 1.25 | 1.00 | 10.00 µs | 1.00 ms |"),
            "{text}"
        );
        assert!(
            text.contains("| 256 | `fsync` | SQLite | 80 | 0.80 | 1.00 | 1.00 | 12.00 µs | 1.00 ms |"),
            "{text}"
        );
        assert!(!text.contains("replica"), "{text}");
        assert_eq!(ack::markdown(&Measurements::default()).unwrap(), "");
    }

    #[test]
    fn a_warning_of_several_rounds_stands_once_below_the_table() {
        let warned = |per_s| Sample {
            warnings: vec!["all cores were used".into()],
            ..sample(Contender::Claimrush, per_s, 6.0)
        };
        let measured = Measurements { samples: vec![warned(1.0), warned(2.0)], ..Measurements::default() };
        let args = crate::cli::Cli::parse_from(["claimrush-loadtest", "bench"]);
        let crate::cli::Command::Bench(args) = args.command else { unreachable!("it is a bench") };
        let text = markdown(&args, &measured, &[]).unwrap();
        let name = Contender::Claimrush.name();
        let line = format!("Warned of: {name}, 256 connections: all cores were used");
        assert_eq!(text.matches(&line).count(), 1, "{text}");
    }

    #[test]
    fn the_median_of_an_even_count_is_between() {
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let page = "<!-- a: begin -->\nkept\n<!-- a: end -->\n<!-- b: begin -->\nold\n<!-- b: end -->\nz\n";
        let replaced =
            "<!-- a: begin -->\nkept\n<!-- a: end -->\n<!-- b: begin -->\n\nnew\n\n<!-- b: end -->\nz\n";
        assert_eq!(replace(page, "b", "new\n").as_deref(), Some(replaced));
        assert_eq!(replace(page, "c", "new"), None);
    }
}
