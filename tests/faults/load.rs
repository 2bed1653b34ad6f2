//! Rows: more people than the service can carry, and services that come and go under load.

use std::time::Instant;

use claimrush::guard::ticket::KEY_FILE_NAME;

use crate::matrix::{Row, Stage};
use crate::scene::Scene;

/// A service that carries little, so that a few people are too many.
const SMALL: [(&str, &str); 4] = [
    ("server.threads", "1"),
    ("claim.batch_max", "32"),
    ("claim.inflight_max", "1"),
    ("claim.queue_max", "32"),
];
/// Who comes at one time, beyond everybody else: ten times what a batch carries, five times what it and the queue do.
const CROWD: usize = 320;
/// How many of them come in all.
const CROWD_PEOPLE: usize = 640;

#[test]
fn overload() {
    Row::new("overload: 320 clients, everybody without a claim asks again at once").run(
        Scene::with(&SMALL),
        |stage: &mut Stage| {
            let before = stage.scene.service.metric("claimrush_refusals_total");
            stage.rush.crowd_comes(CROWD_PEOPLE, CROWD);
            let refused = stage.scene.service.metric("claimrush_refusals_total");
            assert!(refused > before, "it was too much: {before:?}, {refused:?}");
            Instant::now()
        },
    );
}

#[test]
fn stopped_in_order_and_started_again() {
    Row::new("stopped in order and started again, three times").two_each().run(
        Scene::whole(),
        |stage: &mut Stage| {
            let mut at = Instant::now();
            for _ in 0..3 {
                at = Instant::now();
                stage.scene.service.stop();
                stage.scene.service.restart();
                stage.move_people();
                stage.rush.wait_more(50);
            }
            at
        },
    );
}

#[test]
fn two_front_ends_are_restarted_in_turn() {
    let scene = Scene::proxied();
    let data = scene.service.data();
    let ledger = format!("sqlite:{}", data.join("ledger.db").display());
    let (keys, redis) = (data.join(KEY_FILE_NAME), format!("redis://{}", scene.proxy().address()));
    let keys = keys.to_str().expect("a path");
    let settings = [("redis.url", redis.as_str()), ("ledger.url", &ledger), ("ticket.key_file", keys)];
    let mut other = Scene::with(&settings).service;
    Row::new("rolling restart of two front ends").run(scene, |stage: &mut Stage| {
        let at = Instant::now();
        stage.rush.crowd().move_to(other.address());
        stage.rush.wait_more(50);
        stage.scene.service.stop();
        stage.scene.service.restart();
        stage.move_people();
        stage.rush.wait_more(50);
        other.stop();
        other.restart();
        at
    });
}
