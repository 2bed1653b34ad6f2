//! Merchants: entered from files, reviewed by somebody else, activated, suspended.
//!
//! Owns their documents, and what is known of them in memory, so that a redemption is judged without asking for its
//! merchant.

pub mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use dashmap::DashMap;

use self::file::{Flaw, Row};
use super::access::Caller;
use super::admin_api::{ImportReport, MerchantView};
use super::decision::checked;
use super::documents::Follower;
use crate::clock::{Clock, rfc3339};
use crate::config::Approval;
use crate::domain::access::Role;
use crate::domain::count::counted_of;
use crate::domain::merchant::{Categories, Merchant, Proposal, Shop, Step, StepError, check_id};
use crate::ledger::{Document, DocumentFlaw, Ledger, LedgerError, PutDocument};
use crate::limits;

/// The kind of document that holds a merchant.
pub const KIND: &str = "merchant";

/// Why nothing was done with a merchant.
#[derive(Debug, thiserror::Error)]
pub enum MerchantError {
    /// There is none of that id.
    #[error("there is no merchant {0:?}")]
    Unknown(String),
    /// What is said of it is no text that can be kept.
    #[error("{0}")]
    Invalid(String),
    /// It cannot be done.
    #[error("merchant {0}: {1}")]
    Refused(String, StepError),
    /// The file has flaws; nothing of it was entered.
    #[error("{}; nothing was entered", counted_of(.0.len(), "flaw", "flaws"))]
    Flaws(Vec<Flaw>),
    /// A bound would be passed.
    #[error("{0}")]
    TooMany(String),
    /// The ledger failed, or somebody else changed the merchant at the same time.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<DocumentFlaw> for MerchantError {
    fn from(flaw: DocumentFlaw) -> Self {
        Self::TooMany(flaw.to_string())
    }
}

#[derive(Clone)]
struct Known {
    revision: u64,
    merchant: Arc<Merchant>,
}

/// What is known of merchants, and what staff do with them.
pub struct Merchants {
    ledger: Arc<dyn Ledger>,
    known: DashMap<String, Known>,
    categories: Categories,
    approval: Approval,
    clock: Clock,
}

impl Merchants {
    /// Knows none yet: see [`super::documents::DocumentWatch`].
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, categories: Categories, approval: Approval, clock: Clock) -> Self {
        Self { ledger, known: DashMap::new(), categories, approval, clock }
    }

    /// A merchant as it stands, from memory.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Arc<Merchant>> {
        self.known.get(id).map(|known| Arc::clone(&known.merchant))
    }

    /// Enters what a file says, all of it or nothing; with `dry_run` says what would be entered.
    ///
    /// # Errors
    /// [`MerchantError::Flaws`] names every row and column that is wrong.
    pub async fn import(
        &self,
        by: &Caller,
        rows: Vec<Row>,
        dry_run: bool,
    ) -> Result<ImportReport, MerchantError> {
        let count = rows.len();
        let entered = file::gather(rows, &self.categories).map_err(MerchantError::Flaws)?;
        let mut report = ImportReport { rows: count, applied: !dry_run, ..ImportReport::default() };
        let mut puts = Vec::new();
        for (id, details) in entered {
            let known = self.known.get(&id).map(|known| known.value().clone());
            if known.as_ref().is_some_and(|known| known.merchant.latest() == Some(&details)) {
                report.unchanged += 1;
                continue;
            }
            let proposal = Proposal { details, by: by.actor.clone(), at_ms: self.clock.now_ms() };
            let (revision, merchant) = match known {
                None => (0, Merchant::applied(proposal)),
                Some(Known { revision, merchant }) => {
                    (revision, Merchant { proposed: Some(proposal), ..Merchant::clone(&merchant) })
                }
            };
            let place = if revision == 0 { &mut report.new } else { &mut report.changed };
            place.push(id.clone());
            puts.push(PutDocument::new(KIND, id, revision, &merchant, by.actor.to_string())?);
        }
        if self.known.len().saturating_add(report.new.len()) > limits::MERCHANTS_MAX {
            let max = limits::MERCHANTS_MAX;
            return Err(MerchantError::TooMany(format!("there would be more than {max} merchants")));
        }
        if !dry_run {
            for row in self.ledger.put_documents(puts, self.clock.now_ms()).await? {
                self.take(&row)?;
            }
        }
        Ok(report)
    }

    /// Finds what somebody else entered of a merchant good, as it was at the revision that `seen` names. Whoever may do
    /// without another person may do without one.
    ///
    /// # Errors
    /// [`MerchantError`].
    pub async fn review(
        &self,
        by: &Caller,
        id: &str,
        seen: Option<u64>,
    ) -> Result<MerchantView, MerchantError> {
        self.take_step(by, id, (Step::Review, None), seen).await
    }

    /// Takes a step with a merchant.
    ///
    /// # Errors
    /// [`MerchantError`].
    pub async fn step(
        &self,
        by: &Caller,
        id: &str,
        step: Step,
        reason: Option<String>,
    ) -> Result<MerchantView, MerchantError> {
        self.take_step(by, id, (step, reason), None).await
    }

    async fn take_step(
        &self,
        by: &Caller,
        id: &str,
        (step, reason): (Step, Option<String>),
        seen: Option<u64>,
    ) -> Result<MerchantView, MerchantError> {
        let unknown = || MerchantError::Unknown(id.to_owned());
        check_id(id).map_err(|_| unknown())?;
        let max = limits::RECEIPT_REASON_BYTES_MAX;
        let reason = reason.map(|reason| checked("reason", &reason, max)).transpose();
        let reason = reason.map_err(MerchantError::Invalid)?;
        let row = self.ledger.document(KIND, id).await?.ok_or_else(unknown)?;
        let merchant: Merchant = row.read()?;
        // In the embedded default the one who holds the admin token may be the only one there is.
        let alone = by.role == Role::Admin && self.approval == Approval::OneStep;
        let refused = |error| MerchantError::Refused(id.to_owned(), error);
        let next = merchant.after(step, &by.actor, alone, reason).map_err(refused)?;
        match seen {
            Some(seen) if seen != row.revision => return Err(refused(StepError::Changed(row.revision))),
            // Another file may have been entered since it was looked at.
            None if step == Step::Review && !alone => return Err(refused(StepError::Unseen)),
            _ => {}
        }
        let put = PutDocument::new(KIND, id, row.revision, &next, by.actor.to_string())?;
        let row = self.ledger.put_document(put, self.clock.now_ms()).await?;
        self.take(&row)?;
        Ok(view(&row, &next))
    }

    /// Merchants after id `after`, in order of their ids, at most [`limits::MERCHANTS_PAGE`].
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn list(&self, after: &str) -> Result<Vec<MerchantView>, LedgerError> {
        let rows = self.ledger.documents(KIND, after, limits::MERCHANTS_PAGE).await?;
        rows.iter().map(|row| Ok(view(row, &row.read()?))).collect()
    }

    /// One merchant.
    ///
    /// # Errors
    /// [`MerchantError`].
    pub async fn show(&self, id: &str) -> Result<MerchantView, MerchantError> {
        let row = self.ledger.document(KIND, id).await?;
        let row = row.ok_or_else(|| MerchantError::Unknown(id.to_owned()))?;
        Ok(view(&row, &row.read()?))
    }
}

impl Follower for Merchants {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn take(&self, document: &Document) -> Result<(), LedgerError> {
        let merchant = document.read::<Merchant>().inspect_err(|_| {
            // Whatever it says now, it may be that the merchant is suspended.
            self.known.remove(&document.id);
        })?;
        let known = Known { revision: document.revision, merchant: Arc::new(merchant) };
        let mut entry = self.known.entry(document.id.clone()).or_insert_with(|| known.clone());
        if entry.revision < known.revision {
            *entry = known;
        }
        Ok(())
    }
}

fn view(row: &Document, merchant: &Merchant) -> MerchantView {
    MerchantView {
        id: row.id.clone(),
        status: merchant.status,
        reason: merchant.reason.clone(),
        details: merchant.details.clone(),
        proposed: merchant.proposed.as_ref().map(|proposal| proposal.details.clone()),
        proposed_by: merchant.proposed.as_ref().map(|proposal| proposal.by.to_string()),
        revision: row.revision,
        changed_at: rfc3339(row.changed_at_ms),
        changed_by: row.actor.clone(),
    }
}

/// Shops in order of their ids.
fn in_order(shops: Vec<Shop>) -> Vec<Shop> {
    let by_id: BTreeMap<_, _> = shops.into_iter().map(|shop| (shop.id.clone(), shop)).collect();
    by_id.into_values().collect()
}
