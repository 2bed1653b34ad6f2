//! What clients were told, set beside itself and beside the drops' public state.

use std::collections::{HashMap, HashSet};

use super::{
    AuditPlan, Verdicts,
    findings::Findings,
    lookup::DropState,
    outside::Settled,
    seen::{Seen, Told},
};
use crate::results::AuditCheck;

/// Each drop's public state, or why it is not known.
pub(super) type States = [Result<DropState, String>];

/// How many claims of the drop a person may hold at once, where its public state tells it.
pub(super) fn limit_of(states: &States, drop: usize) -> Option<u64> {
    states.get(drop)?.as_ref().ok()?.limit_per_person
}

/// How many claims of the drop a person may get in all, where its public state tells it.
fn grants_max(states: &States, drop: usize) -> Option<u64> {
    limit_of(states, drop).filter(|_| !units_come_back(states, drop))
}

fn units_come_back(states: &States, drop: usize) -> bool {
    matches!(states.get(drop), Some(Ok(DropState { units_come_back: true, .. })))
}

/// A drop's id by its place.
pub(super) fn id_of(plan: &AuditPlan, drop: usize) -> &str {
    plan.drops.get(drop).map_or("?", String::as_str)
}

/// The claims among these, each once. They are in order, so repetitions stand together.
pub(super) fn distinct(told: &[Told]) -> impl Iterator<Item = &Told> {
    told.chunk_by(|one, next| one.claim_id == next.claim_id).filter_map(<[Told]>::first)
}

/// The claims of a drop that were seen, each once, however often and by whomever.
pub(super) fn claims_of_drop(seen: &Seen, drop: usize) -> HashSet<&str> {
    seen.of_drop(drop).iter().map(|told| &*told.claim_id).collect()
}

/// No claim was given to two persons or as new twice, and nobody got more new ones than the drop's limit.
///
/// A claim's id stands for its drop, shard, epoch and number: two claims with one number are two ids of one number
/// only in another shard or epoch, which the ledger's check tells.
pub(super) fn seen_once(seen: &Seen, plan: &AuditPlan, states: &States) -> AuditCheck {
    let mut found = Findings::default();
    let mut first_told: HashMap<&str, (&Told, bool)> = HashMap::new();
    for told in &seen.told {
        let id = &*told.claim_id;
        let Some((first, was_new)) = first_told.get_mut(id) else {
            first_told.insert(id, (told, told.is_new));
            continue;
        };
        if (first.drop, first.seq) != (told.drop, told.seq) {
            let (one, other) = (id_of(plan, first.drop), id_of(plan, told.drop));
            found.add(|| {
                format!("{id} was told as no {} of {one} and as no {} of {other}", first.seq, told.seq)
            });
        }
        if first.person != told.person && !is_same_person(plan, first, told) {
            found.add(|| format!("{id} was told to the persons {} and {}", first.person, told.person));
        } else if *was_new && told.is_new {
            found.add(|| format!("{id} was told to person {} as new twice", told.person));
        }
        *was_new |= told.is_new;
    }
    for told in seen.by_person() {
        let Some(first) = told.first() else { continue };
        let new = distinct(told).filter(|claim| is_new(told, claim)).count() as u64;
        if let Some(limit) = grants_max(states, first.drop).filter(|limit| new > *limit) {
            let (person, drop) = (first.person, id_of(plan, first.drop));
            found.add(|| format!("person {person} got {new} new claims of {drop}, {limit} may be"));
        }
    }
    let compared = format!(
        "{} answers with a claim with each other: {} claims of {} persons",
        seen.told.len(),
        first_told.len(),
        seen.by_person().count()
    );
    let promise = "Every claim was given to one person once, and nobody got more than the drop's limit.";
    found.into_check("seen_once", promise, compared, String::new())
}

fn is_new(told: &[Told], claim: &Told) -> bool {
    told.iter().any(|other| other.claim_id == claim.claim_id && other.is_new)
}

/// Two lines of a ticket file may be tickets of one person.
fn is_same_person(plan: &AuditPlan, one: &Told, other: &Told) -> bool {
    let name = |told: &Told| plan.tickets.name(told.person, id_of(plan, told.drop));
    name(one).is_some_and(|known| name(other) == Some(known))
}

/// The drops whose limit was not compared, a line each.
pub(super) fn limits_not_known<'a>(
    plan: &'a AuditPlan,
    states: &'a States,
) -> impl Iterator<Item = String> + 'a {
    plan.drops.iter().zip(states).filter_map(|(drop, state)| {
        let why = match state {
            Ok(DropState { limit_per_person: Some(_), units_come_back: false, .. }) => return None,
            Ok(DropState { limit_per_person: Some(_), .. }) => {
                "in what was granted over time, since units that are held and go back are granted again"
            }
            Ok(_) => "its state has no limit_per_person",
            Err(why) => why,
        };
        Some(format!("the limit per person of {drop}: {why}"))
    })
}

/// Not more was granted than there is. A drop whose stock is not known is left out.
pub(super) fn granted_within_stock(
    plan: &AuditPlan,
    seen: &Seen,
    settled: &Settled,
    states: &States,
    verdicts: &mut Verdicts,
) {
    let mut found = Findings::default();
    let mut compared = Vec::new();
    for (drop, (id, state)) in plan.drops.iter().zip(states).enumerate() {
        let stock = match state {
            Ok(DropState { units_come_back: true, .. }) => {
                let why = "units that are held and go back are granted again";
                verdicts.left_out.push(format!("granted_within_stock of {id}: {why}"));
                continue;
            }
            Ok(DropState { stock_total: Some(stock), .. }) => *stock,
            Ok(_) => {
                verdicts.left_out.push(format!("granted_within_stock of {id}: its state has no stock_total"));
                continue;
            }
            Err(why) => {
                verdicts.left_out.push(format!("granted_within_stock of {id}: {why}"));
                continue;
            }
        };
        let mut claims = claims_of_drop(seen, drop);
        claims.extend(settled.granted(drop).map(|claim_id| &**claim_id));
        let granted = claims.len() as u64;
        if granted > stock {
            found.add(|| format!("{granted} claims of {id} were granted, {stock} are all that there is"));
        }
        compared.push(format!("{granted} claims of {id} with its stock of {stock}"));
    }
    if !compared.is_empty() {
        let promise = "Not more claims were granted than there is stock.";
        let shown = super::findings::list(compared);
        verdicts.checks.push(found.into_check("granted_within_stock", promise, shown, String::new()));
    }
}
