//! The tables, and how a database is brought to their present form by any number of services at once.
//!
//! Owns the schema's versions. The tables stand in the first schema of the session's `search_path`, `public` unless
//! the URL or the role says otherwise.

use deadpool_postgres::{Client, GenericClient};

use super::{number, query_number, query_opt};
use crate::ledger::LedgerError;

/// One text a schema version, in order; the table `schema_version` says how many a database has.
const MIGRATIONS: [&str; 10] = [
    include_str!("schema-1.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
    include_str!("schema-6.sql"),
    include_str!("schema-7.sql"),
    include_str!("schema-8.sql"),
    include_str!("schema-9.sql"),
    include_str!("schema-10.sql"),
];

/// Held for a migration's transaction, so that services that start together do it one after another. Any number that
/// no other program in the database uses.
const LOCK: i64 = 0x636c_6169_6d72_7368;

/// Brings the database to the present schema.
pub(super) async fn migrate(client: &mut Client) -> Result<(), LedgerError> {
    // Without a lock first: a role that may not create tables can still use those that are there.
    if version(client).await? == Some(MIGRATIONS.len()) {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let found = version(&transaction).await?;
    if found.is_none() {
        transaction.batch_execute("CREATE TABLE schema_version (version bigint NOT NULL)").await?;
        transaction.execute("INSERT INTO schema_version (version) VALUES (0)", &[]).await?;
    }
    let found = found.unwrap_or(0);
    for migration in MIGRATIONS.get(found..).ok_or_else(|| wrong_schema(found))? {
        transaction.batch_execute(migration).await?;
    }
    let known: i64 = number(MIGRATIONS.len())?;
    transaction.execute("UPDATE schema_version SET version = $1", &[&known]).await?;
    transaction.commit().await?;
    Ok(())
}

/// Refuses a database that has not the present schema.
pub(super) async fn check<C: GenericClient>(client: &C) -> Result<(), LedgerError> {
    match version(client).await? {
        Some(found) if found == MIGRATIONS.len() => Ok(()),
        Some(found) => Err(wrong_schema(found)),
        None => Err(LedgerError::Unavailable("the database holds no ledger".to_owned())),
    }
}

/// The schema version; nothing where there is no ledger.
async fn version<C: GenericClient>(client: &C) -> Result<Option<usize>, LedgerError> {
    // Not by `to_regclass`: its cache may still say no after another session has just made the table.
    let sql = "SELECT 1 FROM pg_catalog.pg_class \
               WHERE relname = 'schema_version' AND pg_catalog.pg_table_is_visible(oid)";
    let there = query_opt(client, sql, &[]).await?;
    if there.is_none() {
        return Ok(None);
    }
    Ok(Some(number(query_number(client, "SELECT version FROM schema_version", &[]).await?)?))
}

fn wrong_schema(found: usize) -> LedgerError {
    let known = MIGRATIONS.len();
    let advice = if found > known { "use a newer claimrush" } else { "open it once for writing" };
    LedgerError::Corrupt(format!("the database has schema {found}, this program knows {known}: {advice}"))
}
