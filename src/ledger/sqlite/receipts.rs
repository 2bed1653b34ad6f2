//! Orphan receipts: registering, settling, reading.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::books::testify_by;
use super::{encoded, read, signed, unsigned};
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
pub(super) fn register(
    connection: &mut Connection,
    claim: ClaimNumber,
    person: String,
    now_ms: UnixMs,
) -> Result<Option<ReceiptRow>, LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if read::claim(&transaction, claim)?.is_some() {
        return Ok(None);
    }
    let known = of(&transaction, claim)?;
    if let Some(row) = known.iter().find(|row| row.person == person) {
        return Ok(Some(row.clone()));
    }
    if known.len() >= limits::RECEIPT_PERSONS_MAX {
        return Ok(None);
    }
    let last: i64 = transaction
        .prepare_cached("SELECT coalesce(max(number), 0) FROM receipt")?
        .query_row([], |row| row.get(0))?;
    let number = unsigned(last.saturating_add(1))?;
    let row = ReceiptRow { number, claim, person, shown_at_ms: now_ms, settled: None };
    transaction
        .prepare_cached("INSERT INTO receipt (number, claim, person, shown_at_ms) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![signed(number)?, claim.claim_id(), row.person, now_ms])?;
    record(&transaction, &row, None, now_ms)?;
    transaction.commit()?;
    Ok(Some(row))
}

/// See [`crate::ledger::Ledger::settle_receipt`].
pub(super) fn settle(
    connection: &mut Connection,
    number: u64,
    settlement: Settlement,
    (actor, now_ms): (&str, UnixMs),
) -> Result<Option<ReceiptRow>, LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = transaction
        .prepare_cached(select!("WHERE number = ?1"))?
        .query_row([signed(number)?], |row| Ok(receipt(row)))
        .optional()?;
    let Some(mut row) = found.transpose()? else { return Ok(None) };
    if row.settled.is_some() {
        return Ok(Some(row));
    }
    row.settled = Some((now_ms, settlement));
    let (settled_at_ms, replacement, reason) = row.columns();
    transaction
        .prepare_cached(
            "UPDATE receipt SET settled_at_ms = ?2, replacement = ?3, reason = ?4 WHERE number = ?1",
        )?
        .execute(params![signed(number)?, settled_at_ms, replacement, reason])?;
    record(&transaction, &row, Some(actor), now_ms)?;
    transaction.commit()?;
    Ok(Some(row))
}

fn record(
    transaction: &Transaction<'_>,
    row: &ReceiptRow,
    actor: Option<&str>,
    now_ms: UnixMs,
) -> Result<(), LedgerError> {
    let sha256 = row.digest().map_err(encoded)?;
    testify_by(transaction, now_ms, actor, Content::Receipt { number: row.number, sha256 })
}

/// See [`crate::ledger::Ledger::receipts`].
pub(super) fn page(connection: &Connection, after: u64, limit: u32) -> Result<Vec<ReceiptRow>, LedgerError> {
    let mut statement = connection.prepare_cached(select!("WHERE number > ?1 ORDER BY number LIMIT ?2"))?;
    let rows = statement.query_map(params![signed(after)?, limit], |row| Ok(receipt(row)))?;
    rows.map(|row| row?).collect()
}

/// See [`crate::ledger::Ledger::receipts_of`].
pub(super) fn of(connection: &Connection, claim: ClaimNumber) -> Result<Vec<ReceiptRow>, LedgerError> {
    let mut statement = connection.prepare_cached(select!("WHERE claim = ?1 ORDER BY number"))?;
    let rows = statement.query_map([claim.claim_id()], |row| Ok(receipt(row)))?;
    rows.map(|row| row?).collect()
}

/// See [`crate::ledger::Ledger::receipt_counts`].
pub(super) fn counts(connection: &Connection) -> Result<ReceiptCounts, LedgerError> {
    let mut statement =
        connection.prepare_cached("SELECT count(*), count(replacement), count(reason) FROM receipt")?;
    let (all, honoured, void): (i64, i64, i64) =
        statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let (all, honoured, void) = (unsigned(all)?, unsigned(honoured)?, unsigned(void)?);
    Ok(ReceiptCounts { open: all.saturating_sub(honoured.saturating_add(void)), honoured, void })
}

fn receipt(row: &Row<'_>) -> Result<ReceiptRow, LedgerError> {
    let claim: String = row.get(1)?;
    let settled = (row.get(4)?, row.get(5)?, row.get(6)?);
    ReceiptRow::from_columns(unsigned(row.get(0)?)?, &claim, row.get(2)?, row.get(3)?, settled)
        .map_err(encoded)
}
