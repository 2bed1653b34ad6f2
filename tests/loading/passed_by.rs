//! Journals that the ledger has passed by, clocks by which a drop has opened, and drops that somebody froze and did not say why.

use std::time::{Duration, Instant};

use claimrush::config::Config;
use claimrush::domain::claim::{JournalEntry, JournalEvent, Takers};
use claimrush::drain::{Drain, Round};
use claimrush::rush::heard::Heard;
use claimrush::rush::poll::Poller;

use super::left::ledger_at;
use super::*;
use crate::support::service::PATIENCE;

/// Two hours from now: no clock of ours is there yet.
fn ahead_ms() -> u64 {
    u64::try_from(Clock::System.now_ms() + 2 * 3_600_000).expect("it is after 1970")
}

fn drain(front: &Campaigns, ledger: &Arc<dyn Ledger>) -> Drain {
    let metrics = Arc::new(Metrics::new(Cause::CODES, 1).expect("metrics"));
    Drain::new(&Config::default(), front.pool.clone(), Arc::clone(ledger), metrics, Clock::System)
}

impl Stores {
    async fn journal_length(&mut self) -> u64 {
        journal::length(&mut self.conn, SHARD).await.expect("a length")
    }

    /// Has Redis' clock been two hours ahead, as the journal tells it.
    async fn was_ahead(&mut self) {
        let key = keys::journal(SHARD);
        for command in [
            cmd("XADD").arg(&key).arg(format!("{}-0", ahead_ms())).arg("x").arg("y"),
            cmd("XTRIM").arg(&key).arg("MAXLEN").arg(0),
        ] {
            let _: redis::Value = command.query_async(&mut self.conn).await.expect("it is done");
        }
    }
}

/// Has a ledger read a claim of another journal, two hours from now.
async fn read_elsewhere(ledger: &Arc<dyn Ledger>, drop: &str, first_seq: u32, person: &str) {
    let claimed = JournalEvent::Claimed {
        drop: id(drop),
        epoch: Epoch::FIRST,
        claimed_at_ms: Clock::System.now_ms(),
        first_seq,
        takers: Takers::new(person),
    };
    let entry = JournalEntry { id: JournalId { ms: ahead_ms(), seq: 0 }, content: Ok(vec![claimed]) };
    let after = ledger.position(SHARD).await.expect("a position");
    let group = Group { shard: SHARD, after, entries: vec![entry], now_ms: Clock::System.now_ms() };
    let committed = ledger.commit(group).await.expect("it is written");
    assert!(matches!(committed, Committed::Written { claims: 1, poisoned: 0, .. }), "{committed:?}");
}

/// A primary that was replaced, and is still reached by a drain.
#[tokio::test]
async fn what_an_old_primary_has_granted_stays_in_its_journal_while_the_new_one_is_drained() {
    let mut stores = Stores::open().await;
    let front = stores.front(4);
    apply(&front, &file(9)).await;
    stores.claims("d-1", 2).await;
    let ledger = Arc::clone(&stores.ledger);
    let old = drain(&front, &ledger);
    assert_eq!(old.round().await.expect("it is drained"), Round::CaughtUp);
    assert_eq!(stores.claim("d-1", "ann").await, Outcome::Granted { seq: 3 });
    read_elsewhere(&ledger, "d-1", 3, "bob").await;
    for _ in 0..2 {
        assert_eq!(old.round().await.expect("it looks"), Round::Idle);
        assert_eq!(stores.journal_length().await, 1, "nothing else says that ann has it");
    }
    // Somebody decides.
    front.load().await.expect("it freezes");
    assert_eq!(front.recover(true, "test").await.expect("it is made anew").len(), 1);
    assert_eq!(stores.claim("d-1", "cid").await, Outcome::Granted { seq: 1 });
    assert_eq!(old.round().await.expect("it goes on"), Round::CaughtUp, "what follows is drained");
    let began = Instant::now();
    while stores.journal_length().await > 0 {
        assert!(began.elapsed() < PATIENCE, "what was given up is trimmed");
        old.round().await.expect("it looks");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let tallies = ledger.tallies().await.expect("tallies");
    assert_eq!(tallies.iter().map(|tally| tally.claims).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(ledger.quarantine_open().await.expect("a count"), 0);
}

/// `redis.url` or `ledger.url` leads to somebody else's.
#[tokio::test]
async fn a_drain_of_another_ledger_trims_nothing() {
    let mut stores = Stores::open().await;
    let front = stores.front(4);
    apply(&front, &file(9)).await;
    stores.claims("d-1", 2).await;
    let other = ledger_at(&stores.folder.path().join("other.db")).await;
    let campaign = Campaign::parse(&campaign("other", &[DropFile::open("d-9", 9)])).expect("a campaign");
    other.apply_campaign(&campaign, 0, "test", 1).await.expect("it is stored");
    read_elsewhere(&other, "d-9", 1, "eve").await;
    assert_eq!(drain(&front, &other).round().await.expect("it looks"), Round::Idle);
    assert_eq!(stores.journal_length().await, 2);
    let ledger = Arc::clone(&stores.ledger);
    assert_eq!(drain(&front, &ledger).round().await.expect("it is drained"), Round::CaughtUp);
    assert_eq!(stores.journal_length().await, 0);
}

/// A drain that died before it trimmed what it had written.
#[tokio::test]
async fn what_the_ledger_has_is_trimmed_by_whoever_comes_next() {
    let mut stores = Stores::open().await;
    let front = stores.front(4);
    apply(&front, &file(9)).await;
    stores.claims("d-1", 3).await;
    stores.give_back("d-1", 2).await;
    let key = keys::journal(SHARD);
    for text in ["d-1 1 1 1 ann", "what is this"] {
        let _: String = cmd("XADD")
            .arg(&key)
            .arg("*")
            .arg("claims")
            .arg(text)
            .query_async(&mut stores.conn)
            .await
            .expect("it is there");
    }
    let ledger = Arc::clone(&stores.ledger);
    let entries = journal::read_after(&mut stores.conn, SHARD, JournalId::START, 100).await.expect("read");
    let group = Group { shard: SHARD, after: JournalId::START, entries, now_ms: Clock::System.now_ms() };
    let committed = ledger.commit(group).await.expect("it is written");
    assert!(
        matches!(committed, Committed::Written { claims: 3, returns: 1, poisoned: 2, .. }),
        "{committed:?}"
    );
    assert_eq!(stores.journal_length().await, 6);
    assert_eq!(drain(&front, &ledger).round().await.expect("it is trimmed"), Round::Idle);
    assert_eq!(stores.journal_length().await, 0);
    // Whoever raised the journal's end and died has left the placeholder.
    let position = ledger.position(SHARD).await.expect("a position");
    let () = cmd("DEL").arg(&key).query_async(&mut stores.conn).await.expect("it is gone");
    let _: String = cmd("XADD")
        .arg(&key)
        .arg(position.to_string())
        .arg("floor")
        .arg("")
        .query_async(&mut stores.conn)
        .await
        .expect("it is there");
    assert_eq!(drain(&front, &ledger).round().await.expect("it is trimmed"), Round::Idle);
    assert_eq!(stores.journal_length().await, 0);
}

/// The clock of the Redis that is there now says that the release is yet to come.
#[tokio::test]
async fn a_drop_that_has_opened_by_a_clock_that_was_ahead_needs_somebody_to_decide() {
    let mut stores = Stores::open().await;
    let drops = [DropFile::open("d-1", 5), DropFile::open("later", 5).not_open()];
    apply(&stores.front(4), &campaign("c", &drops)).await;
    stores.was_ahead().await;
    stores.claims("d-1", 1).await;
    stores.drain().await;
    let () = cmd("FLUSHALL").query_async(&mut stores.conn).await.expect("it is empty");
    let front = stores.front(4);
    front.load().await.expect("it freezes");
    assert!(!front.recover_proven(false).await.expect("nothing is proven"));
    let (_, views) = reads::views(&mut stores.conn, SHARD, [&id("later")]).await.expect("views");
    assert_eq!(views, [None], "nobody sells it");
}

/// Whoever did it has died before the loss was marked, and all that it was of has been made good since.
#[tokio::test]
async fn a_drop_that_was_frozen_by_somebody_who_died_runs_again() {
    let mut stores = Stores::open().await;
    let front = stores.front(4);
    apply(&front, &file(9)).await;
    let drop = id("d-1");
    let frozen = scripts::set_state(&mut stores.conn, SHARD, &[&drop], DropState::Frozen, None).await;
    frozen.expect("a reply").expect("it is frozen");
    let (asked_at, view) = (Instant::now(), stores.view("d-1").await);
    let heard = Heard { view, now_ms: Clock::System.now_ms() + 1, asked_at, came_at: Instant::now() };
    front.gate.find("d-1").expect("it is known").update(heard);
    let began = Instant::now();
    while stores.view("d-1").await.state == DropState::Frozen {
        assert!(began.elapsed() < PATIENCE, "nobody runs it");
        front.load_if_stale().await.expect("it looks");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stores.claim("d-1", "ann").await, Outcome::Granted { seq: 1 });
}

/// A sold-out drop is refused from memory once all holders are known: those that another server has are not.
#[tokio::test]
async fn the_holders_of_a_server_that_was_not_compared_do_not_count() {
    let (mut stores, other) = (Stores::open().await, RedisServer::in_memory());
    let front = stores.front(4);
    apply(&front, &file(1)).await;
    stores.claims("d-1", 1).await;
    front.load().await.expect("it loads");
    let config = Config::default();
    let poller = Poller {
        shard: SHARD,
        pool: pool::connect(&other.url(), &config.redis).expect("a pool"),
        gate: Arc::clone(&front.gate),
        metrics: Arc::new(Metrics::new(Cause::CODES, 1).expect("metrics")),
        clock: Clock::System,
        journal_limits: (&config.journal).into(),
        pressure: Arc::default(),
    };
    let (stop, mut conn) = (CancellationToken::new(), other.connect().await);
    let polling = tokio::spawn(poller.run(stop.clone()));
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "it looks there");
        let stats: String = cmd("INFO").arg("commandstats").query_async(&mut conn).await.expect("it answers");
        let polls =
            stats.lines().find_map(|line| line.strip_prefix("cmdstat_hmget:calls=")?.split(',').next());
        if polls.is_some_and(|polls| polls.parse::<u32>().expect("a number") >= 5) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    polling.await.expect("it ends");
    let drop = front.gate.find("d-1").expect("it is known");
    assert_eq!(drop.view().map(|view| (view.stock, view.seq)), Some((0, 1)));
    assert!(!drop.is_latched(Clock::System.now_ms()), "p-1 would be told that it is sold out");
    assert!(!drop.went_back(), "and the right one has lost nothing");
}
