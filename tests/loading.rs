//! Campaigns that are loaded into Redis from an older view, where more is claimed than the ledger has stock for, and from
//! a ledger that was brought back; and a Redis that nobody has compared yet, to which nothing is written.

mod left;
mod passed_by;

use std::sync::Arc;

use claimrush::backoffice::campaigns::{ApplyError, Campaigns};
use claimrush::backoffice::holds::{HoldDesk, Holds, Sweeper};
use claimrush::backoffice::receipts::{Receipts, SettleError};
use claimrush::clock::Clock;
use claimrush::config::{Ack, LedgerConfig};
use claimrush::domain::campaign::{Campaign, CampaignState};
use claimrush::domain::cause::Cause;
use claimrush::domain::claim::JournalId;
use claimrush::domain::ids::{CampaignId, ClaimNumber, DropId, DropNumber, Epoch, PersonId, Shard};
use claimrush::ledger::{Committed, Group, Ledger, LedgerError, open};
use claimrush::redis::codes::{Code, DropState, DropView, Outcome};
use claimrush::redis::peer::Peer;
use claimrush::redis::scripts::{self, ClaimCall, DropConfig, Mode, Return};
use claimrush::redis::{journal, keys, pool, reads};
use claimrush::telemetry::metrics::Metrics;
use deadpool_redis::{Manager, Pool};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, cmd};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::support::campaign::{DropFile, campaign};
use crate::support::folder;
use crate::support::redis::{REPLY_TIMEOUT, RedisServer};

const SHARD: Shard = Shard::FIRST;

/// A ledger and a Redis for any number of front ends.
struct Stores {
    redis: RedisServer,
    ledger: Arc<dyn Ledger>,
    conn: MultiplexedConnection,
    folder: TempDir,
}

impl Stores {
    async fn open() -> Self {
        let (redis, folder) = (RedisServer::in_memory(), folder());
        let ledger = open::open(&LedgerConfig::default(), folder.path()).await.expect("a ledger");
        let conn = redis.connect().await;
        Self { redis, ledger, conn, folder }
    }

    /// A front end with so many connections to Redis, for which it waits as long as it takes.
    fn front(&self, connections: usize) -> Arc<Campaigns> {
        let patient = AsyncConnectionConfig::new().set_response_timeout(Some(REPLY_TIMEOUT));
        let manager = Manager::new_with_config(self.redis.url().expose(), patient).expect("a URL");
        let pool = Pool::builder(manager).max_size(connections).build().expect("a pool");
        let ledger = Arc::clone(&self.ledger);
        Arc::new(Campaigns::new(ledger, pool, Arc::default(), SHARD, Clock::System, Ack::Memory))
    }

    async fn view(&mut self, drop: &str) -> DropView {
        let (_, views) = reads::views(&mut self.conn, SHARD, [&id(drop)]).await.expect("views");
        views[0].expect("it is there")
    }

    async fn claim(&mut self, drop: &str, person: &str) -> Outcome {
        let mut call = ClaimCall::new(SHARD, 1);
        call.claim(&id(drop), &PersonId::new(person).expect("a person"), None).expect("room");
        let reply = scripts::claim(&mut self.conn, &call, &call.to_evalsha()).await.expect("a reply");
        reply.drops[0].as_ref().expect("a drop").outcomes[0]
    }

    async fn claims(&mut self, drop: &str, count: u32) {
        for n in 1..=count {
            assert_eq!(self.claim(drop, &format!("p-{n}")).await, Outcome::Granted { seq: n });
        }
    }

    async fn give_back(&mut self, drop: &str, seq: u32) -> DropView {
        let (drop, person) = (id(drop), PersonId::new(&format!("p-{seq}")).expect("a person"));
        let claim = Return { drop: &drop, person: &person, epoch: Epoch::FIRST, seq, may_claim_again: false };
        scripts::return_claim(&mut self.conn, SHARD, &claim).await.expect("a reply").expect("it goes back")
    }

    /// Writes the whole journal into the ledger.
    async fn drain(&mut self) {
        let entries =
            journal::read_after(&mut self.conn, SHARD, JournalId::START, 1_000).await.expect("read");
        let group = Group { shard: SHARD, after: JournalId::START, entries, now_ms: Clock::System.now_ms() };
        let committed = self.ledger.commit(group).await.expect("it is written");
        assert!(matches!(committed, Committed::Written { poisoned: 0, .. }), "{committed:?}");
    }

    /// Stores a campaign behind the back of those who would ask Redis first.
    async fn store(&self, text: &str) {
        let revision = self.ledger.revision().await.expect("a revision");
        let campaign = Campaign::parse(text).expect("a campaign");
        self.ledger.apply_campaign(&campaign, revision, "test", 1).await.expect("it is stored");
    }

    async fn over(&mut self) -> Option<u64> {
        let mut over = cmd("HGET");
        over.arg(keys::drop(SHARD, &id("d-1"))).arg("over");
        over.query_async(&mut self.conn).await.expect("a number")
    }
}

fn id(drop: &str) -> DropId {
    DropId::new(drop).expect("an id")
}

fn file(stock: u32) -> String {
    campaign("c", &[DropFile::open("d-1", stock)])
}

async fn apply(front: &Campaigns, text: &str) {
    front.apply(text, None, "test").await.expect("it is applied");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_loads_late_takes_back_neither_stock_nor_a_pause() {
    let mut stores = Stores::open().await;
    let (early, late) = (stores.front(4), stores.front(1));
    apply(&early, &file(100)).await;
    stores.claims("d-1", 30).await;
    let held = pool::checkout(&late.pool).await.expect("its only connection");
    let loading = tokio::spawn({
        let late = Arc::clone(&late);
        async move { late.load().await }
    });
    while late.pool.status().waiting == 0 {
        assert!(!loading.is_finished(), "it has read the ledger and wants Redis now");
        tokio::task::yield_now().await;
    }
    apply(&early, &file(40)).await;
    let campaign = CampaignId::new("c").expect("an id");
    assert!(early.set_state(&campaign, CampaignState::Paused, "test").await.expect("it is paused"));
    drop(held);
    loading.await.expect("it ends").expect("it loads what there is by now");
    let view = stores.view("d-1").await;
    assert_eq!((view.stock, view.state), (10, DropState::Paused));
    assert_eq!(late.gate.find("d-1").expect("it is known").rules().spec.stock, 40);
}

/// What was taken away in Redis is not given back by somebody who loads before the ledger has it.
#[tokio::test]
async fn who_loads_while_stock_is_taken_away_puts_none_of_it_on_sale_again() {
    let mut stores = Stores::open().await;
    let (shrinking, other) = (stores.front(4), stores.front(4));
    apply(&shrinking, &file(100)).await;
    stores.claims("d-1", 30).await;
    let read = stores.ledger.revision().await.expect("a revision");
    let spec = Campaign::parse(&file(30)).expect("a campaign").drops.remove(0);
    let taken_away = DropConfig {
        drop: &spec.id,
        mode: Mode::Shrink,
        stock_total: 30,
        carried: 0,
        opens_at_ms: spec.opens_at_ms,
        closes_at_ms: spec.closes_at_ms,
        limit: 1,
        epoch: Epoch::FIRST,
        state: DropState::Frozen,
        once: 0,
        revision: read,
        overrules: None,
    };
    let done = scripts::configure(&mut stores.conn, SHARD, &[taken_away]).await.expect("a reply");
    assert_eq!(done.expect("it is taken away")[0].stock, 0);
    other.load().await.expect("it loads");
    // Either it stays away, or the ledger does not take it any more.
    let small = Campaign::parse(&file(30)).expect("a campaign");
    let stored = stores.ledger.apply_campaign(&small, read, "test", 1).await;
    assert!(matches!(stored, Err(LedgerError::Stale { .. })), "{stored:?}");
    assert_eq!(stores.view("d-1").await.stock, 70, "it was not stored, and goes back");
    apply(&shrinking, &file(30)).await;
    assert_eq!(stores.view("d-1").await.stock, 0);
    other.load().await.expect("it loads");
    assert_eq!((stores.view("d-1").await.stock, stores.over().await), (0, None));
}

/// It has read the ledger before, and finds an epoch in Redis that it does not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_loads_late_freezes_nothing_that_was_made_anew_meanwhile() {
    let mut stores = Stores::open().await;
    let (early, late) = (stores.front(4), stores.front(1));
    apply(&early, &file(100)).await;
    stores.claims("d-1", 30).await;
    stores.drain().await;
    let () = cmd("FLUSHALL").query_async(&mut stores.conn).await.expect("it is empty");
    let held = pool::checkout(&late.pool).await.expect("its only connection");
    let loading = tokio::spawn({
        let late = Arc::clone(&late);
        async move { late.load().await }
    });
    while late.pool.status().waiting == 0 {
        assert!(!loading.is_finished(), "it has read the ledger and wants Redis now");
        tokio::task::yield_now().await;
    }
    assert_eq!(early.recover(true, "test").await.expect("it is made anew").len(), 1);
    drop(held);
    loading.await.expect("it ends").expect("it loads what there is by now");
    let view = stores.view("d-1").await;
    assert_eq!((view.epoch, view.state, view.stock), (Epoch(2), DropState::Running, 70));
    assert!(!late.gate.find("d-1").expect("it is known").went_back());
}

/// The ids of the journal are of Redis' clock; what stands at or before the ledger's position is never read and trimmed.
#[tokio::test]
async fn a_redis_that_is_lost_and_whose_clock_is_behind_loses_no_claim_of_a_new_drop() {
    let mut stores = Stores::open().await;
    let front = stores.front(4);
    apply(&front, &file(100)).await;
    let (journal_key, ahead) = (keys::journal(SHARD), Clock::System.now_ms() + 3_600_000);
    for command in [
        cmd("XADD").arg(&journal_key).arg(format!("{ahead}-0")).arg("x").arg("y"),
        cmd("XTRIM").arg(&journal_key).arg("MAXLEN").arg(0),
    ] {
        let _: redis::Value =
            command.query_async(&mut stores.conn).await.expect("its clock was an hour ahead");
    }
    stores.claims("d-1", 1).await;
    stores.drain().await;
    let position = stores.ledger.position(SHARD).await.expect("a position");
    let () = cmd("FLUSHALL").query_async(&mut stores.conn).await.expect("it is empty");
    apply(&front, &campaign("new", &[DropFile::open("d-2", 5)])).await;
    stores.claims("d-2", 1).await;
    let entries = journal::read_after(&mut stores.conn, SHARD, position, 10).await.expect("read");
    assert_eq!(entries.len(), 1, "a drain comes to it");
    front.load().await.expect("it loads");
    assert_eq!(stores.view("d-2").await.state, DropState::Running, "it lacks nothing");
    assert!(front.gate.find("d-1").expect("it is known").went_back());
}

#[tokio::test]
async fn a_drop_with_more_claims_than_stock_sells_nothing_and_holds_nobody_up() {
    let mut stores = Stores::open().await;
    let front = stores.front(4);
    apply(&front, &file(100)).await;
    apply(&front, &campaign("other", &[DropFile::open("d-2", 5)])).await;
    stores.claims("d-1", 30).await;
    stores.store(&file(20)).await;
    front.load().await.expect("it loads");
    assert_eq!((stores.view("d-1").await.stock, stores.over().await), (0, Some(10)));
    assert_eq!(stores.claim("d-1", "new").await, Outcome::Refused(Code::SoldOut));
    assert!(matches!(stores.claim("d-1", "p-1").await, Outcome::Again(_)));

    let campaign_id = CampaignId::new("c").expect("an id");
    for (state, wanted) in
        [(CampaignState::Paused, DropState::Paused), (CampaignState::Running, DropState::Running)]
    {
        assert!(front.set_state(&campaign_id, state, "test").await.expect("it is loaded"));
        assert_eq!(stores.view("d-1").await.state, wanted);
    }
    apply(&front, &campaign("other", &[DropFile::open("d-2", 7)])).await;
    assert_eq!(stores.view("d-2").await.stock, 7);
    let started = stores.front(4);
    started.load().await.expect("a service starts on it");
    let peer = Peer::learn(&mut stores.conn).await.expect("a peer");
    assert!(started.gate.trust.is_for(&peer.run_id));

    let refused = front.apply(&file(10), None, "test").await.expect_err("stock is taken away");
    assert!(
        matches!(&refused, ApplyError::Refused { what, .. } if what.contains("claimed already")),
        "{refused}"
    );
    assert_eq!(stores.give_back("d-1", 1).await.stock, 0, "there are still nine too many");
    assert_eq!(stores.over().await, Some(9));
    apply(&front, &file(31)).await;
    assert_eq!((stores.view("d-1").await.stock, stores.over().await), (2, None));
    assert_eq!(stores.give_back("d-1", 2).await.stock, 3);
}

#[tokio::test]
async fn it_is_recovered_with_nothing_left() {
    let mut stores = Stores::open().await;
    let front = stores.front(4);
    apply(&front, &file(100)).await;
    stores.claims("d-1", 3).await;
    stores.store(&file(1)).await;
    stores.drain().await;
    let () = cmd("FLUSHALL").query_async(&mut stores.conn).await.expect("it is empty");
    front.load().await.expect("it freezes");
    assert!(!front.recover_proven(false).await.expect("nothing is proven"));
    assert_eq!(front.recover(true, "test").await.expect("it is made anew").len(), 1);
    let view = stores.view("d-1").await;
    assert_eq!((view.epoch, view.state, view.stock), (Epoch(2), DropState::Running, 0));
    assert_eq!(stores.over().await, Some(2));
    assert_eq!((stores.give_back("d-1", 1).await.stock, stores.over().await), (0, Some(1)));
    assert_eq!(stores.claim("d-1", "new").await, Outcome::Refused(Code::SoldOut));
}

#[tokio::test]
async fn a_ledger_that_was_brought_back_and_a_drop_of_an_older_version_are_loaded() {
    let mut stores = Stores::open().await;
    let front = stores.front(4);
    apply(&front, &file(100)).await;
    let hash = keys::drop(SHARD, &id("d-1"));
    let () =
        cmd("HSET").arg(&hash).arg("revision").arg(1_000).query_async(&mut stores.conn).await.expect("set");
    front.load().await.expect("it loads");
    apply(&front, &file(50)).await;
    assert_eq!(stores.view("d-1").await.stock, 50);
    let () = cmd("HDEL").arg(&hash).arg("revision").query_async(&mut stores.conn).await.expect("gone");
    apply(&front, &file(40)).await;
    assert_eq!(stores.view("d-1").await.stock, 40);
}

/// Whatever is written there may hide that it lacks claims.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_to_a_redis_that_was_not_compared() {
    let mut stores = Stores::open().await;
    let front = stores.front(4);
    apply(&front, &campaign("c", &[DropFile::open("d-1", 5).item("hold_for = \"1h\"")])).await;
    stores.claims("d-1", 1).await;
    stores.drain().await;
    let end = journal::last_id(&mut stores.conn, SHARD).await.expect("an end");
    let lost = ClaimNumber { drop: DropNumber(1), shard: SHARD, epoch: Epoch::FIRST, seq: 4 };
    stores.ledger.register_receipt(lost, "ann", 1).await.expect("it is kept").expect("an orphan");

    front.gate.trust.set("another server");
    let honoured = Receipts::new(Arc::clone(&front)).honour(1, None, "test").await;
    assert!(matches!(honoured, Err(SettleError::Failed(_))), "{honoured:?}");
    let metrics = Arc::new(Metrics::new(Cause::CODES, 1).expect("metrics"));
    let (holds, work) = Holds::new(Arc::clone(&front), metrics);
    tokio::spawn(work);
    let holds = Arc::new(holds);
    let desk = HoldDesk::new(Arc::clone(&holds), Handle::current());
    let claim = ClaimNumber { seq: 1, ..lost };
    desk.cancel(claim, PersonId::new("p-1").expect("a person")).await.expect("the ledger has decided");
    assert!(!front.recover_proven(false).await.expect("it is not looked at"));
    assert_eq!(journal::last_id(&mut stores.conn, SHARD).await.expect("an end"), end);
    assert!(front.gate.trust.is_doubted(), "a comparison is asked for");

    front.load().await.expect("it is compared");
    let stop = CancellationToken::new();
    let sweeping = tokio::spawn(Sweeper::new(holds).run(stop.clone()));
    while stores.view("d-1").await.returned == 0 {
        assert!(!sweeping.is_finished());
        tokio::task::yield_now().await;
    }
    stop.cancel();
    sweeping.await.expect("it ends");
}
