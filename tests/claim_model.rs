//! The scripts against a model, over random histories on a real Redis.

mod invariants;
mod model;
pub(crate) mod world;

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
        1 => (0..DROPS.len() - 1, any::<bool>()).prop_map(|(drop, opens)| Step::Edge { drop, opens }),
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
