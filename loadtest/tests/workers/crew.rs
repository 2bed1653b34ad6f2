//! Workers as processes and within this one, and a job for them.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use claimrush_loadtest::{
    engine::{Job, Place, Supply},
    scenario::Arrivals,
    workers::{
        Token,
        server::{self, Offer},
    },
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;
use tokio::{net::TcpListener, runtime, sync::oneshot};

pub(crate) const TOKEN: &str = "a-token-for-tests";
pub(crate) const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";

pub(crate) fn token() -> Token {
    Token::new(TOKEN).unwrap()
}

/// Waits for a condition; a minute is more than a busy machine needs.
pub(crate) fn until(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited for a minute");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Two personas who claim from two drops with minted tickets, evenly spaced, over eight connections.
pub(crate) fn job(service: SocketAddr, rate: f64, duration: &str) -> Job {
    let scenario = format!(
        r#"
        name = "workers"
        seed = 7
        service = {{ url = "http://{service}" }}
        drop = [{{ id = "d", weight = 3 }}, {{ id = "e" }}]
        arrivals = {{ profile = "constant", rate = {rate:?}, duration = "{duration}", spacing = "even" }}
        connections = {{ count = 8, sessions_max = 64, grace = "2s" }}
        tickets = {{ source = "mint", key_file = "read already" }}
        persona = [{{ kind = "honest", weight = 4 }}, {{ kind = "double_clicker" }}]
        "#
    );
    Job {
        scenario: toml::from_str(&scenario).unwrap(),
        supply: Supply::Key { kid: "k1".into(), secret: SECRET.into(), prefix: "p-".into(), persons: None },
        trace: None,
        place: Place { first: 0, of: 1 },
        threads: 1,
    }
}

/// The same for a crowd that comes as a whole: whoever has come by the end of the schedule is still served, however busy
/// the machine is, so that a count does not depend on it.
pub(crate) fn crowd_job(service: SocketAddr, people: u64, every: Duration) -> Job {
    let every = u64::try_from(every.as_nanos()).unwrap();
    let mut job = job(service, 1.0, "1s");
    job.scenario.arrivals = Arrivals::Trace { file: "read already".into(), speed: 1.0 };
    job.trace = Some((1..=people).map(|n| n * every).collect());
    job
}

/// A file with this token, for its owner alone.
pub(crate) fn token_file(token: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{token}\n")).unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    file
}

/// The command of a worker on a free port.
pub(crate) fn command(token_file: &Path, threads: usize) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claimrush-loadtest"));
    command.args(["worker", "--listen", "127.0.0.1:0", "--threads", &threads.to_string()]);
    command.arg("--token-file").arg(token_file).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A worker process; ended with its owner.
pub(crate) struct Process {
    pub(crate) address: String,
    child: Child,
}

impl Process {
    pub(crate) fn start(threads: usize) -> Self {
        let file = token_file(TOKEN);
        let mut child = command(file.path(), threads).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("worker listening on ").and_then(|rest| rest.split(' ').next());
        Self { address: address.unwrap().to_owned(), child }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }

    /// Ends it and gives what it complained about.
    pub(crate) fn end(&mut self) -> String {
        assert!(self.terminate().success());
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A worker within this process, with a clock and a patience of the test's choice.
pub(crate) struct InProcess {
    pub(crate) address: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl InProcess {
    pub(crate) fn start(wall_clock: fn() -> Duration, let_go_after: Duration) -> Self {
        let (stop, stopped) = oneshot::channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                let offer = Offer { token: token(), threads: 1, wall_clock, let_go_after };
                let stop = async { stopped.await.unwrap_or(()) };
                server::serve(listener, offer, stop).await;
            });
            runtime.shutdown_background();
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _broken = self.thread.take().map(JoinHandle::join);
    }
}
