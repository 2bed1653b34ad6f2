//! What the scripts answer: the table of codes, and the types that replies are read into.
//!
//! The codes stand in the scripts' headers and in `lua/README.md` too; a contract test keeps them equal.

pub use super::reply::{
    ClaimReply, DropReply, DropState, DropView, Outcome, decode_counting, decode_records, encode_record,
};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// Why a script refused. The number and the name are those of the scripts' headers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code, in the order of the table in `lua/README.md`.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The number that a script answers.
            #[must_use]
            pub const fn number(self) -> i64 {
                match self {
                    $(Self::$variant => $number,)*
                }
            }

            /// The name that the scripts give it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The code of a number, if it is one.
            #[must_use]
            pub const fn from_number(number: i64) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// The drop's `opens_at` has not come.
    NotOpen = -1, "NOT_OPEN";
    /// The drop is paused.
    Paused = -2, "PAUSED";
    /// The drop's `closes_at` has passed.
    Closed = -3, "CLOSED";
    /// No stock is left.
    SoldOut = -4, "SOLD_OUT";
    /// The person has all that one person may have.
    LimitReached = -5, "LIMIT_REACHED";
    /// The drop is being loaded or rebuilt and tells nothing.
    Frozen = -6, "FROZEN";
    /// There is no such drop in this shard.
    UnknownDrop = -7, "UNKNOWN_DROP";
    /// The new stock is smaller than what is claimed already.
    ShrinkBelowClaimed = -8, "SHRINK_BELOW_CLAIMED";
    /// The claim's unit went back to stock before.
    AlreadyReturned = -9, "ALREADY_RETURNED";
    /// The person has no such claim.
    NotFound = -10, "NOT_FOUND";
    /// The drop is in a higher epoch or complete in this one, or somebody else restores it.
    Superseded = -11, "SUPERSEDED";
    /// The drop was set to a later revision of the campaigns.
    OutOfDate = -12, "OUT_OF_DATE";
    /// Stock was taken away from the drop at this revision of the campaigns, and the ledger may be about to be told.
    Unsettled = -13, "UNSETTLED";
}

/// A reply that the script cannot have given to this call. The connection that brought it is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A value of another kind or range than the script's header says.
    #[error("malformed reply: {0}")]
    Malformed(&'static str),
    /// The reply belongs to another call.
    #[error("reply to batch {found}, expected batch {expected}")]
    OtherBatch {
        /// The batch that was sent.
        expected: u64,
        /// The batch that the reply names.
        found: u64,
    },
}
