//! Orphan receipts: registering, settling, reading.

use deadpool_postgres::{Client, GenericClient, Transaction};
use tokio_postgres::Row;

use super::books::{lock, testify_by};
use super::{encoded, execute, number, query, query_number, query_opt, read};
use crate::clock::UnixMs;
use crate::domain::ids::ClaimNumber;
use crate::ledger::chain::Content;
use crate::ledger::{LedgerError, ReceiptCounts, ReceiptRow, Settlement};
use crate::limits;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT number, claim, person, shown_at_ms, settled_at_ms, replacement, reason FROM receipt ",
            $rest
        )
    };
}

/// See [`crate::ledger::Ledger::register_receipt`].
pub(super) async fn register(
    client: &mut Client,
    claim: ClaimNumber,
    person: &str,
    now_ms: UnixMs,
) -> Result<Option<ReceiptRow>, LedgerError> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    if read::claim(&transaction, claim).await?.is_some() {
        return Ok(None);
    }
    let known = of(&transaction, claim).await?;
    if let Some(row) = known.iter().find(|row| row.person == person) {
        return Ok(Some(row.clone()));
    }
    if known.len() >= limits::RECEIPT_PERSONS_MAX {
        return Ok(None);
    }
    let last = query_number(&transaction, "SELECT coalesce(max(number), 0) FROM receipt", &[]).await?;
    let at = last.saturating_add(1);
    let row = ReceiptRow {
        number: number(at)?,
        claim,
        person: person.to_owned(),
        shown_at_ms: now_ms,
        settled: None,
    };
    let sql = "INSERT INTO receipt (number, claim, person, shown_at_ms) VALUES ($1, $2, $3, $4)";
    execute(&transaction, sql, &[&at, &claim.claim_id(), &person, &now_ms]).await?;
    record(&transaction, &row, None, now_ms).await?;
    transaction.commit().await?;
    Ok(Some(row))
}

/// See [`crate::ledger::Ledger::settle_receipt`].
pub(super) async fn settle(
    client: &mut Client,
    receipt_number: u64,
    settlement: &Settlement,
    (actor, now_ms): (&str, UnixMs),
) -> Result<Option<ReceiptRow>, LedgerError> {
    let at: i64 = number(receipt_number)?;
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    let found = query_opt(&transaction, select!("WHERE number = $1"), &[&at]).await?;
    let Some(mut row) = found.as_ref().map(receipt).transpose()? else { return Ok(None) };
    if row.settled.is_some() {
        return Ok(Some(row));
    }
    row.settled = Some((now_ms, settlement.clone()));
    let (settled_at_ms, replacement, reason) = row.columns();
    let sql = "UPDATE receipt SET settled_at_ms = $2, replacement = $3, reason = $4 WHERE number = $1";
    execute(&transaction, sql, &[&at, &settled_at_ms, &replacement, &reason]).await?;
    record(&transaction, &row, Some(actor), now_ms).await?;
    transaction.commit().await?;
    Ok(Some(row))
}

async fn record(
    transaction: &Transaction<'_>,
    row: &ReceiptRow,
    actor: Option<&str>,
    now_ms: UnixMs,
) -> Result<(), LedgerError> {
    let sha256 = row.digest().map_err(encoded)?;
    testify_by(transaction, now_ms, actor, Content::Receipt { number: row.number, sha256 }).await
}

/// See [`crate::ledger::Ledger::receipts`].
pub(super) async fn page<C: GenericClient>(
    client: &C,
    after: u64,
    limit: u32,
) -> Result<Vec<ReceiptRow>, LedgerError> {
    let (after, limit): (i64, i64) = (number(after)?, i64::from(limit));
    let rows =
        query(client, select!("WHERE number > $1 ORDER BY number LIMIT $2"), &[&after, &limit]).await?;
    rows.iter().map(receipt).collect()
}

/// See [`crate::ledger::Ledger::receipts_of`].
pub(super) async fn of<C: GenericClient>(
    client: &C,
    claim: ClaimNumber,
) -> Result<Vec<ReceiptRow>, LedgerError> {
    let rows = query(client, select!("WHERE claim = $1 ORDER BY number"), &[&claim.claim_id()]).await?;
    rows.iter().map(receipt).collect()
}

/// See [`crate::ledger::Ledger::receipt_counts`].
pub(super) async fn counts<C: GenericClient>(client: &C) -> Result<ReceiptCounts, LedgerError> {
    let sql = "SELECT count(*) FILTER (WHERE settled_at_ms IS NULL), count(replacement), count(reason) FROM receipt";
    let rows = query(client, sql, &[]).await?;
    let Some(row) = rows.first() else { return Ok(ReceiptCounts::default()) };
    let count = |column| number(row.try_get::<_, i64>(column)?);
    Ok(ReceiptCounts { open: count(0)?, honoured: count(1)?, void: count(2)? })
}

fn receipt(row: &Row) -> Result<ReceiptRow, LedgerError> {
    let settled = (row.try_get(4)?, row.try_get(5)?, row.try_get(6)?);
    let at = number(row.try_get::<_, i64>(0)?)?;
    ReceiptRow::from_columns(at, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, settled).map_err(encoded)
}
