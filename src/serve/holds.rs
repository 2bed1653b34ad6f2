//! Holds: the secrets of payment callbacks, the desk that the cores ask, the sweep, and the count of late payments.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::core::Shared;
use crate::backoffice::campaigns::Campaigns;
use crate::backoffice::holds::{HoldDesk, Holds};
use crate::backoffice::standing::StandingDesk;
use crate::config::{Config, HoldsConfig};
use crate::domain::webhook::WebhookSecrets;
use crate::exit::{Exit, Failure};
use crate::infile;
use crate::ledger::LateOpen;
use crate::limits;
use crate::telemetry::metrics::Metrics;

/// How often the gauges are set.
const COUNT_EVERY: Duration = Duration::from_secs(2);

/// What the cores need for holds.
#[derive(Clone)]
pub(super) struct ForCores {
    pub(super) desk: HoldDesk,
    pub(super) standing: StandingDesk,
    pub(super) payments: Option<WebhookSecrets>,
    pub(super) tolerance_ms: i64,
}

/// Opens them.
pub(super) fn open(
    config: &Config,
    campaigns: &Arc<Campaigns>,
    metrics: &Arc<Metrics>,
) -> Result<(Arc<Holds>, ForCores), Failure> {
    let HoldsConfig { payment_secret_file, callback_tolerance_s } = &config.holds;
    let tolerance_ms = i64::try_from(*callback_tolerance_s).unwrap_or(0).saturating_mul(1_000);
    let (holds, work) = Holds::new(Arc::clone(campaigns), Arc::clone(metrics));
    // It ends with the last front end.
    tokio::spawn(work);
    let holds = Arc::new(holds);
    let cores = ForCores {
        desk: HoldDesk::new(Arc::clone(&holds), Handle::current()),
        standing: StandingDesk::new(Arc::clone(&campaigns.ledger), Handle::current()),
        payments: secrets(payment_secret_file)?,
        tolerance_ms,
    };
    Ok((holds, cores))
}

/// The secrets that payment callbacks are signed with; none without a file.
pub(super) fn secrets(path: &Path) -> Result<Option<WebhookSecrets>, Failure> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let refuse = |what: String| {
        Failure::new(Exit::Config, format!("config: holds.payment_secret_file: {}: {what}", path.display()))
    };
    let text =
        infile::read_text(path, limits::KEY_FILE_BYTES_MAX).map_err(|error| refuse(error.to_string()))?;
    WebhookSecrets::parse(&text).map(Some).map_err(|flaw| refuse(flaw.to_string()))
}

/// Keeps the gauges of late payments true, which other front ends and operators change too, and that of overdue holds,
/// which has to grow when nobody sweeps.
pub(super) async fn watch(holds: Arc<Holds>, shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(COUNT_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        shared.metrics.hold_overdue_seconds.set(holds.overdue().as_secs_f64());
        // A ledger that is down is told of elsewhere. One that hangs must not keep the other gauge from growing.
        let asked = tokio::time::timeout(COUNT_EVERY, holds.late_open()).await;
        let Ok(Ok(LateOpen { count, oldest_at_ms })) = asked else { continue };
        shared.metrics.late_payments.set(count as f64);
        let age_ms = oldest_at_ms.map_or(0, |at_ms| shared.clock.now_ms().saturating_sub(at_ms).max(0));
        shared.metrics.late_payment_oldest_seconds.set(age_ms as f64 / 1_000.0);
    }
}
