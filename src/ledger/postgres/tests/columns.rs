//! Whatever somebody changes in the tables, the audit finds it: every column of every table, one after the other.

use super::open;
use super::server::PostgresServer;
use crate::ledger::Ledger;
use crate::ledger::conformance::tampering::{UNSEEN, all_columns};

/// Has no constraint keep a change from being made.
const UNLOCK: &str = "DO $$ DECLARE c record; BEGIN \
    FOR c IN SELECT conrelid::regclass AS t, conname FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0 \
        AND connamespace = 'public'::regnamespace LOOP \
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.t, c.conname); END LOOP; END $$";

/// (table, column, type) of everything but the schema's own version.
const COLUMNS: &str = "SELECT table_name || ' ' || column_name || ' ' || data_type FROM information_schema.columns \
    WHERE table_schema = 'public' AND table_name NOT LIKE '%schema%' ORDER BY table_name, ordinal_position";

#[tokio::test]
async fn no_column_is_changed_unseen() {
    let server = PostgresServer::start(&[]);
    let ledger = open(&server.url()).await;
    all_columns(&ledger).await;
    server.sql(UNLOCK);
    let all = server.sql(COLUMNS);
    assert!(all.lines().count() > 90, "{all}");
    let mut wrong = Vec::new();
    for line in all.lines() {
        let mut words = line.splitn(3, ' ');
        let (table, column, kind) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let (there, back) = match kind {
            "bigint" | "integer" | "smallint" => {
                let flip = |sign| {
                    format!("CASE WHEN {column} IN (0, 1) THEN 1 - {column} ELSE {column} {sign} 1000000 END")
                };
                (flip('+'), flip('-'))
            }
            "text" => (format!("{column} || 'x'"), format!("left({column}, -1)")),
            "boolean" => (format!("NOT {column}"), format!("NOT {column}")),
            "bytea" => {
                let shorter = format!("substring({column} FOR length({column}) - 1)");
                (format!("{column} || '\\x00'::bytea"), shorter)
            }
            other => panic!("{other}"),
        };
        let set = |to: &str| {
            let sql = format!("UPDATE {table} SET {column} = {to} WHERE {column} IS NOT NULL");
            server.sql(&format!("SET session_replication_role = replica; {sql}"));
        };
        let filled = server.sql(&format!("SELECT count({column}) > 0 FROM {table}"));
        assert_eq!(filled, "t", "{table}.{column} is never filled");
        set(&there);
        let found = ledger.verify_chain().await;
        set(&back);
        if matches!(found, Ok(Ok(_))) != UNSEEN.contains(&(table, column)) {
            wrong.push(format!("{table}.{column}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(ledger.verify_chain().await.unwrap().is_ok(), "all is as it was");
}
