//! Faults that come again and again: which of them are worth a line in the log.
//!
//! Owns that somebody who looks every half second for what is wrong says it when it begins, when it becomes something else, once in
//! a while as long as it lasts, and when it is over.

use std::time::{Duration, Instant};

/// How long a fault that stays the same goes without a line.
const REMIND_EVERY: Duration = Duration::from_secs(600);

/// One thing that may fail again and again.
#[derive(Debug, Default)]
pub struct Repeated {
    /// What was said last, and when; nothing while all is well.
    said: Option<(String, Instant)>,
}

impl Repeated {
    /// It failed, because of this. Whether that is to be said.
    #[must_use]
    pub fn failed(&mut self, why: &dyn std::fmt::Display) -> bool {
        self.failed_at(why.to_string(), Instant::now())
    }

    fn failed_at(&mut self, why: String, now: Instant) -> bool {
        let is_known = |(said, at): &(String, Instant)| {
            *said == why && now.saturating_duration_since(*at) < REMIND_EVERY
        };
        let is_news = !self.said.as_ref().is_some_and(is_known);
        if is_news {
            self.said = Some((why, now));
        }
        is_news
    }

    /// It went well. Whether it is to be said that a fault is over.
    #[must_use]
    pub fn went_well(&mut self) -> bool {
        self.said.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_said_when_it_begins_changes_lasts_and_ends() {
        let (mut fault, began) = (Repeated::default(), Instant::now());
        let mut failed =
            |why: &str, seconds| fault.failed_at(why.to_owned(), began + Duration::from_secs(seconds));
        assert!(failed("a", 0), "it begins");
        assert!(!failed("a", 1) && !failed("a", 599));
        assert!(failed("a", 600), "it lasts");
        assert!(!failed("a", 601));
        assert!(failed("b", 602), "it is another one");
        assert!(!failed("b", 1_201));
        assert!(failed("b", 1_202), "it lasts");
        assert!(fault.went_well(), "it is over");
        assert!(!fault.went_well(), "that was said");
        assert!(fault.failed(&"b"), "it begins again");
    }
}
