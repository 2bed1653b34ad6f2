//! The scripts against a model, over random histories on a real Redis.

mod configured;
mod invariants;
mod model;
pub(crate) mod mutant;
mod once;
mod restored;
pub(crate) mod step;
mod world;

use anyhow::{Context as _, Result};
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestRunner};

use crate::support::redis::RedisServer;
use mutant::Connection;
use step::{Step, history};
use world::World;

/// Runs a history on the emptied Redis.
pub(crate) async fn check(conn: Connection, history: &[Step]) -> Result<()> {
    let mut world = World::new(conn).await?;
    for (at, step) in history.iter().enumerate() {
        world.step(step).await.with_context(|| format!("step {at}, {step:?}"))?;
    }
    Ok(())
}

/// Runs the claims of a history alone, and looks at nothing but the promises.
pub(crate) async fn check_promises(conn: Connection, history: &[Step]) -> Result<()> {
    let mut world = World::new(conn).await?;
    for step in history {
        match step {
            Step::Claim { claims, view, twice } => world.claim_unseen(claims, *view, *twice).await?,
            Step::Once { drops, late } => world.set_once(*drops, *late).await?,
            _ => continue,
        }
        world.invariants().await?;
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
    let redis = RedisServer::in_memory();
    // PROPTEST_CASES sets how many histories; its default is 256.
    let config = Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "proptest-regressions/claim_model.txt",
        ))),
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&history(), |history| {
        runtime.block_on(async {
            let conn = Connection::new(redis.connect().await);
            check(conn, &history).await.map_err(|error| TestCaseError::fail(format!("{error:#}")))
        })
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
