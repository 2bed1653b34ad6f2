//! Where a request comes from: the peer, or what a trusted proxy says of it.
//!
//! Owns the reading of `X-Forwarded-For`. What a client writes into it itself is never believed: only a configured proxy's word
//! counts, and the walk from the right stops at the first address that is no proxy's. `Forwarded` (RFC 7239) is not read: a proxy
//! that does not set it lets a client's own through.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::HeaderName;
use ipnet::IpNet;

use crate::limits::FORWARDED_HOPS_MAX;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How client addresses are found.
#[derive(Debug, Clone, Default)]
pub struct AddressRules {
    /// The networks of the proxies whose word is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether loopback peers meet the address limit; a balancer or a bench on this machine usually should not.
    pub limit_loopback: bool,
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress {
    /// The address, IPv4 when it came mapped into IPv6.
    pub address: IpAddr,
    limited: bool,
}

impl ClientAddress {
    /// The address that [`super::rate::Limits::check`] is to count, none when it is exempt.
    #[must_use]
    pub fn limited(self) -> Option<IpAddr> {
        self.limited.then_some(self.address)
    }
}

impl AddressRules {
    /// The client's address: the peer's, or if the peer is a trusted proxy the right-most address in its header
    /// that is no trusted proxy's. With nothing but proxies there it is the left-most; with anything unreadable,
    /// `unknown` or obfuscated on the way it is the peer's.
    ///
    /// Only a loopback peer that speaks for itself is exempt from the address limit: one that passes somebody
    /// on is a proxy, and what it passes on is limited.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddress {
        let peer = peer.to_canonical();
        let direct = ClientAddress { address: peer, limited: self.limit_loopback || !peer.is_loopback() };
        if !self.trusts(peer) {
            return direct;
        }
        self.walk(peer, headers).map_or(direct, |address| ClientAddress { address, limited: true })
    }

    /// Whether a peer is limited by its own address: neither a proxy, which passes others on, nor a loopback peer that is exempt.
    #[must_use]
    pub fn limits_peer(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        (self.limit_loopback || !peer.is_loopback()) && !self.trusts(peer)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    /// Walks the hops of all the header's lines from the right; none when there is no such header.
    fn walk(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let mut client = None;
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        for hop in lines.flat_map(|line| hops(line.as_bytes())).take(FORWARDED_HOPS_MAX) {
            let Some(address) = hop else { return Some(peer) };
            client = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        client
    }
}

/// One hop: its address, or none when it does not name one.
type Hop = Option<IpAddr>;

/// The hops of one line, from the right.
fn hops(line: &[u8]) -> impl Iterator<Item = Hop> {
    line.rsplit(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|hop| !hop.is_empty()).map(address_of)
}

/// Reads an address with or without port; IPv6 with or without brackets, and with them if there is a port.
fn address_of(text: &[u8]) -> Hop {
    let text = std::str::from_utf8(text).ok()?;
    let address = if let Ok(address) = text.parse::<IpAddr>() {
        address
    } else if let Some(bare) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        IpAddr::V6(bare.parse::<Ipv6Addr>().ok()?)
    } else {
        text.parse::<SocketAddr>().ok()?.ip()
    };
    Some(address.to_canonical())
}
