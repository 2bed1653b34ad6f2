//! Starts contenders in turn, measures them with [`crate::rush`] as a process of its own, and compares.
//!
//! Contenders take turns within each round, so that a slow minute of the machine hits all of them; every number in
//! the table is a median over rounds. Owns no measuring: that is the rush's work.
//!
//! - [`process`]: whatever is started is ended
//! - [`setup`]: folders, tickets, Redis
//! - [`ack`]: what each acknowledgement mode costs
//! - [`postgres`]: a ledger that is a server
//! - [`contender`]: how each one is started
//! - [`service`]: the service under test, its journal and its audit
//! - [`measure`]: one measurement
//! - [`memory`]: bytes per claim and per idle connection
//! - [`table`]: medians, ratios, targets, markdown

pub mod ack;
pub mod contender;
pub mod measure;
pub mod memory;
pub mod postgres;
pub mod process;
pub mod service;
pub mod setup;
pub mod table;

use std::fs;

use anyhow::{Context, Result};

use self::{
    contender::Contender,
    measure::{Load, Sample},
    service::Finish,
    setup::Workshop,
};
use crate::{cli::BenchArgs, outfile, streams};

/// All that was measured, before it is compared.
#[derive(Debug, Default, serde::Serialize)]
pub struct Measurements {
    /// Every single measurement.
    pub samples: Vec<Sample>,
    /// How each claimrush round ended.
    pub finishes: Vec<Finish>,
    /// Bytes per claim and per connection.
    pub memory: Option<memory::Memory>,
    /// Contenders that could not be measured, with the cause.
    pub missing: Vec<String>,
}

/// Runs the rounds and writes the table; returns whether every measured target was met.
///
/// # Errors
/// A contender breaks, a run is invalid, or an output cannot be written.
pub fn run(args: &BenchArgs) -> Result<bool> {
    process::end_all_on_signal()?;
    args.service_bin.as_deref().map_or(Ok(()), service::check_binary)?;
    fs::create_dir_all(&args.out).with_context(|| format!("{}", args.out.display()))?;
    let workshop = Workshop::new(args)?;
    let mut measured = Measurements::default();
    let mut contenders = Contender::wanted(args);
    contenders.retain(|contender| match contender.obstacle(args) {
        None => true,
        Some(cause) => {
            streams::tell(&format!("not measured: {}: {cause}", contender.name()));
            measured.missing.push(format!("{}: {cause}", contender.name()));
            false
        }
    });
    for round in 1..=args.rounds {
        for &contender in &contenders {
            streams::tell(&format!("round {round} of {}: {}", args.rounds, contender.name()));
            measure_once(&workshop, contender, round, &mut measured)
                .with_context(|| format!("round {round}, {}", contender.name()))?;
        }
    }
    let rows = table::compare(&measured);
    let markdown = table::markdown(args, &measured, &rows)?;
    let json = serde_json::to_string_pretty(&serde_json::json!({ "rows": rows, "measured": measured }))?;
    outfile::write(&args.out.join("bench.json"), json + "\n")?;
    outfile::write(&args.out.join("bench.md"), &markdown)?;
    if let Some(page) = &args.page {
        table::insert(page, &args.section, &markdown)?;
    }
    streams::print(&(markdown + "\n"))?;
    Ok(rows.iter().all(|row| row.met))
}

/// One contender's turn in one round.
fn measure_once(
    workshop: &Workshop,
    contender: Contender,
    round: u32,
    measured: &mut Measurements,
) -> Result<()> {
    let args = workshop.args;
    let stage = contender.start(workshop, round)?;
    let mut load = Load::new(&stage, workshop, contender);
    load.warm_up()?;
    for &connections in contender.connections() {
        let sample = load.measure(round, connections)?;
        streams::tell(&format!(
            "  {connections:>5} connections: {:>8.0}/s, {:>6.2} µs CPU a request, p99 {:.2} ms",
            sample.per_s, sample.cpu_us, sample.p99_ms
        ));
        for warning in &sample.warnings {
            streams::tell(&format!("        warning: {warning}"));
        }
        measured.samples.push(sample);
        if let Some(service) = &stage.service {
            measured.finishes.push(service.finish(&load, round, connections)?);
        }
    }
    if let Some(service) = &stage.service {
        service.audit(args)?;
        if round == args.rounds && args.wants("memory") && contender == Contender::Claimrush {
            measured.memory = Some(memory::measure(service, load.granted)?);
        }
    }
    stage.end()
}
