//! Why a ticket is refused, in words that help its holder and give away no secret.

use crate::domain::ids::IdError;

/// Why a request's ticket is not accepted. `Display` is the text for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketRefusal {
    /// The request carries no ticket at all.
    #[error("a ticket is needed: send the header `Authorization: Bearer <ticket>`")]
    Missing,
    /// The ticket is malformed, forged, or not for this drop or this time.
    #[error("{0}")]
    Invalid(#[from] TicketFlaw),
    /// The ticket was good once.
    #[error("the ticket has expired; ask for a new one")]
    Expired,
}

impl TicketRefusal {
    /// The stable word for this refusal: the problem `code` and the metric label.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "ticket_missing",
            Self::Invalid(_) => "ticket_invalid",
            Self::Expired => "ticket_expired",
        }
    }
}

/// What is wrong with a ticket that is refused as invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketFlaw {
    /// `Authorization` names another scheme, is no text, or has something after the ticket.
    #[error("the header `Authorization` must read `Bearer <ticket>`")]
    Scheme,
    /// Longer than [`crate::limits::TICKET_BYTES_MAX`]: not looked at.
    #[error("the ticket is longer than {} bytes", crate::limits::TICKET_BYTES_MAX)]
    TooLong,
    /// Not three segments with dots between them.
    #[error("the ticket is no signed JWT of three segments")]
    Segments,
    /// The header is no base64url of a JSON object, or says something twice.
    #[error("the ticket's header is malformed")]
    Header,
    /// The header's `alg` is missing or not the one that the key is configured for.
    #[error("the ticket's `alg` is not the one its key is for")]
    Algorithm,
    /// The header names no key.
    #[error("the ticket's header has no `kid`")]
    KeyMissing,
    /// The header names a key that is not configured.
    #[error("the ticket's `kid` is not known here")]
    KeyUnknown,
    /// The header has `crit`: it demands an extension, and none is supported.
    #[error("the ticket's header has `crit`, which is not supported")]
    Critical,
    /// The header's `typ` is not `JWT`.
    #[error("the ticket's `typ` must be JWT")]
    Type,
    /// The signature does not belong to the header and payload.
    #[error("the ticket's signature is wrong")]
    Signature,
    /// The payload is no base64url of a JSON object, a claim has the wrong type, or stands there twice.
    #[error(
        "the ticket's payload is malformed, or one of its claims has the wrong type or stands there twice"
    )]
    Payload,
    /// A claim that every ticket must have is not there.
    #[error("the ticket lacks the claim `{0}`")]
    ClaimMissing(&'static str),
    /// `sub` cannot name a person.
    #[error("the ticket's `sub` {0}")]
    Person(IdError),
    /// The ticket is for another drop.
    #[error("the ticket is for another drop")]
    Drop,
    /// It is bound to another device.
    #[error("the ticket is for another device")]
    Device,
    /// `nbf` is still to come.
    #[error("the ticket is not valid yet")]
    NotYet,
}
