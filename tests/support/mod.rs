//! How tests start things: the one way for each.

pub(crate) mod redis;

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The built binary, in an empty environment of ours and a working folder of the test's own.
pub(crate) fn claimrush(work_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claimrush"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CLAIMRUSH_") {
            command.env_remove(name);
        }
    }
    command.current_dir(work_dir);
    command
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
