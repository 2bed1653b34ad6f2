//! The scripts against a model, over random histories on a real Redis.

mod model;
pub(crate) mod world;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use claimrush::redis::codes::DropState;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestRunner};
use redis::aio::MultiplexedConnection;

use crate::support::redis::TestRedis;
use world::{Change, DROPS, MARKS, PERSONS, Step, World};

const CASES: u32 = 192;
const STEPS_MAX: usize = 14;

fn change() -> impl Strategy<Value = Change> {
    // Mostly open; else around an edge that falls into the test's own milliseconds, or far away.
    let window = prop_oneof![
        6 => Just((-1_000, 1_000_000)),
        2 => (-1_i64..4).prop_map(|opens| (opens, 1_000_000)),
        2 => (0_i64..5).prop_map(|closes| (-1_000, closes)),
        1 => Just((1_000_000, 2_000_000)),
        1 => Just((-2_000, -1_000)),
    ];
    (any::<bool>(), 0_u64..9, 1_u32..4, window).prop_map(|(create, total, limit, window)| Change {
        create,
        total,
        limit,
        opens_in_ms: window.0,
        closes_in_ms: window.1,
    })
}

fn step() -> impl Strategy<Value = Step> {
    // The drop that is never made comes up now and then.
    let drop = || prop_oneof![12 => 0..DROPS.len() - 1, 1 => Just(DROPS.len() - 1)];
    let claim = (drop(), 0..PERSONS, proptest::option::of(0..MARKS.len()));
    let state = prop_oneof![
        4 => Just(DropState::Running),
        2 => Just(DropState::Paused),
        1 => Just(DropState::Frozen),
    ];
    prop_oneof![
        8 => (vec(claim, 1..12), any::<bool>()).prop_map(|(claims, twice)| Step::Claim { claims, twice }),
        2 => (btree_set(drop(), 1..4), state).prop_map(|(drops, state)| Step::State { drops, state }),
        3 => btree_map(drop(), change(), 1..4).prop_map(|drops| Step::Configure { drops }),
        3 => (drop(), 0..PERSONS, 0_usize..3, any::<bool>())
            .prop_map(|(drop, person, nth, again)| Step::Return { drop, person, nth, again }),
        1 => (0_usize..4).prop_map(|entries| Step::Trim { entries }),
    ]
}

/// Random histories of steps.
pub(crate) fn history() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..STEPS_MAX)
}

/// Runs a history on the emptied Redis, with another claim script if one is given.
pub(crate) async fn check(
    conn: MultiplexedConnection,
    claim_source: Option<String>,
    history: &[Step],
) -> Result<()> {
    let mut world = World::new(conn, claim_source).await?;
    for (at, step) in history.iter().enumerate() {
        world.step(step).await.with_context(|| format!("step {at}, {step:?}"))?;
    }
    Ok(())
}

/// The runtime of a test that drives Redis from within a property.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn the_scripts_do_what_the_model_does() {
    let runtime = runtime();
    let redis = runtime.block_on(TestRedis::start());
    let config = Config {
        cases: CASES,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "proptest-regressions/claim_model.txt",
        ))),
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&history(), |history| {
        runtime.block_on(async {
            let conn = redis.connection().await;
            check(conn, None, &history).await.map_err(|error| TestCaseError::fail(format!("{error:#}")))
        })
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_full_batch_of_the_longest_persons_fits() {
    use claimrush::domain::ids::{DropId, Epoch, PersonId, Shard};
    use claimrush::limits;
    use claimrush::redis::scripts::{self, ClaimCall, DropConfig, Mode};

    runtime().block_on(async {
        let redis = TestRedis::start().await;
        let mut conn = redis.connection().await;
        let ids: Vec<_> =
            (0..limits::BATCH_DROPS_MAX).map(|n| DropId::new(&format!("drop-{n}")).unwrap()).collect();
        let configs: Vec<_> = ids
            .iter()
            .map(|drop| DropConfig {
                drop,
                mode: Mode::Create,
                stock_total: limits::STOCK_MAX,
                opens_at_ms: 0,
                closes_at_ms: 1 << 42,
                limit: 1,
                epoch: Epoch(u16::MAX),
                state: DropState::Running,
            })
            .collect();
        scripts::configure(&mut conn, Shard(0), &configs).await.unwrap().unwrap();

        let mut call = ClaimCall::new(Shard(0), u64::MAX);
        for drops in [1, ids.len()] {
            call.reset(u64::MAX);
            for n in 0..limits::BATCH_CLAIMS_MAX {
                let person = PersonId::new(&format!("{drops:064}{n:064}")).unwrap();
                let mark = claimrush::domain::ids::Mark([7; 8]);
                call.claim(&ids[n % drops], &person, Some(mark)).unwrap();
            }
            let one_more = PersonId::new("one-more").unwrap();
            assert_eq!(call.claim(&ids[0], &one_more, None), None, "the batch is full");
            let reply = scripts::claim(&mut conn, &call, &call.to_evalsha()).await.unwrap();
            let granted: BTreeMap<_, _> = reply
                .drops
                .iter()
                .enumerate()
                .map(|(index, part)| (index, part.as_ref().unwrap().outcomes.len()))
                .collect();
            assert_eq!(granted.values().sum::<usize>(), limits::BATCH_CLAIMS_MAX);
            assert_eq!(granted.len(), drops);
        }
    });
}
