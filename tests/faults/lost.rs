//! Rows: Redis loses what it had. Whatever it lost, it must not sell what the ledger has given away.

use std::fs::{self, OpenOptions};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use claimrush::domain::ids::{DropId, Shard};
use claimrush::redis::keys;
use rand::RngExt;
use redis::cmd;

use crate::checker;
use crate::controls::caught;
use crate::history::PERSON_MARK;
use crate::matrix::{After, DROP, Row, Stage};
use crate::scene::Scene;
use crate::support::crowd::Wish;

/// The file that Redis appends to.
pub(crate) fn append_only_file(redis: &Path) -> PathBuf {
    let files = fs::read_dir(redis.join("appendonlydir")).expect("a folder").flatten();
    let mut found: Vec<_> =
        files.map(|file| file.path()).filter(|path| path.to_string_lossy().ends_with(".incr.aof")).collect();
    found.sort();
    found.pop().expect("an append-only file")
}

/// Cuts so many bytes off the end of a file.
pub(crate) fn cut(path: &Path, bytes: u64) {
    let file = OpenOptions::new().write(true).open(path).expect("it opens");
    let length = file.metadata().expect("it is there").len();
    file.set_len(length.saturating_sub(bytes)).expect("it is cut");
}

/// Nobody gets anything from a frozen shard, and readiness says why.
fn assert_frozen(after: &mut After) {
    let scene = &after.scene;
    scene.service.wait_unready("shard_frozen");
    let Wish { person, .. } = after.history.new_wish();
    let answer = scene.service.claim(DROP, &scene.service.ticket(DROP, &person));
    assert_eq!(answer.status, 503, "{}", answer.code());
}

/// Everybody asks again, all is drained, and every promise holds.
fn assert_kept(after: &mut After) {
    after.everybody_asks_again();
    let broken = after.broken();
    assert!(broken.is_empty(), "broken:\n{}", broken.join("\n"));
}

#[test]
fn everything_is_flushed() {
    Row::new("FLUSHALL").observe(
        Scene::whole,
        |stage: &mut Stage| {
            let () = stage.scene.ask_redis(&cmd("FLUSHALL"));
            stage.scene.service.wait_unready("shard_frozen");
        },
        |(), after| {
            assert_frozen(after);
            after.scene.service.kill();
            assert_eq!(
                after.scene.service.restart_to_judge().as_deref(),
                Some("shard_frozen"),
                "after a restart too"
            );
            assert_frozen(after);
            let key = keys::drop(Shard::FIRST, &DropId::new(DROP).expect("an id"));
            assert!(!after.scene.ask_redis::<bool>(cmd("HEXISTS").arg(key).arg("seq")), "nothing is made up");
            let recover = ["recover", "--apply", "--accept-loss"];
            let recovered = after.scene.service.command(&recover).output().expect("it runs");
            assert!(recovered.status.success(), "{recovered:?}");
            "frozen, nothing sold; recovered by an operator".to_owned()
        },
    );
}

/// Stops the whole, cuts the append-only file, starts again; sells only if nothing is missing.
fn tail_is_cut(name: &'static str, bytes: RangeInclusive<u64>) {
    Row::new(name).observe(
        Scene::whole,
        |stage: &mut Stage| stage.random.random_range(bytes.clone()),
        |cut_bytes, after| {
            after.everybody_asks_again();
            let scene = &mut *after.scene;
            let rows = checker::rows_with_ids(scene, DROP).len();
            let redis = scene.service.redis_dir();
            scene.service.stop();
            cut(&append_only_file(&redis), cut_bytes);
            let reason = scene.service.restart_to_judge();
            assert_eq!(reason, None, "the stop was an orderly one, which the ledger knows");
            let [_, seq, _, epoch] = scene.numbers(DROP).expect("it is there");
            if epoch == 1 {
                assert_eq!(usize::try_from(seq).ok(), Some(rows), "Redis has what the ledger has");
            }
            assert_kept(after);
            if epoch == 1 { "held" } else { "made anew from the ledger; held" }.to_owned()
        },
    );
}

#[test]
fn a_few_bytes_of_the_tail_are_cut() {
    tail_is_cut("append-only file: 1 to 40 bytes cut off its end", 1..=40);
}

#[test]
fn much_of_the_tail_is_cut() {
    let name = "append-only file: 2,000 to 20,000 bytes cut off its end";
    tail_is_cut(name, 2_000..=20_000);
}

#[test]
fn a_byte_in_the_middle_is_flipped() {
    Row::new("append-only file: a byte flipped in the middle").observe(
        Scene::whole,
        |_: &mut Stage| {},
        |(), after| {
            after.everybody_asks_again();
            let scene = &mut *after.scene;
            let path = append_only_file(&scene.service.redis_dir());
            scene.service.stop();
            let good = fs::read(&path).expect("it is read");
            let middle = good.len() / 2;
            // The first byte of a command's form, not of somebody's name.
            let at = middle
                + good[middle..].windows(3).position(|bytes| bytes == b"\r\n$").expect("a command")
                + 2;
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, bad).expect("it is written");
            let (exit, line) = scene.service.restart_in_vain();
            assert_eq!(exit, Some(69), "{line}");
            assert!(line.contains("Bad file format"), "it names the cause: {line}");
            fs::write(&path, good).expect("it is written");
            scene.service.restart();
            assert_kept(after);
            "refused to start; held once mended".to_owned()
        },
    );
}

#[test]
fn a_byte_of_a_name_is_flipped() {
    Row::new("append-only file: a byte of a holder's name flipped").observe(
        Scene::whole,
        |_: &mut Stage| {},
        |(), after| {
            after.everybody_asks_again();
            let scene = &mut *after.scene;
            let path = append_only_file(&scene.service.redis_dir());
            scene.service.stop();
            let mut bytes = fs::read(&path).expect("it is read");
            // A whole word of the protocol, as a holder has one; in the journal a name is part of a text.
            let name = format!("\r\n{PERSON_MARK}-");
            let at = bytes.windows(name.len()).position(|found| found == name.as_bytes()).expect("a holder");
            bytes[at + 2] ^= 1;
            fs::write(&path, bytes).expect("it is written");
            // Redis keeps no checksum of its file, and the numbers are all there.
            scene.service.restart();
            caught(after, &["I2"]) + " by the audit"
        },
    );
}

#[test]
fn redis_is_killed_while_it_rewrites_its_file() {
    Row::new("kill -9 of Redis during BGREWRITEAOF").run(Scene::whole(), |stage: &mut Stage| {
        // Keys that take the rewriting child twenty milliseconds each: ten seconds.
        let fill = "for n = 1, 500 do redis.call('SET', 'filling:' .. n, n) end return 1";
        let _: u32 = stage.scene.ask_redis(cmd("EVAL").arg(fill).arg(0));
        let () = stage.scene.ask_redis(cmd("CONFIG").arg("SET").arg("rdb-key-save-delay").arg(20_000));
        let _: String = stage.scene.ask_redis(&cmd("BGREWRITEAOF"));
        std::thread::sleep(Duration::from_millis(stage.random.random_range(0..400)));
        let info: String = stage.scene.ask_redis(cmd("INFO").arg("persistence"));
        assert!(info.contains("aof_rewrite_in_progress:1"), "it is being rewritten");
        let at = Instant::now();
        stage.scene.kill_redis();
        at
    });
}
