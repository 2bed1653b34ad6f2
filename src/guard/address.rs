//! Where a request comes from: the peer, or what a trusted proxy says of it.
//!
//! Owns the reading of `X-Forwarded-For` and `Forwarded` (RFC 7239). What a client writes into these headers
//! itself is never believed: only a configured proxy's word counts, only in the one header that the proxies are
//! configured to set, and the walk from the right stops at the first address that is no proxy's.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName};
use ipnet::IpNet;

use crate::limits::FORWARDED_HOPS_MAX;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The header in which the trusted proxies pass on addresses. The other one is not read: a proxy that does
/// not know a header lets a client's own through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For: 192.0.2.1, 198.51.100.2`
    #[default]
    XForwardedFor,
    /// `Forwarded: for=192.0.2.1, for="[2001:db8::1]:4711"`
    Forwarded,
}

/// How client addresses are found.
#[derive(Debug, Clone, Default)]
pub struct AddressRules {
    /// The networks of the proxies whose word is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The header that they set.
    pub header: ForwardedHeader,
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
        let walked = match self.header {
            ForwardedHeader::XForwardedFor => self.walk(peer, headers, X_FORWARDED_FOR, xff_hops),
            ForwardedHeader::Forwarded => self.walk(peer, headers, FORWARDED, forwarded_hops),
        };
        walked.map_or(direct, |address| ClientAddress { address, limited: true })
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    /// Walks the hops of all the header's lines from the right; none when there is no such header.
    fn walk<'h, H>(
        &self,
        peer: IpAddr,
        headers: &'h HeaderMap,
        name: HeaderName,
        hops: fn(&'h [u8]) -> H,
    ) -> Option<IpAddr>
    where
        H: Iterator<Item = Hop>,
    {
        let mut client = None;
        let lines = headers.get_all(name).iter().rev();
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

/// The hops of one `X-Forwarded-For` line, from the right.
fn xff_hops(line: &[u8]) -> impl Iterator<Item = Hop> {
    line.rsplit(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|hop| !hop.is_empty()).map(address_of)
}

/// The hops of one `Forwarded` line, from the right, so that what a client left open on the left cannot swallow
/// what the proxy wrote. A backslash would make reading from the right ambiguous; no address needs one.
fn forwarded_hops(line: &[u8]) -> impl Iterator<Item = Hop> {
    let readable = !line.contains(&b'\\');
    rsplit_unquoted(line, b',')
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
        .map(move |element| if readable { for_of(element) } else { None })
}

/// The parts of `text` between separators that stand outside quotes, from the right.
fn rsplit_unquoted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let part = rest?;
        let mut quoted = false;
        let at = part.iter().rposition(|byte| {
            quoted ^= *byte == b'"';
            *byte == separator && !quoted
        });
        match at.and_then(|at| Some((part.get(..at)?, part.get(at + 1..)?))) {
            Some((left, right)) => {
                rest = Some(left);
                Some(right)
            }
            None => rest.take(),
        }
    })
}

/// The address in the one `for` parameter of a `Forwarded` element.
fn for_of(element: &[u8]) -> Hop {
    let mut found = None;
    for pair in rsplit_unquoted(element, b';').map(<[u8]>::trim_ascii) {
        let Some((name, value)) = pair.split_at_checked(4) else { continue };
        if !name.eq_ignore_ascii_case(b"for=") {
            continue;
        }
        if found.replace(value).is_some() {
            return None;
        }
    }
    let value = found?;
    match value.strip_prefix(b"\"") {
        Some(quoted) => address_of(quoted.strip_suffix(b"\"")?),
        None => address_of(value),
    }
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
