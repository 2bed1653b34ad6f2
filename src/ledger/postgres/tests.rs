//! The conformance suite on PostgreSQL, and what only a server can suffer: several programs, ends, tampering.

mod administered;
mod columns;
#[path = "../../../tests/support/postgres.rs"]
#[expect(dead_code, reason = "shared with the integration tests, which use the rest of it")]
pub(crate) mod server;
mod sessions;
mod tampered;

use proptest::test_runner::{Config as ProptestConfig, TestRunner};

use self::server::PostgresServer;
use super::*;
use crate::domain::claim::Poison;
use crate::ledger::conformance::life::{VALID_MS, redeem};
use crate::ledger::conformance::tampering::FULL_TAMPERED;
use crate::ledger::conformance::{
    MONEY, NOW_MS, THINGS, campaign, claims, group, id, money, poison, returned, stocked, verified, written,
};
use crate::ledger::conformance::{model, references};
use crate::ledger::life::Action;
use crate::ledger::{Documents, PutDocument, conformance};

async fn open(url: &str) -> PostgresLedger {
    PostgresLedger::open(url, None).await.unwrap()
}

#[tokio::test]
async fn it_does_what_every_ledger_must() {
    let server = PostgresServer::start(&[]);
    let made = std::cell::Cell::new(0);
    conformance::all(async || {
        made.set(made.get() + 1);
        open(&server.schema_url(&format!("case_{}", made.get()))).await
    })
    .await;
    assert!(made.get() > 25);
}

/// A ledger with something of everything, in records 1 to 6.
async fn full(url: &str) -> PostgresLedger {
    let ledger = open(url).await;
    stocked(&ledger).await;
    ledger.mark_loaded(DropNumber(1), Shard(0), Epoch::FIRST).await.unwrap();
    written(&ledger, group(0, vec![Ok(vec![claims(MONEY, 1, "ann bob"), claims(THINGS, 1, "ann")])])).await;
    written(&ledger, group(1, vec![Ok(vec![claims(MONEY, 3, "cid dan")]), Err(poison("?"))])).await;
    written(&ledger, group(3, vec![Ok(vec![returned(MONEY, 2, "bob", true)])])).await;
    ledger.set_campaign_state(&campaign().id, CampaignState::Paused, "ann", 1).await.unwrap();
    ledger
}

/// The same journal makes the same chain in every store, so that a ledger can be moved and still be checked.
#[tokio::test]
async fn the_chain_is_the_one_that_sqlite_makes() {
    let server = PostgresServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let sqlite = crate::ledger::sqlite::SqliteLedger::open(&folder.path().join("ledger.db")).unwrap();
    let postgres = open(&server.url()).await;
    let ledgers: [&dyn Ledger; 2] = [&sqlite, &postgres];
    for ledger in ledgers {
        ledger.apply_campaign(&campaign(), 0, "ann", 7).await.unwrap();
        let groups = [
            group(0, vec![Ok(vec![claims(MONEY, 1, "ann bob\t00ff00ff00ff00ff"), claims(THINGS, 1, "ann")])]),
            // With care: a stranger's number, poison, a claim again, one that is new beside it.
            group(
                1,
                vec![
                    Ok(vec![claims(MONEY, 1, "eve")]),
                    Err(Poison { raw: "\0 券".to_owned(), reason: "it is nonsense".to_owned() }),
                    Ok(vec![claims(MONEY, 1, "ann"), claims(MONEY, 4, "cid")]),
                ],
            ),
            group(4, vec![Ok(vec![returned(MONEY, 1, "ann", false)])]),
        ];
        for group in groups {
            ledger.commit(group).await.unwrap();
        }
        let put = |expected| PutDocument::new("key", "k", expected, &"券", "ann").unwrap();
        ledger.put_documents(vec![put(0), put(1)], 9).await.unwrap();
    }
    for ledger in [&sqlite as &dyn Ledger, &postgres] {
        let redeem = |seq| Action::Redeem(redeem(seq, "m1", &format!("o{seq}")));
        let requests = [4, 2, 9].map(|seq| Request { action: redeem(seq), key: None });
        let outcomes = ledger.life(requests.to_vec(), NOW_MS + 60_000).await.unwrap();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 2);
        assert!(ledger.expire(9, NOW_MS + 2 * VALID_MS).await.unwrap().looked_at);
        ledger.close_period(&campaign().id, NOW_MS + 1, "ann", NOW_MS + 2 * VALID_MS).await.unwrap().unwrap();
    }
    assert_eq!(sqlite.chain_head().await.unwrap(), postgres.chain_head().await.unwrap());
    assert_eq!(sqlite.quarantine(0, 9).await.unwrap(), postgres.quarantine(0, 9).await.unwrap());
    verified(&postgres).await;
}

#[tokio::test]
async fn services_that_start_together_make_the_tables_once() {
    let server = PostgresServer::start(&[]);
    let url = server.url();
    let openings: Vec<_> = (0..8)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { PostgresLedger::open(&url, None).await })
        })
        .collect();
    for opening in openings {
        opening.await.unwrap().unwrap();
    }
    assert_eq!(server.sql("SELECT version FROM schema_version"), "11");
}

#[tokio::test]
async fn of_two_drains_one_writes_each_stretch() {
    let server = PostgresServer::start(&[]);
    let (one, other) = (open(&server.url()).await, open(&server.url()).await);
    stocked(&one).await;
    let (mut written, mut moved) = (0, 0);
    for at in 0..20_u64 {
        let seq = u32::try_from(at * 2).unwrap() + 1;
        let stretch = || group(at, vec![Ok(vec![claims(MONEY, seq, &format!("p{seq} q{seq}"))])]);
        let (first, second) = tokio::join!(one.commit(stretch()), other.commit(stretch()));
        for committed in [first.unwrap(), second.unwrap()] {
            match committed {
                Committed::Written { claims: 2, returns: 0, poisoned: 0, .. } => written += 1,
                Committed::Moved { position } if position == id(at + 1) => moved += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((written, moved), (20, 20));
    assert_eq!(money(&other).await, (60_000, 40_000, 0));
    verified(&one).await;
}

#[tokio::test]
async fn a_commit_outlives_an_end_in_the_middle() {
    let mut server = PostgresServer::start(&[]);
    let ledger = full(&server.url()).await;
    let head = ledger.chain_head().await.unwrap();
    server.stop_at_once();
    let down = ledger.commit(group(4, vec![Ok(vec![claims(MONEY, 5, "eve")])])).await.unwrap_err();
    assert!(matches!(down, LedgerError::Unavailable(_)), "{down}");
    server.start_again();
    // The same object goes on by itself: each broken connection is found when it is used, and replaced.
    let mut found = ledger.chain_head().await;
    for _ in 0..limits::LEDGER_READERS {
        found = ledger.chain_head().await;
    }
    assert_eq!(found.unwrap(), head);
    assert_eq!(ledger.position(Shard(0)).await.unwrap(), id(4));
    written(&ledger, group(4, vec![Ok(vec![claims(MONEY, 5, "eve")])])).await;
    verified(&ledger).await;
}

#[tokio::test]
async fn a_reader_writes_nothing() {
    let server = PostgresServer::start(&[]);
    let nothing = PostgresLedger::open_read_only(&server.url(), None).await.unwrap_err();
    assert_eq!(nothing.to_string(), "ledger unavailable: the database holds no ledger");
    let ledger = full(&server.url()).await;
    let reader = PostgresLedger::open_read_only(&server.url(), None).await.unwrap();
    verified(&reader).await;
    let refused = reader.commit(group(4, vec![Err(poison("?"))])).await.unwrap_err();
    assert_eq!(refused.to_string(), "ledger unavailable: it was opened for reading alone");
    drop(ledger);
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_by_name() {
    let server = PostgresServer::start(&["fsync=off"]);
    let refused = PostgresLedger::open(&server.url(), None).await.unwrap_err().to_string();
    assert!(refused.ends_with("set \"fsync = on\" in its postgresql.conf"), "{refused}");
    let missing = server.url().replace("/claims", "/nowhere");
    let refused = PostgresLedger::open(&missing, None).await.unwrap_err().to_string();
    assert_eq!(refused, "ledger unavailable: database \"nowhere\" does not exist (SQLSTATE 3D000)");
    let nobody = PostgresLedger::open("postgres://127.0.0.1:1/claims", None).await.unwrap_err().to_string();
    assert!(nobody.contains("error connecting to server"), "{nobody}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_by_name() {
    let server = PostgresServer::start(&[]);
    drop(open(&server.url()).await);
    server.sql("UPDATE schema_version SET version = 12");
    let text = "ledger corrupt: the database has schema 12, this program knows 11: use a newer claimrush";
    let url = server.url();
    assert_eq!(PostgresLedger::open(&url, None).await.unwrap_err().to_string(), text);
    assert_eq!(PostgresLedger::open_read_only(&url, None).await.unwrap_err().to_string(), text);
}

#[tokio::test]
async fn what_was_booked_twice_does_not_keep_a_database_from_being_brought_up() {
    let server = PostgresServer::start(&[]);
    let url = server.url();
    stocked(&open(&url).await).await;
    server.sql(&format!(
        "DROP TABLE rules, money_reference; DROP INDEX posting_campaign; UPDATE schema_version SET version = 8; {}",
        references::BOOKED_TWICE
    ));
    let ledger = open(&url).await;
    references::what_was_booked_twice_stands(&ledger).await;
    let client = ledger.writer().await.unwrap();
    for sql in [
        "INSERT INTO money_reference VALUES (1, 'payable:m1', 'settled', 't1', 2)",
        "UPDATE money_reference SET step = 2 WHERE step = 1",
        "DELETE FROM money_reference",
        "TRUNCATE money_reference",
    ] {
        let refused = LedgerError::from(client.batch_execute(sql).await.expect_err(sql));
        assert!(matches!(refused, LedgerError::Corrupt(_)), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn a_campaigns_books_are_read_without_those_of_others() {
    let server = PostgresServer::start(&[]);
    stocked(&open(&server.url()).await).await;
    server.sql(
        "INSERT INTO campaign SELECT number, 'c-' || number, '{}', 'running' FROM generate_series(2, 60) number; \
         INSERT INTO posting SELECT number, 1, 2 + number % 59, NULL, 'claimed' FROM generate_series(2, 9000) number; \
         ANALYZE",
    );
    for (sql, given) in [
        (crate::ledger::accounts::POSTINGS, "'shop', 0, 9"),
        (crate::ledger::accounts::MOVEMENTS, "'shop', 9"),
    ] {
        let plan = server.sql(&format!("PREPARE books AS {sql}; EXPLAIN EXECUTE books({given})"));
        assert!(plan.contains("posting_campaign") && !plan.contains("Seq Scan on posting "), "{plan}");
    }
}

/// A writer that was stopped in the middle of its transaction gives way by itself.
#[tokio::test]
async fn a_writer_that_says_nothing_does_not_keep_others_out() {
    let server = PostgresServer::start(&[]);
    let (stopped, ledger) = (open(&server.url()).await, open(&server.url()).await);
    stocked(&ledger).await;
    let mut client = stopped.writer().await.unwrap();
    let transaction = client.transaction().await.unwrap();
    books::lock(&transaction).await.unwrap();
    let began = std::time::Instant::now();
    written(&ledger, group(0, vec![Ok(vec![claims(MONEY, 1, "ann")])])).await;
    assert!(began.elapsed() < limits::LEDGER_LOCK_TIMEOUT, "{:?}", began.elapsed());
    assert!(transaction.commit().await.is_err(), "it was ended");
}

/// (what an intruder does to the tables, the record that shows it, a word of the explanation)
const TAMPERED: &[(&str, u64, &str)] = &[
    ("UPDATE claim SET person = 'eve' WHERE person = 'bob'", 3, "rows are not those"),
    ("UPDATE claim SET claimed_at_ms = claimed_at_ms + 1 WHERE person = 'cid'", 4, "rows are not those"),
    ("UPDATE claim SET mark = '00ff00ff00ff00ff' WHERE person = 'dan'", 4, "rows are not those"),
    ("DELETE FROM claim WHERE person = 'dan'", 4, "1 rows instead of 2"),
    ("INSERT INTO claim SELECT max(number) + 1, 1, 0, 'eve', NULL FROM claim", 7, "the records cover"),
    ("INSERT INTO claim VALUES (1099511627776, 1, 0, 'eve', NULL)", 7, "claims stand there"),
    ("UPDATE claim SET status = 1 WHERE person = 'ann'", 7, "returned claims"),
    ("UPDATE claim SET status = 0", 5, "0 of its 1 returns"),
    ("UPDATE claim_return SET may_claim_again = false", 5, "returns are not those"),
    ("DELETE FROM quarantine", 4, "0 of its 1 quarantine"),
    ("UPDATE quarantine SET raw = 'nothing'", 4, "quarantine are not those"),
    ("UPDATE posting SET at_ms = 0 WHERE number = 1", 1, "postings are not those"),
    (
        "DROP TRIGGER line_stays ON posting_line; UPDATE posting_line SET amount = 2 * amount WHERE posting = 2",
        3,
        "postings are not those",
    ),
    (
        "INSERT INTO posting (number, at_ms, campaign, kind) VALUES (9, 1, 1, 'gift')",
        7,
        "postings stand there",
    ),
    ("UPDATE campaign SET state = 'running'", 7, "is not what was recorded"),
    ("UPDATE campaign SET body = replace(body, '100000', '900000')", 7, "is not what was recorded"),
    ("UPDATE campaign_drop SET face = 1 WHERE number = 1", 7, "drops' numbers or faces"),
    ("UPDATE campaign_drop SET id = 'other' WHERE number = 2", 7, "drops' numbers or faces"),
    ("DELETE FROM loaded", 2, "no longer noted as loaded"),
    ("UPDATE position SET ms = 1", 7, "the records end at"),
    ("INSERT INTO position VALUES (9, 1, 0)", 7, "a position and no record"),
    (
        "DROP TRIGGER audit_stays ON audit; UPDATE audit SET body = replace(body, 'paused', 'running')",
        6,
        "hash does not follow",
    ),
    ("DROP TRIGGER audit_stays ON audit; DELETE FROM audit WHERE number = 3", 3, "is missing, record 4"),
];

#[tokio::test]
async fn tampering_is_found_and_the_record_named() {
    let server = PostgresServer::start(&[]);
    for (case, (sql, index, what)) in TAMPERED.iter().chain(FULL_TAMPERED).enumerate() {
        let schema = format!("case_{case}");
        let ledger = full(&server.schema_url(&schema)).await;
        verified(&ledger).await;
        server.sql(&format!("SET search_path = {schema}; {sql}"));
        let broken = ledger.verify_chain().await.unwrap().expect_err(sql);
        assert_eq!(broken.index, *index, "{sql}: {broken}");
        assert!(broken.what.contains(what), "{sql}: {broken}");
    }
}

#[test]
fn vouchers_and_books_do_what_the_model_says() {
    let server = PostgresServer::start(&[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let made = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(6));
    runner
        .run(&model::histories(), |history| {
            made.set(made.get() + 1);
            let url = server.schema_url(&format!("case_{}", made.get()));
            runtime.block_on(async { model::play(&open(&url).await, &history).await });
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn a_document_that_was_tampered_with_is_found() {
    let server = PostgresServer::start(&[]);
    let cases = [
        (
            "DROP TRIGGER document_stays ON document; UPDATE document SET actor = 'eve' WHERE number = 2",
            2,
            "change 2 is not",
        ),
        (
            "DROP TRIGGER document_stays ON document; DELETE FROM document WHERE number = 1",
            1,
            "change 1 is missing",
        ),
        (
            "INSERT INTO document VALUES (3, 'key', 'e', 1, '1', 'eve', 1)",
            3,
            "3 document changes stand there",
        ),
    ];
    for (case, (sql, index, what)) in cases.iter().enumerate() {
        let schema = format!("case_{case}");
        let ledger = open(&server.schema_url(&schema)).await;
        for expected in 0..2 {
            let put = PutDocument::new("key", "k", expected, &"some", "ann").unwrap();
            ledger.put_document(put, 1).await.unwrap();
        }
        verified(&ledger).await;
        server.sql(&format!("SET search_path = {schema}; {sql}"));
        let broken = ledger.verify_chain().await.unwrap().expect_err(sql);
        assert_eq!(broken.index, *index, "{sql}: {broken}");
        assert!(broken.what.contains(what), "{sql}: {broken}");
    }
}

#[tokio::test]
async fn what_was_posted_stays_and_is_balanced() {
    let server = PostgresServer::start(&[]);
    let ledger = full(&server.url()).await;
    let mut client = ledger.writer().await.unwrap();
    for sql in [
        "UPDATE posting_line SET amount = 6",
        "DELETE FROM posting_line",
        "TRUNCATE posting_line",
        "DELETE FROM posting",
        "UPDATE audit SET body = ''",
        "DELETE FROM audit",
        "TRUNCATE document",
        "INSERT INTO posting VALUES (9, 1, 1, NULL, 'gift'); INSERT INTO posting_line VALUES (9, 'live', 5)",
    ] {
        let transaction = client.transaction().await.unwrap();
        let done = transaction.batch_execute(sql).await;
        let kept = match done {
            Ok(()) => transaction.commit().await,
            Err(error) => Err(error),
        };
        let refused = LedgerError::from(kept.expect_err(sql));
        assert!(matches!(refused, LedgerError::Corrupt(_)), "{sql}: {refused}");
    }
    verified(&ledger).await;
}
