//! The whole guard in one call: ticket first, then the limits by person and by address.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hyper::header::{HeaderMap, HeaderName};

use super::address::{AddressRules, ClientAddress};
use super::blocked::Blocked;
use super::rate::{Allowance, LimitRules, Limits, RateRefusal};
use super::tables::{AddressTables, Asn};
use super::ticket::{KeyFile, Scratch, TicketFlaw, TicketRefusal, TicketVerifier, bearer, device_hash};
use crate::clock::UnixMs;
use crate::domain::ids::PersonId;

/// In which a device says the name that it chose for itself.
const DEVICE: HeaderName = HeaderName::from_static("device-id");

thread_local! {
    /// Where this thread decodes tickets: always the same memory, which stays in its cache.
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
}

/// Admits persons, or tells why not. Threads share one.
pub struct Guard {
    /// Replaced when the key file changes.
    verifier: ArcSwap<TicketVerifier>,
    leeway_ms: i64,
    limits: Limits,
    addresses: AddressRules,
    blocked: Blocked,
    /// Whether a ticket that is bound to a device needs its name.
    device_required: bool,
}

/// Why a request goes no further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuardRefusal {
    /// Its ticket.
    #[error(transparent)]
    Ticket(#[from] TicketRefusal),
    /// It comes too often.
    #[error("{0}")]
    Rate(RateRefusal, Allowance),
    /// Staff keep this person out.
    #[error("this person is kept out")]
    Blocked,
}

impl Guard {
    /// A guard with these keys and rules. `leeway_ms` forgives that much between the minter's clock and ours.
    #[must_use]
    pub fn new(keys: &KeyFile, leeway_ms: i64, limits: LimitRules, addresses: AddressRules) -> Self {
        Self {
            verifier: ArcSwap::from_pointee(TicketVerifier::new(keys, leeway_ms)),
            leeway_ms,
            limits: Limits::new(limits),
            addresses,
            blocked: Blocked::default(),
            device_required: false,
        }
    }

    /// The same with a list of persons who are kept out, which may change later.
    #[must_use]
    pub fn blocking(self, blocked: Blocked) -> Self {
        Self { blocked, ..self }
    }

    /// The same, limiting by autonomous system too ([`Limits::by_asn`]).
    #[must_use]
    pub fn by_asn(self, tables: AddressTables, exempt: &[Asn]) -> Self {
        Self { limits: self.limits.by_asn(tables, exempt), ..self }
    }

    /// The same, refusing tickets that are bound to a device from whoever does not name one.
    #[must_use]
    pub fn requiring_device(self, device_required: bool) -> Self {
        Self { device_required, ..self }
    }

    /// Believes tickets by these keys from now on, and by no others.
    pub fn rekey(&self, keys: &KeyFile) {
        self.verifier.store(Arc::new(TicketVerifier::new(keys, self.leeway_ms)));
    }

    /// Where a request comes from.
    #[must_use]
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        self.addresses.client(peer, headers)
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
        SCRATCH
            .with_borrow_mut(|scratch| self.admit_with(scratch, authorization, headers, drop, peer, now_ms))
    }

    fn admit_with(
        &self,
        scratch: &mut Scratch,
        authorization: Option<&[u8]>,
        headers: &HeaderMap,
        drop: &str,
        peer: IpAddr,
        now_ms: UnixMs,
    ) -> Result<PersonId, GuardRefusal> {
        let verifier = self.verifier.load();
        let token = bearer(authorization)?;
        // Nearly every person and address of a rush is new, and what counts them is in no cache: it is fetched while the
        // ticket is read and its MAC is computed.
        let address = self.limits.prefetch_address(self.client_address(peer, headers).limited());
        let fetch = |named: &str| (self.limits.prefetch_person(named), self.blocked.prefetch(named));
        let mut keys = None;
        let announce = |named: &str| {
            keys = Some(fetch(named));
            self.limits.prefetch_system(address);
        };
        let ticket = verifier.verify_announcing(token, drop, now_ms, scratch, announce)?;
        if let Some(bound_to) = &ticket.device {
            self.check_device(bound_to, headers)?;
        }
        let (counted, blocked) = keys.unwrap_or_else(|| fetch(&ticket.person));
        self.limits.check_keys(counted, address).map_err(|rate| self.refused(rate))?;
        if let Some(device) = &ticket.device {
            self.limits.check_device(device).map_err(|rate| self.refused(rate))?;
        }
        if self.blocked.is_key(blocked, now_ms) {
            return Err(GuardRefusal::Blocked);
        }
        // The verifier has checked the person already: this only takes it over.
        PersonId::new(&ticket.person).map_err(|error| TicketRefusal::from(TicketFlaw::Person(error)).into())
    }

    fn refused(&self, rate: RateRefusal) -> GuardRefusal {
        GuardRefusal::Rate(rate, self.limits.allowance(rate))
    }

    /// Whether the device that a ticket is bound to is the one that sends it, by the name that the device chose.
    fn check_device(&self, bound_to: &str, headers: &HeaderMap) -> Result<(), TicketRefusal> {
        match headers.get(DEVICE) {
            None if !self.device_required => Ok(()),
            Some(device) if device_hash(device.as_bytes()) == bound_to => Ok(()),
            _ => Err(TicketFlaw::Device.into()),
        }
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
