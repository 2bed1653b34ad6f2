//! Rows: Redis is there and does something unusual.

use std::time::{Duration, Instant};

use redis::cmd;

use crate::matrix::{Row, Stage};
use crate::scene::Scene;

/// How long the long script runs: longer than `busy-reply-threshold`, and than the service waits for a reply.
const SCRIPT_RUNS: Duration = Duration::from_millis(2_500);

#[test]
fn scripts_are_flushed() {
    Row::new("SCRIPT FLUSH, ten times").two_each().run(Scene::whole(), |stage: &mut Stage| {
        for _ in 0..10 {
            let () = stage.scene.ask_redis(cmd("SCRIPT").arg("FLUSH"));
            stage.rush.wait_more(10);
        }
        Instant::now()
    });
}

#[test]
fn redis_restarts_with_an_empty_script_cache() {
    Row::new("external Redis killed and started again without scripts").run(Scene::proxied(), |stage| {
        let at = Instant::now();
        stage.scene.external.as_mut().expect("an external Redis").server.crash(|_| {});
        at
    });
}

#[test]
fn a_script_is_busy() {
    Row::new("BUSY: another client's script runs for 2.5 s").run(Scene::proxied(), |stage: &mut Stage| {
        let () = stage.scene.ask_redis(cmd("CONFIG").arg("SET").arg("busy-reply-threshold").arg(100));
        let script = "local from = redis.call('TIME') local ms repeat local now = redis.call('TIME') \
                      ms = (now[1] - from[1]) * 1000 + (now[2] - from[2]) / 1000 until ms >= tonumber(ARGV[1]) \
                      return 'done'";
        let done: String =
            stage.scene.ask_redis(cmd("EVAL").arg(script).arg(0).arg(SCRIPT_RUNS.as_millis().to_string()));
        assert_eq!(done, "done");
        Instant::now()
    });
}
