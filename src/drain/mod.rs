//! The drain: journal → ledger, in order, exactly once.
//!
//! Owns how the journal is read, grouped, committed and trimmed. Rows, postings, audit record and journal
//! position are one ledger transaction, so there is nothing to acknowledge and nothing to lose: whoever dies,
//! the next drain begins at the committed position. It never trims what is not committed. Knows no HTTP.
//!
//! ```text
//!  {sN} journal  ├── committed ──┤── this group ──┤── later ──►
//!                 trimmed         one transaction
//! ```

mod drops;
mod leftover;
mod overtaken;
pub mod process;

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_redis::{Connection, Pool};
use tokio_util::sync::CancellationToken;

use self::drops::KnownDrops;
use self::leftover::Leftover;
use self::overtaken::Overtaken;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::claim::{JournalEntry, JournalEvent, JournalId};
use crate::domain::ids::{DropId, Shard};
use crate::failpoint::Step;
use crate::ledger::{Committed, Group, Ledger, LedgerError};
use crate::limits;
use crate::redis::scripts::ScriptError;
use crate::redis::{journal, pool};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::repeated::Repeated;

/// The longest wait after a failure.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Drains one shard.
pub struct Drain {
    /// The shard.
    pub shard: Shard,
    /// Where the journal is.
    pub pool: Pool,
    /// Where it goes.
    pub ledger: Arc<dyn Ledger>,
    /// Where it shows.
    pub metrics: Arc<Metrics>,
    /// For the audit records' time.
    pub clock: Clock,
    /// How long entries gather for one transaction: commits fight Redis for the disk.
    pub commit_interval: Duration,
    /// Claims in one transaction at the most.
    pub group_claims_max: usize,
    /// The drops that the ledger is known to have.
    known: KnownDrops,
    /// What stands in the journal where the ledger has passed by.
    leftover: Leftover,
}

/// Why a round did not come through.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// Redis did not answer.
    #[error("journal: {0}")]
    Journal(#[from] ScriptError),
    /// The ledger did not commit.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// No claim was ever granted by this ledger's campaigns.
    #[error(
        "the journal has entries and the ledger has no campaign: is ledger.url that of the service? The journal keeps them"
    )]
    Stranger,
    /// Claims of a drop that only another state of the ledger knows.
    #[error(
        "the journal has claims of drop {:?}, which Redis has and the ledger does not: is it another ledger, or from a backup? \
         Apply the drop's campaign again; the journal keeps them", .0.as_str()
    )]
    UnknownDrop(DropId),
}

impl From<redis::RedisError> for DrainError {
    fn from(error: redis::RedisError) -> Self {
        Self::Journal(error.into())
    }
}

/// What one round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// Nothing was there.
    Idle,
    /// All that was there is committed.
    CaughtUp,
    /// There is more to take at once.
    More,
    /// Nothing: the ledger stood at `found` by then, not at `read`, which it had said before.
    Moved {
        /// The position that it had said.
        read: JournalId,
        /// The one that it has.
        found: JournalId,
    },
}

impl Drain {
    /// The drain of this configuration.
    #[must_use]
    pub fn new(
        config: &Config,
        pool: Pool,
        ledger: Arc<dyn Ledger>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        Self {
            shard: Shard::FIRST,
            pool,
            ledger,
            metrics,
            clock,
            commit_interval: config.drain.commit_interval(),
            group_claims_max: config.drain.group_max,
            known: KnownDrops::default(),
            leftover: Leftover::default(),
        }
    }

    /// Drains until `stop`, then until the journal is empty or a round fails.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = self.commit_interval;
        let mut overtaken = Overtaken::default();
        let mut committing = Repeated::default();
        self.show_quarantine().await;
        loop {
            let stopping = stop.is_cancelled();
            let round = self.round().await;
            if round.is_ok() && committing.went_well() {
                tracing::info!(shard = %self.shard, "the drain can commit again");
            }
            match round {
                Ok(Round::Idle | Round::CaughtUp) if stopping => return,
                Ok(Round::More) => {
                    backoff = self.commit_interval;
                    overtaken = Overtaken::default();
                }
                Ok(round @ (Round::Idle | Round::CaughtUp)) => {
                    backoff = self.commit_interval;
                    if round == Round::CaughtUp {
                        overtaken = Overtaken::default();
                    }
                    let _ = stop.run_until_cancelled(tokio::time::sleep(self.commit_interval)).await;
                }
                Ok(Round::Moved { read, found }) => {
                    if !overtaken.is_misled(read, found) {
                        // Whoever was faster goes on meanwhile.
                        tokio::time::sleep(self.commit_interval).await;
                        continue;
                    }
                    if stopping {
                        return;
                    }
                    let _ = stop.run_until_cancelled(tokio::time::sleep(backoff)).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
                Err(error) => {
                    if committing.failed(&error) {
                        tracing::warn!(shard = %self.shard, %error, "the drain could not commit; it tries again");
                    }
                    if stopping {
                        return;
                    }
                    self.show_waiting().await;
                    let _ = stop.run_until_cancelled(tokio::time::sleep(backoff)).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    /// Takes one group from journal to ledger and trims what is committed.
    ///
    /// # Errors
    /// What failed; nothing is lost, the next round begins at the committed position.
    pub async fn round(&self) -> Result<Round, DrainError> {
        let mut connection = pool::checkout(&self.pool).await?;
        let after = self.ledger.position(self.shard).await?;
        self.known.stands_at(after);
        let kept = self.clear_leftover(&mut connection, after).await?;
        let (mut entries, more) = self.read_group(&mut connection, after).await?;
        let Some((first, last)) =
            entries.first().zip(entries.last()).map(|(first, last)| (first.id, last.id))
        else {
            self.show_lag(kept.entries, kept.oldest);
            return Ok(Round::Idle);
        };
        let oldest = kept.oldest.unwrap_or(first);
        self.show_lag(journal::length(&mut connection, self.shard).await?, Some(oldest));
        self.check_ledger(&mut connection, &mut entries).await?;
        Step::DrainRead.reached();
        let began = Instant::now();
        let ids: Vec<JournalId> = entries.iter().map(|entry| entry.id).collect();
        let group = Group { shard: self.shard, after, entries, now_ms: self.clock.now_ms() };
        let committed = self.ledger.commit(group).await.inspect_err(|_| self.known.forget())?;
        Step::DrainCommitted.reached();
        self.metrics.drain_commit_seconds.record(began.elapsed().as_secs_f64());
        let position = self.note(&committed).await;
        self.known.stands_at(position);
        match committed {
            Committed::Written { .. } if kept.entries == 0 => {
                journal::trim_through(&mut connection, self.shard, position).await?;
            }
            Committed::Written { .. } => journal::delete(&mut connection, self.shard, &ids).await?,
            // What another drain has read may be another journal: the next round looks.
            Committed::Moved { .. } => {}
        }
        Step::DrainTrimmed.reached();
        let left = journal::length(&mut connection, self.shard).await?;
        self.show_lag(left, (left > 0).then_some(kept.oldest.unwrap_or(position)));
        Ok(match committed {
            Committed::Moved { position } => Round::Moved { read: after, found: position },
            Committed::Written { .. } if more || position < last => Round::More,
            Committed::Written { .. } => Round::CaughtUp,
        })
    }

    /// What follows `after`, up to one group's worth; and whether there may be more.
    async fn read_group(
        &self,
        connection: &mut Connection,
        after: JournalId,
    ) -> Result<(Vec<JournalEntry>, bool), DrainError> {
        let mut group = Gathering::new(self.group_claims_max);
        let mut from = after;
        loop {
            let asked = group.page();
            let page = journal::read_after(connection, self.shard, from, asked).await?;
            let full = page.len() >= asked;
            from = page.last().map_or(from, |entry| entry.id);
            if !group.take(page) || !full {
                let left = group.entries.last().is_some_and(|last| last.id < from);
                return Ok((group.entries, full || left));
            }
        }
    }

    async fn note(&self, committed: &Committed) -> JournalId {
        match *committed {
            Committed::Written { claims, poisoned, position, .. } => {
                self.metrics.claims_durable_total.increment(claims);
                self.metrics.drain_group_claims.record(claims as f64);
                self.metrics.journal_quarantined_total.increment(poisoned);
                if poisoned > 0 {
                    tracing::error!(poisoned, "journal entries were put in quarantine");
                    self.show_quarantine().await;
                }
                position
            }
            Committed::Moved { position } => position,
        }
    }

    /// How many entries are in quarantine that nobody has settled: the alarm is up until somebody has looked at each.
    async fn show_quarantine(&self) {
        if let Ok(count) = self.ledger.quarantine_open().await {
            self.metrics.quarantine_entries.set(count as f64);
        }
    }

    /// How far it is behind, where the ledger does not say how far it has come: all that is in the journal waits.
    async fn show_waiting(&self) {
        let Ok(mut connection) = pool::checkout(&self.pool).await else { return };
        let first = journal::read_after(&mut connection, self.shard, JournalId::START, 1).await;
        let length = journal::length(&mut connection, self.shard).await;
        if let (Ok(first), Ok(length)) = (first, length) {
            self.show_lag(length, first.first().map(|entry| entry.id));
        }
    }

    /// `oldest` is the first entry not committed yet, or one just before it.
    fn show_lag(&self, entries: u64, oldest: Option<JournalId>) {
        let age_ms = oldest.map_or(0, |id| {
            let now_ms = u64::try_from(self.clock.now_ms()).unwrap_or(0);
            now_ms.saturating_sub(id.ms)
        });
        self.metrics.drain_lag_entries.set(entries as f64);
        self.metrics.drain_lag_seconds.set(age_ms as f64 / 1_000.0);
    }
}

/// A group that is being gathered: never more claims than asked for by more than its last entry.
struct Gathering {
    entries: Vec<JournalEntry>,
    claims: usize,
    claims_max: usize,
}

impl Gathering {
    fn new(claims_max: usize) -> Self {
        Self { entries: Vec::new(), claims: 0, claims_max }
    }

    /// How many entries to read next: as many as are likely to be taken, as the rest is read again.
    fn page(&self) -> usize {
        let left = self.claims_max.saturating_sub(self.claims);
        let likely = match self.claims.checked_div(self.entries.len()) {
            None => limits::DRAIN_READ_ENTRIES_FIRST,
            Some(each) => left.div_ceil(each.max(1)),
        };
        likely.clamp(1, limits::DRAIN_READ_ENTRIES_MAX)
    }

    /// Takes entries until there are enough; `false` when there are.
    fn take(&mut self, page: Vec<JournalEntry>) -> bool {
        for entry in page {
            if self.claims >= self.claims_max {
                return false;
            }
            self.claims = self.claims.saturating_add(claims_in(&entry));
            self.entries.push(entry);
        }
        self.claims < self.claims_max
    }
}

/// Claims in an entry; poison counts as one, so that a journal full of it is still taken in groups.
fn claims_in(entry: &JournalEntry) -> usize {
    let Ok(events) = &entry.content else { return 1 };
    let claims = events.iter().map(|event| match event {
        JournalEvent::Claimed { takers, .. } => takers.count() as usize,
        JournalEvent::Returned { .. } => 1,
    });
    claims.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::claim::Takers;
    use crate::domain::ids::{DropId, Epoch};
    use proptest::prelude::*;

    fn entry(at: usize, claims: usize) -> JournalEntry {
        let takers = Takers::new(&vec!["p"; claims].join(" "));
        let drop = DropId::new("d").unwrap();
        let claimed =
            JournalEvent::Claimed { drop, epoch: Epoch::FIRST, claimed_at_ms: 1, first_seq: 1, takers };
        JournalEntry { id: JournalId { ms: at as u64, seq: 0 }, content: Ok(vec![claimed]) }
    }

    proptest! {
        #[test]
        fn a_group_is_as_large_as_asked_for_and_leaves_no_gap(
            sizes in prop::collection::vec(1..400_usize, 1..300), max in 1..5_000_usize,
        ) {
            let (mut at, mut groups) = (0, Vec::new());
            while at < sizes.len() {
                let mut group = Gathering::new(max);
                let begun = at;
                loop {
                    let asked = group.page();
                    prop_assert!((1..=limits::DRAIN_READ_ENTRIES_MAX).contains(&asked));
                    let end = (at + asked).min(sizes.len());
                    let page = (at..end).map(|n| entry(n, sizes[n])).collect();
                    let more = group.take(page);
                    at = begun + group.entries.len();
                    if !more || end == sizes.len() {
                        break;
                    }
                }
                prop_assert!(at > begun, "it goes on");
                let before_last = group.claims - sizes[at - 1];
                prop_assert!(before_last < max && (group.claims >= max || at == sizes.len()));
                groups.extend(group.entries.iter().map(|entry| entry.id.ms));
            }
            prop_assert_eq!(groups, (0..sizes.len() as u64).collect::<Vec<_>>());
        }
    }
}
