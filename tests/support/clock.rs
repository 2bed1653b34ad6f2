//! A clock of a test's own for a service and the Redis that it starts: `clock.c`, preloaded, and a file that the test changes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;

use claimrush::clock::Clock;
use redis::cmd;
use tempfile::TempDir;

use super::http::Client;
use super::mint::Mint;
use super::service::{PATIENCE, Service};
use super::{folder, wait_for};

/// Half the time that a ticket of tests is good.
const HALF_AN_HOUR_MS: i64 = 1_800_000;

/// How far the clock of a service and what it starts is ahead of ours.
pub(crate) struct FakeClock {
    folder: TempDir,
    ahead_ms: i64,
}

impl FakeClock {
    /// A right one.
    pub(crate) fn new() -> Self {
        let clock = Self { folder: folder(), ahead_ms: 0 };
        clock.write();
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(clock.library());
        compiler.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/clock.c"));
        let output = compiler.output().expect("a C compiler, which the build needs too");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        clock
    }

    /// What a process needs in its environment to go by it.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let paths = [("LD_PRELOAD", self.library()), ("CLOCK_AHEAD_FILE", self.file())];
        paths.map(|(name, path)| (name.to_owned(), path.to_str().expect("a path").to_owned())).to_vec()
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("clock.so")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ahead")
    }

    /// What it shows.
    pub(crate) fn now_ms(&self) -> i64 {
        Clock::System.now_ms() + self.ahead_ms
    }

    /// Moves it on by whole seconds, at least two hours, and waits until the service and its Redis show it.
    pub(crate) fn advance(&mut self, service: &Service, drop: &str, by_s: i64) {
        let redis_ms = || {
            let (seconds, micros): (i64, i64) = service.ask_redis(&cmd("TIME"));
            seconds * 1_000 + micros / 1_000
        };
        let aim_ms = redis_ms() + by_s * 1_000;
        self.ahead_ms += by_s * 1_000;
        self.write();
        wait_for("redis shows it", PATIENCE, || (redis_ms() >= aim_ms).then_some(()));
        let ticket = service.mint().ticket_from(drop, "nobody", self.now_ms() - HALF_AN_HOUR_MS);
        // 404 for a ticket that is good by the service's clock: nobody has no claim.
        wait_for("the service shows it", PATIENCE, || {
            (service.mine(drop, &ticket).status == 404).then_some(())
        });
        // What it knows of Redis' clock is as old as its last look.
        wait_for("both agree", PATIENCE, || {
            ((server_time_ms(service) - self.now_ms()).abs() < 5_000).then_some(())
        });
    }

    /// Sets it whole seconds ahead of ours, or behind, for all who go by it and all who will.
    pub(crate) fn set(&mut self, ahead_s: i64) {
        self.ahead_ms = ahead_s * 1_000;
        self.write();
    }

    /// Tickets that are good by it.
    pub(crate) fn mint(&self, service: &Service) -> Mint {
        service.mint().ahead(self.ahead_ms)
    }

    fn write(&self) {
        // In place: those who go by it have the file in their memory.
        let file = File::options().create(true).truncate(false).write(true).open(self.file());
        let seconds = (self.ahead_ms / 1_000).to_ne_bytes();
        file.and_then(|file| file.write_all_at(&seconds, 0)).expect("it is written");
    }
}

/// What a service takes for Redis' clock.
pub(crate) fn server_time_ms(service: &Service) -> i64 {
    let time = Client::connect(service.address()).call("GET", "/v1/time", &[], b"");
    time.text("server_time").parse::<jiff::Timestamp>().expect("RFC 3339").as_millisecond()
}
