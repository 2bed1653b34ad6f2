//! Documents: what staff keep beside claims and money, such as API keys, merchants, drafts of campaigns, bans.
//!
//! Owns the generic, audited form of it: a body of JSON under (kind, id), of which every revision is kept. What a body
//! means is its kind's business; nothing here reads one. Each change is a row of its own, numbered 1, 2, 3 … over the
//! ledger's life, with a record in the audit chain. So the last number tells cheaply whether anything changed, and
//! whoever keeps documents in memory reads what changed since the number that they know.

use std::collections::BTreeMap;

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::LedgerError;
use super::chain::Content;
use crate::clock::UnixMs;
use crate::limits;

/// The kind of document that says what staff found of an entry in quarantine: its id is the entry's number.
pub const QUARANTINE_NOTE: &str = "quarantine";

/// Entries in quarantine of which no such document speaks.
pub(super) const QUARANTINE_OPEN: &str = "SELECT count(*) FROM quarantine q WHERE NOT EXISTS \
     (SELECT 1 FROM document d WHERE d.kind = 'quarantine' AND d.id = CAST(q.number AS text))";

/// One revision of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The number of this change among those of all documents.
    pub number: u64,
    /// What kind of document it is.
    pub kind: String,
    /// Which one of its kind.
    pub id: String,
    /// 1 for a new document, one more with each change.
    pub revision: u64,
    /// JSON.
    pub body: String,
    /// Who wrote this revision.
    pub actor: String,
    /// When.
    pub changed_at_ms: UnixMs,
}

impl Document {
    /// The body as its kind's type.
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`] when it is not of that type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, LedgerError> {
        serde_json::from_str(&self.body).map_err(|error| {
            LedgerError::Corrupt(format!("{} {:?}, revision {}: {error}", self.kind, self.id, self.revision))
        })
    }

    /// Digest of the row, lower-case hex: SHA-256 of a JSON array of its columns.
    ///
    /// # Errors
    /// None in practice: every row has a JSON form.
    pub(super) fn digest(&self) -> Result<String, serde_json::Error> {
        let Self { number, kind, id, revision, body, actor, changed_at_ms } = self;
        let columns = (number, kind, id, revision, body, actor, changed_at_ms);
        Ok(HEXLOWER.encode(&Sha256::digest(serde_json::to_vec(&columns)?)))
    }
}

/// What is wrong with a document that is to be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {id:?} cannot be kept: {what}")]
pub struct DocumentFlaw {
    kind: &'static str,
    id: String,
    what: String,
}

/// A document that is to be written, within all bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutDocument {
    kind: &'static str,
    id: String,
    expected: u64,
    body: String,
    actor: String,
}

impl PutDocument {
    /// A new revision of (`kind`, `id`) by `actor`, to follow revision `expected`: 0 for a document that is new.
    ///
    /// # Errors
    /// [`DocumentFlaw`] when a part is empty, too long or has letters that do not belong there.
    pub fn new(
        kind: &'static str,
        id: impl Into<String>,
        expected: u64,
        body: &impl Serialize,
        actor: impl Into<String>,
    ) -> Result<Self, DocumentFlaw> {
        let (id, actor) = (id.into(), actor.into());
        let flaw = |what: String| DocumentFlaw { kind, id: id.clone(), what };
        let named = |what: &str, text: &str, bytes_max: usize| {
            if text.is_empty() || text.len() > bytes_max || text.chars().any(char::is_control) {
                let need = format!("its {what} must have 1 to {bytes_max} bytes and no control characters");
                return Err(flaw(need));
            }
            Ok(())
        };
        named("kind", kind, limits::DOCUMENT_KIND_BYTES_MAX)?;
        named("id", &id, limits::DOCUMENT_ID_BYTES_MAX)?;
        named("actor", &actor, limits::ACTOR_BYTES_MAX)?;
        let body = serde_json::to_string(body).map_err(|error| flaw(error.to_string()))?;
        if body.len() > limits::DOCUMENT_BYTES_MAX {
            let (has, max) = (body.len(), limits::DOCUMENT_BYTES_MAX);
            return Err(flaw(format!("it has {has} bytes, at most {max} are taken")));
        }
        Ok(Self { kind, id, expected, body, actor })
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The row that follows `before`, and its audit record.
    ///
    /// # Errors
    /// [`LedgerError::StaleDocument`] when `before` is not of the expected revision.
    pub(super) fn after(
        self,
        before: Option<&Document>,
        number: u64,
        now_ms: UnixMs,
    ) -> Result<(Document, Content), LedgerError> {
        let Self { kind, id, expected, body, actor } = self;
        let found = before.map_or(0, |before| before.revision);
        if found != expected {
            return Err(LedgerError::StaleDocument { kind: kind.to_owned(), id, expected, found });
        }
        let revision = found.saturating_add(1);
        let row =
            Document { number, kind: kind.to_owned(), id, revision, body, actor, changed_at_ms: now_ms };
        let digest = |row: &Document| row.digest().map_err(|error| LedgerError::Corrupt(error.to_string()));
        let content = Content::Document {
            number,
            kind: row.kind.clone(),
            id: row.id.clone(),
            revision,
            before: before.map(digest).transpose()?,
            after: digest(&row)?,
        };
        Ok((row, content))
    }
}

/// The part of a [`super::Ledger`] that keeps documents.
///
/// # Errors
/// As [`super::Ledger`]; further errors are named at the method.
#[async_trait]
pub trait Documents: Send + Sync + 'static {
    /// Writes documents, all in one transaction: each is audited, all or none are written. The rows as they stand now.
    ///
    /// # Errors
    /// [`LedgerError::StaleDocument`] for the first one that somebody else changed meanwhile.
    async fn put_documents(
        &self,
        puts: Vec<PutDocument>,
        now_ms: UnixMs,
    ) -> Result<Vec<Document>, LedgerError>;

    /// The last revision of a document.
    async fn document(&self, kind: &str, id: &str) -> Result<Option<Document>, LedgerError>;

    /// The last revisions of the documents of a kind, in order of their ids, after id `after` (empty for the first), at
    /// most `limit`.
    async fn documents(&self, kind: &str, after: &str, limit: u32) -> Result<Vec<Document>, LedgerError>;

    /// Every revision of a document before revision `before`, the last one first, at most `limit`.
    async fn document_history(
        &self,
        kind: &str,
        id: &str,
        before: u64,
        limit: u32,
    ) -> Result<Vec<Document>, LedgerError>;

    /// The number of the last change of any document; 0 where there is none. Cheap, for polling.
    async fn documents_revision(&self) -> Result<u64, LedgerError>;

    /// Changes after number `after`, of documents of any kind, in order, at most `limit`.
    async fn document_changes(&self, after: u64, limit: u32) -> Result<Vec<Document>, LedgerError>;

    /// Writes one document: see [`Documents::put_documents`].
    async fn put_document(&self, put: PutDocument, now_ms: UnixMs) -> Result<Document, LedgerError> {
        let row = self.put_documents(vec![put], now_ms).await?.pop();
        row.ok_or_else(|| LedgerError::Corrupt("a document was written and is not there".to_owned()))
    }

    /// Every document of a kind, read page by page.
    async fn all_documents(&self, kind: &str) -> Result<Vec<Document>, LedgerError> {
        let mut all: Vec<Document> = Vec::new();
        loop {
            let after = all.last().map_or("", |last| last.id.as_str());
            let page = self.documents(kind, after, limits::DOCUMENTS_PAGE).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }
}

/// What the records so far have said of documents.
#[derive(Debug, Default)]
pub(super) struct DocumentTestimony {
    /// How many changes.
    count: u64,
    /// Revision and digest of each document.
    last: BTreeMap<(String, String), (u64, String)>,
}

impl DocumentTestimony {
    /// Takes the next record's words; the number and digest of the row that must stand there.
    ///
    /// # Errors
    /// What is wrong with the record itself.
    pub(super) fn take(
        &mut self,
        (kind, id): (&str, &str),
        (number, revision): (u64, u64),
        (before, after): (Option<&String>, &str),
    ) -> Result<(), String> {
        self.count = self.count.saturating_add(1);
        if number != self.count {
            return Err("its document does not follow that of the record before".to_owned());
        }
        let known = self.last.get(&(kind.to_owned(), id.to_owned()));
        let follows = known.map_or(0, |(revision, _)| *revision).saturating_add(1) == revision;
        if !follows || known.map(|(_, digest)| digest) != before {
            return Err(format!("{kind} {id:?} was not what it is said to have been"));
        }
        self.last.insert((kind.to_owned(), id.to_owned()), (revision, after.to_owned()));
        Ok(())
    }

    /// How many changes the records cover.
    pub(super) fn count(&self) -> u64 {
        self.count
    }
}

/// What is wrong with the row of a change, if anything: `found` is its digest, nothing where there is no row.
pub(super) fn document_differs(number: u64, sha256: &str, found: Option<&str>) -> Option<String> {
    match found {
        None => Some(format!("document change {number} is missing")),
        Some(found) => {
            (found != sha256).then(|| format!("document change {number} is not what was recorded"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_kept_is_refused_by_name() {
        let put = |id: &str, body: &str, actor: &str| PutDocument::new("thing", id, 0, &body, actor);
        assert!(put("a", "x", "ann").is_ok());
        let long = "x".repeat(limits::DOCUMENT_BYTES_MAX);
        for (id, body, actor, what) in [
            ("", "x", "ann", "its id must have"),
            ("a\nb", "x", "ann", "its id must have"),
            ("a", "x", "", "its actor must have"),
            ("a", long.as_str(), "ann", "bytes, at most"),
        ] {
            let flaw = put(id, body, actor).unwrap_err().to_string();
            assert!(flaw.contains(what), "{flaw}");
        }
        assert!(put(&"i".repeat(limits::DOCUMENT_ID_BYTES_MAX + 1), "x", "ann").is_err());
    }

    #[test]
    fn a_record_that_does_not_follow_is_named() {
        let digest = "00".to_owned();
        let mut testimony = DocumentTestimony::default();
        assert_eq!(testimony.take(("k", "a"), (1, 1), (None, &digest)), Ok(()));
        assert!(testimony.take(("k", "a"), (3, 2), (Some(&digest), "01")).is_err(), "a number is missing");
        let mut testimony = DocumentTestimony::default();
        testimony.take(("k", "a"), (1, 1), (None, &digest)).unwrap();
        assert!(testimony.take(("k", "a"), (2, 2), (None, "01")).is_err(), "it was something before");
        let mut testimony = DocumentTestimony::default();
        assert!(testimony.take(("k", "a"), (1, 2), (None, "01")).is_err(), "nothing begins at 2");
    }
}
