//! One rehearsal from its scenario to its verdict.
//!
//! Owns the order: read and check everything, connect, let go, show, count, judge, audit, write. What each step
//! does is elsewhere.

mod args;
mod crew;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

pub use self::args::RunArgs;
use self::crew::{Harvest, Prepared, Running};
use crate::{
    audit::{self, AuditBaseline, AuditPlan, LookupLimits, PersonTickets, ServiceAccess},
    cpu::{self, CpuWatch},
    engine::{
        Job, Place, Supply,
        stock::{Clerk, Stock},
    },
    live::{Mode, Options, Reading, Stop, View},
    outputs,
    results::{Circumstances, Environment, Results},
    scenario::{self, Arrivals, Scenario},
    schedule::{self, TicketSort},
    thresholds,
};

/// The exit code of a run that says nothing about the service.
const INVALID_RUN: u8 = 3;
/// How often the view is told.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// What somebody without a screen is told after the first signal.
const STOPPING: &str = "stopping: nobody is let in any more, and the answers under way are waited for; a second signal \
     (Ctrl-C) ends the run at once, and it counts as invalid";
/// The same after the second.
const HALTING: &str = "ending at once: what became of the requests under way is not known";
/// How often the end of the run is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long the audit after the load may take.
const AUDIT_WAIT: Duration = Duration::from_secs(600);
/// How long the ledger may be read before the load.
const BASELINE_WAIT: Duration = Duration::from_secs(120);
/// How long the ledger may stand still before what is missing in it counts as lost.
const DRAIN_WAIT: Duration = Duration::from_secs(15);

/// Runs a scenario, writes its results, and gives the exit code of its verdict.
///
/// # Errors
/// Something that the run needs is missing or wrong, or an output cannot be written.
pub fn run(args: &RunArgs) -> Result<u8> {
    let scenario = scenario::load(&args.scenario, &args.overrides())?;
    let folder = args.folder(&scenario);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let claims_log = args.claims_log.clone().unwrap_or_else(|| folder.join("claims.jsonl"));

    let job = job(args, &scenario)?;
    let supply = job.supply.clone();
    let baseline = baseline(args, &scenario)?;
    let (prepared, threads) = crew::prepare(args, job, &claims_log)?;
    if prepared.open_connections() == 0 {
        return Ok(invalid(&format!("nothing accepts connections at {}", scenario.service.url)));
    }
    let (harvest, around) = match watch(args, &scenario, prepared, threads)? {
        Ok(watched) => watched,
        Err(why) => return Ok(invalid(&why)),
    };

    let halted = around.halted;
    let mut results = Results::new(&scenario, &harvest.tally, around)?;
    results.set_thresholds(thresholds::evaluate(&scenario.thresholds, &results));
    if args.audit && halted {
        tell(args, "left out: the run was ended at once");
    } else if args.audit {
        let tickets = tickets(&scenario, supply, harvest.tally.last_answer)?;
        let plan = plan(args, &scenario, &claims_log, tickets, baseline);
        results.set_audit(audit::run(&plan, &|line| tell(args, line))?);
    }
    outputs::write_all(&folder, &results, &harvest.tally)?;
    print!("{}", outputs::text(&results));
    println!("results      {}", folder.display());
    Ok(results.verdict.exit_code)
}

/// Says why there are no results.
fn invalid(why: &str) -> u8 {
    eprintln!("INVALID RUN: {why}");
    INVALID_RUN
}

fn tell(args: &RunArgs, line: &str) {
    if !args.quiet {
        eprintln!("audit: {line}");
    }
}

fn job(args: &RunArgs, scenario: &Scenario) -> Result<Job> {
    let trace = match &scenario.arrivals {
        Arrivals::Trace { file, .. } => Some(schedule::read_trace(file)?),
        _ => None,
    };
    let supply = Supply::read(&scenario.tickets)?;
    let place = Place { first: 0, of: 1 };
    Ok(Job { scenario: scenario.clone(), supply, trace, place, threads: args.threads.unwrap_or(1) })
}

/// Lets the crew go and shows the run until its end. The inner error is a run that was not carried through.
fn watch(
    args: &RunArgs,
    scenario: &Scenario,
    prepared: Prepared,
    threads: usize,
) -> Result<Result<(Harvest, Circumstances), String>> {
    let connections = prepared.open_connections();
    let environment = Environment::of_this_machine();
    let mut view = View::start(Options {
        mode: Mode::choose(args.quiet, args.plain),
        title: scenario.name.clone(),
        target: scenario.service.url.clone(),
        planned: prepared.planned(),
        scrape: Some(scenario.into()),
    })?;
    let processes = CpuWatch::start(&args.cpu_of)?;
    let own_before = cpu::used_by_self();
    let began = Instant::now();
    let running = prepared.start()?;
    let mut tell_at = began;
    let mut asked = Stop::No;
    while !running.is_finished() {
        let asks = view.asked_to_stop();
        if asks != asked {
            asked = asks;
            heed(asked, &running, &view);
        }
        if Instant::now() >= tell_at {
            if let Some(meter) = running.meter() {
                view.tell(&Reading::of(meter, began.elapsed(), connections));
            }
            tell_at += TELL_EVERY;
        }
        thread::sleep(LOOK_EVERY);
    }
    view.finish();
    let window = began.elapsed();
    let harvest = match running.join(own_before) {
        Ok(harvest) => harvest,
        Err(error) => return Ok(Err(format!("{error:#}"))),
    };
    let around = Circumstances {
        environment,
        threads,
        connections,
        generator: harvest.cpu,
        watched: processes.since(),
        window,
        workers: harvest.workers.clone(),
        halted: asked == Stop::Now,
    };
    Ok(Ok((harvest, around)))
}

/// Does what somebody at the terminal asks for.
fn heed(asked: Stop, running: &Running, view: &View) {
    match asked {
        Stop::No => {}
        Stop::Gently => {
            view.say(STOPPING);
            running.stop();
        }
        Stop::Now => {
            view.say(HALTING);
            running.halt();
        }
    }
}

fn access(args: &RunArgs) -> Option<ServiceAccess> {
    let binary = args.service_bin.clone()?;
    Some(ServiceAccess { binary, data: args.service_data.clone(), config: args.service_config.clone() })
}

/// What the ledger holds before the run, so that the audit knows what came by it.
fn baseline(args: &RunArgs, scenario: &Scenario) -> Result<Option<AuditBaseline>> {
    let Some(access) = access(args) else { return Ok(None) };
    AuditBaseline::take(&access, &drops(scenario), Instant::now() + BASELINE_WAIT).map(Some)
}

/// The tickets of the run's persons, as they had them.
fn tickets(scenario: &Scenario, supply: Supply, run: Duration) -> Result<Arc<dyn PersonTickets>> {
    let drops = drops(scenario);
    let names: Vec<_> = drops.iter().map(String::as_str).collect();
    let stock = Arc::new(Stock::new(supply, &names, run)?);
    Ok(Arc::new(move |person: u64, drop: &str| {
        let place = drops.iter().position(|known| known == drop).context("the drop is not of this run")?;
        let ticket = Clerk::new(Arc::clone(&stock))?.authorization(person, place, TicketSort::Valid)?;
        ticket.context("a good ticket is never missing")
    }))
}

fn drops(scenario: &Scenario) -> Vec<String> {
    scenario.drops.iter().map(|share| share.id.clone()).collect()
}

fn plan(
    args: &RunArgs,
    scenario: &Scenario,
    claims_log: &Path,
    tickets: Arc<dyn PersonTickets>,
    baseline: Option<AuditBaseline>,
) -> AuditPlan {
    AuditPlan {
        claims_log: PathBuf::from(claims_log),
        tickets,
        url: scenario.service.url.clone(),
        mine_path: scenario.service.mine_path.clone(),
        state_path: scenario.service.state_path.clone(),
        drops: drops(scenario),
        service: access(args),
        baseline,
        lookups: LookupLimits {
            lookups_max: args.audit_sample,
            seed: scenario.seed,
            ..LookupLimits::default()
        },
        deadline: AUDIT_WAIT,
        drain_wait: DRAIN_WAIT,
    }
}
