//! The calls of the public listener.

use serde_json::{Value, json};

use super::types::{Campaign, Claim, Claims, DropState, Qr, TillVoucher, Voucher};
use super::{JSON, Operation, Schemas, Security, idempotency_key};
use crate::domain::cause::Cause;
use crate::http::redemptions::{Nothing, Order, RedeemedBody, Refund, UndoneBody};
use crate::http::reply::{CREATED, NOT_MODIFIED, OK};
use crate::http::route;

/// What any call with a ticket may be refused for.
const TICKET: &[Cause] = &[
    Cause::TicketMissing,
    Cause::TicketInvalid,
    Cause::TicketExpired,
    Cause::Blocked,
    Cause::RateLimited,
    Cause::Unavailable,
];

pub(super) fn operations(schemas: &mut Schemas) -> Vec<Operation> {
    let mut operations = claims(schemas);
    operations.extend(desk());
    operations.extend(looks(schemas));
    operations.extend(redemptions(schemas));
    operations.extend(pages());
    operations
}

/// What is there for browsers: pages, and what they consist of.
fn pages() -> Vec<Operation> {
    let served = route::calls().into_iter().filter(|(_, path)| !path.starts_with("/v1/"));
    let page = |(method, path)| {
        Operation::new(method, path, "For browsers: the claim page, and what belongs to it", Security::Open)
            .answers(OK, "A page, or a part of one", vec![("*/*", json!({}))])
    };
    served.map(page).collect()
}

fn claims(schemas: &mut Schemas) -> Vec<Operation> {
    let (claim, claims) = (schemas.of::<Claim>(), schemas.of::<Claims>());
    let key = idempotency_key();
    let take = Operation::new("POST", "/v1/drops/{id}/claims", "Take a claim", Security::Ticket)
        .header("Idempotency-Key", "Needed where one person may have several claims", &key)
        .takes(vec![(JSON, json!({ "type": "object" }))], false)
        .answers(CREATED, "The claim", vec![(JSON, claim.clone())])
        .answers(OK, "The same claim again", vec![(JSON, claim)])
        .refuses(TICKET)
        .refuses(&[
            Cause::BadRequest,
            Cause::IdempotencyKeyRequired,
            Cause::UnknownDrop,
            Cause::LimitReached,
            Cause::SoldOut,
            Cause::Closed,
            Cause::PayloadTooLarge,
            Cause::RequestTimeout,
            Cause::UnsupportedMediaType,
            Cause::NotOpen,
            Cause::Overloaded,
            Cause::Paused,
            Cause::OutcomeUnknown,
        ]);
    let mine =
        Operation::new("GET", "/v1/drops/{id}/claims/mine", "What one holds in a drop", Security::Ticket)
            .ok("The person's claims", &claims)
            .refuses(TICKET)
            .refuses(&[Cause::UnknownDrop, Cause::NoClaim, Cause::OutcomeUnknown]);
    let any = json!({ "type": "object" });
    let confirm =
        Operation::new("POST", "/v1/claims/{id}/confirm", "A payment callback, signed", Security::Open)
            .header("webhook-id", "The same each time that it is sent", &json!({ "type": "string" }))
            .header("webhook-timestamp", "Seconds since 1970", &json!({ "type": "string" }))
            .header("webhook-signature", "`v1,` and a MAC", &json!({ "type": "string" }))
            .takes(vec![(JSON, any.clone())], true)
            .ok("What became of it", &any)
            .refuses(&[Cause::BadRequest, Cause::NotFound, Cause::UnknownClaim, Cause::PayloadTooLarge]);
    let cancel = Operation::new("POST", "/v1/claims/{id}/cancel", "Give a held unit back", Security::Ticket)
        .takes(vec![(JSON, any.clone())], false)
        .ok("How the claim stands", &any)
        .refuses(TICKET)
        .refuses(&[Cause::UnknownClaim, Cause::NotHeld]);
    vec![take, mine, confirm, cancel]
}

fn desk() -> Vec<Operation> {
    let any = json!({ "type": "object" });
    let busy = &[Cause::UnknownDrop, Cause::NotFound, Cause::RateLimited, Cause::NotOpen, Cause::Unavailable];
    let challenge =
        Operation::new("POST", "/v1/drops/{id}/challenges", "A proof of work to be done", Security::Open)
            .answers(CREATED, "The challenge, as ALTCHA has it", vec![(JSON, any.clone())])
            .refuses(busy);
    let ticket = Operation::new("POST", "/v1/drops/{id}/tickets", "A ticket for an identity", Security::Open)
        .takes(vec![(JSON, any.clone())], true)
        .answers(CREATED, "The ticket", vec![(JSON, any)])
        .refuses(busy)
        .refuses(&[
            Cause::BadRequest,
            Cause::IdentityMissing,
            Cause::IdentityInvalid,
            Cause::IdentityExpired,
            Cause::ChallengeFailed,
            Cause::NotEligible,
            Cause::Blocked,
            Cause::PayloadTooLarge,
            Cause::UnsupportedMediaType,
            Cause::Overloaded,
        ]);
    vec![challenge, ticket]
}

/// The calls of tills.
fn redemptions(schemas: &mut Schemas) -> Vec<Operation> {
    let key = idempotency_key();
    let till = |path, summary, schema: Value, body: Value, needed| {
        Operation::new("POST", path, summary, Security::Key)
            .header("Idempotency-Key", "The same key, the same answer; it has to be there", &key)
            .takes(vec![(JSON, body)], needed)
            .answers(CREATED, "Done", vec![(JSON, schema.clone())])
            .ok("It was done before", &schema)
            .refuses(&[
                Cause::BadRequest,
                Cause::IdempotencyKeyRequired,
                Cause::Unauthorized,
                Cause::MerchantInactive,
                Cause::RequestTimeout,
                Cause::PayloadTooLarge,
                Cause::UnsupportedMediaType,
                Cause::UnknownRedemption,
                Cause::UnknownVoucher,
                Cause::VoucherNotLive,
                Cause::KeyInFlight,
                Cause::KeyReused,
                Cause::Overloaded,
                Cause::OutcomeUnknown,
            ])
    };
    let (redeemed, undone) = (schemas.of::<RedeemedBody>(), schemas.of::<UndoneBody<'static>>());
    let (order, refund, nothing) = (schemas.of::<Order>(), schemas.of::<Refund>(), schemas.of::<Nothing>());
    let redeem = "/v1/vouchers/{id}/redemptions";
    vec![
        till(redeem, "Take a voucher for an order, by its code or QR payload", redeemed, order, true)
            .refuses(&[
                Cause::QrExpired,
                Cause::QrRequired,
                Cause::TermsNotMet,
                Cause::OrderUsed,
                Cause::DailyLimitReached,
                Cause::Unavailable,
            ]),
        till(
            "/v1/redemptions/{id}/refunds",
            "Refund an order, or a part of it",
            undone.clone(),
            refund,
            false,
        )
        .refuses(&[Cause::RefundRefused]),
        till("/v1/redemptions/{id}/reversals", "Take a redemption back", undone, nothing, false)
            .refuses(&[Cause::RefundRefused]),
    ]
}

/// One address for its holder and for tills, each of whom sees their part.
fn voucher(schemas: &mut Schemas) -> Operation {
    let (holders, tills) = (schemas.of::<Voucher>(), schemas.of::<TillVoucher>());
    let summary = "How a voucher stands: for its holder with a ticket, by its code; for a till with a merchant's key, \
                   by its code or QR payload";
    Operation::new("GET", "/v1/vouchers/{id}", summary, Security::TicketOrKey)
        .ok("The voucher, as the asker may see it", &json!({ "anyOf": [holders, tills] }))
        .refuses(TICKET)
        .refuses(&[
            Cause::Unauthorized,
            Cause::UnknownVoucher,
            Cause::QrExpired,
            Cause::QrRequired,
            Cause::Overloaded,
        ])
}

fn looks(schemas: &mut Schemas) -> Vec<Operation> {
    let svg = json!({ "type": "string" });
    let unchanged = |operation: Operation| {
        operation.answers(NOT_MODIFIED, "The asker has it already", Vec::<(&'static str, Value)>::new())
    };
    vec![
        unchanged(Operation::new("GET", "/v1/drops/{id}", "How a drop stands", Security::Open))
            .ok("Its public state", &schemas.of::<DropState>())
            .refuses(&[Cause::UnknownDrop]),
        unchanged(Operation::new("GET", "/v1/campaigns/{id}", "A campaign and its drops", Security::Open))
            .ok("Its public state", &schemas.of::<Campaign>())
            .refuses(&[Cause::UnknownCampaign]),
        unchanged(Operation::new("GET", "/v1/campaigns", "All campaigns", Security::Open))
            .ok("The campaigns", &json!({ "type": "object" })),
        Operation::new("GET", "/v1/time", "The service's clock", Security::Open)
            .ok("The time", &json!({ "type": "object" })),
        voucher(schemas),
        Operation::new("GET", "/v1/vouchers/{id}/qr", "What the holder shows at the till", Security::Ticket)
            .answers(OK, "The QR code", vec![(JSON, schemas.of::<Qr>()), ("image/svg+xml", svg)])
            .refuses(TICKET)
            .refuses(&[Cause::UnknownVoucher, Cause::VoucherNotLive, Cause::Overloaded]),
    ]
}
