//! The audit chain: what a record says, how it is hashed, and which rows it covers.
//!
//! Owns the forms that are hashed, so that any store, and any other program, comes to the same hashes. Pure: a
//! store keeps the records and hands the rows over; nothing here reads or writes.
//!
//! ```text
//!   record n−1 ──hash──┐
//!                      ▼
//!   record n: SHA-256( hash of n−1 ‖ {"index":n,"at_ms":…,"actor":…,"content":{…}} )
//!                                                        │
//!             rows of claims, returns, quarantine and postings, each under exactly one record's digest
//! ```

mod coverage;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use coverage::{Coverage, SeriesKey};

use super::{ChainBreak, ChainHead, Grounds, LostClaims};
use crate::clock::UnixMs;
use crate::domain::campaign::CampaignState;

/// A record's hash.
pub type Hash = [u8; 32];

/// The hash before the first record.
pub const ORIGIN: Hash = [0; 32];

/// What one record testifies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "payload", rename_all = "snake_case", deny_unknown_fields)]
pub enum Content {
    /// A campaign was applied.
    Campaign {
        /// Its id.
        campaign: String,
        /// Digest of what was stored before, if anything.
        before: Option<String>,
        /// Digest of what is stored now.
        after: String,
        /// Its new drops, and the numbers that their claims carry from now on.
        drops: Vec<NumberedDrop>,
        /// The posting of the budget's change.
        postings: Covered,
    },
    /// A campaign was paused or resumed.
    State {
        /// Its id.
        campaign: String,
        /// Its state now.
        state: CampaignState,
    },
    /// A campaign ended.
    Ended {
        /// Its id.
        campaign: String,
        /// When.
        ended_at_ms: UnixMs,
    },
    /// A drop now exists in a shard's Redis.
    Loaded {
        /// The drop's number.
        drop: u32,
        /// The shard.
        shard: u8,
        /// The shard's epoch.
        epoch: u16,
    },
    /// A drop was rebuilt in a shard's Redis from what the ledger has.
    Rebuilt {
        /// The drop's number.
        drop: u32,
        /// The shard.
        shard: u8,
        /// The epoch that began.
        epoch: u16,
        /// Live claims of older epochs at that moment.
        carried: u64,
        /// Why that was right.
        grounds: Grounds,
        /// Claims that are known to have been granted and that the ledger does not have.
        lost: Vec<LostClaims>,
    },
    /// What persons are known by was bound to them.
    Bonds {
        /// The new rows.
        rows: Covered,
    },
    /// An orphan receipt was registered or settled.
    Receipt {
        /// Its number.
        number: u64,
        /// Digest of its row as it stands now, lower-case hex.
        sha256: String,
    },
    /// A document was written.
    Document {
        /// The number of the change.
        number: u64,
        /// The document's kind.
        kind: String,
        /// Its id.
        id: String,
        /// Its revision now.
        revision: u64,
        /// Digest of the row before, if there was one.
        before: Option<String>,
        /// Digest of the row now.
        after: String,
    },
    /// Steps of vouchers, holds and campaign money were taken.
    Steps {
        /// The new rows.
        steps: Covered,
        /// The postings of what they moved.
        postings: Covered,
    },
    /// A period of a campaign's books was closed.
    Period {
        /// Its number.
        number: u64,
        /// Digest of the period with its balances, lower-case hex.
        sha256: String,
    },
    /// A stretch of a shard's journal was written.
    Journal {
        /// The shard.
        shard: u8,
        /// The position before.
        after: String,
        /// The position now.
        to: String,
        /// The new claims, in stretches without a gap.
        claims: Vec<Section>,
        /// The claims whose unit went back.
        returns: Covered,
        /// The entries that were put in quarantine.
        quarantine: Covered,
        /// The postings of both.
        postings: Covered,
    },
}

/// A drop, the number that it got, and what a claim of it is worth. None of it ever changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberedDrop {
    /// The number.
    pub number: u32,
    /// The drop.
    pub id: String,
    /// Face of its voucher in fen; nothing where it is not money.
    pub face: Option<i64>,
}

/// Claims of one (drop, epoch) with consecutive numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// The drop's number.
    pub drop: u32,
    /// The shard's epoch.
    pub epoch: u16,
    /// The first claim's number.
    pub first_seq: u32,
    /// How many claims.
    pub count: u32,
    /// [`ClaimsDigest`] over them, lower-case hex.
    pub sha256: String,
}

/// Rows of a table that is numbered 1, 2, 3 … over the ledger's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Covered {
    /// The first row's number, also where there is none.
    pub first: u64,
    /// How many rows.
    pub count: u64,
    /// [`RowsDigest`] over them, lower-case hex.
    pub sha256: String,
}

/// A record as it is stored: its text, hashed as it stands, and the hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// 1, 2, 3 …
    pub index: u64,
    /// JSON of a [`Body`].
    pub body: String,
    /// SHA-256 over the hash before and the body.
    pub hash: Hash,
}

/// What a record's text says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// The record's number again, under the hash.
    pub index: u64,
    /// When it was written.
    pub at_ms: UnixMs,
    /// Who had it written, where that was a person or a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// What it testifies.
    pub content: Content,
}

impl Record {
    /// The record that follows the one with hash `previous`.
    ///
    /// # Errors
    /// None in practice: every content has a JSON form.
    pub fn next(
        previous: &Hash,
        index: u64,
        at_ms: UnixMs,
        actor: Option<&str>,
        content: Content,
    ) -> Result<Self, serde_json::Error> {
        let actor = actor.map(str::to_owned);
        let body = serde_json::to_string(&Body { index, at_ms, actor, content })?;
        let hash = hash_after(previous, &body);
        Ok(Self { index, body, hash })
    }
}

fn hash_after(previous: &Hash, body: &str) -> Hash {
    Sha256::new().chain_update(previous).chain_update(body).finalize().into()
}

/// Digest of claims in order of `seq`: each person, a tab and the mark where there is one, and a blank; before
/// the first and wherever the instant changes, a line with the instant in milliseconds.
#[derive(Debug, Clone, Default)]
pub struct ClaimsDigest {
    sha: Sha256,
    claimed_at_ms: Option<UnixMs>,
}

impl ClaimsDigest {
    /// Adds claims of one instant, separated by one blank as in the journal.
    pub fn push(&mut self, claimed_at_ms: UnixMs, takers: &str) {
        self.begin(claimed_at_ms);
        self.sha.update(takers.as_bytes());
        self.sha.update(b" ");
    }

    /// Adds one claim as a row holds it.
    pub fn push_row(&mut self, claimed_at_ms: UnixMs, person: &str, mark: Option<&str>) {
        self.begin(claimed_at_ms);
        self.sha.update(person.as_bytes());
        if let Some(mark) = mark {
            self.sha.update(b"\t");
            self.sha.update(mark.as_bytes());
        }
        self.sha.update(b" ");
    }

    fn begin(&mut self, claimed_at_ms: UnixMs) {
        if self.claimed_at_ms != Some(claimed_at_ms) {
            self.claimed_at_ms = Some(claimed_at_ms);
            self.sha.update(format!("\n{claimed_at_ms}\n"));
        }
    }

    /// Lower-case hex.
    #[must_use]
    pub fn finish(self) -> String {
        HEXLOWER.encode(&self.sha.finalize())
    }
}

/// Digest of numbered rows: each as a JSON array of its columns and a line feed.
#[derive(Debug, Clone)]
pub struct RowsDigest {
    sha: Sha256,
    first: u64,
    count: u64,
}

impl RowsDigest {
    /// Of rows that begin with number `first`.
    #[must_use]
    pub fn new(first: u64) -> Self {
        Self { sha: Sha256::new(), first, count: 0 }
    }

    /// The number of the next row.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.first.saturating_add(self.count)
    }

    /// Adds the row of [`RowsDigest::next_number`]. `columns` is a tuple or a struct.
    ///
    /// # Errors
    /// None in practice: every row has a JSON form.
    pub fn push(&mut self, columns: &impl Serialize) -> Result<(), serde_json::Error> {
        self.sha.update(serde_json::to_vec(columns)?);
        self.sha.update(b"\n");
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// How many rows.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What a record says of the rows.
    #[must_use]
    pub fn finish(self) -> Covered {
        Covered { first: self.first, count: self.count, sha256: HEXLOWER.encode(&self.sha.finalize()) }
    }
}

/// Walks along the records of a chain and says where it breaks.
#[derive(Debug, Default)]
pub struct Walk {
    length: u64,
    hash: Hash,
}

impl Walk {
    /// Takes the next record; its content when number and hash follow from the record before.
    ///
    /// # Errors
    /// [`ChainBreak`] with the number that the record should have.
    pub fn step(&mut self, record: &Record) -> Result<Content, ChainBreak> {
        let index = self.length.saturating_add(1);
        let broken = |what: &str| ChainBreak { index, what: what.to_owned() };
        if record.index != index {
            return Err(broken(&format!("is missing, record {} comes next", record.index)));
        }
        if hash_after(&self.hash, &record.body) != record.hash {
            return Err(broken("its hash does not follow from its text and the record before"));
        }
        let body: Body = serde_json::from_str(&record.body).map_err(|_| broken("its text is no record's"))?;
        if body.index != index {
            return Err(broken(&format!("its text is that of record {}", body.index)));
        }
        (self.length, self.hash) = (index, record.hash);
        Ok(body.content)
    }

    /// A walk that begins with what follows this record, which is believed.
    #[must_use]
    pub fn after(record: &Record) -> Self {
        Self { length: record.index, hash: record.hash }
    }

    /// The number of the last record so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The head so far.
    #[must_use]
    pub fn head(&self) -> ChainHead {
        ChainHead { length: self.length, hash: HEXLOWER.encode(&self.hash) }
    }
}

#[cfg(test)]
mod tests;
