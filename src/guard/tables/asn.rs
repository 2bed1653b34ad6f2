//! Autonomous systems: which of them an address belongs to.

use std::net::IpAddr;
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::{TableFlaw, Tree};

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

/// Autonomous systems by address.
#[derive(Debug)]
pub struct AsnTable {
    tree: Tree,
    networks: usize,
}

impl AsnTable {
    /// Reads a table: `autonomous_system_number` (GeoLite2-ASN and the like) or `asn` of each record.
    ///
    /// # Errors
    /// [`TableFlaw`]; a table is taken whole or not at all.
    pub fn read(bytes: Vec<u8>) -> Result<Self, TableFlaw> {
        let (tree, networks) = Tree::read(bytes, "autonomous system", |found| {
            let record: Option<Record> = found.decode()?;
            Ok(record.is_some_and(|record| record.autonomous_system_number.is_some()))
        })?;
        Ok(Self { tree, networks })
    }

    /// The autonomous system of an address, if the table knows it.
    #[must_use]
    pub fn asn(&self, address: IpAddr) -> Option<Asn> {
        self.tree.find::<Record>(address)?.autonomous_system_number
    }

    /// Networks of which it knows the autonomous system.
    #[must_use]
    pub fn networks(&self) -> usize {
        self.networks
    }
}
