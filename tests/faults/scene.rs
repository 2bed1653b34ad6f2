//! The processes of a row.

use std::time::Duration;

use claimrush::config::ServiceUrl;
use claimrush::domain::ids::{DropId, Shard};
use claimrush::redis::keys;
use redis::{Cmd, FromRedisValue, cmd};

use crate::support::clock::FakeClock;
use crate::support::drainer::Drainer;
use crate::support::postgres::PostgresServer;
use crate::support::proxy::{Proxy, Upstream};
use crate::support::redis::{RedisServer, kill_9, processes_in};
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

/// People who are sent away by a fault come back at once, and must not be held up for it.
const SETTINGS: [(&str, &str); 2] = [("limits.person_per_second", "1000"), ("limits.person_burst", "1000")];
/// An external Redis as the service asks for it.
pub(crate) const DURABLE: [&str; 5] = [
    "appendonly yes",
    "appendfsync always",
    "no-appendfsync-on-rewrite no",
    "maxmemory-policy noeviction",
    "save \"\"",
];

/// A service, what it needs, and what stands beside it.
pub(crate) struct Scene {
    pub(crate) service: Service,
    /// A drain of its own, where the service has none.
    pub(crate) drain: Option<Drainer>,
    /// Redis behind a proxy, where the service has not started it itself.
    pub(crate) external: Option<External>,
    /// PostgreSQL behind a proxy, where the ledger is there.
    pub(crate) ledger: Option<Postgres>,
}

/// A PostgreSQL server of the test's own, reached through a proxy.
pub(crate) struct Postgres {
    pub(crate) proxy: Proxy,
    pub(crate) server: PostgresServer,
}

/// A Redis of the test's own, reached through a proxy.
pub(crate) struct External {
    pub(crate) proxy: Proxy,
    pub(crate) server: RedisServer,
}

impl External {
    /// Starts Redis with these settings and a proxy before it.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let server = RedisServer::start(settings);
        let proxy = Proxy::start(Upstream::Unix(server.folder().join("r.sock")));
        Self { proxy, server }
    }
}

impl Scene {
    /// A service with its own Redis and its own drain.
    pub(crate) fn whole() -> Self {
        Self::with(&[])
    }

    /// The same with further settings.
    pub(crate) fn with(settings: &[(&str, &str)]) -> Self {
        let service = Service::start_with(&[&SETTINGS[..], settings].concat(), &[]);
        Self { service, drain: None, external: None, ledger: None }
    }

    /// A service with its own Redis, and a drain as a process of its own.
    pub(crate) fn with_drain() -> Self {
        let service = Service::start_with(&SETTINGS, &["--no-drain"]);
        let drain = Some(Drainer::start(&service));
        Self { service, drain, external: None, ledger: None }
    }

    /// A service with its own Redis, and its ledger in PostgreSQL.
    pub(crate) fn with_postgres() -> Self {
        let server = PostgresServer::start(&["listen_addresses=localhost"]);
        let proxy = Proxy::start(Upstream::Tcp(([127, 0, 0, 1], server.port()).into()));
        let url = PostgresServer::tcp_url_at(proxy.address().port());
        Self { ledger: Some(Postgres { proxy, server }), ..Self::with(&[("ledger.url", &url)]) }
    }

    /// A service whose Redis is reached through a proxy.
    pub(crate) fn proxied() -> Self {
        Self::beside(External::start(&DURABLE), &[], &[])
    }

    /// A service beside a Redis, with further settings and flags.
    pub(crate) fn beside(external: External, settings: &[(&str, &str)], flags: &[&'static str]) -> Self {
        let url = format!("redis://{}", external.proxy.address());
        let settings = [&SETTINGS[..], &[("redis.url", url.as_str())], settings].concat();
        let service = Service::start_with(&settings, flags);
        Self { service, drain: None, external: Some(external), ledger: None }
    }

    /// A service beside a Redis, which alone goes by this clock.
    pub(crate) fn with_clock(clock: &FakeClock) -> Self {
        let external = External::start(&DURABLE);
        let url = format!("redis://{}", external.proxy.address());
        let settings = [&SETTINGS[..], &[("redis.url", url.as_str())]].concat();
        let service = Service::start_in(clock.environment(), &settings, &[]);
        Self { service, drain: None, external: Some(external), ledger: None }
    }

    /// Redis' process.
    pub(crate) fn redis_pid(&self) -> u32 {
        let pid = || match &self.external {
            Some(external) => processes_in(external.server.folder()).first().copied(),
            None => self.service.try_redis_pid(),
        };
        wait_for("redis runs", PATIENCE, pid)
    }

    /// Kills Redis; the service starts its own one again.
    pub(crate) fn kill_redis(&self) {
        kill_9(self.redis_pid());
    }

    /// The proxy before Redis.
    pub(crate) fn proxy(&self) -> &Proxy {
        &self.external.as_ref().expect("a Redis behind a proxy").proxy
    }

    /// Asks Redis, around any proxy, as soon as it answers.
    pub(crate) fn ask_redis<T: FromRedisValue>(&self, command: &Cmd) -> T {
        match &self.external {
            None => self.service.ask_redis(command),
            Some(external) => wait_for("redis answers", PATIENCE, || ask(&external.server.url(), command)),
        }
    }

    /// What the drain of its own has logged so far.
    pub(crate) fn drain_log(&self) -> String {
        std::fs::read_to_string(self.service.data().with_file_name("drain.log")).unwrap_or_default()
    }

    /// What Redis has logged so far.
    pub(crate) fn redis_log(&self) -> String {
        let folder = match &self.external {
            Some(external) => external.server.folder().to_owned(),
            None => self.service.redis_dir(),
        };
        std::fs::read_to_string(folder.join("redis.log")).unwrap_or_default()
    }

    /// How many entries the journal has.
    pub(crate) fn journal_length(&self) -> u64 {
        self.ask_redis(cmd("XLEN").arg(keys::journal(Shard::FIRST)))
    }

    /// Stock, number of the last claim, units that went back, and the epoch, as Redis has them.
    pub(crate) fn numbers(&self, drop: &str) -> Option<[i64; 4]> {
        let key = keys::drop(Shard::FIRST, &DropId::new(drop).expect("an id"));
        let found: Vec<Option<i64>> =
            self.ask_redis(cmd("HMGET").arg(key).arg("stock").arg("seq").arg("returned").arg("epoch"));
        let found: Option<Vec<i64>> = found.into_iter().collect();
        found?.try_into().ok()
    }

    /// Waits until the ledger has all of the journal.
    pub(crate) fn wait_drained(&self) {
        wait_for("the journal is drained", PATIENCE, || (self.journal_length() == 0).then_some(()));
    }
}

fn ask<T: FromRedisValue>(url: &ServiceUrl, command: &Cmd) -> Option<T> {
    let mut connection = redis::Client::open(url.expose()).ok()?.get_connection().ok()?;
    connection.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    command.query(&mut connection).ok()
}
