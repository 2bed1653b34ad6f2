//! Whoever reads the log, by a pipe, stands still or goes away: the service serves on, stops in order, and tells what was lost.

use std::io::{PipeReader, Read, pipe};
use std::net::SocketAddr;
use std::process::{Child, ExitStatus, Stdio};

use claimrush::datadir::{DataDir, RunInfo};
use rustix::process::Signal;

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::Client;
use crate::support::redis::kill_9;
use crate::support::service::{PATIENCE, Service};
use crate::support::signals::send_signal;
use crate::support::wait_for;

/// A pipe takes 64 KiB; a line of a decision has more than 150 bytes.
const CLAIMS: usize = 800;

/// A service that logs every decision into a pipe, on the folder of one that was stopped.
struct Piped {
    folder: Service,
    process: Child,
    info: RunInfo,
}

impl Piped {
    fn start() -> (Self, PipeReader) {
        let settings = [("log.decisions", "all"), ("log.format", "json"), ("server.threads", "2")];
        let mut folder = Service::start_with(&settings, &[]);
        folder.apply_ok(&campaign("c", &[DropFile::open("d", 5)]));
        folder.stop();
        let (reader, writer) = pipe().unwrap();
        let mut command =
            folder.command(&["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer).spawn().unwrap();
        let mut piped = Self { info: crate::support::run_info(process.id(), 1), folder, process };
        piped.info = wait_for("the service runs", PATIENCE, || piped.info_now());
        wait_for("it is ready", PATIENCE, || (piped.ask("/readyz")? == "ready").then_some(()));
        (piped, reader)
    }

    fn info_now(&self) -> Option<RunInfo> {
        let info = DataDir::open(&self.folder.data()).ok()?.run_info().ok()?;
        (info.pid == self.process.id()).then_some(info)
    }

    fn address(&self) -> SocketAddr {
        self.info.listen
    }

    /// What the admin listener says; "ready" if that is all.
    fn ask(&self, path: &str) -> Option<String> {
        let answer =
            Client::try_connect(self.info.admin_listen).ok()?.try_call("GET", path, &[], b"").ok()?;
        let text = String::from_utf8(answer.body).ok()?;
        Some(if text.contains("\"ready\":true") { "ready".to_owned() } else { text })
    }

    fn lines_lost(&self) -> u64 {
        let text = self.ask("/metrics").expect("it answers");
        let lost = text.lines().find_map(|line| line.strip_prefix("claimrush_log_lines_lost_total "));
        lost.expect("there is the metric").parse().unwrap()
    }

    /// Claims in a drop that there is, of people who have no ticket: refused, each with a line.
    fn knock(&self) {
        let mut client = Client::connect(self.address());
        for _ in 0..CLAIMS {
            let answer = client.try_call("POST", "/v1/drops/d/claims", &[], b"");
            assert_eq!(answer.expect("it answers").status, 401);
        }
    }

    fn stop(&mut self) -> ExitStatus {
        send_signal(self.process.id(), Signal::TERM);
        wait_for("the service ends", PATIENCE, || self.process.try_wait().unwrap())
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_reader_of_the_log_that_stands_still_holds_nothing_up() {
    let (mut piped, mut reader) = Piped::start();
    piped.knock();
    let ticket = piped.folder.ticket("d", "ann");
    let mut client = Client::connect(piped.address());
    assert_eq!(client.claim("d", &ticket).status, 201);
    assert_eq!(piped.lines_lost(), 0, "what a pipe does not take waits");
    // It reads again: nothing is missing.
    let read = std::thread::spawn(move || {
        let mut log = String::new();
        reader.read_to_string(&mut log).map(|_| log)
    });
    assert!(piped.stop().success());
    let log = read.join().unwrap().unwrap();
    let spoilt = log.lines().find(|line| serde_json::from_str::<serde_json::Value>(line).is_err());
    assert_eq!(spoilt, None, "one object a line");
    let decided = log.lines().filter(|line| line.contains("\"decided\"")).count();
    assert_eq!(decided, CLAIMS + 1);
    assert!(log.lines().last().is_some_and(|line| line.contains("redis has stopped")), "to the last line");
}

#[test]
fn a_reader_of_the_log_that_never_reads_again_does_not_keep_the_service_from_stopping() {
    let (mut piped, reader) = Piped::start();
    piped.knock();
    assert!(piped.stop().success());
    drop(reader);
}

#[test]
fn a_reader_of_the_log_that_has_gone_takes_nothing_with_it() {
    let (mut piped, reader) = Piped::start();
    drop(reader);
    piped.knock();
    let redis_pid = piped.info.redis_pid.expect("it has a Redis");
    kill_9(redis_pid);
    wait_for("Redis is started again", PATIENCE, || {
        piped.info_now().is_some_and(|info| info.redis_pid != Some(redis_pid)).then_some(())
    });
    wait_for("it is ready again", PATIENCE, || (piped.ask("/readyz")? == "ready").then_some(()));
    let ticket = piped.folder.ticket("d", "ann");
    assert_eq!(Client::connect(piped.address()).claim("d", &ticket).status, 201);
    wait_for("it is told", PATIENCE, || (piped.lines_lost() > CLAIMS as u64).then_some(()));
    assert!(piped.stop().success());
}
