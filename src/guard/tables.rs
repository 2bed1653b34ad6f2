//! Address tables in MaxMind's format: where an address lies, and whose autonomous system it belongs to.
//!
//! Owns what is read of such tables and what makes one wrong. A table is looked through whole before it is believed, so
//! that no look-up fails later; whoever hands in the bytes keeps them fresh. All from memory.
//! Format: <https://maxmind.github.io/MaxMind-DB/>

mod asn;
#[cfg(test)]
#[path = "../../tests/support/mmdb.rs"]
#[expect(dead_code, reason = "shared with integration tests and measurements, which use the rest of it")]
pub(super) mod mmdb;
mod ranges;
mod region;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions};
use serde::Deserialize;

pub use asn::{Asn, AsnError, AsnTable};
pub use region::RegionTable;

use crate::limits;

/// Why a table is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableFlaw {
    /// It is no table of this format, or not all of it.
    #[error("is no table in MaxMind's format: {0}")]
    Format(String),
    /// One of its records cannot be read.
    #[error("has a record that cannot be read: {0}")]
    Record(String),
    /// It has more networks than are looked through.
    #[error("has more than {} networks", limits::ADDRESS_TABLE_NETWORKS_MAX)]
    TooLarge,
    /// It is a table of something else.
    #[error("is a table of {found:?}, which names no {wanted}")]
    Names {
        /// What it says it is.
        found: String,
        /// What it should name.
        wanted: &'static str,
    },
}

/// A network of a table and its record, not read yet.
type Found<'t> = LookupResult<'t, Vec<u8>>;

/// The bytes of a table and the way through them.
struct Tree {
    reader: Reader<Vec<u8>>,
}

impl Tree {
    /// Looks through a whole table. `says` tells what is `wanted` of a record, if it has that, and `note` is told of every
    /// network whose record has; their number comes with the table.
    fn read<T: Copy>(
        bytes: Vec<u8>,
        wanted: &'static str,
        says: impl Fn(&Found<'_>) -> Result<Option<T>, MaxMindDbError>,
        mut note: impl FnMut(&Found<'_>, T) -> Result<(), TableFlaw>,
    ) -> Result<(Self, usize), TableFlaw> {
        let format = |error: MaxMindDbError| TableFlaw::Format(error.to_string());
        let tree = Self { reader: Reader::from_source(bytes).map_err(format)? };
        // Empty networks count as well: a tree that goes round in circles may have nothing else.
        let all = WithinOptions::default().include_networks_without_data();
        let (mut networks, mut speaking) = (0_usize, 0_usize);
        let mut records: HashMap<usize, Option<T>> = HashMap::new();
        for found in tree.reader.networks(all).map_err(format)? {
            let found = found.map_err(format)?;
            networks += 1;
            if networks > limits::ADDRESS_TABLE_NETWORKS_MAX {
                return Err(TableFlaw::TooLarge);
            }
            let Some(offset) = found.offset() else { continue };
            let said = match records.entry(offset) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    *new.insert(says(&found).map_err(|error| TableFlaw::Record(error.to_string()))?)
                }
            };
            if let Some(said) = said {
                note(&found, said)?;
                speaking += 1;
            }
        }
        if speaking == 0 {
            let found = tree.reader.metadata().database_type.clone();
            return Err(TableFlaw::Names { found, wanted });
        }
        Ok((tree, speaking))
    }

    /// The record of an address as `T`; nothing where there is none.
    fn find<'t, T: Deserialize<'t>>(&'t self, address: IpAddr) -> Option<T> {
        self.reader.lookup(address.to_canonical()).ok()?.decode().ok()?
    }
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tree").field(&self.reader.metadata().database_type).finish()
    }
}

/// The tables that hold now, each if there is one. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct AddressTables {
    regions: Arc<ArcSwapOption<RegionTable>>,
    asns: Arc<ArcSwapOption<AsnTable>>,
}

impl AddressTables {
    /// Puts another table of regions in the place of the one before.
    pub fn replace_regions(&self, table: RegionTable) {
        self.regions.store(Some(Arc::new(table)));
    }

    /// Puts another table of autonomous systems in the place of the one before.
    pub fn replace_asns(&self, table: AsnTable) {
        self.asns.store(Some(Arc::new(table)));
    }

    /// Whether there is a table of regions.
    #[must_use]
    pub fn has_regions(&self) -> bool {
        self.regions.load().is_some()
    }

    /// [`RegionTable::region`]; nothing without a table.
    #[must_use]
    pub fn region(&self, address: IpAddr) -> Option<String> {
        self.regions.load().as_ref()?.region(address)
    }

    /// Has what [`AddressTables::prefetch_asn`] will need fetched from memory meanwhile.
    pub fn prefetch_asn_index(&self, address: IpAddr) {
        if let Some(table) = self.asns.load().as_ref() {
            table.prefetch_index(address);
        }
    }

    /// Has what [`AddressTables::asn`] will need fetched from memory meanwhile.
    pub fn prefetch_asn(&self, address: IpAddr) {
        if let Some(table) = self.asns.load().as_ref() {
            table.prefetch(address);
        }
    }

    /// [`AsnTable::asn`]; nothing without a table.
    #[must_use]
    pub fn asn(&self, address: IpAddr) -> Option<Asn> {
        self.asns.load().as_ref()?.asn(address)
    }
}
