//! The hot path: what is known from memory ([`gate`]), what waits for Redis ([`batcher`]), and the connections
//! that take it there ([`lane`]).
//!
//! Owns the way of a claim from a checked request to a decision. Knows no HTTP, no SQL and no key names.

pub mod backpressure;
pub mod batcher;
pub mod gate;
pub mod heard;
pub mod holders;
pub mod lane;
mod overload;
pub mod poll;
mod public;
mod queue;
pub mod trust;

use crate::domain::cause::Cause;
use crate::domain::claim::Grant;
use crate::domain::ids::ClaimNumber;

/// What became of one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is theirs, as of now.
    Granted(Grant),
    /// It has been theirs since before.
    Again(Grant),
    /// It is not theirs, for this reason.
    Refused(Cause),
    /// It is not theirs: they have this claim in another drop of a campaign in which one may win in one drop alone.
    Elsewhere(ClaimNumber),
}
