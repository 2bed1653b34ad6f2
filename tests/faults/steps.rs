//! Rows: the service is killed at each named step of its way, at its first time and at later ones.

use std::time::Instant;

use claimrush::failpoint::Step;
use rand::RngExt;
use redis::cmd;

use crate::matrix::{Row, Stage};
use crate::report;
use crate::scene::Scene;

/// The latest time at which a step is the last one.
const LATEST: u64 = 12;

/// Kills the service at each of these steps in turn: in the first half of the variants at once, in the others somewhat later.
fn killed_at(name: &'static str, group: &str, scene: fn() -> Scene) {
    if !cfg!(any(debug_assertions, feature = "failpoints")) {
        return report::note(name, 0, 0, "not run: built without fail points", None);
    }
    let steps: Vec<_> = Step::ALL.into_iter().filter(|step| step.name().starts_with(group)).collect();
    assert!(!steps.is_empty(), "{group} has steps");
    Row::new(name).variants(2 * steps.len()).run(scene(), |stage: &mut Stage| {
        let step = steps[stage.variant % steps.len()];
        let count = if stage.variant < steps.len() { 1 } else { stage.random.random_range(2..=LATEST) };
        stage.scene.service.kill();
        let failpoint = format!("{}:{count}", step.name());
        let crowd = stage.rush.crowd();
        stage.scene.service.restart_until_killed(&failpoint, |service| {
            crowd.move_to(service.address());
            if step.name().starts_with("script.") {
                let () = service.ask_redis(cmd("SCRIPT").arg("FLUSH"));
            }
        });
        let at = Instant::now();
        stage.scene.service.restart();
        stage.move_people();
        at
    });
}

#[test]
fn at_each_step_of_a_batch() {
    killed_at("killed at each step of a batch, each N", "batch.", Scene::whole);
}

#[test]
fn at_each_step_of_a_script_call() {
    killed_at("killed at each step of loading a script, each N", "script.", Scene::whole);
}

#[test]
fn at_each_step_of_the_drain() {
    killed_at("killed at each step of a drain transaction and of the trim, each N", "drain.", Scene::whole);
}

#[test]
fn at_each_step_of_the_drain_into_postgres() {
    killed_at(
        "killed at each step of a drain transaction in PostgreSQL, each N",
        "drain.",
        Scene::with_postgres,
    );
}
