//! How many connections may be open: over all cores, and of one address.
//!
//! Owns both counts. Costs nothing a request, and a look-up when a connection that is counted by its address comes and when it goes. Memory is bounded by
//! the connections: an address is known for as long as it has one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::guard::address::AddressRules;
use crate::guard::rate::host_and_network;

/// A cap on connections that several listeners share.
#[derive(Debug)]
pub struct ConnectionCap {
    open: AtomicUsize,
    max: usize,
    addresses: Option<Addresses>,
}

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capped {
    /// As many are open as may be.
    All,
    /// As many of its address are open as may be of one.
    Address,
}

/// What stands for an address: itself, or in IPv6 its /64.
type Host = (u8, u64);

/// The connections of each address.
#[derive(Debug)]
struct Addresses {
    max: usize,
    rules: AddressRules,
    /// Those that have one.
    open: Mutex<HashMap<Host, usize>>,
}

/// A connection's place; free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    cap: Arc<ConnectionCap>,
    /// By which it is counted, if it is.
    host: Option<Host>,
}

impl ConnectionCap {
    /// A cap of `max`, whoever they are of.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), max, addresses: None })
    }

    /// A cap of `max`, of which one address may have `address_max`: an IPv4 address, or an IPv6 /64. Peers that these rules do not limit
    /// by their own address, since they pass others on, are free of that.
    #[must_use]
    pub fn by_address(max: usize, address_max: usize, rules: AddressRules) -> Arc<Self> {
        let addresses = Addresses { max: address_max, rules, open: Mutex::default() };
        // There is nothing to be counted where one may have them all.
        let addresses = (address_max < max).then_some(addresses);
        Arc::new(Self { open: AtomicUsize::new(0), max, addresses })
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many may be.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }

    /// A place for a connection of `peer`.
    ///
    /// # Errors
    /// [`Capped`] says which cap refuses it.
    pub fn take(self: &Arc<Self>, peer: IpAddr) -> Result<Place, Capped> {
        let is_free = self.open.fetch_add(1, Ordering::Relaxed) < self.max;
        // From here on it gives back what it took, also where it is not kept.
        let mut place = Place { cap: Arc::clone(self), host: None };
        if !is_free {
            return Err(Capped::All);
        }
        if let Some(addresses) = self.addresses.as_ref().filter(|addresses| addresses.rules.limits_peer(peer))
        {
            let (host, _) = host_and_network(peer);
            if !addresses.take(host) {
                return Err(Capped::Address);
            }
            place.host = Some(host);
        }
        Ok(place)
    }
}

impl Addresses {
    fn take(&self, host: Host) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(host).or_insert(0);
        let is_free = *count < self.max;
        *count += usize::from(is_free);
        is_free
    }

    fn give_back(&self, host: Host) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = open.entry(host) {
            *count.get_mut() = count.get().saturating_sub(1);
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let (Some(host), Some(addresses)) = (self.host, &self.cap.addresses) {
            addresses.give_back(host);
        }
        self.cap.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cap(max: usize, address_max: usize, proxies: &[&str], limit_loopback: bool) -> Arc<ConnectionCap> {
        let trusted_proxies = proxies.iter().map(|network| network.parse().unwrap()).collect();
        ConnectionCap::by_address(max, address_max, AddressRules { trusted_proxies, limit_loopback })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn known(cap: &ConnectionCap) -> usize {
        cap.addresses.as_ref().map_or(0, |addresses| addresses.open.lock().unwrap().len())
    }

    #[test]
    fn one_address_leaves_places_to_others() {
        let cap = cap(6, 2, &[], false);
        let held: Vec<_> = (0..2).map(|_| cap.take(ip("203.0.113.7")).unwrap()).collect();
        assert_eq!(cap.take(ip("203.0.113.7")).unwrap_err(), Capped::Address);
        assert_eq!(cap.take(ip("::ffff:203.0.113.7")).unwrap_err(), Capped::Address, "it is the same");
        let other = cap.take(ip("203.0.113.8")).unwrap();
        assert_eq!((cap.open(), known(&cap)), (3, 2), "what was refused takes no place");
        drop(held);
        let again = cap.take(ip("203.0.113.7")).unwrap();
        assert_eq!((cap.open(), known(&cap)), (2, 2));
        drop((again, other));
        assert_eq!((cap.open(), known(&cap)), (0, 0), "nothing is kept of those who have gone");
    }

    #[test]
    fn one_subscriber_of_ipv6_counts_as_one() {
        let cap = cap(6, 2, &[], false);
        let _held: Vec<_> =
            ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9"].map(|peer| cap.take(ip(peer)).unwrap()).into();
        assert_eq!(cap.take(ip("2001:db8:1:2:3::")).unwrap_err(), Capped::Address);
        assert!(cap.take(ip("2001:db8:1:3::1")).is_ok(), "the next one");
    }

    #[test]
    fn proxies_and_this_machine_may_have_them_all() {
        let cap = cap(3, 1, &["10.0.0.0/8"], false);
        for peer in ["10.1.2.3", "::ffff:10.1.2.3", "127.0.0.1", "::1"] {
            let held: Vec<_> = (0..3).map(|_| cap.take(ip(peer)).unwrap()).collect();
            assert_eq!(cap.take(ip(peer)).unwrap_err(), Capped::All, "{peer}");
            assert_eq!((cap.open(), known(&cap)), (3, 0), "{peer}");
            drop(held);
        }
        assert_eq!(cap.open(), 0);
    }

    #[test]
    fn this_machine_counts_where_it_is_told_to() {
        let cap = cap(3, 1, &[], true);
        let _held = cap.take(ip("127.0.0.1")).unwrap();
        assert_eq!(cap.take(ip("127.0.0.1")).unwrap_err(), Capped::Address);
    }

    #[test]
    fn nobody_is_counted_where_one_may_have_them_all() {
        for address_max in [3, 4] {
            let cap = cap(3, address_max, &[], true);
            let _held: Vec<_> = (0..3).map(|_| cap.take(ip("203.0.113.7")).unwrap()).collect();
            assert_eq!(cap.take(ip("203.0.113.7")).unwrap_err(), Capped::All);
            assert_eq!(known(&cap), 0);
        }
    }
}
