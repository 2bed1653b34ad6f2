//! Bans: persons whom staff keep out by a call, with a reason and, where they say one, an end.
//!
//! Owns the documents of it, so that who banned whom, when, why and until when stands under the audit chain; and hands
//! what holds to the guard's memory, which is all that a claim looks at.

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::Caller;
use super::documents::Follower;
use crate::clock::{Clock, UnixMs, rfc3339};
use crate::domain::ids::check_person;
use crate::guard::blocked::Blocked;
use crate::ledger::{Document, DocumentFlaw, Ledger, LedgerError, PutDocument};
use crate::limits;

/// The kind of document that holds a ban; its id is the person.
pub const KIND: &str = "ban";

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum BanError {
    /// There is nothing to lift.
    #[error("{0} is not banned")]
    Unknown(String),
    /// It cannot be so.
    #[error("{0}")]
    Refused(String),
    /// The ledger failed, or somebody else changed the ban at the same time.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<DocumentFlaw> for BanError {
    fn from(flaw: DocumentFlaw) -> Self {
        Self::Refused(flaw.to_string())
    }
}

/// What is stored of a ban.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BanBody {
    reason: String,
    /// For ever without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_ms: Option<UnixMs>,
    banned_at_ms: UnixMs,
    banned_by: String,
    /// Whether it was lifted, by whoever wrote this revision.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    lifted: bool,
}

impl BanBody {
    /// The first instant at which the person is let in again.
    fn ends_at_ms(&self) -> UnixMs {
        if self.lifted { UnixMs::MIN } else { self.until_ms.unwrap_or(UnixMs::MAX) }
    }
}

/// A ban as staff see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BanView {
    /// Who.
    pub person: String,
    /// `active`, `expired` or `lifted`.
    pub state: String,
    /// Why.
    pub reason: String,
    /// Until when; for ever without it.
    pub until: Option<String>,
    /// When they were banned.
    pub banned_at: String,
    /// By whom.
    pub banned_by: String,
    /// When it was lifted.
    pub lifted_at: Option<String>,
    /// By whom.
    pub lifted_by: Option<String>,
}

/// A part of the bans, in order of their persons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BanList {
    /// The bans.
    pub bans: Vec<BanView>,
    /// What to ask for the part after this one with; nothing where there is none.
    pub next: Option<String>,
}

/// Bans and lifts.
pub struct Bans {
    ledger: Arc<dyn Ledger>,
    blocked: Blocked,
    clock: Clock,
}

impl Bans {
    /// Nobody is known to be banned yet: see [`super::documents::DocumentWatch`].
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, blocked: Blocked, clock: Clock) -> Self {
        Self { ledger, blocked, clock }
    }

    /// Bans a person, or gives a ban that is there another reason and end. Here it holds at once.
    ///
    /// # Errors
    /// [`BanError`].
    pub async fn add(
        &self,
        by: &Caller,
        person: &str,
        reason: &str,
        until: Option<&str>,
    ) -> Result<BanView, BanError> {
        check_person(person).map_err(|error| BanError::Refused(format!("person: {error}")))?;
        let reason = reason.trim();
        let max = limits::BAN_REASON_BYTES_MAX;
        if reason.is_empty() || reason.len() > max || reason.chars().any(char::is_control) {
            let what = format!("reason must have 1 to {max} bytes and no control characters");
            return Err(BanError::Refused(what));
        }
        let now_ms = self.clock.now_ms();
        let until_ms = until.map(|until| instant(until, now_ms)).transpose()?;
        let before = self.ledger.document(KIND, person).await?;
        if before.is_none() && self.blocked.bans() >= limits::BLOCKED_MAX {
            return Err(BanError::Refused(format!("there are {} bans already", limits::BLOCKED_MAX)));
        }
        let banned_by = by.actor.to_string();
        let body =
            BanBody { reason: reason.to_owned(), until_ms, banned_at_ms: now_ms, banned_by, lifted: false };
        self.write(by, person, before.map_or(0, |before| before.revision), &body).await
    }

    /// Lets a person in again. Here it holds at once.
    ///
    /// # Errors
    /// [`BanError`].
    pub async fn lift(&self, by: &Caller, person: &str) -> Result<BanView, BanError> {
        let unknown = || BanError::Unknown(person.to_owned());
        // What no person is called is nobody's ban, whatever the ledger would say of such an id.
        check_person(person).map_err(|_| unknown())?;
        let before = self.ledger.document(KIND, person).await?.ok_or_else(unknown)?;
        let mut body: BanBody = before.read()?;
        if body.ends_at_ms() <= self.clock.now_ms() {
            return Err(unknown());
        }
        body.lifted = true;
        self.write(by, person, before.revision, &body).await
    }

    /// The bans after `cursor` (the `next` of the part before), lifted and expired ones too.
    ///
    /// # Errors
    /// [`BanError`].
    pub async fn list(&self, cursor: Option<&str>) -> Result<BanList, BanError> {
        let after = match cursor {
            None => String::new(),
            Some(cursor) => BASE64URL_NOPAD
                .decode(cursor.as_bytes())
                .ok()
                .and_then(|person| String::from_utf8(person).ok())
                .filter(|person| check_person(person).is_ok())
                .ok_or_else(|| BanError::Refused("after must be the next of another part".to_owned()))?,
        };
        let rows = self.ledger.documents(KIND, &after, limits::DOCUMENTS_PAGE).await?;
        let full = u32::try_from(rows.len()).is_ok_and(|count| count == limits::DOCUMENTS_PAGE);
        let last = rows.last().filter(|_| full);
        let next = last.map(|last| BASE64URL_NOPAD.encode(last.id.as_bytes()));
        let now_ms = self.clock.now_ms();
        let bans =
            rows.iter().map(|row| Ok(view(row, &row.read()?, now_ms))).collect::<Result<_, BanError>>()?;
        Ok(BanList { bans, next })
    }

    async fn write(
        &self,
        by: &Caller,
        person: &str,
        expected: u64,
        body: &BanBody,
    ) -> Result<BanView, BanError> {
        let put = PutDocument::new(KIND, person, expected, body, by.actor.to_string())?;
        let row = self.ledger.put_document(put, self.clock.now_ms()).await?;
        self.take(&row)?;
        Ok(view(&row, body, self.clock.now_ms()))
    }
}

impl Follower for Bans {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn take(&self, document: &Document) -> Result<(), LedgerError> {
        // One that cannot be read is in force: staff wanted this person kept out.
        let body = document.read::<BanBody>();
        let ends_at_ms = body.as_ref().map_or(UnixMs::MAX, BanBody::ends_at_ms);
        self.blocked.ban(&document.id, ends_at_ms, document.revision);
        body.map(drop)
    }
}

/// Reads the end of a ban.
fn instant(text: &str, now_ms: UnixMs) -> Result<UnixMs, BanError> {
    let refused = |what: &str| BanError::Refused(format!("until {text:?} {what}"));
    let at: jiff::Timestamp =
        text.parse().map_err(|_| refused("must be a date and time like 2026-01-31T00:00:00+08:00"))?;
    if at.as_millisecond() <= now_ms {
        return Err(refused("is past"));
    }
    Ok(at.as_millisecond())
}

fn view(row: &Document, body: &BanBody, now_ms: UnixMs) -> BanView {
    let state = match body.ends_at_ms() {
        _ if body.lifted => "lifted",
        ends_at_ms if ends_at_ms <= now_ms => "expired",
        _ => "active",
    };
    BanView {
        person: row.id.clone(),
        state: state.to_owned(),
        reason: body.reason.clone(),
        until: body.until_ms.map(rfc3339),
        banned_at: rfc3339(body.banned_at_ms),
        banned_by: body.banned_by.clone(),
        lifted_at: body.lifted.then(|| rfc3339(row.changed_at_ms)),
        lifted_by: body.lifted.then(|| row.actor.clone()),
    }
}
