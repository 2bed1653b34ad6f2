//! What runs beside the cores: the admin listener, the campaign watch, and what has to be done now and then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::Counter;
use redis::RedisError;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::core::{Shared, time_limits};
use crate::backoffice::campaigns::{Campaigns, LoadError};
use crate::datadir::{DataLock, RunInfo};
use crate::domain::ids::Shard;
use crate::http::admin::Admin;
use crate::http::cap::ConnectionCap;
use crate::http::listen::Listening;
use crate::ledger::{Ledger, LedgerError, ReceiptState};
use crate::limits;
use crate::redis::scripts::ScriptError;
use crate::redis::server::RedisWatch;
use crate::redis::{journal, pool, vitals};
use crate::telemetry::logging;
use crate::telemetry::metrics::{Metrics, UPKEEP_INTERVAL};
use crate::telemetry::repeated::Repeated;

/// How often the ledger is asked whether somebody changed the campaigns.
const CAMPAIGN_WATCH: Duration = Duration::from_millis(500);
/// How often the ledger is asked what operators must know of.
const LEDGER_WATCH: Duration = Duration::from_secs(5);
/// How often Redis is asked how it is.
const REDIS_WATCH: Duration = Duration::from_secs(1);
/// How long an admin request at hand may still take when the service stops.
const ADMIN_GRACE: Duration = Duration::from_secs(1);

/// Serves the admin listener until `stop`.
pub(super) async fn serve_admin(
    admin: Admin,
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    match TcpListener::from_std(listener) {
        Ok(listener) => {
            let listening = Listening {
                listener,
                handler: Arc::new(admin),
                cap: ConnectionCap::new(limits::ADMIN_CONNECTIONS_MAX),
                limits: time_limits(&shared.config.server),
                // The metrics are the public listener's, as are the caps that they stand beside.
                refused_total: Counter::noop(),
                address_refused_total: Counter::noop(),
            };
            listening.run(stop, ADMIN_GRACE).await;
        }
        Err(error) => tracing::error!(%error, "the admin listener cannot be used"),
    }
}

/// Loads what another front end, or an apply that Redis missed, left in the ledger; and compares a server that a
/// lane has met in the place of the trusted one.
pub(super) async fn watch_campaigns(campaigns: Arc<Campaigns>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(CAMPAIGN_WATCH);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut unfit, mut loading, mut recovering) =
        (Repeated::default(), Repeated::default(), Repeated::default());
    loop {
        let loaded = tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => campaigns.load_if_stale().await,
            () = campaigns.gate.trust.asked() => campaigns.load_anew().await,
        };
        let lost = campaigns.gate.drops().iter().any(|drop| drop.went_back());
        if let (Ok(()), true) = (&loaded, lost) {
            match campaigns.recover_proven(false).await {
                Err(error) if recovering.failed(&error) => {
                    tracing::warn!(%error, "a lost drop could not be made anew");
                }
                Ok(_) if recovering.went_well() => tracing::info!("lost drops can be made anew again"),
                _ => {}
            }
        }
        match loaded {
            Ok(()) => {
                if unfit.went_well() {
                    tracing::info!("Redis is set right, and is given claims again");
                }
                if loading.went_well() {
                    tracing::info!("campaigns can be loaded again");
                }
                continue;
            }
            Err(LoadError::Unfit(error)) if unfit.failed(&error) => {
                tracing::error!(%error, "Redis is given no claims as it is set");
            }
            Err(LoadError::Unfit(_)) => {}
            Err(error) if loading.failed(&error) => tracing::warn!(%error, "campaigns could not be loaded"),
            Err(_) => {}
        }
        // Lanes ask again fifty times a second; a ledger or a Redis that is down is not to be asked as often.
        if stop.run_until_cancelled(tokio::time::sleep(CAMPAIGN_WATCH)).await.is_none() {
            return;
        }
    }
}

/// Keeps `run.json` true when the managed Redis is started again. Never ends.
pub(super) async fn follow_redis(
    mut redis: RedisWatch,
    lock: &DataLock,
    mut info: RunInfo,
    metrics: &Metrics,
) {
    loop {
        info.redis_pid = Some(redis.restarted().await);
        metrics.redis_restarts_total.increment(1);
        if let Err(error) = lock.write_run_info(&info) {
            tracing::warn!(%error, "run.json is out of date");
        }
    }
}

/// Keeps the gauges of the ledger true, which other front ends, drains and operators change too.
pub(super) async fn watch_ledger(ledger: Arc<dyn Ledger>, shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(LEDGER_WATCH);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let counts =
            async { Ok::<_, LedgerError>((ledger.receipt_counts().await?, ledger.quarantine_open().await?)) };
        let counted = counts.await;
        shared.metrics.ledger_up.set(f64::from(u8::from(counted.is_ok())));
        // A ledger that is down is told of elsewhere.
        let Ok((counts, quarantined)) = counted else { continue };
        shared.metrics.quarantine_entries.set(quarantined as f64);
        for (state, count) in ReceiptState::ALL.iter().zip(counts.by_state()) {
            shared.metrics.orphan_receipts.of(state.as_str()).set(count as f64);
        }
    }
}

/// Keeps the gauges of Redis true that nothing else needs, and has it given no claims when somebody changes settings on which
/// they rely.
pub(super) async fn watch_redis(campaigns: Arc<Campaigns>, shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(REDIS_WATCH);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut before: Option<(Instant, f64)> = None;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let asked = async {
            campaigns.check_settings().await?;
            let mut connection = pool::checkout(&campaigns.pool).await?;
            let vitals = vitals::read(&mut connection, Shard::FIRST).await?;
            Ok::<_, ScriptError>((vitals, journal::refuses_writes(&mut connection, Shard::FIRST).await))
        };
        // A Redis that is down is told of elsewhere.
        let Ok((vitals, refused)) = asked.await else { continue };
        note_writes(&shared, refused.as_ref());
        let (metrics, now) = (&shared.metrics, Instant::now());
        metrics.redis_commands_per_second.set(vitals.commands_per_second);
        metrics.redis_clients.set(vitals.clients);
        metrics.redis_replicas.set(vitals.replicas);
        metrics.redis_append_ok.set(f64::from(u8::from(vitals.append_ok)));
        if let Some((then, cpu_seconds)) = before {
            // A server that was started again counts from zero.
            let used = (vitals.cpu_seconds - cpu_seconds).max(0.0);
            metrics.redis_cpu_cores.set(used / now.duration_since(then).as_secs_f64().max(0.001));
        }
        before = Some((now, vitals.cpu_seconds));
        let now_ms = shared.gate.redis_now_ms(shared.clock.now_ms());
        let waits_ms = vitals.oldest_ms.map_or(0, |oldest_ms| now_ms.saturating_sub(oldest_ms).max(0));
        metrics.journal_oldest_seconds.set(waits_ms as f64 / 1_000.0);
    }
}

/// Notes whether Redis takes writes, and tells when that is news.
fn note_writes(shared: &Shared, refused: Option<&RedisError>) {
    shared.metrics.redis_writable.set(f64::from(u8::from(refused.is_none())));
    if shared.gate.set_refuses_writes(refused.is_some()) {
        if let Some(error) = refused {
            tracing::error!(%error, "Redis answers and takes no writes: no claim can be granted");
        } else {
            tracing::info!("Redis takes writes again");
        }
    }
}

/// What has to be done now and then: histograms, limiter keys, gauges.
pub(super) async fn upkeep(shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    let mut limits_done_at = Instant::now();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let metrics = &shared.metrics;
        metrics.upkeep();
        metrics.log_lines_lost_total.absolute(logging::lines_lost());
        if limits_done_at.elapsed() >= limits::RATE_UPKEEP_INTERVAL {
            shared.guard.upkeep();
            limits_done_at = Instant::now();
        }
        let (persons, addresses) = shared.guard.keys();
        metrics.limiter_keys.of("person").set(persons as f64);
        metrics.limiter_keys.of("address").set(addresses as f64);
        metrics.limiter_keys_max.set(shared.config.limits.keys_max as f64);
        metrics.connections.set(shared.cap.open() as f64);
        metrics.connections_max.set(shared.cap.max() as f64);
        metrics.redis_clock_offset_seconds.set(shared.gate.redis_now_ms(0) as f64 / 1_000.0);
    }
}
