//! `POST /v1/claims/{id}/confirm` and `…/cancel`: what becomes of a unit that is held.

use std::net::IpAddr;

use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::body;
use super::claims::admit;
use super::front::Front;
use super::problem::Problem;
use super::reply::{self, Reply};
use crate::backoffice::holds::{HoldError, Payment};
use crate::clock::rfc3339;
use crate::domain::cause::Cause;
use crate::domain::ids::{ClaimNumber, PersonId};
use crate::domain::life::{State, Step};
use crate::domain::money::Fen;
use crate::domain::webhook::Signed;
use crate::ledger::life::{Done, Key};
use crate::limits;

/// In whose name payment callbacks keep their ids.
const PAYMENTS: &str = "payments";

/// What a callback says; whatever else it says is the shop's own business.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Paid {
    /// The payment's id at the payment service.
    payment: String,
    /// What was paid, as in `4999.00`.
    amount: String,
}

/// What became of a payment.
#[derive(Serialize, JsonSchema)]
pub(super) struct Confirmed<'a> {
    claim_id: String,
    /// `confirmed`, or `refund_due` where the payment must go back.
    outcome: &'static str,
    /// How the claim stands after it.
    #[schemars(with = "Option<String>")]
    status: Option<State>,
    payment: &'a str,
    amount: String,
    recorded_at: String,
    replayed: bool,
}

/// A payment callback: 200 with what became of it, once it is recorded.
pub(super) async fn confirm(
    front: &Front,
    id: String,
    headers: HeaderMap,
    body: Incoming,
) -> Result<Reply, Problem> {
    let secrets = front.payments.as_ref().ok_or_else(|| {
        let detail = "no payments are taken here: holds.payment_secret_file is not set";
        Problem::with_detail(Cause::NotFound, detail)
    })?;
    let body = body::read(body, limits::BODY_BYTES_MAX, front.body_timeout).await?;
    let text =
        |name: &str| headers.get(name).map(HeaderValue::to_str).and_then(Result::ok).unwrap_or_default();
    let message = Signed {
        id: text("webhook-id"),
        timestamp: text("webhook-timestamp"),
        signatures: text("webhook-signature"),
    };
    secrets
        .verify(message, &body, front.clock.now_ms(), front.payment_tolerance_ms)
        .map_err(|flaw| Problem::with_detail(Cause::SignatureInvalid, flaw.to_string()))?;
    let payment = read_payment(&headers, &body)?;
    let claim = ClaimNumber::parse_claim_id(&id).map_err(|_| Cause::UnknownClaim)?;
    let key = Key {
        actor: PAYMENTS.to_owned(),
        key: hex(&[message.id.as_bytes()]),
        content: hex(&[&claim.to_bytes(), &body]),
    };
    let done = front.holds.confirm(claim, payment, key).await.map_err(|error| refused(&error))?;
    Ok(reply::private_json(confirmed(claim, &done)?))
}

fn hex(parts: &[&[u8]]) -> String {
    let digest = parts.iter().fold(Sha256::new(), Digest::chain_update);
    data_encoding::HEXLOWER.encode(&digest.finalize())
}

fn read_payment(headers: &HeaderMap, body: &[u8]) -> Result<Payment, Problem> {
    body::check_json(headers, body)?;
    let bad = |what: String| Problem::with_detail(Cause::BadRequest, what);
    let paid: Paid = serde_json::from_slice(body)
        .map_err(|error| bad(format!("the body must have payment and amount as texts: {error}")))?;
    let max = limits::LIFE_TEXT_BYTES_MAX;
    let is_id = (1..=max).contains(&paid.payment.len()) && !paid.payment.chars().any(char::is_control);
    if !is_id {
        return Err(bad(format!("payment must have 1 to {max} bytes and no control characters")));
    }
    let amount = Fen::parse(&paid.amount).map_err(|error| bad(format!("amount: {error}")))?;
    Ok(Payment { id: paid.payment, amount })
}

fn confirmed(claim: ClaimNumber, done: &Done) -> Result<String, Problem> {
    let step = &done.step;
    let body = Confirmed {
        claim_id: claim.claim_id(),
        outcome: if step.step == Some(Step::Confirmed) { "confirmed" } else { "refund_due" },
        status: step.state,
        payment: step.order_id.as_deref().unwrap_or_default(),
        amount: Fen(step.amount.unwrap_or(0)).to_string(),
        recorded_at: rfc3339(step.at_ms),
        replayed: done.replayed,
    };
    serde_json::to_string(&body).map_err(|_| Cause::Unavailable.into())
}

/// Whose hold is to be cancelled.
pub(super) struct AskedCancel {
    claim: ClaimNumber,
    person: PersonId,
}

/// Believes the person by a ticket for the claim's drop.
pub(super) fn ask_cancel(
    front: &Front,
    id: &str,
    headers: &HeaderMap,
    peer: IpAddr,
) -> Result<AskedCancel, Problem> {
    let claim = ClaimNumber::parse_claim_id(id).map_err(|_| Cause::UnknownClaim)?;
    let known = front.gate.drops().into_iter().find(|drop| drop.rules().number == claim.drop);
    let drop = known.filter(|_| claim.shard == front.shard).ok_or(Cause::UnknownClaim)?;
    let person = admit(front, headers, drop.id.as_str(), peer, front.clock.now_ms())?;
    Ok(AskedCancel { claim, person })
}

/// 200 once the ledger has the cancellation.
pub(super) async fn cancel(front: &Front, asked: AskedCancel) -> Result<Reply, Problem> {
    let AskedCancel { claim, person } = asked;
    front.holds.cancel(claim, person).await.map_err(|error| refused(&error))?;
    let body = format!(r#"{{"claim_id":"{}","status":"cancelled"}}"#, claim.claim_id());
    Ok(reply::private_json(body))
}

fn refused(error: &HoldError) -> Problem {
    match error {
        HoldError::Busy => Cause::Overloaded.into(),
        HoldError::Unknown => Cause::UnknownClaim.into(),
        HoldError::NotHeld(what) => Problem::with_detail(Cause::NotHeld, what.as_str()),
        HoldError::KeyReused => Problem::with_detail(Cause::KeyReused, error.to_string()),
        HoldError::NotYet => {
            Problem::with_detail(Cause::Unavailable, "the claim is not in the ledger yet; send it again")
        }
        HoldError::Failed(what) => {
            tracing::warn!(error = what, "a hold could not be changed");
            Cause::Unavailable.into()
        }
    }
}
