//! What stands in the journal and may not be in the ledger yet, with fingerprints in place of persons.

use redis::aio::MultiplexedConnection;

use super::AuditError;
use super::print::{Print, Printer};
use crate::domain::claim::{JournalEntry, JournalEvent, JournalId};
use crate::domain::ids::{DropId, Epoch, Shard};
use crate::limits;
use crate::redis::journal;

/// A part of the journal.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub(super) entries: Vec<TailEntry>,
}

/// What one entry of it says.
#[derive(Debug)]
pub(super) struct TailEntry {
    pub(super) id: JournalId,
    /// Whether nothing can be made of it.
    pub(super) poison: bool,
    pub(super) claims: Vec<(DropId, Epoch, Stretch)>,
    /// The drop of each return.
    pub(super) returns: Vec<DropId>,
}

/// Claims with consecutive numbers.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) first_seq: u32,
    pub(super) prints: Vec<Print>,
}

impl Stretch {
    /// How many claims.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.prints.len()).unwrap_or(u64::MAX)
    }

    /// The last claim's number.
    pub(super) fn last_seq(&self) -> u32 {
        let more = u32::try_from(self.prints.len().saturating_sub(1)).unwrap_or(u32::MAX);
        self.first_seq.saturating_add(more)
    }
}

impl Tail {
    /// Reads what stands after `after`, up to and with `through`.
    pub(super) async fn read(
        redis: &mut MultiplexedConnection,
        shard: Shard,
        after: JournalId,
        through: JournalId,
        printer: &Printer,
    ) -> Result<Self, AuditError> {
        let mut tail = Self::default();
        let mut from = after;
        while from < through {
            let page = journal::read_after(redis, shard, from, limits::DRAIN_READ_ENTRIES_MAX).await?;
            let Some(last) = page.last().map(|entry| entry.id) else { break };
            from = last;
            let within = page.iter().filter(|entry| entry.id <= through);
            tail.entries.extend(within.map(|entry| TailEntry::new(entry, printer)));
        }
        Ok(tail)
    }
}

impl TailEntry {
    fn new(entry: &JournalEntry, printer: &Printer) -> Self {
        let mut new =
            Self { id: entry.id, poison: entry.content.is_err(), claims: Vec::new(), returns: Vec::new() };
        for event in entry.content.iter().flatten() {
            match event {
                JournalEvent::Claimed { drop, epoch, claimed_at_ms, first_seq, takers } => {
                    let prints = takers
                        .iter()
                        .map(|(person, mark)| printer.print(person.as_bytes(), mark, *claimed_at_ms));
                    let stretch = Stretch { first_seq: *first_seq, prints: prints.collect() };
                    new.claims.push((drop.clone(), *epoch, stretch));
                }
                JournalEvent::Returned { drop, .. } => new.returns.push(drop.clone()),
            }
        }
        new
    }
}
