//! Connections to Redis, and what its errors mean.
//!
//! Owns the connection settings: every wait has a bound, and small writes leave at once. A connection is driven
//! by the runtime on which it was made, so each runtime makes a pool of its own.

use std::time::Duration;

use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, ServerErrorKind,
};

use crate::config::{RedisConfig, ServiceUrl};
use crate::limits;

/// A pool of connections to `url`, each made when it is first wanted.
///
/// A checkout of a used connection costs a round trip. The hot path therefore takes its lanes out for good
/// ([`deadpool_redis::Connection::take`]) and replaces one through the pool when it fails.
///
/// # Errors
/// [`RedisError`] when `url` is not the URL of a Redis.
pub fn connect(url: &ServiceUrl, config: &RedisConfig) -> Result<Pool, RedisError> {
    let manager =
        Manager::new_with_config(connection_info(url)?, connection_config(config.response_timeout()))?;
    Pool::builder(manager)
        .max_size(limits::REDIS_POOL_CONNECTIONS)
        .wait_timeout(Some(limits::REDIS_POOL_WAIT))
        .create_timeout(Some(limits::REDIS_CONNECT))
        .recycle_timeout(Some(config.response_timeout()))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| {
            RedisError::from((ErrorKind::InvalidClientConfig, "the pool was not built", error.to_string()))
        })
}

/// Takes a connection for a few calls; it goes back by itself.
///
/// # Errors
/// [`RedisError`] when none is free or none can be made in time.
pub async fn checkout(pool: &Pool) -> Result<Connection, RedisError> {
    pool.get().await.map_err(|error| match error {
        PoolError::Backend(error) => error,
        other => RedisError::from((ErrorKind::Io, "no connection", other.to_string())),
    })
}

/// One connection outside of any pool, for a look at a server.
///
/// # Errors
/// [`RedisError`] when the server does not answer in time or refuses the login.
pub async fn connect_once(
    url: &ServiceUrl,
    response_timeout: Duration,
) -> Result<MultiplexedConnection, RedisError> {
    let client = redis::Client::open(connection_info(url)?)?;
    client.get_multiplexed_async_connection_with_config(&connection_config(response_timeout)).await
}

fn connection_info(url: &ServiceUrl) -> Result<ConnectionInfo, RedisError> {
    let info = url.expose().into_connection_info()?;
    Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

fn connection_config(response_timeout: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(limits::REDIS_CONNECT))
        .set_response_timeout(Some(response_timeout))
}

/// Why a call to Redis failed. The word of each is stable: it labels logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RedisFault {
    /// `READONLY`: the server has become a replica.
    ReadOnly,
    /// `BUSY`: a script has run for too long.
    Busy,
    /// `LOADING`: the server reads its data set.
    Loading,
    /// `OOM`: the server's memory is full.
    OutOfMemory,
    /// `NOSCRIPT`: the script has to be sent again.
    NoScript,
    /// `MOVED`, `ASK`, `TRYAGAIN`, `CROSSSLOT` or `CLUSTERDOWN`: the slot lives, or is about to live, elsewhere.
    Moved,
    /// `MISCONF`: the server cannot write to its disk and takes no writes.
    DiskFull,
    /// `NOREPLICAS`: the server takes no writes while fewer replicas follow it than it was told to have
    /// (`min-replicas-to-write`).
    NoReplicas,
    /// `NOAUTH`, `WRONGPASS` or `NOPERM`: the login does not do.
    Denied,
    /// No reply in time.
    Timeout,
    /// The connection failed, or could not be made.
    Io,
    /// Anything else that the server or the client says: a defect.
    Other,
}

impl RedisFault {
    /// Sorts an error of a call.
    #[must_use]
    pub fn of(error: &RedisError) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        match error.kind() {
            ErrorKind::Server(kind) => Self::of_server(kind),
            ErrorKind::AuthenticationFailed => Self::Denied,
            ErrorKind::Io => Self::Io,
            _ => match error.code() {
                Some("BUSY") => Self::Busy,
                Some("OOM") => Self::OutOfMemory,
                Some("MISCONF") => Self::DiskFull,
                Some("NOREPLICAS") => Self::NoReplicas,
                Some("NOAUTH" | "WRONGPASS") => Self::Denied,
                _ if error.is_connection_dropped() || error.is_io_error() => Self::Io,
                _ => Self::Other,
            },
        }
    }

    fn of_server(kind: ServerErrorKind) -> Self {
        match kind {
            ServerErrorKind::ReadOnly => Self::ReadOnly,
            ServerErrorKind::BusyLoading => Self::Loading,
            ServerErrorKind::NoScript => Self::NoScript,
            ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::TryAgain
            | ServerErrorKind::CrossSlot
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown => Self::Moved,
            ServerErrorKind::NoPerm => Self::Denied,
            _ => Self::Other,
        }
    }

    /// Whether the same call may succeed later, on this connection or a new one, without a person's doing.
    #[must_use]
    pub fn retryable(self) -> bool {
        !matches!(self, Self::OutOfMemory | Self::Denied | Self::Other)
    }

    /// Whether Redis surely did nothing: it refused the call, or never received it. Without that the outcome
    /// is unknown until the call is repeated or the state is read.
    #[must_use]
    pub fn surely_undone(self) -> bool {
        !matches!(self, Self::Timeout | Self::Io | Self::Other)
    }

    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "readonly",
            Self::Busy => "busy",
            Self::Loading => "loading",
            Self::OutOfMemory => "out_of_memory",
            Self::NoScript => "no_script",
            Self::Moved => "moved",
            Self::DiskFull => "disk_full",
            Self::NoReplicas => "no_replicas",
            Self::Denied => "denied",
            Self::Timeout => "timeout",
            Self::Io => "io",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use redis::{ErrorKind, RedisError};

    use super::RedisFault;

    /// As the server would send it.
    fn server_error(line: &str) -> RedisError {
        let wire = format!("-{line}\r\n");
        let value = redis::parse_redis_value(wire.as_bytes()).expect("an error reply parses");
        value.extract_error().expect_err("an error reply is an error")
    }

    #[test]
    fn a_server_error_has_its_stable_cause() {
        for (line, fault) in [
            ("READONLY You can't write against a read only replica.", RedisFault::ReadOnly),
            ("BUSY Redis is busy running a script.", RedisFault::Busy),
            ("LOADING Redis is loading the dataset in memory", RedisFault::Loading),
            ("OOM command not allowed when used memory > 'maxmemory'.", RedisFault::OutOfMemory),
            ("NOSCRIPT No matching script.", RedisFault::NoScript),
            ("MOVED 3999 127.0.0.1:6381", RedisFault::Moved),
            ("CLUSTERDOWN Hash slot not served", RedisFault::Moved),
            ("MISCONF Errors writing to the AOF file", RedisFault::DiskFull),
            ("NOREPLICAS Not enough good replicas to write.", RedisFault::NoReplicas),
            ("NOAUTH Authentication required.", RedisFault::Denied),
            ("NOPERM this user has no permissions", RedisFault::Denied),
            ("ERR wrong number of arguments", RedisFault::Other),
        ] {
            assert_eq!(RedisFault::of(&server_error(line)), fault, "{line}");
        }
    }

    #[test]
    fn a_lost_reply_is_not_taken_for_a_refusal() {
        let timeout = RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        assert_eq!(RedisFault::of(&timeout), RedisFault::Timeout);
        let reset = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert_eq!(RedisFault::of(&reset), RedisFault::Io);
        assert!(!RedisFault::Timeout.surely_undone() && !RedisFault::Io.surely_undone());
        assert!(RedisFault::Loading.surely_undone() && RedisFault::Loading.retryable());
        let client = RedisError::from((ErrorKind::Client, "a defect of ours"));
        assert!(!RedisFault::of(&client).retryable());
    }
}
