//! Tickets for tests.

use std::time::Duration;

use claimrush::clock::Clock;
use claimrush::domain::ids::{DropId, PersonId};
use claimrush::guard::ticket::{KeyFile, TicketMint};

/// How long the tickets of tests are good for.
const TICKET_VALID: Duration = Duration::from_secs(3_600);

/// Signs tickets.
pub(crate) struct Mint(TicketMint);

impl Mint {
    /// With the keys of this file.
    pub(crate) fn new(keys: &KeyFile) -> Self {
        Self(TicketMint::new(keys))
    }

    /// A ticket that is good now.
    pub(crate) fn ticket(&self, drop: &str, person: &str) -> String {
        self.ticket_from(drop, person, Clock::System.now_ms())
    }

    /// A ticket that is good for an hour from `from_ms` on.
    pub(crate) fn ticket_from(&self, drop: &str, person: &str, from_ms: i64) -> String {
        let (drop, person) = (DropId::new(drop).expect("an id"), PersonId::new(person).expect("a person"));
        self.0.mint(&person, &drop, from_ms, TICKET_VALID).expect("it signs")
    }
}
