//! The head of the audit chain, published once a day, so that a chain that is cut or rewritten shows.
//!
//! Owns when and where: a file that only grows, a webhook, or both. What was published stands as a document, under the
//! chain itself, so that of several front ends one publishes, and what could not be delivered is tried again.

#[cfg(test)]
mod tests;

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, UnixMs, rfc3339};
use crate::config::CallUrl;
use crate::desk::outbound::{Outbound, Signature};
use crate::domain::webhook::WebhookSecrets;
use crate::ledger::{Document, DocumentFlaw, Ledger, LedgerError, PutDocument};
use crate::limits;

/// The kind of document that says what was published.
pub const KIND: &str = "head";
/// Who writes them.
const ACTOR: &str = "service";
/// How often it is looked whether a day has begun, or something could not be delivered.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// What is published of a day (UTC).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// `claimrush.audit_head`.
    pub r#type: String,
    /// The day, as in `2023-11-20`.
    pub day: String,
    /// When the head was taken.
    pub at: String,
    /// Records in the chain.
    pub length: u64,
    /// The last one's hash.
    pub hash: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    published: Published,
    delivered: bool,
}

/// A webhook.
pub struct Webhook {
    /// Where.
    pub url: CallUrl,
    /// What messages are signed with.
    pub secrets: WebhookSecrets,
    /// How.
    pub outbound: Outbound,
}

/// Why a head was not published; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// It cannot be a document.
    #[error(transparent)]
    Flaw(#[from] DocumentFlaw),
    /// A place could not be reached.
    #[error("{0}")]
    Delivery(String),
}

/// Publishes heads.
pub struct Heads {
    ledger: Arc<dyn Ledger>,
    file: Option<PathBuf>,
    webhook: Option<Webhook>,
    clock: Clock,
    /// The day up to which nothing waits to be delivered any more.
    settled: Mutex<String>,
}

impl Heads {
    /// The heads of a ledger's chain: to a file of one JSON line a day, to a webhook, or to both.
    #[must_use]
    pub fn new(
        ledger: Arc<dyn Ledger>,
        file: Option<PathBuf>,
        webhook: Option<Webhook>,
        clock: Clock,
    ) -> Self {
        Self { ledger, file, webhook, clock, settled: Mutex::default() }
    }

    /// Publishes until `stop`; nothing where no place is configured.
    pub async fn run(self, stop: CancellationToken) {
        if self.file.is_none() && self.webhook.is_none() {
            return;
        }
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            // Whatever is cut off is delivered again after the next start.
            let Some(published) = stop.run_until_cancelled(self.publish_if_due()).await else { return };
            if let Err(error) = published {
                tracing::warn!(%error, "the head of the audit chain is not published yet");
            }
        }
    }

    /// Publishes the head of today, unless that is done, and those of earlier days that could not be delivered. Whether it
    /// published any.
    ///
    /// # Errors
    /// [`HeadError`] says why the first of them is not; the next call tries again.
    pub async fn publish_if_due(&self) -> Result<bool, HeadError> {
        let now_ms = self.clock.now_ms();
        let day = day_of(now_ms);
        if self.ledger.document(KIND, &day).await?.is_none() {
            match self.begin(&day, now_ms).await {
                // Another front end was first, and publishes.
                Err(HeadError::Ledger(LedgerError::StaleDocument { .. })) => return Ok(false),
                begun => begun?,
            }
        }
        let (mut published, mut failed, mut settled) = (false, None, self.settled());
        let mut after = settled.clone();
        loop {
            let rows = self.ledger.documents(KIND, &after, limits::DOCUMENTS_PAGE).await?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.id);
            for row in rows {
                match self.publish(&row, now_ms).await {
                    Ok(did) => published |= did,
                    // One that its receiver does not take keeps no later one back.
                    Err(error) => failed = failed.or(Some(error)),
                }
                if failed.is_none() {
                    settled = row.id;
                }
            }
        }
        *self.settled.lock().unwrap_or_else(PoisonError::into_inner) = settled;
        failed.map_or(Ok(published), Err)
    }

    fn settled(&self) -> String {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Publishes the head of one day; `false` where that was done before.
    async fn publish(&self, row: &Document, now_ms: UnixMs) -> Result<bool, HeadError> {
        let entry: Entry = row.read()?;
        if entry.delivered {
            return Ok(false);
        }
        self.deliver(&entry.published, now_ms).await?;
        let done = Entry { delivered: true, ..entry };
        let put = PutDocument::new(KIND, row.id.clone(), row.revision, &done, ACTOR)?;
        match self.ledger.put_document(put, now_ms).await {
            // Another one has delivered it too: the webhook's id tells that it is the same.
            Ok(_) | Err(LedgerError::StaleDocument { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps the head as it is now as that of a day.
    async fn begin(&self, day: &str, now_ms: UnixMs) -> Result<(), HeadError> {
        let head = self.ledger.chain_head().await?;
        let published = Published {
            r#type: "claimrush.audit_head".to_owned(),
            day: day.to_owned(),
            at: rfc3339(now_ms),
            length: head.length,
            hash: head.hash,
        };
        let entry = Entry { published, delivered: false };
        let put = PutDocument::new(KIND, day, 0, &entry, ACTOR)?;
        self.ledger.put_document(put, now_ms).await?;
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was ahead has published for days that only begin now.
        if settled.as_str() >= day {
            settled.clear();
        }
        Ok(())
    }

    async fn deliver(&self, published: &Published, now_ms: UnixMs) -> Result<(), HeadError> {
        let failed = |what: &dyn std::fmt::Display| HeadError::Delivery(what.to_string());
        let body = serde_json::to_string(published).map_err(|error| failed(&error))?;
        if let Some(file) = &self.file {
            append(file, &body).map_err(|error| failed(&format_args!("{}: {error}", file.display())))?;
        }
        if let Some(Webhook { url, secrets, outbound }) = &self.webhook {
            let (id, timestamp_s) = (format!("head-{}", published.day), now_ms / 1_000);
            let signature = secrets.sign(&id, timestamp_s, body.as_bytes());
            let signature = Signature { id, timestamp_s, signature };
            outbound.post_signed(url, body, &signature).await.map_err(|error| failed(&error))?;
        }
        Ok(())
    }
}

/// Adds a line that is on disk when this returns, unless it stands there already. What an earlier one left of its own, on a
/// disk that was full, stays a line by itself.
fn append(path: &std::path::Path, line: &str) -> std::io::Result<()> {
    let known = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    if known.lines().any(|known| known == line) {
        return Ok(());
    }
    let torn = if known.is_empty() || known.ends_with('\n') { "" } else { "\n" };
    let mut file = std::fs::OpenOptions::new().create(true).append(true).mode(0o644).open(path)?;
    file.write_all(format!("{torn}{line}\n").as_bytes())?;
    file.sync_all()
}

fn day_of(now_ms: UnixMs) -> String {
    rfc3339(now_ms).chars().take_while(|c| *c != 'T').collect()
}
