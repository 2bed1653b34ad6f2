//! The poll: reads every drop's state from Redis a few times a second and scans holders where the latch needs it.
//!
//! Owns that a restock, a return or a pause made elsewhere is known here within a quarter of a second, and that
//! Redis' silence is noticed, and another server in its place also while nobody claims.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use deadpool_redis::Pool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::backpressure::{JournalLimits, Level};
use super::gate::{DropGate, Gate};
use super::heard::Heard;
use super::holders::HoldersVersion;
use crate::clock::Clock;
use crate::domain::ids::Shard;
use crate::limits;
use crate::redis::journal::{self, JournalSize};
use crate::redis::peer::Peer;
use crate::redis::reads;
use crate::redis::scripts::ScriptError;
use crate::telemetry::metrics::Metrics;

/// The limits on the journal, as metrics name them.
const LIMITS: [&str; 3] = ["entries", "bytes", "memory"];

/// Polls one shard.
#[derive(Clone)]
pub struct Poller {
    /// The shard.
    pub shard: Shard,
    /// Redis.
    pub pool: Pool,
    /// What is kept up to date.
    pub gate: Arc<Gate>,
    /// Where it shows.
    pub metrics: Arc<Metrics>,
    /// This machine's time, to be set beside Redis'.
    pub clock: Clock,
    /// How much may wait in the journal.
    pub journal_limits: JournalLimits,
    /// What the last look at the journal showed.
    pub pressure: Arc<Mutex<Pressure>>,
}

/// What a look at the journal showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pressure {
    /// There was none yet.
    #[default]
    NotLooked,
    /// Redis does not let it be measured.
    Unknown,
    /// How serious it is.
    Known(Level),
}

impl Poller {
    /// Polls until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let scans = TaskTracker::new();
        let mut ticks = tokio::time::interval(limits::POLL_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let polled = tokio::time::timeout(limits::POLL_PATIENCE, self.poll_once()).await;
            let up = match polled {
                Ok(Ok(())) => true,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the poll failed");
                    false
                }
                Err(_) => false,
            };
            if self.gate.set_redis_up(up) {
                tracing::info!(up, "Redis' state changed");
            }
            self.metrics.redis_up.set(f64::from(u8::from(up)));
            if up {
                self.begin_scans(&scans);
            }
        }
        scans.close();
        scans.wait().await;
    }

    /// Reads every drop's view once.
    ///
    /// # Errors
    /// Redis' own.
    pub async fn poll_once(&self) -> Result<(), ScriptError> {
        let drops = self.gate.drops();
        let mut connection = crate::redis::pool::checkout(&self.pool).await?;
        let peer = Peer::learn(&mut connection).await?;
        let is_compared = self.gate.trust.is_for(&peer.run_id);
        if !is_compared {
            self.gate.trust.ask();
        }
        let asked_ms = self.clock.now_ms();
        let ids = drops.iter().map(|drop| &drop.id);
        let asked_at = Instant::now();
        let (now_ms, found) = reads::views(&mut connection, self.shard, ids).await?;
        let came_at = Instant::now();
        let local_ms = i64::midpoint(asked_ms, self.clock.now_ms());
        // Of a server that was not compared nothing counts, not even how far it is: it may hold anybody's drops.
        if is_compared {
            self.gate.set_redis_clock(now_ms, local_ms);
        }
        let mut frozen = false;
        for (drop, view) in drops.iter().zip(found) {
            match view.filter(|_| is_compared) {
                Some(view) => drop.update(Heard { view, now_ms, asked_at, came_at }),
                // It was there and is not: Redis lost it. Nothing is sold from an empty start.
                None if is_compared && drop.view().is_some() => drop.set_went_back(),
                None => {}
            }
            frozen |= drop.is_frozen();
            if drop.is_loss_news() {
                self.gate.trust.ask();
            }
            self.show(drop);
        }
        self.metrics.shard_frozen.of(&self.shard.to_string()).set(f64::from(u8::from(frozen)));
        match journal::size(&mut connection, self.shard).await {
            Ok(size) => self.note_size(&size),
            Err(error) => self.note_unmeasured(&error),
        }
        Ok(())
    }

    /// Notes that nothing is known of the journal, and tells when that is news.
    fn note_unmeasured(&self, error: &ScriptError) {
        let mut pressure = self.pressure.lock().unwrap_or_else(PoisonError::into_inner);
        if *pressure != Pressure::Unknown {
            tracing::warn!(%error, "the journal cannot be measured: nothing is refused because of it");
        }
        *pressure = Pressure::Unknown;
        self.gate.set_journal_full(false);
        self.metrics.journal_full.set(0.0);
        for limit in LIMITS {
            self.metrics.journal_fill_ratio.of(limit).set(f64::NAN);
        }
    }

    /// Sets the journal beside its limits, and tells when that is news.
    fn note_size(&self, size: &JournalSize) {
        let fill = self.journal_limits.fill(size);
        for (limit, ratio) in LIMITS.into_iter().zip([fill.entries, fill.bytes, fill.memory]) {
            self.metrics.journal_fill_ratio.of(limit).set(ratio);
        }
        self.metrics.redis_memory_used_bytes.set(size.memory_used as f64);
        self.metrics.redis_memory_max_bytes.set(size.memory_max as f64);
        let mut pressure = self.pressure.lock().unwrap_or_else(PoisonError::into_inner);
        let before = if let Pressure::Known(level) = *pressure { level } else { Level::default() };
        let level = before.next(fill.highest());
        *pressure = Pressure::Known(level);
        self.metrics.journal_full.set(f64::from(u8::from(level == Level::Full)));
        self.gate.set_journal_full(level == Level::Full);
        if level == before {
            return;
        }
        let (entries, bytes, fill) = (size.entries, size.bytes, fill.highest());
        match level {
            Level::Full => {
                tracing::error!(entries, bytes, fill, "the journal is full: new claims are refused");
            }
            Level::Calm => tracing::info!(entries, bytes, fill, "the ledger keeps up again"),
            _ if before == Level::Full => {
                tracing::warn!(entries, bytes, fill, "new claims are taken again; the journal is still long");
            }
            _ if level > before => {
                tracing::warn!(entries, bytes, fill, "the ledger does not keep up with the journal");
            }
            _ => {}
        }
    }

    fn show(&self, drop: &DropGate) {
        let Some(view) = drop.view() else { return };
        let (metrics, id) = (&self.metrics, drop.id.as_str());
        metrics.drop_stock_left.of(id).set(view.stock as f64);
        metrics.drop_seq.of(id).set(f64::from(view.seq));
        let latched = drop.is_latched(self.gate.redis_now_ms(self.clock.now_ms()));
        metrics.drop_sold_out_latched.of(id).set(f64::from(u8::from(latched)));
    }

    fn begin_scans(&self, scans: &TaskTracker) {
        let redis_now_ms = self.gate.redis_now_ms(self.clock.now_ms());
        for drop in self.gate.drops() {
            if let Some(version) = drop.begin_scan(redis_now_ms, self.gate.is_journal_full()) {
                let poller = self.clone();
                scans.spawn(async move {
                    let complete = poller.scan(&drop, version).await;
                    drop.end_scan(complete);
                });
            }
        }
    }

    /// Walks over a drop's holders; the version for which all of them are known, if the walk came through.
    async fn scan(&self, drop: &DropGate, version: HoldersVersion) -> Option<HoldersVersion> {
        let mut connection = crate::redis::pool::checkout(&self.pool).await.ok()?;
        let peer = Peer::learn(&mut connection).await.ok()?;
        // One that was not compared may lack some of them.
        if !self.gate.trust.is_for(&peer.run_id) {
            return None;
        }
        let mut cursor = 0;
        loop {
            let page =
                reads::holders_page(&mut connection, self.shard, &drop.id, cursor, limits::SCAN_HOLDERS)
                    .await
                    .ok()?;
            for (person, _) in page.holders {
                if let Ok(person) = std::str::from_utf8(&person) {
                    drop.holders.note_found(self.gate.fingerprint(person));
                }
            }
            let Some(next) = page.next else { return Some(version) };
            cursor = next;
        }
    }
}
