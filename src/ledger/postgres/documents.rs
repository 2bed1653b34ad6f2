//! Documents: written with their audit records, read by kind, by change and by history.

use std::collections::HashMap;

use async_trait::async_trait;
use deadpool_postgres::{Client, GenericClient, Transaction};
use tokio_postgres::Row;

use super::books::{digest_after, lock, testify_all};
use super::{Parameters, PostgresLedger, execute, in_time, number, query, query_number, query_opt};
use crate::clock::UnixMs;
use crate::ledger::LedgerError;
use crate::ledger::documents::{Document, Documents, PutDocument};
use crate::ledger::numbered::Numbered;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT d.number, d.kind, d.id, d.revision, d.body, d.actor, d.changed_at_ms FROM document d ",
            $rest
        )
    };
}

#[async_trait]
impl Documents for PostgresLedger {
    async fn put_documents(
        &self,
        puts: Vec<PutDocument>,
        now_ms: UnixMs,
    ) -> Result<Vec<Document>, LedgerError> {
        let mut client = self.writer().await?;
        in_time!(client, put(&mut client, puts, now_ms))
    }

    async fn document(&self, kind: &str, id: &str) -> Result<Option<Document>, LedgerError> {
        let sql = select!("WHERE kind = $1 AND id = $2 ORDER BY revision DESC LIMIT 1");
        let client = self.look_ups.get().await?;
        in_time!(client, async { Ok(rows(&client, sql, &[&kind, &id]).await?.pop()) })
    }

    async fn documents(&self, kind: &str, after: &str, limit: u32) -> Result<Vec<Document>, LedgerError> {
        let sql = select!(
            "WHERE kind = $1 AND id > $2 AND revision = \
                 (SELECT max(revision) FROM document l WHERE l.kind = d.kind AND l.id = d.id) \
             ORDER BY id LIMIT $3"
        );
        let client = self.look_ups.get().await?;
        in_time!(client, rows(&client, sql, &[&kind, &after, &i64::from(limit)]))
    }

    async fn document_history(
        &self,
        kind: &str,
        id: &str,
        before: u64,
        limit: u32,
    ) -> Result<Vec<Document>, LedgerError> {
        let sql = select!("WHERE kind = $1 AND id = $2 AND revision < $3 ORDER BY revision DESC LIMIT $4");
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        let client = self.look_ups.get().await?;
        in_time!(client, rows(&client, sql, &[&kind, &id, &before, &i64::from(limit)]))
    }

    async fn documents_revision(&self) -> Result<u64, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, async { number(query_number(&client, Numbered::Documents.last(), &[]).await?) })
    }

    async fn document_changes(&self, after: u64, limit: u32) -> Result<Vec<Document>, LedgerError> {
        let sql = select!("WHERE number > $1 ORDER BY number LIMIT $2");
        let after: i64 = number(after)?;
        let client = self.look_ups.get().await?;
        in_time!(client, rows(&client, sql, &[&after, &i64::from(limit)]))
    }
}

async fn put(
    client: &mut Client,
    puts: Vec<PutDocument>,
    now_ms: UnixMs,
) -> Result<Vec<Document>, LedgerError> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    let mut at = digest_after(&transaction, Numbered::Documents).await?.next_number();
    let mut standing = standing(&transaction, &puts).await?;
    let mut written = Vec::with_capacity(puts.len());
    let mut records = Vec::with_capacity(puts.len());
    for put in puts {
        let key = (put.kind().to_owned(), put.id().to_owned());
        let (row, content) = put.after(standing.get(&key), at, now_ms)?;
        records.push((Some(row.actor.clone()), content));
        standing.insert(key, row.clone());
        written.push(row);
        at = at.saturating_add(1);
    }
    insert(&transaction, &written, now_ms).await?;
    testify_all(&transaction, now_ms, records).await?;
    transaction.commit().await?;
    Ok(written)
}

/// What stands of the documents that are to be written, in one call.
async fn standing(
    transaction: &Transaction<'_>,
    puts: &[PutDocument],
) -> Result<HashMap<(String, String), Document>, LedgerError> {
    let sql = select!(
        "JOIN (SELECT DISTINCT k, i FROM unnest($1::text[], $2::text[]) u (k, i)) w ON d.kind = w.k AND d.id = w.i \
         WHERE d.revision = (SELECT max(revision) FROM document l WHERE l.kind = d.kind AND l.id = d.id)"
    );
    let (kinds, ids): (Vec<&str>, Vec<&str>) = puts.iter().map(|put| (put.kind(), put.id())).unzip();
    let found = rows(transaction, sql, &[&kinds, &ids]).await?;
    Ok(found.into_iter().map(|row| ((row.kind.clone(), row.id.clone()), row)).collect())
}

async fn insert(
    transaction: &Transaction<'_>,
    written: &[Document],
    now_ms: UnixMs,
) -> Result<(), LedgerError> {
    let sql = "INSERT INTO document (number, kind, id, revision, body, actor, changed_at_ms) \
               SELECT n, k, i, r, b, a, $7 FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], \
                   $5::text[], $6::text[]) u (n, k, i, r, b, a)";
    let numbers = written.iter().map(|row| number(row.number)).collect::<Result<Vec<i64>, _>>()?;
    let revisions = written.iter().map(|row| number(row.revision)).collect::<Result<Vec<i64>, _>>()?;
    let texts = |part: fn(&Document) -> &String| written.iter().map(part).collect::<Vec<&String>>();
    let (kinds, ids) = (texts(|row| &row.kind), texts(|row| &row.id));
    let (bodies, actors) = (texts(|row| &row.body), texts(|row| &row.actor));
    execute(transaction, sql, &[&numbers, &kinds, &ids, &revisions, &bodies, &actors, &now_ms]).await?;
    Ok(())
}

/// The change of this number.
pub(super) async fn change<C: GenericClient>(client: &C, at: u64) -> Result<Option<Document>, LedgerError> {
    let at: i64 = number(at)?;
    query_opt(client, select!("WHERE number = $1"), &[&at]).await?.as_ref().map(document).transpose()
}

async fn rows<C: GenericClient>(
    client: &C,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<Vec<Document>, LedgerError> {
    query(client, sql, parameters).await?.iter().map(document).collect()
}

fn document(row: &Row) -> Result<Document, LedgerError> {
    Ok(Document {
        number: number(row.try_get::<_, i64>(0)?)?,
        kind: row.try_get(1)?,
        id: row.try_get(2)?,
        revision: number(row.try_get::<_, i64>(3)?)?,
        body: row.try_get(4)?,
        actor: row.try_get(5)?,
        changed_at_ms: row.try_get(6)?,
    })
}
