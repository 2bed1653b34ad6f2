//! The identity union: one natural person, however many accounts.
//!
//! Owns the way from what an identity token says to bonds: keyed hashes, kept in the ledger, with those that are durable
//! remembered in Redis so that who asks again costs no transaction. Requests that arrive while the ledger commits are
//! bound together in its next transaction.

use std::sync::Arc;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use deadpool_redis::Pool;
use hmac::{Hmac, Mac};
use redis::cmd;
use sha2::Sha256;
use tokio::sync::{mpsc, oneshot};

use super::identity::Identity;
use crate::clock::Clock;
use crate::domain::ids::{CampaignId, Shard};
use crate::domain::keyed::{add_fields, derived};
use crate::ledger::{Bind, Bound, Ledger};
use crate::limits;
use crate::redis::{keys, pool};

/// Separates this use of the secret from every other one.
const DOMAIN: &[u8] = b"claimrush identity v1";

/// Names persons and what they are known by, so that neither can be read back without the secret.
#[derive(Clone)]
pub struct Pseudonyms {
    keyed: Hmac<Sha256>,
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms(secret)")
    }
}

impl Pseudonyms {
    /// Derives the key from a secret that must stay as long as a campaign runs.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self { keyed: derived(secret, DOMAIN) }
    }

    fn digest(&self, fields: &[&str]) -> [u8; 20] {
        let mut mac = self.keyed.clone();
        add_fields(&mut mac, fields);
        mac.finalize().into_bytes().first_chunk().copied().unwrap_or_default()
    }

    /// The person of an account, as tickets, claims and the ledger call them.
    #[must_use]
    pub fn person(&self, identity: &Identity) -> String {
        let digest = self.digest(&["person", &identity.issuer, &identity.subject]);
        format!("u-{}", BASE32_NOPAD.encode(&digest).to_lowercase())
    }

    /// What else the person is known by, each as a keyed hash after its kind.
    #[must_use]
    pub fn dimensions(&self, identity: &Identity) -> Vec<String> {
        let pairs = identity.dimensions.iter();
        pairs
            .map(|(kind, value)| {
                format!("{kind}:{}", BASE64URL_NOPAD.encode(&self.digest(&["dimension", kind, value])))
            })
            .collect()
    }
}

/// Why nothing was bound.
#[derive(Debug, thiserror::Error)]
pub enum UnionError {
    /// Too many wait already.
    #[error("too many bonds wait for the ledger")]
    Busy,
    /// The ledger or Redis failed.
    #[error("{0}")]
    Failed(String),
}

type Waiting = (Bind, oneshot::Sender<Result<Bound, String>>);

/// Binds persons. Clones share the queue.
#[derive(Clone)]
pub struct Union {
    queue: mpsc::Sender<Waiting>,
    pool: Pool,
    shard: Shard,
}

impl Union {
    /// The union, and what has to be run beside it: it ends when the last clone is gone.
    pub fn new(
        ledger: Arc<dyn Ledger>,
        pool: Pool,
        shard: Shard,
        clock: Clock,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, waiting) = mpsc::channel(limits::BONDS_QUEUE);
        (Self { queue, pool, shard }, work(waiting, ledger, clock))
    }

    /// Binds what a request names to its person, durably.
    ///
    /// # Errors
    /// [`UnionError`]; asking again is safe.
    pub async fn bind(&self, request: Bind) -> Result<Bound, UnionError> {
        let failed = |error: &dyn std::fmt::Display| UnionError::Failed(error.to_string());
        let remembered = self.remembered(&request).await.map_err(|error| failed(&error))?;
        if let Some(bound) = remembered {
            return Ok(bound);
        }
        let (answer, answered) = oneshot::channel();
        self.queue.try_send((request.clone(), answer)).map_err(|_| UnionError::Busy)?;
        let bound = answered.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        if bound == Bound::Theirs {
            // Redis remembers only what the ledger has; that it may forget is why a failure here is none.
            let _ = self.remember(&request).await;
        }
        Ok(bound)
    }

    /// What Redis knows already: all of it theirs, or one of it another's. A choice is the ledger's to judge, as it
    /// may change.
    async fn remembered(&self, request: &Bind) -> Result<Option<Bound>, redis::RedisError> {
        if request.dimensions.is_empty() {
            return Ok(request.choice.is_none().then_some(Bound::Theirs));
        }
        let mut connection = pool::checkout(&self.pool).await?;
        let held: Vec<Option<String>> = cmd("HMGET")
            .arg(self.key(&request.campaign))
            .arg(&request.dimensions)
            .query_async(&mut connection)
            .await?;
        let anothers =
            held.iter().position(|person| person.as_ref().is_some_and(|held| *held != request.person));
        if let Some(index) = anothers {
            return Ok(Some(Bound::Anothers(index)));
        }
        Ok((request.choice.is_none() && held.iter().all(Option::is_some)).then_some(Bound::Theirs))
    }

    async fn remember(&self, request: &Bind) -> Result<(), redis::RedisError> {
        if request.dimensions.is_empty() {
            return Ok(());
        }
        let mut set = cmd("HSET");
        set.arg(self.key(&request.campaign));
        for dimension in &request.dimensions {
            set.arg(dimension).arg(&request.person);
        }
        let mut connection = pool::checkout(&self.pool).await?;
        set.query_async(&mut connection).await
    }

    fn key(&self, campaign: &CampaignId) -> String {
        keys::bonds(self.shard, campaign)
    }
}

/// Commits what waits, all that there is in one transaction, and tells everybody.
async fn work(mut waiting: mpsc::Receiver<Waiting>, ledger: Arc<dyn Ledger>, clock: Clock) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, limits::BONDS_BATCH).await > 0 {
        let (requests, answers): (Vec<Bind>, Vec<_>) = batch.drain(..).unzip();
        match ledger.bind(requests, clock.now_ms()).await {
            Ok(outcomes) => {
                for (answer, bound) in answers.into_iter().zip(outcomes) {
                    let _ = answer.send(Ok(bound));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "bonds could not be written");
                for answer in answers {
                    let _ = answer.send(Err(error.to_string()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(issuer: &str, subject: &str) -> Identity {
        let dimensions = [("phone".to_owned(), "13800000000".to_owned())].into();
        Identity {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            dimensions,
            region: None,
            account_since_ms: None,
        }
    }

    #[test]
    fn persons_and_numbers_cannot_be_read_and_not_be_mixed_up() {
        let names = Pseudonyms::new(b"a secret");
        let person = names.person(&identity("login", "ann"));
        assert_eq!(person, names.person(&identity("login", "ann")));
        assert_eq!(crate::domain::ids::check_person(&person), Ok(()));
        // Fields are told apart by their lengths: nobody is somebody else by moving a letter.
        assert_ne!(person, names.person(&identity("logina", "nn")));
        assert_ne!(person, Pseudonyms::new(b"another").person(&identity("login", "ann")));
        let [phone] = names.dimensions(&identity("login", "ann")).try_into().expect("one");
        assert!(phone.starts_with("phone:") && !phone.contains("138"), "{phone}");
        assert_eq!(phone.len(), "phone:".len() + 27);
    }
}
