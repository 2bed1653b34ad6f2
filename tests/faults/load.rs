//! Rows: more people than the service can carry, and services that come and go under load.

use std::time::{Duration, Instant};

use claimrush::guard::ticket::KEY_FILE_NAME;

use crate::matrix::{Row, Stage};
use crate::scene::{DURABLE, External, Scene};
use crate::support::outcome;
use crate::support::postgres::PostgresServer;
use crate::support::proxy::Weather;
use crate::support::service::Service;

/// A service that carries little, so that a few people are too many.
const SMALL: [(&str, &str); 4] = [
    ("server.threads", "1"),
    ("claim.batch_max", "32"),
    ("claim.inflight_max", "1"),
    ("claim.queue_max", "32"),
];
/// How late every piece is, each way.
const SLOW: Duration = Duration::from_millis(100);
/// What each of a crowd waits before they ask again: they are too many for the service, and leave it the machine's cores.
const CROWD_PAUSE: Duration = Duration::from_millis(50);
/// Who comes at one time, beyond everybody else: ten times what a batch carries, five times what it and the queue do.
const CROWD: usize = 320;
/// How many of them come in all.
const CROWD_PEOPLE: usize = 640;

#[test]
fn overload() {
    let row = Row::new("overload: over ten times what is carried, 320 clients ask again at once");
    row.run(Scene::beside(External::start(&DURABLE), &SMALL, &[]), |stage: &mut Stage| {
        // A batch at a time and a slow way to Redis: some 160 claims a second are carried, on any machine.
        stage.scene.proxy().set(Weather { delay: SLOW, ..Weather::default() });
        let count = |name| stage.scene.service.metric(name).expect("it answers");
        let (refused, carried) = (count("claimrush_refusals_total"), count("claimrush_claims_decided_total"));
        stage.rush.crowd_comes(CROWD_PEOPLE, CROWD, CROWD_PAUSE);
        let refused = count("claimrush_refusals_total") - refused;
        let carried = count("claimrush_claims_decided_total") - carried;
        eprintln!("{refused} refused, {carried} carried");
        assert!(refused >= 9 * carried, "ten times too much: {refused} refused, {carried} carried");
        stage.scene.proxy().heal();
        Instant::now()
    });
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

/// Another front end beside a scene's, on the same Redis, ledger and keys.
fn beside(scene: &Scene, ledger: &str) -> Service {
    let redis = format!("redis://{}", scene.proxy().address());
    let keys = scene.service.data().join(KEY_FILE_NAME);
    let keys = keys.to_str().expect("a path");
    Scene::with(&[("redis.url", redis.as_str()), ("ledger.url", ledger), ("ticket.key_file", keys)]).service
}

#[test]
fn two_front_ends_are_restarted_in_turn() {
    let scene = Scene::proxied();
    let ledger = format!("sqlite:{}", scene.service.data().join("ledger.db").display());
    let mut other = beside(&scene, &ledger);
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

#[test]
fn the_ledger_is_migrated() {
    let server = PostgresServer::start(&[]);
    let scene = Scene::beside(External::start(&DURABLE), &[("ledger.url", &server.url())], &[]);
    Row::new("the ledger is brought to a newer schema, in a rolling upgrade").run(
        scene,
        |stage: &mut Stage| {
            let at = Instant::now();
            // What the version before this one had; a service that runs does not look again, and its drain waits. Where the two
            // wait for each other, it is the service that PostgreSQL lets down: it comes again, as after any such fault.
            server.sql(
                "SET deadlock_timeout = '60s'; DROP TRIGGER posting_is_in_time ON posting; DROP FUNCTION posting_is_in_time; \
                 DROP INDEX posting_campaign; \
                 DROP TABLE rules, money_reference, campaign_end, period_balance, period, expiry, day_count, step; \
                 ALTER TABLE posting_line DROP CONSTRAINT posting_line_account_check; \
                 ALTER TABLE posting_line ADD CONSTRAINT posting_line_account_check CHECK (true); \
                 UPDATE schema_version SET version = 3",
            );
            let newer = beside(stage.scene, &server.url());
            assert_eq!(server.sql("SELECT count(*) FROM step"), "0", "it is there again");
            stage.rush.crowd().move_to(newer.address());
            stage.rush.wait_more(50);
            stage.scene.service.stop();
            stage.scene.service.restart();
            stage.move_people();
            stage.rush.wait_more(50);
            at
        },
    );
}

#[test]
fn a_lost_redis_is_made_anew_under_two_front_ends() {
    let server = PostgresServer::start(&[]);
    let scene = Scene::beside(External::start(&DURABLE), &[("ledger.url", &server.url())], &[]);
    let other = beside(&scene, &server.url());
    let row = Row::new("Redis emptied in a pause, two front ends, people press on; recovered by an operator");
    row.run(scene, |stage: &mut Stage| {
        let done = |service: &Service, args: &[&str]| {
            let (exit, out, err) = outcome(&service.command(args).output().expect("it runs"));
            assert_eq!((exit, err.as_str()), (0, ""), "{out}");
        };
        stage.rush.wait_more(50);
        // Told claims that are in no ledger are lost with Redis; so that all can be kept, the drain is let through.
        done(&other, &["campaign", "pause", "fault-campaign"]);
        stage.scene.wait_drained();
        let () = stage.scene.ask_redis(&redis::cmd("FLUSHALL"));
        for service in [&stage.scene.service, &other] {
            service.wait_unready("shard_frozen");
        }
        done(&other, &["recover", "--apply", "--accept-loss"]);
        done(&stage.scene.service, &["campaign", "resume", "fault-campaign"]);
        let at = Instant::now();
        stage.rush.wait_more(100);
        stage.rush.crowd().move_to(other.address());
        stage.rush.wait_more(100);
        stage.move_people();
        at
    });
}
