//! Documents that are kept in memory: read once, then followed change by change.
//!
//! Owns the order of that, for every kind that somebody wants to have at hand without asking the ledger. What this
//! process writes is taken at once by whoever wrote it; what others write follows within [`FOLLOW_INTERVAL`].

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::ledger::{Document, Ledger, LedgerError};
use crate::limits;
use crate::telemetry::repeated::Repeated;

/// How often the ledger is asked what changed.
pub const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

/// Who keeps the documents of a kind in memory.
pub trait Follower: Send + Sync + 'static {
    /// The kind.
    fn kind(&self) -> &'static str;

    /// Takes a document as it stands now. May come twice; an older revision may come after a newer one.
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`] when its body cannot be read: it is logged, and the next one is taken.
    fn take(&self, document: &Document) -> Result<(), LedgerError>;
}

/// Follows the changes of documents.
pub struct DocumentWatch {
    ledger: Arc<dyn Ledger>,
    followers: Vec<Arc<dyn Follower>>,
    /// The number of the last change that was taken; nothing before all were read once.
    seen: tokio::sync::Mutex<Option<u64>>,
}

impl DocumentWatch {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, followers: Vec<Arc<dyn Follower>>) -> Self {
        Self { ledger, followers, seen: tokio::sync::Mutex::default() }
    }

    /// Takes everything that is there, the first time, and what changed, later.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read; what was taken stays, and the next call goes on from there.
    pub async fn catch_up(&self) -> Result<(), LedgerError> {
        let mut seen = self.seen.lock().await;
        let mut last = match *seen {
            Some(last) => last,
            None => self.read_all().await?,
        };
        *seen = Some(last);
        loop {
            let changes = self.ledger.document_changes(last, limits::DOCUMENTS_PAGE).await?;
            let Some(newest) = changes.last() else { return Ok(()) };
            last = newest.number;
            for change in &changes {
                self.followers.iter().filter(|follower| follower.kind() == change.kind).for_each(
                    |follower| {
                        give(follower.as_ref(), change);
                    },
                );
            }
            *seen = Some(last);
        }
    }

    /// The number of a change that is surely covered by what was read.
    async fn read_all(&self) -> Result<u64, LedgerError> {
        let revision = self.ledger.documents_revision().await?;
        for follower in &self.followers {
            for document in self.ledger.all_documents(follower.kind()).await? {
                give(follower.as_ref(), &document);
            }
        }
        Ok(revision)
    }

    /// Catches up every [`FOLLOW_INTERVAL`] until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(FOLLOW_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut catching_up = Repeated::default();
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match self.catch_up().await {
                Err(error) if catching_up.failed(&error) => {
                    tracing::warn!(%error, "what staff changed elsewhere is not known yet");
                }
                Ok(()) if catching_up.went_well() => {
                    tracing::info!("what staff changed elsewhere is known again");
                }
                _ => {}
            }
        }
    }
}

fn give(follower: &dyn Follower, document: &Document) {
    if let Err(error) = follower.take(document) {
        tracing::error!(%error, "a document cannot be used");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::ledger::PutDocument;
    use crate::ledger::sqlite::SqliteLedger;

    #[derive(Default)]
    struct Seen(Mutex<Vec<(String, u64)>>);

    impl Follower for Seen {
        fn kind(&self) -> &'static str {
            "thing"
        }

        fn take(&self, document: &Document) -> Result<(), LedgerError> {
            self.0.lock().unwrap().push((document.id.clone(), document.revision));
            document.read::<String>().map(drop)
        }
    }

    #[tokio::test]
    async fn everything_is_taken_once_and_then_what_changed() {
        let folder = tempfile::tempdir().unwrap();
        let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(&folder.path().join("ledger.db")).unwrap());
        let seen = Arc::new(Seen::default());
        let watch = DocumentWatch::new(Arc::clone(&ledger), vec![Arc::clone(&seen) as Arc<dyn Follower>]);
        let put = async |kind, id: &str, expected| {
            let put = PutDocument::new(kind, id, expected, &"body", "ann").unwrap();
            ledger.put_document(put, 1).await.unwrap();
        };
        let taken = async || {
            watch.catch_up().await.unwrap();
            std::mem::take(&mut *seen.0.lock().unwrap())
        };
        put("thing", "a", 0).await;
        put("thing", "a", 1).await;
        put("other", "b", 0).await;
        assert_eq!(taken().await, [("a".to_owned(), 2)]);
        assert_eq!(taken().await, []);
        put("thing", "b", 0).await;
        let number = PutDocument::new("thing", "c", 0, &7, "ann").unwrap();
        ledger.put_document(number, 1).await.unwrap();
        put("thing", "a", 2).await;
        let all = [("b", 1), ("c", 1), ("a", 3)].map(|(id, revision)| (id.to_owned(), revision));
        assert_eq!(taken().await, all, "one that cannot be read does not stop the others");
    }
}
