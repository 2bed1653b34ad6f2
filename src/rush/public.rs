//! A drop's state in the words of the contract.

/// What a drop looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicState {
    /// Not open yet.
    Scheduled,
    /// Claims are granted.
    Open,
    /// The campaign is paused, or the shard is being loaded.
    Paused,
    /// Nothing is left.
    SoldOut,
    /// The window has passed.
    Closed,
}

impl PublicState {
    /// The word of the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Open => "open",
            Self::Paused => "paused",
            Self::SoldOut => "sold_out",
            Self::Closed => "closed",
        }
    }
}
