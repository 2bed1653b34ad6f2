//! The only reader of wall time.
//!
//! Everything that needs "now" takes a [`Clock`], so that a test owns time. The *release instant* is not
//! decided here: Redis `TIME` decides it inside the claim script.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
pub type UnixMs = i64;

/// A source of wall time: the system's, or one that a test sets.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The operating system's clock.
    #[default]
    System,
    /// A clock that stands still until its owner moves it.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `now_ms` until [`Clock::set`] moves it.
    #[must_use]
    pub fn manual(now_ms: UnixMs) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(now_ms)))
    }

    /// Milliseconds since the Unix epoch; 0 on a machine whose clock stands before 1970.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads wall time")]
    pub fn now_ms(&self) -> UnixMs {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            Self::Manual(now) => now.load(Ordering::Relaxed),
        }
    }

    /// Moves a manual clock; the system's clock is not ours to move.
    pub fn set(&self, now_ms: UnixMs) {
        if let Self::Manual(now) = self {
            now.store(now_ms, Ordering::Relaxed);
        }
    }
}

/// RFC 3339 in UTC with milliseconds, as in `2023-11-20T02:00:00.123Z`.
#[must_use]
pub fn rfc3339(unix_ms: UnixMs) -> String {
    jiff::Timestamp::from_millisecond(unix_ms).map_or_else(|_| unix_ms.to_string(), |at| format!("{at:.3}"))
}

/// Appends what [`rfc3339`] returns.
pub fn append_rfc3339(unix_ms: UnixMs, out: &mut String) {
    use std::fmt::Write;
    // Writing to a string cannot fail.
    let _ = match jiff::Timestamp::from_millisecond(unix_ms) {
        Ok(at) => write!(out, "{at:.3}"),
        Err(_) => write!(out, "{unix_ms}"),
    };
}
