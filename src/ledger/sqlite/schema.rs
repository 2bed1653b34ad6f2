//! The tables, and how a file is opened and brought to their present form.
//!
//! Owns the schema and the connection's settings. A claim's row key packs its series (drop, shard, epoch) and its
//! `seq` into one integer, so that the claims table is its only index and new rows go to the end of their series.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use crate::ledger::LedgerError;
use crate::ledger::rules::{RULES, Written};
use crate::limits;

/// One text a schema version, in order; a file says by `user_version` how many it has.
const MIGRATIONS: [&str; 11] = [
    include_str!("schema.sql"),
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

/// Prepared statements kept by a connection: more than there are different ones.
const STATEMENTS: usize = 64;
/// Page cache of a connection, in KiB (SQLite counts it as a negative number).
const CACHE_KIB: i64 = 64 * 1024;
/// The writer copies the write-ahead log back once it has this many pages: rarely enough for a rush, small enough a file.
/// Most of them are copied already by then (`checkpoints.rs`).
const CHECKPOINT_PAGES: i64 = 8_192;

/// Opens the file for reading and writing, makes it if there is none, and brings it to the present schema.
pub(super) fn open(path: &Path) -> Result<Connection, LedgerError> {
    // The file holds who claimed what: it is made for its owner's eyes alone, before SQLite opens it.
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| cannot_open(path, &error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, &error))?;
    prepare(&connection)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens the file for reading; it must be there and have the present schema.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, &error))?;
    prepare(&connection)?;
    match version(&connection)? {
        found if found == MIGRATIONS.len() => {}
        found => return Err(wrong_schema(found)),
    }
    written(&connection)?.is_present()?;
    Ok(connection)
}

fn written(connection: &Connection) -> Result<Written, LedgerError> {
    let row = |row: &rusqlite::Row<'_>| Ok(Written { rules: row.get(0)?, by: row.get(1)? });
    Ok(connection.query_row("SELECT number, written_by FROM rules", [], row)?)
}

/// Opens a file that [`open`] has opened before, for copying its write-ahead log back.
pub(super) fn open_for_checkpoints(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(path, &error))?;
    // The log begins anew after what was copied: that must be on disk before.
    connection.pragma_update(None, "synchronous", "full")?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> Result<(), LedgerError> {
    connection.busy_timeout(limits::LEDGER_BUSY_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(())
}

fn cannot_open(path: &Path, error: &dyn std::fmt::Display) -> LedgerError {
    LedgerError::Unavailable(format!("cannot open {}: {error}", path.display()))
}

fn version(connection: &Connection) -> Result<usize, LedgerError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    usize::try_from(version).map_err(|_| LedgerError::Corrupt(format!("schema version {version}")))
}

fn wrong_schema(found: usize) -> LedgerError {
    let known = MIGRATIONS.len();
    let advice = if found > known { "use a newer claimrush" } else { "open it once for writing" };
    LedgerError::Corrupt(format!("the file has schema {found}, this program knows {known}: {advice}"))
}

fn migrate(connection: &mut Connection) -> Result<(), LedgerError> {
    // Read inside the write transaction: another process may be doing the same just now.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    let missing = MIGRATIONS.get(found..).ok_or_else(|| wrong_schema(found))?;
    for migration in missing {
        transaction.execute_batch(migration)?;
    }
    if !missing.is_empty() {
        transaction.pragma_update(
            None,
            "user_version",
            i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX),
        )?;
    }
    if !written(&transaction)?.is_present()? {
        transaction.execute("UPDATE rules SET number = ?1, written_by = ?2", params![RULES, Written::BY])?;
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        open(&path).unwrap().pragma_update(None, "user_version", 70).unwrap();
        let text = "ledger corrupt: the file has schema 70, this program knows 11: use a newer claimrush";
        assert_eq!(open(&path).unwrap_err().to_string(), text);
        assert_eq!(open_read_only(&path).unwrap_err().to_string(), text);
    }

    #[test]
    fn later_rules_are_refused_by_name_and_earlier_ones_brought_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let writer = open(&path).unwrap();
        let found = || written(&writer).unwrap();
        assert_eq!(found(), Written { rules: RULES, by: Written::BY.to_owned() });
        writer.execute("UPDATE rules SET number = 0, written_by = ''", []).unwrap();
        assert!(open_read_only(&path).is_ok());
        drop(open(&path).unwrap());
        assert_eq!(found(), Written { rules: RULES, by: Written::BY.to_owned() });
        writer.execute("UPDATE rules SET number = 70, written_by = '9.8.7'", []).unwrap();
        let text = "ledger corrupt: it is written by rules 70 of claimrush 9.8.7, this program knows 2: use a newer claimrush";
        assert_eq!(open(&path).unwrap_err().to_string(), text);
        assert_eq!(open_read_only(&path).unwrap_err().to_string(), text);
    }

    #[test]
    fn a_file_of_the_first_schema_is_brought_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.execute_batch(
            "INSERT INTO campaign (id, body, state) VALUES ('c', '{}', 'running');
             INSERT INTO campaign_drop (number, id, campaign) VALUES (1, 'd', 1);
             INSERT INTO loaded (drop_number, shard, epoch) VALUES (1, 0, 1);",
        )
        .unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        assert!(matches!(open_read_only(&path), Err(LedgerError::Corrupt(_))));
        let new = open(&path).unwrap();
        let known: (i64, i64, Option<i64>) = new
            .query_row("SELECT carried, seen_seq, opens_at_min_ms FROM loaded, campaign_drop", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap();
        assert_eq!(known, (0, 0, None));
        assert!(open_read_only(&path).is_ok());
    }

    #[test]
    fn a_file_that_is_missing_or_no_ledger_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        assert!(matches!(open_read_only(&path), Err(LedgerError::Unavailable(_))));
        assert!(!path.exists());
        std::fs::write(&path, "not a database, but long enough to be looked at as one".repeat(100)).unwrap();
        assert!(matches!(open(&path), Err(LedgerError::Corrupt(_))));
    }

    #[test]
    fn an_unbalanced_posting_cannot_be_committed() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = open(&folder.path().join("ledger.db")).unwrap();
        connection
            .execute_batch("INSERT INTO campaign (id, body, state) VALUES ('x', '{}', 'running')")
            .unwrap();
        let mut post = |lines: &str| {
            let transaction = connection.transaction().unwrap();
            transaction
                .execute_batch(&format!(
                    "INSERT INTO posting (at_ms, campaign, kind) VALUES (1, 1, 'budget');
                     INSERT INTO posting_line (posting, account, amount)
                     SELECT max(number), column1, column2 FROM posting, (VALUES {lines}) GROUP BY column1"
                ))
                .unwrap();
            transaction.commit()
        };
        assert!(post("('budget', -5), ('unissued', 5)").is_ok());
        assert!(post("('budget', -5), ('unissued', 4)").is_err());
        assert!(post("('budget', -5)").is_err());
        assert!(connection.execute_batch("UPDATE posting_line SET amount = 6").is_err());
        assert!(connection.execute_batch("DELETE FROM posting_line").is_err());
    }
}
