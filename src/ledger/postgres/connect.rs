//! Connections to a PostgreSQL server: which are opened, how they are encrypted, and how long anything may take.
//!
//! Owns the pools and the sessions' settings, and which of several hosts is spoken to. A session that writes gives up by
//! itself where its program is gone or stopped, so that it holds nobody up who could go on; one that reads may take its time.

use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use deadpool_postgres::{Client, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{PostgresLedger, query_opt, schema, write};
use crate::infile;
use crate::ledger::LedgerError;
use crate::limits;

/// What a set of connections is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// What takes microseconds, and is not waited for beyond [`limits::LEDGER_ANSWER_TIMEOUT`].
    LookUp,
    /// What goes over many rows and takes its time, however long the database says that a statement may take.
    Scan,
    Write,
}

/// Which of the hosts that a URL names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// The one that takes writes: a standby is behind it, by as much as it likes.
    Primary,
    /// The first that answers, or what the URL says.
    Any,
}

/// The first words to a server that is read. Not among the options of the connection: a server that is told there to take
/// no writes says that it takes none, and would pass for a standby.
const READER: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY";
/// The first words to a server that is written to, whatever the database says of itself. Who has waited for the catalogue's
/// row reads what the writer before has left, and a commit is durable when it is answered; an operator may ask for more.
const WRITER: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; \
    SELECT set_config('synchronous_commit', \
        CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)";

impl PostgresLedger {
    /// Understands the URL and reads the certificates, and connects to nobody.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] with what cannot be used.
    pub fn check(url: &str, ca_file: Option<&Path>) -> Result<(), LedgerError> {
        Target::new(url, ca_file).map(drop)
    }
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

    /// Whether the URL names more than one host.
    pub(super) fn has_several_hosts(&self) -> bool {
        self.hosts() > 1
    }

    fn hosts(&self) -> usize {
        self.config.get_hosts().len().max(self.config.get_hostaddrs().len())
    }

    /// At most `size` connections, opened when they are needed.
    pub(super) fn pool(&self, purpose: Purpose, which: Which, size: usize) -> Result<Pool, LedgerError> {
        let mut config = self.config.clone();
        if which == Which::Primary {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let first = match purpose {
            // Nobody waits for a look-up any more by then; the server would not know, and keep its session while a table is locked.
            Purpose::LookUp => {
                let limit = limits::LEDGER_ANSWER_TIMEOUT.as_millis();
                vec![READER.to_owned(), format!("SET lock_timeout = 0; SET statement_timeout = '{limit}ms'")]
            }
            Purpose::Scan => {
                vec![READER.to_owned(), "SET lock_timeout = 0; SET statement_timeout = 0".to_owned()]
            }
            Purpose::Write => {
                let mut options = config.get_options().unwrap_or_default().to_owned();
                for (name, limit) in [
                    ("lock_timeout", limits::LEDGER_LOCK_TIMEOUT),
                    ("statement_timeout", limits::LEDGER_STATEMENT_TIMEOUT),
                    ("idle_in_transaction_session_timeout", limits::LEDGER_IDLE_TIMEOUT),
                ] {
                    options.extend([" -c ", name, "=", &format!("{}ms", limit.as_millis())]);
                }
                config.options(options.trim_start());
                vec![WRITER.to_owned(), write::STAGING.to_owned()]
            }
        };
        let first = Arc::new(first);
        // Hosts that cannot be reached are waited for one after the other, before the one that can.
        let hosts = u32::try_from(self.hosts().max(1)).unwrap_or(u32::MAX);
        let create_timeout = limits::LEDGER_CONNECT_TIMEOUT.saturating_mul(hosts);
        let manager = Manager::from_config(
            config,
            self.tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let builder = Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(limits::LEDGER_LOCK_TIMEOUT))
            .create_timeout(Some(create_timeout))
            .recycle_timeout(Some(limits::LEDGER_CONNECT_TIMEOUT))
            .post_create(Hook::async_fn(move |client, _| {
                let first = Arc::clone(&first);
                Box::pin(async move {
                    let said = async {
                        for words in first.iter() {
                            client.batch_execute(words).await.map_err(HookError::Backend)?;
                        }
                        Ok(())
                    };
                    let said = tokio::time::timeout(limits::LEDGER_CONNECT_TIMEOUT, said).await;
                    said.unwrap_or_else(|_| Err(HookError::message("the server did not answer in time")))
                })
            }));
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
    // Texts are UTF-8: of one that the database has no form for a whole batch would fail, again and again.
    let encoding = "SELECT current_setting('server_encoding') \
                    WHERE current_setting('server_encoding') NOT IN ('UTF8', 'SQL_ASCII')";
    if let Some(row) = query_opt(&client, encoding, &[]).await? {
        let encoding: String = row.try_get(0)?;
        return Err(LedgerError::Unavailable(format!(
            "the database is in {encoding}, which has not every character: make it with ENCODING 'UTF8'"
        )));
    }
    // A pooler that keeps the options of a session to itself has most often no session for each client either.
    let pooled = "SELECT 1 FROM pg_catalog.pg_settings WHERE name = 'lock_timeout' AND setting <> $1";
    let asked = limits::LEDGER_LOCK_TIMEOUT.as_millis().to_string();
    if query_opt(&client, pooled, &[&asked]).await?.is_some() {
        return Err(LedgerError::Unavailable(
            "a pooler stands before the server, and the session has not what it asked for: let ledger.url lead to the server"
                .to_owned(),
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
    let file = infile::read(path, limits::CERTIFICATES_BYTES_MAX)
        .map_err(|error: io::Error| refused(error.to_string()))?;
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
    let provider = Arc::new(rustls::crypto::ring::default_provider());
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
