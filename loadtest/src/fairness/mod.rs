//! What people get of a drop when a farm comes too: a scenario without the guard and with it, in turn.
//!
//! Owns what "without the guard" means: no challenge, limits that refuse nothing, and identities that tell nothing but an
//! account. Signatures are checked in both. The service is started here, on an empty folder, for each turn.
//!
//! - `stage`: the service and its drop
//! - `page`, `chart`: medians as a table, and drawn

mod chart;
mod page;
mod stage;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

use self::stage::Stage;
use crate::{
    bench::{process, table},
    live::Mode,
    outfile, outputs,
    results::{DeskPart, Part, Results},
    run::{
        self,
        course::{Course, Makers},
    },
    scenario::{self, Arrivals, Scenario},
    schedule::Choices,
    streams,
    ticket_desk::identity,
};

/// The personas of the scenario whose shares are told.
const PEOPLE: &str = "people";
/// See [`PEOPLE`].
const FARM: &str = "farm";

/// A comparison without the guard and with it.
#[derive(Debug, Args)]
pub struct FairnessArgs {
    /// The service's binary
    #[arg(long, value_name = "PATH", default_value = "target/release/claimrush")]
    pub service_bin: PathBuf,
    /// The scenario: a spike with the personas `people` and `farm`, whose tickets come from the desk
    #[arg(long, value_name = "FILE", default_value = "loadtest/scenarios/bot-attack.toml")]
    pub scenario: PathBuf,
    /// People, and units of the drop
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub people: u64,
    /// Turns of each
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Numbers that a proof of work takes at most, for somebody who comes seldom
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub difficulty: u64,
    /// The folder for results and logs
    #[arg(long, value_name = "DIR", default_value = "fairness-out")]
    pub out: PathBuf,
    /// The page whose lines between `<!-- fairness: begin -->` and `<!-- fairness: end -->` are replaced
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,
    /// Where the chart is drawn, as SVG
    #[arg(long, value_name = "FILE")]
    pub chart: Option<PathBuf>,
}

/// What one turn showed.
#[derive(Debug, Clone, Serialize)]
pub struct Turn {
    /// Whether the guard was on.
    pub guarded: bool,
    /// Units of the drop: as many as people came.
    pub stock: u64,
    /// Units that people got.
    pub people_got: u64,
    /// Units that the farm got.
    pub farm_got: u64,
    /// Accounts of the farm.
    pub farm_accounts: u64,
    /// Tickets that the desk gave it.
    pub farm_tickets: u64,
    /// Of a hundred requests, so many were the farm's.
    pub farm_requests_percent: f64,
    /// People's response times, in milliseconds, from when they pressed.
    pub people_p99_ms: f64,
    /// Hashes that a ticket took one of the people, and an account of the farm; none where no work is asked for.
    pub hashes_each: [u64; 2],
    /// Why the run measures the generator rather than the service; empty if it does not.
    pub invalid_because: Vec<String>,
}

impl Turn {
    /// People's share of the stock, in percent.
    #[must_use]
    pub fn people_percent(&self) -> f64 {
        self.people_got as f64 * 100.0 / self.stock.max(1) as f64
    }

    fn of(results: &Results, guarded: bool, stock: u64) -> Result<Self> {
        let (people, farm) = (part(results, PEOPLE)?, part(results, FARM)?);
        let desk = |name: &str| -> Result<&DeskPart> {
            let mut parts = results.desk.iter().flat_map(|desk| &desk.personas);
            parts.find(|part| part.name == name).context("the tickets come from the desk")
        };
        let (people_desk, farm_desk) = (desk(PEOPLE)?, desk(FARM)?);
        let times = people.times.as_ref().context("people got no answers")?;
        Ok(Self {
            guarded,
            stock,
            people_got: people.granted,
            farm_got: farm.granted,
            farm_accounts: farm_desk.asked,
            farm_tickets: farm_desk.given,
            farm_requests_percent: farm.requests as f64 * 100.0 / results.total.requests.max(1) as f64,
            people_p99_ms: times.response.p99_ms,
            hashes_each: if guarded { [people_desk.hashes_each(), farm_desk.hashes_each()] } else { [0, 0] },
            invalid_because: results.verdict.invalid_because.clone(),
        })
    }
}

fn part<'a>(results: &'a Results, name: &str) -> Result<&'a Part> {
    let found = results.personas.iter().find(|persona| persona.name == name);
    Ok(&found.with_context(|| format!("the scenario has no persona {name}"))?.part)
}

/// Runs all turns, prints the table, and writes what was asked for.
///
/// # Errors
/// The service does not start, a run fails, or an output cannot be written.
pub fn run(args: &FairnessArgs) -> Result<()> {
    process::end_all_on_signal()?;
    let turns = measure(args)?;
    let markdown = page::markdown(&turns)?;
    let json = serde_json::to_string_pretty(&turns)? + "\n";
    outfile::write(&args.out.join("fairness.json"), json)?;
    if let Some(chart) = &args.chart {
        outfile::write(chart, chart::svg(&turns)?)?;
    }
    if let Some(page) = &args.page {
        table::insert(page, "fairness", &markdown)?;
    }
    streams::print(&(markdown + "\n"))
}

/// Runs all turns: without the guard and with it, after each other, so that a slow minute of the machine hits both.
///
/// # Errors
/// As those of [`run`].
pub fn measure(args: &FairnessArgs) -> Result<Vec<Turn>> {
    fs::create_dir_all(&args.out).with_context(|| format!("{}", args.out.display()))?;
    let out = args.out.canonicalize()?;
    let folder = tempfile::Builder::new().prefix("run-").tempdir_in(&out)?;
    let keys = folder.path().join("identities.json");
    identity::run(&identity::KeysArgs { out: keys.clone() })?;
    let mut turns = Vec::new();
    for round in 1..=args.rounds {
        for guarded in [false, true] {
            let name = format!("{}-{round}", if guarded { "on" } else { "off" });
            let guard = if guarded { "on" } else { "off" };
            streams::tell(&format!("round {round} of {}: guard {guard}", args.rounds));
            let turn = take_turn(args, folder.path(), &keys, guarded, &name);
            turns.push(turn.with_context(|| format!("round {round}, {name}"))?);
        }
    }
    Ok(turns)
}

fn take_turn(args: &FairnessArgs, folder: &Path, keys: &Path, guarded: bool, name: &str) -> Result<Turn> {
    let mut scenario = scenario(args, keys, guarded)?;
    let choices = Choices::new(&scenario);
    let people_at = scenario.personas.iter().position(|persona| persona.title() == PEOPLE);
    let arrivals = scenario.desk_persons().context("the tickets do not come from the desk")?;
    let stock = (0..arrivals).filter(|n| Some(choices.persona(*n)) == people_at).count() as u64;
    let stage = Stage::start(args, folder, keys, guarded, name)?;
    stage.open(&drop_of(&scenario)?, stock)?;
    scenario.service.url = format!("http://{}", stage.listen);
    let (supply, desk) = run::supply(&scenario, &|line| streams::tell(&format!("  desk: {line}")))?;
    let course = Course {
        scenario: &scenario,
        makers: Makers::Here(None),
        claims_log: None,
        cpu_of: &[],
        mode: Mode::choose(true, true),
    };
    let mut ran = course.run(supply)?.map_err(anyhow::Error::msg)?;
    ran.results.desk = desk;
    outputs::write_all(&args.out.join(name), &ran.results, &ran.tally)?;
    stage.end()?;
    let turn = Turn::of(&ran.results, guarded, stock)?;
    streams::tell(&format!(
        "  people got {} of {stock}, the farm {} with {} tickets; people's p99 {:.1} ms",
        turn.people_got, turn.farm_got, turn.farm_tickets, turn.people_p99_ms
    ));
    Ok(turn)
}

fn drop_of(scenario: &Scenario) -> Result<String> {
    Ok(scenario.drops.first().context("a scenario has a drop")?.id.clone())
}

/// The scenario with as many people as asked for, at the pace of the file.
fn scenario(args: &FairnessArgs, keys: &Path, guarded: bool) -> Result<Scenario> {
    let shipped = scenario::load(&args.scenario, &[])?;
    let weight =
        |name: &str| shipped.personas.iter().find(|it| it.title() == name).map(|it| u64::from(it.weight));
    let people_weight = weight(PEOPLE).with_context(|| format!("the scenario has no persona {PEOPLE}"))?;
    let all: u64 = shipped.personas.iter().map(|persona| u64::from(persona.weight)).sum();
    let come = args.people.saturating_mul(all) / people_weight.max(1);
    let Arrivals::Spike { people, reaction, .. } = shipped.arrivals else {
        anyhow::bail!("{}: its arrivals are no spike", args.scenario.display())
    };
    let reaction_ms = reaction.as_millis() as f64 * come as f64 / people.max(1) as f64;
    let farm_at = shipped.personas.iter().position(|persona| persona.title() == FARM);
    let farm_at = farm_at.with_context(|| format!("the scenario has no persona {FARM}"))?;
    let mut overrides = vec![
        format!("arrivals.people={come}"),
        format!("arrivals.reaction=\"{}ms\"", reaction_ms.max(50.0).round()),
        format!("tickets.identity_keys={}", keys.display()),
    ];
    if !guarded {
        overrides.push(format!("persona.{farm_at}.identity.accounts_per_phone=0"));
    }
    let scenario = scenario::load(&args.scenario, &overrides)?;
    ensure!(scenario.desk_persons() == Some(come), "tickets.persons must not be set in this scenario");
    Ok(scenario)
}
