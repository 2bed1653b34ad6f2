//! Regions: where an address lies.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::{Found, TableFlaw, Tree};
use crate::domain::region::{is_code, province_of_country, province_of_subdivision};

/// What is read of a record.
#[derive(Deserialize)]
struct Record<'t> {
    /// A code of GB/T 2260: as makers of Chinese tables call it.
    #[serde(default, borrow)]
    china_admin_code: Option<Code<'t>>,
    /// The same, as the map services call it.
    #[serde(default, borrow)]
    adcode: Option<Code<'t>>,
    /// As in GeoLite2-City.
    #[serde(default, borrow)]
    country: Iso<'t>,
    #[serde(default, borrow)]
    subdivisions: Vec<Iso<'t>>,
}

#[derive(Default, Deserialize)]
struct Iso<'t> {
    #[serde(default, borrow)]
    iso_code: Option<Cow<'t, str>>,
}

/// A code, written as a text or as a number.
struct Code<'t>(Cow<'t, str>);

impl<'de: 't, 't> Deserialize<'de> for Code<'t> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl<'de> Visitor<'de> for TextOrNumber {
            type Value = Code<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a code of GB/T 2260")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Code<'de>, E> {
                Ok(Code(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Code<'de>, E> {
                Ok(Code(Cow::Owned(text.to_owned())))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Code<'de>, E> {
                Ok(Code(Cow::Owned(number.to_string())))
            }
        }
        from.deserialize_any(TextOrNumber)
    }
}

impl Record<'_> {
    /// The code of GB/T 2260 that the record has or stands for, as exact as it is.
    fn code(&self) -> Option<&str> {
        let given = [&self.china_admin_code, &self.adcode].into_iter().flatten().map(|code| &*code.0);
        given.into_iter().find(|code| is_code(code) && !code.starts_with('0')).or_else(|| {
            let within_china = self.country.iso_code.as_deref() == Some("CN");
            let codes = self.subdivisions.iter().filter_map(|division| division.iso_code.as_deref());
            codes.filter(|_| within_china).find_map(province_of_subdivision)
        })
    }

    /// The same, or the country's two letters where no more is known.
    fn region(&self) -> Option<&str> {
        let country = self.country.iso_code.as_deref();
        self.code().or_else(|| country.and_then(province_of_country)).or(country)
    }
}

/// Regions by address.
#[derive(Debug)]
pub struct RegionTable {
    tree: Tree,
    networks: usize,
}

impl RegionTable {
    /// Reads a table whose records have a code of GB/T 2260 (`china_admin_code` or `adcode`), or country and subdivision as
    /// in GeoLite2-City.
    ///
    /// # Errors
    /// [`TableFlaw`]; a table is taken whole or not at all. One that knows countries alone is wrong.
    pub fn read(bytes: Vec<u8>) -> Result<Self, TableFlaw> {
        let says = |found: &Found<'_>| {
            let record: Option<Record<'_>> = found.decode()?;
            Ok(record.and_then(|record| record.code().map(|_| ())))
        };
        let (tree, networks) = Tree::read(bytes, "region of China", says, |_, ()| Ok(()))?;
        Ok(Self { tree, networks })
    }

    /// Where an address lies, if the table knows it: a code of GB/T 2260, or the letters of a country.
    #[must_use]
    pub fn region(&self, address: IpAddr) -> Option<String> {
        self.tree.find::<Record<'_>>(address)?.region().map(str::to_owned)
    }

    /// Networks of which it knows the region of China.
    #[must_use]
    pub fn networks(&self) -> usize {
        self.networks
    }
}
