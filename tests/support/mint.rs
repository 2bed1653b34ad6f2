//! Tickets for tests.

use std::time::Duration;

use claimrush::clock::Clock;
use claimrush::domain::ids::{DropId, PersonId};
use claimrush::guard::ticket::{KeyFile, TicketMint};

/// How long the tickets of tests are good for.
const TICKET_VALID: Duration = Duration::from_secs(3_600);

/// Signs tickets.
pub(crate) struct Mint {
    mint: TicketMint,
    /// How long before now the tickets begin to be good, and how long they are.
    since_ms: i64,
    valid: Duration,
}

impl Mint {
    /// With the keys of this file.
    pub(crate) fn new(keys: &KeyFile) -> Self {
        Self { mint: TicketMint::new(keys), since_ms: 0, valid: TICKET_VALID }
    }

    /// The same, with tickets that are good for two hours before and after now: also by a clock that is wrong.
    pub(crate) fn wide(self) -> Self {
        Self { since_ms: 7_200_000, valid: 4 * TICKET_VALID, ..self }
    }

    /// The same, with tickets that are good by a clock that is so far ahead.
    pub(crate) fn ahead(self, by_ms: i64) -> Self {
        Self { since_ms: -by_ms, ..self }
    }

    /// A ticket that is good now.
    pub(crate) fn ticket(&self, drop: &str, person: &str) -> String {
        self.ticket_from(drop, person, Clock::System.now_ms() - self.since_ms)
    }

    /// A ticket that is good from `from_ms` on, for an hour if the mint is not a wide one.
    pub(crate) fn ticket_from(&self, drop: &str, person: &str, from_ms: i64) -> String {
        let (drop, person) = (DropId::new(drop).expect("an id"), PersonId::new(person).expect("a person"));
        self.mint.mint(&person, &drop, from_ms, self.valid).expect("it signs")
    }
}
