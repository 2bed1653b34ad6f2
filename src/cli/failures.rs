//! Which failure has which exit code: the one table of them.

use std::io;

use crate::backoffice::admin_client::AdminError;
use crate::backoffice::campaigns::LoadError;
use crate::backoffice::campaigns::recovery::RecoverError;
use crate::config::ConfigError;
use crate::datadir::DataDirError;
use crate::exit::{Exit, Failure};
use crate::guard::ticket::{KeyFileError, MintError};
use crate::ledger::LedgerError;
use crate::redis::fence::ReplicasMissing;
use crate::redis::managed::ManagedError;
use crate::redis::scripts::ScriptError;
use crate::redis::server_check::ServerRefused;

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Config, error.to_string()).about("config")
    }
}

impl From<DataDirError> for Failure {
    fn from(error: DataDirError) -> Self {
        let exit = match error {
            DataDirError::NotRunning { .. } => Exit::Unavailable,
            DataDirError::Locked { .. } | DataDirError::File { .. } => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<ManagedError> for Failure {
    fn from(error: ManagedError) -> Self {
        Self::new(Exit::Unavailable, error.to_string())
    }
}

impl From<ServerRefused> for Failure {
    fn from(error: ServerRefused) -> Self {
        Self::new(Exit::Unavailable, error.to_string())
    }
}

impl From<ReplicasMissing> for Failure {
    fn from(error: ReplicasMissing) -> Self {
        Self::new(Exit::Unavailable, error.to_string())
    }
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        Self::new(Exit::Config, error.to_string()).about("ticket.key_file").about("config")
    }
}

impl From<MintError> for Failure {
    fn from(error: MintError) -> Self {
        let exit = match error {
            MintError::Drop { .. }
            | MintError::Person { .. }
            | MintError::Count(_)
            | MintError::ValidFor(_) => Exit::Usage,
            MintError::File { .. } | MintError::Output(_) | MintError::Sign(_) => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::new(Exit::Unavailable, error.to_string())
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::new(Exit::Unavailable, error.to_string())
    }
}

impl From<RecoverError> for Failure {
    fn from(error: RecoverError) -> Self {
        Self::new(Exit::Unavailable, error.to_string())
    }
}

impl From<ScriptError> for Failure {
    fn from(error: ScriptError) -> Self {
        Self::new(Exit::Unavailable, error.to_string())
    }
}

impl From<redis::RedisError> for Failure {
    fn from(error: redis::RedisError) -> Self {
        Self::new(Exit::Unavailable, format!("redis: {error}"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        let exit = match error {
            AdminError::Address(_) => Exit::Usage,
            AdminError::Unreachable { .. } | AdminError::Alien { .. } => Exit::Unavailable,
            AdminError::Refused(_) => Exit::Failed,
        };
        Self::new(exit, error.to_string())
    }
}
