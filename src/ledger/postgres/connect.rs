//! Connections to a PostgreSQL server: which are opened, how they are encrypted, and how long anything may take.
//!
//! Owns the pools and the sessions' settings. A session that writes gives up by itself where its program is gone or
//! stopped, so that it holds nobody up who could go on; one that reads may take its time.

use std::io;
use std::path::Path;
use std::str::FromStr;

use deadpool_postgres::{Client, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{query_opt, schema, write};
use crate::ledger::LedgerError;
use crate::limits;

/// What a set of connections is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    Write,
}

/// What a URL asks for, with what this program adds.
pub(super) struct Target {
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
}

impl Target {
    /// Understands a URL; the certificates that are trusted are those of `ca_file`, or of the system.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when the URL or the file cannot be used. Nothing is connected yet.
    pub(super) fn new(url: &str, ca_file: Option<&Path>) -> Result<Self, LedgerError> {
        let mut config = tokio_postgres::Config::from_str(url).map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            LedgerError::Unavailable(format!("ledger.url cannot be understood: {cause}"))
        })?;
        if !url.contains("sslmode=") {
            config.ssl_mode(if is_local(&config) { SslMode::Disable } else { SslMode::Require });
        }
        if config.get_application_name().is_none() {
            config.application_name("claimrush");
        }
        config
            .connect_timeout(limits::LEDGER_CONNECT_TIMEOUT)
            .tcp_user_timeout(limits::LEDGER_NETWORK_TIMEOUT)
            .keepalives_idle(limits::LEDGER_NETWORK_TIMEOUT);
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => tls(rustls::RootCertStore::empty()),
            _ => tls(roots(ca_file)?),
        }?;
        Ok(Self { config, tls })
    }

    /// At most `size` connections, opened when they are needed.
    pub(super) fn pool(&self, purpose: Purpose, size: usize) -> Result<Pool, LedgerError> {
        let mut config = self.config.clone();
        let mut options = config.get_options().unwrap_or_default().to_owned();
        let mut set = |name: &str, value: &str| {
            options.extend([" -c ", name, "=", value]);
        };
        // A commit is durable when it is answered, whatever the database says of itself.
        set("synchronous_commit", "on");
        match purpose {
            Purpose::Read => set("default_transaction_read_only", "on"),
            Purpose::Write => {
                config.target_session_attrs(TargetSessionAttrs::ReadWrite);
                for (name, limit) in [
                    ("lock_timeout", limits::LEDGER_LOCK_TIMEOUT),
                    ("statement_timeout", limits::LEDGER_STATEMENT_TIMEOUT),
                    ("idle_in_transaction_session_timeout", limits::LEDGER_IDLE_TIMEOUT),
                ] {
                    set(name, &format!("{}ms", limit.as_millis()));
                }
            }
        }
        config.options(options.trim_start());
        let manager = Manager::from_config(
            config,
            self.tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let mut builder = Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(limits::LEDGER_LOCK_TIMEOUT))
            .create_timeout(Some(limits::LEDGER_CONNECT_TIMEOUT))
            .recycle_timeout(Some(limits::LEDGER_CONNECT_TIMEOUT));
        if purpose == Purpose::Write {
            builder = builder.post_create(Hook::async_fn(|client, _| {
                Box::pin(
                    async move { client.batch_execute(write::STAGING).await.map_err(HookError::Backend) },
                )
            }));
        }
        builder.build().map_err(|error| LedgerError::Unavailable(error.to_string()))
    }
}

/// Checks a server that is to be written to, and brings its database to the present schema.
pub(super) async fn prepare(writer: &Pool) -> Result<(), LedgerError> {
    let mut client: Client = writer.get().await?;
    let unsafe_server = query_opt(&client, "SELECT 1 WHERE current_setting('fsync') = 'off'", &[]).await?;
    if unsafe_server.is_some() {
        return Err(LedgerError::Unavailable(
            "the server would lose claims in a crash: set \"fsync = on\" in its postgresql.conf".to_owned(),
        ));
    }
    schema::migrate(&mut client).await
}

/// Whether every host is this machine: a socket, or the loopback.
fn is_local(config: &tokio_postgres::Config) -> bool {
    let named = config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
    });
    named && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
}

/// The certificates that vouch for a server.
fn roots(ca_file: Option<&Path>) -> Result<rustls::RootCertStore, LedgerError> {
    let mut roots = rustls::RootCertStore::empty();
    let Some(path) = ca_file else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let what = "the system has no certificates to check the server's with: set ledger.ca_file";
            return Err(LedgerError::Unavailable(what.to_owned()));
        }
        return Ok(roots);
    };
    let refused =
        |cause: String| LedgerError::Unavailable(format!("ledger.ca_file {}: {cause}", path.display()));
    let file = std::fs::read(path).map_err(|error: io::Error| refused(error.to_string()))?;
    for certificate in CertificateDer::pem_slice_iter(&file) {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refused("holds no certificate".to_owned()));
    }
    Ok(roots)
}

/// TLS that trusts these alone, and checks the server's name.
fn tls(roots: rustls::RootCertStore) -> Result<MakeRustlsConnect, LedgerError> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| LedgerError::Unavailable(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        let ca = tempfile::NamedTempFile::new().unwrap();
        match Target::new(url, Some(ca.path())) {
            Ok(target) => target.config.get_ssl_mode(),
            // An empty file of certificates is looked at only where they are needed.
            Err(LedgerError::Unavailable(what)) if what.ends_with("holds no certificate") => SslMode::Require,
            Err(error) => panic!("{url}: {error}"),
        }
    }

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        for url in [
            "postgres:///claims",
            "postgres://u@localhost/claims",
            "postgres://127.0.0.1:5433/claims",
            "postgres:///claims?host=/run/postgresql",
            "postgres://db.example/claims?sslmode=disable",
        ] {
            assert_eq!(mode(url), SslMode::Disable, "{url}");
        }
        for url in ["postgres://u@db.example/claims", "postgres://localhost,10.0.0.1/claims"] {
            assert_eq!(mode(url), SslMode::Require, "{url}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_understood_is_refused_without_its_password() {
        let Err(error) = Target::new("postgres://u:secret@h/d?sslmode=verify-full", None) else {
            panic!("it is taken")
        };
        let text = "ledger unavailable: ledger.url cannot be understood: invalid value for option `sslmode`";
        assert_eq!(error.to_string(), text);
    }
}
