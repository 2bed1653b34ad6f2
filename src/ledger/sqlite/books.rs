//! What every transaction leaves beside its rows: postings, and the audit record that covers it all.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{encoded, signed, unsigned};
use crate::clock::UnixMs;
use crate::domain::ids::DropNumber;
use crate::domain::money::Fen;
use crate::ledger::chain::{Content, Hash, ORIGIN, Record, RowsDigest};
use crate::ledger::numbered::Numbered;
use crate::ledger::postings::{Account, Posting};
use crate::ledger::{ChainHead, LedgerError};

/// A digest over the rows of `table` that this transaction is going to add.
pub(super) fn digest_after(
    transaction: &Transaction<'_>,
    table: Numbered,
) -> Result<RowsDigest, LedgerError> {
    let last: i64 = transaction.prepare_cached(table.last())?.query_row([], |row| row.get(0))?;
    Ok(RowsDigest::new(unsigned(last)?.saturating_add(1)))
}

/// Writes postings and digests them.
pub(super) struct Books<'t, 'c> {
    transaction: &'t Transaction<'c>,
    at_ms: UnixMs,
    pub(super) digest: RowsDigest,
}

impl<'t, 'c> Books<'t, 'c> {
    pub(super) fn open(transaction: &'t Transaction<'c>, at_ms: UnixMs) -> Result<Self, LedgerError> {
        // Nothing is posted into a period that is closed, whatever this machine's clock says.
        let at_ms = super::life::in_time(transaction, at_ms)?;
        Ok(Self { transaction, at_ms, digest: digest_after(transaction, Numbered::Postings)? })
    }

    /// What an account of a campaign holds.
    pub(super) fn balance(&self, campaign: i64, account: &Account) -> Result<Fen, LedgerError> {
        let balance = self
            .transaction
            .prepare_cached("SELECT amount FROM account WHERE campaign = ?1 AND name = ?2")?
            .query_row(params![campaign, account.name()], |row| row.get(0))
            .optional()?;
        Ok(Fen(balance.unwrap_or(0)))
    }

    /// Writes a posting with its lines, unless nothing moved.
    pub(super) fn post(
        &mut self,
        campaign: i64,
        drop: Option<DropNumber>,
        posting: Option<Posting>,
    ) -> Result<(), LedgerError> {
        let Some(posting) = posting else { return Ok(()) };
        let drop = drop.map(|drop| drop.0);
        let number = signed(self.digest.next_number())?;
        self.transaction
            .prepare_cached(
                "INSERT INTO posting (number, at_ms, campaign, drop_number, kind) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![number, self.at_ms, campaign, drop, posting.kind()])?;
        let mut line = self
            .transaction
            .prepare_cached("INSERT INTO posting_line (posting, account, amount) VALUES (?1, ?2, ?3)")?;
        let mut lines: Vec<_> =
            posting.lines().iter().map(|(account, amount)| (account.name(), amount.0)).collect();
        lines.sort_unstable();
        for (account, amount) in &lines {
            line.execute(params![number, account, amount])?;
        }
        let row = (number, self.at_ms, campaign, drop, posting.kind(), lines);
        self.digest.push(&row).map_err(encoded)
    }
}

/// The chain's last record: its number and hash.
pub(super) fn chain_end(connection: &rusqlite::Connection) -> Result<(u64, Hash), LedgerError> {
    let last: Option<(i64, Hash)> = connection
        .prepare_cached("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    last.map_or(Ok((0, ORIGIN)), |(number, hash)| Ok((unsigned(number)?, hash)))
}

/// The chain's head as the outside sees it.
pub(super) fn chain_head(connection: &rusqlite::Connection) -> Result<ChainHead, LedgerError> {
    let (length, hash) = chain_end(connection)?;
    Ok(ChainHead { length, hash: data_encoding::HEXLOWER.encode(&hash) })
}

/// See [`crate::ledger::Ledger::audit_records`].
pub(super) fn records(
    connection: &rusqlite::Connection,
    after: u64,
    limit: i64,
) -> Result<Vec<Record>, LedgerError> {
    let sql = "SELECT number, body, hash FROM audit WHERE number > ?1 ORDER BY number LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![signed(after)?, limit])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(Record { index: unsigned(row.get(0)?)?, body: row.get(1)?, hash: row.get(2)? });
    }
    Ok(records)
}

/// See [`crate::ledger::Ledger::chain_record`].
pub(super) fn chain_record(
    connection: &rusqlite::Connection,
    hash: &str,
) -> Result<Option<u64>, LedgerError> {
    let Ok(hash) = data_encoding::HEXLOWER.decode(hash.as_bytes()) else { return Ok(None) };
    let number: Option<i64> = connection
        .prepare_cached("SELECT number FROM audit WHERE hash = ?1")?
        .query_row([hash], |row| row.get(0))
        .optional()?;
    number.map(unsigned).transpose()
}

/// Appends a record to the chain.
pub(super) fn testify(
    transaction: &Transaction<'_>,
    at_ms: UnixMs,
    content: Content,
) -> Result<(), LedgerError> {
    testify_by(transaction, at_ms, None, content)
}

/// Appends a record of what somebody did.
pub(super) fn testify_by(
    transaction: &Transaction<'_>,
    at_ms: UnixMs,
    actor: Option<&str>,
    content: Content,
) -> Result<(), LedgerError> {
    let (length, hash) = chain_end(transaction)?;
    let record = Record::next(&hash, length.saturating_add(1), at_ms, actor, content).map_err(encoded)?;
    transaction
        .prepare_cached("INSERT INTO audit (number, body, hash) VALUES (?1, ?2, ?3)")?
        .execute(params![signed(record.index)?, record.body, record.hash])?;
    Ok(())
}
