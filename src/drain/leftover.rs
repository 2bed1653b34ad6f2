//! Entries that stand in the journal at or before where the ledger is: a drain that died before it trimmed them has left them
//! there, or the ledger never had them.
//!
//! Owns which of them may be trimmed. The ledger's position says how far *a* journal was read: that of another ledger, or of a
//! primary that was replaced and is still reached, may have entries there which nobody has read. They may be the only record of
//! claims that people were told of, so each is looked for in the ledger first, and kept if it is not there; what follows is drained.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool_redis::Connection;

use super::{Drain, DrainError};
use crate::domain::claim::{JournalEntry, JournalEvent, JournalId};
use crate::domain::ids::{ClaimNumber, DropId, Epoch};
use crate::ledger::{Catalogue, ClaimStatus, DropRecord, LedgerError};
use crate::limits;
use crate::redis::journal;

/// How often kept entries are looked for in the ledger again: a recovery may have given them up.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What was found at or before the ledger's position and is kept.
#[derive(Debug, Default)]
pub(super) struct Leftover(Mutex<Kept>);

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kept {
    /// How many entries, as far as they were looked at.
    pub(super) entries: u64,
    /// The first of them.
    pub(super) oldest: Option<JournalId>,
    /// Up to where it was looked.
    through: JournalId,
    /// When that began.
    looked_at: Option<Instant>,
}

impl Leftover {
    /// What is kept, if it was looked at a moment ago.
    fn fresh(&self) -> Option<Kept> {
        let kept = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = kept.looked_at.is_some_and(|at| at.elapsed() < LOOK_AGAIN);
        (kept.entries > 0 && is_fresh).then_some(kept)
    }

    /// Notes what is kept; whether it is more than before.
    fn note(&self, kept: Kept) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_more = kept.entries > known.entries;
        *known = kept;
        is_more
    }
}

impl Drain {
    /// Deletes what stands at or before `position` and is in the ledger; what is not stays and is told of.
    pub(super) async fn clear_leftover(
        &self,
        connection: &mut Connection,
        position: JournalId,
    ) -> Result<Kept, DrainError> {
        let begun = || Kept { looked_at: Some(Instant::now()), ..Kept::default() };
        let mut kept = self.leftover.fresh().unwrap_or_else(begun);
        while kept.entries < limits::DRAIN_KEPT_LOOKED_MAX {
            let (from, count) = (kept.through, limits::DRAIN_READ_ENTRIES_FIRST);
            let page = journal::read_between(connection, self.shard, (from, position), count).await?;
            let Some(last) = page.last().map(|entry| entry.id) else { break };
            let catalogue = self.ledger.catalogue().await?;
            let mut durable = Vec::with_capacity(page.len());
            for entry in &page {
                if self.has(&catalogue, entry).await? {
                    durable.push(entry.id);
                } else {
                    kept.entries = kept.entries.saturating_add(1);
                    kept.oldest = kept.oldest.or(Some(entry.id));
                }
            }
            journal::delete(connection, self.shard, &durable).await?;
            kept.through = last;
        }
        if self.leftover.note(kept) {
            let (entries, oldest) = (kept.entries, kept.oldest.unwrap_or_default());
            tracing::error!(
                entries, %oldest, %position,
                "the journal has entries up to where the ledger has read, and the ledger does not have them: is it the journal of \
                 another ledger, or of a Redis that was replaced? The journal keeps them"
            );
        }
        Ok(kept)
    }

    /// Whether the ledger has all that an entry says, or has set it aside.
    async fn has(&self, catalogue: &Catalogue, entry: &JournalEntry) -> Result<bool, LedgerError> {
        let events = match &entry.content {
            Ok(events) => events,
            Err(poison) if journal::is_floor(poison) => return Ok(true),
            Err(_) => return self.is_set_aside(entry.id).await,
        };
        for event in events {
            if !self.has_event(catalogue, event).await? {
                return self.is_set_aside(entry.id).await;
            }
        }
        Ok(true)
    }

    async fn has_event(&self, catalogue: &Catalogue, event: &JournalEvent) -> Result<bool, LedgerError> {
        match event {
            JournalEvent::Claimed { drop, epoch, first_seq, takers, .. } => {
                let Some(record) = find(catalogue, drop) else { return Ok(false) };
                if self.is_given_up(record, *epoch) {
                    return Ok(true);
                }
                let before = self.number(record, *epoch, first_seq.saturating_sub(1));
                let rows = self.ledger.claims(record.number, Some(before), takers.count()).await?;
                let numbers = (*first_seq..=u32::MAX).map(|seq| self.number(record, *epoch, seq));
                let mut taken = numbers.zip(takers.iter()).zip(&rows);
                Ok(rows.len() == takers.count() as usize
                    && taken.all(|((number, (person, _)), row)| {
                        (row.number, row.person.as_str()) == (number, person)
                    }))
            }
            JournalEvent::Returned { drop, epoch, seq, person, .. } => {
                let Some(record) = find(catalogue, drop) else { return Ok(false) };
                if self.is_given_up(record, *epoch) {
                    return Ok(true);
                }
                let row = self.ledger.claim(self.number(record, *epoch, *seq)).await?;
                Ok(row.is_some_and(|row| row.person == **person && row.status == ClaimStatus::Returned))
            }
        }
    }

    /// Whether the drop was made anew since: then the ledger has all of this epoch that there will ever be.
    fn is_given_up(&self, record: &DropRecord, epoch: Epoch) -> bool {
        record.loaded_in(self.shard).is_some_and(|loaded| epoch < loaded.epoch)
    }

    fn number(&self, record: &DropRecord, epoch: Epoch, seq: u32) -> ClaimNumber {
        ClaimNumber { drop: record.number, shard: self.shard, epoch, seq }
    }

    async fn is_set_aside(&self, id: JournalId) -> Result<bool, LedgerError> {
        let mut after = 0;
        loop {
            let page = self.ledger.quarantine(after, limits::QUARANTINE_PAGE).await?;
            let Some(last) = page.last() else { return Ok(false) };
            if page.iter().any(|kept| (kept.shard, kept.id) == (self.shard, id)) {
                return Ok(true);
            }
            after = last.number;
        }
    }
}

fn find<'c>(catalogue: &'c Catalogue, drop: &DropId) -> Option<&'c DropRecord> {
    catalogue.campaigns.iter().flat_map(|record| &record.drops).find(|record| record.id == *drop)
}
