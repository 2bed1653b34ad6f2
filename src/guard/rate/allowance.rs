//! What a rate limit grants: so many calls at once, then one more each interval.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::Quota;

use crate::limits;

/// What each key of a limit may do: `burst` calls at once, then one more each `interval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    burst: NonZeroU32,
    interval: Duration,
}

/// Why an allowance makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AllowanceError {
    /// No call at all, or too many.
    #[error("burst must be 1 to {max}, is {0}", max = limits::RATE_BURST_MAX)]
    Burst(u32),
    /// No time between two calls.
    #[error("interval must be longer than 0")]
    Interval,
    /// Too long until a used-up allowance is whole again.
    #[error("burst times interval must be at most {} s, is {} s", limits::RATE_RECOVERY_MAX.as_secs(), .0.as_secs_f64())]
    Recovery(Duration),
}

impl Allowance {
    /// Checks and keeps the numbers.
    ///
    /// # Errors
    /// [`AllowanceError`] names the number and its bounds.
    pub fn new(burst: u32, interval: Duration) -> Result<Self, AllowanceError> {
        let burst = NonZeroU32::new(burst)
            .filter(|burst| burst.get() <= limits::RATE_BURST_MAX)
            .ok_or(AllowanceError::Burst(burst))?;
        if interval.is_zero() {
            return Err(AllowanceError::Interval);
        }
        let recovery = interval.saturating_mul(burst.get());
        if recovery > limits::RATE_RECOVERY_MAX {
            return Err(AllowanceError::Recovery(recovery));
        }
        Ok(Self { burst, interval })
    }

    /// Calls at once.
    #[must_use]
    pub fn burst(self) -> u32 {
        self.burst.get()
    }

    /// The time in which one more call is granted.
    #[must_use]
    pub fn interval(self) -> Duration {
        self.interval
    }

    pub(super) fn quota(self) -> Quota {
        Quota::with_period(self.interval).unwrap_or(Quota::per_second(self.burst)).allow_burst(self.burst)
    }
}
