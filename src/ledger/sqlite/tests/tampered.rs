//! Tampering with steps, books and what is kept of reversals.

use super::*;
use crate::ledger::conformance::contra::{CONTRA_TAMPERED, CONTRA_WRONG, reversed};
use crate::ledger::conformance::tampering::{LIFE_TAMPERED, lived};

/// Ends what keeps steps, lines and references.
const OPENED: &str = "DROP TRIGGER step_stays; DROP TRIGGER step_is_kept; DROP TRIGGER line_stays; \
                      DROP TRIGGER reference_stays; DROP TRIGGER reference_is_kept;";

#[tokio::test]
async fn a_reversal_of_nothing_and_a_second_one_are_seen() {
    for sql in CONTRA_WRONG {
        let (_folder, path) = fresh();
        reversed(&SqliteLedger::open(&path).unwrap()).await;
        let connection = rusqlite::Connection::open(&path).unwrap();
        let wrong = || -> i64 {
            connection.query_row(crate::ledger::life::REVERSALS_DIFFER, [], |row| row.get(0)).unwrap()
        };
        assert_eq!(wrong(), 0);
        connection.execute_batch(&format!("{OPENED} {sql}")).unwrap();
        assert_eq!(wrong(), 1, "{sql}");
    }
}

#[tokio::test]
async fn tampering_with_steps_and_books_is_found() {
    let cases = LIFE_TAMPERED.iter().map(|case| (case, false));
    for ((sql, index, what), is_reversed) in cases.chain(CONTRA_TAMPERED.iter().map(|case| (case, true))) {
        let (_folder, path) = fresh();
        let ledger = SqliteLedger::open(&path).unwrap();
        if is_reversed {
            reversed(&ledger).await;
        } else {
            lived(&ledger).await;
        }
        verified(&ledger).await;
        rusqlite::Connection::open(&path).unwrap().execute_batch(&format!("{OPENED} {sql}")).unwrap();
        let broken = ledger.verify_chain().await.unwrap().expect_err(sql);
        assert_eq!(broken.index, *index, "{sql}: {broken}");
        assert!(broken.what.contains(what), "{sql}: {broken}");
    }
}
