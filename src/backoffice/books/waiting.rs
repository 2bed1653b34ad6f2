//! Movements of money that wait for another person who says the same: listed, and withdrawn.
//!
//! Owns which of them still wait. What is kept of each stands in [`super::agreed`].

use super::agreed::{KIND, Said};
use super::{Books, BooksError};
use crate::backoffice::access::Caller;
use crate::backoffice::admin_api::{MoneyWaits, WaitingList};
use crate::domain::ids::CampaignId;
use crate::ledger::postings::Account;
use crate::ledger::{Document, LedgerError};
use crate::limits;

impl Books {
    /// What waits in a campaign's books, of at most [`limits::MONEY_STEPS_PAGE`] that somebody said after the one with the id `after`.
    ///
    /// # Errors
    /// [`BooksError`].
    pub async fn waiting(&self, id: &str, after: Option<&str>) -> Result<WaitingList, BooksError> {
        let campaign = self.campaign(id).await?.campaign.id;
        let first = match after {
            None => place(&campaign, ""),
            Some(after) => place(&campaign, checked(after)?),
        };
        let rows = self.ledger().documents(KIND, &first, limits::MONEY_STEPS_PAGE).await?;
        let full = u32::try_from(rows.len()).is_ok_and(|rows| rows == limits::MONEY_STEPS_PAGE);
        let place = place(&campaign, "");
        let (mut waiting, mut last) = (Vec::new(), None);
        for row in &rows {
            let Some(id) = row.id.strip_prefix(&place) else {
                // Another campaign's: there is no more of this one.
                return Ok(WaitingList { waiting, next: None });
            };
            let said: Said = row.read()?;
            if self.still_waits(&campaign, &said).await? {
                waiting.push(said.view(id, row.changed_at_ms));
            }
            last = Some(id.to_owned());
        }
        Ok(WaitingList { waiting, next: last.filter(|_| full) })
    }

    /// Withdraws what waits: it is as if nobody had said it. Whoever may say such a thing may withdraw it.
    ///
    /// # Errors
    /// [`BooksError`]; it waits on then, or does not wait.
    pub async fn withdraw(&self, by: &Caller, id: &str, what: &str) -> Result<MoneyWaits, BooksError> {
        let campaign = self.campaign(id).await?.campaign.id;
        let id = place(&campaign, checked(what)?);
        for _ in 0..limits::DECISION_TRIES {
            let row = self.ledger().document(KIND, &id).await?;
            let said: Option<Said> = row.as_ref().map(Document::read).transpose()?;
            let Some((row, said)) = row.zip(said) else { return Err(waits_not(what)) };
            if !self.still_waits(&campaign, &said).await? {
                return Err(waits_not(what));
            }
            if let Some(other) = &said.again_by {
                // One of them may be having it noted at this moment.
                let what =
                    format!("{other} has said the same: have it noted by saying it again, then reverse it");
                return Err(BooksError::Refused(what));
            }
            match self.write(by, &id, row.revision, &said.clone().withdraw()).await {
                Err(BooksError::Ledger(LedgerError::StaleDocument { .. })) => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    tracing::info!(
                        campaign = campaign.as_str(),
                        "a movement of money that waited was withdrawn"
                    );
                    return Ok(said.view(&id, row.changed_at_ms));
                }
            }
        }
        Err(BooksError::Refused("others said something else meanwhile: look again".to_owned()))
    }

    /// Whether something that was said is neither in the books nor withdrawn.
    async fn still_waits(&self, campaign: &CampaignId, said: &Said) -> Result<bool, LedgerError> {
        if said.withdrawn {
            return Ok(false);
        }
        if let Some(step) = said.reverses {
            let moved = self.ledger().money_move(campaign, step).await?;
            return Ok(moved.is_some_and(|moved| moved.contra.is_none()));
        }
        let account = |name: &str| {
            Account::parse(name).ok_or_else(|| LedgerError::Corrupt(format!("account {name:?}")))
        };
        let (from, to) = (account(&said.from)?, account(&said.to)?);
        Ok(match self.ledger().noted(campaign, &from, &to, &said.reference).await? {
            None => true,
            Some(noted) => noted.contra.is_some() && noted.contra == said.after,
        })
    }
}

/// The id of a document, or what all of a campaign's begin with.
fn place(campaign: &CampaignId, id: &str) -> String {
    format!("{campaign}/{id}")
}

fn checked(id: &str) -> Result<&str, BooksError> {
    let fits = (1..=limits::DOCUMENT_ID_BYTES_MAX).contains(&id.len());
    if fits && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(id);
    }
    Err(BooksError::Invalid("id: it must be that of something that waits".to_owned()))
}

fn waits_not(id: &str) -> BooksError {
    BooksError::Refused(format!("nothing waits by {id}: it is in the books, or was withdrawn"))
}
