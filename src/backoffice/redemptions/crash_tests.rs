//! Killed (kill -9) at every step of a redemption, a refund, a reversal and an expiry, on both stores: it happened whole or
//! not at all, and asking again with the same key gives one outcome.
//!
//! The process that is killed is this test itself, run once more with the ledger and what to do in its environment.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::failpoint::Step as Fail;
use crate::ledger::Ledger;
use crate::ledger::conformance::life::{VALID_MS, number, redeem};
use crate::ledger::conformance::{MONEY, NOW_MS, campaign, claims, group};
use crate::ledger::life::{Action, Key, Outcome, Request};
use crate::ledger::postgres::PostgresLedger;
use crate::ledger::postgres::tests::server::PostgresServer;
use crate::ledger::sqlite::SqliteLedger;

const LEDGER: &str = "CLAIMRUSH_TEST_LEDGER";
const DEED: &str = "CLAIMRUSH_TEST_DEED";
const NAME: &str =
    "backoffice::redemptions::crash_tests::what_a_killed_till_did_happened_whole_or_not_at_all";
/// What is done in the process that is killed.
const DEEDS: [&str; 4] = ["redeem", "refund", "reverse", "expire"];
const OVER_MS: i64 = NOW_MS + VALID_MS + 9;

async fn open(url: &str) -> Arc<dyn Ledger> {
    if url.starts_with("postgres") {
        return Arc::new(PostgresLedger::open(url, None).await.unwrap());
    }
    Arc::new(SqliteLedger::open(Path::new(url)).unwrap())
}

async fn keyed(ledger: &dyn Ledger, action: Action, key: &str) -> Outcome {
    let key = Key { actor: "m1".to_owned(), key: key.to_owned(), content: key.to_owned() };
    ledger.life(vec![Request { action, key: Some(key) }], NOW_MS + 9).await.unwrap().remove(0)
}

/// Does the deed. Step 1 has redeemed voucher 1.
async fn act(ledger: &dyn Ledger, deed: &str) -> Option<Outcome> {
    let merchant = "m1".to_owned();
    match deed {
        "redeem" => Some(keyed(ledger, Action::Redeem(redeem(2, "m1", "o2")), "two").await),
        "refund" => {
            Some(keyed(ledger, Action::Refund { redemption: 1, merchant, amount: None }, "two").await)
        }
        "reverse" => Some(keyed(ledger, Action::Reverse { redemption: 1, merchant }, "two").await),
        _ => {
            while ledger.expire(9, OVER_MS).await.unwrap().looked_at {}
            None
        }
    }
}

fn expected(deed: &str, done: bool) -> [i64; 3] {
    match deed {
        _ if !done => [2_000, 1_000, 0],
        "redeem" => [1_000, 2_000, 0],
        "expire" => [0, 1_000, 2_000],
        _ => [3_000, 0, 0],
    }
}

async fn standing(ledger: &dyn Ledger) -> [i64; 3] {
    let head = ledger.verify_chain().await.unwrap().expect("the chain verifies");
    assert_eq!(head, ledger.chain_head().await.unwrap());
    let books = &ledger.balances().await.unwrap()[0];
    assert_eq!((books.spread(), books.unbalanced), (Some(books.budget), 0));
    [books.live, books.payable, books.recycled].map(|fen| fen.0)
}

async fn killed_at(fail: Fail, deed: &str, url: &str) {
    let context = format!("{deed}, killed at {}, {url}", fail.name());
    let ledger = open(url).await;
    ledger.apply_campaign(&campaign(), 0, "ann", NOW_MS).await.unwrap();
    ledger.commit(group(0, vec![Ok(vec![claims(MONEY, 1, "ann bob cid")])])).await.unwrap();
    keyed(&*ledger, Action::Redeem(redeem(1, "m1", "o1")), "one").await.unwrap();
    drop(ledger);
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME])
        .envs([("FAILPOINT", fail.name()), (LEDGER, url), (DEED, deed)])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(ended.signal(), Some(9), "{context}");
    let ledger = open(url).await;
    let done = fail == Fail::LifeCommitted;
    assert_eq!(standing(&*ledger).await, expected(deed, done), "{context}");
    let outcome = act(&*ledger, deed).await;
    assert_eq!(standing(&*ledger).await, expected(deed, true), "{context}");
    if let Some(outcome) = outcome {
        assert_eq!(outcome.unwrap().replayed, done, "{context}");
    }
    let status = ledger.last_step(number(1, 2)).await.unwrap().and_then(|step| step.state);
    assert_eq!(status.is_some(), matches!(deed, "redeem" | "expire"), "{context}");
}

#[tokio::test]
async fn what_a_killed_till_did_happened_whole_or_not_at_all() {
    if let (Ok(url), Ok(deed)) = (std::env::var(LEDGER), std::env::var(DEED)) {
        act(&*open(&url).await, &deed).await;
        return;
    }
    let server = PostgresServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    for deed in DEEDS {
        let last = if deed == "expire" { Fail::ExpiryWritten } else { Fail::LifeCommitted };
        for fail in [Fail::LifeRead, Fail::LifeWritten, Fail::LifeTestified, last] {
            let case = format!("{deed}_{}", fail.name().replace('.', "_"));
            let file = folder.path().join(&case);
            killed_at(fail, deed, file.to_str().unwrap()).await;
            killed_at(fail, deed, &server.schema_url(&case)).await;
        }
    }
}
