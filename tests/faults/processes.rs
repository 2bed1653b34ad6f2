//! Rows: a process is killed.

use std::time::Instant;

use rand::RngExt;

use crate::matrix::{Row, Stage};
use crate::scene::Scene;
use crate::support::drainer::Drainer;
use crate::victims::{Victim, kill_and_restart};

#[test]
fn service_killed() {
    Row::new("kill -9 of the service").run(Scene::whole(), |stage: &mut Stage| {
        let at = Instant::now();
        stage.scene.service.kill();
        stage.scene.service.restart();
        stage.move_people();
        at
    });
}

#[test]
fn drain_killed() {
    Row::new("kill -9 of a separate drain").two_each().run(Scene::with_drain(), |stage: &mut Stage| {
        let at = Instant::now();
        stage.scene.drain.as_mut().expect("a drain").kill();
        stage.rush.wait_more(100);
        stage.scene.drain = Some(Drainer::start(&stage.scene.service));
        at
    });
}

#[test]
fn redis_killed() {
    Row::new("kill -9 of Redis").run(Scene::whole(), |stage: &mut Stage| {
        let at = Instant::now();
        stage.scene.kill_redis();
        at
    });
}

#[test]
fn any_of_them_killed_in_any_order() {
    let row = Row::new("kill -9 of one to three of service, drain and Redis, in any order");
    row.two_each().run(Scene::with_drain(), |stage| {
        // Anywhere within the service of some people.
        stage.rush.wait_more(stage.random.random_range(0..50));
        let at = Instant::now();
        let victims = Victim::some(stage.random);
        eprintln!("killed: {victims:?}");
        kill_and_restart(stage.scene, &victims, stage.random, |address| stage.rush.crowd().move_to(address));
        at
    });
}
