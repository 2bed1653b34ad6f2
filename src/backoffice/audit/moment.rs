//! The moment at which a shard's Redis and the ledger are compared, while both may go on.
//!
//! Redis is read first, at one instant; then the journal after the ledger's position; then the ledger, at one
//! instant. What the drain trims meanwhile it has committed before, so rows up to the ledger's position and
//! journal entries after it are together everything that Redis had granted:
//!
//! ```text
//!  journal  ├── in the ledger's rows ──┤── read from the journal ──┤── later: not looked at
//!                                 position                   journal end
//! ```
//!
//! Where the ledger has overtaken the journal's end, or campaigns are being changed, the moment is no good and
//! another one is looked for.

use std::collections::{BTreeMap, BTreeSet};

use redis::aio::MultiplexedConnection;

use super::AuditError;
use super::print::Printer;
use super::tail::{Stretch, Tail};
use crate::domain::campaign::DropSpec;
use crate::domain::claim::JournalId;
use crate::domain::ids::{DropId, DropNumber, Epoch, Shard};
use crate::ledger::{Catalogue, Ledger, Standing};
use crate::limits;
use crate::redis::codes::{DropState, DropView, ReplyError};
use crate::redis::{journal, snapshot};

/// What stood in Redis, journal and ledger at one moment.
pub(super) struct Moment {
    /// What the ledger said.
    pub(super) standing: Standing,
    /// The last id of Redis' journal.
    pub(super) journal_end: JournalId,
    /// Whether Redis' journal ends before what the ledger has committed of it.
    pub(super) journal_behind: bool,
    /// Entries of the journal that will go to quarantine.
    pub(super) poison: u64,
    /// Every drop of every campaign.
    pub(super) drops: Vec<DropMoment>,
}

/// One drop at that moment.
pub(super) struct DropMoment {
    pub(super) number: DropNumber,
    pub(super) spec: DropSpec,
    /// Whether it ever existed in the shard.
    pub(super) loaded: bool,
    /// As it stood in Redis.
    pub(super) view: Result<Option<DropView>, ReplyError>,
    /// Its claims by epoch; the epoch of the view is always among them.
    pub(super) series: BTreeMap<Epoch, Series>,
    /// Returns that stand in the journal alone.
    pub(super) undrained_returns: u64,
}

/// The claims of one (drop, epoch).
#[derive(Debug, Default)]
pub(super) struct Series {
    /// In the ledger.
    pub(super) rows: u64,
    /// Of these, returned.
    pub(super) returned: u64,
    /// The highest number in the ledger.
    pub(super) row_seq_max: u32,
    /// In the journal alone, in its order.
    pub(super) undrained: Vec<Stretch>,
}

impl Series {
    /// Claims that stand in the journal alone.
    pub(super) fn undrained_claims(&self) -> u64 {
        self.undrained.iter().map(Stretch::count).sum()
    }

    /// The highest number in ledger or journal.
    pub(super) fn seq_max(&self) -> u32 {
        self.undrained.iter().map(Stretch::last_seq).fold(self.row_seq_max, u32::max)
    }
}

/// A drop's counts over all epochs.
pub(super) struct Totals {
    pub(super) left: Option<u64>,
    pub(super) accepted: u64,
    pub(super) returned: u64,
    pub(super) rows: u64,
    pub(super) undrained: u64,
}

impl DropMoment {
    /// The drop in Redis, if it is there and can be read.
    pub(super) fn in_redis(&self) -> Option<&DropView> {
        self.view.as_ref().ok()?.as_ref()
    }

    /// Counts over all epochs. What Redis counts is its present epoch; older ones are the ledger's.
    pub(super) fn totals(&self) -> Totals {
        let rows = self.series.values().map(|series| series.rows).sum();
        let durable_returns: u64 = self.series.values().map(|series| series.returned).sum();
        let all_returns = durable_returns.saturating_add(self.undrained_returns);
        let undrained = self.series.values().map(Series::undrained_claims).sum();
        let Some(view) = self.in_redis() else {
            return Totals { left: None, accepted: 0, returned: 0, rows, undrained };
        };
        let older: Vec<&Series> = self.series.range(..view.epoch).map(|(_, series)| series).collect();
        let before: u64 = older.iter().map(|series| series.rows + series.undrained_claims()).sum();
        let returned = if older.is_empty() { view.returned } else { all_returns };
        let accepted = before.saturating_add(u64::from(view.seq));
        Totals { left: Some(view.stock), accepted, returned, rows, undrained }
    }

    /// Whether the stock adds up: total = left + accepted − returned.
    pub(super) fn adds_up(&self) -> bool {
        let totals = self.totals();
        match totals.left {
            None => self.view.is_ok() && !self.loaded && totals.rows == 0,
            Some(left) => {
                left.checked_add(totals.accepted).and_then(|sum| sum.checked_sub(totals.returned))
                    == Some(self.spec.stock)
            }
        }
    }

    /// Whether nothing is being done to it: campaigns change Redis and ledger one after the other.
    fn is_settled(&self) -> bool {
        self.loaded && self.adds_up() && self.in_redis().is_some_and(|view| view.state != DropState::Frozen)
    }
}

/// Finds a good moment. While the service is `live`, drops that do not add up are looked at again for a while: a
/// campaign may just be changed.
pub(super) async fn find(
    redis: &mut MultiplexedConnection,
    ledger: &dyn Ledger,
    shard: Shard,
    printer: &Printer,
    live: bool,
) -> Result<Moment, AuditError> {
    for look in 1..=limits::AUDIT_LOOKS_MAX {
        let enough = !live || look == limits::AUDIT_LOOKS_MAX;
        match look_once(redis, ledger, shard, printer).await? {
            Some(moment) if enough || moment.drops.iter().all(DropMoment::is_settled) => return Ok(moment),
            _ => tokio::time::sleep(limits::AUDIT_LOOK_PAUSE).await,
        }
    }
    Err(AuditError::Restless)
}

/// One look; nothing when ledger or campaigns moved on in an unlucky instant.
async fn look_once(
    redis: &mut MultiplexedConnection,
    ledger: &dyn Ledger,
    shard: Shard,
    printer: &Printer,
) -> Result<Option<Moment>, AuditError> {
    let catalogue = ledger.catalogue().await?;
    let snapshot = snapshot::read(redis, shard, &ids(&catalogue)).await?;
    let after = ledger.position(shard).await?;
    let tail = Tail::read(redis, shard, after, snapshot.journal_end, printer).await?;
    let standing = ledger.standing(shard).await?;
    if standing.catalogue.revision != catalogue.revision {
        return Ok(None);
    }
    // The ledger may have overtaken our snapshot. If it has overtaken Redis itself, Redis was set back.
    let journal_behind = if standing.position > snapshot.journal_end {
        if journal::last_id(redis, shard).await? >= standing.position {
            return Ok(None);
        }
        true
    } else {
        false
    };
    let (series, returns, poison) = sort(&standing, shard, tail);
    let mut moment = Moment {
        journal_end: snapshot.journal_end,
        journal_behind,
        poison,
        drops: place(&standing, shard, snapshot.views, series, &returns),
        standing,
    };
    moment.drops.sort_by_key(|drop| drop.number);
    Ok(Some(moment))
}

fn ids(catalogue: &Catalogue) -> Vec<DropId> {
    catalogue.campaigns.iter().flat_map(|record| &record.drops).map(|drop| drop.id.clone()).collect()
}

type SeriesOf = BTreeMap<DropId, BTreeMap<Epoch, Series>>;

/// Rows and journal entries, by drop and epoch; returns in the journal by drop; and poison in the journal.
fn sort(standing: &Standing, shard: Shard, tail: Tail) -> (SeriesOf, BTreeMap<DropId, u64>, u64) {
    let drops = standing.catalogue.campaigns.iter().flat_map(|record| &record.drops);
    let names: BTreeMap<DropNumber, &DropId> = drops.map(|drop| (drop.number, &drop.id)).collect();
    let mut all = SeriesOf::new();
    for tally in standing.tallies.iter().filter(|tally| tally.shard == shard) {
        let Some(name) = names.get(&tally.drop) else { continue };
        let series = all.entry((*name).clone()).or_default().entry(tally.epoch).or_default();
        series.rows = tally.claims;
        series.returned = tally.returned;
        series.row_seq_max = tally.seq_max;
    }
    let mut returns = BTreeMap::new();
    let mut poison = 0_u64;
    let known: BTreeSet<&DropId> = names.values().copied().collect();
    for entry in tail.entries.into_iter().filter(|entry| entry.id > standing.position) {
        let drops = entry.claims.iter().map(|(drop, ..)| drop).chain(&entry.returns);
        if entry.poison || !drops.into_iter().all(|drop| known.contains(drop)) {
            poison = poison.saturating_add(1);
            continue;
        }
        for (drop, epoch, stretch) in entry.claims {
            all.entry(drop).or_default().entry(epoch).or_default().undrained.push(stretch);
        }
        for drop in entry.returns {
            *returns.entry(drop).or_insert(0_u64) += 1;
        }
    }
    (all, returns, poison)
}

fn place(
    standing: &Standing,
    shard: Shard,
    views: Vec<Result<Option<DropView>, ReplyError>>,
    mut series: SeriesOf,
    returns: &BTreeMap<DropId, u64>,
) -> Vec<DropMoment> {
    let campaigns = standing.catalogue.campaigns.iter();
    let drops = campaigns.flat_map(|record| record.drops.iter().zip(&record.campaign.drops));
    let placed = drops.zip(views).map(|((record, spec), view)| {
        let mut series = series.remove(&record.id).unwrap_or_default();
        if let Ok(Some(view)) = &view {
            series.entry(view.epoch).or_default();
        }
        DropMoment {
            number: record.number,
            spec: spec.clone(),
            loaded: record.loaded_in(shard).is_some(),
            view,
            series,
            undrained_returns: returns.get(&record.id).copied().unwrap_or(0),
        }
    });
    placed.collect()
}
