//! What the ledger keeps of a drop's epochs: when each began, what it carried over, and what was seen of it.

use serde::{Deserialize, Serialize};

use crate::clock::UnixMs;
use crate::domain::ids::{DropNumber, Epoch, Shard};

/// That a drop exists, or existed, in a shard's Redis under an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// The shard.
    pub shard: Shard,
    /// The epoch. The highest is the one that Redis must be in.
    pub epoch: Epoch,
    /// Live claims of older epochs when this one began. The epoch had that many units less to give; a return of
    /// such a claim later is counted by Redis in this epoch, so the number never changes.
    pub carried: u64,
    /// The highest `seq` of this epoch that a front end has reported ([`Seen`]); 0 without a report.
    pub seen_seq: u32,
}

/// The highest number that a front end saw Redis give, reported when Redis was found to be behind it. It outlives
/// the front end's memory, so that a loss stays known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The drop.
    pub drop: DropNumber,
    /// The epoch.
    pub epoch: Epoch,
    /// The number.
    pub seq: u32,
}

/// Why a rebuild from the ledger was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grounds {
    /// The ledger has no claim of the drop, and it was never open.
    NeverOpen,
    /// The shard was sealed: all that was granted was in the ledger, and nothing was granted since.
    Sealed,
    /// The only front end all the time has seen nothing that the ledger does not have.
    OnlyFrontEnd,
    /// An operator decided so, and accepted what may be lost.
    Operator,
}

impl Grounds {
    /// The word of reports and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeverOpen => "never_open",
            Self::Sealed => "sealed",
            Self::OnlyFrontEnd => "only_front_end",
            Self::Operator => "operator",
        }
    }
}

/// Claims of one epoch that were granted and are in no store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostClaims {
    /// The epoch.
    pub epoch: u16,
    /// The first number.
    pub first_seq: u32,
    /// The last number.
    pub last_seq: u32,
}

impl LostClaims {
    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::from(self.last_seq).saturating_add(1).saturating_sub(u64::from(self.first_seq))
    }
}

/// A drop that stands in Redis again, made from the ledger, and may soon sell under a new epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// The drop.
    pub drop: DropNumber,
    /// The shard.
    pub shard: Shard,
    /// The epoch that begins.
    pub epoch: Epoch,
    /// See [`Loaded::carried`].
    pub carried: u64,
    /// Why it was right.
    pub grounds: Grounds,
    /// What is known to be lost.
    pub lost: Vec<LostClaims>,
    /// For the audit record.
    pub now_ms: UnixMs,
    /// Who had it done; nothing where the service did it by itself.
    pub actor: Option<String>,
}
