//! Whether the system lets a job have the descriptors and ports that it needs, asked before anything is opened.

use std::fs;

use anyhow::{Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::job::Place;
use crate::scenario::{Behaviour, Reuse, Scenario};

/// Descriptors that a process needs beside its connections: standard streams, logs, the libraries' own.
const MARGIN: u64 = 64;
/// Descriptors that a thread needs beside its connections: epoll, its wake-up, its timer.
const PER_THREAD: u64 = 8;
/// Where Linux says from which ports connections may come.
const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// What a job needs at the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Need {
    descriptors: u64,
    /// Connections that all come from one address.
    from_one_address: u64,
}

impl Need {
    fn of(scenario: &Scenario, place: Place, threads: usize) -> Self {
        let connections = &scenario.connections;
        let part = |number: usize| {
            let slots = place.of.max(1);
            (number.div_ceil(slots).max(1) * threads) as u64
        };
        let kept = match connections.reuse {
            Reuse::KeepAlive => part(connections.count),
            Reuse::PerPerson | Reuse::NewEach => threads as u64,
        };
        let own = |behaviour: &Behaviour| match behaviour {
            Behaviour::Honest { .. } => connections.reuse != Reuse::KeepAlive,
            Behaviour::Bot { addresses, .. } => {
                !addresses.is_empty() || connections.reuse != Reuse::KeepAlive
            }
            _ => true,
        };
        let anyone = scenario.personas.iter().any(|persona| own(&persona.behaviour));
        let sessions = if anyone { part(connections.sessions_max) } else { 0 };
        let descriptors = kept + sessions + threads as u64 * PER_THREAD + MARGIN;
        Self { descriptors, from_one_address: kept + sessions }
    }
}

/// Raises the limit on descriptors as far as the job needs and the system allows.
///
/// # Errors
/// That is not far enough, or there are fewer ports than connections.
pub(crate) fn make_room(scenario: &Scenario, place: Place, threads: usize) -> Result<()> {
    let need = Need::of(scenario, place, threads);
    let limit = getrlimit(Resource::Nofile);
    // None stands for no limit.
    let soft = limit.current.unwrap_or(u64::MAX);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    check_descriptors(need, hard)?;
    if need.descriptors > soft {
        setrlimit(Resource::Nofile, Rlimit { current: Some(need.descriptors), maximum: limit.maximum })?;
    }
    // Where the file is missing the system is no Linux, and has its own rules.
    let range = fs::read_to_string(PORT_RANGE).unwrap_or_default();
    check_ports(need, &range)
}

fn check_descriptors(need: Need, hard: u64) -> Result<()> {
    let wanted = need.descriptors;
    if wanted > hard {
        bail!(
            "the run needs {wanted} open files (connections.count, connections.sessions_max and a margin), and this \
             process may have {hard}: raise the limit (`ulimit -n {wanted}`) or ask for fewer connections"
        );
    }
    Ok(())
}

fn check_ports(need: Need, range: &str) -> Result<()> {
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (Some(Ok(first)), Some(Ok(last))) = (ends.next(), ends.next()) else { return Ok(()) };
    let (wanted, ports) = (need.from_one_address, last.saturating_sub(first) + 1);
    if wanted > ports {
        bail!(
            "the run needs {wanted} connections to one service, and one address has {ports} ports for that \
             ({PORT_RANGE}: {first} to {last}): ask for fewer connections, widen the range, or use more machines"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_descriptors_or_ports_are_told_with_their_numbers() {
        let need = Need { descriptors: 5_000, from_one_address: 4_900 };
        let said = check_descriptors(need, 4_096).unwrap_err().to_string();
        assert!(said.contains("needs 5000 open files") && said.contains("may have 4096"), "{said}");
        assert!(said.contains("ulimit -n 5000"), "{said}");
        check_descriptors(need, 5_000).unwrap();

        let said = check_ports(need, "32768\t36000\n").unwrap_err().to_string();
        assert!(said.contains("needs 4900 connections") && said.contains("has 3233 ports"), "{said}");
        check_ports(need, "32768 60999").unwrap();
        check_ports(need, "").unwrap();
    }
}
