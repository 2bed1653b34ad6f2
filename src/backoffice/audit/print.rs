//! Fingerprints of claims: 8 bytes in place of a person, so that millions of claims can be compared in memory.
//!
//! The hash is keyed afresh for each audit, so nobody can prepare two claims with one fingerprint.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZero;

use crate::clock::UnixMs;

/// What stands for a claim's person, mark and instant. Never zero, so that an absent one takes no more room.
pub(super) type Print = NonZero<u64>;

/// Makes fingerprints that can be compared with each other.
#[derive(Debug, Default)]
pub(super) struct Printer(RandomState);

impl Printer {
    /// The fingerprint of a claim, its mark in hex.
    pub(super) fn print(&self, person: &[u8], mark: Option<&str>, claimed_at_ms: UnixMs) -> Print {
        NonZero::new(self.0.hash_one((person, mark, claimed_at_ms))).unwrap_or(NonZero::<u64>::MIN)
    }
}
