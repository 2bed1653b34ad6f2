//! Many tills and one ledger.

use std::path::Path;

use super::*;
use crate::domain::cause::Cause;
use crate::domain::money::Fen;
use crate::ledger::conformance::life::{VALID_MS, number, pots, redeem};
use crate::ledger::conformance::{MONEY, NOW_MS, claims, group, stocked, verified, written};
use crate::ledger::life::{Action, Key, Refused};
use crate::ledger::sqlite::SqliteLedger;

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(Cause::CODES, 1).unwrap())
}

async fn sold(path: &Path, persons: u32) -> Arc<SqliteLedger> {
    let ledger = SqliteLedger::open(path).unwrap();
    stocked(&ledger).await;
    let takers: Vec<_> = (1..=persons).map(|n| format!("p{n}")).collect();
    written(&ledger, group(0, vec![Ok(vec![claims(MONEY, 1, &takers.join(" "))])])).await;
    Arc::new(ledger)
}

fn keyed(action: Action, key: &str, content: &str) -> Request {
    let key = Key { actor: "m1".to_owned(), key: key.to_owned(), content: content.to_owned() };
    Request { action, key: Some(key) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_redemptions_of_one_voucher_one_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = sold(&folder.path().join("ledger.db"), 3).await;
    let (redemptions, work) = Redemptions::new(ledger.clone(), || NOW_MS, metrics());
    let work = tokio::spawn(work);
    let tills: Vec<_> = (0..100)
        .map(|till| {
            let (redemptions, order) = (redemptions.clone(), format!("o{till}"));
            let action = Action::Redeem(redeem(1, &format!("m{}", till % 7), &order));
            tokio::spawn(async move { redemptions.take(keyed(action, &order, &order)).await.unwrap() })
        })
        .collect();
    let mut made = 0;
    for till in tills {
        match till.await.unwrap() {
            Ok(done) => {
                assert!(!done.replayed);
                made += 1;
            }
            Err(Refused::NotFrom(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(made, 1);
    drop(redemptions);
    work.await.unwrap();
    assert_eq!(pots(&*ledger).await[..2], [2_000, 1_000]);
    verified(&*ledger).await;
}

#[tokio::test]
async fn a_key_is_in_flight_until_its_answer_and_gives_the_same_one_again() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = sold(&folder.path().join("ledger.db"), 3).await;
    let (redemptions, work) = Redemptions::new(ledger.clone(), || NOW_MS, metrics());
    let request = || keyed(Action::Redeem(redeem(1, "m1", "o1")), "k1", "c1");
    let length = ledger.chain_head().await.unwrap().length;
    // Nobody works yet: the first one waits, and whoever sent it goes away.
    {
        let mut first = std::pin::pin!(redemptions.take(request()));
        let polled = futures_util::future::poll_immediate(&mut first).await;
        assert_eq!(polled, None);
    }
    assert_eq!(redemptions.take(request()).await, Err(TakeError::InFlight));
    let other = redemptions.take(keyed(Action::Redeem(redeem(2, "m1", "o2")), "k2", "c2"));
    let (other, ()) = tokio::join!(other, async {
        tokio::spawn(work);
    });
    assert!(other.unwrap().is_ok());
    // One record for both: they were written in one transaction.
    assert_eq!(ledger.chain_head().await.unwrap().length, length + 1);
    let again = redemptions.take(request()).await.unwrap().unwrap();
    assert!(again.replayed, "it was done though nobody waited");
    let changed = redemptions.take(keyed(Action::Redeem(redeem(3, "m1", "o1")), "k1", "c3")).await;
    assert_eq!(changed.unwrap(), Err(Refused::KeyReused));
    assert_eq!(ledger.steps(0, 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_full_queue_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = sold(&folder.path().join("ledger.db"), 1).await;
    let (redemptions, _work) = Redemptions::new(ledger, || NOW_MS, metrics());
    let mut waiting = Vec::new();
    for _ in 0..limits::LIFE_QUEUE {
        let request = Request { action: Action::Cancel { claim: number(1, 1) }, key: None };
        let mut one = Box::pin(redemptions.take(request));
        assert_eq!(futures_util::future::poll_immediate(&mut one).await, None);
        waiting.push(one);
    }
    let request = Request { action: Action::Cancel { claim: number(1, 1) }, key: None };
    assert_eq!(redemptions.take(request).await, Err(TakeError::Busy));
}

#[tokio::test]
async fn vouchers_expire_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = sold(&path, 90).await;
    let (metrics, stop) = (metrics(), CancellationToken::new());
    let over = || NOW_MS + VALID_MS + 9;
    let sweep = tokio::spawn(expire(ledger.clone(), over, Arc::clone(&metrics), stop.clone()));
    let done = async {
        while !metrics.render().contains("claimrush_vouchers_expired_total 90") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), done).await.unwrap();
    stop.cancel();
    sweep.await.unwrap();
    assert_eq!(pots(&*ledger).await, [0, 0, 0, 90_000, 0, 0]);
    assert_eq!(Fen(90_000), ledger.balances().await.unwrap()[0].recycled);
    verified(&*ledger).await;
}
