//! The whole guard in one call: ticket first, then the limits by person and by address.

use hyper::header::HeaderMap;
use std::net::IpAddr;

use super::address::AddressRules;
use super::rate::{LimitRules, Limits, RateRefusal};
use super::ticket::{KeyFile, Scratch, TicketRefusal, TicketVerifier, bearer};
use crate::clock::UnixMs;
use crate::domain::ids::PersonId;

/// Admits persons, or tells why not. Threads share one.
pub struct Guard {
    verifier: TicketVerifier,
    limits: Limits,
    addresses: AddressRules,
}

/// Why a request goes no further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuardRefusal {
    /// Its ticket.
    #[error(transparent)]
    Ticket(#[from] TicketRefusal),
    /// It comes too often.
    #[error(transparent)]
    Rate(#[from] RateRefusal),
}

impl Guard {
    /// A guard with these keys and rules. `leeway_ms` forgives that much between the minter's clock and ours.
    #[must_use]
    pub fn new(keys: &KeyFile, leeway_ms: i64, limits: LimitRules, addresses: AddressRules) -> Self {
        Self { verifier: TicketVerifier::new(keys, leeway_ms), limits: Limits::new(limits), addresses }
    }

    /// The person whom the request's ticket names, if it is good for this drop and comes not too often.
    ///
    /// # Errors
    /// [`GuardRefusal`] names the first check that failed.
    pub fn admit(
        &self,
        authorization: Option<&[u8]>,
        headers: &HeaderMap,
        drop: &str,
        peer: IpAddr,
        now_ms: UnixMs,
    ) -> Result<PersonId, GuardRefusal> {
        let mut scratch = Scratch::new();
        let ticket = self.verifier.verify(bearer(authorization)?, drop, now_ms, &mut scratch)?;
        let address = self.addresses.client(peer, headers).limited();
        self.limits.check(&ticket.person, address)?;
        // The verifier has checked the person already: this only takes it over.
        PersonId::new(&ticket.person)
            .map_err(|error| TicketRefusal::from(super::ticket::TicketFlaw::Person(error)).into())
    }

    /// Forgets keys that have fully recovered. Due every few seconds.
    pub fn upkeep(&self) {
        self.limits.upkeep();
    }

    /// How many persons and addresses are being counted now.
    #[must_use]
    pub fn keys(&self) -> (usize, usize) {
        (self.limits.person().keys(), self.limits.address().keys())
    }
}
