//! The guard of a configuration.

use std::time::Duration;

use crate::config::Config;
use crate::exit::{Exit, Failure};
use crate::guard::Guard;
use crate::guard::address::AddressRules;
use crate::guard::blocked::Blocked;
use crate::guard::rate::{Allowance, LimitRules};
use crate::guard::tables::AddressTables;
use crate::guard::ticket::KeyFile;

/// How this configuration has client addresses found.
pub(super) fn addresses(config: &Config) -> AddressRules {
    AddressRules {
        trusted_proxies: config.server.trusted_proxies.clone(),
        limit_loopback: !config.limits.exempt_loopback,
    }
}

/// The guard of this configuration.
pub(super) fn open(
    config: &Config,
    keys: &KeyFile,
    blocked: Blocked,
    tables: AddressTables,
) -> Result<Guard, Failure> {
    let limits = &config.limits;
    let allowance = |per_second: u32, burst: u32| {
        Allowance::new(burst, Duration::from_secs(1) / per_second.max(1))
            .map_err(|error| Failure::new(Exit::Config, format!("config: limits: {error}")))
    };
    let rules = LimitRules {
        person: allowance(limits.person_per_second, limits.person_burst)?,
        address: allowance(limits.address_per_second, limits.address_burst)?,
        network: allowance(limits.network_per_second, limits.network_burst)?,
        asn: allowance(limits.asn_per_second, limits.asn_burst)?,
        device: allowance(limits.person_per_second, limits.person_burst)?,
        keys_max: limits.keys_max,
    };
    let addresses = addresses(config);
    let leeway_ms = i64::try_from(config.ticket.leeway_s).unwrap_or(0).saturating_mul(1_000);
    let guard = Guard::new(keys, leeway_ms, rules, addresses).blocking(blocked);
    Ok(guard.by_asn(tables, &limits.asn_exempt).requiring_device(config.ticket.device_required))
}
