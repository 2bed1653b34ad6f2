//! The scripts at the borders of what they take: full, malformed and repeated calls, and a Redis that fails.

use claimrush::domain::claim::Grant;
use claimrush::domain::claim::JournalId;
use claimrush::domain::ids::{DropId, Epoch, Mark, PersonId, Shard};
use claimrush::limits;
use claimrush::redis::codes::{Code, DropState, Outcome, decode_records, encode_record};
use claimrush::redis::restore::{Beginning, Restore};
use claimrush::redis::scripts::{self, ClaimCall, DropConfig, Mode, Refused, Return};
use claimrush::redis::{journal, keys, reads, restore};
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value, cmd};

use crate::support::redis::RedisServer;

const SHARD: Shard = Shard(0);

fn open(drop: &DropId, mode: Mode, stock_total: u64) -> DropConfig<'_> {
    DropConfig {
        drop,
        mode,
        stock_total,
        carried: 0,
        opens_at_ms: 0,
        closes_at_ms: 1 << 42,
        limit: 1,
        epoch: Epoch(u16::MAX),
        state: DropState::Running,
        once: 0,
        revision: 0,
        overrules: None,
    }
}

/// A server with the drop `d` of 10 units, of which `ann` has the first.
async fn with_one_claim() -> (RedisServer, MultiplexedConnection, DropId, PersonId) {
    let redis = RedisServer::in_memory();
    let mut conn = redis.connect().await;
    let (drop, ann) = (DropId::new("d").unwrap(), PersonId::new("ann").unwrap());
    scripts::configure(&mut conn, SHARD, &[open(&drop, Mode::Create, 10)]).await.unwrap().unwrap();
    assert_eq!(claim_one(&mut conn, &drop, &ann).await, Outcome::Granted { seq: 1 });
    (redis, conn, drop, ann)
}

async fn claim_one(conn: &mut MultiplexedConnection, drop: &DropId, person: &PersonId) -> Outcome {
    let mut call = ClaimCall::new(SHARD, 1);
    call.claim(drop, person, None).unwrap();
    let reply = scripts::claim(conn, &call, &call.to_evalsha()).await.unwrap();
    reply.drops[0].as_ref().unwrap().outcomes[0]
}

/// Everything in Redis, to see that nothing changed.
async fn everything(conn: &mut MultiplexedConnection) -> Vec<(String, Value)> {
    let mut names: Vec<String> = cmd("KEYS").arg("*").query_async(conn).await.unwrap();
    names.sort();
    let mut all = Vec::new();
    for name in names {
        let dump = cmd("DUMP").arg(&name).query_async(conn).await.unwrap();
        all.push((name, dump));
    }
    all
}

async fn eval(
    conn: &mut MultiplexedConnection,
    script: &scripts::Script,
    keys: &[&str],
    arguments: &[&str],
) -> RedisResult<Value> {
    cmd("EVAL").arg(script.source).arg(keys.len()).arg(keys).arg(arguments).query_async(conn).await
}

#[tokio::test]
async fn a_full_batch_of_the_longest_persons_fits() {
    let redis = RedisServer::in_memory();
    let mut conn = redis.connect().await;
    let name = |n| DropId::new(&format!("drop-{n}")).unwrap();
    let ids: Vec<_> = (0..limits::BATCH_DROPS_MAX).map(name).collect();
    let configs: Vec<_> = ids.iter().map(|drop| open(drop, Mode::Create, limits::STOCK_MAX)).collect();
    scripts::configure(&mut conn, SHARD, &configs).await.unwrap().unwrap();

    let mut call = ClaimCall::new(SHARD, 0);
    for drops in [1, ids.len()] {
        call.reset(u64::MAX);
        for n in 0..limits::BATCH_CLAIMS_MAX {
            let person = PersonId::new(&format!("{drops:064}{n:064}")).unwrap();
            call.claim(&ids[n % drops], &person, Some(Mark([7; 8]))).unwrap();
        }
        let one_more = PersonId::new("one-more").unwrap();
        assert_eq!(call.claim(&ids[0], &one_more, None), None, "the batch is full");
        let reply = scripts::claim(&mut conn, &call, &call.to_evalsha()).await.unwrap();
        let outcomes = reply.drops.iter().flat_map(|part| &part.as_ref().unwrap().outcomes);
        let granted = outcomes.filter(|outcome| matches!(outcome, Outcome::Granted { .. })).count();
        assert_eq!((granted, reply.drops.len()), (limits::BATCH_CLAIMS_MAX, drops));
    }
}

#[tokio::test]
async fn a_script_that_the_server_forgot_is_loaded_again() {
    let (_redis, mut conn, drop, ann) = with_one_claim().await;
    cmd("SCRIPT").arg("FLUSH").query_async::<()>(&mut conn).await.unwrap();
    assert!(matches!(claim_one(&mut conn, &drop, &ann).await, Outcome::Again(grant) if grant.seq == 1));
}

/// Of two who restore at once the later one goes on alone; until it is complete nobody can run the drop; each step may
/// come twice; and the journal never gives an id again that the ledger has.
#[tokio::test]
async fn a_drop_is_restored_by_one_and_runs_when_it_is_complete() {
    let (_redis, mut conn, drop, ann) = with_one_claim().await;
    let far = JournalId { ms: 1 << 42, seq: 7 };
    let beginning =
        Beginning { stock_total: 9, opens_at_ms: 0, closes_at_ms: 1 << 42, limit: 1, position: far };
    let by = |token| Restore { shard: SHARD, drop: &drop, token, epoch: Epoch(u16::MAX) };
    // The drop was made in the last epoch there is, and is complete in it.
    assert_eq!(by("one").begin(&mut conn, &beginning).await.unwrap(), Err(Code::Superseded));
    cmd("DEL").arg(keys::drop(SHARD, &drop)).query_async::<()>(&mut conn).await.unwrap();
    let bob = Grant { epoch: Epoch(1), seq: 5, claimed_at_ms: 77, returned: false, mark: None };
    let bobs = vec![("bob".to_owned(), encode_record(&bob, false)); 2];
    assert_eq!(by("one").holders(&mut conn, &bobs).await.unwrap(), Err(Code::UnknownDrop));

    assert!(by("one").begin(&mut conn, &beginning).await.unwrap().is_ok());
    assert_eq!(by("one").holders(&mut conn, &bobs).await.unwrap(), Ok(1), "the same claim twice is one");
    for _ in 0..2 {
        assert!(by("two").begin(&mut conn, &beginning).await.unwrap().is_ok());
    }
    assert_eq!(reads::holders_count(&mut conn, SHARD, &drop).await.unwrap(), 0, "it begins empty");
    assert_eq!(by("one").holders(&mut conn, &bobs).await.unwrap(), Err(Code::Superseded));
    assert_eq!(by("one").finish(&mut conn).await.unwrap(), Err(Code::Superseded));
    assert_eq!(reads::restoring(&mut conn, SHARD, [&drop]).await.unwrap(), [true]);
    let run = [&drop];
    let refused = scripts::set_state(&mut conn, SHARD, &run, DropState::Running, None).await.unwrap();
    assert_eq!(refused, Err(Refused { code: Code::Frozen, drop: 0 }));
    assert!(scripts::set_state(&mut conn, SHARD, &run, DropState::Frozen, None).await.unwrap().is_ok());

    assert_eq!(by("two").holders(&mut conn, &bobs[..1]).await.unwrap(), Ok(1));
    assert_eq!(by("two").holders(&mut conn, &bobs).await.unwrap(), Ok(0));
    assert_eq!(claim_one(&mut conn, &drop, &ann).await, Outcome::Refused(Code::Frozen));
    for _ in 0..2 {
        let view = by("two").finish(&mut conn).await.unwrap().unwrap();
        assert_eq!(
            (view.epoch, view.stock, view.seq, view.state),
            (Epoch(u16::MAX), 9, 0, DropState::Frozen)
        );
    }
    assert_eq!(by("three").begin(&mut conn, &beginning).await.unwrap(), Err(Code::Superseded));
    scripts::set_state(&mut conn, SHARD, &run, DropState::Running, None).await.unwrap().unwrap();
    let bobs_name = PersonId::new("bob").unwrap();
    assert_eq!(claim_one(&mut conn, &drop, &bobs_name).await, Outcome::Again(bob));
    assert_eq!(claim_one(&mut conn, &drop, &ann).await, Outcome::Granted { seq: 1 });
    assert!(journal::last_id(&mut conn, SHARD).await.unwrap() > far);
    let entries = journal::read_after(&mut conn, SHARD, JournalId::START, 9).await.unwrap();
    let after: Vec<_> = entries.iter().filter(|entry| entry.id >= far).collect();
    assert_eq!(after.len(), 1, "what held the place is gone: {after:?}");
}

#[tokio::test]
async fn a_drop_that_is_marked_as_lost_runs_when_it_was_made_anew() {
    let (_redis, mut conn, drop, _) = with_one_claim().await;
    cmd("HSET").arg(keys::drop(SHARD, &drop)).arg("epoch").arg(1).query_async::<()>(&mut conn).await.unwrap();
    let superseded = Err(Code::Superseded);
    assert_eq!(
        restore::mark_lost(&mut conn, SHARD, &drop, Epoch(2)).await.unwrap(),
        superseded,
        "of another"
    );
    for _ in 0..2 {
        let view = restore::mark_lost(&mut conn, SHARD, &drop, Epoch(1)).await.unwrap().unwrap();
        assert_eq!((view.state, view.seq), (DropState::Frozen, 1));
    }
    assert_eq!(reads::restoring(&mut conn, SHARD, [&drop]).await.unwrap(), [true]);
    let refused = scripts::set_state(&mut conn, SHARD, &[&drop], DropState::Running, None).await.unwrap();
    assert_eq!(refused, Err(Refused { code: Code::Frozen, drop: 0 }));
    let anew = Restore { shard: SHARD, drop: &drop, token: "t", epoch: Epoch(2) };
    let position = JournalId::START;
    let beginning = Beginning { stock_total: 9, opens_at_ms: 0, closes_at_ms: 1 << 42, limit: 1, position };
    assert!(anew.begin(&mut conn, &beginning).await.unwrap().is_ok());
    assert_eq!(restore::mark_lost(&mut conn, SHARD, &drop, Epoch(2)).await.unwrap(), superseded, "begun");
    assert!(anew.finish(&mut conn).await.unwrap().is_ok());
    assert!(scripts::set_state(&mut conn, SHARD, &[&drop], DropState::Running, None).await.unwrap().is_ok());
    let gone = DropId::new("gone").unwrap();
    let unknown = restore::mark_lost(&mut conn, SHARD, &gone, Epoch(1)).await.unwrap();
    assert_eq!(unknown, Err(Code::UnknownDrop));
}

#[tokio::test]
async fn a_malformed_call_changes_nothing() {
    let (_redis, mut conn, drop, _) = with_one_claim().await;
    let (journal, hash, held) = (keys::journal(SHARD), keys::drop(SHARD, &drop), keys::holders(SHARD, &drop));
    let (journal, hash, held) = (journal.as_str(), hash.as_str(), held.as_str());
    let one = [journal, hash, held];
    let twice = [journal, hash, held, hash, held];
    let terms = ["create", "9", "1", "2", "1", "1", "running", "0", "0", "keep"];
    let with = |at: usize, value: &'static str| {
        let mut changed = terms;
        changed[at] = value;
        changed
    };
    let calls: &[(&scripts::Script, &[&str], &[&str])] = &[
        (&scripts::RESTORE, &one, &["begin", "", "9", "9", "1", "2", "1", "0-0"]),
        (&scripts::RESTORE, &one, &["begin", "t", "0", "9", "1", "2", "1", "0-0"]),
        (&scripts::RESTORE, &one, &["begin", "t", "9", "9", "2", "2", "1", "0-0"]),
        (&scripts::RESTORE, &one, &["begin", "t", "9", "9", "1", "2", "1", "0"]),
        (&scripts::RESTORE, &one, &["begin", "t", "9", "9", "1", "2", "101", "0-0"]),
        (&scripts::RESTORE, &one, &["holders", "t", "9"]),
        (&scripts::RESTORE, &one, &["holders", "t", "9", "ann"]),
        (&scripts::RESTORE, &one, &["finish", "t", "9", "9"]),
        (&scripts::RESTORE, &one, &["end", "t", "9"]),
        (&scripts::RESTORE, &one, &["lost", "t", "9", "9"]),
        (&scripts::CLAIM, &one, &["1", "0", "d", "0", "0", "0"]),
        (&scripts::CLAIM, &one, &["1", "0", "d", "-1", "0", "0"]),
        (&scripts::CLAIM, &one, &["1", "0", "d", "1.5", "0", "0", "bob"]),
        (&scripts::CLAIM, &one, &["1", "0", "d", "nan", "0", "0", "bob"]),
        (&scripts::CLAIM, &one, &["1", "0", "d", "1001", "0", "0", "bob"]),
        (&scripts::CLAIM, &one, &["1", "0", "d", "2", "0", "0", "bob"]),
        (&scripts::CLAIM, &one, &["1", "0", "d", "1", "0", "0", "bob", "cid"]),
        (&scripts::CLAIM, &one, &["1", "0", "d", "1", "2", "0", "bob"]),
        (&scripts::CLAIM, &one, &["1", "0", "d", "1", "1", "0", "bob"]),
        (&scripts::CLAIM, &one, &["1", "0", "d", "1", "1", "0", "bob", "1234567"]),
        (&scripts::CLAIM, &one, &["1"]),
        (&scripts::CLAIM, &twice, &["1", "0", "d", "1", "0", "0", "bob", "d", "1", "0", "0", "cid"]),
        (&scripts::CLAIM, &one[..1], &["1"]),
        (&scripts::CLAIM, &one[..2], &["1", "0", "d", "1", "0", "0", "bob"]),
        // Campaigns: none is given, one without its keys, one of no drops, one that is no number, one of half a drop.
        (&scripts::CLAIM, &one, &["1", "0", "d", "1", "0", "1", "bob"]),
        (&scripts::CLAIM, &one, &["1", "1", "1", "d", "1", "0", "1", "bob"]),
        (&scripts::CLAIM, &twice, &["1", "1", "0", "d", "1", "0", "1", "bob"]),
        (&scripts::CLAIM, &twice, &["1", "1", "x", "d", "1", "0", "1", "bob"]),
        (&scripts::CLAIM, &twice, &["1", "1", "0.5", "d", "1", "0", "1", "bob"]),
        (&scripts::CLAIM, &twice, &["1", "-1", "d", "1", "0", "0", "bob"]),
        (&scripts::CLAIM, &twice, &["1", "inf", "d", "1", "0", "0", "bob"]),
        (&scripts::CONFIGURE, &[hash], &terms[..6]),
        (&scripts::CONFIGURE, &[], &[]),
        (&scripts::CONFIGURE, &[hash], &with(0, "make")),
        (&scripts::CONFIGURE, &[hash], &with(1, "-4294967296")),
        (&scripts::CONFIGURE, &[hash], &with(1, "4294967296")),
        (&scripts::CONFIGURE, &[hash], &with(1, "nan")),
        (&scripts::CONFIGURE, &[hash], &with(3, "1")),
        (&scripts::CONFIGURE, &[hash], &with(4, "0")),
        (&scripts::CONFIGURE, &[hash], &with(4, "101")),
        (&scripts::CONFIGURE, &[hash], &with(5, "65536")),
        (&scripts::CONFIGURE, &[hash], &with(6, "open")),
        (&scripts::CONFIGURE, &[hash], &with(7, "-1")),
        (&scripts::CONFIGURE, &[hash], &with(8, "x")),
        (&scripts::CONFIGURE, &[hash], &with(9, "")),
        (&scripts::CONFIGURE, &[hash, hash], &[terms, terms].concat()),
        (&scripts::STATE, &[hash], &["open"]),
        (&scripts::STATE, &[], &["paused"]),
        (&scripts::RETURN, &one, &["d", "ann", "65535", "1", "maybe"]),
        (&scripts::RETURN, &one, &["d", "ann", "x", "1", "again"]),
        (&scripts::RETURN, &one[..2], &["d", "ann", "65535", "1", "again"]),
    ];
    let before = everything(&mut conn).await;
    for (script, keys, arguments) in calls {
        let error = eval(&mut conn, script, keys, arguments).await.expect_err(script.file);
        assert_eq!(error.code(), Some("MALFORMED"), "{} {arguments:?}: {error}", script.file);
        assert!(everything(&mut conn).await == before, "{} {arguments:?}", script.file);
    }
}

#[tokio::test]
async fn a_journal_that_takes_nothing_grants_and_returns_nothing() {
    let (_redis, mut conn, drop, ann) = with_one_claim().await;
    let journal = keys::journal(SHARD);
    cmd("DEL").arg(&journal).query_async::<()>(&mut conn).await.unwrap();
    cmd("SET").arg(&journal).arg("no stream").query_async::<()>(&mut conn).await.unwrap();
    let before = everything(&mut conn).await;

    let bob = PersonId::new("bob").unwrap();
    let mut call = ClaimCall::new(SHARD, 1);
    call.claim(&drop, &bob, None).unwrap();
    scripts::claim(&mut conn, &call, &call.to_evalsha()).await.expect_err("no journal, no claim");
    let claim = Return { drop: &drop, person: &ann, epoch: Epoch(u16::MAX), seq: 1, may_claim_again: true };
    scripts::return_claim(&mut conn, SHARD, &claim).await.expect_err("no journal, no return");
    assert!(everything(&mut conn).await == before);
}

#[tokio::test]
async fn a_full_memory_refuses_before_the_first_write() {
    let (_redis, mut conn, drop, _) = with_one_claim().await;
    let before = everything(&mut conn).await;
    cmd("CONFIG").arg("SET").arg("maxmemory").arg(1).query_async::<()>(&mut conn).await.unwrap();
    let mut call = ClaimCall::new(SHARD, 1);
    call.claim(&drop, &PersonId::new("bob").unwrap(), None).unwrap();
    let error = scripts::claim(&mut conn, &call, &call.to_evalsha()).await.expect_err("out of memory");
    assert!(error.to_string().contains("OOM"), "{error}");
    assert!(everything(&mut conn).await == before);
}

#[tokio::test]
async fn an_empty_redis_opens_no_sale() {
    let redis = RedisServer::in_memory();
    let mut conn = redis.connect().await;
    let (known, lost) = (DropId::new("known").unwrap(), DropId::new("lost").unwrap());
    let refused = Err(Refused { code: Code::UnknownDrop, drop: 1 });
    let configs = [open(&known, Mode::Create, 10), open(&lost, Mode::Update, 10)];
    assert_eq!(scripts::configure(&mut conn, SHARD, &configs).await.unwrap(), refused);
    assert!(everything(&mut conn).await.is_empty(), "all or none");

    scripts::configure(&mut conn, SHARD, &configs[..1]).await.unwrap().unwrap();
    let reply =
        scripts::set_state(&mut conn, SHARD, &[&known, &lost], DropState::Paused, None).await.unwrap();
    assert_eq!(reply, refused);
    let reply = scripts::set_state(&mut conn, SHARD, &[&known], DropState::Running, None).await.unwrap();
    assert_eq!(reply.unwrap()[0].state, DropState::Running, "the refused call paused nothing");
}

#[tokio::test]
async fn the_last_claim_number_is_given_once() {
    let (_redis, mut conn, drop, _) = with_one_claim().await;
    let last = i64::from(u32::MAX) - 1;
    let mut set = cmd("HSET");
    set.arg(keys::drop(SHARD, &drop)).arg("seq").arg(last).query_async::<()>(&mut conn).await.unwrap();
    let (bob, cid) = (PersonId::new("bob").unwrap(), PersonId::new("cid").unwrap());
    assert_eq!(claim_one(&mut conn, &drop, &bob).await, Outcome::Granted { seq: u32::MAX });
    assert_eq!(claim_one(&mut conn, &drop, &cid).await, Outcome::Refused(Code::SoldOut));
    let entries = journal::read_after(&mut conn, SHARD, JournalId::START, 10).await.unwrap();
    assert!(entries.len() == 2 && entries.iter().all(|entry| entry.content.is_ok()), "{entries:?}");
}

#[tokio::test]
async fn every_holder_is_read_in_pages() {
    let redis = RedisServer::in_memory();
    let mut conn = redis.connect().await;
    let drop = DropId::new("d").unwrap();
    scripts::configure(&mut conn, SHARD, &[open(&drop, Mode::Create, 2_000)]).await.unwrap().unwrap();
    let person = |n: u32| PersonId::new(&format!("person-{n}")).unwrap();
    assert_eq!(reads::claims_of(&mut conn, SHARD, &drop, &person(0)).await.unwrap(), []);

    let mut call = ClaimCall::new(SHARD, 1);
    for batch in 0..2 {
        call.reset(batch);
        for n in 0..1_000 {
            call.claim(&drop, &person(u32::try_from(batch).unwrap() * 1_000 + n), None).unwrap();
        }
        scripts::claim(&mut conn, &call, &call.to_evalsha()).await.unwrap();
    }
    let mut seen = std::collections::BTreeMap::new();
    let (mut pages, mut next) = (0, Some(0));
    while let Some(cursor) = next {
        let page = reads::holders_page(&mut conn, SHARD, &drop, cursor, 100).await.unwrap();
        seen.extend(page.holders);
        (pages, next) = (pages + 1, page.next);
    }
    assert!(pages > 1 && seen.len() == 2_000, "{} holders in {pages} pages", seen.len());
    for n in 0..2_000 {
        let of_page = decode_records(&seen[person(n).as_str().as_bytes()]).unwrap();
        assert_eq!(of_page[0].seq, n + 1);
        assert_eq!(reads::claims_of(&mut conn, SHARD, &drop, &person(n)).await.unwrap(), of_page);
    }
}

#[tokio::test]
async fn claiming_and_returning_without_end_is_refused_in_the_end() {
    let (_redis, mut conn, drop, ann) = with_one_claim().await;
    let mut granted = 1;
    loop {
        let epoch = Epoch(u16::MAX);
        let claim = Return { drop: &drop, person: &ann, epoch, seq: granted, may_claim_again: true };
        scripts::return_claim(&mut conn, SHARD, &claim).await.unwrap().unwrap();
        match claim_one(&mut conn, &drop, &ann).await {
            Outcome::Granted { seq } => granted = seq,
            refused => {
                assert_eq!(refused, Outcome::Refused(Code::LimitReached));
                break;
            }
        }
    }
    assert_eq!(granted, 4_200_u32.div_ceil(13));
    // Marked records are longer, and meet the bound to the byte.
    let bob = PersonId::new("bob").unwrap();
    for nth in 1_u64..=201 {
        let mut call = ClaimCall::new(SHARD, nth);
        call.claim(&drop, &bob, Some(Mark(nth.to_be_bytes()))).unwrap();
        let reply = scripts::claim(&mut conn, &call, &call.to_evalsha()).await.unwrap();
        let outcome = reply.drops[0].as_ref().unwrap().outcomes[0];
        if nth == 201 {
            assert_eq!(outcome, Outcome::Refused(Code::LimitReached));
            break;
        }
        granted += 1;
        assert_eq!(outcome, Outcome::Granted { seq: granted }, "{nth}");
        let epoch = Epoch(u16::MAX);
        let claim = Return { drop: &drop, person: &bob, epoch, seq: granted, may_claim_again: true };
        scripts::return_claim(&mut conn, SHARD, &claim).await.unwrap().unwrap();
    }
    let cid = PersonId::new("cid").unwrap();
    assert_eq!(claim_one(&mut conn, &drop, &cid).await, Outcome::Granted { seq: granted + 1 });
}
