//! With `approval = "two-person"` nobody moves money in the books alone: one says it, and another one says the same.
//!
//! Owns what is kept of that, a document for each movement by its accounts and its reference, and who has to speak next. Nothing of
//! it is in the books before both have spoken; whoever spoke first may say another amount until then.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::notes::Wanted;
use super::{Books, BooksError};
use crate::backoffice::access::Caller;
use crate::domain::access::Actor;
use crate::domain::money::Fen;
use crate::ledger::{Document, DocumentFlaw, LedgerError, PutDocument};
use crate::limits;

/// The kind of document that says who wants a movement of money noted.
const KIND: &str = "money";

/// How a movement stands once somebody has spoken.
pub(super) enum Agreed {
    /// It waits for another person.
    Waits,
    /// Both have spoken: who the other one is, and the document that says so.
    Both { other: Actor, row: Document },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    campaign: String,
    from: String,
    to: String,
    amount: Fen,
    reference: String,
    by: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    again_by: Option<Actor>,
}

impl From<DocumentFlaw> for BooksError {
    fn from(flaw: DocumentFlaw) -> Self {
        Self::Invalid(flaw.to_string())
    }
}

impl Books {
    /// Takes what somebody says of a movement.
    ///
    /// # Errors
    /// [`BooksError::Refused`] where it is not what the first one said.
    pub(super) async fn hear(&self, by: &Caller, wanted: &Wanted<'_>) -> Result<Agreed, BooksError> {
        let id = id_of(wanted);
        for _ in 0..limits::DECISION_TRIES {
            let row = self.ledger().document(KIND, &id).await?;
            let before: Option<Said> = row.as_ref().map(Document::read).transpose()?;
            let revision = row.as_ref().map_or(0, |row| row.revision);
            let said = match (before, row) {
                (Some(said), _) if said.again_by.is_none() && said.by.is_same_as(&by.actor) => {
                    if said.amount == wanted.amount {
                        return Ok(Agreed::Waits);
                    }
                    said_first(by, wanted)
                }
                (Some(said), _) if said.amount != wanted.amount => return Err(other_amount(&said)),
                (Some(Said { by: first, again_by: Some(second), .. }), Some(row)) => {
                    let other = if first.is_same_as(&by.actor) { second } else { first };
                    return Ok(Agreed::Both { other, row });
                }
                (Some(said), _) => Said { again_by: Some(by.actor.clone()), ..said },
                (None, _) => said_first(by, wanted),
            };
            match self.write(by, &id, revision, &said).await {
                Err(BooksError::Ledger(LedgerError::StaleDocument { .. })) => {}
                Err(error) => return Err(error),
                Ok(_) if said.again_by.is_none() => return Ok(Agreed::Waits),
                Ok(row) => return Ok(Agreed::Both { other: said.by, row }),
            }
        }
        Err(BooksError::Refused("others said something else meanwhile: look again".to_owned()))
    }

    /// Takes the second one's word back, as the books refuse it: the first one may say another amount.
    pub(super) async fn unhear(&self, by: &Caller, row: &Document) -> Result<(), BooksError> {
        let said = Said { again_by: None, ..row.read()? };
        match self.write(by, &row.id, row.revision, &said).await {
            // Others have spoken meanwhile.
            Ok(_) | Err(BooksError::Ledger(LedgerError::StaleDocument { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn write(&self, by: &Caller, id: &str, revision: u64, said: &Said) -> Result<Document, BooksError> {
        let put = PutDocument::new(KIND, id, revision, said, by.actor.to_string())?;
        Ok(self.ledger().put_document(put, self.campaigns.clock.now_ms()).await?)
    }
}

/// By what a movement is known: the campaign and a digest of the accounts and the reference, by which the books take it once.
fn id_of(wanted: &Wanted<'_>) -> String {
    let parts = [&*wanted.from.name(), &*wanted.to.name(), wanted.reference()].join("\n");
    let digest: [u8; 32] = Sha256::digest(parts).into();
    let half = digest.first_chunk::<16>().map_or(&digest[..], |half| &half[..]);
    format!("{}/{}", wanted.campaign, HEXLOWER.encode(half))
}

fn said_first(by: &Caller, wanted: &Wanted<'_>) -> Said {
    Said {
        campaign: wanted.campaign.to_string(),
        from: wanted.from.name().into_owned(),
        to: wanted.to.name().into_owned(),
        amount: wanted.amount,
        reference: wanted.reference().to_owned(),
        by: by.actor.clone(),
        again_by: None,
    }
}

fn other_amount(said: &Said) -> BooksError {
    let Said { amount, reference, by, .. } = said;
    BooksError::Refused(format!(
        "two persons have to say the same: {by} said {amount} by reference {reference}"
    ))
}
