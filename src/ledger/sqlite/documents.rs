//! Documents: written with their audit records, read by kind, by change and by history.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Params, Row, TransactionBehavior, params};

use super::books::{digest_after, testify_by};
use super::{SqliteLedger, signed, unsigned};
use crate::clock::UnixMs;
use crate::ledger::LedgerError;
use crate::ledger::documents::{Document, Documents, PutDocument};
use crate::ledger::numbered::Numbered;

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT number, kind, id, revision, body, actor, changed_at_ms FROM document d ", $rest)
    };
}

#[async_trait]
impl Documents for SqliteLedger {
    async fn put_documents(
        &self,
        puts: Vec<PutDocument>,
        now_ms: UnixMs,
    ) -> Result<Vec<Document>, LedgerError> {
        self.writer()?.run(move |connection| put(connection, puts, now_ms)).await
    }

    async fn document(&self, kind: &str, id: &str) -> Result<Option<Document>, LedgerError> {
        let key = (kind.to_owned(), id.to_owned());
        self.look_ups.run(move |connection| last(connection, &key.0, &key.1)).await
    }

    async fn documents(&self, kind: &str, after: &str, limit: u32) -> Result<Vec<Document>, LedgerError> {
        const SQL: &str = select!(
            "WHERE kind = ?1 AND id > ?2 AND revision = \
                 (SELECT max(revision) FROM document l WHERE l.kind = d.kind AND l.id = d.id) \
             ORDER BY id LIMIT ?3"
        );
        let (kind, after) = (kind.to_owned(), after.to_owned());
        self.look_ups.run(move |connection| rows(connection, SQL, params![kind, after, limit])).await
    }

    async fn document_history(
        &self,
        kind: &str,
        id: &str,
        before: u64,
        limit: u32,
    ) -> Result<Vec<Document>, LedgerError> {
        const SQL: &str =
            select!("WHERE kind = ?1 AND id = ?2 AND revision < ?3 ORDER BY revision DESC LIMIT ?4");
        let (kind, id, before) = (kind.to_owned(), id.to_owned(), i64::try_from(before).unwrap_or(i64::MAX));
        self.look_ups.run(move |connection| rows(connection, SQL, params![kind, id, before, limit])).await
    }

    async fn documents_revision(&self) -> Result<u64, LedgerError> {
        self.look_ups.run(|connection| revision(connection)).await
    }

    async fn document_changes(&self, after: u64, limit: u32) -> Result<Vec<Document>, LedgerError> {
        const SQL: &str = select!("WHERE number > ?1 ORDER BY number LIMIT ?2");
        let after = signed(after)?;
        self.look_ups.run(move |connection| rows(connection, SQL, params![after, limit])).await
    }
}

fn put(
    connection: &mut Connection,
    puts: Vec<PutDocument>,
    now_ms: UnixMs,
) -> Result<Vec<Document>, LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut number = digest_after(&transaction, Numbered::Documents)?.next_number();
    let mut written = Vec::with_capacity(puts.len());
    for put in puts {
        let before = last(&transaction, put.kind(), put.id())?;
        let (row, content) = put.after(before.as_ref(), number, now_ms)?;
        let (at, revision) = (signed(row.number)?, signed(row.revision)?);
        transaction
            .prepare_cached(
                "INSERT INTO document (number, kind, id, revision, body, actor, changed_at_ms) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![at, row.kind, row.id, revision, row.body, row.actor, now_ms])?;
        testify_by(&transaction, now_ms, Some(&row.actor), content)?;
        written.push(row);
        number = number.saturating_add(1);
    }
    transaction.commit()?;
    Ok(written)
}

fn last(connection: &Connection, kind: &str, id: &str) -> Result<Option<Document>, LedgerError> {
    const SQL: &str = select!("WHERE kind = ?1 AND id = ?2 ORDER BY revision DESC LIMIT 1");
    Ok(rows(connection, SQL, params![kind, id])?.pop())
}

fn revision(connection: &Connection) -> Result<u64, LedgerError> {
    unsigned(connection.prepare_cached(Numbered::Documents.last())?.query_row([], |row| row.get(0))?)
}

/// The change of this number.
pub(super) fn change(connection: &Connection, number: u64) -> Result<Option<Document>, LedgerError> {
    const SQL: &str = select!("WHERE number = ?1");
    let found = connection.prepare_cached(SQL)?.query_row([signed(number)?], |row| Ok(document(row)));
    found.optional()?.transpose()
}

fn rows(connection: &Connection, sql: &str, parameters: impl Params) -> Result<Vec<Document>, LedgerError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(parameters, |row| Ok(document(row)))?;
    rows.map(|row| row?).collect()
}

fn document(row: &Row<'_>) -> Result<Document, LedgerError> {
    Ok(Document {
        number: unsigned(row.get(0)?)?,
        kind: row.get(1)?,
        id: row.get(2)?,
        revision: unsigned(row.get(3)?)?,
        body: row.get(4)?,
        actor: row.get(5)?,
        changed_at_ms: row.get(6)?,
    })
}
