//! How tests start things: the one way for each.

pub(crate) mod campaign;
pub(crate) mod clock;
pub(crate) mod crowd;
pub(crate) mod dashboards;
pub(crate) mod disk;
pub(crate) mod drainer;
pub(crate) mod http;
pub(crate) mod ledger;
pub(crate) mod merchants;
pub(crate) mod mint;
pub(crate) mod mmdb;
pub(crate) mod postgres;
pub(crate) mod prometheus;
pub(crate) mod promql;
pub(crate) mod proxy;
pub(crate) mod redis;
pub(crate) mod replicated;
pub(crate) mod service;
pub(crate) mod signals;
pub(crate) mod stand_in;

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use claimrush::config::ServiceUrl;
use claimrush::datadir::RunInfo;
use tempfile::TempDir;

/// The built binary, in an empty environment of ours and a working folder of the test's own.
pub(crate) fn claimrush(work_dir: &Path) -> Command {
    claimrush_under(&[], work_dir)
}

/// The same, started by this command line, if it is one.
pub(crate) fn claimrush_under(under: &[&str], work_dir: &Path) -> Command {
    let line = [under, &[env!("CARGO_BIN_EXE_claimrush")]].concat();
    let (program, arguments) = line.split_first().expect("the binary at the least");
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CLAIMRUSH_") {
            command.env_remove(name);
        }
    }
    command.current_dir(work_dir);
    command
}

/// A folder of the test's own, gone when dropped.
pub(crate) fn folder() -> TempDir {
    TempDir::new().expect("a temp folder")
}

/// What a service of this pid would say of itself; nothing listens there but what the test starts.
pub(crate) fn run_info(pid: u32, admin_port: u16) -> RunInfo {
    RunInfo {
        version: "0.1.0".to_owned(),
        pid,
        listen: ([127, 0, 0, 1], 1).into(),
        admin_listen: ([127, 0, 0, 1], admin_port).into(),
        redis_url: ServiceUrl::new("redis://:s3cret@cache"),
        redis_pid: None,
        ledger_url: ServiceUrl::new("sqlite:ledger.db"),
        started_at: "2023-11-20T02:00:00.000Z".to_owned(),
    }
}

/// Exit code, standard output and standard error of a run.
pub(crate) fn outcome(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("output is text");
    (output.status.code().expect("it exits"), text(&output.stdout), text(&output.stderr))
}

/// Waits until `condition` gives something; fails, naming `what`, after `deadline`.
pub(crate) fn wait_for<T>(what: &str, deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(started.elapsed() < deadline, "{what}: not within {deadline:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
