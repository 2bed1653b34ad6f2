//! Whether a Redis may be trusted with claims.
//!
//! Owns what the service asks of a server's version and durability settings, for a managed and for an external
//! one alike. Changes nothing on the server.

use std::collections::HashMap;

use redis::aio::ConnectionLike;
use redis::{RedisError, Value};

use super::pool::RedisFault;
use crate::config::Ack;

/// The oldest Redis that runs the scripts: `#!lua` and several parameters in one `CONFIG GET` came with 7.0.
const VERSION_MIN: (u32, u32) = (7, 0);

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// As in `7.0.15`.
    pub version: String,
    /// Another with every start of the server.
    pub run_id: String,
    /// The server's process.
    pub pid: u32,
}

/// Why a server is not trusted with claims.
#[derive(Debug, thiserror::Error)]
pub enum ServerRefused {
    /// It does not answer.
    #[error("redis: {0}")]
    Unreachable(#[from] RedisError),
    /// It is too old.
    #[error("redis: version {0} is too old: version {min}.{minor} or newer is needed", min = VERSION_MIN.0, minor = VERSION_MIN.1)]
    Version(String),
    /// A setting would lose claims that were acknowledged, or refuse to hold them.
    #[error("redis: {key} is \"{found}\": {when} \"{key} {wanted}\" in redis.conf")]
    Setting {
        /// The setting's name in `redis.conf`.
        key: &'static str,
        /// What it is.
        found: String,
        /// Under which condition another value is needed.
        when: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// The login may not look.
    #[error(
        "redis: {command} is not allowed for this login, so its durability cannot be checked: allow \"+{acl}\""
    )]
    Forbidden {
        /// The command that was refused.
        command: &'static str,
        /// The rule that allows it.
        acl: &'static str,
    },
}

/// A setting, and what it must be.
struct Wanted {
    key: &'static str,
    value: &'static str,
    /// Whether it is about what survives a crash, which `memory` does not promise.
    durability: bool,
}

/// In the order in which they are refused.
const WANTED: [Wanted; 4] = [
    Wanted { key: "maxmemory-policy", value: "noeviction", durability: false },
    Wanted { key: "appendonly", value: "yes", durability: true },
    Wanted { key: "appendfsync", value: "always", durability: true },
    Wanted { key: "no-appendfsync-on-rewrite", value: "no", durability: true },
];

/// Reads version, run id and process of a server. Works while it is loading.
///
/// # Errors
/// [`ServerRefused::Unreachable`], or [`ServerRefused::Forbidden`] when the login may not use `INFO`.
pub async fn facts(connection: &mut impl ConnectionLike) -> Result<ServerFacts, ServerRefused> {
    let info: String = redis::cmd("INFO")
        .arg("server")
        .query_async(connection)
        .await
        .map_err(|error| refused(error, "INFO", "info"))?;
    let field = |name: &str| info_field(&info, name).unwrap_or_default();
    Ok(ServerFacts {
        version: field("redis_version").to_owned(),
        run_id: field("run_id").to_owned(),
        pid: field("process_id").parse().unwrap_or_default(),
    })
}

/// A field of an `INFO` text.
pub(super) fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Refuses a server that is too old, or that would break what `ack` promises.
///
/// # Errors
/// [`ServerRefused`] names the line of `redis.conf` to change.
pub async fn check(connection: &mut impl ConnectionLike, ack: Ack) -> Result<ServerFacts, ServerRefused> {
    let facts = facts(connection).await?;
    if parse_version(&facts.version).is_none_or(|version| version < VERSION_MIN) {
        return Err(ServerRefused::Version(facts.version));
    }
    let settings = settings(connection).await?;
    for wanted in &WANTED {
        if wanted.durability && ack == Ack::Memory {
            continue;
        }
        let found = settings.get(wanted.key).map_or("", String::as_str);
        if found != wanted.value {
            let with_ack = format!("with claim.ack = \"{}\" set", ack.as_str());
            let when = if wanted.durability { with_ack } else { "set".to_owned() };
            let found = found.to_owned();
            return Err(ServerRefused::Setting { key: wanted.key, found, when, wanted: wanted.value });
        }
    }
    Ok(facts)
}

async fn settings(connection: &mut impl ConnectionLike) -> Result<HashMap<String, String>, ServerRefused> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET");
    for wanted in &WANTED {
        command.arg(wanted.key);
    }
    let reply: Value =
        command.query_async(connection).await.map_err(|error| refused(error, "CONFIG GET", "config|get"))?;
    Ok(redis::from_redis_value(reply).map_err(RedisError::from)?)
}

/// A server without the command (renamed away) and a login without the right to it are the same to us.
fn refused(error: RedisError, command: &'static str, acl: &'static str) -> ServerRefused {
    let unknown = error.detail().is_some_and(|detail| detail.contains("unknown command"));
    if RedisFault::of(&error) == RedisFault::Denied && error.code() == Some("NOPERM") || unknown {
        return ServerRefused::Forbidden { command, acl };
    }
    ServerRefused::Unreachable(error)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{info_field, parse_version};

    #[test]
    fn versions_compare_by_number() {
        assert!(parse_version("7.0.15") >= Some((7, 0)));
        assert!(parse_version("10.2.0") > parse_version("7.4.1"));
        assert!(parse_version("6.2.14") < Some((7, 0)));
        assert_eq!(parse_version("unstable"), None);
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let info = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:ab12\r\n";
        assert_eq!(info_field(info, "run_id"), Some("ab12"));
        assert_eq!(info_field(info, "redis"), None);
    }
}
