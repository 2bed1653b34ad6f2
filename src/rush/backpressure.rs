//! Back-pressure: how full the journal is, and when new claims are refused because of it.
//!
//! A ledger that is down or slow lets the rush go on; what it has not taken yet stands in the journal, in Redis' memory.
//! Owns the decision how long that may go on, so that claims are refused before Redis runs out of memory. Pure: the
//! poll measures, the gate refuses.

use crate::config::JournalConfig;
use crate::redis::journal::JournalSize;

/// What counts against what. One of them is the fullest, and that one decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalLimits {
    /// Entries of the journal; each stands for a batch of claims.
    pub entries: u64,
    /// Bytes of the journal.
    pub bytes: u64,
    /// Percent of Redis' `maxmemory` that may be in use, by whatever; without a `maxmemory` there is no such limit.
    pub memory_percent: u64,
}

impl From<&JournalConfig> for JournalLimits {
    fn from(config: &JournalConfig) -> Self {
        let JournalConfig { entries_max, bytes_max, memory_max_percent } = *config;
        Self { entries: entries_max, bytes: bytes_max, memory_percent: memory_max_percent }
    }
}

/// How much of each limit is used: 1 is all of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fill {
    /// Of the entries.
    pub entries: f64,
    /// Of the bytes.
    pub bytes: f64,
    /// Of the memory.
    pub memory: f64,
}

impl JournalLimits {
    /// How much of the limits is used.
    #[must_use]
    pub fn fill(&self, size: &JournalSize) -> Fill {
        let memory = size.memory_max.saturating_mul(self.memory_percent) / 100;
        Fill {
            entries: share(size.entries, self.entries),
            bytes: share(size.bytes, self.bytes),
            memory: if size.memory_max == 0 { 0.0 } else { share(size.memory_used, memory) },
        }
    }
}

fn share(used: u64, limit: u64) -> f64 {
    used as f64 / limit.max(1) as f64
}

impl Fill {
    /// Of the limit that is closest.
    #[must_use]
    pub fn highest(&self) -> f64 {
        self.entries.max(self.bytes).max(self.memory)
    }
}

/// How serious it is. Each level is left only some way below where it began, so that nothing flaps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The ledger keeps up.
    #[default]
    Calm,
    /// From half of a limit on.
    Filling,
    /// From 0.8 of a limit on.
    High,
    /// From the limit on, until it is below 0.8 again: new claims are refused.
    Full,
}

impl Level {
    /// The level after this one, at this fill.
    #[must_use]
    pub fn next(self, fill: f64) -> Self {
        let risen = if fill >= 1.0 {
            Self::Full
        } else if fill >= 0.8 {
            Self::High
        } else if fill >= 0.5 {
            Self::Filling
        } else {
            Self::Calm
        };
        let mut level = self;
        while let Some((until, below)) = level.leaves()
            && fill < until
        {
            level = below;
        }
        level.max(risen)
    }

    /// Below which fill it is left, and for which level.
    fn leaves(self) -> Option<(f64, Self)> {
        match self {
            Self::Calm => None,
            Self::Filling => Some((0.4, Self::Calm)),
            Self::High => Some((0.7, Self::Filling)),
            Self::Full => Some((0.8, Self::High)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_refused_from_the_limit_on_and_taken_again_below_four_fifths_of_it() {
        let mut level = Level::default();
        let mut at = |fill: f64| {
            level = level.next(fill);
            level
        };
        assert_eq!(
            [0.0, 0.49, 0.5, 0.79].map(&mut at),
            [Level::Calm, Level::Calm, Level::Filling, Level::Filling]
        );
        assert_eq!([0.8, 0.99, 1.0].map(&mut at), [Level::High, Level::High, Level::Full]);
        assert_eq!([0.99, 0.8].map(&mut at), [Level::Full, Level::Full], "not yet");
        assert_eq!([0.79, 0.71, 0.81].map(&mut at), [Level::High, Level::High, Level::High]);
        assert_eq!([0.69, 0.45, 0.39].map(&mut at), [Level::Filling, Level::Filling, Level::Calm]);
        assert_eq!([7.0, 0.0].map(&mut at), [Level::Full, Level::Calm], "at once, both ways");
    }

    #[test]
    fn the_fullest_limit_decides() {
        let limits = JournalLimits { entries: 100, bytes: 1_000, memory_percent: 50 };
        let size = JournalSize { entries: 20, bytes: 100, memory_used: 30, memory_max: 100 };
        let fill = limits.fill(&size);
        assert_eq!(fill, Fill { entries: 0.2, bytes: 0.1, memory: 0.6 });
        assert!((fill.highest() - 0.6).abs() < f64::EPSILON);
        let unbounded = limits.fill(&JournalSize { memory_max: 0, ..size });
        assert!((unbounded.highest() - 0.2).abs() < f64::EPSILON, "Redis may take what there is");
    }
}
