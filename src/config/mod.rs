//! The configuration: typed, merged from its sources, and checked whole before anything binds.
//!
//! Owns the keys, their defaults and their refusals. Sources, the later over the earlier: the defaults, a TOML
//! file, `CLAIMRUSH_SECTION__KEY` environment variables, flags. Opens no socket and starts nothing; it reads
//! the config file and the files that `*_file` keys name.

mod audit;
mod backoffice;
mod call_url;
mod check;
mod desk;
mod guard;
mod holds;
mod load;
mod page;
mod places;
mod sections;
mod service_url;
mod voucher;
mod words;

pub use audit::AuditConfig;
pub use backoffice::{Approval, BackofficeConfig};
pub use call_url::CallUrl;
pub use desk::{CaptchaFallback, ChallengeKind, DeskConfig};
pub use guard::{GuardConfig, LimitsConfig, TicketConfig};
pub use holds::HoldsConfig;
pub use load::{Overrides, load};
pub use page::{DemoConfig, PageConfig};
pub use sections::{
    ClaimConfig, Config, DataConfig, DrainConfig, JournalConfig, LedgerConfig, LogConfig, RedisConfig,
    ServerConfig, TraceConfig,
};
pub use service_url::ServiceUrl;
pub use voucher::VoucherConfig;
pub use words::{Ack, LogFormat, LogLevel, LoggedDecisions};

/// Why a configuration is refused: one line that names the key and what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A key has a value that it may not have.
    #[error("{key} = {value}: {problem}")]
    Value {
        /// The key, as in `limits.person_burst`.
        key: String,
        /// The value found, as it would stand in TOML.
        value: String,
        /// What it should be.
        problem: String,
    },
    /// There is no such key, or it does not stand where it was put.
    #[error("{key}: {problem}")]
    Key {
        /// The key or the environment variable.
        key: String,
        /// What there is instead.
        problem: String,
    },
    /// A file cannot be read or is not TOML.
    #[error("{file}: {problem}")]
    File {
        /// The file, as it was named.
        file: String,
        /// What is wrong with it, with the line where there is one.
        problem: String,
    },
}
