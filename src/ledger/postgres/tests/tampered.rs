//! Tampering with steps, books and what is kept of reversals.

use super::*;
use crate::ledger::conformance::contra::{CONTRA_TAMPERED, CONTRA_WRONG, reversed};
use crate::ledger::conformance::tampering::{LIFE_TAMPERED, lived};

/// Ends what keeps steps, lines and references.
const OPENED: &str = "DROP TRIGGER step_stays ON step; DROP TRIGGER line_stays ON posting_line; \
                      DROP TRIGGER reference_stays ON money_reference;";

#[tokio::test]
async fn a_reversal_of_nothing_and_a_second_one_are_seen() {
    let server = PostgresServer::start(&[]);
    for (case, sql) in CONTRA_WRONG.iter().enumerate() {
        let schema = format!("wrong_{case}");
        reversed(&open(&server.schema_url(&schema)).await).await;
        let wrong = |sql: &str| {
            let wrong = crate::ledger::life::REVERSALS_DIFFER;
            server.sql(&format!("SET search_path = {schema}; {sql}; {wrong}"))
        };
        assert_eq!(wrong("SELECT 1 WHERE false"), "0");
        assert_eq!(wrong(&format!("{OPENED} {sql}")), "1", "{sql}");
    }
}

#[tokio::test]
async fn tampering_with_steps_and_books_is_found() {
    let server = PostgresServer::start(&[]);
    let cases = LIFE_TAMPERED.iter().map(|case| (case, false));
    let cases = cases.chain(CONTRA_TAMPERED.iter().map(|case| (case, true)));
    for (case, ((sql, index, what), is_reversed)) in cases.enumerate() {
        let schema = format!("case_{case}");
        let ledger = open(&server.schema_url(&schema)).await;
        if is_reversed {
            reversed(&ledger).await;
        } else {
            lived(&ledger).await;
        }
        verified(&ledger).await;
        server.sql(&format!("SET search_path = {schema}; {OPENED} {sql}"));
        let broken = ledger.verify_chain().await.unwrap().expect_err(sql);
        assert_eq!(broken.index, *index, "{sql}: {broken}");
        assert!(broken.what.contains(what), "{sql}: {broken}");
    }
}
