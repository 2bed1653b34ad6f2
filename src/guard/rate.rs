//! Rate limits by person and by address.
//!
//! Owns how often a key may pass: the generic cell rate algorithm of governor over a bounded store of cells.
//! Knows neither what a request asks for nor how a refusal is written. Memory stays bounded under any flood of
//! keys, and the bound is no way around a limit: `rate/cells.rs` says why.

mod allowance;
mod cells;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use ahash::RandomState;
use governor::RateLimiter;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;

pub use allowance::{Allowance, AllowanceError};
use cells::BoundedCells;

use super::tables::{AddressTables, Asn};

/// Marks an IPv6 /48 among networks.
const IPV6_NETWORK: u8 = 48;

/// How long a refused caller must wait before the next call can pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetryAfter(pub Duration);

/// The limit that refused a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateRefusal {
    /// The person calls too often.
    #[error("too many requests by this person")]
    Person(RetryAfter),
    /// The address, or the IPv6 /64 that it is in, calls too often.
    #[error("too many requests from this address")]
    Address(RetryAfter),
    /// The network around it, an IPv6 /48, calls too often.
    #[error("too many requests from this network")]
    Network(RetryAfter),
    /// The autonomous system that it belongs to calls too often.
    #[error("too many requests from this autonomous system")]
    Asn(RetryAfter),
    /// The device that the ticket is bound to calls too often.
    #[error("too many requests by this device")]
    Device(RetryAfter),
}

impl RateRefusal {
    /// How long to wait.
    #[must_use]
    pub fn retry_after(self) -> RetryAfter {
        match self {
            Self::Person(after)
            | Self::Address(after)
            | Self::Network(after)
            | Self::Asn(after)
            | Self::Device(after) => after,
        }
    }

    /// What the limit is called in `RateLimit` headers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Person(_) => "person",
            Self::Address(_) => "address",
            Self::Network(_) => "network",
            Self::Asn(_) => "asn",
            Self::Device(_) => "device",
        }
    }
}

/// One allowance for each of many keys. A key is a 64-bit hash that callers cannot foresee.
pub struct KeyedLimit<C: Clock = DefaultClock> {
    limiter: RateLimiter<u64, BoundedCells, C, NoOpMiddleware<C::Instant>>,
    /// The limiter's store.
    cells: BoundedCells,
}

impl<C: Clock> std::fmt::Debug for KeyedLimit<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedLimit").field("keys", &self.keys()).finish_non_exhaustive()
    }
}

impl<C: Clock> KeyedLimit<C> {
    /// A limit that gives `allowance` to each of `keys_max` keys; keys beyond share some more cells.
    #[must_use]
    pub fn new(allowance: Allowance, keys_max: usize, clock: C) -> Self {
        let cells = BoundedCells::new(keys_max);
        Self { limiter: RateLimiter::new(allowance.quota(), cells.clone(), clock), cells }
    }

    /// Has what [`KeyedLimit::check`] will need for `key` fetched from memory meanwhile. Counts nothing.
    pub fn prefetch(&self, key: u64) {
        self.cells.prefetch(key);
    }

    /// Counts one call for `key`.
    ///
    /// # Errors
    /// [`RetryAfter`] when the allowance is used up; a refused call counts for nothing.
    pub fn check(&self, key: u64) -> Result<(), RetryAfter> {
        self.limiter.check_key(&key).map_err(|refused| {
            let now = self.limiter.clock().now();
            RetryAfter(refused.wait_time_from(now))
        })
    }

    /// Keys kept apart at the moment, without walking over them.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.limiter.len()
    }

    /// Drops the keys whose allowance has fully recovered, which changes no later answer. Walks over all keys:
    /// call it from a background task every [`crate::limits::RATE_UPKEEP_INTERVAL`].
    pub fn upkeep(&self) {
        self.limiter.retain_recent();
    }
}

/// How [`Limits`] are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitRules {
    /// What each person may do.
    pub person: Allowance,
    /// What each IPv4 address and each IPv6 /64 may do.
    pub address: Allowance,
    /// What each IPv6 /48 may do.
    pub network: Allowance,
    /// What each autonomous system may do, where it is known to which one an address belongs.
    pub asn: Allowance,
    /// What each device may do that a ticket is bound to.
    pub device: Allowance,
    /// Keys kept apart by each of the limits.
    pub keys_max: usize,
}

/// What a person is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersonKey(u64);

/// What an address is counted by: itself, and the network around it where that counts. Nothing for an exempt address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AddressKeys {
    address: Option<IpAddr>,
    host: Option<u64>,
    network: Option<u64>,
}

/// The limits that a claim meets after its ticket was accepted. Threads share one.
#[derive(Debug)]
pub struct Limits<C: Clock = DefaultClock> {
    person: KeyedLimit<C>,
    address: KeyedLimit<C>,
    network: KeyedLimit<C>,
    asn: KeyedLimit<C>,
    device: KeyedLimit<C>,
    systems: Systems,
    rules: LimitRules,
    /// Seeded anew in every process, so that nobody can choose persons or addresses that share a cell.
    hasher: RandomState,
}

impl Limits<DefaultClock> {
    /// Limits on the monotonic clock.
    #[must_use]
    pub fn new(rules: LimitRules) -> Self {
        Self::with_clock(rules, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limits<C> {
    /// Limits on `clock`.
    #[must_use]
    pub fn with_clock(rules: LimitRules, clock: C) -> Self {
        Self {
            person: KeyedLimit::new(rules.person, rules.keys_max, clock.clone()),
            address: KeyedLimit::new(rules.address, rules.keys_max, clock.clone()),
            network: KeyedLimit::new(rules.network, rules.keys_max, clock.clone()),
            asn: KeyedLimit::new(rules.asn, rules.keys_max, clock.clone()),
            device: KeyedLimit::new(rules.device, rules.keys_max, clock),
            systems: Systems::default(),
            rules,
            hasher: RandomState::new(),
        }
    }
}

/// By what addresses are put together into autonomous systems.
#[derive(Debug, Default)]
struct Systems {
    tables: AddressTables,
    /// Those that are free of the limit, in order.
    exempt: Vec<Asn>,
}

impl Systems {
    /// The one that is to be counted for an address.
    fn counted(&self, address: IpAddr) -> Option<Asn> {
        self.tables.asn(address).filter(|asn| self.exempt.binary_search(asn).is_err())
    }
}

impl<C: Clock> Limits<C> {
    /// The same, counting by autonomous system too while `tables` have a table of them. Those of `exempt` are not counted.
    #[must_use]
    pub fn by_asn(self, tables: AddressTables, exempt: &[Asn]) -> Self {
        let mut exempt = exempt.to_vec();
        exempt.sort_unstable();
        Self { systems: Systems { tables, exempt }, ..self }
    }
}

impl<C: Clock> Limits<C> {
    /// What `person` will be counted by. Has the count fetched from memory, which takes longer than all else that a limit does,
    /// while the caller goes on with other work. Counts nothing, so it may be asked for whom nobody has vouched for yet.
    pub fn prefetch_person(&self, person: &str) -> PersonKey {
        let key = self.hasher.hash_one(person);
        self.person.prefetch(key);
        PersonKey(key)
    }

    /// What `address` will be counted by, on the same terms; an exempt address is given as `None`.
    pub fn prefetch_address(&self, address: Option<IpAddr>) -> AddressKeys {
        let keys = self.address_keys(address);
        if let Some(address) = address {
            self.systems.tables.prefetch_asn_index(address);
        }
        for (limit, key) in [(&self.address, keys.host), (&self.network, keys.network)] {
            if let Some(key) = key {
                limit.prefetch(key);
            }
        }
        keys
    }

    /// Goes on with what [`Limits::prefetch_address`] began, when some time has passed: where the table of autonomous systems
    /// is to be looked into is known only then.
    pub fn prefetch_system(&self, keys: AddressKeys) {
        if let Some(address) = keys.address {
            self.systems.tables.prefetch_asn(address);
        }
    }

    fn address_keys(&self, address: Option<IpAddr>) -> AddressKeys {
        let Some(at) = address else { return AddressKeys::default() };
        let (host, network) = host_and_network(at);
        // Behind one IPv4 network stand far too many people: only IPv6 has networks of one subscriber's making.
        let network = (network.0 == IPV6_NETWORK).then(|| self.hasher.hash_one(network));
        AddressKeys { address, host: Some(self.hasher.hash_one(host)), network }
    }

    /// What the autonomous system around an address is counted by, on its way from memory.
    fn prefetch_asn(&self, address: AddressKeys) -> Option<u64> {
        let key = self.systems.counted(address.address?).map(|asn| self.hasher.hash_one(asn));
        key.inspect(|key| self.asn.prefetch(*key))
    }

    /// Counts one call of `person` from `address`; an exempt address is given as `None`. A call that the
    /// person's limit refuses does not count against the address, which others may share.
    ///
    /// # Errors
    /// [`RateRefusal`] names the limit that refuses, and the wait.
    pub fn check(&self, person: &str, address: Option<IpAddr>) -> Result<(), RateRefusal> {
        self.check_keys(self.prefetch_person(person), self.prefetch_address(address))
    }

    /// [`Limits::check`] by keys that were got ready for it.
    ///
    /// # Errors
    /// Those of [`Limits::check`].
    pub fn check_keys(&self, person: PersonKey, address: AddressKeys) -> Result<(), RateRefusal> {
        let asn = self.prefetch_asn(address);
        self.person.check(person.0).map_err(RateRefusal::Person)?;
        self.check_address_keys(address, asn)
    }

    /// Counts one call of `person` alone.
    ///
    /// # Errors
    /// [`RateRefusal::Person`] with the wait.
    pub fn check_person(&self, person: &str) -> Result<(), RateRefusal> {
        self.person.check(self.hasher.hash_one(person)).map_err(RateRefusal::Person)
    }

    /// Counts one call from `address` alone, for calls that name no person: by the address, then by the network and the
    /// autonomous system around it.
    ///
    /// # Errors
    /// [`RateRefusal`] names the first of them that refuses, and the wait.
    pub fn check_address(&self, address: Option<IpAddr>) -> Result<(), RateRefusal> {
        let keys = self.address_keys(address);
        self.check_address_keys(keys, self.prefetch_asn(keys))
    }

    fn check_address_keys(&self, address: AddressKeys, asn: Option<u64>) -> Result<(), RateRefusal> {
        let count = |limit: &KeyedLimit<C>, key: Option<u64>| key.map_or(Ok(()), |key| limit.check(key));
        count(&self.address, address.host).map_err(RateRefusal::Address)?;
        count(&self.network, address.network).map_err(RateRefusal::Network)?;
        count(&self.asn, asn).map_err(RateRefusal::Asn)
    }

    /// Counts one call of a device, by its hash.
    ///
    /// # Errors
    /// [`RateRefusal::Device`] with the wait.
    pub fn check_device(&self, device: &str) -> Result<(), RateRefusal> {
        self.device.check(self.hasher.hash_one(device)).map_err(RateRefusal::Device)
    }

    /// What the limit that refused grants.
    #[must_use]
    pub fn allowance(&self, refusal: RateRefusal) -> Allowance {
        match refusal {
            RateRefusal::Person(_) => self.rules.person,
            RateRefusal::Address(_) => self.rules.address,
            RateRefusal::Network(_) => self.rules.network,
            RateRefusal::Asn(_) => self.rules.asn,
            RateRefusal::Device(_) => self.rules.device,
        }
    }

    /// The limit by person, for its gauge.
    #[must_use]
    pub fn person(&self) -> &KeyedLimit<C> {
        &self.person
    }

    /// The limit by address, for its gauge.
    #[must_use]
    pub fn address(&self) -> &KeyedLimit<C> {
        &self.address
    }

    /// [`KeyedLimit::upkeep`] of all limits.
    pub fn upkeep(&self) {
        for limit in [&self.person, &self.address, &self.network, &self.asn, &self.device] {
            limit.upkeep();
        }
    }
}

/// What stands for an address ([`limited_as`]), and for the network around it: a /24 in IPv4, a /48 in IPv6.
#[must_use]
pub fn host_and_network(address: IpAddr) -> ((u8, u64), (u8, u64)) {
    let (family, host) = limited_as(address);
    let network = if family == 4 { (24, host >> 8) } else { (IPV6_NETWORK, host >> 16) };
    ((family, host), network)
}

/// What stands for an address: the address itself in IPv4, also when it comes mapped into IPv6; in IPv6 the
/// /64, because one subscriber has at least that much (RFC 6177).
fn limited_as(address: IpAddr) -> (u8, u64) {
    match address.to_canonical() {
        IpAddr::V4(address) => (4, u64::from(address.to_bits())),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            (6, [a, b, c, d].into_iter().fold(0, |prefix, segment| prefix << 16 | u64::from(segment)))
        }
    }
}
