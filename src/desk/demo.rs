//! The demo's desk: a ticket for whoever one likes to be. It stands where the config opens it, on this machine alone.

use std::time::Duration;

use arc_swap::ArcSwap;

use crate::clock::UnixMs;
use crate::domain::ids::{DropId, PersonId};
use crate::guard::ticket::{KeyFile, TicketMint};

/// How long its tickets are good.
const VALID: Duration = Duration::from_secs(24 * 3_600);
/// Person 0 to this one.
pub const PERSON_MAX: u32 = 999_999;

/// Signs tickets for anybody.
#[derive(Debug)]
pub struct DemoDesk(ArcSwap<TicketMint>);

/// Whom a ticket is asked for.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DemoRequest {
    /// In which drop.
    pub drop: String,
    /// Who: a number up to 999999.
    pub person: u32,
}

/// A ticket of the demo.
#[derive(Debug, serde::Serialize, schemars::JsonSchema)]
pub struct DemoTicket {
    /// The ticket.
    pub ticket: String,
    /// Who somebody is now, as in `person-000007`: the names of `make demo`'s rush.
    pub person: String,
}

impl DemoDesk {
    /// A desk that signs with these keys.
    #[must_use]
    pub fn new(keys: &KeyFile) -> Self {
        Self(ArcSwap::from_pointee(TicketMint::new(keys)))
    }

    /// The same with other keys.
    pub fn rekey(&self, keys: &KeyFile) {
        self.0.store(std::sync::Arc::new(TicketMint::new(keys)));
    }

    /// A ticket for a person of the demo; nothing for a number that is none.
    #[must_use]
    pub fn ticket(&self, drop: &DropId, person: u32, now_ms: UnixMs) -> Option<DemoTicket> {
        let person = (person <= PERSON_MAX).then(|| format!("person-{person:06}"))?;
        let id = PersonId::new(&person).ok()?;
        let ticket = self.0.load().mint(&id, drop, now_ms, VALID).ok()?;
        Some(DemoTicket { ticket, person })
    }
}
