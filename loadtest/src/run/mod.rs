//! One rehearsal from its scenario to its verdict.
//!
//! Owns the order: read and check everything, load, judge, write, audit, write. What each step does is elsewhere; the load
//! itself is [`course`]'s.

mod args;
pub(crate) mod course;
mod crew;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

pub use self::args::RunArgs;
use self::course::{Course, Makers, Ran};
use crate::{
    audit::{self, AuditBaseline, AuditPlan, LookupLimits, PersonTickets, ServiceAccess},
    engine::{
        Supply,
        stock::{Clerk, Stock},
    },
    live::Mode,
    outfile, outputs,
    results::{AuditResult, DeskResult},
    scenario::{self, Scenario, Tickets},
    schedule::TicketSort,
    streams, thresholds,
    ticket_desk::{self, Everybody},
};

/// The exit code of a run that says nothing about the service.
const INVALID_RUN: u8 = 3;
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
    let _taken = outfile::take(&folder)?;
    outputs::remove_all(&folder)?;
    let claims_log = args.claims_log.clone().unwrap_or_else(|| folder.join(outputs::CLAIMS_FILE));

    let (supply, desk) = supply(&scenario, &|line| {
        if !args.quiet {
            streams::tell(&format!("ticket desk: {line}"));
        }
    })?;
    let baseline = baseline(args, &scenario)?;
    let course = Course {
        scenario: &scenario,
        makers: makers(args)?,
        claims_log: Some(&claims_log),
        cpu_of: &args.cpu_of,
        mode: Mode::choose(args.quiet, args.plain),
    };
    let for_audit = args.audit.then(|| supply.clone());
    let Ran { mut results, tally, halted, signals } = match course.run(supply)? {
        Ok(outcome) => outcome,
        Err(why) => return Ok(invalid(&why)),
    };

    results.desk = desk;
    results.set_thresholds(thresholds::evaluate(&scenario.thresholds, &results));
    if args.audit && halted {
        tell(args, "left out: the run was ended at once");
    } else if let Some(supply) = for_audit {
        // Whatever becomes of the audit, what the load has shown is not lost.
        if let Err(error) = outputs::write_all(&folder, &results.not_audited_yet(), &tally) {
            streams::print(&outputs::text(&results.not_audited_yet()))?;
            return Err(error);
        }
        // From here on a signal ends the process.
        drop(signals);
        let tickets = tickets(&scenario, supply, tally.last_answer);
        let audited = tickets.and_then(|tickets| {
            let plan = plan(args, &scenario, &claims_log, tickets, baseline);
            audit::run(&plan, &|line| tell(args, line))
        });
        results.set_audit(audited.unwrap_or_else(|error| AuditResult::not_made(&error)));
    }
    let written = outputs::write_all(&folder, &results, &tally);
    let place =
        written.as_ref().map_or_else(|_| String::new(), |()| format!("results      {}\n", folder.display()));
    // What cannot be written is told all the same.
    written.and(streams::print(&(outputs::text(&results) + &place)))?;
    Ok(results.verdict.exit_code)
}

/// What the run's tickets are made of; those of the desk are fetched now.
pub(crate) fn supply(scenario: &Scenario, tell: &dyn Fn(&str)) -> Result<(Supply, Option<DeskResult>)> {
    if !matches!(scenario.tickets, Tickets::Desk { .. }) {
        return Ok((Supply::read(&scenario.tickets)?, None));
    }
    let Everybody { supply, desk } = ticket_desk::everybody(scenario, tell)?;
    Ok((supply, Some(desk)))
}

fn makers(args: &RunArgs) -> Result<Makers<'_>> {
    if args.workers.is_empty() {
        return Ok(Makers::Here(args.threads));
    }
    let token_file = args.token_file.as_deref().context("--workers needs --token-file")?;
    Ok(Makers::Fleet { addresses: &args.workers, token_file })
}

/// Says why there are no results, and gives the exit code of that.
pub(crate) fn invalid(why: &str) -> u8 {
    streams::tell(&format!("INVALID RUN: {why}"));
    INVALID_RUN
}

fn tell(args: &RunArgs, line: &str) {
    if !args.quiet {
        streams::tell(&format!("audit: {line}"));
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
