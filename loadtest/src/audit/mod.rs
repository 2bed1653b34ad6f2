//! The audit after the load: every claim that a client was told of is looked up from outside.
//!
//! Owns what is compared with what. Reads alone: over the public API as clients do, and by the service's own
//! commands. Nothing of it runs during the load. What could not be checked is said to be left out; it never counts
//! as kept. Names persons by their number in the run alone.
//!
//! - `seen`: what the claims log says
//! - `lookup`, `service`: how the service is asked
//! - `told`, `outside`: what clients were told, beside itself and beside what the public API shows
//! - `ledger`: the same beside the ledger

mod findings;
mod ledger;
mod lookup;
mod outside;
mod seen;
mod service;
mod tickets;
mod told;

use std::{
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::runtime::Runtime;

use self::{findings::Findings, ledger::LedgerAudit, lookup::Desk, outside::Outside, seen::Seen};
pub use self::{
    service::{AuditBaseline, ServiceAccess, ServiceAudit},
    tickets::PersonTickets,
};
use crate::results::{AuditCheck, AuditResult};

/// Of the time for the audit, lookups take at most this share where the ledger is to be looked at too.
const LOOKUP_SHARE: f64 = 0.75;

/// No audit takes longer than this, whatever its plan says.
const DEADLINE_MAX: Duration = Duration::from_secs(24 * 3_600);

/// What is audited, and how.
pub struct AuditPlan {
    /// The claims log of the run.
    pub claims_log: PathBuf,
    /// The tickets of the persons whose numbers stand in the claims log.
    pub tickets: Arc<dyn PersonTickets>,
    /// The service's public address, as `http://host:port`.
    pub url: String,
    /// The path of a person's own claims; `{drop}` stands for the drop's id.
    pub mine_path: String,
    /// The path of a drop's public state; `{drop}` stands for the drop's id.
    pub state_path: String,
    /// The ids of the run's drops.
    pub drops: Vec<String>,
    /// The service's binary and data, for the checks of the ledger; without it they are left out.
    pub service: Option<ServiceAccess>,
    /// What the ledger held before the run; without it nobody can tell what is too much in it.
    pub baseline: Option<AuditBaseline>,
    /// How the public API is asked.
    pub lookups: LookupLimits,
    /// How long all of it may take; at most a day. Where there are more persons than can be looked up in it, a sample is.
    pub deadline: Duration,
    /// How long the ledger may stand still, with claims missing in it, until they count as lost.
    pub drain_wait: Duration,
}

/// How the public API is asked. A 429 or 503 is obeyed whatever stands here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupLimits {
    /// The most lookups a second.
    pub per_second: u32,
    /// Connections, each with one lookup at a time; 1 to 256.
    pub connections: usize,
    /// The most persons that are looked up, for claims and for unknown outcomes each: a sample where there are
    /// more. None: all of them, as far as the time allows.
    pub lookups_max: Option<usize>,
    /// Chooses the sample.
    pub seed: u64,
}

impl Default for LookupLimits {
    /// All, at a rate below the 500 a second that one address has by the service's defaults.
    fn default() -> Self {
        Self { per_second: 400, connections: 8, lookups_max: None, seed: 1 }
    }
}

/// Audits a run that is over. `progress` is told, in a line each, what is being done.
///
/// Not to be called inside an asynchronous runtime: it has one of its own.
///
/// # Errors
/// The plan or the claims log is bad, or the service does not answer at all. Everything else is a check that fails.
pub fn run(plan: &AuditPlan, progress: &dyn Fn(&str)) -> Result<AuditResult> {
    check_drops(&plan.drops)?;
    runtime()?.block_on(audit(plan, progress))
}

fn check_drops(drops: &[String]) -> Result<()> {
    ensure!(!drops.is_empty(), "an audit needs the drops of its run");
    for (place, drop) in drops.iter().enumerate() {
        let before = drops.iter().take(place);
        ensure!(!before.into_iter().any(|other| other == drop), "drop {drop} is named twice");
    }
    Ok(())
}

fn runtime() -> Result<Runtime> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.context("no runtime for the audit")
}

/// What the audit has come to so far.
#[derive(Default)]
struct Verdicts {
    checks: Vec<AuditCheck>,
    left_out: Vec<String>,
}

async fn audit(plan: &AuditPlan, progress: &dyn Fn(&str)) -> Result<AuditResult> {
    let began = Instant::now();
    let deadline = plan.deadline.min(DEADLINE_MAX);
    let until = began + deadline;
    let lookups_until = if plan.service.is_some() { began + deadline.mul_f64(LOOKUP_SHARE) } else { until };
    let seen = Seen::read(&plan.claims_log, &plan.drops)?;
    progress(&format!("{} answers with a claim, {} unknown outcomes", seen.told.len(), seen.unknown));
    let desk = Rc::new(Desk::new(plan, lookups_until)?);
    let states = desk.states().await?;
    let outside = Outside { plan, seen: &seen, states: &states, desk, progress };
    let mut verdicts = Verdicts::default();

    verdicts.checks.push(told::seen_once(&seen, plan, &states));
    verdicts.left_out.extend(told::limits_not_known(plan, &states));
    let (found, no_time_for_owners) = outside.found_by_owner().await;
    let (settled_check, no_time_for_unknown, settled) = outside.unknown_settled().await;
    verdicts.left_out.extend(no_time_for_owners.into_iter().chain(no_time_for_unknown));
    told::granted_within_stock(plan, &seen, &settled, &states, &mut verdicts);
    verdicts.checks.extend([found, settled_check]);
    match &plan.service {
        Some(service) => {
            let ledger = LedgerAudit::new(plan, &seen, &settled, progress);
            ledger.audit(service, until, &mut verdicts).await;
            audit_of_service(plan, service, until, progress, &mut verdicts).await;
        }
        None => verdicts.left_out.push(format!(
            "{}, service.*: no service binary was given, so the ledger was not looked at",
            ledger::CHECKS.join(", ")
        )),
    }
    let Verdicts { checks, left_out } = verdicts;
    Ok(AuditResult { ok: checks.iter().all(|check| check.ok), checks, left_out })
}

/// The service's own audit, check by check.
async fn audit_of_service(
    plan: &AuditPlan,
    service: &ServiceAccess,
    until: Instant,
    progress: &dyn Fn(&str),
    verdicts: &mut Verdicts,
) {
    progress("the service audits Redis, ledger and money");
    match service.audit(&plan.claims_log, until).await {
        Ok(checks) => verdicts.checks.extend(checks),
        Err(error) => {
            let mut found = Findings::default();
            found.add(|| format!("it came to no result: {error:#}"));
            let (promise, compared) =
                ("The service's own audit holds.", "Redis, ledger, money and claims log");
            verdicts.checks.push(found.into_check(
                "service.audit",
                promise,
                compared.to_owned(),
                String::new(),
            ));
        }
    }
}
