//! The key file, read again when it changes: keys come and go in the middle of a sale, without a restart.
//!
//! A key that is taken out of the file is not believed any more; one that is to be replaced stays in it for as long as its
//! tickets are good, beside the new one that signs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::core::Shared;
use crate::desk::TicketDesk;
use crate::guard::ticket::{KeyFile, KeyFileError, Secret, TicketKey, TicketMint};
use crate::infile::Version;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The file as it was read at the start.
pub(super) struct LoadedKeys {
    pub(super) keys: KeyFile,
    path: PathBuf,
    /// Which version of it that was.
    seen: Option<Version>,
}

impl LoadedKeys {
    /// Reads the file, or makes it.
    ///
    /// # Errors
    /// Those of [`KeyFile::load_or_create`].
    pub(super) fn load_or_create(path: PathBuf) -> Result<Self, KeyFileError> {
        let version_now = || std::fs::metadata(&path).map(|meta| Version::of(&meta)).ok();
        // Before it is read: what changes from then on, while Redis and the ledger are waited for, is read once more.
        let before = version_now();
        let keys = KeyFile::load_or_create(&path)?;
        let seen = before.or_else(version_now);
        Ok(Self { keys, path, seen })
    }

    /// Has it read again when it changes.
    pub(super) fn watch(&self, shared: Arc<Shared>, desk: Option<Arc<TicketDesk>>) -> KeyWatch {
        KeyWatch {
            path: self.path.clone(),
            keys: self.keys.clone(),
            seen: self.seen,
            unread: None,
            shared,
            desk,
        }
    }
}

/// The file and what goes by it.
pub(super) struct KeyWatch {
    path: PathBuf,
    keys: KeyFile,
    seen: Option<Version>,
    /// Why the file could not be read at the last look.
    unread: Option<String>,
    shared: Arc<Shared>,
    desk: Option<Arc<TicketDesk>>,
}

impl KeyWatch {
    /// Takes over what changes, until `stop`. A wrong file changes nothing.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            // Before it is read: what changes meanwhile is read once more.
            let found = self.version().await;
            if found.is_none() || found == self.seen {
                continue;
            }
            self.seen = found;
            let path = self.path.clone();
            match tokio::task::spawn_blocking(move || KeyFile::load(&path)).await {
                Ok(Ok(keys)) => {
                    self.unread = None;
                    self.take_over(keys);
                }
                // It may be over at the next look, without any change of the file.
                Ok(Err(error)) if error.may_pass() => self.try_again(error.to_string()),
                Ok(Err(error)) => {
                    self.unread = None;
                    tracing::error!(%error, "the key file is wrong; the keys before hold on");
                }
                Err(error) => self.try_again(error.to_string()),
            }
        }
    }

    /// Says once why the file cannot be read, and has it read at the next look.
    fn try_again(&mut self, error: String) {
        self.seen = None;
        if self.unread.as_ref() != Some(&error) {
            tracing::error!(error, "the key file cannot be read and is tried again; the keys before hold on");
        }
        self.unread = Some(error);
    }

    async fn version(&self) -> Option<Version> {
        tokio::fs::metadata(&self.path).await.map(|meta| Version::of(&meta)).ok()
    }

    fn take_over(&mut self, keys: KeyFile) {
        if keys.identity_secret() != self.keys.identity_secret() {
            tracing::error!(
                "the key file would give every person another name: keep identity_secret, or the oldest voucher secret \
                 among voucher_secrets_old; the keys before hold on"
            );
            return;
        }
        let listed =
            |secret: &Secret| keys.voucher_secret() == secret || keys.voucher_secrets_old().contains(secret);
        if !listed(self.keys.voucher_secret()) {
            tracing::warn!("codes that were signed with the voucher secret before are not believed any more");
        }
        self.shared.guard.rekey(&keys);
        let old = || keys.voucher_secrets_old().iter().map(Secret::bytes);
        self.shared.signer.rekey(keys.voucher_secret().bytes(), old());
        self.shared.qr.rekey(keys.voucher_secret().bytes(), old());
        if let Some(desk) = &self.desk {
            desk.mint.store(Arc::new(TicketMint::new(&keys)));
        }
        if let Some(demo) = &self.shared.demo {
            demo.rekey(&keys);
        }
        let kids: Vec<&str> = keys.keys().iter().map(TicketKey::kid).collect();
        tracing::info!(?kids, signs = keys.signing().kid(), "the key file was read again");
        self.keys = keys;
    }
}
