//! With `approval = "two-person"` nobody moves money in the books alone: one says it, and another one says the same.
//!
//! Owns what is kept of that, a document for each movement by its accounts and its reference, and who has to speak next. Nothing of
//! it is in the books before both have spoken; whoever spoke first may say another amount until then. A movement that was reversed
//! and is to be noted again by its reference is another one: what two persons said of the first says nothing of it.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::notes::Wanted;
use super::{Books, BooksError};
use crate::backoffice::access::Caller;
use crate::backoffice::admin_api::MoneyWaits;
use crate::clock::{UnixMs, rfc3339};
use crate::domain::access::Actor;
use crate::domain::money::Fen;
use crate::ledger::{Document, DocumentFlaw, LedgerError, PutDocument};
use crate::limits;

/// The kind of document that says who wants a movement of money noted.
pub(super) const KIND: &str = "money";

/// How a movement stands once somebody has spoken.
pub(super) enum Agreed {
    /// It waits for another person.
    Waits(MoneyWaits),
    /// Both have spoken: who the other one is, and the document that says so.
    Both { other: Actor, row: Document },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    campaign: String,
    pub(super) from: String,
    pub(super) to: String,
    amount: Fen,
    pub(super) reference: String,
    /// The step that is to be reversed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reverses: Option<u64>,
    /// The reversal that has made the reference free again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<u64>,
    by: Actor,
    /// Why, and since when; an older version did not keep these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    said_at_ms: Option<UnixMs>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) again_by: Option<Actor>,
    /// Whether it was withdrawn, by whoever wrote this revision.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) withdrawn: bool,
}

impl Said {
    /// The same, withdrawn.
    pub(super) fn withdraw(self) -> Self {
        Self { withdrawn: true, ..self }
    }

    /// As staff see it. `changed_at_ms` is when its document was written last.
    pub(super) fn view(&self, id: &str, changed_at_ms: UnixMs) -> MoneyWaits {
        MoneyWaits {
            id: id.rsplit_once('/').map_or(id, |(_, id)| id).to_owned(),
            from: self.from.clone(),
            to: self.to.clone(),
            amount: self.amount.to_string(),
            reference: self.reference.clone(),
            reason: self.reason.clone(),
            reverses: self.reverses,
            said_by: self.by.to_string(),
            said_at: rfc3339(self.said_at_ms.unwrap_or(changed_at_ms)),
            also_said_by: self.again_by.as_ref().map(Actor::to_string),
        }
    }
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
        let (id, now_ms) = (id_of(wanted), self.campaigns.clock.now_ms());
        for _ in 0..limits::DECISION_TRIES {
            let row = self.ledger().document(KIND, &id).await?;
            let before: Option<Said> = row.as_ref().map(Document::read).transpose()?;
            let before = before.filter(|said| !said.withdrawn);
            let revision = row.as_ref().map_or(0, |row| row.revision);
            let said = match (before, row) {
                (Some(said), Some(row)) if said.again_by.is_none() && said.by.is_same_as(&by.actor) => {
                    if said.amount == wanted.amount {
                        return Ok(Agreed::Waits(said.view(&id, row.changed_at_ms)));
                    }
                    said_first(by, wanted, now_ms)
                }
                (Some(said), _) if said.amount != wanted.amount => return Err(other_amount(&said)),
                (Some(Said { by: first, again_by: Some(second), .. }), Some(row)) => {
                    let other = if first.is_same_as(&by.actor) { second } else { first };
                    return Ok(Agreed::Both { other, row });
                }
                (Some(said), _) => Said { again_by: Some(by.actor.clone()), ..said },
                (None, _) => said_first(by, wanted, now_ms),
            };
            match self.write(by, &id, revision, &said).await {
                Err(BooksError::Ledger(LedgerError::StaleDocument { .. })) => {}
                Err(error) => return Err(error),
                Ok(row) if said.again_by.is_none() => {
                    let campaign = wanted.campaign.as_str();
                    tracing::info!(
                        campaign,
                        "a movement of money waits for another person who says the same"
                    );
                    return Ok(Agreed::Waits(said.view(&id, row.changed_at_ms)));
                }
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

    pub(super) async fn write(
        &self,
        by: &Caller,
        id: &str,
        revision: u64,
        said: &Said,
    ) -> Result<Document, BooksError> {
        let put = PutDocument::new(KIND, id, revision, said, by.actor.to_string())?;
        Ok(self.ledger().put_document(put, self.campaigns.clock.now_ms()).await?)
    }
}

/// By what a movement is known: the campaign and a digest of the accounts and the reference, by which the books take it once; of
/// a reversal also of the step that it reverses, and of what is noted again of the reversal before it.
fn id_of(wanted: &Wanted<'_>) -> String {
    let mut parts = [&*wanted.from.name(), &*wanted.to.name(), wanted.reference()].join("\n");
    for (what, step) in [("reverses", wanted.reverses), ("after", wanted.after)] {
        parts.extend(step.map(|step| format!("\n{what} {step}")));
    }
    let digest: [u8; 32] = Sha256::digest(parts).into();
    let half = digest.first_chunk::<16>().map_or(&digest[..], |half| &half[..]);
    format!("{}/{}", wanted.campaign, HEXLOWER.encode(half))
}

fn said_first(by: &Caller, wanted: &Wanted<'_>, now_ms: UnixMs) -> Said {
    Said {
        campaign: wanted.campaign.to_string(),
        from: wanted.from.name().into_owned(),
        to: wanted.to.name().into_owned(),
        amount: wanted.amount,
        reference: wanted.reference().to_owned(),
        reverses: wanted.reverses,
        after: wanted.after,
        by: by.actor.clone(),
        reason: Some(wanted.reason().to_owned()),
        said_at_ms: Some(now_ms),
        again_by: None,
        withdrawn: false,
    }
}

fn other_amount(said: &Said) -> BooksError {
    let Said { amount, reference, by, .. } = said;
    BooksError::Refused(format!(
        "two persons have to say the same: {by} said {amount} by reference {reference}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_version_kept_is_read() {
        let text = r#"{"campaign":"c","from":"payable:m","to":"settled","amount":60,"reference":"r",
                       "by":{"key":"01","name":"Ann"}}"#;
        let said: Said = serde_json::from_str(text).unwrap();
        let waits = said.view("c/00ff", 0);
        assert_eq!((waits.id.as_str(), waits.amount.as_str(), waits.reason), ("00ff", "0.60", None));
        assert_eq!((waits.said_by.as_str(), waits.said_at.get(..4)), ("Ann (crk_01)", Some("1970")));
        assert_eq!((said.reverses, said.after, said.withdrawn), (None, None, false));
    }
}
