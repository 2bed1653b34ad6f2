//! What others have left behind: stock that was taken away by somebody who died, epochs that a ledger from a backup does not
//! know of, claims of a drop that it lacks, and receipts that two honour at once.

use std::path::Path;
use std::time::{Duration, Instant};

use claimrush::backoffice::campaigns::EpochMemory;
use claimrush::config::Config;
use claimrush::datadir::DataDir;
use claimrush::domain::life::Pot;
use claimrush::domain::money::Fen;
use claimrush::drain::{Drain, DrainError};
use claimrush::ledger::life::{Action, Request};
use claimrush::rush::gate::Gate;

use super::*;
use crate::support::service::PATIENCE;

impl Stores {
    /// The ledger as it is now, in a file of its own.
    async fn back_up(&self, name: &str) -> Arc<dyn Ledger> {
        let path = self.folder.path().join(name);
        let ledger = rusqlite::Connection::open(self.folder.path().join("ledger.db")).expect("a ledger");
        ledger.execute("VACUUM INTO ?1", [path.to_str().expect("a path")]).expect("it is copied");
        ledger_at(&path).await
    }

    /// Puts another ledger in the place of this one.
    fn bring_back(&mut self, ledger: Arc<dyn Ledger>) {
        self.ledger = ledger;
    }

    async fn lose_redis(&mut self) {
        let () = cmd("FLUSHALL").query_async(&mut self.conn).await.expect("it is empty");
    }

    /// Writes what follows the ledger's position into it.
    async fn drain_on(&mut self) {
        let after = self.ledger.position(SHARD).await.expect("a position");
        let entries = journal::read_after(&mut self.conn, SHARD, after, 1_000).await.expect("read");
        if entries.is_empty() {
            return;
        }
        let group = Group { shard: SHARD, after, entries, now_ms: Clock::System.now_ms() };
        let committed = self.ledger.commit(group).await.expect("it is written");
        assert!(matches!(committed, Committed::Written { poisoned: 0, .. }), "{committed:?}");
    }

    /// Has `front` make its only drop anew; the epoch that it is in then.
    async fn recovered(&mut self, front: &Campaigns) -> Epoch {
        front.load().await.expect("it freezes");
        assert_eq!(front.recover(true, "test").await.expect("it is made anew").len(), 1);
        let view = self.view("d-1").await;
        assert_eq!(view.state, DropState::Running);
        view.epoch
    }
}

pub(super) async fn ledger_at(path: &Path) -> Arc<dyn Ledger> {
    let url = format!("sqlite:{}", path.display());
    let config = LedgerConfig { url: claimrush::config::ServiceUrl::new(url), ..LedgerConfig::default() };
    open::open(&config, path.parent().expect("a folder")).await.expect("a ledger")
}

#[tokio::test]
async fn stock_that_was_taken_away_by_somebody_who_died_comes_back() {
    let mut stores = Stores::open().await;
    let (died, other) = (stores.front(4), stores.front(4));
    apply(&died, &file(100)).await;
    other.load().await.expect("it loads");
    stores.claims("d-1", 30).await;
    let revision = stores.ledger.revision().await.expect("a revision");
    let spec = Campaign::parse(&file(30)).expect("a campaign").drops.remove(0);
    let done =
        scripts::configure(&mut stores.conn, SHARD, &[config(&spec, Mode::Shrink, 30, revision)]).await;
    assert_eq!(done.expect("a reply").expect("it is taken away")[0].stock, 0);
    let began = Instant::now();
    while stores.view("d-1").await.stock == 0 {
        assert!(began.elapsed() < PATIENCE, "it is on sale nowhere");
        other.load_if_stale().await.expect("it looks");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stores.view("d-1").await.stock, 70);
    // Whoever was just slow is refused, and does it again.
    apply(&died, &file(30)).await;
    other.load_if_stale().await.expect("it looks");
    assert_eq!(stores.view("d-1").await.stock, 0);
}

/// Of the drop as it is in the file.
fn config(
    spec: &claimrush::domain::campaign::DropSpec,
    mode: Mode,
    stock_total: u64,
    revision: u64,
) -> DropConfig<'_> {
    DropConfig {
        drop: &spec.id,
        mode,
        stock_total,
        carried: 0,
        opens_at_ms: spec.opens_at_ms,
        closes_at_ms: spec.closes_at_ms,
        limit: 1,
        epoch: Epoch::FIRST,
        state: DropState::Frozen,
        once: 0,
        revision,
        overrules: None,
    }
}

/// Two load from a ledger that was brought back; the slower one must not go over what the faster one has set since.
#[tokio::test]
async fn who_goes_over_a_later_revision_goes_over_that_one_alone() {
    let mut stores = Stores::open().await;
    let front = stores.front(4);
    apply(&front, &file(100)).await;
    let spec = Campaign::parse(&file(100)).expect("a campaign").drops.remove(0);
    let mut set = async |mode, stock, revision, overrules| {
        let config = DropConfig { overrules, ..config(&spec, mode, stock, revision) };
        let done = scripts::configure(&mut stores.conn, SHARD, &[config]).await.expect("a reply");
        done.map(|views| views[0].stock).map_err(|refused| refused.code)
    };
    assert_eq!(set(Mode::Update, 100, 90, None).await, Ok(100), "a ledger that is no more");
    assert_eq!(set(Mode::Update, 100, 8, None).await, Err(Code::OutOfDate));
    assert_eq!(set(Mode::Update, 100, 8, Some(90)).await, Ok(100), "the faster one");
    assert_eq!(set(Mode::Shrink, 30, 8, None).await, Ok(30));
    assert_eq!(set(Mode::Update, 100, 8, Some(90)).await, Err(Code::Unsettled), "the slower one");
    assert_eq!(set(Mode::Update, 30, 9, None).await, Ok(30));
    assert_eq!(set(Mode::Update, 100, 8, Some(90)).await, Err(Code::OutOfDate), "the slower one");
}

/// Two load at once; the one with the older view sets the state last.
#[tokio::test]
async fn who_loads_late_does_not_end_a_pause_that_it_has_not_heard_of() {
    let mut stores = Stores::open().await;
    let front = stores.front(4);
    apply(&front, &file(9)).await;
    let campaign = CampaignId::new("c").expect("an id");
    let read = stores.ledger.revision().await.expect("a revision");
    assert!(front.set_state(&campaign, CampaignState::Paused, "test").await.expect("it is paused"));
    let drop = id("d-1");
    let mut run = async |revision| {
        let done = scripts::set_state(&mut stores.conn, SHARD, &[&drop], DropState::Running, revision).await;
        done.expect("a reply").map(|views| views[0].state).map_err(|refused| refused.code)
    };
    assert_eq!(run(Some(read)).await, Err(Code::OutOfDate));
    assert_eq!(run(Some(read + 1)).await, Ok(DropState::Running), "a later pause of the same view is none");
    front.load().await.expect("it loads");
    assert_eq!(stores.view("d-1").await.state, DropState::Paused);
}

/// It is the ledger from before a recovery, and Redis is lost as well.
#[tokio::test]
async fn no_epoch_begins_twice_of_which_rows_or_a_front_end_know() {
    let mut stores = Stores::open().await;
    let front = stores.front(4);
    apply(&front, &file(100)).await;
    stores.claims("d-1", 3).await;
    stores.drain_on().await;
    let (rows, memory) = (stores.back_up("rows.db").await, stores.back_up("memory.db").await);
    stores.lose_redis().await;
    assert_eq!(stores.recovered(&front).await, Epoch(2));
    assert_eq!(stores.claim("d-1", "new").await, Outcome::Granted { seq: 1 });

    // What the journal still has comes into it before Redis is lost once more.
    stores.bring_back(rows);
    stores.drain_on().await;
    stores.lose_redis().await;
    let other = stores.front(4);
    assert_eq!(stores.recovered(&other).await, Epoch(3), "a row is numbered in the second");
    stores.bring_back(memory);
    stores.lose_redis().await;
    let front = front_with(&stores, Arc::clone(&front.gate), EpochMemory::default());
    assert_eq!(stores.recovered(&front).await, Epoch(3), "it has seen the second");
}

fn front_with(stores: &Stores, gate: Arc<Gate>, memory: EpochMemory) -> Campaigns {
    let pool = stores.front(4).pool.clone();
    let ledger = Arc::clone(&stores.ledger);
    Campaigns::new(ledger, pool, gate, SHARD, Clock::System, Ack::Memory).remembering(memory)
}

/// Nobody is left who has seen them, and neither store has anything of them.
#[tokio::test]
async fn no_epoch_begins_twice_that_the_data_folder_remembers() {
    let mut stores = Stores::open().await;
    let data = folder();
    let started = |stores: &Stores| {
        let memory = EpochMemory::of(DataDir::open(data.path()).expect("a folder")).expect("it is read");
        front_with(stores, Arc::default(), memory)
    };
    apply(&started(&stores), &file(100)).await;
    stores.claims("d-1", 3).await;
    stores.drain_on().await;
    let backup = stores.back_up("backup.db").await;
    for epoch in [2, 3] {
        stores.lose_redis().await;
        assert_eq!(stores.recovered(&started(&stores)).await, Epoch(epoch));
    }
    assert_eq!(stores.claim("d-1", "new").await, Outcome::Granted { seq: 1 });
    stores.bring_back(backup);
    stores.lose_redis().await;
    assert_eq!(stores.recovered(&started(&stores)).await, Epoch(4));

    // Codes carry the number of a drop, and whatever is applied first to an empty ledger gets the first one.
    let empty = ledger_at(&data.path().join("empty.db")).await;
    stores.bring_back(empty);
    stores.lose_redis().await;
    let front = started(&stores);
    apply(&front, &campaign("other", &[DropFile::open("d-2", 9)])).await;
    assert_eq!(stores.view("d-2").await.epoch, Epoch(5));
    assert_eq!(stores.claim("d-2", "new").await, Outcome::Granted { seq: 1 });
    front.load().await.expect("it loads");
    started(&stores).load().await.expect("it loads");
    assert_eq!((stores.view("d-2").await.epoch, stores.view("d-2").await.stock), (Epoch(5), 8));
    assert!(!front.gate.find("d-2").expect("it is known").went_back());
}

/// What the drop holds of older epochs is known to nobody, and would be sold a second time.
#[tokio::test]
async fn a_drop_that_was_made_anew_before_is_not_sold_from_a_ledger_that_never_heard_of_it() {
    let mut stores = Stores::open().await;
    let front = stores.front(4);
    apply(&front, &file(4)).await;
    stores.claims("d-1", 2).await;
    stores.drain_on().await;
    stores.lose_redis().await;
    assert_eq!(stores.recovered(&front).await, Epoch(2));
    assert_eq!(stores.view("d-1").await.stock, 2);

    for (claimed, epoch) in [(0, 3), (1, 4)] {
        if claimed > 0 {
            assert_eq!(stores.claim("d-1", "new").await, Outcome::Granted { seq: 1 });
        }
        let empty = ledger_at(&stores.folder.path().join(format!("empty-{claimed}.db"))).await;
        stores.bring_back(empty);
        let other = stores.front(4);
        apply(&other, &file(4)).await;
        for _ in 0..2 {
            assert_eq!(stores.claim("d-1", "stranger").await, Outcome::Refused(Code::Frozen));
            assert!(!other.recover_proven(false).await.expect("nothing is proven"));
            other.load().await.expect("it loads");
        }
        stores.drain_on().await;
        assert_eq!(other.recover(true, "test").await.expect("it is made anew").len(), 1);
        assert_eq!(stores.view("d-1").await.epoch, Epoch(epoch));
    }
}

/// The drain has learnt which drops the ledger has, and the ledger is another one now.
#[tokio::test]
async fn claims_wait_also_where_the_ledger_is_brought_back_while_a_drain_runs() {
    let mut stores = Stores::open().await;
    let front = stores.front(4);
    apply(&front, &file(9)).await;
    stores.claims("d-1", 1).await;
    let metrics = Arc::new(Metrics::new(Cause::CODES, 1).expect("metrics"));
    let ledger = Arc::clone(&stores.ledger);
    let mut drain = Drain::new(&Config::default(), front.pool.clone(), ledger, metrics, Clock::System);
    drain.round().await.expect("it is drained");
    let backup = stores.back_up("backup.db").await;
    apply(&front, &campaign("late", &[DropFile::open("d-2", 9)])).await;
    stores.claims("d-2", 1).await;
    drain.round().await.expect("it is drained");

    assert_eq!(stores.claim("d-2", "new").await, Outcome::Granted { seq: 2 });
    drain.ledger = Arc::clone(&backup);
    let waits = drain.round().await;
    assert!(matches!(&waits, Err(DrainError::UnknownDrop(drop)) if drop.as_str() == "d-2"), "{waits:?}");
    assert_eq!(backup.quarantine_open().await.expect("a count"), 0);
    assert_eq!(journal::length(&mut stores.conn, SHARD).await.expect("a length"), 1, "the journal keeps it");
    stores.bring_back(backup);
    apply(&stores.front(4), &campaign("late", &[DropFile::open("d-2", 9)])).await;
    drain.round().await.expect("it is drained");
    assert_eq!(journal::length(&mut stores.conn, SHARD).await.expect("a length"), 0);
}

/// Registers the codes of lost claims of the first drop.
async fn shown(stores: &Stores, codes: &[(u32, &str)]) {
    for (seq, person) in codes {
        let claim = ClaimNumber { drop: DropNumber(1), shard: SHARD, epoch: Epoch::FIRST, seq: *seq };
        stores.ledger.register_receipt(claim, person, 1).await.expect("it is kept").expect("an orphan");
    }
}

/// Has two front ends honour the two receipts that there are at once; the ledger hears of what they grant when both may have
/// done so. What was refused.
async fn honour_both(stores: &mut Stores) -> Vec<String> {
    let before = stores.view("d-1").await.seq;
    let honour = |number: u64| {
        let front = stores.front(8);
        tokio::spawn(async move {
            front.load().await.expect("it loads");
            Receipts::new(front).honour(number, None, "test").await
        })
    };
    let both = [honour(1), honour(2)];
    let began = Instant::now();
    while stores.view("d-1").await.seq < before + 2 && began.elapsed() < Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    while !both.iter().all(tokio::task::JoinHandle::is_finished) {
        stores.drain_on().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut refused = Vec::new();
    for honoured in both {
        match honoured.await.expect("it ends") {
            Ok(_) => {}
            Err(SettleError::Refused { what, .. }) => refused.push(what),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(stores.view("d-1").await.seq, before + 1, "one unit was given");
    refused
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_honour_receipts_of_an_ended_campaign_at_once_spend_its_money_once() {
    let mut stores = Stores::open().await;
    let front = stores.front(4);
    apply(&front, &file(2).replace("1000000.00 CNY", "2.00 CNY")).await;
    stores.claims("d-1", 1).await;
    stores.give_back("d-1", 1).await;
    stores.drain_on().await;
    let campaign = CampaignId::new("c").expect("an id");
    assert!(front.set_state(&campaign, CampaignState::Ended, "test").await.expect("it ends"));
    let moved = Action::Move {
        campaign: campaign.clone(),
        from: Pot::Recycled,
        to: Pot::Treasury,
        amount: Fen(100),
        reference: "r-1".to_owned(),
        after: None,
        reason: "it is over".to_owned(),
        over: true,
    };
    let moved = stores.ledger.life(vec![Request { action: moved, key: None }], 1).await.expect("an outcome");
    assert!(moved[0].is_ok(), "{moved:?}");
    shown(&stores, &[(101, "ann"), (102, "bob")]).await;
    assert_eq!(honour_both(&mut stores).await, ["campaign c has ended and its money was moved: void it"]);
    let accounts = stores.ledger.accounts(&campaign).await.expect("accounts");
    assert_eq!(accounts.get("unissued").copied().unwrap_or_default(), Fen(0), "{accounts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_honour_receipts_for_one_lost_claim_at_once_give_one_unit() {
    let mut stores = Stores::open().await;
    apply(&stores.front(4), &file(9)).await;
    shown(&stores, &[(101, "ann"), (101, "eve")]).await;
    let refused = honour_both(&mut stores).await;
    assert!(
        refused.len() == 1 && refused[0].contains("for the same claim is honoured: void this one"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_whose_honouring_was_cut_short_is_settled_first() {
    let mut stores = Stores::open().await;
    apply(&stores.front(4), &file(9)).await;
    shown(&stores, &[(101, "ann"), (102, "bob")]).await;
    let front = stores.front(8);
    front.load().await.expect("it loads");
    let receipts = Arc::new(Receipts::new(front));
    let cut_short = tokio::spawn({
        let receipts = Arc::clone(&receipts);
        async move { receipts.honour(1, None, "test").await }
    });
    let began = Instant::now();
    while stores.view("d-1").await.seq == 0 {
        assert!(began.elapsed() < PATIENCE, "ann has it");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    cut_short.abort();
    assert!(cut_short.await.is_err());
    let refused = receipts.honour(2, None, "test").await.expect_err("the first one is not settled");
    assert!(refused.to_string().contains("receipt 1 of the same campaign is being honoured"), "{refused}");
    stores.drain_on().await;
    receipts.honour(1, None, "test").await.expect("ann has it");
    assert_eq!(stores.view("d-1").await.seq, 1);
    let second = tokio::spawn(async move { receipts.honour(2, None, "test").await });
    while !second.is_finished() {
        stores.drain_on().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    second.await.expect("it ends").expect("bob has one");
}
