//! Writing a stretch of a shard's journal: whole or not at all, each entry once.
//!
//! A group is first written on trust: every claim is taken to be new and every entry to be sound, which is what a
//! journal holds. Where that does not hold the transaction is given up and the group written again with care:
//! each entry under a savepoint, each row looked at, what cannot be accepted put in quarantine.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::books::testify;
use super::entry::{Effects, Writer};
use super::{encoded, read};
use crate::domain::claim::{JournalEntry, JournalId, Poison};
use crate::domain::ids::Shard;
use crate::failpoint::Step;
use crate::ledger::chain::Content;
use crate::ledger::taken::{cut, raw_text};
use crate::ledger::{Committed, Group, LedgerError};
use crate::limits;

/// Why an entry could not be written.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It cannot be accepted, for this reason.
    Rejected(String),
    /// The store failed.
    Failed(LedgerError),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Self {
        Self::Failed(error)
    }
}

/// How an entry is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    OnTrust,
    WithCare,
}

/// See [`crate::ledger::Ledger::commit`].
pub(super) fn commit(connection: &mut Connection, group: &Group) -> Result<Committed, LedgerError> {
    let outcome = match attempt(connection, group, Pace::OnTrust) {
        Err(Trouble::Rejected(_)) => attempt(connection, group, Pace::WithCare),
        outcome => outcome,
    };
    outcome.map_err(|trouble| match trouble {
        Trouble::Failed(error) => error,
        Trouble::Rejected(reason) => LedgerError::Corrupt(reason),
    })
}

fn attempt(connection: &mut Connection, group: &Group, pace: Pace) -> Result<Committed, Trouble> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let position = read::position(&transaction, group.shard)?;
    if position != group.after {
        return Ok(Committed::Moved { position });
    }
    let mut writer = Writer::new(&transaction, group.shard, pace)?;
    let mut to = group.after;
    for entry in &group.entries {
        if entry.id <= to {
            let what = format!("journal entry {} does not follow {to}", entry.id);
            return Err(LedgerError::Corrupt(what).into());
        }
        to = entry.id;
        write_entry(&transaction, &mut writer, entry, pace)?;
    }
    Step::DrainWritten.reached();
    let committed = finish(&transaction, group, to, writer.effects)?;
    Step::DrainTestified.reached();
    transaction.commit()?;
    Ok(committed)
}

fn write_entry(
    transaction: &Transaction<'_>,
    writer: &mut Writer<'_, '_>,
    entry: &JournalEntry,
    pace: Pace,
) -> Result<(), Trouble> {
    let events = match &entry.content {
        Ok(events) => events,
        Err(poison) => return quarantine(transaction, writer, entry.id, poison),
    };
    if pace == Pace::OnTrust {
        return events.iter().try_for_each(|event| writer.event(event));
    }
    let before = writer.effects.clone();
    transaction.execute_batch("SAVEPOINT entry")?;
    match events.iter().try_for_each(|event| writer.event(event)) {
        Ok(()) => transaction.execute_batch("RELEASE entry")?,
        Err(Trouble::Rejected(reason)) => {
            transaction.execute_batch("ROLLBACK TO entry; RELEASE entry")?;
            writer.effects = before;
            writer.forget();
            quarantine(transaction, writer, entry.id, &Poison { raw: raw_text(events), reason })?;
        }
        Err(failed) => return Err(failed),
    }
    Ok(())
}

/// Keeps an entry that cannot be accepted, once.
fn quarantine(
    transaction: &Transaction<'_>,
    writer: &mut Writer<'_, '_>,
    id: JournalId,
    poison: &Poison,
) -> Result<(), Trouble> {
    let (shard, ms, seq) = (writer.shard.0, id.ms.cast_signed(), id.seq.cast_signed());
    let raw = cut(&poison.raw, limits::POISON_BYTES_MAX);
    let reason = cut(&poison.reason, limits::POISON_BYTES_MAX);
    let known = transaction
        .prepare_cached("SELECT 1 FROM quarantine WHERE shard = ?1 AND ms = ?2 AND seq = ?3")?
        .query_row(params![shard, ms, seq], |_| Ok(()))
        .optional()?;
    if known.is_some() {
        return Ok(());
    }
    let number = super::signed(writer.effects.quarantine.next_number())?;
    transaction
        .prepare_cached(
            "INSERT INTO quarantine (number, shard, ms, seq, raw, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![number, shard, ms, seq, raw, reason])?;
    writer.effects.quarantine.push(&(number, shard, ms, seq, raw, reason)).map_err(encoded)?;
    Ok(())
}

/// Postings, position and the record that covers the whole.
fn finish(
    transaction: &Transaction<'_>,
    group: &Group,
    to: JournalId,
    mut effects: Effects,
) -> Result<Committed, Trouble> {
    let (claims, returns) = effects.count_series(transaction)?;
    let postings = effects.post(transaction, group.now_ms)?;
    let poisoned = effects.quarantine.count();
    set_position(transaction, group.shard, to)?;
    let content = Content::Journal {
        shard: group.shard.0,
        after: group.after.to_string(),
        to: to.to_string(),
        claims: effects.sections.finish(),
        returns: effects.returns.finish(),
        quarantine: effects.quarantine.finish(),
        postings,
    };
    testify(transaction, group.now_ms, content)?;
    Ok(Committed::Written { claims, returns, poisoned, position: to })
}

fn set_position(transaction: &Transaction<'_>, shard: Shard, to: JournalId) -> Result<(), rusqlite::Error> {
    transaction
        .prepare_cached(
            "INSERT INTO position (shard, ms, seq) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO UPDATE SET ms = excluded.ms, seq = excluded.seq",
        )?
        .execute(params![shard.0, to.ms.cast_signed(), to.seq.cast_signed()])?;
    Ok(())
}
