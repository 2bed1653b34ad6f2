//! Journal entries that the drain has put in quarantine, and what staff found of them.
//!
//! Owns what is kept of that, as documents under the audit chain: an entry that somebody has looked at is settled, and the
//! audit counts it and calls nothing broken for it. The entry itself stays where it is, and so does what was found.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::access::Caller;
use super::admin_api::{EntryView, QuarantineList};
use super::decision::checked;
use crate::clock::{Clock, rfc3339};
use crate::ledger::{
    Document, DocumentFlaw, Ledger, LedgerError, PutDocument, QUARANTINE_NOTE, Quarantined, cut,
};
use crate::limits;

/// The kind of document that says what was found of an entry.
pub const KIND: &str = QUARANTINE_NOTE;

/// What is kept of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    /// Where the entry stood: shard and id.
    entry: String,
    note: String,
}

/// Why an entry was not settled.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// There is none of that number.
    #[error("there is no entry {0} in quarantine")]
    Unknown(u64),
    /// What is said of it is no text that can be kept.
    #[error("{0}")]
    Invalid(String),
    /// The ledger failed, or somebody else settled it at the same time.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<DocumentFlaw> for QuarantineError {
    fn from(flaw: DocumentFlaw) -> Self {
        Self::Invalid(flaw.to_string())
    }
}

/// Lists and settles entries.
pub struct Quarantine {
    ledger: Arc<dyn Ledger>,
    clock: Clock,
}

impl Quarantine {
    /// That of this ledger.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, clock: Clock) -> Self {
        Self { ledger, clock }
    }

    /// Entries after number `after`, at most [`limits::QUARANTINE_PAGE`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn list(&self, after: u64) -> Result<QuarantineList, LedgerError> {
        let mut entries = Vec::new();
        for kept in self.ledger.quarantine(after, limits::QUARANTINE_PAGE).await? {
            let said = self.ledger.document(KIND, &kept.number.to_string()).await?;
            entries.push(view(&kept, said.as_ref())?);
        }
        Ok(QuarantineList { entries })
    }

    /// Keeps what was found of an entry. One that was settled before stays as it is and is given.
    ///
    /// # Errors
    /// [`QuarantineError`].
    pub async fn settle(&self, by: &Caller, number: u64, note: &str) -> Result<EntryView, QuarantineError> {
        let note =
            checked("note", note, limits::DECISION_REASON_BYTES_MAX).map_err(QuarantineError::Invalid)?;
        let before = number.checked_sub(1).ok_or(QuarantineError::Unknown(number))?;
        let kept = self.ledger.quarantine(before, 1).await?.into_iter().find(|kept| kept.number == number);
        let kept = kept.ok_or(QuarantineError::Unknown(number))?;
        let id = number.to_string();
        if let Some(said) = self.ledger.document(KIND, &id).await? {
            return Ok(view(&kept, Some(&said))?);
        }
        let found = Found { entry: place(&kept), note };
        let put = PutDocument::new(KIND, id, 0, &found, by.actor.to_string())?;
        let said = self.ledger.put_document(put, self.clock.now_ms()).await?;
        tracing::info!(entry = number, "an entry in quarantine was settled");
        Ok(view(&kept, Some(&said))?)
    }
}

/// What staff have said of all entries.
pub(super) struct Settled {
    /// Which entry is meant, by its number.
    places: BTreeMap<u64, String>,
}

impl Settled {
    /// Reads it.
    pub(super) async fn read(ledger: &dyn Ledger) -> Result<Self, LedgerError> {
        let mut places = BTreeMap::new();
        for said in ledger.all_documents(KIND).await? {
            let found: Found = said.read()?;
            let number = said.id.parse().map_err(|_| {
                LedgerError::Corrupt(format!("{KIND} {:?} is no number of an entry", said.id))
            })?;
            places.insert(number, found.entry);
        }
        Ok(Self { places })
    }

    /// Whether somebody has looked at this entry.
    pub(super) fn has(&self, kept: &Quarantined) -> bool {
        self.places.get(&kept.number).is_some_and(|entry| *entry == place(kept))
    }
}

fn place(kept: &Quarantined) -> String {
    format!("{} {}", kept.shard, kept.id)
}

fn view(kept: &Quarantined, said: Option<&Document>) -> Result<EntryView, LedgerError> {
    let found: Option<Found> = said.map(Document::read).transpose()?;
    Ok(EntryView {
        number: kept.number,
        shard: kept.shard.to_string(),
        journal_id: kept.id.to_string(),
        reason: kept.poison.reason.clone(),
        raw: cut(&kept.poison.raw, limits::QUARANTINE_SHOWN_BYTES).to_owned(),
        settled_at: said.map(|said| rfc3339(said.changed_at_ms)),
        settled_by: said.map(|said| said.actor.clone()),
        note: found.map(|found| found.note),
    })
}
