//! What one thread is to do, and what follows from its scenario.

use std::sync::Arc;

use anyhow::{Context, Result};
use hyper::Method;

use super::{stock::Clerk, turns::Turns};
use crate::{
    client::{link::Way, target::Target},
    scenario::{Arrivals, Behaviour, Persona, Reuse, Scenario},
    schedule::Choices,
};

/// Stands for the drop's id in a path.
const DROP: &str = "{drop}";

/// What one thread is to do.
pub(crate) struct Plan {
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) choices: Choices,
    pub(crate) clerk: Clerk,
    /// Where claims and questions go, by drop.
    pub(crate) targets: Vec<DropTargets>,
    pub(crate) way: Way,
    /// This thread's slot, and how many there are.
    pub(crate) slot: u64,
    pub(crate) slots: u64,
    /// The most connections of personas that have their own, within this thread.
    pub(crate) sessions_max: usize,
    /// The numbers of the closed model's arrivals.
    pub(crate) turns: Arc<Turns>,
}

/// Where requests about one drop go.
#[derive(Debug, Clone)]
pub(crate) struct DropTargets {
    pub(crate) claim: Target,
    pub(crate) state: Target,
}

impl DropTargets {
    /// Those of all drops, in the order of the scenario.
    pub(crate) fn of_all(scenario: &Scenario) -> Result<Vec<Self>> {
        let service = &scenario.service;
        let claim = Method::from(service.method);
        let to = |method: &Method, path: &str, drop: &str| {
            Target::new(&service.url, method, &path.replace(DROP, drop))
        };
        let of = |drop: &str| -> Result<_> {
            let state = to(&Method::GET, &service.state_path, drop)?;
            Ok(Self { claim: to(&claim, &service.claim_path, drop)?, state })
        };
        scenario.drops.iter().map(|drop| of(&drop.id).with_context(|| format!("drop {}", drop.id))).collect()
    }
}

impl Plan {
    /// Whether a persona's requests share the connections that stand.
    pub(crate) fn is_pooled(&self, persona: &Persona) -> bool {
        self.scenario.connections.reuse == Reuse::KeepAlive
            && match &persona.behaviour {
                Behaviour::Honest { .. } => true,
                Behaviour::Bot { addresses, .. } => addresses.is_empty(),
                _ => false,
            }
    }

    /// Whether those who wait at the end of the schedule are still let in: a crowd has come as a whole, a rate
    /// goes on for ever.
    pub(crate) fn serves_the_rest(&self) -> bool {
        matches!(self.scenario.arrivals, Arrivals::Spike { .. } | Arrivals::Trace { .. })
    }
}
