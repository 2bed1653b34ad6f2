//! Epochs and seals: what a rebuild notes, what was seen, and which shards are known to be complete.

use deadpool_postgres::{Client, GenericClient};

use super::apply::note_loaded;
use super::books::{lock, raise_revision, testify_by};
use super::{execute, query_opt, read};
use crate::domain::claim::JournalId;
use crate::domain::ids::Shard;
use crate::ledger::chain::Content;
use crate::ledger::{LedgerError, Rebuilt, Seen};

/// See [`crate::ledger::Ledger::note_rebuilt`].
pub(super) async fn note_rebuilt(client: &mut Client, rebuilt: &Rebuilt) -> Result<(), LedgerError> {
    let Rebuilt { drop, shard, epoch, carried, grounds, lost, actor, now_ms } = rebuilt;
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    if !note_loaded(&transaction, *drop, *shard, *epoch, *carried).await? {
        return Ok(());
    }
    let content = Content::Rebuilt {
        drop: drop.0,
        shard: shard.0,
        epoch: epoch.0,
        carried: *carried,
        grounds: *grounds,
        lost: lost.clone(),
    };
    testify_by(&transaction, *now_ms, actor.as_deref(), content).await?;
    raise_revision(&transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// See [`crate::ledger::Ledger::note_seen`].
pub(super) async fn note_seen(client: &mut Client, shard: Shard, seen: &[Seen]) -> Result<(), LedgerError> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    let sql = "UPDATE loaded SET seen_seq = $4 \
               WHERE drop_number::bigint = $1 AND shard = $2 AND epoch = $3 AND seen_seq < $4";
    for Seen { drop, epoch, seq } in seen {
        let (drop, seq) = (i64::from(drop.0), i64::from(*seq));
        execute(&transaction, sql, &[&drop, &i16::from(shard.0), &i32::from(epoch.0), &seq]).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// See [`crate::ledger::Ledger::seal`].
pub(super) async fn seal(
    client: &mut Client,
    shard: Shard,
    position: JournalId,
) -> Result<bool, LedgerError> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    if read::position(&transaction, shard).await? != position {
        return Ok(false);
    }
    let (ms, seq) = (position.ms.cast_signed(), position.seq.cast_signed());
    let sql = "INSERT INTO seal (shard, ms, seq) VALUES ($1, $2, $3) \
               ON CONFLICT (shard) DO UPDATE SET ms = excluded.ms, seq = excluded.seq";
    execute(&transaction, sql, &[&i16::from(shard.0), &ms, &seq]).await?;
    transaction.commit().await?;
    Ok(true)
}

/// See [`crate::ledger::Ledger::unseal`].
pub(super) async fn unseal(client: &mut Client, shard: Shard) -> Result<(), LedgerError> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    execute(&transaction, "DELETE FROM seal WHERE shard = $1", &[&i16::from(shard.0)]).await?;
    transaction.commit().await?;
    Ok(())
}

/// See [`crate::ledger::Ledger::is_sealed`].
pub(super) async fn is_sealed<C: GenericClient>(client: &C, shard: Shard) -> Result<bool, LedgerError> {
    let sql = "SELECT 1 FROM seal s LEFT JOIN position p ON p.shard = s.shard \
               WHERE s.shard = $1 AND s.ms = coalesce(p.ms, $2) AND s.seq = coalesce(p.seq, $3)";
    let (ms, seq) = (JournalId::START.ms.cast_signed(), JournalId::START.seq.cast_signed());
    Ok(query_opt(client, sql, &[&i16::from(shard.0), &ms, &seq]).await?.is_some())
}
