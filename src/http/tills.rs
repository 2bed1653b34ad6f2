//! `GET /v1/vouchers/{code}` with a merchant's key: what a till has to know before it takes a voucher, and no more.

use std::sync::Arc;

use hyper::header::HeaderMap;
use serde::Serialize;

use super::front::Front;
use super::head::bearer_key;
use super::problem::Problem;
use super::reply::{self, Reply};
use super::vouchers::{Merchants, status_of};
use crate::backoffice::receipts::{Absent, LookUpError};
use crate::clock::rfc3339;
use crate::domain::cause::Cause;
use crate::domain::ids::ClaimNumber;
use crate::domain::life::rules::{ShownAs, expires_at_ms};
use crate::domain::qr::presented;
use crate::ledger::ClaimStatus;
use crate::rush::gate::DropGate;

/// Which voucher a till asks for.
pub(super) struct AskedByTill {
    /// Nothing where this front end does not know the claim's drop, or not yet.
    drop: Option<Arc<DropGate>>,
    number: ClaimNumber,
}

#[derive(Serialize)]
struct Shown<'a> {
    claim_id: String,
    drop: &'a str,
    status: &'static str,
    face: String,
    threshold: String,
    currency: &'a str,
    expires_at: String,
    merchants: Merchants<'a>,
}

fn key(headers: &HeaderMap) -> Option<&str> {
    bearer_key(headers).filter(|given| given.starts_with("crk_"))
}

/// Whether the call comes with an API key in the place of a ticket.
pub(super) fn is_till(headers: &HeaderMap) -> bool {
    key(headers).is_some()
}

/// Believes the merchant by the key, then the code or the QR payload by its signature.
pub(super) fn ask(front: &Front, text: &str, headers: &HeaderMap) -> Result<AskedByTill, Problem> {
    front.access.merchant(key(headers).unwrap_or_default()).map_err(|_| Cause::Unauthorized)?;
    // The clock by which payloads are signed.
    let now_ms = front.gate.redis_now_ms(front.clock.now_ms());
    let (number, shown) = presented(&front.signer, &front.qr, text, now_ms)?;
    if shown == ShownAs::OldQr {
        return Err(Cause::QrExpired.into());
    }
    let known = front.gate.drops().into_iter().find(|drop| drop.rules().number == number.drop);
    let Some(drop) = known.filter(|_| number.shard == front.shard) else {
        return Ok(AskedByTill { drop: None, number });
    };
    if drop.rules().spec.voucher.is_none() {
        return Err(Cause::UnknownVoucher.into());
    }
    let campaign = front.gate.campaign(drop.rules().campaign.as_str());
    if shown == ShownAs::Code && campaign.is_some_and(|campaign| campaign.is_qr_required()) {
        return Err(Cause::QrRequired.into());
    }
    Ok(AskedByTill { drop: Some(drop), number })
}

/// What a till is told of a signed code whose claim the ledger did not have.
pub(super) async fn absent(front: &Front, number: ClaimNumber) -> Problem {
    match front.vouchers.absent(number).await {
        Ok(Absent::Nowhere) => Problem::with_detail(
            Cause::UnknownVoucher,
            "the code is signed and no store has its claim; the holder opens it, and staff decide",
        ),
        // A code is good as soon as it is told, and the drain comes a little later.
        Ok(Absent::OnItsWay) => {
            Problem::with_detail(Cause::Unavailable, "the ledger does not have the voucher yet; ask again")
        }
        Err(LookUpError::Busy) => Cause::Overloaded.into(),
        Err(LookUpError::NotNow) => {
            Problem::with_detail(Cause::Unavailable, "whether the voucher is still to come is not known now")
        }
        Err(error) => {
            tracing::warn!(%error, "where a claim is that the ledger does not have is not known");
            Cause::Unavailable.into()
        }
    }
}

/// 200 with how the voucher stands and what it asks for; not whose it is, nor where it was used.
pub(super) async fn show(front: &Front, asked: AskedByTill) -> Result<Reply, Problem> {
    let AskedByTill { drop, number } = asked;
    let Some(drop) = drop else { return Err(absent(front, number).await) };
    let found = front.standing.of(number).await.map_err(|error| match error {
        LookUpError::Busy => Problem::from(Cause::Overloaded),
        error => {
            tracing::warn!(%error, "a voucher could not be looked up for a till");
            Cause::Unavailable.into()
        }
    })?;
    let Some((row, last)) = found else { return Err(absent(front, number).await) };
    let rules = drop.rules();
    let terms = rules.spec.voucher.as_ref().ok_or(Cause::UnknownVoucher)?;
    let campaign = front.gate.campaign(rules.campaign.as_str());
    let returned = row.status == ClaimStatus::Returned;
    let shown = Shown {
        claim_id: number.claim_id(),
        drop: drop.id.as_str(),
        status: status_of(front, &rules.spec, row.claimed_at_ms, returned, last.as_ref()),
        face: terms.face.to_string(),
        threshold: terms.threshold.to_string(),
        currency: campaign.as_ref().map_or("", |campaign| campaign.currency.as_str()),
        expires_at: rfc3339(expires_at_ms(terms, row.claimed_at_ms)),
        merchants: Merchants { category: &terms.categories, region: &terms.regions },
    };
    serde_json::to_string(&shown).map(reply::private_json).map_err(|_| Cause::Unavailable.into())
}
