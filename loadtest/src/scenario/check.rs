//! What a scenario may say: every limit, and the refusal that names the key which breaks one.

mod arrivals;

use std::{collections::HashSet, fmt, ops::RangeInclusive, time::Duration};

use hyper::Uri;

use super::{Behaviour, Connections, DropShare, Identity, Persona, Scenario, Service, TicketMix, Tickets};
use crate::thresholds::Threshold;

/// The most arrivals a second.
pub const RATE_MAX: f64 = 10_000_000.0;
/// The longest a run, or any wait within it, may last.
pub const LENGTH_MAX: Duration = Duration::from_secs(24 * 3_600);
/// The most people, and the most rows of a trace: 8 bytes each are kept.
pub const PEOPLE_MAX: u64 = 50_000_000;
/// The most connections of one kind.
pub const CONNECTIONS_MAX: usize = 1_000_000;
/// The most steps of stairs.
pub const STEPS_MAX: usize = 1_000;
/// The longest name, id, path or address, in bytes.
pub const TEXT_BYTES_MAX: usize = 200;
/// The longest drop id that the service takes, in bytes.
const DROP_ID_BYTES_MAX: usize = 64;
/// The longest prefix of a person; with a number behind it, it stays within the service's 128 bytes.
const PREFIX_BYTES_MAX: usize = 100;
/// The most drops, personas, thresholds and addresses.
const LIST_MAX: usize = 1_000;
/// The most tries, polls or requests of one person.
pub const TRIES_MAX: u32 = 10_000;

/// Why a scenario is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The key, as in `arrivals.rate` or `persona.2.weight` (lists count from 0).
    pub key: String,
    /// What is wrong with it, and what is allowed.
    pub what: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.what)
    }
}

impl std::error::Error for Refusal {}

type Check = Result<(), Refusal>;

fn refuse(key: impl Into<String>, what: impl Into<String>) -> Check {
    Err(Refusal { key: key.into(), what: what.into() })
}

/// Checks everything that the types alone do not say.
///
/// # Errors
/// [`Refusal`] names the first key that breaks a limit.
pub fn check(scenario: &Scenario) -> Check {
    title("name", &scenario.name)?;
    service(&scenario.service)?;
    drops(&scenario.drops)?;
    arrivals::check(&scenario.arrivals)?;
    connections(&scenario.connections)?;
    tickets(scenario)?;
    personas(scenario)?;
    thresholds(scenario)
}

/// A name that can stand in a file name and in a threshold.
fn title(key: &str, text: &str) -> Check {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if text.is_empty() || text.len() > TEXT_BYTES_MAX || !text.chars().all(fits) {
        return refuse(
            key,
            format!("{text:?} is no name: allowed are 1 to {TEXT_BYTES_MAX} letters, digits, - and _"),
        );
    }
    Ok(())
}

fn number(key: &str, value: f64, allowed: RangeInclusive<f64>) -> Check {
    // Not a number is in no range.
    if allowed.contains(&value) {
        return Ok(());
    }
    refuse(key, format!("{value} is not allowed: from {} to {} is", allowed.start(), allowed.end()))
}

fn count<T: PartialOrd + Copy + fmt::Display>(key: &str, value: T, allowed: RangeInclusive<T>) -> Check {
    if allowed.contains(&value) {
        return Ok(());
    }
    refuse(key, format!("{value} is not allowed: from {} to {} is", allowed.start(), allowed.end()))
}

fn positive_rate(key: &str, rate: f64) -> Check {
    if rate > 0.0 && rate <= RATE_MAX {
        return Ok(());
    }
    refuse(key, format!("{rate} is not allowed: above 0 and up to {RATE_MAX} arrivals a second are"))
}

/// A length of time of at most [`LENGTH_MAX`]; it may be zero.
fn wait(key: &str, time: Duration) -> Check {
    if time <= LENGTH_MAX {
        return Ok(());
    }
    refuse(key, format!("{} is not allowed: up to 24h is", humantime::format_duration(time)))
}

/// The same, but not zero.
fn length(key: &str, time: Duration) -> Check {
    if time.is_zero() {
        return refuse(key, "0s is not allowed: above 0s and up to 24h is");
    }
    wait(key, time)
}

fn list(key: &str, items: usize, fewest: usize) -> Check {
    if (fewest..=LIST_MAX).contains(&items) {
        return Ok(());
    }
    refuse(key, format!("{items} of them are not allowed: from {fewest} to {LIST_MAX} are"))
}

fn weights(key: &str, weights: impl IntoIterator<Item = u32>) -> Check {
    if weights.into_iter().any(|weight| weight > 0) {
        return Ok(());
    }
    refuse(key, "all weights are 0: one must be above 0")
}

fn service(service: &Service) -> Check {
    address("service.url", &service.url)?;
    if let Some(url) = &service.admin_url {
        address("service.admin_url", url)?;
    }
    let paths = [
        ("service.claim_path", &service.claim_path),
        ("service.mine_path", &service.mine_path),
        ("service.state_path", &service.state_path),
    ];
    for (key, path) in paths {
        let filled = path.replace("{drop}", "x").replace("{line}", "1");
        let fits = path.len() <= TEXT_BYTES_MAX && filled.starts_with('/') && filled.parse::<Uri>().is_ok();
        if !fits {
            return refuse(
                key,
                format!(
                    "{path:?} is no path: allowed is /… of up to {TEXT_BYTES_MAX} bytes, with {{drop}} for the drop's id and {{line}} for the person's number"
                ),
            );
        }
    }
    Ok(())
}

fn address(key: &str, url: &str) -> Check {
    let fits = url.len() <= TEXT_BYTES_MAX
        && url.parse::<Uri>().is_ok_and(|uri| {
            uri.scheme_str() == Some("http")
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
                && uri.path_and_query().is_none_or(|path| path == "/")
        });
    if fits {
        return Ok(());
    }
    refuse(key, format!("{url:?} is no address of a service: allowed is http://host:port, without a path"))
}

fn drops(drops: &[DropShare]) -> Check {
    list("drop", drops.len(), 1)?;
    let mut known = HashSet::new();
    for (at, drop) in drops.iter().enumerate() {
        let key = format!("drop.{at}.id");
        let fits = |(at, c): (usize, char)| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || (at > 0 && matches!(c, '-' | '_' | '.'))
        };
        if drop.id.is_empty() || drop.id.len() > DROP_ID_BYTES_MAX || !drop.id.char_indices().all(fits) {
            let allowed = format!(
                "allowed are 1 to {DROP_ID_BYTES_MAX} of a-z, 0-9, -, _ and ., beginning with a letter or digit"
            );
            return refuse(key, format!("{:?} is no drop's id: {allowed}", drop.id));
        }
        if !known.insert(&drop.id) {
            return refuse(key, format!("{:?} is there twice: each drop may stand once", drop.id));
        }
    }
    weights("drop", drops.iter().map(|drop| drop.weight))
}

fn connections(connections: &Connections) -> Check {
    count("connections.count", connections.count, 1..=CONNECTIONS_MAX)?;
    count("connections.sessions_max", connections.sessions_max, 1..=CONNECTIONS_MAX)?;
    length("connections.reply_wait", connections.reply_wait)?;
    wait("connections.grace", connections.grace)?;
    wait("connections.retry_unknown_for", connections.retry_unknown_for.unwrap_or_default())?;
    if let Some(slow) = &connections.slow {
        wait("connections.slow.round_trip", slow.round_trip)?;
        count("connections.slow.bytes_per_second", slow.bytes_per_second, 1..=u64::MAX)?;
    }
    Ok(())
}

fn tickets(scenario: &Scenario) -> Check {
    match &scenario.tickets {
        Tickets::File { path, uses, .. } => {
            if let Some(uses) = uses {
                count("tickets.uses", *uses, 1..=u64::MAX)?;
            }
            if path.as_os_str().is_empty() {
                return refuse("tickets.path", "it is empty: a file with one ticket a line is needed");
            }
            if scenario.drops.len() > 1 {
                let why =
                    "a ticket file serves one drop and there are several: mint the tickets, or name one drop";
                return refuse("tickets.source", why);
            }
        }
        Tickets::Mint { key_file, persons, prefix } => {
            if key_file.as_os_str().is_empty() {
                return refuse("tickets.key_file", "it is empty: the service's ticket key file is needed");
            }
            if let Some(persons) = persons {
                count("tickets.persons", *persons, 1..=u64::MAX)?;
            }
            person_prefix(prefix)?;
        }
        Tickets::Desk { identity_keys, prefix, wait, .. } => {
            if identity_keys.as_os_str().is_empty() {
                return refuse(
                    "tickets.identity_keys",
                    "it is empty: a key set that the desk believes is needed",
                );
            }
            let Some(persons) = scenario.desk_persons() else {
                let why =
                    "it is missing: only a spike says how many people come, and all need tickets before";
                return refuse("tickets.persons", why);
            };
            count("tickets.persons", persons, 1..=PEOPLE_MAX)?;
            person_prefix(prefix)?;
            length("tickets.wait", *wait)?;
        }
    }
    Ok(())
}

fn person_prefix(prefix: &str) -> Check {
    if prefix.len() <= PREFIX_BYTES_MAX && prefix.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(());
    }
    let allowed = format!("up to {PREFIX_BYTES_MAX} visible ASCII characters without blanks");
    refuse("tickets.prefix", format!("{prefix:?} is not allowed: {allowed} are"))
}

fn personas(scenario: &Scenario) -> Check {
    let personas = &scenario.personas;
    list("persona", personas.len(), 1)?;
    let mut known = HashSet::new();
    for (at, persona) in personas.iter().enumerate() {
        let key = |name: &str| format!("persona.{at}.{name}");
        title(&key("name"), persona.title())?;
        if !known.insert(persona.title()) {
            let again = format!("{:?} is there twice: give each persona a name of its own", persona.title());
            return refuse(key("name"), again);
        }
        wait(&key("think"), persona.think)?;
        list(&key("forwarded_for"), persona.forwarded_for.len(), 0)?;
        if persona.identity != Identity::default() && !matches!(scenario.tickets, Tickets::Desk { .. }) {
            return refuse(
                key("identity"),
                "only tickets from the desk (tickets.source = \"desk\") ask for it",
            );
        }
        region(&key("identity.region"), persona.identity.region.as_deref())?;
        behaviour(key, &persona.behaviour)?;
    }
    weights("persona", personas.iter().map(|persona| persona.weight))
}

fn region(key: &str, region: Option<&str>) -> Check {
    let fits = |code: &str| (1..=16).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    match region {
        Some(code) if !fits(code) => {
            refuse(key, format!("{code:?} is no region: allowed are 1 to 16 letters and digits"))
        }
        _ => Ok(()),
    }
}

fn behaviour(key: impl Fn(&str) -> String, behaviour: &Behaviour) -> Check {
    match behaviour {
        Behaviour::Honest { retries } => count(&key("retries"), *retries, 0..=TRIES_MAX),
        Behaviour::DoubleClicker {} => Ok(()),
        Behaviour::Refresher { every, polls_max, .. } => {
            length(&key("every"), *every)?;
            count(&key("polls_max"), *polls_max, 1..=TRIES_MAX)
        }
        Behaviour::Impatient { patience, retries } => {
            length(&key("patience"), *patience)?;
            count(&key("retries"), *retries, 0..=TRIES_MAX)
        }
        Behaviour::Bot { requests, addresses, tickets } => {
            count(&key("requests"), *requests, 1..=TRIES_MAX)?;
            list(&key("addresses"), addresses.len(), 0)?;
            if let Some(far) = addresses.iter().find(|address| !address.is_loopback()) {
                let what = format!("{far} is no loopback address: only such can be bound, as in 127.0.0.2");
                return refuse(key("addresses"), what);
            }
            let TicketMix { valid, forged, expired, foreign, missing } = *tickets;
            weights(&key("tickets"), [valid, forged, expired, foreign, missing])
        }
        Behaviour::Abandoner { stay } => wait(&key("stay"), *stay),
        Behaviour::Slowloris { every, hold } => {
            length(&key("every"), *every)?;
            length(&key("hold"), *hold)
        }
    }
}

fn thresholds(scenario: &Scenario) -> Check {
    list("thresholds", scenario.thresholds.len(), 0)?;
    for (at, text) in scenario.thresholds.iter().enumerate() {
        let key = || format!("thresholds.{at}");
        let threshold = match Threshold::parse(text) {
            Ok(threshold) => threshold,
            Err(error) => return refuse(key(), format!("{text:?}: {error}")),
        };
        let unknown = threshold
            .personas()
            .find(|name| !scenario.personas.iter().any(|persona| persona.title() == *name));
        if let Some(unknown) = unknown {
            let known: Vec<_> = scenario.personas.iter().map(Persona::title).collect();
            let what = format!("{text:?}: there is no persona {unknown}; there are {}", known.join(", "));
            return refuse(key(), what);
        }
    }
    Ok(())
}
