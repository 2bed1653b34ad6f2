//! Rows: what lies between the service and Redis is cut, slowed down or loses replies.

use std::time::{Duration, Instant};

use crate::matrix::{Row, Stage};
use crate::rush::CONNECTIONS;
use crate::scene::{DURABLE, External, Scene};
use crate::support::proxy::{Direction, Proxy, Upstream, Weather};
use crate::support::service::PATIENCE;
use crate::support::wait_for;

/// Longer than the service waits for a reply.
const LONGER_THAN_TIMEOUTS: Duration = Duration::from_millis(2_500);

/// Lets a weather last for some time; the instant at which it is over.
fn endure(stage: &Stage, weather: Weather, time: Duration) -> Instant {
    stage.scene.proxy().set(weather);
    std::thread::sleep(time);
    stage.scene.proxy().heal();
    Instant::now()
}

#[test]
fn replies_are_lost_after_the_script_ran() {
    Row::new("replies of Redis lost after the script ran").two_each().run(Scene::proxied(), |stage| {
        let hole = Weather { hole: Some(Direction::Replies), ..Weather::default() };
        let before = stage.scene.proxy().swallowed();
        let healed = endure(stage, hole, LONGER_THAN_TIMEOUTS);
        assert!(stage.scene.proxy().swallowed() > before, "replies were lost");
        healed
    });
}

#[test]
fn requests_are_lost() {
    Row::new("requests to Redis lost").run(Scene::proxied(), |stage| {
        let hole = Weather { hole: Some(Direction::Requests), ..Weather::default() };
        endure(stage, hole, LONGER_THAN_TIMEOUTS)
    });
}

#[test]
fn bytes_come_one_by_one() {
    Row::new("one byte a segment, both ways").run(Scene::proxied(), |stage| {
        stage.scene.proxy().set(Weather { sliced: true, ..Weather::default() });
        stage.rush.wait_more(300);
        stage.scene.proxy().heal();
        Instant::now()
    });
}

#[test]
fn every_piece_is_late() {
    Row::new("40 ms more each way").run(Scene::proxied(), |stage| {
        stage.scene.proxy().set(Weather { delay: Duration::from_millis(40), ..Weather::default() });
        stage.rush.wait_more(300);
        stage.scene.proxy().heal();
        Instant::now()
    });
}

#[test]
fn the_link_is_narrow() {
    Row::new("2 kB/s to and from Redis").run(Scene::proxied(), |stage| {
        endure(stage, Weather { bytes_per_second: 2_000, ..Weather::default() }, LONGER_THAN_TIMEOUTS)
    });
}

#[test]
fn connections_are_reset() {
    Row::new("connections to Redis reset, ten times").two_each().run(Scene::proxied(), |stage| {
        for _ in 0..10 {
            stage.scene.proxy().reset_all();
            stage.rush.wait_more(10);
        }
        Instant::now()
    });
}

#[test]
fn the_link_is_cut() {
    Row::new("link to Redis cut for 2.5 s").run(Scene::proxied(), |stage| {
        stage.scene.proxy().cut();
        stage.scene.service.wait_unready("redis_down");
        std::thread::sleep(LONGER_THAN_TIMEOUTS);
        stage.scene.proxy().heal();
        Instant::now()
    });
}

#[test]
fn replies_are_crossed() {
    // Two batches in flight on one connection, each with a reply of its own; small ones, so that the next does not wait, and no
    // smaller than what a slow disk needs to carry all who arrive.
    let external = External::start(&DURABLE);
    let scene = Scene::beside(external, &[("server.threads", "1"), ("claim.batch_max", "8")], &[]);
    Row::new("replies of Redis crossed").run(scene, |stage| {
        let before = stage.scene.proxy().held();
        // Long enough for the reply of the next batch, and too short for the look at all drops to give up: without that
        // nobody would be sent to Redis any more.
        stage.scene.proxy().set(Weather { crossed: Some(Duration::from_millis(100)), ..Weather::default() });
        // On a busy machine replies come together more often than not, and then they cannot be crossed.
        wait_for("a reply is seen to be another's", 5 * PATIENCE, || {
            let seen = stage.scene.service.log().contains("a batch was answered with something else");
            (seen && stage.scene.proxy().held() > before + 10).then_some(())
        });
        stage.scene.proxy().heal();
        // One that is still held back is freed with its connection.
        stage.scene.proxy().reset_all();
        Instant::now()
    });
}

#[test]
fn answers_to_people_are_lost() {
    Row::new("answers to people lost, their connections reset").two_each().run(Scene::whole(), |stage| {
        let proxy = Proxy::start(Upstream::Tcp(stage.scene.service.address()));
        stage.rush.crowd().move_to(proxy.address());
        proxy.set(Weather { hole: Some(Direction::Replies), ..Weather::default() });
        wait_for("everybody waits for an answer", PATIENCE, || {
            (proxy.connections() == CONNECTIONS).then_some(())
        });
        wait_for("answers are lost", PATIENCE, || (proxy.swallowed() > 1_000).then_some(()));
        stage.move_people();
        proxy.cut();
        Instant::now()
    });
}
