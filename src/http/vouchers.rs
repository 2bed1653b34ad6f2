//! `GET /v1/vouchers/{code}`: how a voucher stands, for the person who holds it.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::header::HeaderMap;
use serde::Serialize;

use super::claims::{admit, append_claim_head, status_word};
use super::front::Front;
use super::problem::Problem;
use super::reply::{self, Reply};
use crate::backoffice::receipts::{LookUpError, Shown};
use crate::clock::{UnixMs, rfc3339};
use crate::domain::campaign::DropSpec;
use crate::domain::cause::Cause;
use crate::domain::ids::{ClaimNumber, PersonId};
use crate::domain::life::State;
use crate::domain::life::rules::expires_at_ms;
use crate::ledger::life::StepRow;
use crate::ledger::{ReceiptRow, Settlement};
use crate::rush::gate::{DropGate, DropRules};

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
        Shown::Held { returned, claimed_at_ms, last } => {
            let rules = drop.rules();
            let status = status_of(front, &rules.spec, claimed_at_ms, returned, last.as_deref());
            held(front, &rules, number, status, claimed_at_ms, last.as_deref())?
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

/// How a voucher stands now.
pub(super) fn status_of(
    front: &Front,
    spec: &DropSpec,
    claimed_at_ms: UnixMs,
    returned: bool,
    last: Option<&StepRow>,
) -> &'static str {
    let now_ms = front.gate.redis_now_ms(front.clock.now_ms());
    status_word(spec, claimed_at_ms, returned, last.and_then(|last| last.state), now_ms)
}

/// What a voucher is worth to its holder, and what has become of it.
#[derive(Serialize)]
struct Held<'a> {
    status: &'a str,
    claimed_at: String,
    face: String,
    threshold: String,
    currency: &'a str,
    /// The first instant at which it is no longer good.
    expires_at: String,
    merchants: Merchants<'a>,
    /// Whether tills take the changing QR code alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    qr_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    redeemed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shop: Option<&'a str>,
}

/// Where it is taken; an empty list stands for everywhere.
#[derive(Serialize)]
pub(super) struct Merchants<'a> {
    pub(super) category: &'a [String],
    pub(super) region: &'a [String],
}

fn held(
    front: &Front,
    rules: &DropRules,
    number: ClaimNumber,
    status: &str,
    claimed_at_ms: UnixMs,
    last: Option<&StepRow>,
) -> Result<String, Problem> {
    let terms = rules.spec.voucher.as_ref().ok_or(Cause::UnknownVoucher)?;
    let campaign = front.gate.campaign(rules.campaign.as_str());
    let used = last.filter(|last| matches!(last.state, Some(State::Redeemed | State::Lost)));
    let rest = Held {
        status,
        claimed_at: rfc3339(claimed_at_ms),
        face: terms.face.to_string(),
        threshold: terms.threshold.to_string(),
        currency: campaign.as_ref().map_or("", |campaign| campaign.currency.as_str()),
        expires_at: rfc3339(expires_at_ms(terms, claimed_at_ms)),
        merchants: Merchants { category: &terms.categories, region: &terms.regions },
        qr_required: campaign.as_ref().is_some_and(|campaign| campaign.is_qr_required()),
        redeemed_at: used.and_then(|used| used.redeemed_at_ms).map(rfc3339),
        merchant: used.and_then(|used| used.merchant.as_deref()),
        shop: used.and_then(|used| used.shop.as_deref()),
    };
    let rest = serde_json::to_string(&rest).map_err(|_| Cause::Unavailable)?;
    let mut body = String::with_capacity(rest.len() + 160);
    append_claim_head(front, rules, number, &mut body);
    // Both are objects: the second goes on where the first is still open.
    body.push(',');
    body.push_str(rest.trim_start_matches('{'));
    Ok(body)
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
