//! The conformance suite on SQLite, and what only a file can suffer: reopening, two writers, tampering.

mod columns;
mod tampered;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::domain::claim::{JournalEvent, Poison};
use crate::ledger::conformance::tampering::{FULL_TAMPERED, lived};
use crate::ledger::conformance::{
    MONEY, THINGS, campaign, claims, group, id, money, poison, returned, stocked, verified, written,
};
use crate::ledger::conformance::{model, references};
use crate::ledger::{ClaimStatus, Documents, PutDocument, conformance};

fn fresh() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    (folder, path)
}

#[tokio::test]
async fn it_does_what_every_ledger_must() {
    let folder = tempfile::tempdir().unwrap();
    let made = std::cell::Cell::new(0);
    conformance::all(async || {
        made.set(made.get() + 1);
        SqliteLedger::open(&folder.path().join(format!("{}.db", made.get()))).unwrap()
    })
    .await;
}

/// A ledger with something of everything, in records 1 to 6.
async fn full(path: &Path) -> SqliteLedger {
    let ledger = SqliteLedger::open(path).unwrap();
    stocked(&ledger).await;
    ledger.mark_loaded(DropNumber(1), Shard(0), Epoch::FIRST).await.unwrap();
    written(&ledger, group(0, vec![Ok(vec![claims(MONEY, 1, "ann bob"), claims(THINGS, 1, "ann")])])).await;
    written(&ledger, group(1, vec![Ok(vec![claims(MONEY, 3, "cid dan")]), Err(poison("?"))])).await;
    written(&ledger, group(3, vec![Ok(vec![returned(MONEY, 2, "bob", true)])])).await;
    ledger.set_campaign_state(&campaign().id, CampaignState::Paused, "ann", 1).await.unwrap();
    ledger
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let (_folder, path) = fresh();
    let ledger = full(&path).await;
    let before = (ledger.chain_head().await.unwrap(), ledger.tallies().await.unwrap(), money(&ledger).await);
    drop(ledger);
    assert!(!path.with_extension("db-wal").exists(), "the last one out leaves a single file");
    let ledger = SqliteLedger::open(&path).unwrap();
    let after = (ledger.chain_head().await.unwrap(), ledger.tallies().await.unwrap(), money(&ledger).await);
    assert_eq!(before, after);
    assert_eq!(ledger.position(Shard(0)).await.unwrap(), id(4));
    assert_eq!(ledger.catalogue().await.unwrap().campaigns[0].state, CampaignState::Paused);
    verified(&ledger).await;
}

#[tokio::test]
async fn a_reader_sees_what_the_writer_commits_and_writes_nothing() {
    let (_folder, path) = fresh();
    let ledger = full(&path).await;
    let reader = SqliteLedger::open_read_only(&path).unwrap();
    written(&ledger, group(4, vec![Ok(vec![claims(MONEY, 5, "eve")])])).await;
    assert_eq!(reader.position(Shard(0)).await.unwrap(), id(5));
    verified(&reader).await;
    let refused = reader.commit(group(5, vec![Err(poison("?"))])).await.unwrap_err();
    assert_eq!(refused.to_string(), "ledger unavailable: it was opened for reading alone");
}

#[tokio::test]
async fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, path) = fresh();
    let _ledger = full(&path).await;
    for file in [path.clone(), path.with_extension("db-wal")] {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn of_two_drains_one_writes_each_stretch() {
    let (_folder, path) = fresh();
    let one = SqliteLedger::open(&path).unwrap();
    let other = SqliteLedger::open(&path).unwrap();
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
    assert_eq!(other.tallies().await.unwrap()[0].claims, 40);
    assert_eq!(money(&other).await, (60_000, 40_000, 0));
    verified(&one).await;
}

/// (what an intruder does to the file, the record that shows it, a word of the explanation)
const TAMPERED: &[(&str, u64, &str)] = &[
    ("UPDATE claim SET person = 'eve' WHERE person = 'bob'", 3, "rows are not those"),
    ("UPDATE claim SET claimed_at_ms = claimed_at_ms + 1 WHERE person = 'cid'", 4, "rows are not those"),
    ("UPDATE claim SET mark = '00ff00ff00ff00ff' WHERE person = 'dan'", 4, "rows are not those"),
    ("DELETE FROM claim WHERE person = 'dan'", 4, "1 rows instead of 2"),
    ("INSERT INTO claim SELECT max(number) + 1, 'eve', NULL, 1, 0 FROM claim", 7, "the records cover"),
    ("INSERT INTO claim VALUES (1 << 40, 'eve', NULL, 1, 0)", 7, "claims stand there"),
    ("UPDATE claim SET status = 1 WHERE person = 'ann'", 7, "returned claims"),
    ("UPDATE claim SET status = 0", 5, "0 of its 1 returns"),
    ("UPDATE claim_return SET may_claim_again = 0", 5, "returns are not those"),
    ("DELETE FROM quarantine", 4, "0 of its 1 quarantine"),
    ("UPDATE quarantine SET raw = 'nothing'", 4, "quarantine are not those"),
    ("UPDATE posting SET at_ms = 0 WHERE number = 1", 1, "postings are not those"),
    (
        "DROP TRIGGER line_stays; UPDATE posting_line SET amount = 2 * amount WHERE posting = 2",
        3,
        "postings are not those",
    ),
    ("INSERT INTO posting (at_ms, campaign, kind) VALUES (1, 1, 'gift')", 7, "postings stand there"),
    ("UPDATE campaign SET state = 'running'", 7, "is not what was recorded"),
    ("UPDATE campaign SET body = replace(body, '100000', '900000')", 7, "is not what was recorded"),
    ("UPDATE campaign_drop SET face = 1 WHERE number = 1", 7, "drops' numbers or faces"),
    ("UPDATE campaign_drop SET id = 'other' WHERE number = 2", 7, "drops' numbers or faces"),
    ("DELETE FROM loaded", 2, "no longer noted as loaded"),
    ("UPDATE position SET ms = 1", 7, "the records end at"),
    (
        "DROP TRIGGER audit_stays; UPDATE audit SET body = replace(body, 'paused', 'running')",
        6,
        "hash does not follow",
    ),
    (
        "DROP TRIGGER audit_stays; UPDATE audit SET hash = zeroblob(32) WHERE number = 2",
        2,
        "hash does not follow",
    ),
    ("DROP TRIGGER audit_is_kept; DELETE FROM audit WHERE number = 3", 3, "is missing, record 4 comes next"),
    ("DROP TRIGGER audit_is_kept; DELETE FROM audit WHERE number = 5", 5, "is missing, record 6 comes next"),
];

#[tokio::test]
async fn tampering_is_found_and_the_record_named() {
    for (sql, index, what) in TAMPERED.iter().chain(FULL_TAMPERED) {
        let (_folder, path) = fresh();
        let ledger = full(&path).await;
        verified(&ledger).await;
        rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let broken = ledger.verify_chain().await.unwrap().expect_err(sql);
        assert_eq!(broken.index, *index, "{sql}: {broken}");
        assert!(broken.what.contains(what), "{sql}: {broken}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn vouchers_and_books_do_what_the_model_says(history in model::histories()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (_folder, path) = fresh();
        runtime.block_on(async { model::play(&SqliteLedger::open(&path).unwrap(), &history).await });
    }
}

#[tokio::test]
async fn steps_stay_and_closed_periods_take_no_postings() {
    let (_folder, path) = fresh();
    let ledger = SqliteLedger::open(&path).unwrap();
    lived(&ledger).await;
    let connection = rusqlite::Connection::open(&path).unwrap();
    for (sql, what) in [
        ("UPDATE step SET moved = 0", "steps stay"),
        ("DELETE FROM step", "steps stay"),
        ("INSERT INTO posting (at_ms, campaign, kind) VALUES (1, 1, 'gift')", "the period is closed"),
    ] {
        assert!(connection.execute_batch(sql).unwrap_err().to_string().contains(what), "{sql}");
    }
    verified(&ledger).await;
}

#[tokio::test]
async fn what_was_booked_twice_does_not_keep_a_file_from_being_brought_up() {
    let (_folder, path) = fresh();
    stocked(&SqliteLedger::open(&path).unwrap()).await;
    let connection = rusqlite::Connection::open(&path).unwrap();
    let old = format!(
        "DROP TABLE rules; DROP TABLE money_reference; DROP INDEX posting_campaign; PRAGMA user_version = 8; {}",
        references::BOOKED_TWICE
    );
    connection.execute_batch(&old).unwrap();
    let ledger = SqliteLedger::open(&path).unwrap();
    references::what_was_booked_twice_stands(&ledger).await;
    for (sql, what) in [
        (
            "INSERT INTO money_reference VALUES (1, 'payable:m1', 'settled', 't1', 2)",
            "UNIQUE constraint failed",
        ),
        ("UPDATE money_reference SET step = 2 WHERE step = 1", "references stay"),
        ("DELETE FROM money_reference", "references stay"),
    ] {
        let refused = connection.execute_batch(sql).unwrap_err().to_string();
        assert!(refused.contains(what), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn a_campaigns_books_are_read_without_those_of_others() {
    let (_folder, path) = fresh();
    stocked(&SqliteLedger::open(&path).unwrap()).await;
    let connection = rusqlite::Connection::open(&path).unwrap();
    for sql in [crate::ledger::accounts::POSTINGS, crate::ledger::accounts::MOVEMENTS] {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let given = ["shop", "0", "9"].into_iter().take(explain.parameter_count());
        let rows = explain.query_map(rusqlite::params_from_iter(given), |row| row.get(3)).unwrap();
        let plan: Vec<String> = rows.collect::<Result<_, _>>().unwrap();
        assert!(plan.iter().any(|line| line.contains("USING INDEX posting_campaign")), "{plan:?}");
    }
}

#[tokio::test]
async fn a_document_that_was_tampered_with_is_found() {
    for (sql, index, what) in [
        (
            "DROP TRIGGER document_stays; UPDATE document SET body = '\"all\"' WHERE number = 1",
            1,
            "change 1 is not",
        ),
        (
            "DROP TRIGGER document_stays; UPDATE document SET actor = 'eve' WHERE number = 2",
            2,
            "change 2 is not",
        ),
        ("DROP TRIGGER document_is_kept; DELETE FROM document WHERE number = 1", 1, "change 1 is missing"),
        (
            "INSERT INTO document VALUES (3, 'key', 'e', 1, '1', 'eve', 1)",
            3,
            "3 document changes stand there",
        ),
    ] {
        let (_folder, path) = fresh();
        let ledger = SqliteLedger::open(&path).unwrap();
        for expected in 0..2 {
            let put = PutDocument::new("key", "k", expected, &"some", "ann").unwrap();
            ledger.put_document(put, 1).await.unwrap();
        }
        verified(&ledger).await;
        let file = rusqlite::Connection::open(&path).unwrap();
        assert!(file.execute_batch("UPDATE document SET actor = 'eve'").is_err());
        file.execute_batch(sql).unwrap();
        let broken = ledger.verify_chain().await.unwrap().expect_err(sql);
        assert_eq!(broken.index, index, "{sql}: {broken}");
        assert!(broken.what.contains(what), "{sql}: {broken}");
    }
}

#[tokio::test]
async fn a_cut_tail_changes_the_head() {
    let (_folder, path) = fresh();
    let ledger = full(&path).await;
    let head = ledger.chain_head().await.unwrap();
    let cut = "DROP TRIGGER audit_is_kept; DELETE FROM audit WHERE number = 6; UPDATE campaign SET state = 'running'";
    rusqlite::Connection::open(&path).unwrap().execute_batch(cut).unwrap();
    let shorter = ledger.verify_chain().await.unwrap().expect("what is left is a sound chain");
    assert_eq!((head.length, shorter.length), (6, 5));
    assert_ne!(head.hash, shorter.hash);
}

/// A claimed stretch as the property test makes it: drop, first number, length, and whose names it uses.
type Stretch = (bool, u32, u32, bool);

fn taker(seq: u32, foreign: bool) -> String {
    format!("{}{seq}", if foreign { "f" } else { "p" })
}

fn event((things, first_seq, count, foreign): Stretch) -> JournalEvent {
    let takers: Vec<_> = (first_seq..first_seq + count).map(|seq| taker(seq, foreign)).collect();
    let drop = if things { THINGS } else { MONEY };
    match claims(drop, first_seq, &takers.join(" ")) {
        // Stretches overlap, so the instant may not depend on where one begins.
        JournalEvent::Claimed { drop, epoch, first_seq, takers, .. } => {
            JournalEvent::Claimed { drop, epoch, claimed_at_ms: 1, first_seq, takers }
        }
        other @ JournalEvent::Returned { .. } => other,
    }
}

/// What must come of entries: each is accepted whole or not at all.
#[derive(Default)]
struct Model {
    rows: BTreeMap<(bool, u32), String>,
    quarantined: BTreeSet<u64>,
}

impl Model {
    fn entry(&mut self, at: u64, stretches: &[Stretch]) {
        let before = self.rows.clone();
        for (things, first_seq, count, foreign) in stretches.iter().copied() {
            for seq in first_seq..first_seq + count {
                let person = taker(seq, foreign);
                if *self.rows.entry((things, seq)).or_insert_with(|| person.clone()) != person {
                    self.rows = before;
                    self.quarantined.insert(at);
                    return;
                }
            }
        }
    }
}

async fn run_groups(groups: &[Vec<Vec<Stretch>>], redelivered: &[usize]) {
    let (_folder, path) = fresh();
    let ledger = SqliteLedger::open(&path).unwrap();
    stocked(&ledger).await;
    let (mut model, mut after) = (Model::default(), 0);
    for (at, entries) in groups.iter().enumerate() {
        let contents = || -> Vec<Result<Vec<JournalEvent>, Poison>> {
            entries.iter().map(|stretches| Ok(stretches.iter().copied().map(event).collect())).collect()
        };
        written(&ledger, group(after, contents())).await;
        for (entry, number) in entries.iter().zip(after + 1..) {
            model.entry(number, entry);
        }
        if redelivered.contains(&at) {
            let again = ledger.commit(group(after, contents())).await.unwrap();
            assert!(matches!(again, Committed::Moved { .. }));
        }
        after += u64::try_from(entries.len()).unwrap();
    }
    for (things, drop) in [(false, 1), (true, 2)] {
        let rows = ledger.claims(DropNumber(drop), None, 1_000).await.unwrap();
        let found: Vec<_> = rows.iter().map(|row| (row.number.seq, row.person.clone())).collect();
        let expected: Vec<_> = model
            .rows
            .iter()
            .filter(|((t, _), _)| *t == things)
            .map(|((_, seq), p)| (*seq, p.clone()))
            .collect();
        assert_eq!(found, expected);
        assert!(rows.iter().all(|row| row.status == ClaimStatus::Issued));
    }
    let kept: BTreeSet<_> =
        ledger.quarantine(0, 1_000).await.unwrap().iter().map(|kept| kept.id.ms).collect();
    assert_eq!(kept, model.quarantined);
    let live = model.rows.keys().filter(|(things, _)| !things).count();
    assert_eq!(money(&ledger).await.1, i64::try_from(live).unwrap() * 1_000);
    verified(&ledger).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_groups_gives_exact_rows(
        groups in prop::collection::vec(
            prop::collection::vec(
                prop::collection::vec((any::<bool>(), 1..120_u32, 1..80_u32, prop::bool::weighted(0.15)), 1..3),
                1..5,
            ),
            1..6,
        ),
        redelivered in prop::collection::vec(0..6_usize, 0..3),
    ) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run_groups(&groups, &redelivered));
    }
}
