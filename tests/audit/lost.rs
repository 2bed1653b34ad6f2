//! A Redis that has lost what it acknowledged: the audit says how much.

use std::fs::File;
use std::path::PathBuf;

use super::{Audited, claim, wait_drained};
use crate::support::campaign::{DropFile, campaign};
use crate::support::redis::RedisServer;
use crate::support::service::Service;

/// The log that the server appends to.
fn append_log(redis: &RedisServer) -> PathBuf {
    let files = std::fs::read_dir(redis.folder().join("appendonlydir")).expect("it logs");
    let mut files = files.map(|file| file.expect("an entry").path());
    files.find(|file| file.to_string_lossy().ends_with(".incr.aof")).expect("it appends")
}

#[test]
fn a_redis_that_comes_back_behind_the_ledger_is_reported_with_numbers() {
    let mut redis = RedisServer::start(&["appendonly yes", "appendfsync no", "save \"\""]);
    let url = redis.url();
    let mut service = Service::start_with(&[("redis.url", url.expose()), ("claim.ack", "memory")], &[]);
    service.apply_ok(&campaign("a", &[DropFile::open("a-1", 40)]));
    let mut log = claim(&service, "a-1", 0, 10);
    wait_drained(&service);
    let kept = std::fs::metadata(append_log(&redis)).unwrap().len();
    log += &claim(&service, "a-1", 10, 25);
    service.stop();
    let path = service.data().join("log.jsonl");
    std::fs::write(&path, log).unwrap();
    let args = ["--claims-log", path.to_str().unwrap()];
    Audited::of(&service, &args).assert_holds();

    // What was not on disk when the machine lost power.
    let tail = append_log(&redis);
    redis.crash(|_| File::options().write(true).open(tail).unwrap().set_len(kept).unwrap());
    let audited = Audited::of(&service, &args);
    let line = "a-1: Redis is behind the ledger: 10 claims against 25, 15 are lost in Redis";
    audited.assert_broken(&["I2", "I3"], line);
    assert_eq!(audited.report["drops"][0]["accepted"], 10);
    assert_eq!(audited.report["drops"][0]["ledger_rows"], 25);

    // And one that has come back with nothing at all.
    redis.crash(|folder| std::fs::remove_dir_all(folder.join("appendonlydir")).unwrap());
    Audited::of(&service, &args).assert_broken(&["I1", "I2", "I3"], "the drop is gone from Redis");
}

#[test]
fn claims_that_redis_lost_before_they_were_drained_are_missed_by_who_saw_them() {
    let mut redis = RedisServer::start(&["appendonly yes", "appendfsync no", "save \"\""]);
    let url = redis.url();
    let settings = [("redis.url", url.expose()), ("claim.ack", "memory")];
    let mut service = Service::start_with(&settings, &["--no-drain"]);
    service.apply_ok(&campaign("a", &[DropFile::open("a-1", 40)]));
    let mut log = claim(&service, "a-1", 0, 10);
    let kept = std::fs::metadata(append_log(&redis)).unwrap().len();
    log += &claim(&service, "a-1", 10, 13);
    service.stop();
    let path = service.data().join("log.jsonl");
    std::fs::write(&path, log).unwrap();
    let tail = append_log(&redis);
    redis.crash(|_| File::options().write(true).open(tail).unwrap().set_len(kept).unwrap());
    // Redis and ledger agree with each other: only the clients know better.
    Audited::of(&service, &[]).assert_holds();
    let audited = Audited::of(&service, &["--claims-log", path.to_str().unwrap()]);
    audited.assert_broken(&["I2"], "line 11: ");
    assert!(audited.report["checks"][1]["compared"].as_str().unwrap().contains("13 claims that clients saw"));

    drop(redis);
    let (exit, out, err) = crate::support::outcome(&service.command(&["audit"]).output().unwrap());
    assert_eq!((exit, out.as_str()), (69, ""), "{err}");
}
