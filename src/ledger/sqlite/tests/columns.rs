//! Whatever somebody changes in the file, the audit finds it: every column of every table, one after the other.

use rusqlite::Connection;

use super::{SqliteLedger, fresh};
use crate::ledger::Ledger;
use crate::ledger::conformance::tampering::{UNSEEN, all_columns};

/// What only this store has: sums by which it checks that postings are balanced, as it writes them.
const OWN: &[(&str, &str)] = &[("balanced", "total"), ("posting", "total")];

/// (table, column, type) of everything.
fn columns(connection: &Connection) -> Vec<(String, String, String)> {
    let sql = "SELECT m.name, c.name, c.type FROM sqlite_schema m JOIN pragma_table_info(m.name) c \
               WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Lets everything be changed.
fn unlock(connection: &Connection) {
    connection.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;").unwrap();
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").unwrap();
    let names = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    for name in names.map(Result::unwrap).collect::<Vec<_>>() {
        connection.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
}

#[tokio::test]
async fn no_column_is_changed_unseen() {
    let (folder, path) = fresh();
    all_columns(&SqliteLedger::open(&path).unwrap()).await;
    let all = columns(&Connection::open(&path).unwrap());
    assert!(all.len() > 90, "{}", all.len());
    let mut wrong = Vec::new();
    for (at, (table, column, kind)) in all.iter().enumerate() {
        let changed = folder.path().join(format!("{at}.db"));
        std::fs::copy(&path, &changed).unwrap();
        let connection = Connection::open(&changed).unwrap();
        unlock(&connection);
        let other = match kind.as_str() {
            // Later ones are not even opened.
            "INTEGER" if table == "rules" => format!("{column} - 1"),
            "INTEGER" => {
                format!("CASE WHEN {column} IN (0, 1) THEN 1 - {column} ELSE {column} + 1000000 END")
            }
            "TEXT" => format!("{column} || 'x'"),
            "BLOB" => "zeroblob(32)".to_owned(),
            other => panic!("{other}"),
        };
        let sql = format!("UPDATE {table} SET {column} = {other} WHERE {column} IS NOT NULL");
        assert!(connection.execute(&sql, []).unwrap() > 0, "{table}.{column} is never filled");
        drop(connection);
        let found = SqliteLedger::open_read_only(&changed).unwrap().verify_chain().await;
        let is_unseen = matches!(found, Ok(Ok(_)));
        let may_be = UNSEEN.iter().chain(OWN).any(|unseen| *unseen == (table.as_str(), column.as_str()));
        if is_unseen != may_be {
            wrong.push(format!("{table}.{column}: {found:?}"));
        }
        std::fs::remove_file(&changed).unwrap();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
