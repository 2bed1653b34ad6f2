//! A full disk, for one process: its files may not grow beyond a size until that is lifted.
//!
//! The kernel also sends SIGXFSZ for such a write, which a full disk does not; so the process has to be started with that
//! signal ignored.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// The same command, for which a file that may not grow is an error and no signal.
pub(crate) fn told_by_error(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

/// A program in `folder` that is redis-server, told by an error as well.
pub(crate) fn redis_told_by_error(folder: &Path) -> PathBuf {
    let program = folder.join("redis-told-by-error");
    std::fs::write(&program, "#!/bin/sh\ntrap \"\" XFSZ\nexec redis-server \"$@\"\n").expect("it is written");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("it is set");
    program
}

/// Lets no file of the process grow beyond so many bytes; `None` lifts it.
pub(crate) fn limit_files(pid: u32, bytes: Option<u64>) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(Some(pid), Resource::Fsize, limit).expect("the process is there");
}
