//! Signals to processes that a test has started.

use rustix::process::{Pid, Signal, kill_process};

use super::service::PATIENCE;
use super::wait_for;

/// A stopped process; it goes on when this is dropped.
pub(crate) struct Frozen(u32);

impl Frozen {
    /// Stops a process, and waits until it stands still.
    pub(crate) fn freeze(pid: u32) -> Self {
        send_signal(pid, Signal::STOP);
        let stat = format!("/proc/{pid}/stat");
        wait_for("the process stands still", PATIENCE, || {
            let stat = std::fs::read_to_string(&stat).ok()?;
            stat.rsplit(')').next()?.trim_start().starts_with('T').then_some(())
        });
        Self(pid)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = kill_process(pid_of(self.0), Signal::CONT);
    }
}

/// Sends a signal to a process that is there.
pub(crate) fn send_signal(pid: u32, signal: Signal) {
    kill_process(pid_of(pid), signal).expect("the process is there");
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed()).expect("a pid")
}
