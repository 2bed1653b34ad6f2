//! Stock that was taken away in Redis and that the ledger does not hear of: whoever took it has died in between, or was cut
//! short.
//!
//! Owns how long that is waited for. A load puts it right, as it does for whoever comes first to the ledger; but nothing else
//! asks for one, and the units would be on sale nowhere.

use std::time::{Duration, Instant};

use super::{Campaigns, LastLoad};
use crate::redis::scripts::ScriptError;
use crate::redis::{pool, reads};

/// How often it is looked for.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long it may take to store what was taken away.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the last looks showed.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    /// When to look again.
    look_at: Option<Instant>,
    /// The revision at which stock stands taken away, and when that was seen first.
    since: Option<(u64, Instant)>,
}

impl Unsettled {
    /// Takes what a look showed; whether it has been so for too long.
    fn note(&mut self, revision: u64, is_open: bool, now: Instant) -> bool {
        let before = self.since.take().filter(|(at_revision, _)| is_open && *at_revision == revision);
        let since = before.map_or(now, |(_, since)| since);
        self.since = is_open.then_some((revision, since));
        is_open && now.duration_since(since) >= PATIENCE
    }
}

impl Campaigns {
    /// Whether stock stands taken away at the revision that was loaded last, for longer than it takes to store that.
    pub(super) async fn is_left(&self, loaded: &mut LastLoad) -> bool {
        let (Some(revision), now) = (loaded.revision, Instant::now()) else { return false };
        if loaded.unsettled.look_at.is_some_and(|at| now < at) {
            return false;
        }
        loaded.unsettled.look_at = Some(now + LOOK_INTERVAL);
        // A Redis that is down is told of elsewhere.
        let Ok(is_open) = self.is_taken_away(revision).await else { return false };
        let is_left = loaded.unsettled.note(revision, is_open, now);
        if is_left {
            tracing::warn!(
                revision,
                "stock was taken away in Redis and never in the ledger; it is given back"
            );
        }
        is_left
    }

    async fn is_taken_away(&self, revision: u64) -> Result<bool, ScriptError> {
        let drops = self.gate.drops();
        let mut connection = pool::checkout(&self.pool).await?;
        let taken = reads::shrinking(&mut connection, self.shard, drops.iter().map(|drop| &drop.id)).await?;
        Ok(taken.contains(&Some(revision)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_left_when_it_stands_so_long_at_one_revision() {
        let (start, mut unsettled) = (Instant::now(), Unsettled::default());
        let mut note = |revision, is_open, after| unsettled.note(revision, is_open, start + after);
        assert!(!note(7, true, Duration::ZERO));
        assert!(!note(7, true, PATIENCE / 2));
        assert!(!note(7, false, PATIENCE), "it was stored");
        assert!(!note(7, true, PATIENCE), "and some more taken away");
        assert!(!note(8, true, 2 * PATIENCE), "and more");
        assert!(note(8, true, 3 * PATIENCE));
    }
}
