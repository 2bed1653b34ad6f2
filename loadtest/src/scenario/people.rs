//! What people are to others: where they come from, and what their identity tokens say.

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
    time::Duration,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::schema::DurationText;

/// 2^64 divided by the golden ratio, made odd: its multiples visit every place of a block, neighbours far apart.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// What the identity tokens of people say. Only tickets from the desk ask for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// Accounts that show the same phone; 0 where tokens name no phone.
    pub accounts_per_phone: u32,
    /// Where they are at home, a code of GB/T 2260.
    pub region: Option<String>,
    /// For how long they have had their accounts.
    #[serde(with = "humantime_serde::option")]
    #[schemars(with = "Option<DurationText>")]
    pub account_age: Option<Duration>,
}

impl Default for Identity {
    fn default() -> Self {
        Self { accounts_per_phone: 1, region: None, account_age: None }
    }
}

/// An address, or all addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressBlock {
    first: IpAddr,
    /// Leading bits that all have.
    fixed: u32,
}

impl AddressBlock {
    /// The address of number `n`: within a block all differ until it is used up, and neighbours are far apart.
    #[must_use]
    pub fn address(&self, n: u64) -> IpAddr {
        let spread = n.wrapping_mul(STEP);
        match self.first {
            IpAddr::V4(first) => {
                let free = 32_u32.saturating_sub(self.fixed);
                let place = u32::try_from(low_bits(spread, free)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(first.to_bits() | place))
            }
            IpAddr::V6(first) => {
                // The upper bits of what is free: those tell subscribers apart.
                let free = 128_u32.saturating_sub(self.fixed);
                let used = free.min(64);
                let place = u128::from(low_bits(spread, used)) << (free - used);
                IpAddr::V6(Ipv6Addr::from_bits(first.to_bits() | place))
            }
        }
    }

    /// Whether it is an address of IPv4.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.first.is_ipv4()
    }
}

/// The lowest bits of a multiple of an odd number take every value once in their turn.
fn low_bits(spread: u64, bits: u32) -> u64 {
    if bits == 0 { 0 } else { spread & (u64::MAX >> (64 - bits.min(64))) }
}

impl FromStr for AddressBlock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, fixed) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let first: IpAddr = address.parse().map_err(|_| format!("{text:?} is no address or block"))?;
        let width = if first.is_ipv4() { 32 } else { 128 };
        let fixed = match fixed {
            None => width,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= width).ok_or_else(|| {
                format!("{text:?} is no block: /0 to /{width} are allowed behind such an address")
            })?,
        };
        let free_set = match first {
            IpAddr::V4(first) => first.to_bits().checked_shl(fixed).is_some_and(|rest| rest != 0),
            IpAddr::V6(first) => first.to_bits().checked_shl(fixed).is_some_and(|rest| rest != 0),
        };
        if free_set {
            return Err(format!("{text:?} is no block: bits behind its first {fixed} are set"));
        }
        Ok(Self { first, fixed })
    }
}

impl fmt::Display for AddressBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = if self.is_ipv4() { 32 } else { 128 };
        write!(f, "{}", self.first)?;
        if self.fixed < width { write!(f, "/{}", self.fixed) } else { Ok(()) }
    }
}

impl Serialize for AddressBlock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AddressBlock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for AddressBlock {
    fn schema_name() -> Cow<'static, str> {
        "AddressBlock".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An address, or a block of them as in 198.18.0.0/15 or 2001:db8::/48.",
            "pattern": r"^[0-9A-Fa-f.:]+(/\d{1,3})?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn block(text: &str) -> AddressBlock {
        text.parse().unwrap()
    }

    #[test]
    fn a_block_has_each_of_its_addresses_once() {
        let few: BTreeSet<_> = (0..256).map(|n| block("198.51.100.0/24").address(n).to_string()).collect();
        assert_eq!(few.len(), 256);
        assert!(few.iter().all(|address| address.starts_with("198.51.100.")));
        assert_eq!(block("203.0.113.7").address(9).to_string(), "203.0.113.7");
        let networks: BTreeSet<_> = (0..5_000)
            .map(|n| match block("10.0.0.0/8").address(n) {
                IpAddr::V4(address) => address.to_bits() >> 8,
                IpAddr::V6(_) => 0,
            })
            .collect();
        assert!(networks.len() > 4_500, "people are not neighbours: {}", networks.len());
        let subscribers: BTreeSet<_> = (0..1_000)
            .map(|n| match block("2001:db8:7::/48").address(n) {
                IpAddr::V6(address) => address.to_bits() >> 64,
                IpAddr::V4(_) => 0,
            })
            .collect();
        assert!(subscribers.len() > 900 && subscribers.iter().all(|it| it >> 16 == 0x2001_0db8_0007));
    }

    #[test]
    fn blocks_are_written_as_they_are_read_or_refused() {
        for text in ["10.0.0.0/8", "203.0.113.7", "2001:db8::/32", "::1"] {
            assert_eq!(block(text).to_string(), text);
        }
        for text in
            ["", "somewhere", "10.0.0.0/33", "10.0.0.1/8", "2001:db8::1/48", "10.0.0.0/-1", "10.0.0.0/"]
        {
            assert!(text.parse::<AddressBlock>().is_err(), "{text}");
        }
    }
}
