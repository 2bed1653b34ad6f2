//! Epochs and seals: what a rebuild notes, what was seen, and which shards are known to be complete.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::apply::raise_revision;
use super::books::testify_by;
use super::{read, signed};
use crate::domain::claim::JournalId;
use crate::domain::ids::Shard;
use crate::ledger::chain::Content;
use crate::ledger::{LedgerError, Rebuilt, Seen};

/// See [`crate::ledger::Ledger::note_rebuilt`].
pub(super) fn note_rebuilt(connection: &mut Connection, rebuilt: Rebuilt) -> Result<(), LedgerError> {
    let Rebuilt { drop, shard, epoch, carried, grounds, lost, actor, now_ms } = rebuilt;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let known = transaction
        .prepare_cached("SELECT 1 FROM campaign_drop WHERE number = ?1")?
        .query_row([drop.0], |_| Ok(()))
        .optional()?;
    known.ok_or_else(|| LedgerError::Corrupt(format!("there is no drop of number {}", drop.0)))?;
    let new = transaction
        .prepare_cached(
            "INSERT INTO loaded (drop_number, shard, epoch, carried) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![drop.0, shard.0, epoch.0, signed(carried)?])?;
    if new == 0 {
        return Ok(());
    }
    let content = Content::Rebuilt { drop: drop.0, shard: shard.0, epoch: epoch.0, carried, grounds, lost };
    testify_by(&transaction, now_ms, actor.as_deref(), content)?;
    raise_revision(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// See [`crate::ledger::Ledger::note_seen`].
pub(super) fn note_seen(connection: &mut Connection, shard: Shard, seen: &[Seen]) -> Result<(), LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for Seen { drop, epoch, seq } in seen {
        transaction
            .prepare_cached(
                "UPDATE loaded SET seen_seq = ?4 \
                 WHERE drop_number = ?1 AND shard = ?2 AND epoch = ?3 AND seen_seq < ?4",
            )?
            .execute(params![drop.0, shard.0, epoch.0, seq])?;
    }
    transaction.commit()?;
    Ok(())
}

/// See [`crate::ledger::Ledger::seal`].
pub(super) fn seal(
    connection: &mut Connection,
    shard: Shard,
    position: JournalId,
) -> Result<bool, LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if read::position(&transaction, shard)? != position {
        return Ok(false);
    }
    transaction
        .prepare_cached(
            "INSERT INTO seal (shard, ms, seq) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO UPDATE SET ms = excluded.ms, seq = excluded.seq",
        )?
        .execute(params![shard.0, position.ms.cast_signed(), position.seq.cast_signed()])?;
    transaction.commit()?;
    Ok(true)
}

/// See [`crate::ledger::Ledger::unseal`].
pub(super) fn unseal(connection: &Connection, shard: Shard) -> Result<(), LedgerError> {
    connection.execute("DELETE FROM seal WHERE shard = ?1", [shard.0])?;
    Ok(())
}

/// See [`crate::ledger::Ledger::is_sealed`]. To be called in a transaction: it reads two tables.
pub(super) fn is_sealed(connection: &Connection, shard: Shard) -> Result<bool, LedgerError> {
    let position = read::position(connection, shard)?;
    let sealed = connection
        .prepare_cached("SELECT 1 FROM seal WHERE shard = ?1 AND ms = ?2 AND seq = ?3")?
        .query_row(params![shard.0, position.ms.cast_signed(), position.seq.cast_signed()], |_| Ok(()))
        .optional()?;
    Ok(sealed.is_some())
}
