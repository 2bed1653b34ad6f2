//! What each acknowledgement mode costs: the service on a Redis that does just what the mode asks for.
//!
//! Owns these Redis servers and the table of modes. All of them listen on a unix socket for the service, so that the
//! modes differ in nothing else; a primary has a loopback port for its replica too.

use std::{
    fmt::Write,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    Measurements,
    contender::Contender,
    process::Started,
    setup::{READY_WAIT, Workshop, free_address},
    table::Medians,
};

/// The connections that modes are measured at.
pub const CONNECTIONS: [usize; 2] = [256, 1_000];

/// What has happened before a claim is acknowledged: `claim.ack` of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AckMode {
    /// It stands in the memory of a Redis that writes nothing.
    Memory,
    /// Redis has synced it to disk.
    Fsync,
    /// That, and one replica has it too.
    Replica,
}

impl AckMode {
    /// All, from the least to the most.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Fsync, Self::Replica];

    /// The word of `claim.ack`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Fsync => "fsync",
            Self::Replica => "replica",
        }
    }
}

/// Where claims are kept in the end: `ledger.url` of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerStore {
    /// A file of the service's own.
    Sqlite,
    /// A server on the same machine.
    Postgres,
}

impl LedgerStore {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    /// Its name in the table.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// The Redis of one mode, with its replica if it has one; ended when dropped.
#[derive(Debug)]
pub struct AckRedis {
    mode: AckMode,
    socket: PathBuf,
    // Ended in this order: a replica that is left alone would only complain.
    replica: Option<Started>,
    primary: Started,
}

impl AckRedis {
    /// Starts what the mode asks for, in folders of their own, and waits until the replica follows.
    ///
    /// # Errors
    /// A server does not start, or the replica does not follow in time.
    pub fn start(workshop: &Workshop<'_>, mode: AckMode) -> Result<Self> {
        let listens = (mode == AckMode::Replica).then(free_address).transpose()?;
        let (mut primary, socket) = start_server(workshop, mode, "primary", |command| {
            command.arg("--port").arg(listens.map_or(0, |address| address.port()).to_string());
        })?;
        primary.wait_for(READY_WAIT, || ask::<String>(&socket, &["PING"]))?;
        let replica = listens.map(|primary| start_replica(workshop, mode, primary)).transpose()?;
        if replica.is_some() {
            // Twice: the first WAIT may have begun before the replica came, and says nothing then.
            let follows = || confirms(&socket).and_then(|()| confirms(&socket));
            primary.wait_for(READY_WAIT, follows).context("the replica does not follow")?;
        }
        Ok(Self { mode, socket, replica, primary })
    }

    /// The processes whose CPU counts.
    pub fn pids(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.primary.pid()).chain(self.replica.as_ref().map(Started::pid))
    }

    /// What the service is to be told of it, as environment variables.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CLAIMRUSH_REDIS__URL", format!("redis+unix://{}", self.socket.display())),
            ("CLAIMRUSH_CLAIM__ACK", self.mode.word().to_owned()),
        ]
    }
}

fn start_replica(workshop: &Workshop<'_>, mode: AckMode, primary: SocketAddr) -> Result<Started> {
    let (replica, _) = start_server(workshop, mode, "replica", |command| {
        command.args(["--port", "0", "--replicaof"]).arg(primary.ip().to_string());
        command.arg(primary.port().to_string());
    })?;
    Ok(replica)
}

/// Starts one server with the durability of the mode, and what `more` adds.
fn start_server(
    workshop: &Workshop<'_>,
    mode: AckMode,
    role: &str,
    more: impl FnOnce(&mut Command),
) -> Result<(Started, PathBuf)> {
    let name = format!("ack-{}-{role}", mode.word());
    let folder = workshop.path(&name);
    // Another round's leftovers would be loaded.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    // A short name: the path of a socket has little room.
    let socket = workshop.path(&format!("{}-{role}.sock", mode.word()));
    let mut command = Command::new("redis-server");
    command.arg("--unixsocket").arg(&socket).arg("--dir").arg(&folder).args(["--save", ""]);
    command.args(["--bind", "127.0.0.1", "--maxmemory-policy", "noeviction"]);
    command.args(["--repl-diskless-sync-delay", "0", "--no-appendfsync-on-rewrite", "no"]);
    match mode {
        AckMode::Memory => command.args(["--appendonly", "no"]),
        AckMode::Fsync | AckMode::Replica => command.args(["--appendonly", "yes", "--appendfsync", "always"]),
    };
    more(&mut command);
    Ok((Started::start(&name, &mut command, &workshop.log(&name))?, socket))
}

/// Whether the replica has a write that was made now, on disk where the server can tell.
fn confirms(socket: &Path) -> Option<()> {
    let mut connection = connect(socket)?;
    redis::cmd("SET").arg("in-step").arg(1).exec(&mut connection).ok()?;
    let received: u64 = redis::cmd("WAIT").arg(1).arg(200).query(&mut connection).ok()?;
    let synced = redis::cmd("WAITAOF").arg(1).arg(1).arg(200).query::<(u64, u64)>(&mut connection);
    // A server that does not know the command cannot be asked for more.
    (received == 1 && synced.map_or(1, |(_, replicas)| replicas) == 1).then_some(())
}

fn ask<T: redis::FromRedisValue>(socket: &Path, words: &[&str]) -> Option<T> {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    command.query(&mut connect(socket)?).ok()
}

fn connect(socket: &Path) -> Option<redis::Connection> {
    redis::Client::open(format!("redis+unix://{}", socket.display())).ok()?.get_connection().ok()
}

/// The modes that were measured, beside each other; nothing if none was.
///
/// # Errors
/// Never in practice: text is written to memory.
pub fn markdown(measured: &Measurements) -> Result<String> {
    let medians = Medians(&measured.samples);
    let mut out = String::new();
    let modes = CONNECTIONS.into_iter().flat_map(|connections| {
        let of = move |store| AckMode::ALL.map(|mode| (connections, mode, store));
        LedgerStore::ALL.into_iter().flat_map(of)
    });
    for (connections, mode, store) in modes {
        let rate = |mode, store| medians.rate(Contender::Ack(mode, store), connections);
        let Some(claims_per_s) = rate(mode, store) else { continue };
        if out.is_empty() {
            writeln!(
                out,
                "\n| connections | ack | ledger | claims/s | ÷ memory | ÷ fsync | ÷ SQLite | CPU a claim | p99 |"
            )?;
            writeln!(out, "| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")?;
        }
        let over = |other: Option<f64>| {
            let ratio = other.map(|other| claims_per_s / other);
            ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}"))
        };
        let of = |value| medians.of(Contender::Ack(mode, store), connections, value).unwrap_or(f64::NAN);
        writeln!(
            out,
            "| {connections} | `{}` | {} | {claims_per_s:.0} | {} | {} | {} | {:.2} µs | {:.2} ms |",
            mode.word(),
            store.word(),
            over(rate(AckMode::Memory, store)),
            over(rate(AckMode::Fsync, store)),
            over(rate(mode, LedgerStore::Sqlite)),
            of(|sample| sample.cpu_us),
            of(|sample| sample.p99_ms)
        )?;
    }
    Ok(out)
}
