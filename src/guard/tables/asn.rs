//! Autonomous systems: which of them an address belongs to.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::ranges::{Collected, NumbersByAddress};
use super::{Found, TableFlaw, Tree};

/// The number of an autonomous system. Written as `AS4134`; `4134` is read as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Asn(pub u32);

/// A text is no number of an autonomous system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the number of an autonomous system, as in \"AS4134\"")]
pub struct AsnError;

impl FromStr for Asn {
    type Err = AsnError;

    fn from_str(text: &str) -> Result<Self, AsnError> {
        let digits = text.strip_prefix("AS").unwrap_or(text);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten().map(Self).ok_or(AsnError)
    }
}

impl std::fmt::Display for Asn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AS{}", self.0)
    }
}

impl Serialize for Asn {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Asn {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl Visitor<'_> for TextOrNumber {
            type Value = Asn;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the number of an autonomous system")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Asn, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Asn, E> {
                u32::try_from(number).map(Asn).map_err(|_| E::custom(AsnError))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Asn, E> {
                u32::try_from(number).map(Asn).map_err(|_| E::custom(AsnError))
            }
        }
        from.deserialize_any(TextOrNumber)
    }
}

/// What is read of a record: MaxMind's name for it, or the short one that other makers use.
#[derive(Deserialize)]
struct Record {
    #[serde(alias = "asn")]
    autonomous_system_number: Option<Asn>,
}

/// Autonomous systems by address. Of the file nothing is kept but their numbers.
#[derive(Debug)]
pub struct AsnTable {
    numbers: NumbersByAddress,
    networks: usize,
}

impl AsnTable {
    /// Reads a table: `autonomous_system_number` (GeoLite2-ASN and the like) or `asn` of each record. AS0 stands for
    /// none (RFC 7607).
    ///
    /// # Errors
    /// [`TableFlaw`]; a table is taken whole or not at all.
    pub fn read(bytes: Vec<u8>) -> Result<Self, TableFlaw> {
        let says = |found: &Found<'_>| {
            let record: Option<Record> = found.decode()?;
            Ok(record.and_then(|record| record.autonomous_system_number).filter(|asn| asn.0 != 0))
        };
        let mut collected = Collected::default();
        let note = |found: &Found<'_>, asn: Asn| {
            let wrong = |error: &dyn std::fmt::Display| TableFlaw::Format(error.to_string());
            let network = found.network().map_err(|error| wrong(&error))?;
            let network = IpNet::new(network.ip(), network.prefix()).map_err(|error| wrong(&error))?;
            collected.add(network, asn.0);
            Ok(())
        };
        let (_, networks) = Tree::read(bytes, "autonomous system", says, note)?;
        Ok(Self { numbers: collected.finish(), networks })
    }

    /// Has what [`AsnTable::prefetch`] will need fetched from memory meanwhile.
    pub(super) fn prefetch_index(&self, address: IpAddr) {
        self.numbers.prefetch_index(address);
    }

    /// Has what [`AsnTable::asn`] will need fetched from memory meanwhile.
    pub(super) fn prefetch(&self, address: IpAddr) {
        self.numbers.prefetch(address);
    }

    /// The autonomous system of an address, if the table knows it.
    #[must_use]
    pub fn asn(&self, address: IpAddr) -> Option<Asn> {
        self.numbers.number(address).map(Asn)
    }

    /// Networks of which it knows the autonomous system.
    #[must_use]
    pub fn networks(&self) -> usize {
        self.networks
    }
}
