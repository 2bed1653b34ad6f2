//! API keys, and who calls: the admin token, or a key with a role.
//!
//! Owns the keys' documents and what is known of them in memory, so that a call is judged without asking the ledger. A
//! key's secret is shown once and never stored; its hash is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dashmap::DashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::documents::Follower;
use super::merchants;
use crate::clock::{Clock, UnixMs, rfc3339};
use crate::domain::access::{Actor, KeyHash, KeyText, Permission, Role, check_name};
use crate::domain::merchant::check_id;
use crate::infile;
use crate::ledger::{Document, DocumentFlaw, Ledger, LedgerError, PutDocument};
use crate::limits;

/// The kind of document that holds a key.
pub const KIND: &str = "key";

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What they may do.
    pub role: Role,
    /// As the audit chain names them.
    pub actor: Actor,
    /// For [`Role::Merchant`]: the merchant.
    pub merchant: Option<String>,
}

impl Caller {
    /// Whoever holds the admin token.
    #[must_use]
    pub fn admin() -> Self {
        Self { role: Role::Admin, actor: Actor::admin_token(), merchant: None }
    }
}

/// Why a caller is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No token or key, or none that is good.
    #[error("no valid token or key")]
    Unknown,
    /// The file with the admin token cannot be read.
    #[error("the admin token cannot be read")]
    TokenUnreadable,
}

/// Why a key was not added or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is none of that id.
    #[error("there is no key {0:?}")]
    Unknown(String),
    /// It cannot be so.
    #[error("{0}")]
    Refused(String),
    /// The caller may not.
    #[error("a {0} may manage keys of merchants alone")]
    Forbidden(Role),
    /// The ledger failed, or somebody else changed the key at the same time.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<DocumentFlaw> for KeyError {
    fn from(flaw: DocumentFlaw) -> Self {
        Self::Refused(flaw.to_string())
    }
}

/// What is stored of a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyBody {
    role: Role,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    merchant: Option<String>,
    /// Of the present secret; nothing once it is revoked.
    hash: Option<KeyHash>,
    /// Of the secret before, and until when it is good too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    old: Option<(KeyHash, UnixMs)>,
    made_at_ms: UnixMs,
    made_by: Actor,
}

/// A key as staff see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyView {
    /// The public part.
    pub id: String,
    /// What it may do.
    pub role: Role,
    /// Whose it is.
    pub name: String,
    /// For merchants' keys: which merchant's.
    pub merchant: Option<String>,
    /// `active` or `revoked`.
    pub state: String,
    /// When it was added.
    pub made_at: String,
    /// Who added it.
    pub made_by: String,
    /// Until when the secret before the last rotation is good too.
    pub old_until: Option<String>,
}

struct Known {
    revision: u64,
    body: Arc<KeyBody>,
}

/// Who may call, and who calls.
pub struct Access {
    ledger: Arc<dyn Ledger>,
    keys: DashMap<String, Known>,
    /// The file with the tokens that may do everything, one a line: the old one stays beside the new one for a while.
    token_path: PathBuf,
    clock: Clock,
}

impl Access {
    /// Knows no key yet: see [`super::documents::DocumentWatch`].
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, token_path: PathBuf, clock: Clock) -> Self {
        Self { ledger, keys: DashMap::new(), token_path, clock }
    }

    /// Who calls with this bearer token: an admin token or a key. Reads a small file for what is no key.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn caller(&self, bearer: &str) -> Result<Caller, Denied> {
        match KeyText::parse(bearer) {
            Some(key) => self.key_caller(&key),
            None => is_admin_token(&self.token_path, bearer).map(|()| Caller::admin()),
        }
    }

    /// The merchant whose key this is, from memory alone: for the public listener.
    ///
    /// # Errors
    /// [`Denied::Unknown`], for keys of other roles too.
    pub fn merchant(&self, bearer: &str) -> Result<Caller, Denied> {
        let key = KeyText::parse(bearer).ok_or(Denied::Unknown)?;
        let caller = self.key_caller(&key)?;
        if caller.role == Role::Merchant { Ok(caller) } else { Err(Denied::Unknown) }
    }

    fn key_caller(&self, key: &KeyText) -> Result<Caller, Denied> {
        let given = key.hash();
        let body = self.keys.get(key.id()).map(|known| Arc::clone(&known.body)).ok_or(Denied::Unknown)?;
        let present = body.hash.as_ref().is_some_and(|hash| *hash == given);
        let old =
            body.old.as_ref().is_some_and(|(hash, until)| *hash == given && self.clock.now_ms() < *until);
        if !present && !old {
            return Err(Denied::Unknown);
        }
        let actor = Actor { key: Some(key.id().to_owned()), name: body.name.clone() };
        Ok(Caller { role: body.role, actor, merchant: body.merchant.clone() })
    }

    /// Adds a key, and gives its text, which nobody can learn again.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn add(
        &self,
        by: &Caller,
        role: Role,
        name: &str,
        merchant: Option<String>,
    ) -> Result<(KeyView, KeyText), KeyError> {
        may_manage(by, role)?;
        check_name(name).map_err(KeyError::Refused)?;
        match (role, &merchant) {
            (Role::Admin, _) => return Err(KeyError::Refused("no key has the role admin".to_owned())),
            (Role::Merchant, None) => {
                return Err(KeyError::Refused("a merchant's key names its merchant".to_owned()));
            }
            (Role::Merchant, Some(_)) | (_, None) => {}
            (_, Some(_)) => {
                return Err(KeyError::Refused("a merchant goes with the role merchant alone".to_owned()));
            }
        }
        // What no merchant is called is none, whatever the ledger would say of such an id.
        if let Some(id) = &merchant
            && (check_id(id).is_err() || self.ledger.document(merchants::KIND, id).await?.is_none())
        {
            return Err(KeyError::Refused(format!("there is no merchant {id:?}")));
        }
        if self.keys.len() >= limits::KEYS_MAX {
            return Err(KeyError::Refused(format!("there are {} keys already", limits::KEYS_MAX)));
        }
        let key = KeyText::random();
        let body = KeyBody {
            role,
            name: name.to_owned(),
            merchant,
            hash: Some(key.hash()),
            old: None,
            made_at_ms: self.clock.now_ms(),
            made_by: by.actor.clone(),
        };
        Ok((self.write(by, key.id(), 0, &body).await?, key))
    }

    /// Gives a key a new secret; the one before is good for `overlap_ms` more.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn rotate(
        &self,
        by: &Caller,
        id: &str,
        overlap_ms: UnixMs,
    ) -> Result<(KeyView, KeyText), KeyError> {
        let (revision, mut body) = self.stored(id).await?;
        may_manage(by, body.role)?;
        let Some(hash) = body.hash.take() else {
            return Err(KeyError::Refused(format!("key {id} is revoked: add another one")));
        };
        let overlap_max_ms = i64::try_from(limits::KEY_OVERLAP_MAX.as_millis()).unwrap_or(i64::MAX);
        if !(0..=overlap_max_ms).contains(&overlap_ms) {
            let max_s = limits::KEY_OVERLAP_MAX.as_secs();
            return Err(KeyError::Refused(format!("the overlap must be 0 to {max_s} seconds")));
        }
        let key = KeyText::random_for(id.to_owned());
        let until_ms = self.clock.now_ms().saturating_add(overlap_ms);
        body.old = (overlap_ms > 0).then_some((hash, until_ms));
        body.hash = Some(key.hash());
        Ok((self.write(by, id, revision, &body).await?, key))
    }

    /// Ends a key, here at once and at other front ends as soon as they look. One that is revoked stays so.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn revoke(&self, by: &Caller, id: &str) -> Result<KeyView, KeyError> {
        let (revision, mut body) = self.stored(id).await?;
        may_manage(by, body.role)?;
        if body.hash.is_none() {
            return Ok(view(id, &body, self.clock.now_ms()));
        }
        (body.hash, body.old) = (None, None);
        self.write(by, id, revision, &body).await
    }

    /// Every key, in order of their ids.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn list(&self) -> Result<Vec<KeyView>, LedgerError> {
        let now_ms = self.clock.now_ms();
        let rows = self.ledger.all_documents(KIND).await?;
        rows.iter().map(|row| Ok(view(&row.id, &row.read()?, now_ms))).collect()
    }

    async fn stored(&self, id: &str) -> Result<(u64, KeyBody), KeyError> {
        let row = self.ledger.document(KIND, id).await?.ok_or_else(|| KeyError::Unknown(id.to_owned()))?;
        Ok((row.revision, row.read()?))
    }

    async fn write(&self, by: &Caller, id: &str, expected: u64, body: &KeyBody) -> Result<KeyView, KeyError> {
        let put = PutDocument::new(KIND, id, expected, body, by.actor.to_string())?;
        let row = self.ledger.put_document(put, self.clock.now_ms()).await?;
        self.take(&row)?;
        Ok(view(id, body, self.clock.now_ms()))
    }
}

impl Follower for Access {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn take(&self, document: &Document) -> Result<(), LedgerError> {
        let body = document.read::<KeyBody>().inspect_err(|_| {
            // Whatever it says now, it may be that the key is revoked.
            self.keys.remove(&document.id);
        })?;
        let known = Known { revision: document.revision, body: Arc::new(body) };
        let mut entry = self
            .keys
            .entry(document.id.clone())
            .or_insert_with(|| Known { revision: 0, body: Arc::clone(&known.body) });
        if entry.revision < known.revision {
            *entry = known;
        }
        Ok(())
    }
}

fn may_manage(by: &Caller, role: Role) -> Result<(), KeyError> {
    let needed = if role == Role::Merchant { Permission::ManageMerchantKeys } else { Permission::ManageKeys };
    if by.role.may(needed) { Ok(()) } else { Err(KeyError::Forbidden(by.role)) }
}

fn view(id: &str, body: &KeyBody, now_ms: UnixMs) -> KeyView {
    let old_until = body.old.as_ref().map(|(_, until_ms)| *until_ms).filter(|until_ms| now_ms < *until_ms);
    KeyView {
        id: id.to_owned(),
        role: body.role,
        name: body.name.clone(),
        merchant: body.merchant.clone(),
        state: if body.hash.is_some() { "active" } else { "revoked" }.to_owned(),
        made_at: rfc3339(body.made_at_ms),
        made_by: body.made_by.to_string(),
        old_until: old_until.map(rfc3339),
    }
}

/// A few bytes, read as seldom as staff ask: so a token can be changed without a restart.
fn is_admin_token(path: &Path, given: &str) -> Result<(), Denied> {
    let tokens = infile::read_text(path, limits::TOKEN_FILE_BYTES_MAX as u64).map_err(|error| {
        tracing::error!(%error, "the admin token cannot be read");
        Denied::TokenUnreadable
    })?;
    let good = |token: &str| !token.is_empty() && bool::from(given.as_bytes().ct_eq(token.as_bytes()));
    if tokens.lines().map(str::trim).any(good) { Ok(()) } else { Err(Denied::Unknown) }
}

#[cfg(test)]
mod tests;
