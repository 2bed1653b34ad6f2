//! `GET /v1/vouchers/{code}`: how a voucher stands, for the person who holds it.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::header::HeaderMap;

use super::claims::{admit, append_claim_head};
use super::front::Front;
use super::problem::Problem;
use super::reply::{self, Reply};
use crate::backoffice::receipts::{LookUpError, Shown};
use crate::clock::UnixMs;
use crate::domain::cause::Cause;
use crate::domain::ids::{ClaimNumber, PersonId};
use crate::ledger::{ReceiptRow, Settlement};
use crate::rush::gate::DropGate;

/// Which voucher is asked for, and by whom.
pub(super) struct AskedVoucher {
    pub(super) drop: Arc<DropGate>,
    pub(super) number: ClaimNumber,
    person: PersonId,
}

/// Believes the code by its signature, then the person by a ticket for the code's drop.
pub(super) fn ask(
    front: &Front,
    code: &str,
    headers: &HeaderMap,
    peer: IpAddr,
) -> Result<AskedVoucher, Problem> {
    let number = front.signer.verify(code).map_err(|_| Cause::UnknownVoucher)?;
    let known = front.gate.drops().into_iter().find(|drop| drop.rules().number == number.drop);
    let drop = known
        .filter(|drop| number.shard == front.shard && drop.rules().spec.voucher.is_some())
        .ok_or(Cause::UnknownVoucher)?;
    let person = admit(front, headers, drop.id.as_str(), peer, front.clock.now_ms())?;
    Ok(AskedVoucher { drop, number, person })
}

/// 200 with the voucher, or with the receipt that was made of a code which no store knows; 404 for anybody else's.
pub(super) async fn show(front: &Front, asked: AskedVoucher) -> Result<Reply, Problem> {
    let (drop, number) = (Arc::clone(&asked.drop), asked.number);
    let body = match find(front, asked).await? {
        Shown::Held { returned, claimed_at_ms } => {
            let status = if returned { "returned" } else { "issued" };
            held(front, &drop, number, status, claimed_at_ms)
        }
        Shown::Receipt(row) => receipt(front, &drop, &row),
        Shown::NotTheirs => return Err(Cause::UnknownVoucher.into()),
    };
    Ok(reply::private_json(body))
}

/// What the code is to the person who shows it.
pub(super) async fn find(front: &Front, asked: AskedVoucher) -> Result<Shown, Problem> {
    let AskedVoucher { drop, number, person } = asked;
    front.vouchers.look_up(drop, number, person).await.map_err(|error| match error {
        LookUpError::Busy => Cause::Overloaded.into(),
        LookUpError::NotNow => Cause::Unavailable.into(),
        LookUpError::Failed(error) => {
            tracing::warn!(%error, "a voucher could not be looked up");
            Cause::Unavailable.into()
        }
    })
}

fn held(front: &Front, drop: &DropGate, number: ClaimNumber, status: &str, claimed_at_ms: UnixMs) -> String {
    let mut body = String::with_capacity(288);
    append_claim_head(front, &drop.rules(), number, &mut body);
    body.push_str(r#","status":""#);
    body.push_str(status);
    body.push_str(r#"","claimed_at":""#);
    front.stamps.append(claimed_at_ms, &mut body);
    body.push_str("\"}");
    body
}

/// A code that no store knows: what has become of it.
fn receipt(front: &Front, drop: &DropGate, row: &ReceiptRow) -> String {
    let mut body = String::with_capacity(512);
    append_claim_head(front, &drop.rules(), row.claim, &mut body);
    body.push_str(r#","status":""#);
    body.push_str(match row.settled {
        None => "in_review",
        Some((_, Settlement::Honoured(_))) => "replaced",
        Some((_, Settlement::Void(_))) => "void",
    });
    body.push_str(r#"","shown_at":""#);
    front.stamps.append(row.shown_at_ms, &mut body);
    body.push('"');
    if let Some((_, Settlement::Honoured(by))) = &row.settled {
        let drops = front.gate.drops();
        if let Some(given) = drops.iter().find(|drop| drop.rules().number == by.drop) {
            body.push_str(r#","replaced_by":"#);
            append_claim_head(front, &given.rules(), *by, &mut body);
            body.push('}');
        }
    }
    body.push('}');
    body
}
