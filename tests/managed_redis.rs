//! The Redis that the service starts for itself: started, adopted, restarted, stopped, and never twice.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use claimrush::clock::Clock;
use claimrush::config::{Ack, RedisConfig};
use claimrush::datadir::{DataDir, DataLock};
use claimrush::redis::managed::{ManagedRedis, RedisState};
use claimrush::redis::pool::connect_once;
use claimrush::redis::server_check::check;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use crate::support::redis::{ManagedFolder, REPLY_TIMEOUT, kill_9, processes_in};
use crate::support::wait_for;

const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// How long a server that died may take to be there again, on a machine that is busy with other tests.
const BACK_WITHIN: Duration = Duration::from_secs(60);

fn lock(path: &Path) -> DataLock {
    DataDir::create(path).expect("a data folder").lock(&Clock::System).expect("nobody else has it")
}

async fn start(lock: &DataLock) -> ManagedRedis {
    ManagedRedis::start(lock, &RedisConfig::default()).await.expect("redis starts")
}

async fn connect(redis: &ManagedRedis) -> MultiplexedConnection {
    connect_once(redis.url(), REPLY_TIMEOUT).await.expect("redis answers")
}

/// Starts a server, writes to it, and forgets it together with everything that supervised it: as much of a
/// killed service as fits into one process. Gives its pid.
fn abandoned(path: &Path) -> u32 {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let lock = lock(path);
        let redis = start(&lock).await;
        let () = connect(&redis).await.set("kept", 7).await.expect("it takes writes");
        redis.pid().expect("it is ready")
    })
}

#[tokio::test]
async fn it_is_durable_private_and_gone_when_stopped() {
    let folder = ManagedFolder::new();
    let lock = lock(folder.path());
    let redis = start(&lock).await;
    assert!(!redis.was_adopted());
    let mut connection = connect(&redis).await;
    let facts = check(&mut connection, Ack::Fsync).await.expect("it is safe");
    assert_eq!(redis.pid(), Some(facts.pid));
    let (_, port): (String, String) =
        redis::cmd("CONFIG").arg("GET").arg("port").query_async(&mut connection).await.expect("it answers");
    assert_eq!(port, "0", "it may not be reachable over the network");
    let redis_dir = lock.dir().redis_dir();
    assert_eq!(processes_in(&redis_dir), [facts.pid]);
    let group = rustix::process::getpgid(rustix::process::Pid::from_raw(facts.pid.cast_signed()))
        .expect("it is there");
    assert_eq!(
        group.as_raw_nonzero().get(),
        facts.pid.cast_signed(),
        "a terminal's Ctrl-C must not reach it"
    );

    let mut state = redis.state();
    redis.stop(STOP_DEADLINE).await;
    assert_eq!(*state.borrow_and_update(), RedisState::Down);
    assert!(processes_in(&redis_dir).is_empty());
    assert!(!redis_dir.join("redis.sock").exists());
}

#[test]
fn what_a_killed_service_left_is_adopted_and_supervised() {
    let folder = ManagedFolder::new();
    let pid = abandoned(folder.path());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let lock = lock(folder.path());
        let redis = start(&lock).await;
        assert!(redis.was_adopted());
        assert_eq!(redis.pid(), Some(pid));
        assert_eq!(processes_in(&lock.dir().redis_dir()), [pid]);

        let mut state = redis.state();
        kill_9(pid);
        let again =
            state.wait_for(|state| matches!(state, RedisState::Ready { pid: now, .. } if *now != pid));
        tokio::time::timeout(BACK_WITHIN, again).await.expect("in time").expect("it is supervised");
        let kept: u32 = connect(&redis).await.get("kept").await.expect("it answers");
        assert_eq!(kept, 7);
        redis.stop(STOP_DEADLINE).await;
        assert!(processes_in(&lock.dir().redis_dir()).is_empty());
    });
}

#[test]
fn an_adopted_server_is_stopped_too() {
    let folder = ManagedFolder::new();
    let pid = abandoned(folder.path());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let lock = lock(folder.path());
        let redis = start(&lock).await;
        assert_eq!(redis.pid(), Some(pid));
        redis.stop(STOP_DEADLINE).await;
        wait_for("the adopted server ends", STOP_DEADLINE, || {
            processes_in(&lock.dir().redis_dir()).is_empty().then_some(())
        });
    });
}

#[test]
fn one_that_was_told_to_stop_and_has_not_begun_to_is_kept() {
    let folder = ManagedFolder::new();
    let runtime = || tokio::runtime::Runtime::new().expect("a runtime");
    let pid = runtime().block_on(async {
        let lock = lock(folder.path());
        let redis = start(&lock).await;
        let mut connection = connect(&redis).await;
        let () = connection.set("kept", 7).await.expect("it takes writes");
        // Once a second it looks whether it was told to stop, and answers until then.
        let seldom = redis::cmd("CONFIG").arg("SET").arg("hz").arg(1).arg("dynamic-hz").arg("no").clone();
        let () = seldom.query_async(&mut connection).await.expect("it takes settings");
        redis.pid().expect("it is ready")
    });
    let looks = |text: String| {
        let field = text.lines().find_map(|line| line.strip_prefix("uptime_in_seconds:"));
        field.and_then(|seconds| seconds.trim().parse::<u64>().ok()).expect("a number")
    };
    let process = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid");
    runtime().block_on(async {
        let lock = lock(folder.path());
        rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("it is there");
        let redis = start(&lock).await;
        let mut connection = connect(&redis).await;
        let uptime = redis::cmd("INFO").arg("server").clone();
        let first = looks(uptime.query_async(&mut connection).await.expect("it answers"));
        // Whatever was ready is still there after it has looked twice.
        let deadline = Instant::now() + STOP_DEADLINE;
        while looks(uptime.query_async(&mut connection).await.expect("it is kept")) < first + 2 {
            assert!(Instant::now() < deadline, "its clock stands");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let kept: u32 = connection.get("kept").await.expect("it answers");
        assert_eq!(kept, 7);
        redis.stop(STOP_DEADLINE).await;
        assert!(processes_in(&lock.dir().redis_dir()).is_empty(), "it can be stopped all the same");
    });
}

#[tokio::test]
async fn a_start_that_is_given_up_midway_never_makes_two() {
    let folder = ManagedFolder::new();
    let lock = lock(folder.path());
    for _ in 0..5 {
        // Dropped at its first wait: the process has just been spawned and does not listen yet.
        let config = RedisConfig::default();
        let attempt = ManagedRedis::start(&lock, &config);
        assert!(tokio::time::timeout(Duration::ZERO, attempt).await.is_err());
    }
    let redis = start(&lock).await;
    assert!(redis.was_adopted());
    assert_eq!(processes_in(&lock.dir().redis_dir()), [redis.pid().expect("it is ready")]);
    redis.stop(STOP_DEADLINE).await;
}

#[tokio::test]
async fn a_killed_server_is_back_within_seconds_with_its_data() {
    let folder = ManagedFolder::new();
    let lock = lock(folder.path());
    let redis = start(&lock).await;
    let mut state = redis.state();
    for round in 1..=3_u32 {
        let () = connect(&redis).await.set("round", round).await.expect("it takes writes");
        let pid = redis.pid().expect("it is ready");
        kill_9(pid);
        let again =
            state.wait_for(|state| matches!(state, RedisState::Ready { pid: now, .. } if *now != pid));
        tokio::time::timeout(BACK_WITHIN, again).await.expect("in time").expect("it is supervised");
        let kept: u32 = connect(&redis).await.get("round").await.expect("it answers");
        assert_eq!(kept, round);
        assert_eq!(processes_in(&lock.dir().redis_dir()).len(), 1);
    }
    redis.stop(STOP_DEADLINE).await;
}

#[tokio::test]
async fn what_grew_is_written_anew_when_all_is_quiet() {
    let folder = ManagedFolder::new();
    let lock = lock(folder.path());
    let redis = start(&lock).await;
    let mut connection = connect(&redis).await;
    // The same key again and again: forty megabytes to be read at the next start, of which one counts.
    for _ in 0..40 {
        let () = connection.set("k", vec![b'x'; 1 << 20]).await.expect("it takes writes");
    }
    let give_up_at = Instant::now() + BACK_WITHIN;
    loop {
        let info: String =
            redis::cmd("INFO").arg("persistence").query_async(&mut connection).await.expect("it answers");
        let size = info.lines().find_map(|line| line.strip_prefix("aof_current_size:")).expect("it tells");
        if size.trim().parse::<u64>().expect("a number") < 2 << 20 {
            break;
        }
        assert!(Instant::now() < give_up_at, "nobody has written it anew: {info}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(connection.strlen::<_, usize>("k").await, Ok(1 << 20));
    redis.stop(STOP_DEADLINE).await;
}

#[tokio::test]
async fn the_rewriting_child_of_a_killed_server_does_not_hold_its_place() {
    let folder = ManagedFolder::new();
    let lock = lock(folder.path());
    let redis = start(&lock).await;
    let mut connection = connect(&redis).await;
    for key in 0..1_000 {
        let () = connection.set(key, "x").await.expect("it takes writes");
    }
    // A tenth of a second for each key: the child would outlive this test many times over.
    let slow = redis::cmd("CONFIG").arg("SET").arg("rdb-key-save-delay").arg(100_000).clone();
    let () = slow.query_async(&mut connection).await.expect("it takes settings");
    let _: String = redis::cmd("BGREWRITEAOF").query_async(&mut connection).await.expect("it forks");
    let redis_dir = lock.dir().redis_dir();
    wait_for("the rewriting child", STOP_DEADLINE, || (processes_in(&redis_dir).len() == 2).then_some(()));

    let mut state = redis.state();
    let pid = redis.pid().expect("it is ready");
    kill_9(pid);
    let again = state.wait_for(|state| matches!(state, RedisState::Ready { pid: now, .. } if *now != pid));
    tokio::time::timeout(BACK_WITHIN, again).await.expect("in time").expect("it is supervised");
    assert_eq!(processes_in(&redis_dir), [redis.pid().expect("it is ready")]);
    let size: u32 = redis::cmd("DBSIZE").query_async(&mut connect(&redis).await).await.expect("it answers");
    assert_eq!(size, 1_000);
    redis.stop(STOP_DEADLINE).await;
}

#[tokio::test]
async fn a_server_that_cannot_come_back_is_reported_down_and_can_be_given_up() {
    let folder = ManagedFolder::new();
    let lock = lock(folder.path());
    let redis = start(&lock).await;
    let manifest = lock.dir().redis_dir().join("appendonlydir/appendonly.aof.manifest");
    std::fs::write(&manifest, "damaged").expect("the manifest is there");
    let mut state = redis.state();
    kill_9(redis.pid().expect("it is ready"));
    for expected in [RedisState::Down, RedisState::Starting, RedisState::Down] {
        let change = state.wait_for(|state| *state == expected);
        tokio::time::timeout(BACK_WITHIN, change).await.expect("in time").expect("it is supervised");
    }
    redis.stop(STOP_DEADLINE).await;
    assert!(processes_in(&lock.dir().redis_dir()).is_empty());
}

#[tokio::test]
async fn a_failed_start_says_what_redis_said() {
    let folder = ManagedFolder::new();
    let lock = lock(folder.path());
    let aof = lock.dir().redis_dir().join("appendonlydir");
    std::fs::create_dir_all(&aof).expect("the folder is made");
    set_private(&lock.dir().redis_dir());
    std::fs::write(aof.join("appendonly.aof.manifest"), "damaged").expect("it is written");
    let error = ManagedRedis::start(&lock, &RedisConfig::default()).await.expect_err("it cannot load this");
    let line = error.to_string();
    assert!(line.starts_with("redis: ended while starting; its log ends with: "), "{line}");
    assert!(line.contains("manifest"), "{line}");
    assert!(processes_in(&lock.dir().redis_dir()).is_empty());
}

#[tokio::test]
async fn a_program_that_never_comes_to_its_log_is_heard_too() {
    let folder = ManagedFolder::new();
    let lock = lock(folder.path());
    // There is a log of an earlier run, which says nothing of this one.
    start(&lock).await.stop(STOP_DEADLINE).await;
    let said = "redis-server: error while loading shared libraries";
    let broken = script(folder.path(), &format!("echo '{said}' >&2; exit 127"));
    let config = RedisConfig { server_bin: broken, ..RedisConfig::default() };
    let error = ManagedRedis::start(&lock, &config).await.expect_err("it is broken");
    assert_eq!(error.to_string(), format!("redis: ended while starting; its log ends with: {said}"));
}

/// A program that is not Redis.
fn script(folder: &Path, does: &str) -> PathBuf {
    let path = folder.join("not-redis");
    std::fs::write(&path, format!("#!/bin/sh\n{does}\n")).expect("it is written");
    set_private(&path);
    path
}

fn set_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).expect("it is ours");
}

#[tokio::test]
async fn a_missing_program_says_how_to_get_it() {
    let folder = ManagedFolder::new();
    let lock = lock(folder.path());
    let config = RedisConfig { server_bin: PathBuf::from("no-such-redis"), ..RedisConfig::default() };
    let error = ManagedRedis::start(&lock, &config).await.expect_err("there is none");
    assert_eq!(
        error.to_string(),
        "redis: \"no-such-redis\" was not found: install Redis 7.0 or newer (deploy/setup.sh does it), or set redis.url"
    );
}

#[tokio::test]
async fn a_program_that_may_not_be_run_says_so() {
    let folder = ManagedFolder::new();
    let lock = lock(folder.path());
    let server_bin = folder.path().join("not-a-program");
    std::fs::write(&server_bin, "").expect("it is written");
    let config = RedisConfig { server_bin: server_bin.clone(), ..RedisConfig::default() };
    let line = ManagedRedis::start(&lock, &config).await.expect_err("it is no program").to_string();
    let expected = format!("redis: {server_bin:?} cannot be started: Permission denied");
    assert!(line.starts_with(&expected), "{line}");
}

#[tokio::test]
async fn a_deep_folder_with_odd_letters_works() {
    let folder = ManagedFolder::new();
    let deep = folder.path().join("a \"quoted\" \\ name, 50%? #1 é").join("x".repeat(120));
    assert!(deep.as_os_str().as_bytes().len() > 107);
    let lock = lock(&deep);
    let redis = start(&lock).await;
    let () = connect(&redis).await.set("kept", 7).await.expect("it takes writes");
    assert_eq!(processes_in(&lock.dir().redis_dir()).len(), 1);
    let socket = redis.url().expose().trim_start_matches("redis+unix://").to_owned();
    redis.stop(STOP_DEADLINE).await;
    assert!(
        !Path::new(&socket).parent().expect("it has a folder").exists(),
        "the short folder is left behind"
    );
}

#[tokio::test]
async fn odd_letters_in_a_shallow_folder_reach_the_socket() {
    let folder = ManagedFolder::new();
    let lock = lock(&folder.path().join("50%? #1 \"é"));
    let redis = start(&lock).await;
    let () = connect(&redis).await.set("kept", 7).await.expect("it takes writes");
    assert!(lock.dir().redis_dir().join("redis.sock").exists());
    redis.stop(STOP_DEADLINE).await;
}
