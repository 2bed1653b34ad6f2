//! A real redis-server of the test's own, on a unix socket in a temp folder.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use claimrush::config::ServiceUrl;
use claimrush::redis::pool::connect_once;
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

use super::wait_for;

/// How long a connection of a test may wait for a reply.
pub(crate) const REPLY_TIMEOUT: Duration = Duration::from_secs(20);

/// Ended with its folder when dropped.
pub(crate) struct RedisServer {
    program: String,
    process: Child,
    folder: TempDir,
}

impl RedisServer {
    /// Starts one with `settings`, each a line of redis.conf.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::start_program("redis-server", settings)
    }

    /// Starts another program that speaks the same language.
    pub(crate) fn start_program(program: &str, settings: &[&str]) -> Self {
        let folder = TempDir::new().expect("a temp folder");
        let dir = folder.path().display();
        let mut config = format!("port 0\nunixsocket {dir}/r.sock\ndir {dir}\nlogfile {dir}/redis.log\n");
        for line in settings {
            config.push_str(line);
            config.push('\n');
        }
        std::fs::write(folder.path().join("redis.conf"), config).expect("redis.conf is written");
        let process = spawn(program, folder.path());
        let mut server = Self { program: program.to_owned(), process, folder };
        server.wait_listening();
        server
    }

    /// Ends it at once, lets `between` do something to its folder, and starts it again.
    pub(crate) fn crash(&mut self, between: impl FnOnce(&Path)) {
        self.kill();
        between(self.folder.path());
        self.process = spawn(&self.program, self.folder.path());
        self.wait_listening();
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("it is our child");
        self.process.wait().expect("it is our child");
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn wait_listening(&mut self) {
        wait_for("redis-server listens", Duration::from_secs(20), || {
            let ended = self.process.try_wait().expect("it is our child").is_some();
            let log = || std::fs::read_to_string(self.folder.path().join("redis.log")).unwrap_or_default();
            assert!(!ended, "{} has ended: {}", self.program, log());
            std::os::unix::net::UnixStream::connect(self.folder.path().join("r.sock")).ok()
        });
    }

    /// Starts one that keeps everything in memory alone.
    pub(crate) fn in_memory() -> Self {
        Self::start(&["appendonly no", "save \"\""])
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> ServiceUrl {
        url_of(&self.folder.path().join("r.sock"))
    }

    /// A connection to it for a test that has no runtime.
    pub(crate) fn connect_blocking(&self) -> redis::RedisResult<redis::Connection> {
        let connection = redis::Client::open(self.url().expose())?.get_connection()?;
        connection.set_read_timeout(Some(REPLY_TIMEOUT))?;
        Ok(connection)
    }

    /// A connection to it.
    pub(crate) async fn connect(&self) -> MultiplexedConnection {
        connect_once(&self.url(), REPLY_TIMEOUT).await.expect("redis-server answers")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A data folder, gone when dropped together with a managed Redis that a failed test has left in it: that one
/// is made to outlive its parent.
pub(crate) struct ManagedFolder(TempDir);

impl ManagedFolder {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self(super::folder())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for ManagedFolder {
    fn drop(&mut self) {
        for pid in processes_in(&self.path().join("redis")) {
            kill_9(pid);
        }
    }
}

/// The processes whose working folder is `folder`.
pub(crate) fn processes_in(folder: &Path) -> Vec<u32> {
    let Ok(folder) = folder.canonicalize() else { return Vec::new() };
    let processes = std::fs::read_dir("/proc").expect("/proc is there").flatten();
    processes
        .filter(|process| std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder))
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .collect()
}

/// Ends a process at once; one that has ended already is fine.
pub(crate) fn kill_9(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid");
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

fn spawn(program: &str, folder: &Path) -> Child {
    Command::new(program)
        .arg(folder.join("redis.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server starts")
}

fn url_of(socket: &Path) -> ServiceUrl {
    ServiceUrl::new(format!("redis+unix://{}", socket.display()))
}
