//! A primary and its replica, both with what `ack = "replica"` needs.

use std::process::{Command, Stdio};

use redis::{Commands, FromRedisValue, RedisResult};

use super::postgres::own_port;
use super::redis::RedisServer;
use super::service::PATIENCE;
use super::wait_for;

/// What both are set to.
const SAFE: [&str; 5] =
    ["bind 127.0.0.1", "appendonly yes", "appendfsync always", "save \"\"", "repl-diskless-sync-delay 0"];

/// The programs to try: redis-server, and valkey-server where it is installed, which has `WAITAOF` where an older
/// redis-server has not.
pub(crate) fn programs() -> Vec<&'static str> {
    let runs = |program: &&str| {
        let mut look = Command::new(program);
        look.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        look.status().is_ok_and(|status| status.success())
    };
    let mut programs = vec!["redis-server"];
    programs.extend(Some("valkey-server").filter(runs));
    programs
}

/// Two servers, ended when dropped.
pub(crate) struct Replicated {
    pub(crate) primary: RedisServer,
    pub(crate) replica: RedisServer,
    /// Whether replicas are waited for until they have synced to disk.
    pub(crate) has_waitaof: bool,
}

impl Replicated {
    /// Starts both and waits until the replica has confirmed a write, on disk where the server can tell.
    pub(crate) fn start(program: &str) -> Self {
        let both = Self::start_with(program, &[]);
        let wait = if both.has_waitaof { "WAITAOF" } else { "WAIT" };
        eprintln!("{program}: replicas are waited for with {wait}");
        both.wait_in_step();
        both
    }

    /// Starts both, with further settings of the replica's, and waits for nothing.
    pub(crate) fn start_with(program: &str, replica_settings: &[&str]) -> Self {
        let port = own_port();
        let listens = format!("port {port}");
        let primary = RedisServer::start_program(program, &[&SAFE[..], &[&listens]].concat());
        let follows = format!("replicaof 127.0.0.1 {port}");
        let settings = [&SAFE[..], &[&follows], replica_settings].concat();
        let replica = RedisServer::start_program(program, &settings);
        let has_waitaof = ask::<(u64, u64)>(&primary, &["WAITAOF", "0", "0", "1"]).is_ok();
        Self { primary, replica, has_waitaof }
    }

    /// Waits until the replica confirms writes, on disk where the server can tell.
    pub(crate) fn wait_in_step(&self) {
        self.wait_confirmed(self.has_waitaof);
    }

    /// Waits until the replica has received a write, and synced it if that is asked for.
    pub(crate) fn wait_confirmed(&self, synced: bool) {
        wait_for("the replica confirms a write", PATIENCE, || {
            // Twice: the first WAIT may have begun before the replica came, and says nothing then.
            self.try_confirm(synced)?;
            self.try_confirm(synced)
        });
    }

    fn try_confirm(&self, synced: bool) -> Option<()> {
        let mut connection = self.primary.connect_blocking().ok()?;
        let () = connection.set("in-step", 1).ok()?;
        // The first makes the replica sync, the second tells.
        let received: u64 = redis::cmd("WAIT").arg(1).arg(200).query(&mut connection).ok()?;
        let mut waitaof = redis::cmd("WAITAOF");
        let waitaof = waitaof.arg(1).arg(1).arg(200);
        let confirmed =
            received == 1 && (!synced || waitaof.query::<(u64, u64)>(&mut connection).ok()?.1 == 1);
        confirmed.then_some(())
    }

    /// Makes the replica a primary.
    pub(crate) fn promote(&self) {
        ask::<()>(&self.replica, &["REPLICAOF", "NO", "ONE"]).expect("the replica answers");
    }
}

/// Asks a server over a connection of its own.
pub(crate) fn ask<T: FromRedisValue>(server: &RedisServer, words: &[&str]) -> RedisResult<T> {
    let mut connection = server.connect_blocking()?;
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    command.query(&mut connection)
}
