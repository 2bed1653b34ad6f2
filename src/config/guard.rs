//! `[guard]`, `[limits]` and `[ticket]`: what the guard on the hot path goes by.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::guard::tables::Asn;
use crate::limits;

/// What is known of addresses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardConfig {
    /// The table (MaxMind's format) that tells in which region an address lies; empty for none.
    pub region_table: PathBuf,
    /// The table (MaxMind's format) that tells to which autonomous system an address belongs; empty for none.
    pub asn_table: PathBuf,
}

/// How often one person or address may ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// Requests per second that one person may keep up.
    pub person_per_second: u32,
    /// Requests that one person may make at once.
    pub person_burst: u32,
    /// Requests per second that one address (IPv6: one /64) may keep up.
    pub address_per_second: u32,
    /// Requests that one address may make at once.
    pub address_burst: u32,
    /// Requests per second that one network (IPv6: one /48) may keep up.
    pub network_per_second: u32,
    /// Requests that one network may make at once.
    pub network_burst: u32,
    /// With an ASN table: requests per second that one autonomous system may keep up.
    pub asn_per_second: u32,
    /// Requests that one autonomous system may make at once.
    pub asn_burst: u32,
    /// Autonomous systems that are free of this limit: the carriers of honest people.
    pub asn_exempt: Vec<Asn>,
    /// Whether loopback peers are free of the address limit: a balancer or a bench sits there.
    pub exempt_loopback: bool,
    /// Persons, and addresses, that the limiter remembers.
    pub keys_max: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            person_per_second: limits::PERSON_PER_SECOND_DEFAULT,
            person_burst: limits::PERSON_BURST_DEFAULT,
            address_per_second: limits::ADDRESS_PER_SECOND_DEFAULT,
            address_burst: limits::ADDRESS_BURST_DEFAULT,
            network_per_second: limits::NETWORK_PER_SECOND_DEFAULT,
            network_burst: limits::NETWORK_BURST_DEFAULT,
            asn_per_second: limits::ASN_PER_SECOND_DEFAULT,
            asn_burst: limits::ASN_BURST_DEFAULT,
            asn_exempt: Vec::new(),
            exempt_loopback: true,
            keys_max: limits::RATE_KEYS_DEFAULT,
        }
    }
}

/// The keys that tickets are checked with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketConfig {
    /// The key file; empty for `ticket.key` in the data folder.
    pub key_file: PathBuf,
    /// Whether a ticket that is bound to a device is refused without the header `Device-Id`.
    pub device_required: bool,
    /// Seconds by which another machine's clock may differ when `exp` and `nbf` are checked.
    pub leeway_s: u64,
}

impl TicketConfig {
    /// The key file: as set, or `ticket.key` in `data_dir`.
    #[must_use]
    pub fn key_path(&self, data_dir: &Path) -> PathBuf {
        if self.key_file.as_os_str().is_empty() { data_dir.join("ticket.key") } else { self.key_file.clone() }
    }
}
