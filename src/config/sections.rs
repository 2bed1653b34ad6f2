//! The keys, section by section, with their defaults.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::desk::DeskConfig;
use super::guard::{GuardConfig, LimitsConfig, TicketConfig};
use super::page::{DemoConfig, PageConfig};
use super::{
    Ack, AuditConfig, BackofficeConfig, HoldsConfig, LogFormat, LogLevel, LoggedDecisions, ServiceUrl,
    VoucherConfig,
};
use crate::limits;
use crate::telemetry::logging::{Format, Logging};

/// Everything that a deployment may set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[server]`: the listeners and their bounds.
    pub server: ServerConfig,
    /// `[data]`: the folder that holds everything local.
    pub data: DataConfig,
    /// `[redis]`: where claims are decided.
    pub redis: RedisConfig,
    /// `[ledger]`: where claims are kept.
    pub ledger: LedgerConfig,
    /// `[claim]`: batches, queues, and what an acknowledgement is worth.
    pub claim: ClaimConfig,
    /// `[guard]`: what is known of addresses.
    pub guard: GuardConfig,
    /// `[limits]`: how often one person or address may ask.
    pub limits: LimitsConfig,
    /// `[drain]`: from the journal to the ledger.
    pub drain: DrainConfig,
    /// `[journal]`: how much of it may wait for the ledger.
    pub journal: JournalConfig,
    /// `[ticket]`: the keys that tickets are checked with.
    pub ticket: TicketConfig,
    /// `[desk]`: who may get a ticket here.
    pub desk: DeskConfig,
    /// `[voucher]`: what holders show at the till.
    pub voucher: VoucherConfig,
    /// `[holds]`: units that are set aside until they are paid for.
    pub holds: HoldsConfig,
    /// `[page]`: the claim page.
    pub page: PageConfig,
    /// `[demo]`: whether anybody may be anybody.
    pub demo: DemoConfig,
    /// `[backoffice]`: how staff work together.
    pub backoffice: BackofficeConfig,
    /// `[audit]`: where the head of the audit chain is published.
    pub audit: AuditConfig,
    /// `[log]`: what is logged, and how.
    pub log: LogConfig,
    /// `[trace]`: where spans go.
    pub trace: TraceConfig,
}

/// The listeners and their bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// The public listener's address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The admin listener's address; port 0 takes a free one.
    pub admin_listen: SocketAddr,
    /// Threads that serve claims, each with its own listener, batcher and lane; 0 for one per core.
    pub threads: usize,
    /// Connections held by the public listener, over all threads.
    pub max_connections: usize,
    /// How many of them one address (IPv6: one /64) may have that is no trusted proxy's; 0 for a quarter.
    pub max_connections_per_address: usize,
    /// How long a client may take to send a request's headers.
    pub header_timeout_ms: u64,
    /// How long a kept-alive connection may stay without a request.
    pub idle_timeout_ms: u64,
    /// How long a client may take to send a request's body, or to take a reply.
    pub body_timeout_ms: u64,
    /// How long a stopping service may take to finish what it has accepted.
    pub shutdown_deadline_ms: u64,
    /// Networks whose word on client addresses (`X-Forwarded-For`) is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose pages may call the public listener, as in `https://claim.example`.
    pub allowed_origins: Vec<String>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            listen: SocketAddr::new(loopback, 8080),
            admin_listen: SocketAddr::new(loopback, 9090),
            threads: 0,
            max_connections: limits::CONNECTIONS_DEFAULT,
            max_connections_per_address: 0,
            header_timeout_ms: 5_000,
            idle_timeout_ms: 60_000,
            body_timeout_ms: 5_000,
            shutdown_deadline_ms: 10_000,
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
        }
    }
}

impl ServerConfig {
    /// Threads that serve claims: as set, or one per core.
    #[must_use]
    pub fn thread_count(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            set => set,
        }
    }

    /// Connections that one address may have of those that are `held`: as set, or its share.
    #[must_use]
    pub fn address_connections(&self, held: usize) -> usize {
        match self.max_connections_per_address {
            0 => held.div_ceil(limits::ADDRESS_CONNECTIONS_SHARE),
            set => set,
        }
    }

    /// [`Self::header_timeout_ms`] as a duration.
    #[must_use]
    pub fn header_timeout(&self) -> Duration {
        Duration::from_millis(self.header_timeout_ms)
    }

    /// [`Self::idle_timeout_ms`] as a duration.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    /// [`Self::body_timeout_ms`] as a duration.
    #[must_use]
    pub fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }

    /// [`Self::shutdown_deadline_ms`] as a duration.
    #[must_use]
    pub fn shutdown_deadline(&self) -> Duration {
        Duration::from_millis(self.shutdown_deadline_ms)
    }
}

/// The folder that holds everything local.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The data folder; made if missing, readable by its owner alone.
    pub dir: PathBuf,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { dir: PathBuf::from("./claimrush-data") }
    }
}

/// Where claims are decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// `redis://[user:password@]host:port` or `redis+unix:///path`; empty for a server of the service's own.
    pub url: ServiceUrl,
    /// A file that holds the URL, in place of `url`.
    pub url_file: PathBuf,
    /// The program that is started when `url` is empty.
    pub server_bin: PathBuf,
    /// How long Redis may take over one call before its reply counts as lost.
    pub response_timeout_ms: u64,
    /// Replicas that must have a claim before it is acknowledged; for `claim.ack = "replica"` alone.
    pub replicas: u32,
    /// How long one batch may wait for them.
    pub replica_wait_ms: u64,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: ServiceUrl::default(),
            url_file: PathBuf::new(),
            server_bin: PathBuf::from("redis-server"),
            response_timeout_ms: millis(limits::REDIS_RESPONSE_DEFAULT),
            replicas: limits::REPLICAS_DEFAULT,
            replica_wait_ms: millis(limits::REPLICA_WAIT_DEFAULT),
        }
    }
}

impl RedisConfig {
    /// Whether the service starts a Redis of its own.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.url.is_empty()
    }

    /// [`Self::response_timeout_ms`] as a duration.
    #[must_use]
    pub fn response_timeout(&self) -> Duration {
        Duration::from_millis(self.response_timeout_ms)
    }

    /// [`Self::replica_wait_ms`] as a duration.
    #[must_use]
    pub fn replica_wait(&self) -> Duration {
        Duration::from_millis(self.replica_wait_ms)
    }
}

/// Where claims are kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerConfig {
    /// `sqlite:PATH` or `postgres://user@host/database`; empty for `ledger.db` in the data folder.
    pub url: ServiceUrl,
    /// A file that holds the URL, in place of `url`.
    pub url_file: PathBuf,
    /// Certificates (PEM) that vouch for a PostgreSQL server; empty for those of the system.
    pub ca_file: PathBuf,
}

impl LedgerConfig {
    /// Whether the URL is one of PostgreSQL.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        let url = self.url.expose();
        url.starts_with("postgres://") || url.starts_with("postgresql://")
    }

    /// Whether it is kept in the data folder.
    #[must_use]
    pub fn is_in_data_dir(&self) -> bool {
        self.url.is_empty()
    }

    /// [`Self::ca_file`], where it is set.
    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        (!self.ca_file.as_os_str().is_empty()).then_some(&self.ca_file)
    }

    /// The SQLite file: as the URL says, or `ledger.db` in `data_dir`.
    #[must_use]
    pub fn sqlite_path(&self, data_dir: &Path) -> PathBuf {
        match self.url.expose().strip_prefix("sqlite:") {
            Some(path) => PathBuf::from(path.strip_prefix("//").unwrap_or(path)),
            None => data_dir.join("ledger.db"),
        }
    }
}

/// Batches, queues, and what an acknowledgement is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimConfig {
    /// What must have happened before a claim is acknowledged.
    pub ack: Ack,
    /// Claims in one script call.
    pub batch_max: usize,
    /// Batches in flight on one lane.
    pub inflight_max: usize,
    /// Claims waiting on one thread before the next is refused as `overloaded`.
    pub queue_max: usize,
    /// How long a claim may wait before it is refused unsent.
    pub queue_wait_ms: u64,
}

impl Default for ClaimConfig {
    fn default() -> Self {
        Self {
            ack: Ack::Fsync,
            batch_max: limits::BATCH_CLAIMS_MAX,
            inflight_max: limits::INFLIGHT_BATCHES_DEFAULT,
            queue_max: limits::QUEUE_CLAIMS_DEFAULT,
            queue_wait_ms: millis(limits::QUEUE_WAIT_DEFAULT),
        }
    }
}

impl ClaimConfig {
    /// [`Self::queue_wait_ms`] as a duration.
    #[must_use]
    pub fn queue_wait(&self) -> Duration {
        Duration::from_millis(self.queue_wait_ms)
    }
}

/// From the journal to the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainConfig {
    /// Whether `serve` drains; `claimrush drain` does it as a process of its own.
    pub enabled: bool,
    /// How long entries are gathered for one ledger transaction.
    pub commit_interval_ms: u64,
    /// Claims in one ledger transaction.
    pub group_max: usize,
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            commit_interval_ms: millis(limits::DRAIN_COMMIT_INTERVAL),
            group_max: limits::DRAIN_GROUP_CLAIMS_MAX,
        }
    }
}

impl DrainConfig {
    /// [`Self::commit_interval_ms`] as a duration.
    #[must_use]
    pub fn commit_interval(&self) -> Duration {
        Duration::from_millis(self.commit_interval_ms)
    }
}

/// How much of the journal may wait for the ledger before new claims are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalConfig {
    /// Entries; each stands for a batch of claims.
    pub entries_max: u64,
    /// Bytes.
    pub bytes_max: u64,
    /// Percent of Redis' `maxmemory`, whatever uses it; without a `maxmemory` it does not matter.
    pub memory_max_percent: u64,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            entries_max: limits::JOURNAL_ENTRIES_DEFAULT,
            bytes_max: limits::JOURNAL_BYTES_DEFAULT,
            memory_max_percent: limits::JOURNAL_MEMORY_PERCENT_DEFAULT,
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// The least important level that is logged.
    pub level: LogLevel,
    /// How a log line looks.
    pub format: LogFormat,
    /// Which decisions have a line of their own, at level `info`.
    pub decisions: LoggedDecisions,
    /// Of so many of them one has.
    pub sample: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        let (level, format) = (LogLevel::default(), LogFormat::default());
        Self { level, format, decisions: LoggedDecisions::default(), sample: 1 }
    }
}

impl LogConfig {
    /// The same in the words of the logs' set-up.
    #[must_use]
    pub fn logging(&self) -> Logging {
        let format = match self.format {
            LogFormat::Text => Format::Text,
            LogFormat::Json => Format::Json,
        };
        Logging { format, level: self.level.as_str().to_owned() }
    }
}

/// Where the spans of others' traces go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceConfig {
    /// An OpenTelemetry collector that takes OTLP over HTTP, as in `http://127.0.0.1:4318/v1/traces`; empty for none.
    pub otlp_url: String,
}

/// A default of `limits.rs` in the unit of its key.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
