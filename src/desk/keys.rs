//! Where the keys of identity tokens come from: a file, or the sponsor's URL, fetched again when it is due or when a
//! token names a key that is not known.
//!
//! Owns the cache. An old set is used on while a fetch fails; nobody who sends tokens can make it fetch more often than
//! every [`limits::KEY_SET_FETCH_MIN`], or have more than [`limits::KEY_WAITERS`] wait for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::Semaphore;

use super::identity::{IdentityKeys, KeySetFlaw};
use super::outbound::{FetchError, Outbound};
use crate::config::CallUrl;
use crate::infile;
use crate::limits;

/// Where a set of keys stands.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// In a file, read at the start and whenever it is due.
    File(PathBuf),
    /// At a URL.
    Url(CallUrl),
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read.
    #[error("{}: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The URL gives none.
    #[error("{0}")]
    Fetch(#[from] FetchError),
    /// What is there is no set of keys.
    #[error("{place}: {flaw}")]
    Flaw {
        /// File or URL.
        place: String,
        /// What is wrong.
        flaw: KeySetFlaw,
    },
}

/// Why somebody is not told of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoKeys {
    /// They were never read.
    Unread,
    /// Too many wait for keys that are not known.
    Busy,
}

/// The keys as they were read last.
pub struct KeyCache {
    source: KeySource,
    outbound: Outbound,
    refresh: Duration,
    keys: ArcSwapOption<IdentityKeys>,
    /// When it was tried last; whoever holds it is trying.
    tried_at: tokio::sync::Mutex<Option<Instant>>,
    /// Who may wait for that.
    waiters: Semaphore,
}

impl KeyCache {
    /// An empty cache.
    #[must_use]
    pub fn new(source: KeySource, outbound: Outbound, refresh: Duration) -> Self {
        Self {
            source,
            outbound,
            refresh,
            keys: ArcSwapOption::empty(),
            tried_at: tokio::sync::Mutex::default(),
            waiters: Semaphore::new(limits::KEY_WAITERS),
        }
    }

    /// The keys, if they were ever read.
    #[must_use]
    pub fn keys(&self) -> Option<Arc<IdentityKeys>> {
        self.keys.load_full()
    }

    /// The keys, fetched first when there are none or none of this name.
    ///
    /// # Errors
    /// [`NoKeys`]; never for a name that is known.
    pub async fn keys_with(&self, kid: &str) -> Result<Arc<IdentityKeys>, NoKeys> {
        if let Some(keys) = self.keys().filter(|keys| keys.has(kid)) {
            return Ok(keys);
        }
        let _waits = self.waiters.try_acquire().map_err(|_| NoKeys::Busy)?;
        let mut tried_at = self.tried_at.lock().await;
        // Somebody else may have fetched it while we waited.
        let known = self.keys().is_some_and(|keys| keys.has(kid));
        if !known && tried_at.is_none_or(|at| at.elapsed() >= limits::KEY_SET_FETCH_MIN) {
            *tried_at = Some(Instant::now());
            self.read_or_warn().await;
        }
        self.keys().ok_or(NoKeys::Unread)
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// [`KeysError`]; the keys that were there stay.
    pub async fn read(&self) -> Result<(), KeysError> {
        let (place, text) = match &self.source {
            KeySource::File(path) => {
                let cause = |cause| KeysError::File { path: path.clone(), cause };
                let file = path.clone();
                let read = move || infile::read_text(&file, limits::KEY_SET_BYTES_MAX as u64);
                let text = tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other).flatten();
                (path.display().to_string(), text.map_err(cause)?)
            }
            KeySource::Url(url) => (url.shown(), self.outbound.get(url, limits::KEY_SET_BYTES_MAX).await?),
        };
        let keys = IdentityKeys::read(&text).map_err(|flaw| KeysError::Flaw { place, flaw })?;
        self.keys.store(Some(Arc::new(keys)));
        Ok(())
    }

    async fn read_or_warn(&self) {
        if let Err(error) = self.read().await {
            tracing::warn!(%error, "the keys of identity tokens could not be read; those that were there are used on");
        }
    }

    /// Reads the keys again whenever they are due, until `stop`.
    pub async fn keep_fresh(self: Arc<Self>, stop: tokio_util::sync::CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(self.refresh)).await.is_some() {
            *self.tried_at.lock().await = Some(Instant::now());
            self.read_or_warn().await;
        }
    }
}
