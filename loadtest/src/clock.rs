//! The only reader of wall time in this crate.
//!
//! Everything that measures takes the monotonic clock; wall time serves to name a moment to people and to agree
//! on one with another machine.

use std::time::Duration;

/// The wall clock: time since 1970-01-01 UTC; zero on a machine whose clock stands before that.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads wall time")]
pub fn unix_now() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}
