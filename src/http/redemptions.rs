//! `POST /v1/vouchers/{code}/redemptions`, `POST /v1/redemptions/{id}/refunds` and `…/reversals`: what tills say and are told.

use hyper::body::Incoming;
use hyper::header::HeaderMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::body;
use super::front::Front;
use super::head::{bearer_key, idempotency_key};
use super::problem::Problem;
use super::reply::{self, Reply};
use super::tills::absent;
use crate::backoffice::redemptions::{TakeError, Till, TillRefusal};
use crate::clock::rfc3339;
use crate::domain::cause::Cause;
use crate::domain::ids::RedemptionId;
use crate::domain::life::State;
use crate::domain::life::rules::{Barred, Unmet};
use crate::domain::money::Fen;
use crate::domain::qr::presented;
use crate::ledger::life::{Action, Done, Key, Outcome, Redeem, Refused, Request, StepRow};
use crate::limits;

/// What a till says of an order. Everything else that it sends is refused by name.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    /// The order's id at this merchant: one voucher an order.
    order_id: String,
    /// What the order costs, as in `120.00`.
    amount: String,
    /// One of the merchant's shops. It may be left out where they all lie in one region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shop: Option<String>,
    /// When the order was made, by the till's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    /// Where the till stands, in its own words; as the two below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cashier: Option<String>,
}

/// How much of an order is refunded.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Refund {
    /// Nothing for all that was not refunded yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
}

/// A body that says nothing.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// 201 with the discount, 200 with the same again.
pub(super) async fn redeem(
    front: &Front,
    code: String,
    headers: HeaderMap,
    body: Incoming,
) -> Result<Reply, Problem> {
    let order: Order = read(front, &headers, body).await?;
    let till = till(front, &headers, order.shop.as_deref())?;
    let now_ms = front.gate.redis_now_ms(front.clock.now_ms());
    let (claim, shown) = presented(&front.signer, &front.qr, &code, now_ms)?;
    let amount = amount(&order.amount)?;
    let texts = [
        ("order_id", Some(&order.order_id)),
        ("at", order.at.as_ref()),
        ("location", order.location.as_ref()),
        ("receipt", order.receipt.as_ref()),
        ("cashier", order.cashier.as_ref()),
    ];
    for (name, text) in texts {
        check_text(name, text)?;
    }
    if let Some(at) = &order.at {
        at.parse::<jiff::Timestamp>().map_err(|_| bad(format!("at: {at:?} is not an RFC 3339 instant")))?;
    }
    // A QR payload changes every few seconds and stands for the same claim.
    let key = key(&headers, &till, &["redeem", &claim.claim_id()], &order)?;
    let detail = serde_json::to_string(&order).map_err(|_| Cause::Unavailable)?;
    let Order { order_id, shop, .. } = order;
    let Till { merchant, barred, trial } = till;
    let detail = Some(detail);
    let redeem = Redeem { claim, shown, merchant, barred, shop, order_id, amount, detail, trial };
    let request = Request { action: Action::Redeem(redeem), key: (!trial).then_some(key) };
    let done = match outcome(front, request).await? {
        Err(Refused::UnknownClaim) => return Err(absent(front, claim).await),
        other => other.map_err(refused)?,
    };
    let body = RedeemedBody {
        redemption_id: (done.step.number > 0).then(|| RedemptionId(done.step.number).to_string()),
        claim_id: claim.claim_id(),
        trial,
        facts: Facts::of(&done.step),
        replayed: done.replayed,
    };
    answer(&body, done.replayed)
}

/// 201 with what has become of the voucher, 200 with the same again.
pub(super) async fn refund(
    front: &Front,
    id: String,
    headers: HeaderMap,
    body: Incoming,
) -> Result<Reply, Problem> {
    let refund: Refund = read(front, &headers, body).await?;
    let till = till(front, &headers, None)?;
    let redemption = redemption(&id)?;
    let amount = refund.amount.as_deref().map(amount).transpose()?;
    let key = key(&headers, &till, &["refund", &id], &refund)?;
    let action = Action::Refund { redemption, merchant: till.merchant.id, amount };
    undone(&take(front, Request { action, key: Some(key) }).await?, &id)
}

/// 201 when the redemption is taken back, 200 with the same again.
pub(super) async fn reverse(
    front: &Front,
    id: String,
    headers: HeaderMap,
    body: Incoming,
) -> Result<Reply, Problem> {
    let nothing: Nothing = read(front, &headers, body).await?;
    let till = till(front, &headers, None)?;
    let redemption = redemption(&id)?;
    let key = key(&headers, &till, &["reverse", &id], &nothing)?;
    let action = Action::Reverse { redemption, merchant: till.merchant.id };
    undone(&take(front, Request { action, key: Some(key) }).await?, &id)
}

/// A redemption.
#[derive(Serialize, JsonSchema)]
pub(super) struct RedeemedBody {
    /// Nothing for a merchant that is there for tests.
    #[serde(skip_serializing_if = "Option::is_none")]
    redemption_id: Option<String>,
    claim_id: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    trial: bool,
    #[serde(flatten)]
    facts: Facts,
    replayed: bool,
}

/// What has become of a redemption.
#[derive(Serialize, JsonSchema)]
pub(super) struct UndoneBody<'a> {
    redemption_id: &'a str,
    #[serde(flatten)]
    facts: Facts,
    replayed: bool,
}

/// What a step says to its merchant. Nothing of who holds the voucher.
#[derive(Serialize, JsonSchema)]
struct Facts {
    step: &'static str,
    /// How the voucher stands after it.
    #[schemars(with = "Option<String>")]
    status: Option<State>,
    order_id: Option<String>,
    amount: String,
    discount: String,
    /// What the customer pays.
    to_pay: String,
    refunded: String,
    /// What of the discount the merchant is no longer owed.
    discount_back: String,
    at: String,
}

impl Facts {
    fn of(step: &StepRow) -> Self {
        let (amount, discount) = (step.amount.unwrap_or(0), step.discount.unwrap_or(0));
        Self {
            step: step.step.map_or("", crate::domain::life::Step::as_str),
            status: step.state,
            order_id: step.order_id.clone(),
            amount: Fen(amount).to_string(),
            discount: Fen(discount).to_string(),
            to_pay: Fen(amount.saturating_sub(discount)).to_string(),
            refunded: Fen(step.refunded).to_string(),
            discount_back: Fen(step.back).to_string(),
            at: rfc3339(step.at_ms),
        }
    }
}

fn undone(done: &Done, id: &str) -> Result<Reply, Problem> {
    answer(
        &UndoneBody { redemption_id: id, facts: Facts::of(&done.step), replayed: done.replayed },
        done.replayed,
    )
}

fn answer(body: &impl Serialize, replayed: bool) -> Result<Reply, Problem> {
    let body = serde_json::to_string(body).map_err(|_| Cause::Unavailable)?;
    Ok(if replayed { reply::private_json(body) } else { reply::created(body) })
}

/// Reads a body; one that is empty says as much as `{}`. Whoever is no merchant is not told what is wrong with theirs.
async fn read<T: serde::de::DeserializeOwned>(
    front: &Front,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<T, Problem> {
    let body = body::read(body, limits::BODY_BYTES_MAX, front.body_timeout).await?;
    front.access.merchant(bearer_key(headers).unwrap_or_default()).map_err(|_| Cause::Unauthorized)?;
    body::check_json(headers, &body)?;
    let text = if body.is_empty() { b"{}" } else { &body[..] };
    serde_json::from_slice(text).map_err(|error| bad(format!("the body: {error}")))
}

fn bad(what: String) -> Problem {
    Problem::with_detail(Cause::BadRequest, what)
}

fn till(front: &Front, headers: &HeaderMap, shop: Option<&str>) -> Result<Till, Problem> {
    let key = bearer_key(headers).ok_or(Cause::Unauthorized)?;
    front.tills.till(key, shop).map_err(|refusal| match refusal {
        TillRefusal::Unknown => Cause::Unauthorized.into(),
        TillRefusal::Inactive => Cause::MerchantInactive.into(),
        TillRefusal::UnknownShop => bad(refusal.to_string()),
    })
}

fn amount(text: &str) -> Result<Fen, Problem> {
    match Fen::parse(text) {
        Ok(Fen(0)) => Err(bad("amount: must be more than zero".to_owned())),
        Ok(amount) => Ok(amount),
        Err(error) => Err(bad(format!("amount: {error}"))),
    }
}

fn check_text(name: &str, text: Option<&String>) -> Result<(), Problem> {
    let max = limits::LIFE_TEXT_BYTES_MAX;
    let is_good = |text: &String| (1..=max).contains(&text.len()) && !text.chars().any(char::is_control);
    if text.is_none_or(is_good) {
        return Ok(());
    }
    Err(bad(format!("{name}: must have 1 to {max} bytes and no control characters")))
}

fn redemption(id: &str) -> Result<u64, Problem> {
    id.parse().map(|RedemptionId(number)| number).map_err(|_| Cause::UnknownRedemption.into())
}

/// The request's idempotency key, with a digest of what it is used for.
fn key(headers: &HeaderMap, till: &Till, about: &[&str], content: &impl Serialize) -> Result<Key, Problem> {
    let key = idempotency_key(headers)?;
    let content = serde_json::to_vec(&(about, content)).map_err(|_| Cause::Unavailable)?;
    Ok(Key { actor: till.merchant.id.clone(), key: half_digest(key), content: half_digest(&content) })
}

/// The first half of a SHA-256, as hex.
pub(super) fn half_digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    data_encoding::HEXLOWER.encode(digest.first_chunk::<16>().map_or(&[][..], |half| &half[..]))
}

async fn take(front: &Front, request: Request) -> Result<Done, Problem> {
    outcome(front, request).await?.map_err(refused)
}

async fn outcome(front: &Front, request: Request) -> Result<Outcome, Problem> {
    match front.redemptions.take(request).await {
        Ok(outcome) => Ok(outcome),
        Err(TakeError::Busy) => Err(Cause::Overloaded.into()),
        Err(TakeError::InFlight) => Err(Cause::KeyInFlight.into()),
        Err(TakeError::Unknown(_)) => Err(Cause::OutcomeUnknown.into()),
    }
}

fn refused(refused: Refused) -> Problem {
    let with = |cause, what: &str| Problem::with_detail(cause, what.to_owned());
    match refused {
        Refused::Barred(Barred::Suspended) => Cause::MerchantInactive.into(),
        Refused::Barred(Barred::ShopUnnamed) => {
            bad("shop: the merchant's shops lie in several regions: name the shop".to_owned())
        }
        Refused::QrExpired => Cause::QrExpired.into(),
        Refused::QrRequired => Cause::QrRequired.into(),
        Refused::UnknownClaim
        | Refused::UnknownRedemption
        | Refused::UnknownPayment
        | Refused::UnknownCampaign => Cause::UnknownRedemption.into(),
        Refused::UnknownMove | Refused::Reversed { .. } => Cause::BooksRefused.into(),
        Refused::OtherKind => Cause::UnknownVoucher.into(),
        Refused::Returned => with(Cause::VoucherNotLive, "it was returned"),
        Refused::NotFrom(state) => {
            Problem::with_detail(Cause::VoucherNotLive, format!("it is {}", state.as_str()))
        }
        Refused::Undone => with(Cause::RefundRefused, "it was taken back or refunded whole"),
        Refused::Expired | Refused::NotDue => with(Cause::VoucherNotLive, "it has expired"),
        Refused::Unmet(Unmet::Threshold) => with(Cause::TermsNotMet, "the order is below the threshold"),
        Refused::Unmet(Unmet::Category) => with(Cause::TermsNotMet, "not at merchants of this category"),
        Refused::Unmet(Unmet::Region) => with(Cause::TermsNotMet, "not at merchants of this region"),
        Refused::OrderUsed => Cause::OrderUsed.into(),
        Refused::MerchantCap => with(Cause::DailyLimitReached, "the merchant's"),
        Refused::PersonCap => with(Cause::DailyLimitReached, "the person's"),
        Refused::TooLate => with(Cause::RefundRefused, "it is too late to take it back: refund it"),
        Refused::TooMuch => with(Cause::RefundRefused, "more than is left of the order"),
        Refused::ReferenceUsed { .. } => Cause::ReferenceUsed.into(),
        Refused::KeyReused => Cause::KeyReused.into(),
        Refused::Changed => Cause::Conflict.into(),
    }
}
