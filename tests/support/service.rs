//! The built service as a process of its own, in a folder of its own, driven over its sockets.

mod launch;

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use ::redis::{Cmd, FromRedisValue, cmd};
use claimrush::datadir::RunInfo;
use claimrush::domain::ids::{DropId, Shard};
use claimrush::guard::ticket::{KEY_FILE_NAME, KeyFile};
use rustix::process::Signal;

use self::launch::{data_of, info_of, log_of, readiness, serve, variable, wait_ready};
use super::http::{Answer, Client, bearer, claims_path};
use super::mint::Mint;
use super::redis::{kill_9, processes_in};
use super::signals::{Frozen, send_signal};
use super::{claimrush, folder, outcome, run_info, wait_for};
use tempfile::TempDir;

/// How long a service may take to start, to stop, or to come to a state that a test waits for, on a machine
/// that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A service, its data folder and its Redis; all gone when dropped.
pub(crate) struct Service {
    work: TempDir,
    settings: Vec<(String, String)>,
    /// Further environment of the service alone, not of other commands on its folder.
    environment: Vec<(String, String)>,
    flags: Vec<&'static str>,
    /// The command line that starts the service's, if any.
    under: &'static [&'static str],
    process: Child,
    info: RunInfo,
}

impl Service {
    /// Starts one with the defaults.
    pub(crate) fn start() -> Self {
        Self::start_with(&[], &[])
    }

    /// Starts one with config keys, as in `("claim.queue_max", "1")`, and flags of `serve`.
    pub(crate) fn start_with(settings: &[(&str, &str)], flags: &[&'static str]) -> Self {
        Self::start_in(Vec::new(), settings, flags)
    }

    /// The same with further environment for the service's process.
    pub(crate) fn start_in(
        environment: Vec<(String, String)>,
        settings: &[(&str, &str)],
        flags: &[&'static str],
    ) -> Self {
        Self::start_whole(&[], environment, settings, flags, |_| {})
    }

    /// Starts one with the defaults on a data folder that `fill` fills.
    pub(crate) fn start_on(fill: impl FnOnce(&Path)) -> Self {
        Self::start_whole(&[], Vec::new(), &[], &[], fill)
    }

    /// Starts one with config keys by another program that becomes it, as `nohup` does.
    pub(crate) fn start_under(under: &'static [&'static str], settings: &[(&str, &str)]) -> Self {
        Self::start_whole(under, Vec::new(), settings, &[], |_| {})
    }

    fn start_whole(
        under: &'static [&'static str],
        environment: Vec<(String, String)>,
        settings: &[(&str, &str)],
        flags: &[&'static str],
        fill: impl FnOnce(&Path),
    ) -> Self {
        let work = folder();
        fill(&data_of(work.path()));
        let settings: Vec<_> =
            settings.iter().map(|(key, value)| (variable(key), (*value).to_owned())).collect();
        let process = serve(under, work.path(), &[&settings[..], &environment].concat(), flags);
        // Owned before it is waited for, so that it ends with a test that fails here.
        let info = run_info(process.id(), 1);
        let mut service = Self { work, settings, environment, flags: flags.to_vec(), under, process, info };
        service.info = wait_ready(service.work.path(), &mut service.process);
        service
    }

    /// Starts it again on the same folder with other flags, after its process has ended.
    pub(crate) fn restart_with(&mut self, flags: &[&'static str]) {
        self.flags = flags.to_vec();
        self.restart();
    }

    /// Starts it again on the same folder, after its process has ended.
    pub(crate) fn restart(&mut self) {
        self.process = self.serve_with(&[]);
        self.info = wait_ready(self.work.path(), &mut self.process);
    }

    /// Starts it again on the same folder without one of its settings, after its process has ended.
    pub(crate) fn restart_without(&mut self, key: &str) {
        self.settings.retain(|(known, _)| *known != variable(key));
        self.restart();
    }

    /// Starts it again on the same folder, and waits until it says whether it is ready: the reason, if it is not.
    pub(crate) fn restart_to_judge(&mut self) -> Option<String> {
        self.process = self.serve_with(&[]);
        let (info, answer) = wait_for("the service says how it is", PATIENCE, || {
            let info = info_of(self.work.path(), &self.process)?;
            readiness(info.admin_listen).map(|answer| (info, answer))
        });
        self.info = info;
        (answer.status != 200).then(|| answer.text("reason"))
    }

    /// Starts it again on the same folder, where it cannot: exit code and the last line that it says.
    pub(crate) fn restart_in_vain(&mut self) -> (Option<i32>, String) {
        self.process = self.serve_with(&[]);
        let status = self.wait_end();
        (status.code(), self.log().lines().last().unwrap_or_default().to_owned())
    }

    /// Starts it again on the same folder with this fail point, and waits until that kills it, before or after it
    /// is ready. `meanwhile` is called over and over while it is ready, or frozen.
    pub(crate) fn restart_until_killed(&mut self, failpoint: &str, mut meanwhile: impl FnMut(&Self)) {
        self.process = self.serve_with(&[("FAILPOINT".to_owned(), failpoint.to_owned())]);
        let ended = wait_for(&format!("{failpoint} kills the service"), PATIENCE, || {
            let ended = self.process.try_wait().expect("it is our child");
            if ended.is_none()
                && let Some(info) = info_of(self.work.path(), &self.process)
                && readiness(info.admin_listen)
                    .is_some_and(|answer| answer.status == 200 || answer.text("reason") == "shard_frozen")
            {
                self.info = info;
                meanwhile(self);
            }
            ended
        });
        assert_eq!(ended.signal(), Some(Signal::KILL.as_raw()), "{failpoint}: {}", self.log());
    }

    fn serve_with(&self, more: &[(String, String)]) -> Child {
        let settings = [&self.settings[..], &self.environment, more].concat();
        serve(self.under, self.work.path(), &settings, &self.flags)
    }

    /// The public listener.
    pub(crate) fn address(&self) -> SocketAddr {
        self.info.listen
    }

    /// The admin listener.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.info.admin_listen
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        data_of(self.work.path())
    }

    /// Its Redis' folder.
    pub(crate) fn redis_dir(&self) -> PathBuf {
        self.data().join("redis")
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Another subcommand of the binary on the same data folder, with the same settings.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = claimrush(self.work.path());
        command.envs(self.settings.iter().cloned()).args(args).arg("--data").arg(self.data());
        command
    }

    /// Runs `campaign …`: exit code, standard output and standard error.
    pub(crate) fn campaign(&self, args: &[&str]) -> (i32, String, String) {
        outcome(&self.command(&["campaign"]).args(args).output().expect("it runs"))
    }

    /// Writes a campaign file and applies it.
    pub(crate) fn apply(&self, text: &str) -> (i32, String, String) {
        std::fs::write(self.work.path().join("c.toml"), text).expect("it is written");
        self.campaign(&["apply", "c.toml"])
    }

    /// Applies a campaign file that is good.
    pub(crate) fn apply_ok(&self, text: &str) -> String {
        let (exit, out, err) = self.apply(text);
        assert_eq!((exit, err.as_str()), (0, ""), "{out}");
        out
    }

    /// Mints tickets with the service's own key.
    pub(crate) fn mint(&self) -> Mint {
        Mint::new(&KeyFile::load_or_create(&self.data().join(KEY_FILE_NAME)).expect("a key file"))
    }

    /// A ticket of the service's own.
    pub(crate) fn ticket(&self, drop: &str, person: &str) -> String {
        self.mint().ticket(drop, person)
    }

    /// A claim on a connection of its own.
    pub(crate) fn claim(&self, drop: &str, ticket: &str) -> Answer {
        Client::connect(self.address()).claim(drop, ticket)
    }

    /// What the ticket's person holds, asked on a connection of its own.
    pub(crate) fn mine(&self, drop: &str, ticket: &str) -> Answer {
        let path = format!("{}/mine", claims_path(drop));
        Client::connect(self.address()).call("GET", &path, &[("authorization", &bearer(ticket))], b"")
    }

    /// How a drop stands.
    pub(crate) fn drop_state(&self, drop: &str) -> Answer {
        Client::connect(self.address()).call("GET", &format!("/v1/drops/{drop}"), &[], b"")
    }

    /// Waits until a drop is in a state.
    pub(crate) fn wait_state(&self, drop: &str, state: &str) {
        wait_for(&format!("{drop} is {state}"), PATIENCE, || {
            (self.drop_state(drop).text("state") == state).then_some(())
        });
    }

    /// Asks the admin listener for its readiness.
    pub(crate) fn readiness(&self) -> Option<Answer> {
        readiness(self.admin_address())
    }

    /// Waits until the service says that it is not ready, for this reason.
    pub(crate) fn wait_unready(&self, reason: &str) {
        wait_for(&format!("unready: {reason}"), PATIENCE, || {
            let answer = self.readiness()?;
            (answer.status == 503 && answer.text("reason") == reason).then_some(())
        });
    }

    /// Waits until the service says that it is ready.
    pub(crate) fn wait_ready(&self) {
        wait_for("ready", PATIENCE, || (self.readiness()?.status == 200).then_some(()));
    }

    /// A metric that counts, all its series added up; nothing if the service does not answer.
    pub(crate) fn metric(&self, name: &str) -> Option<u64> {
        self.series(name)?.into_iter().reduce(|sum, value| sum + value)
    }

    /// A metric that measures, all its series added up; nothing if the service does not answer.
    pub(crate) fn gauge(&self, name: &str) -> Option<f64> {
        self.series(name)?.into_iter().reduce(|sum, value| sum + value)
    }

    /// The series of a metric whose values are of this kind.
    fn series<T: std::str::FromStr>(&self, name: &str) -> Option<Vec<T>> {
        let answer =
            Client::try_connect(self.admin_address()).ok()?.try_call("GET", "/metrics", &[], b"").ok()?;
        let text = String::from_utf8(answer.body).expect("metrics are text");
        let series = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']))?;
            rest.rsplit(' ').next()?.parse::<T>().ok()
        });
        Some(series.collect())
    }

    /// Waits until the gauge of open public connections, which is set once a second, shows this many.
    pub(crate) fn wait_connections(&self, count: u64) {
        wait_for(&format!("{count} connections"), PATIENCE, || {
            (self.metric("claimrush_connections")? == count).then_some(())
        });
    }

    /// Waits until it has read every byte that its clients have sent.
    pub(crate) fn wait_all_read(&self) {
        // Of each socket, by proc(5): local address and port, peer, state (01: established), bytes to send:to read.
        let local = format!(":{:04X}", self.address().port());
        let unread = |line: &str| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let [_, ours, peer, state, queues, ..] = fields.as_slice() else { return false };
            let here = ours.ends_with(&local) && !queues.ends_with(":00000000");
            *state == "01" && (here || peer.ends_with(&local) && !queues.starts_with("00000000:"))
        };
        wait_for("all is read", PATIENCE, || {
            let sockets = std::fs::read_to_string("/proc/net/tcp").expect("linux has it");
            (!sockets.lines().skip(1).any(unread)).then_some(())
        });
    }

    /// A connection to its Redis.
    pub(crate) fn redis(&self) -> ::redis::Connection {
        wait_for("redis listens", PATIENCE, || self.try_redis())
    }

    /// Asks its Redis, as soon as it answers: it may be about to start again.
    pub(crate) fn ask_redis<T: FromRedisValue>(&self, command: &Cmd) -> T {
        wait_for("redis answers", PATIENCE, || command.query(&mut self.try_redis()?).ok())
    }

    fn try_redis(&self) -> Option<::redis::Connection> {
        let client = ::redis::Client::open(self.info.redis_url.expose()).expect("a URL");
        let connection = client.get_connection().ok()?;
        connection.set_read_timeout(Some(PATIENCE)).ok()?;
        Some(connection)
    }

    /// Its Redis' process.
    pub(crate) fn redis_pid(&self) -> u32 {
        self.try_redis_pid().expect("redis runs")
    }

    /// Its Redis' process, if there is one.
    pub(crate) fn try_redis_pid(&self) -> Option<u32> {
        processes_in(&self.redis_dir()).first().copied()
    }

    /// Stops its Redis from doing anything, until the guard is dropped.
    pub(crate) fn freeze_redis(&self) -> Frozen {
        Frozen::freeze(self.redis_pid())
    }

    /// How many entries the journal has.
    pub(crate) fn journal_length(&self) -> u64 {
        self.ask_redis(cmd("XLEN").arg(claimrush::redis::keys::journal(Shard::FIRST)))
    }

    /// A drop's stock as Redis has it.
    pub(crate) fn redis_stock_left(&self, drop: &str) -> u64 {
        let drop = DropId::new(drop).expect("an id");
        self.ask_redis(cmd("HGET").arg(claimrush::redis::keys::drop(Shard::FIRST, &drop)).arg("stock"))
    }

    /// Sends a signal to the service.
    pub(crate) fn signal(&self, signal: Signal) {
        send_signal(self.pid(), signal);
    }

    /// Ends the service as a crash would: at once, its Redis left alone.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it is our child");
    }

    /// Waits until the service ends by itself.
    pub(crate) fn wait_end(&mut self) -> ExitStatus {
        let process = &mut self.process;
        let log = log_of(self.work.path());
        wait_for(&format!("the service ends ({})", log.display()), PATIENCE, || {
            process.try_wait().expect("it is our child")
        })
    }

    /// Stops the service in order.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait_end();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// What the service has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(log_of(self.work.path())).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // The service first, or it would start its Redis again. All of it fails only for what has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
        for pid in processes_in(&self.redis_dir()) {
            kill_9(pid);
        }
        if std::thread::panicking() {
            eprintln!("--- the service's log ---\n{}", self.log());
        }
    }
}
