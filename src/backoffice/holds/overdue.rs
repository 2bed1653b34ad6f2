//! How long a hold may be overdue, as far as can be told, for the alert of it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::UnixMs;

/// What the sweeps have seen.
#[derive(Debug)]
pub(super) struct Swept(Mutex<State>);

#[derive(Debug)]
struct State {
    /// When the last sweep that looked at everything began; the service's start before the first one.
    looked_at: Instant,
    /// The end of the oldest hold that stood there although its time was over.
    left_ms: Option<UnixMs>,
}

impl Default for Swept {
    fn default() -> Self {
        Self(Mutex::new(State { looked_at: Instant::now(), left_ms: None }))
    }
}

impl Swept {
    /// A sweep that began at `began` has looked at everything, and left a hold that ended at `left_ms`, if any.
    pub(super) fn whole(&self, began: Instant, left_ms: Option<UnixMs>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { looked_at: began, left_ms };
    }

    /// The longest that a hold may be overdue at `now_ms`.
    pub(super) fn overdue(&self, now_ms: UnixMs) -> Duration {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left_ms = state.left_ms.map_or(0, |left_ms| now_ms.saturating_sub(left_ms));
        let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
        left.max(state.looked_at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_of_both_counts() {
        let swept = Swept::default();
        let hour_ago = Instant::now().checked_sub(Duration::from_secs(3_600)).unwrap();
        swept.whole(hour_ago, None);
        assert!(swept.overdue(0) >= Duration::from_secs(3_600), "nobody has looked for an hour");
        swept.whole(hour_ago, Some(1_000));
        assert!(swept.overdue(7_200_000 + 1_000) >= Duration::from_secs(7_200), "one stands there for two");
        swept.whole(Instant::now(), Some(5_000));
        assert_eq!(swept.overdue(15_000).as_secs(), 10);
        swept.whole(Instant::now(), None);
        assert!(swept.overdue(15_000) < Duration::from_secs(600), "all is well again");
    }
}
