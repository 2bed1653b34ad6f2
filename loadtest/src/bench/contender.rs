//! How each contender is started.

use std::{env, fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use super::{
    ack::{self, AckMode, AckRedis, LedgerStore},
    postgres::{self, PostgresServer},
    process::Started,
    service::Service,
    setup::{READY_WAIT, RedisServer, Workshop, accepts, free_address},
};
use crate::{cli::BenchArgs, peer::pooled};

const WEBDIS_CONFIG: &str = include_str!("../../peers/webdis.json");

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Contender {
    /// The bare hyper server, measured by the harness.
    Echo,
    /// The same server, measured by wrk: the harness is not its own only witness.
    EchoByWrk,
    /// The service, granting.
    Claimrush,
    /// The service, granting, in one of its acknowledgement modes, with one of its ledgers.
    Ack(AckMode, LedgerStore),
    /// The service, answering that all is gone.
    SoldOut,
    /// One pooled checkout and one EVALSHA a claim.
    Pooled,
    /// webdis, one EVALSHA a request.
    Webdis,
    /// fastify and ioredis, one EVALSHA a request.
    Node,
}

impl Contender {
    const ALL: [Self; 7] =
        [Self::Echo, Self::EchoByWrk, Self::Claimrush, Self::SoldOut, Self::Pooled, Self::Webdis, Self::Node];

    /// The contenders that the asked rows need. Acknowledgement modes only when they are asked for.
    #[must_use]
    pub fn wanted(args: &BenchArgs) -> Vec<Self> {
        let modes =
            LedgerStore::ALL.into_iter().flat_map(|store| AckMode::ALL.map(|mode| Self::Ack(mode, store)));
        let modes = modes.filter(|mode| args.names(mode.name()));
        Self::ALL.into_iter().filter(|contender| args.wants(contender.name())).chain(modes).collect()
    }

    /// Its name, as in `--rows`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::EchoByWrk => "wrk",
            Self::Claimrush => "claimrush",
            Self::Ack(AckMode::Memory, LedgerStore::Sqlite) => "ack-memory",
            Self::Ack(AckMode::Fsync, LedgerStore::Sqlite) => "ack-fsync",
            Self::Ack(AckMode::Replica, LedgerStore::Sqlite) => "ack-replica",
            Self::Ack(AckMode::Memory, LedgerStore::Postgres) => "ack-memory-pg",
            Self::Ack(AckMode::Fsync, LedgerStore::Postgres) => "ack-fsync-pg",
            Self::Ack(AckMode::Replica, LedgerStore::Postgres) => "ack-replica-pg",
            Self::SoldOut => "sold-out",
            Self::Pooled => "pooled",
            Self::Webdis => "webdis",
            Self::Node => "node",
        }
    }

    /// The numbers of connections that it is measured at.
    #[must_use]
    pub fn connections(self) -> &'static [usize] {
        match self {
            Self::Echo | Self::Claimrush => &[256, 1_000],
            Self::Ack(..) => &ack::CONNECTIONS,
            Self::EchoByWrk | Self::SoldOut | Self::Pooled | Self::Webdis | Self::Node => &[256],
        }
    }

    /// Whether its requests may be made with the same ticket twice.
    #[must_use]
    pub fn repeats_tickets(self) -> bool {
        matches!(self, Self::Echo | Self::EchoByWrk | Self::SoldOut)
    }

    /// Why it cannot be measured here.
    #[must_use]
    pub fn obstacle(self, args: &BenchArgs) -> Option<String> {
        match self {
            Self::Echo => None,
            Self::EchoByWrk => missing_program("wrk"),
            Self::Claimrush | Self::Ack(..) | Self::SoldOut if args.service_bin.is_none() => {
                Some("no --service-bin".into())
            }
            Self::Ack(_, LedgerStore::Postgres) if !postgres::is_installed() => {
                Some("PostgreSQL is not installed".into())
            }
            Self::Claimrush | Self::Ack(..) | Self::SoldOut | Self::Pooled => missing_program("redis-server"),
            Self::Webdis => missing_program("redis-server").or_else(|| missing_program("webdis")),
            Self::Node => missing_program("redis-server").or_else(|| missing_program("node")).or_else(|| {
                let modules = args.peers.join("node/node_modules");
                (!modules.exists()).then(|| format!("no {}: run npm ci there", modules.display()))
            }),
        }
    }

    /// Starts it.
    ///
    /// # Errors
    /// It does not start, or is not ready in time.
    pub fn start(self, workshop: &Workshop<'_>, round: u32) -> Result<Stage> {
        match self {
            Self::Echo | Self::EchoByWrk => start_echo(workshop),
            Self::Claimrush | Self::SoldOut => {
                let service = Service::start(workshop, &format!("{}-{round}", self.name()), &[])?;
                Ok(Stage {
                    address: service.listen,
                    watched: service.watched(),
                    service: Some(service),
                    ..Stage::default()
                })
            }
            Self::Ack(mode, store) => start_ack(workshop, mode, store, &format!("{}-{round}", self.name())),
            Self::Pooled => start_pooled(workshop),
            Self::Webdis => start_webdis(workshop),
            Self::Node => start_node(workshop),
        }
    }
}

fn missing_program(name: &str) -> Option<String> {
    let found = env::split_paths(&env::var_os("PATH")?).any(|folder| folder.join(name).is_file());
    (!found).then(|| format!("{name} is not installed"))
}

/// A contender that is ready.
#[derive(Debug)]
pub struct Stage {
    /// Where it listens.
    pub address: SocketAddr,
    /// The path and method to use instead of the claim's.
    pub path: Option<String>,
    /// The processes whose CPU counts.
    pub watched: Vec<u32>,
    /// The service, if it is the contender.
    pub service: Option<Service>,
    /// The Redis of a per-claim peer.
    pub redis: Option<RedisServer>,
    /// The Redis of an acknowledgement mode.
    ack: Option<AckRedis>,
    /// The ledger of the service, where it is a server.
    ledger: Option<PostgresServer>,
    /// Ended before its Redis.
    server: Option<Started>,
}

impl Default for Stage {
    fn default() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            address,
            path: None,
            watched: Vec::new(),
            service: None,
            redis: None,
            ack: None,
            ledger: None,
            server: None,
        }
    }
}

impl Stage {
    /// Ends everything on it.
    ///
    /// # Errors
    /// The service did not end cleanly.
    pub fn end(self) -> Result<()> {
        drop(self.server);
        drop(self.redis);
        let ended = self.service.map_or(Ok(()), Service::end);
        drop(self.ack);
        drop(self.ledger);
        ended
    }

    fn per_claim(address: SocketAddr, server: Started, redis: RedisServer) -> Self {
        let mut watched = crate::cpu::family_of(server.pid());
        watched.push(redis.process.pid());
        Self { address, watched, redis: Some(redis), server: Some(server), ..Self::default() }
    }
}

fn start_ack(workshop: &Workshop<'_>, mode: AckMode, store: LedgerStore, name: &str) -> Result<Stage> {
    let redis = AckRedis::start(workshop, mode)?;
    let mut settings = redis.settings();
    let ledger = match store {
        LedgerStore::Sqlite => None,
        LedgerStore::Postgres => Some(PostgresServer::start(workshop)?),
    };
    settings.extend(ledger.iter().map(|ledger| ("CLAIMRUSH_LEDGER__URL", ledger.url())));
    let service = Service::start(workshop, name, &settings)?;
    let ledger_pids = ledger.iter().flat_map(|ledger| crate::cpu::family_of(ledger.pid()));
    let watched = service.watched().into_iter().chain(redis.pids()).chain(ledger_pids).collect();
    let address = service.listen;
    Ok(Stage { address, watched, service: Some(service), ack: Some(redis), ledger, ..Stage::default() })
}

fn start_echo(workshop: &Workshop<'_>) -> Result<Stage> {
    let address = free_address()?;
    let mut command = Command::new(env::current_exe()?);
    command.args(["peer", "echo", "--listen", &address.to_string()]);
    let mut server = Started::start("echo", &mut command, &workshop.log("echo"))?;
    server.wait_for(READY_WAIT, || accepts(address))?;
    Ok(Stage { address, watched: vec![server.pid()], server: Some(server), ..Stage::default() })
}

fn start_pooled(workshop: &Workshop<'_>) -> Result<Stage> {
    let (address, redis) = (free_address()?, RedisServer::start(workshop, "pooled")?);
    let mut command = Command::new(env::current_exe()?);
    command.args(["peer", "pooled", "--listen", &address.to_string(), "--redis", &redis.url()]);
    let mut server = Started::start("pooled", &mut command, &workshop.log("pooled"))?;
    server.wait_for(READY_WAIT, || accepts(address))?;
    Ok(Stage::per_claim(address, server, redis))
}

fn start_webdis(workshop: &Workshop<'_>) -> Result<Stage> {
    let (address, redis) = (free_address()?, RedisServer::start(workshop, "webdis")?);
    let mut config: serde_json::Value = serde_json::from_str(WEBDIS_CONFIG)?;
    let fields = config.as_object_mut().context("webdis.json")?;
    fields.insert("redis_host".into(), redis.socket.display().to_string().into());
    fields.insert("http_port".into(), address.port().into());
    fields.insert("logfile".into(), workshop.log("webdis-own").display().to_string().into());
    let path = workshop.path("webdis.json");
    fs::write(&path, config.to_string())?;
    let mut server = Started::start("webdis", Command::new("webdis").arg(&path), &workshop.log("webdis"))?;
    server.wait_for(READY_WAIT, || accepts(address))?;
    let keys = pooled::KEYS.map(|key| key.replace('{', "%7B").replace('}', "%7D")).join("/");
    let path = format!("/EVALSHA/{}/{}/{keys}/person-{{line}}", redis.script_sha, pooled::KEYS.len());
    Ok(Stage { path: Some(path), ..Stage::per_claim(address, server, redis) })
}

fn start_node(workshop: &Workshop<'_>) -> Result<Stage> {
    let (address, redis) = (free_address()?, RedisServer::start(workshop, "node")?);
    let script = workshop.args.peers.join("node/server.js");
    ensure!(Path::new(&script).is_file(), "no {}", script.display());
    let mut command = Command::new("node");
    command.arg(&script).env("PORT", address.port().to_string()).env("REDIS_SOCKET", &redis.socket);
    command.env("NODE_ENV", "production");
    let mut server = Started::start("node", &mut command, &workshop.log("node"))?;
    server.wait_for(READY_WAIT, || accepts(address))?;
    Ok(Stage::per_claim(address, server, redis))
}
