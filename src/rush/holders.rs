//! Fingerprints of the persons who hold a claim in one drop, so that a holder is never told "sold out".
//!
//! Owns which persons *may* hold a claim. A fingerprint is a keyed 64-bit hash: a stranger who shares one with a
//! holder is sent on to Redis, which knows. The set never says "no" unless it is complete.

use std::sync::atomic::{AtomicU64, Ordering};

use ahash::RandomState;

use crate::domain::ids::Epoch;
use crate::lines::Lines;

/// Holders for whom there is room from the start, if the drop has as much stock: room grows with them from there.
const EXPECTED_MAX: u64 = 65_536;

/// A person's fingerprint under this process' random key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

/// Makes fingerprints. The key is random, so nobody can choose persons that collide.
#[derive(Debug, Clone, Default)]
pub struct Fingerprints(RandomState);

impl Fingerprints {
    /// The fingerprint of a person.
    #[must_use]
    pub fn of(&self, person: &str) -> Fingerprint {
        Fingerprint(self.0.hash_one(person))
    }
}

/// How many claims had been granted, in which epoch: the version of a drop's holders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldersVersion(u64);

impl HoldersVersion {
    /// The version after claim `seq` of `epoch`.
    #[must_use]
    pub fn new(epoch: Epoch, seq: u32) -> Self {
        Self(u64::from(epoch.0) << 32 | u64::from(seq))
    }

    /// Whether nobody can hold a claim yet.
    fn is_empty(self) -> bool {
        self == Self::new(Epoch::FIRST, 0)
    }
}

/// The holders of one drop, as far as this front end knows them.
#[derive(Debug)]
pub struct Holders {
    known: Lines<8>,
    /// The version for which `known` is complete; 0 when it never was.
    complete_for: AtomicU64,
    /// Claims that this front end saw granted in [`Epoch::FIRST`].
    own: AtomicU64,
}

impl Holders {
    /// Of a drop with so much stock, while nobody holds anything.
    #[must_use]
    pub fn of_stock(stock: u64) -> Self {
        let expected = usize::try_from(stock.min(EXPECTED_MAX)).unwrap_or_default();
        Self { known: Lines::with_room(expected), complete_for: AtomicU64::new(0), own: AtomicU64::new(0) }
    }

    /// Has what is known of a person fetched from memory, for a note or a question that comes soon.
    pub fn prefetch(&self, fingerprint: Fingerprint) {
        self.known.prefetch(fingerprint.0);
    }

    /// Notes persons who were granted a claim just now, before the version that counts them is published.
    pub fn note_granted(&self, epoch: Epoch, granted: impl Iterator<Item = Fingerprint>) {
        let mut count = 0;
        for fingerprint in granted {
            self.known.put(fingerprint.0);
            count += 1;
        }
        if epoch == Epoch::FIRST {
            self.own.fetch_add(count, Ordering::Release);
        }
    }

    /// Notes a person whom a scan of the holders found.
    pub fn note_found(&self, fingerprint: Fingerprint) {
        self.known.put(fingerprint.0);
    }

    /// Says that a scan begun at this version has ended.
    pub fn set_complete(&self, version: HoldersVersion) {
        self.complete_for.store(version.0, Ordering::Release);
    }

    /// Whether every holder of this version is known: nobody holds anything yet, or every claim was granted
    /// through this front end, or a scan has ended.
    #[must_use]
    pub fn is_complete(&self, version: HoldersVersion) -> bool {
        version.is_empty()
            || self.complete_for.load(Ordering::Acquire) == version.0
            || HoldersVersion::new(Epoch::FIRST, 0).0.wrapping_add(self.own.load(Ordering::Acquire))
                == version.0
    }

    /// Whether this person may hold a claim. "No" is the truth only while [`Holders::is_complete`].
    #[must_use]
    pub fn may_hold(&self, fingerprint: Fingerprint) -> bool {
        self.known.contains(fingerprint.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completeness_follows_the_version() {
        let (holders, prints) = (Holders::of_stock(10), Fingerprints::default());
        assert!(holders.is_complete(HoldersVersion::new(Epoch(1), 0)));
        assert!(!holders.is_complete(HoldersVersion::new(Epoch(1), 2)));
        holders.note_granted(Epoch(1), ["ann", "bob"].iter().map(|person| prints.of(person)));
        assert!(holders.is_complete(HoldersVersion::new(Epoch(1), 2)));
        assert!(!holders.is_complete(HoldersVersion::new(Epoch(1), 3)), "another front end granted one");
        holders.note_found(prints.of("cid"));
        holders.set_complete(HoldersVersion::new(Epoch(1), 3));
        assert!(holders.is_complete(HoldersVersion::new(Epoch(1), 3)));
        assert!(holders.may_hold(prints.of("cid")) && !holders.may_hold(prints.of("dan")));
        assert!(!holders.is_complete(HoldersVersion::new(Epoch(2), 0)), "a rebuilt shard has holders");
    }
}
