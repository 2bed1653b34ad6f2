//! `POST /v1/drops/{drop}/claims` and `GET /v1/drops/{drop}/claims/mine`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::HeaderMap;
use sha2::{Digest, Sha256};

use super::body;
use super::front::Front;
use super::head;
use super::problem::Problem;
use super::reply::{self, Reply};
use crate::clock::{self, UnixMs};
use crate::domain::campaign::DropSpec;
use crate::domain::cause::Cause;
use crate::domain::claim::Grant;
use crate::domain::ids::{ClaimNumber, Mark, PersonId};
use crate::domain::life::State;
use crate::domain::life::rules::expires_at_ms;
use crate::limits;
use crate::redis::peer::Peer;
use crate::redis::scripts::ScriptError;
use crate::redis::{pool, reads};
use crate::rush::Decision;
use crate::rush::gate::{DropGate, DropRules};
use crate::rush::holders::Fingerprint;

/// How long before the release instant a person is told to come back in small steps.
const NOT_OPEN_STEP_MS: i64 = 1_000;

/// A claim that passed every check which needs the request, and the gate.
pub(super) struct Asked {
    drop: Arc<DropGate>,
    person: PersonId,
    print: Fingerprint,
    mark: Option<Mark>,
    /// When the request came.
    since: Instant,
}

/// Checks a claim as far as memory reaches. Nothing of the request is needed afterwards: its buffer is free for the
/// connection's next one while the claim waits. A body must be one JSON object, in which nothing is asked for yet; who may
/// not claim is not told what is wrong with theirs.
pub(super) fn ask(
    front: &Front,
    drop: &str,
    headers: &HeaderMap,
    body: &[u8],
    peer: IpAddr,
    since: Instant,
) -> Result<Asked, Problem> {
    let drop = front.gate.find(drop).ok_or(Cause::UnknownDrop)?;
    let now_ms = front.clock.now_ms();
    let person = admit(front, headers, drop.id.as_str(), peer, now_ms)?;
    body::check_json(headers, body)?;
    let mark = mark_of(&drop, headers)?;
    let print = front.gate.fingerprint(person.as_str());
    match front.gate.check(&drop, print, now_ms) {
        Ok(()) => Ok(Asked { drop, person, print, mark, since }),
        Err(cause) => Err(refused(front, &drop, cause)),
    }
}

/// Takes a claim: 201 granted, 200 the same claim again, or why not.
pub(super) async fn take(front: &Front, asked: Asked) -> Result<Reply, Problem> {
    let Asked { drop, person, print, mark, since } = asked;
    match front.queue.claim(Arc::clone(&drop), person, print, mark, since).await {
        Decision::Granted(grant) => Ok(reply::claimed(claim_body(front, &drop, &grant, None, false), false)),
        Decision::Again(grant) => {
            front.metrics.claim_replays_total.increment(1);
            // What a voucher's claim says was true when it was made; a unit that was paid for is not held any more.
            let rules = drop.rules();
            let state = match &rules.spec.item {
                Some(_) => states(front, &rules, &[grant]).await.pop().flatten(),
                None => None,
            };
            Ok(reply::claimed(claim_body(front, &drop, &grant, state, true), true))
        }
        Decision::Refused(cause) => Err(refused(front, &drop, cause)),
        Decision::Elsewhere(claim) => Err(match front.gate.find_number(claim.drop) {
            Some(won) => Problem::claimed_elsewhere(claim, won.id.clone()),
            None => Cause::LimitReached.into(),
        }),
    }
}

/// Takes a claim that came with a body.
pub(super) async fn take_with_body(
    front: &Front,
    drop: &str,
    headers: HeaderMap,
    body: Incoming,
    peer: IpAddr,
) -> Result<Reply, Problem> {
    let body = body::read(body, limits::BODY_BYTES_MAX, front.body_timeout).await?;
    take(front, ask(front, drop, &headers, &body, peer, Instant::now())?).await
}

/// Whose claims in which drop are asked for.
pub(super) struct Mine {
    drop: Arc<DropGate>,
    person: PersonId,
}

/// Checks who asks for their claims.
pub(super) fn ask_mine(
    front: &Front,
    drop: &str,
    headers: &HeaderMap,
    peer: IpAddr,
) -> Result<Mine, Problem> {
    let drop = front.gate.find(drop).ok_or(Cause::UnknownDrop)?;
    let person = admit(front, headers, drop.id.as_str(), peer, front.clock.now_ms())?;
    Ok(Mine { drop, person })
}

/// What the ticket's person holds in a drop: 200 with all of it, or 404.
pub(super) async fn mine(front: &Front, mine: Mine) -> Result<Reply, Problem> {
    let Mine { drop, person } = mine;
    let held = held(front, &drop, &person).await.map_err(|error: ScriptError| {
        tracing::warn!(%error, "claims could not be read");
        Problem::from(Cause::Unavailable)
    })?;
    let Held { grants, confirmed, is_of_compared } = held;
    if grants.is_empty() {
        // A shard that is being rebuilt, or a server that may lack anything, knows nobody's claims: that is no "none".
        let known = is_of_compared && drop.view().is_some() && !drop.is_frozen();
        return Err(if known { Cause::NoClaim } else { Cause::Unavailable }.into());
    }
    if !confirmed {
        return Err(Cause::OutcomeUnknown.into());
    }
    let states = states(front, &drop.rules(), &grants).await;
    let mut body = String::with_capacity(320 * grants.len());
    body.push_str(r#"{"claims":["#);
    for (index, grant) in grants.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        append_claim(front, &drop, grant, states.get(index).copied().flatten(), true, &mut body);
    }
    body.push_str("]}");
    Ok(reply::private_json(body))
}

/// What a person holds in a drop.
struct Held {
    grants: Vec<Grant>,
    /// Whether it is as safe as an acknowledged claim is to be.
    confirmed: bool,
    /// Whether the server that says so was compared with what is known of it; not asked where it says something.
    is_of_compared: bool,
}

async fn held(front: &Front, drop: &DropGate, person: &PersonId) -> Result<Held, ScriptError> {
    let mut connection = pool::checkout(&front.pool).await?;
    let grants = reads::claims_of(&mut connection, front.shard, &drop.id, person).await?;
    let confirmed = match &front.fence {
        Some(fence) if !grants.is_empty() => fence.is_enough(fence.raise(&mut connection).await?),
        _ => true,
    };
    let is_of_compared =
        grants.is_empty() && front.gate.trust.is_for(&Peer::learn(&mut connection).await?.run_id);
    Ok(Held { grants, confirmed, is_of_compared })
}

/// The person whom the request's ticket names, if they may knock now.
pub(super) fn admit(
    front: &Front,
    headers: &HeaderMap,
    drop: &str,
    peer: IpAddr,
    now_ms: UnixMs,
) -> Result<PersonId, Problem> {
    let authorization = head::authorization(headers)?;
    front.guard.admit(authorization, headers, drop, peer, now_ms).map_err(Problem::from)
}

/// The mark of the request's idempotency key. With a limit of one the person is the key, whatever the header
/// says.
fn mark_of(drop: &DropGate, headers: &HeaderMap) -> Result<Option<Mark>, Problem> {
    if drop.limit_per_person() == 1 {
        return Ok(None);
    }
    let digest = Sha256::digest(head::idempotency_key(headers)?);
    Ok(digest.first_chunk().map(|first| Mark(*first)))
}

fn refused(front: &Front, drop: &DropGate, cause: Cause) -> Problem {
    if cause != Cause::NotOpen {
        return cause.into();
    }
    let opens_at_ms = drop.rules().spec.opens_at_ms;
    let wait_ms = opens_at_ms - front.gate.redis_now_ms(front.clock.now_ms());
    let wait_ms = u64::try_from(wait_ms.max(NOT_OPEN_STEP_MS)).unwrap_or(1_000);
    let detail = format!("opens at {}", clock::rfc3339(opens_at_ms));
    Problem::with_detail(Cause::NotOpen, detail).retry_after(wait_ms)
}

/// How these claims of a drop stand by the ledger, as far as it says so in time; Redis knows only which were returned.
async fn states(front: &Front, rules: &DropRules, grants: &[Grant]) -> Vec<Option<State>> {
    let numbers = grants.iter().map(|grant| grant.number(rules.number, front.shard)).collect();
    front.standing.states(numbers).await.unwrap_or_else(|| vec![None; grants.len()])
}

fn claim_body(front: &Front, drop: &DropGate, grant: &Grant, state: Option<State>, replayed: bool) -> String {
    let mut body = String::with_capacity(288);
    append_claim(front, drop, grant, state, replayed, &mut body);
    body
}

/// How a claim stands in one word: by its last step in the ledger, or as it began.
pub(super) fn status_word(
    spec: &DropSpec,
    claimed_at_ms: UnixMs,
    returned: bool,
    state: Option<State>,
    now_ms: UnixMs,
) -> &'static str {
    let first = match (&spec.item, &spec.voucher) {
        (Some(_), _) => State::Held,
        // A voucher's time is over before the sweep comes to it.
        (None, Some(terms)) if now_ms >= expires_at_ms(terms, claimed_at_ms) => State::Expired,
        _ => State::Issued,
    };
    match state {
        // How a hold ended says more than that its unit went back.
        Some(state @ (State::Cancelled | State::Lapsed)) => state.as_str(),
        _ if returned => "returned",
        None | Some(State::Issued) => first.as_str(),
        Some(state) => state.as_str(),
    }
}

/// Appends a claim as the contract shows it. Drop ids and codes need no escaping: their alphabets have none.
fn append_claim(
    front: &Front,
    drop: &DropGate,
    grant: &Grant,
    state: Option<State>,
    replayed: bool,
    out: &mut String,
) {
    let rules = drop.rules();
    // A new claim is as it begins, whatever the clock says: the hot path asks for no time.
    let now_ms = if replayed { front.gate.redis_now_ms(front.clock.now_ms()) } else { grant.claimed_at_ms };
    let status = status_word(&rules.spec, grant.claimed_at_ms, grant.returned, state, now_ms);
    append_claim_head(front, &rules, grant.number(rules.number, front.shard), out);
    out.push_str(r#","status":""#);
    out.push_str(status);
    out.push_str(r#"","claimed_at":""#);
    front.stamps.append(grant.claimed_at_ms, out);
    if let Some(terms) = rules.spec.item.as_ref().filter(|_| status == State::Held.as_str()) {
        out.push_str(r#"","hold_expires_at":""#);
        clock::append_rfc3339(terms.held_until_ms(grant.claimed_at_ms), out);
    }
    out.push_str(r#"","replayed":"#);
    out.push_str(if replayed { "true" } else { "false" });
    out.push('}');
}

/// Appends the part of a claim that its number tells, its object still open.
pub(super) fn append_claim_head(front: &Front, rules: &DropRules, number: ClaimNumber, out: &mut String) {
    out.push_str(r#"{"claim_id":""#);
    number.append_claim_id(out);
    out.push_str(r#"","drop":""#);
    out.push_str(rules.spec.id.as_str());
    out.push_str(r#"","seq":"#);
    out.push_str(itoa::Buffer::new().format(number.seq));
    if rules.spec.voucher.is_some() {
        out.push_str(r#","voucher":""#);
        front.signer.append_code(number, out);
        out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::campaign::Campaign;

    #[test]
    fn a_claim_stands_as_its_last_step_says_and_a_voucher_ends_before_any_sweep() {
        let file = "id = \"c\"\nname = \"c\"\nbudget = \"9.00 CNY\"\ntime_zone = \"Asia/Shanghai\"\n[[drop]]\nid = \"d\"\n\
            opens_at = \"2023-11-20T10:00:00+08:00\"\ncloses_at = \"2023-11-21T10:00:00+08:00\"\nstock = 1\n\
            limit_per_person = 1\nvoucher = { face = \"1.00\", threshold = \"5.00\", valid_for = \"1h\" }\n";
        let spec = Campaign::parse(file).unwrap().drops.remove(0);
        let claimed_at_ms = spec.opens_at_ms;
        let ends_ms = expires_at_ms(spec.voucher.as_ref().unwrap(), claimed_at_ms);
        for (returned, state, now_ms, word) in [
            (false, None, ends_ms - 1, "issued"),
            (false, None, ends_ms, "expired"),
            (false, Some(State::Issued), ends_ms - 1, "issued"),
            (false, Some(State::Issued), ends_ms, "expired"),
            (false, Some(State::Redeemed), ends_ms, "redeemed"),
            (true, None, ends_ms, "returned"),
            (true, Some(State::Cancelled), ends_ms, "cancelled"),
        ] {
            assert_eq!(status_word(&spec, claimed_at_ms, returned, state, now_ms), word, "{state:?}");
        }
    }
}
