//! The only reader of wall time: when a run started, for people.
//!
//! Everything that is measured is measured on the monotonic clock.

use std::time::SystemTime;

/// The wall time of this machine.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads wall time")]
pub fn now() -> SystemTime {
    SystemTime::now()
}
