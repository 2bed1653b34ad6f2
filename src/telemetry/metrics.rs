//! Every metric of the program, in one declared struct.
//!
//! Owns names and help texts: a field's name is the metric's name without the prefix `claimrush_`, its doc the
//! help text. Units stand last and are base units (seconds, bytes, claims, entries). Handles are cheap to clone;
//! a counter costs some 5 ns (20 ns when two cores fight for it), a histogram some 20 to 60 ns and 8 ns at
//! upkeep, which is why what is recorded once a claim has a series for each core.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusHandle};

use super::instruments::{Registry, instruments};
use crate::limits::DROPS_MAX;

pub use super::instruments::{Counters, Gauges, PerCore};

/// How often [`Metrics::upkeep`] is due. Histograms keep 16 bytes a sample until then: at 100,000 claims/s and
/// two samples a claim some 3 MB.
pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The most cores that have a gauge of their own.
const CORE_SERIES_MAX: usize = 1_024;

/// The rules of eligibility, in the order of their indices: the domain's words, which a test compares.
pub(crate) const RULES: &[&str] = &[
    "region",
    "account_age",
    "allow_list",
    "one_per_campaign",
    "cool_down",
    "union",
    "address_region",
    "address_unknown",
];

/// How a hold can end, in the order of their indices.
pub(crate) const HOLD_OUTCOMES: &[&str] = &["confirmed", "cancelled", "lapsed", "late_payment"];

/// The most shards that have a gauge of their own.
const SHARD_SERIES_MAX: usize = 1_024;

instruments! {
    /// The instruments; [`Metrics`] makes them and renders them.
    #[derive(Debug)]
    pub struct Instruments(refusal_codes: &'static [&'static str], cores: usize) {
        /// Claims granted by Redis: decided, and journalled there.
        claims_decided_total: Counter,
        /// Claims committed to the ledger.
        claims_durable_total: Counter,
        /// Claims answered again with what was granted before.
        claim_replays_total: Counter,
        /// Steps of vouchers that tills had written: redemptions, reversals, refunds.
        voucher_steps_total: Counter,
        /// Vouchers that expired unused.
        vouchers_expired_total: Counter,
        /// Requests refused, by the problem code that the client saw.
        refusals_total: Counters["code": refusal_codes],
        /// Claim requests refused, by the problem code that the client saw.
        claim_refusals_total: Counters["code": refusal_codes],
        /// Time from a claim request's header to its answer, whatever it is, by the core that served it.
        request_seconds: PerCore["core": cores],

        /// Time a claim waited between its arrival and its batch, by the core that served it.
        queue_wait_seconds: PerCore["core": cores],
        /// Claims waiting for a batch, by the core that serves them, as of its last batch.
        queue_claims: Gauges["core": CORE_SERIES_MAX],
        /// Claims in one script call.
        batch_claims: Histogram,
        /// Script calls in flight now.
        inflight_batches: Gauge,
        /// Time from sending a script call to its reply.
        redis_call_seconds: Histogram,
        /// Script calls sent again because their reply was lost.
        batch_retries_total: Counter,
        /// Script calls whose grants too few replicas had in time. Alarm when it grows.
        replica_short_batches_total: Counter,
        /// Claims answered "outcome unknown": the reply was lost twice, or too few replicas had it in time.
        outcome_unknown_total: Counter,

        /// Tickets given at the desk.
        desk_tickets_total: Counter,
        /// People whom a rule did not let in at the desk, by the rule.
        desk_ineligible_total: Counters["rule": RULES],

        /// Connections open on the public listener.
        connections: Gauge,
        /// Connections that the public listener may hold.
        connections_max: Gauge,
        /// Connections that the public listener refused because it held as many as it may.
        connections_refused_total: Counter,
        /// Connections that the public listener refused because their address held as many as one may.
        connections_address_refused_total: Counter,
        /// Keys held by the rate limits, by what they count.
        limiter_keys: Gauges["limit": 2],
        /// Keys that each of the rate limits can tell apart; those beyond share what is left.
        limiter_keys_max: Gauge,

        /// 1 while Redis answers, else 0.
        redis_up: Gauge,
        /// Times the managed redis-server was started again after it had died.
        redis_restarts_total: Counter,
        /// Connections to Redis made again after an error.
        redis_reconnects_total: Counter,
        /// Bytes that Redis uses.
        redis_memory_used_bytes: Gauge,
        /// Bytes that Redis may use (`maxmemory`); 0 for any number.
        redis_memory_max_bytes: Gauge,
        /// Commands that Redis runs in a second, as it says itself.
        redis_commands_per_second: Gauge,
        /// Processor cores that Redis uses, since the look before.
        redis_cpu_cores: Gauge,
        /// Connections that Redis has.
        redis_clients: Gauge,
        /// Replicas that follow this Redis.
        redis_replicas: Gauge,
        /// 1 while Redis can write its append-only file, else 0. Alarm at 0.
        redis_append_ok: Gauge,
        /// 1 while Redis takes writes, 0 while it answers and refuses them: it is a replica, lacks replicas, or could not save. Alarm at 0.
        redis_writable: Gauge,
        /// How far Redis' clock, which decides the release, is ahead of this machine's. Alarm from a second on.
        redis_clock_offset_seconds: Gauge,
        /// 1 while a shard sells nothing because it is being loaded or rebuilt, else 0.
        shard_frozen: Gauges["shard": SHARD_SERIES_MAX],

        /// 1 while the ledger answers, else 0. Alarm at 0.
        ledger_up: Gauge,
        /// Age of the oldest entry in the journal, whoever drains it: it goes when the ledger has it.
        journal_oldest_seconds: Gauge,
        /// Journal entries not yet committed to the ledger, where this process drains.
        drain_lag_entries: Gauge,
        /// Age of the oldest journal entry not yet committed to the ledger, where this process drains; 0 when there is none.
        drain_lag_seconds: Gauge,
        /// Time one ledger transaction of the drain took.
        drain_commit_seconds: Histogram,
        /// Claims in one ledger transaction of the drain.
        drain_group_claims: Histogram,
        /// How much of what may wait in the journal does, by the limit; at 1 new claims are refused. Alarm above 0.5.
        journal_fill_ratio: Gauges["limit": 3],
        /// 1 while new claims are refused because too much waits for the ledger, else 0. Alarm at 1.
        journal_full: Gauge,
        /// Journal entries that could not be understood and were put in quarantine.
        journal_quarantined_total: Counter,
        /// Journal entries in quarantine in the ledger that nobody has settled. Alarm above zero: somebody must look at them.
        quarantine_entries: Gauge,

        /// Signed codes that people showed and no store knows, by what was decided. Alarm when `open` is above 0.
        orphan_receipts: Gauges["state": 3],

        /// Holds that ended, by how, and payments that came too late.
        holds_total: Counters["outcome": HOLD_OUTCOMES],
        /// Units that the ledger has given up and that are not back in stock yet. Alarm when it stays above 0.
        hold_returns_owed: Gauge,
        /// Holds whose time is over and that the ledger does not end, at most 64 a drop. Alarm when it stays above 0.
        holds_stuck: Gauge,
        /// Payments that came for a unit which could not be had any more and wait for their refund. Alarm when above 0.
        late_payments: Gauge,
        /// Time since the first of these payments came; 0 where none waits.
        late_payment_oldest_seconds: Gauge,
        /// Time for which a hold may be overdue: since all of them were looked at last, or since the end of the oldest
        /// one that could not be ended; 0 where nothing is held. Alarm when it grows.
        hold_overdue_seconds: Gauge,

        /// Units that a drop still has, as last seen.
        drop_stock_left: Gauges["drop": DROPS_MAX],
        /// Claims granted in a drop, as last seen.
        drop_seq: Gauges["drop": DROPS_MAX],
        /// 1 while a drop answers strangers from memory: sold out, paused, over, or not open yet; else 0.
        drop_sold_out_latched: Gauges["drop": DROPS_MAX],

        /// Bytes that this process may still write on the disk of the data folder. Alarm below a twentieth of all.
        data_free_bytes: Gauge,
        /// Bytes that the disk of the data folder has in all.
        data_size_bytes: Gauge,

        /// Lines of the log that nobody took: standard error was not read in time, or is closed.
        log_lines_lost_total: Counter,
        /// 1 while the service is ready for claims, else 0.
        ready: Gauge,
        /// Always 1; the label tells which version runs.
        build_info: Gauges["version": 1],
    }
}

/// The program's metrics: the [`Instruments`] (reached through it) and their rendering.
///
/// ```
/// let metrics = claimrush::telemetry::metrics::Metrics::new(&["sold_out"], 2)?;
/// metrics.claims_decided_total.increment(3);
/// metrics.refusals_total.increment(0);
/// assert!(metrics.render().contains("claimrush_claims_decided_total 3"));
/// # Ok::<(), claimrush::telemetry::metrics::MetricsError>(())
/// ```
#[derive(Debug)]
pub struct Metrics {
    instruments: Instruments,
    rendered: PrometheusHandle,
    process: metrics_process::Collector,
    registry: Registry,
}

/// The metrics could not be set up: a declared bucket list is wrong.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsError(#[from] BuildError);

impl Metrics {
    /// Registers everything at zero. `refusal_codes` are the problem codes in the order of their index, `cores`
    /// the number of front-end cores.
    ///
    /// # Errors
    /// [`MetricsError`] on a mistake in this module's declarations; a test shows that there is none.
    pub fn new(refusal_codes: &'static [&'static str], cores: usize) -> Result<Self, MetricsError> {
        let registry = Registry::new()?;
        let instruments = Instruments::register(&registry, refusal_codes, cores);
        instruments.build_info.of(env!("CARGO_PKG_VERSION")).set(1);
        let process = metrics_process::Collector::default();
        metrics::with_local_recorder(registry.recorder.as_ref(), || process.describe());
        let rendered = registry.recorder.handle();
        Ok(Self { instruments, rendered, process, registry })
    }

    /// Everything in the Prometheus text format, the process' own figures (`process_…`) included.
    #[must_use]
    pub fn render(&self) -> String {
        metrics::with_local_recorder(self.registry.recorder.as_ref(), || self.process.collect());
        self.rendered.render()
    }

    /// Moves recorded samples into their buckets; without it memory grows by every sample until somebody
    /// renders. Due every [`UPKEEP_INTERVAL`].
    pub fn upkeep(&self) {
        self.rendered.run_upkeep();
    }
}

impl std::ops::Deref for Metrics {
    type Target = Instruments;

    fn deref(&self) -> &Instruments {
        &self.instruments
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
