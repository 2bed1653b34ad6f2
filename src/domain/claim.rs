//! A claim as the claim script grants it and as the journal carries it to the ledger.

use memchr::memchr;

use super::ids::{ClaimNumber, DropId, DropNumber, Epoch, Mark, Shard};
use super::text;
use crate::clock::UnixMs;

/// What a holder's record in Redis says of one claim. A retry is answered from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The shard's epoch when the claim was granted.
    pub epoch: Epoch,
    /// The claim's number in (drop, shard, epoch).
    pub seq: u32,
    /// When Redis granted it, by Redis' clock.
    pub claimed_at_ms: UnixMs,
    /// Whether its unit went back to stock.
    pub returned: bool,
    /// The mark of the idempotency key it was made with, in drops with a limit above one.
    pub mark: Option<Mark>,
}

impl Grant {
    /// The claim's full number, in the drop and shard that the record was found in.
    #[must_use]
    pub fn number(&self, drop: DropNumber, shard: Shard) -> ClaimNumber {
        ClaimNumber { drop, shard, epoch: self.epoch, seq: self.seq }
    }
}

/// The persons of one batch's grants in one drop, in order of `seq`: one text, as the journal holds it.
///
/// Persons are separated by one blank; a person may be followed by a tab and the mark of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takers(Box<str>);

impl Takers {
    /// Takes the text as it stands in the journal. [`Takers::iter`] is where it is taken apart.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text, over which the audit record's digest is made.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The persons in order of `seq`, each with the hex mark of its idempotency key, if any.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let has_marks = memchr(b'\t', self.0.as_bytes()).is_some();
        let marked = move |taker| if has_marks { text::split_once(taker, b'\t') } else { None };
        text::split(&self.0, b' ')
            .map(move |taker| marked(taker).map_or((taker, None), |(person, mark)| (person, Some(mark))))
    }

    /// How many claims these are.
    #[must_use]
    pub fn count(&self) -> u32 {
        let blanks = self.0.bytes().filter(|byte| *byte == b' ').count();
        u32::try_from(blanks).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// One thing that the journal says happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalEvent {
    /// Claims `first_seq`, `first_seq + 1`, … of one drop, granted by one script call.
    Claimed {
        /// The drop.
        drop: DropId,
        /// The shard's epoch.
        epoch: Epoch,
        /// Redis' clock at the grant.
        claimed_at_ms: UnixMs,
        /// The first claim's number.
        first_seq: u32,
        /// Who took them, in order.
        takers: Takers,
    },
    /// A claim's unit went back to stock.
    Returned {
        /// The drop.
        drop: DropId,
        /// The epoch of the claim.
        epoch: Epoch,
        /// The claim's number.
        seq: u32,
        /// Who held it.
        person: String,
        /// Redis' clock at the return.
        returned_at_ms: UnixMs,
        /// Whether the person may claim again in this drop.
        may_claim_again: bool,
    },
}

/// A position in a shard's journal: the id of a stream entry, or the place before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct JournalId {
    /// Milliseconds part.
    pub ms: u64,
    /// Sequence part.
    pub seq: u64,
}

impl JournalId {
    /// Before the first entry.
    pub const START: Self = Self { ms: 0, seq: 0 };

    /// Reads `ms-seq`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (ms, seq) = text.split_once('-')?;
        Some(Self { ms: ms.parse().ok()?, seq: seq.parse().ok()? })
    }

    /// The smallest id after this one.
    #[must_use]
    pub fn next(self) -> Self {
        match self.seq.checked_add(1) {
            Some(seq) => Self { ms: self.ms, seq },
            None => Self { ms: self.ms.saturating_add(1), seq: 0 },
        }
    }
}

impl std::fmt::Display for JournalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// One journal entry as read: understood, or poison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// Where it stands.
    pub id: JournalId,
    /// What it says.
    pub content: Result<Vec<JournalEvent>, Poison>,
}

/// An entry that nothing could be made of: it is kept in quarantine, and the rest goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    /// Its raw text, cut at [`crate::limits::POISON_BYTES_MAX`].
    pub raw: String,
    /// Why it was not understood or not accepted.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takers_are_taken_apart() {
        let takers = Takers::new("ann bob\t00ff00ff00ff00ff cid");
        assert_eq!(takers.count(), 3);
        let all: Vec<_> = takers.iter().collect();
        assert_eq!(all, [("ann", None), ("bob", Some("00ff00ff00ff00ff")), ("cid", None)]);
    }

    #[test]
    fn journal_ids_are_ordered_and_read_back() {
        let id = JournalId::parse("1700000000000-3").expect("well formed");
        assert_eq!(id.to_string(), "1700000000000-3");
        assert!(id < id.next() && JournalId::START < id);
        assert_eq!(JournalId::parse("17"), None);
        assert_eq!(JournalId { ms: 1, seq: u64::MAX }.next(), JournalId { ms: 2, seq: 0 });
    }
}
