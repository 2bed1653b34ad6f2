//! A real PostgreSQL server of the test's own, in a temp folder. PostgreSQL refuses to run as root, so that root
//! starts it as somebody else.

use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

/// The database that every server has.
const DATABASE: &str = "claims";
/// The login that may do everything there.
const USER: &str = "claimrush";
/// How long a server may take to answer.
const STARTED_WITHIN: Duration = Duration::from_secs(30);

/// Ended with its folder when dropped.
pub(crate) struct PostgresServer {
    programs: PathBuf,
    process: Child,
    folder: TempDir,
    settings: Vec<String>,
    /// Also the name of its socket.
    port: u16,
}

impl PostgresServer {
    /// Starts one that listens on a socket alone, with `settings` as `name=value`.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let programs = programs();
        let folder = TempDir::new().expect("a temp folder");
        if let Some((user, group)) = somebody_else() {
            chown(folder.path(), Some(user), Some(group)).expect("root gives its folder away");
        }
        let made = as_somebody_else(&programs.join("initdb"))
            .args(["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"])
            .arg("--pgdata")
            .arg(folder.path().join("data"))
            .current_dir(folder.path())
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = own_port();
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let process = spawn(&programs, folder.path(), port, &settings);
        let mut server = Self { programs, process, folder, settings, port };
        server.wait_ready();
        server.query("postgres", &format!("CREATE DATABASE {DATABASE}"));
        server
    }

    /// A standby that stands still: it has what there is now, and follows nobody.
    pub(crate) fn standby(&self) -> Self {
        let folder = TempDir::new().expect("a temp folder");
        if let Some((user, group)) = somebody_else() {
            chown(folder.path(), Some(user), Some(group)).expect("root gives its folder away");
        }
        let mut copy = as_somebody_else(&self.programs.join("pg_basebackup"));
        copy.args(["-U", USER, "--checkpoint=fast", "--no-sync", "-p", &self.port.to_string()]);
        copy.arg("-h").arg(self.folder.path()).arg("-D").arg(folder.path().join("data"));
        let copied = copy.current_dir(folder.path()).output().expect("pg_basebackup runs");
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        std::fs::write(folder.path().join("data/standby.signal"), "").expect("it is written");
        let (programs, settings, port) = (self.programs.clone(), self.settings.clone(), own_port());
        let process = spawn(&programs, folder.path(), port, &settings);
        let mut server = Self { programs, process, folder, settings, port };
        server.wait_ready();
        server
    }

    /// How a service reaches this one first, and `other` where this one does not do.
    pub(crate) fn url_before(&self, other: &Self) -> String {
        let host = |server: &Self| {
            let folder = server.folder.path().display().to_string().replace('/', "%2F");
            format!("{folder}:{}", server.port)
        };
        format!("postgres://{USER}@{},{}/{DATABASE}", host(self), host(other))
    }

    /// How a service reaches it by its socket.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{USER}@/{DATABASE}?host={}&port={}", self.folder.path().display(), self.port)
    }

    /// How a service reaches it by the network; for one that was started with `listen_addresses`.
    pub(crate) fn tcp_url(&self) -> String {
        Self::tcp_url_at(self.port)
    }

    /// The same by another port that leads to it.
    pub(crate) fn tcp_url_at(port: u16) -> String {
        format!("postgres://{USER}@localhost:{port}/{DATABASE}")
    }

    /// Where it listens, in its socket's name and on the network.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The same database, in tables of its own.
    pub(crate) fn schema_url(&self, schema: &str) -> String {
        self.sql(&format!("CREATE SCHEMA IF NOT EXISTS {schema}"));
        format!("{}&options=-c%20search_path%3D{schema}", self.url())
    }

    /// What statements print, one row a line, its columns parted by `|`.
    pub(crate) fn sql(&self, statements: &str) -> String {
        self.query(DATABASE, statements)
    }

    /// The database as `pg_dump` writes it.
    pub(crate) fn dump(&self) -> Vec<u8> {
        let mut dump = Command::new(self.programs.join("pg_dump"));
        dump.args(["--format=custom", "-U", USER, "-h"]).arg(self.folder.path());
        let dumped = dump.args(["-p", &self.port.to_string(), DATABASE]).output().expect("pg_dump runs");
        assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
        dumped.stdout
    }

    /// Puts a dump into an empty database in the place of the one that is there; nobody may be connected.
    pub(crate) fn restore(&self, dump: &[u8]) {
        self.query("postgres", &format!("DROP DATABASE {DATABASE}"));
        self.query("postgres", &format!("CREATE DATABASE {DATABASE}"));
        let file = self.folder.path().join("ledger.dump");
        std::fs::write(&file, dump).expect("it is written");
        let mut restore = Command::new(self.programs.join("pg_restore"));
        restore.args(["--no-owner", "--dbname", DATABASE, "-U", USER, "-h"]).arg(self.folder.path());
        let restored =
            restore.args(["-p", &self.port.to_string()]).arg(file).output().expect("pg_restore runs");
        assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    }

    pub(crate) fn query(&self, database: &str, statements: &str) -> String {
        let told = self.psql(database).args(["-c", statements]).output().expect("psql runs");
        assert!(told.status.success(), "{statements}: {}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8_lossy(&told.stdout).trim_end().to_owned()
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", USER, "-d", database, "-h"]);
        psql.arg(self.folder.path()).args(["-p", &self.port.to_string()]);
        psql
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it in the middle of what it does (`pg_ctl stop -m immediate`): its next start recovers.
    pub(crate) fn stop_at_once(&mut self) {
        self.end(rustix::process::Signal::QUIT);
    }

    /// Ends all of its processes as a loss of power would.
    pub(crate) fn kill(&mut self) {
        for process in self.processes() {
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
        self.process.wait().expect("it is our child");
        // A start is refused as long as one of them is still there.
        let started = Instant::now();
        while !self.processes().is_empty() {
            assert!(started.elapsed() < STARTED_WITHIN, "the server's processes do not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal to all of its processes.
    pub(crate) fn signal_all(&self, signal: rustix::process::Signal) {
        for process in self.processes() {
            let _ = rustix::process::kill_process(process, signal);
        }
    }

    fn processes(&self) -> Vec<rustix::process::Pid> {
        let data = self.folder.path().join("data").canonicalize().expect("it has its data");
        let all = std::fs::read_dir("/proc").expect("/proc is there").flatten();
        let its =
            all.filter(|process| std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == data));
        let pids = its.filter_map(|process| process.file_name().to_str()?.parse().ok());
        pids.filter_map(rustix::process::Pid::from_raw).collect()
    }

    /// Sets something, as `name=value`, from its next start on.
    pub(crate) fn set(&mut self, setting: &str) {
        self.settings.push(setting.to_owned());
    }

    /// Starts it again after it was ended.
    pub(crate) fn start_again(&mut self) {
        self.process = spawn(&self.programs, self.folder.path(), self.port, &self.settings);
        self.wait_ready();
    }

    fn end(&mut self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw);
        let _ = rustix::process::kill_process(pid.expect("it has a process"), signal);
        let started = Instant::now();
        while self.process.try_wait().expect("it is our child").is_none() {
            assert!(started.elapsed() < STARTED_WITHIN, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn wait_ready(&mut self) {
        let started = Instant::now();
        loop {
            let ready = self.psql("postgres").args(["-c", "SELECT 1"]).output().expect("psql runs");
            if ready.status.success() {
                return;
            }
            let ended = self.process.try_wait().expect("it is our child").is_some();
            assert!(!ended && started.elapsed() < STARTED_WITHIN, "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        let mut text = String::new();
        let file = std::fs::File::open(self.folder.path().join("log"));
        let _ = file.map(|mut file| file.read_to_string(&mut text));
        text
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            self.end(rustix::process::Signal::QUIT);
        }
    }
}

fn spawn(programs: &Path, folder: &Path, port: u16, settings: &[String]) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log"));
    let log = log.expect("the log opens");
    let mut command = as_somebody_else(&programs.join("postgres"));
    command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder).args(["-p", &port.to_string()]);
    command.args(["-c", "listen_addresses=", "-c", "shared_buffers=32MB"]);
    for setting in settings {
        command.args(["-c", setting]);
    }
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().expect("postgres starts")
}

/// A loopback port that is this test's own until its process ends: it is taken, so that nobody else is given it, and nobody
/// listens on it until a server does that is told to, and that may share an address with a socket that does not listen.
pub(crate) fn own_port() -> u16 {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("it is set");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    let port = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("it is bound").port();
    std::mem::forget(socket);
    port
}

/// The folder of the newest server's programs: distributions and Homebrew keep them by version, off the path.
fn programs() -> PathBuf {
    let brew = std::env::var_os("HOMEBREW_PREFIX").map(|prefix| Path::new(&prefix).join("opt"));
    let places = [Some(PathBuf::from("/usr/lib/postgresql")), brew];
    let folders = places.into_iter().flatten().filter_map(|place| std::fs::read_dir(place).ok()).flatten();
    let version = |entry: std::io::Result<std::fs::DirEntry>| -> Option<(u32, PathBuf)> {
        let entry = entry.ok()?;
        let name = entry.file_name().into_string().ok()?;
        Some((name.trim_start_matches("postgresql@").parse().ok()?, entry.path().join("bin")))
    };
    let newest = folders.filter_map(version).filter(|(_, bin)| bin.join("initdb").exists()).max();
    if let Some((_, bin)) = newest {
        return bin;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find(|folder| folder.join("initdb").exists());
    found.expect("no initdb: deploy/setup.sh test installs PostgreSQL")
}

fn as_somebody_else(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = somebody_else() {
        command.uid(user).gid(group);
    }
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C");
    command
}

/// User and group that root starts the server as; nothing for anybody but root.
fn somebody_else() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("the system has users");
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(ids("postgres").or_else(|| ids("nobody")).expect("the system has a user that is not root"))
}
