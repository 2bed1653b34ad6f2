//! Where things are: paths, and the URLs of Redis and of the ledger.

use std::str::FromStr;

use redis::IntoConnectionInfo;

use super::check::refuse;
use super::{Config, ConfigError, ServiceUrl};

/// Paths and URLs.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    for (key, path) in [("data.dir", &config.data.dir), ("redis.server_bin", &config.redis.server_bin)] {
        if path.as_os_str().is_empty() {
            return Err(refuse(key, "\"\"", "must not be empty".to_owned()));
        }
    }
    check_redis_url(&config.redis.url)?;
    check_ledger_url(&config.ledger.url)
}

fn check_redis_url(url: &ServiceUrl) -> Result<(), ConfigError> {
    if url.is_empty() {
        return Ok(());
    }
    if url.expose().starts_with("rediss://") {
        return Err(refuse_url(
            "redis.url",
            url,
            "TLS to Redis is not supported by this build: must be redis://",
        ));
    }
    if url.expose().into_connection_info().is_err() {
        let form =
            "must be redis://[user:password@]host:port or redis+unix:///path, or empty for a managed Redis";
        return Err(refuse_url("redis.url", url, form));
    }
    Ok(())
}

fn check_ledger_url(url: &ServiceUrl) -> Result<(), ConfigError> {
    let text = url.expose();
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return match tokio_postgres::Config::from_str(text) {
            Ok(_) => Ok(()),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                let form = "must be postgres://user[:password]@host[:port]/database";
                Err(refuse_url("ledger.url", url, &format!("{form}: {cause}")))
            }
        };
    }
    let path = text.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
    if path == Some(":memory:") {
        // Each of the ledger's connections would have one of its own, and none outlasts the service.
        let problem = "must name a file: a ledger in memory would lose every claim with the service";
        return Err(refuse_url("ledger.url", url, problem));
    }
    if url.is_empty() || path.is_some_and(|path| !path.is_empty()) {
        return Ok(());
    }
    let form = "must be sqlite:PATH or postgres://…, or empty for ledger.db in the data folder";
    Err(refuse_url("ledger.url", url, form))
}

fn refuse_url(key: &str, url: &ServiceUrl, problem: &str) -> ConfigError {
    refuse(key, format_args!("\"{url}\""), problem.to_owned())
}
