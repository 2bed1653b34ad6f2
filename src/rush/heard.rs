//! What Redis was heard to say of a drop, and which of two words is the later one.
//!
//! Owns that order. Replies of several lanes and of the poll cross each other, so that the one that comes last need not be the
//! newest. What was asked for after another had come was said after it, by whatever clock. Of two that were under way at the
//! same time Redis' clock tells, which may be set back; what it gets wrong then is over with the next question.

use std::time::Instant;

use crate::clock::UnixMs;
use crate::domain::ids::Epoch;
use crate::redis::codes::DropView;

/// A view of a drop, and when it was.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// As the drop stood.
    pub view: DropView,
    /// When, by Redis' clock.
    pub now_ms: UnixMs,
    /// When Redis was asked, at the earliest, by this machine's steady clock.
    pub asked_at: Instant,
    /// When the answer was here.
    pub came_at: Instant,
}

impl Heard {
    /// The epoch and the last number in it.
    pub(super) fn number(&self) -> (Epoch, u32) {
        (self.view.epoch, self.view.seq)
    }

    /// Whether it was said before `other`, which came first.
    pub(super) fn is_older_than(&self, other: &Self) -> bool {
        let (ours, theirs) = ((self.now_ms, self.number()), (other.now_ms, other.number()));
        self.asked_at <= other.came_at && ours < theirs
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::redis::codes::DropState;

    /// Asked for and come at these milliseconds.
    fn heard(start: Instant, (asked, came): (u64, u64), now_ms: UnixMs, seq: u32) -> Heard {
        let view = DropView {
            epoch: Epoch::FIRST,
            state: DropState::Running,
            opens_at_ms: 0,
            closes_at_ms: 1,
            limit: 1,
            stock: 0,
            seq,
            returned: 0,
        };
        let at = |ms| start + Duration::from_millis(ms);
        Heard { view, now_ms, asked_at: at(asked), came_at: at(came) }
    }

    #[test]
    fn what_was_asked_for_later_is_newer_whatever_the_clock_of_redis_says() {
        let start = Instant::now();
        let first = heard(start, (0, 10), 10_000, 5);
        for now_ms in [1, 7_000, 9_999, 10_000, 20_000] {
            for seq in [4, 5, 6] {
                assert!(!heard(start, (11, 12), now_ms, seq).is_older_than(&first), "{now_ms} {seq}");
            }
        }
    }

    #[test]
    fn of_two_that_were_under_way_at_once_the_clock_and_then_the_number_tells() {
        let start = Instant::now();
        let first = heard(start, (0, 10), 10_000, 5);
        for (now_ms, seq, older) in
            [(9_999, 6, true), (10_000, 4, true), (10_000, 5, false), (10_000, 6, false), (10_001, 4, false)]
        {
            assert_eq!(heard(start, (9, 12), now_ms, seq).is_older_than(&first), older, "{now_ms} {seq}");
        }
    }
}
