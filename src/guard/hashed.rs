//! Maps by keys that are keyed hashes already.

use std::hash::{BuildHasher, Hasher};

/// Keys are keyed hashes already; hashing them again would cost time and win nothing.
#[derive(Clone, Copy, Default)]
pub(super) struct HashedAlready;

impl BuildHasher for HashedAlready {
    type Hasher = LastWord;

    fn build_hasher(&self) -> LastWord {
        LastWord(0)
    }
}

/// Gives back the last word that it was given.
pub(super) struct LastWord(u64);

impl Hasher for LastWord {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
