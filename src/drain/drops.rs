//! Whether the ledger is the one that the journal is for: it must have the drops of which there are claims.
//!
//! Owns which drops it is known to have. An entry that names a drop which nobody has is poison. A drop that Redis has and
//! the ledger does not is one of another ledger, or of a later state than the backup from which this one was brought
//! back: its claims would go to quarantine and be trimmed, so they wait in the journal. A ledger may also be brought back
//! while a drain runs, which shows when it stands before where it stood: then nothing is known of it any more.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use deadpool_redis::Connection;

use super::{Drain, DrainError};
use crate::domain::claim::{JournalEntry, JournalEvent, JournalId};
use crate::domain::ids::DropId;
use crate::redis::reads;

/// The drops that a ledger is known to have.
#[derive(Debug, Default)]
pub(super) struct KnownDrops(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// None is ever taken away from a ledger.
    drops: HashSet<DropId>,
    /// Where the ledger stood last.
    position: JournalId,
}

impl KnownDrops {
    /// Takes where the ledger stands; forgets what is known of it if it is not the same any more.
    pub(super) fn stands_at(&self, position: JournalId) {
        let mut known = self.known();
        if position < known.position {
            known.drops.clear();
        }
        known.position = position;
    }

    /// Forgets everything: when the ledger answers again, it may be another one.
    pub(super) fn forget(&self) {
        self.known().drops.clear();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The drops of these entries that are not known, each with the place of the first entry that names it, in order.
    fn unknown_of(&self, entries: &[JournalEntry]) -> Vec<(usize, DropId)> {
        let known = self.known();
        let (mut unknown, mut seen) = (Vec::new(), HashSet::new());
        for (place, entry) in entries.iter().enumerate() {
            for event in entry.content.iter().flatten() {
                let (JournalEvent::Claimed { drop, .. } | JournalEvent::Returned { drop, .. }) = event;
                if !known.drops.contains(drop) && seen.insert(drop) {
                    unknown.push((place, drop.clone()));
                }
            }
        }
        unknown
    }

    fn is_empty(&self) -> bool {
        self.known().drops.is_empty()
    }

    fn learn(&self, drops: impl Iterator<Item = DropId>) {
        self.known().drops.extend(drops);
    }
}

impl Drain {
    /// Leaves of a group what this ledger may be given: all of it, or what stands before the first claims of a drop that
    /// it should have and has not.
    pub(super) async fn check_ledger(
        &self,
        connection: &mut Connection,
        entries: &mut Vec<JournalEntry>,
    ) -> Result<(), DrainError> {
        if !self.known.is_empty() && self.known.unknown_of(entries).is_empty() {
            return Ok(());
        }
        let catalogue = self.ledger.catalogue().await?;
        if catalogue.campaigns.is_empty() {
            return Err(DrainError::Stranger);
        }
        let drops = catalogue.campaigns.into_iter().flat_map(|record| record.drops);
        self.known.learn(drops.map(|drop| drop.id));
        let unknown = self.known.unknown_of(entries);
        let ids = unknown.iter().map(|(_, drop)| drop);
        let are_there = reads::are_there(connection, self.shard, ids).await?;
        match unknown.into_iter().zip(are_there).find(|(_, is_there)| *is_there) {
            None => Ok(()),
            Some(((0, drop), _)) => Err(DrainError::UnknownDrop(drop)),
            Some(((place, _), _)) => {
                entries.truncate(place);
                Ok(())
            }
        }
    }
}
