//! Why the desk gives no ticket.

use super::identity::IdentityRefusal;
use crate::clock::UnixMs;
use crate::domain::eligibility::Ineligible;
use crate::guard::challenge::ChallengeFlaw;
use crate::guard::rate::{Allowance, RateRefusal};

/// Why no ticket is given. What `Display` says is for the client, save the reason why somebody is not eligible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskRefusal {
    /// There is no such drop.
    #[error("there is no such drop")]
    UnknownDrop,
    /// Its tickets are not given yet.
    #[error("tickets are given from then on")]
    NotYet {
        /// From when on.
        from_ms: UnixMs,
    },
    /// The drop is over.
    #[error("the drop is over")]
    Over,
    /// Somebody asks too often.
    #[error("{0}")]
    Rate(RateRefusal, Allowance),
    /// The identity.
    #[error(transparent)]
    Identity(#[from] IdentityRefusal),
    /// The solution.
    #[error(transparent)]
    Challenge(#[from] ChallengeFlaw),
    /// The solution was spent before.
    #[error("the challenge was spent already")]
    Spent,
    /// The captcha service says no, or cannot be asked and nothing else counts.
    #[error("the captcha was not passed")]
    Captcha,
    /// The device's name.
    #[error("device must be a name of 16 to 256 visible ASCII characters that the device chose for itself")]
    Device,
    /// Staff keep the person out.
    #[error("you cannot take part")]
    Blocked,
    /// The rules.
    #[error("the rules of this drop do not let you in")]
    Ineligible(Ineligible),
    /// Too many are served.
    #[error("too many people ask for tickets")]
    Busy,
    /// Something that is needed is away.
    #[error("the ticket desk cannot answer right now")]
    Away,
}
