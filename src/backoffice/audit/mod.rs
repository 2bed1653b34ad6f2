//! `claimrush audit`: the promises, Redis against ledger, while the service runs or is stopped.
//!
//! Owns what is compared with what. Reads alone: it changes nothing in Redis or ledger, and names no person. Looks
//! for one moment at which both can be compared (`moment`), walks over all claims (`holders`), and says for each
//! promise whether it holds (`checks`).

mod access;
pub mod args;
mod checks;
mod claims_log;
mod holders;
mod moment;
mod print;
mod quarantine;
mod receipts;
pub mod report;
mod tail;
pub mod verify;

use redis::aio::MultiplexedConnection;

use self::access::Access;
use self::args::{AuditArgs, AuditCommand};
use self::checks::{Persons, Several};
use self::claims_log::ClaimsLog;
use self::holders::{Present, Walk, Walked};
use self::moment::Moment;
use self::print::Printer;
use self::report::Report;
use super::campaigns::once;
use crate::config::Config;
use crate::domain::ids::Shard;
use crate::exit::{Exit, Failure, print};
use crate::ledger::{Ledger, LedgerError};
use crate::limits;
use crate::redis::scripts::ScriptError;
use crate::signals::Signals;

/// How often the whole comparison is made again because a campaign was changed in the middle of it.
const COMPARISONS_MAX: u32 = 3;

/// Why an audit came to no result.
#[derive(Debug, thiserror::Error)]
enum AuditError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Redis cannot be read.
    #[error(transparent)]
    Redis(#[from] ScriptError),
    /// The claims log cannot be read.
    #[error("claims log: {0}")]
    Log(String),
    /// No moment was found at which nothing was being changed.
    #[error("campaigns or the ledger changed too fast to be compared; try again")]
    Restless,
}

impl From<redis::RedisError> for AuditError {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(error.into())
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        let exit = match error {
            // A ledger that contradicts itself is a finding, not an absence.
            AuditError::Ledger(LedgerError::Corrupt(_)) | AuditError::Log(_) => Exit::Failed,
            AuditError::Ledger(_) | AuditError::Redis(_) | AuditError::Restless => Exit::Unavailable,
        };
        Self::new(exit, error.to_string())
    }
}

/// Audits and prints; [`Exit::Ok`] when every promise holds, [`Exit::Failed`] when one is broken.
///
/// # Errors
/// [`Failure`] with what could not be reached or read.
pub async fn run(config: Config, args: AuditArgs) -> Result<Exit, Failure> {
    if let Some(AuditCommand::Verify(args)) = &args.command {
        return verify::run(&config, args).await;
    }
    let mut signals = Signals::install()?;
    let mut access = Access::open(&config).await?;
    let audited = tokio::select! {
        audited = audit(&mut access, &args) => audited.map_err(Failure::from),
        () = signals.first() => Err(Failure::new(Exit::Failed, "interrupted")),
    };
    access.close(&config).await;
    let report = audited?;
    let text = if args.json {
        report.to_json().map_err(|error| Failure::new(Exit::Failed, error.to_string()))?
    } else {
        report.to_table()
    };
    print(&text)?;
    Ok(if report.ok { Exit::Ok } else { Exit::Failed })
}

async fn audit(access: &mut Access, args: &AuditArgs) -> Result<Report, AuditError> {
    for _ in 1..COMPARISONS_MAX {
        let (report, revision) = compare(access, args).await?;
        // Limits and stocks that are changed meanwhile look like differences.
        if report.ok || access.ledger.revision().await? == revision {
            return Ok(report);
        }
    }
    Ok(compare(access, args).await?.0)
}

/// One whole comparison, and the revision of the campaigns that it was made with.
async fn compare(access: &mut Access, args: &AuditArgs) -> Result<(Report, u64), AuditError> {
    let ledger: &dyn Ledger = access.ledger.as_ref();
    let log = args.claims_log.as_deref().map(ClaimsLog::open).transpose()?;
    let printer = Printer::default();
    let moment = moment::find(&mut access.redis, ledger, Shard::FIRST, &printer, access.live).await?;
    let present = log.is_some().then(Present::default);
    let walked = walk(&mut access.redis, ledger, &printer, &moment, present).await?;
    let logged = match (log, &walked.present) {
        (Some(log), Some(present)) => Some(log.compare(&moment, present, Shard::FIRST)?),
        _ => None,
    };
    let shown = u32::try_from(limits::AUDIT_DIFFERENCES_SHOWN + 1).unwrap_or(u32::MAX);
    let mut persons = Vec::with_capacity(moment.drops.len());
    for drop in &moment.drops {
        persons.push(Persons {
            drop: drop.number,
            over_limit: ledger.over_limit(drop.number, drop.spec.limit_per_person, shown).await?,
            repeated_marks: ledger.repeated_marks(drop.number, shown).await?,
        });
    }
    let mut several = Vec::new();
    for record in &moment.standing.catalogue.campaigns {
        let campaign = record.campaign.id.clone();
        if let Some(since_ms) = once::since_ms(ledger, &campaign).await? {
            let persons = ledger.in_several_drops(&campaign, since_ms, shown).await?;
            several.push(Several { campaign, persons });
        }
    }
    let verified = ledger.verify_chain().await?;
    let kept = match &args.head {
        Some(hash) => Some((hash.as_str(), verify::record_of(ledger, hash).await?)),
        None => None,
    };
    let checks = vec![
        checks::stock(&moment),
        checks::claims(&walked, logged.as_ref()),
        checks::numbers(&moment),
        checks::limit(&moment, &walked, &persons, &several),
        checks::money(&moment),
        checks::idempotency(&moment, &walked, &persons),
        checks::chain(&verified, kept),
        quarantine::quarantine(ledger, &moment).await?,
        checks::frozen(&moment),
        receipts::receipts(ledger).await?,
    ];
    let report = Report {
        ok: checks.iter().all(|check| check.ok),
        checks,
        head: verified.map(|head| head.hash).unwrap_or_default(),
        drops: checks::drop_lines(&moment),
    };
    Ok((report, moment.standing.catalogue.revision))
}

async fn walk(
    redis: &mut MultiplexedConnection,
    ledger: &dyn Ledger,
    printer: &Printer,
    moment: &Moment,
    present: Option<Present>,
) -> Result<Walked, AuditError> {
    let walked = Walked { present, ..Walked::default() };
    let mut walk = Walk { redis, ledger, shard: Shard::FIRST, printer, walked };
    for drop in &moment.drops {
        walk.drop(drop).await?;
    }
    Ok(walk.walked)
}
