//! What the head of a request must be, on both listeners, before anybody looks at what is asked for.
//!
//! Owns how its parts are read. Knows nothing of what they are good for.

use hyper::Uri;

use super::problem::Problem;
use crate::domain::cause::Cause;
use crate::limits;

/// Whether the target is no longer than targets may be.
///
/// # Errors
/// 414.
pub(super) fn check_target(target: &Uri) -> Result<(), Problem> {
    let target = target.path_and_query();
    if target.is_some_and(|target| target.as_str().len() > limits::TARGET_BYTES_MAX) {
        return Err(Cause::TargetTooLong.into());
    }
    Ok(())
}
