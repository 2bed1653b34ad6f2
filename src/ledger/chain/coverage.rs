//! Which claims the records of a chain cover.

use std::collections::BTreeMap;

use super::Section;

/// One series of claim numbers: (drop, shard, epoch).
pub type SeriesKey = (u32, u8, u16);

/// Which claims the records cover. Stretches that touch are joined, so memory is bounded by the number of series
/// and of gaps in them.
#[derive(Debug, Default)]
pub struct Coverage {
    stretches: BTreeMap<SeriesKey, BTreeMap<u64, u64>>,
}

impl Coverage {
    /// Adds a section of a shard's record; `false` when one of its claims is covered already.
    #[must_use]
    pub fn add(&mut self, shard: u8, section: &Section) -> bool {
        let stretches = self.stretches.entry((section.drop, shard, section.epoch)).or_default();
        let mut first = u64::from(section.first_seq);
        let mut end = first.saturating_add(u64::from(section.count));
        if stretches.range(..end).next_back().is_some_and(|(_, other_end)| *other_end > first) {
            return false;
        }
        if let Some((&before, _)) = stretches.range(..first).next_back().filter(|(_, end)| **end == first) {
            first = before;
        }
        if let Some(after_end) = stretches.remove(&end) {
            end = after_end;
        }
        stretches.insert(first, end);
        true
    }

    /// How many claims of each series are covered.
    pub fn counts(&self) -> impl Iterator<Item = (SeriesKey, u64)> {
        self.stretches.iter().map(|(series, stretches)| {
            (*series, stretches.iter().map(|(first, end)| end.saturating_sub(*first)).sum())
        })
    }
}
