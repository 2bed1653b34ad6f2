//! `claimrush drain` as a process of its own.

use std::fs::File;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::Signal;

use super::disk::told_by_error;
use super::service::{PATIENCE, Service};
use super::signals::send_signal;
use super::wait_for;

/// A drain beside a service; ended when dropped.
pub(crate) struct Drainer {
    process: Child,
}

impl Drainer {
    /// Starts one and waits until it drains. One that finds Redis down says so and ends: it is started again, as
    /// an operator's supervisor would.
    pub(crate) fn start(service: &Service) -> Self {
        let log = service.data().with_file_name("drain.log");
        wait_for("a drain runs", PATIENCE, || {
            let file = File::create(&log).expect("a log file");
            let mut command = told_by_error(&service.command(&["drain"]));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
            let mut drainer = Self { process: command.spawn().expect("it starts") };
            let drains = wait_for("the drain says something", PATIENCE, || {
                let ended = drainer.process.try_wait().expect("it is our child").is_some();
                let says = std::fs::read_to_string(&log).is_ok_and(|text| text.contains(" drains "));
                (ended || says).then_some(says && !ended)
            });
            drains.then_some(drainer)
        })
    }

    /// Starts one by a command of its own, and does not wait for it.
    pub(crate) fn of(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { process: command.spawn().expect("it starts") }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("it is our child");
        self.process.wait().expect("it is our child");
    }

    /// Stops it in order: it drains what is there and ends.
    pub(crate) fn stop(mut self) -> ExitStatus {
        send_signal(self.process.id(), Signal::TERM);
        wait_for("the drain ends", PATIENCE, || self.process.try_wait().expect("it is our child"))
    }
}

impl Drop for Drainer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
