//! The tables, and how a database is brought to their present form by any number of services at once.
//!
//! Owns the schema's versions. The tables stand in the first schema of the session's `search_path`, `public` unless
//! the URL or the role says otherwise.

use deadpool_postgres::{Client, GenericClient};

use super::books::lock;
use super::{number, query_number, query_opt};
use crate::ledger::LedgerError;
use crate::ledger::rules::{RULES, Written};
use crate::limits;

/// One text a schema version, in order; the table `schema_version` says how many a database has.
const MIGRATIONS: [&str; 11] = [
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
    include_str!("schema-11.sql"),
];

/// Held for a migration's transaction, so that services that start together do it one after another. Any number that
/// no other program in the database uses.
const LOCK: i64 = 0x636c_6169_6d72_7368;

/// Brings the database to the present schema.
pub(super) async fn migrate(client: &mut Client) -> Result<(), LedgerError> {
    // Without a lock first: a role that may not create tables can still use those that are there.
    let found = version(client).await?;
    check_place(client).await?;
    if found == Some(MIGRATIONS.len()) && written(client).await?.is_present()? {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    // Many rows may take minutes. Whoever starts as well waits for that; for anybody else the usual time is enough.
    transaction.batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0").await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let lock_timeout = limits::LEDGER_LOCK_TIMEOUT.as_millis();
    transaction.batch_execute(&format!("SET LOCAL lock_timeout = '{lock_timeout}ms'")).await?;
    let found = version(&transaction).await?;
    if found.is_some() {
        // A drain that is in the middle of its transaction ends it first: the two would wait for each other's tables.
        lock(&transaction).await?;
    } else {
        transaction.batch_execute("CREATE TABLE schema_version (version bigint NOT NULL)").await?;
        transaction.execute("INSERT INTO schema_version (version) VALUES (0)", &[]).await?;
    }
    let found = found.unwrap_or(0);
    let known = MIGRATIONS.len();
    if (1..known).contains(&found) {
        tracing::info!(from = found, to = known, "the tables of the ledger are brought to a newer schema");
    }
    for migration in MIGRATIONS.get(found..).ok_or_else(|| wrong_schema(found))? {
        transaction.batch_execute(migration).await?;
    }
    let known: i64 = number(known)?;
    transaction.execute("UPDATE schema_version SET version = $1", &[&known]).await?;
    if !written(&transaction).await?.is_present()? {
        let sql = "UPDATE rules SET number = $1, written_by = $2";
        transaction.execute(sql, &[&i64::from(RULES), &Written::BY]).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Refuses a ledger that stands in another schema than the one to which new tables would come: a later version's would stand
/// apart from the rest, where nobody else finds them.
async fn check_place<C: GenericClient>(client: &C) -> Result<(), LedgerError> {
    let sql = "SELECT n.nspname::text, current_schema()::text FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relname = 'schema_version' AND pg_catalog.pg_table_is_visible(c.oid) \
                 AND n.nspname IS DISTINCT FROM current_schema()";
    let Some(row) = query_opt(client, sql, &[]).await? else { return Ok(()) };
    let (place, first): (String, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
    let first = first.unwrap_or_default();
    Err(LedgerError::Unavailable(format!(
        "the search_path finds a ledger in schema {place:?}, and would put new tables into {first:?}: \
         let it name the one that is meant first, as in ledger.url = \"…?options=-csearch_path%3D{place}\""
    )))
}

/// Refuses a database that has not the present schema.
pub(super) async fn check<C: GenericClient>(client: &C) -> Result<(), LedgerError> {
    match version(client).await? {
        Some(found) if found == MIGRATIONS.len() => written(client).await?.is_present().map(drop),
        Some(found) => Err(wrong_schema(found)),
        None => Err(LedgerError::Unavailable("the database holds no ledger".to_owned())),
    }
}

async fn written<C: GenericClient>(client: &C) -> Result<Written, LedgerError> {
    let row = client.query_one("SELECT number, written_by FROM rules", &[]).await?;
    Ok(Written { rules: number(row.try_get::<_, i64>(0)?)?, by: row.try_get(1)? })
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::PostgresLedger;
    use super::super::tests::server::PostgresServer;
    use super::*;
    use crate::ledger::Ledger;

    /// A schema as a program of this version has left it: the URL by which it is found.
    fn as_of(server: &PostgresServer, version: usize) -> String {
        let schema = format!("version_{version}");
        let url = server.schema_url(&schema);
        for migration in &MIGRATIONS[..version] {
            server.sql(&format!("SET search_path = {schema}; {migration}"));
        }
        server.sql(&format!(
            "SET search_path = {schema}; CREATE TABLE schema_version (version bigint NOT NULL); \
             INSERT INTO schema_version VALUES ({version})"
        ));
        url
    }

    #[tokio::test]
    async fn a_database_of_any_version_is_brought_up() {
        let server = PostgresServer::start(&[]);
        let columns = |version: usize| {
            server.sql(&format!(
                "SELECT table_name, column_name, data_type FROM information_schema.columns \
                 WHERE table_schema = 'version_{version}' ORDER BY 1, 2"
            ))
        };
        let present = MIGRATIONS.len();
        for version in (1..=present).rev() {
            let ledger = PostgresLedger::open(&as_of(&server, version), None).await.unwrap();
            ledger.verify_chain().await.unwrap().expect("the chain of an empty ledger");
            assert_eq!(columns(version), columns(present), "from version {version}");
        }
    }

    #[tokio::test]
    async fn later_rules_are_refused_by_name_and_earlier_ones_brought_up() {
        let server = PostgresServer::start(&[]);
        let url = as_of(&server, MIGRATIONS.len());
        let present = format!("{RULES}|{}", Written::BY);
        for (before, after) in [("0, ''", &*present), ("70, '9.8.7'", "70|9.8.7")] {
            server.sql(&format!("UPDATE version_11.rules SET (number, written_by) = ({before})"));
            let opened = PostgresLedger::open(&url, None).await.map(drop).map_err(|error| error.to_string());
            let read = PostgresLedger::open_read_only(&url, None).await.map(drop);
            let text = "ledger corrupt: it is written by rules 70 of claimrush 9.8.7, this program knows 2: use a newer claimrush";
            let refused = after.starts_with("70").then(|| text.to_owned());
            assert_eq!(
                (opened.err(), read.map_err(|error| error.to_string()).err()),
                (refused.clone(), refused)
            );
            assert_eq!(server.sql("SELECT number, written_by FROM version_11.rules"), after);
        }
    }

    /// A drain of the version before, in the middle of its transaction when the newer one starts.
    #[tokio::test]
    async fn a_drain_that_writes_is_let_through_before_the_tables_change() {
        let server = PostgresServer::start(&[]);
        let url = as_of(&server, 3);
        server.sql("INSERT INTO version_3.campaign VALUES (1, 'c', '{}', 'running')");
        let (mut drain, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let transaction = drain.transaction().await.unwrap();
        let lock = "SELECT revision FROM catalogue WHERE one = 1 FOR UPDATE";
        transaction
            .batch_execute(&format!("{lock}; INSERT INTO posting VALUES (1, 1, 1, NULL, 'budget')"))
            .await
            .unwrap();
        let opening = tokio::spawn(async move { PostgresLedger::open(&url, None).await.map(drop) });
        while server.sql("SELECT count(*) FROM pg_locks WHERE NOT granted") == "0" {
            assert!(!opening.is_finished(), "it waits for the drain");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let lines = "INSERT INTO posting_line VALUES (1, 'budget', -5), (1, 'unissued', 5)";
        transaction.batch_execute(lines).await.unwrap();
        transaction.commit().await.unwrap();
        opening.await.unwrap().unwrap();
        assert_eq!(server.sql("SELECT version FROM version_3.schema_version"), MIGRATIONS.len().to_string());
        assert_eq!(server.sql("SELECT count(*) FROM version_3.posting_line"), "2");
    }

    #[tokio::test]
    async fn a_large_ledger_takes_as_long_as_it_takes() {
        let server = PostgresServer::start(&[]);
        let url = as_of(&server, 9);
        server.sql(
            "SET search_path = version_9; CREATE TABLE seen (statement_timeout text, lock_timeout text); \
             CREATE FUNCTION notes() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen \
             VALUES (current_setting('statement_timeout'), current_setting('lock_timeout')); END $$; \
             CREATE EVENT TRIGGER notes ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION notes()",
        );
        drop(PostgresLedger::open(&url, None).await.unwrap());
        assert_eq!(
            server.sql("SELECT DISTINCT statement_timeout, lock_timeout FROM version_9.seen"),
            "0|10s"
        );
    }
}
