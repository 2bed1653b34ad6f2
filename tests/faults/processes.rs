//! Rows: a process is killed.

use std::time::Instant;

use rand::RngExt;

use crate::matrix::{Row, Stage};
use crate::scene::Scene;
use crate::support::drainer::Drainer;

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

/// One of the processes of a rush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Service,
    Drain,
    Redis,
}

#[test]
fn any_of_them_killed_in_any_order() {
    let row = Row::new("kill -9 of one to three of service, drain and Redis, in any order");
    row.two_each().run(Scene::with_drain(), |stage| {
        let mut all = vec![Victim::Service, Victim::Drain, Victim::Redis];
        let count = stage.random.random_range(1..=all.len());
        let victims: Vec<_> =
            (0..count).map(|_| all.remove(stage.random.random_range(0..all.len()))).collect();
        // Anywhere within the service of some people.
        stage.rush.wait_more(stage.random.random_range(0..50));
        let at = Instant::now();
        for victim in &victims {
            match victim {
                Victim::Service => stage.scene.service.kill(),
                Victim::Drain => stage.scene.drain.as_mut().expect("a drain").kill(),
                Victim::Redis => stage.scene.kill_redis(),
            }
        }
        eprintln!("killed: {victims:?}");
        if victims.contains(&Victim::Service) {
            // It comes back with a drain of its own beside the other one, or without.
            let with_drain = stage.random.random();
            stage.scene.service.restart_with(if with_drain { &[] } else { &["--no-drain"] });
            stage.move_people();
        }
        if victims.contains(&Victim::Drain) {
            stage.scene.drain = Some(Drainer::start(&stage.scene.service));
        }
        at
    });
}
