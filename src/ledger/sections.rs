//! Which claims a group adds: their row keys, and the stretches that its audit record covers.
//!
//! Owns the packed row key and the joining of claims to sections, which every store must do alike, or two stores
//! would come to other hashes for the same journal. Pure.

use std::collections::BTreeMap;

use super::chain::{ClaimsDigest, Section};
use crate::domain::ids::{DropNumber, Epoch};

/// A claim's row key: its series above, its `seq` in the lower 32 bits.
pub(super) fn row_key(series: i64, seq: u32) -> i64 {
    (series << 32) | i64::from(seq)
}

/// The new claims of a group, in stretches without a gap.
#[derive(Debug, Clone, Default)]
pub(super) struct Sections {
    done: Vec<Section>,
    open: BTreeMap<(DropNumber, Epoch), OpenSection>,
}

#[derive(Debug, Clone)]
struct OpenSection {
    first_seq: u32,
    count: u32,
    digest: ClaimsDigest,
}

impl Sections {
    /// The digest to which `count` claims from `first_seq` on are to be added: of the open section that they go
    /// on, or of a new one.
    pub(super) fn open(
        &mut self,
        drop: DropNumber,
        epoch: Epoch,
        first_seq: u32,
        count: u32,
    ) -> &mut ClaimsDigest {
        let new = || OpenSection { first_seq, count: 0, digest: ClaimsDigest::default() };
        let section = self.open.entry((drop, epoch)).or_insert_with(new);
        if section.first_seq.checked_add(section.count) != Some(first_seq) {
            let full = std::mem::replace(section, new());
            self.done.push(full.close(drop, epoch));
        }
        section.count = section.count.saturating_add(count);
        &mut section.digest
    }

    pub(super) fn finish(self) -> Vec<Section> {
        let rest = self.open.into_iter().map(|((drop, epoch), section)| section.close(drop, epoch));
        self.done.into_iter().chain(rest).collect()
    }
}

impl OpenSection {
    fn close(self, drop: DropNumber, epoch: Epoch) -> Section {
        let Self { first_seq, count, digest } = self;
        Section { drop: drop.0, epoch: epoch.0, first_seq, count, sha256: digest.finish() }
    }
}
