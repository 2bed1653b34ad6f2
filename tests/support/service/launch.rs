//! Starting the service's process, and waiting for what it says of itself.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use claimrush::datadir::{DataDir, RunInfo};

use super::PATIENCE;
use crate::support::http::{Answer, Client};
use crate::support::{claimrush_under, wait_for};

/// Asks an admin listener whether its service is ready; nothing if nobody answers.
pub(super) fn readiness(admin: SocketAddr) -> Option<Answer> {
    Client::try_connect(admin).ok()?.try_call("GET", "/readyz", &[], b"").ok()
}

pub(super) fn variable(key: &str) -> String {
    format!("CLAIMRUSH_{}", key.replacen('.', "__", 1).to_uppercase())
}

pub(super) fn data_of(work: &Path) -> PathBuf {
    work.join("data")
}

pub(super) fn log_of(work: &Path) -> PathBuf {
    work.join("log")
}

/// Starts it by the command line `under`, if that is one.
pub(super) fn serve(
    under: &[&str],
    work: &Path,
    settings: &[(String, String)],
    flags: &[&'static str],
) -> Child {
    let log = File::options().create(true).append(true).open(log_of(work)).expect("a log file");
    claimrush_under(under, work)
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data"])
        .arg(data_of(work))
        .args(flags)
        .envs(settings.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("it starts")
}

/// Waits until this very process says where it listens, and then that it is ready.
pub(super) fn wait_ready(work: &Path, process: &mut Child) -> RunInfo {
    let log = || std::fs::read_to_string(log_of(work)).unwrap_or_default();
    let info = wait_for("the service runs", PATIENCE, || {
        let ended = process.try_wait().expect("it is our child");
        assert!(ended.is_none(), "the service has ended: {}", log());
        info_of(work, process)
    });
    wait_for("the service is ready", PATIENCE, || {
        (readiness(info.admin_listen)?.status == 200).then_some(())
    });
    info
}

/// What this very process says of itself, once it does.
pub(super) fn info_of(work: &Path, process: &Child) -> Option<RunInfo> {
    let info = DataDir::open(&data_of(work)).ok()?.run_info().ok()?;
    (info.pid == process.id()).then_some(info)
}
