//! The calls of the public listener.

use serde_json::{Value, json};

use super::types::{
    Campaign, Campaigns, Cancelled, Claim, Claims, DropState, Qr, TillVoucher, Time, Voucher,
};
use super::{JSON, Operation, Schemas, Security, idempotency_key};
use crate::desk::demo::{DemoRequest, DemoTicket};
use crate::desk::{NewTicket, TicketRequest};
use crate::domain::cause::Cause;
use crate::guard::challenge::Challenge;
use crate::http::holds::{Confirmed, Paid};
use crate::http::redemptions::{Nothing, Order, RedeemedBody, Refund, UndoneBody};
use crate::http::reply::{CREATED, NOT_MODIFIED, OK, SEE_OTHER};

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
    operations.extend(desk(schemas));
    operations.extend(looks(schemas));
    operations.extend(redemptions(schemas));
    operations.extend(pages());
    operations.push(demo(schemas));
    operations
}

/// What is there for browsers: pages, what they consist of, and how somebody is handed over to one.
fn pages() -> Vec<Operation> {
    let look = |path, summary, media: &'static str| {
        Operation::new("GET", path, summary, Security::Open)
            .answers(OK, "It", vec![(media, json!({ "type": "string" }))])
            .answers(NOT_MODIFIED, "The asker has it already", Vec::new())
    };
    let form = json!({
        "type": "object",
        "properties": { "ticket": { "type": "string" }, "identity": { "type": "string" } },
        "minProperties": 1,
    });
    let hand_over = |path| {
        Operation::new(
            "POST",
            path,
            "Hand somebody over to the claim page, from a login elsewhere",
            Security::Open,
        )
        .takes(vec![("application/x-www-form-urlencoded", form.clone())], true)
        .answers(SEE_OTHER, "To the page, with what came in the fragment", Vec::new())
        .refuses(&[
            Cause::BadRequest,
            Cause::PayloadTooLarge,
            Cause::RequestTimeout,
            Cause::UnsupportedMediaType,
        ])
    };
    vec![
        look("/", "The claim page", "text/html"),
        hand_over("/"),
        look("/d/{id}", "The claim page at one drop", "text/html"),
        hand_over("/d/{id}"),
        look("/vouchers", "The claim page at what somebody has", "text/html"),
        look("/assets/{id}", "A part of the claim page", "*/*").refuses(&[Cause::NotFound]),
    ]
}

/// To be somebody, where that is only a demo.
fn demo(schemas: &mut Schemas) -> Operation {
    Operation::new(
        "POST",
        "/demo/tickets",
        "A ticket for whoever one likes to be, in a demo alone",
        Security::Open,
    )
    .takes(vec![(JSON, schemas.of::<DemoRequest>())], true)
    .answers(CREATED, "The ticket", vec![(JSON, schemas.of::<DemoTicket>())])
    .refuses(&[
        Cause::NotFound,
        Cause::UnknownDrop,
        Cause::BadRequest,
        Cause::PayloadTooLarge,
        Cause::RequestTimeout,
        Cause::UnsupportedMediaType,
    ])
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
    let confirm =
        Operation::new("POST", "/v1/claims/{id}/confirm", "A payment callback, signed", Security::Open)
            .header("webhook-id", "The same each time that it is sent", &json!({ "type": "string" }))
            .header("webhook-timestamp", "Seconds since 1970", &json!({ "type": "string" }))
            .header("webhook-signature", "`v1,` and a MAC", &json!({ "type": "string" }))
            .takes(vec![(JSON, schemas.of::<Paid>())], true)
            .ok("What became of it", &schemas.of::<Confirmed<'static>>())
            .refuses(&[
                Cause::BadRequest,
                Cause::SignatureInvalid,
                Cause::NotFound,
                Cause::UnknownClaim,
                Cause::RequestTimeout,
                Cause::PayloadTooLarge,
                Cause::UnsupportedMediaType,
                Cause::KeyReused,
                Cause::Overloaded,
                Cause::Unavailable,
            ]);
    let cancel = Operation::new("POST", "/v1/claims/{id}/cancel", "Give a held unit back", Security::Ticket)
        .ok("How the claim stands", &schemas.of::<Cancelled>())
        .refuses(TICKET)
        .refuses(&[Cause::UnknownClaim, Cause::NotHeld, Cause::Overloaded]);
    vec![take, mine, confirm, cancel]
}

fn desk(schemas: &mut Schemas) -> Vec<Operation> {
    let busy = &[
        Cause::UnknownDrop,
        Cause::NotFound,
        Cause::RateLimited,
        Cause::NotOpen,
        Cause::Closed,
        Cause::Unavailable,
    ];
    let challenge =
        Operation::new("POST", "/v1/drops/{id}/challenges", "A proof of work to be done", Security::Open)
            .answers(CREATED, "The challenge, as ALTCHA has it", vec![(JSON, schemas.of::<Challenge>())])
            .refuses(busy);
    let ticket = Operation::new("POST", "/v1/drops/{id}/tickets", "A ticket for an identity", Security::Open)
        .takes(vec![(JSON, schemas.of::<TicketRequest>())], true)
        .answers(CREATED, "The ticket", vec![(JSON, schemas.of::<NewTicket>())])
        .refuses(busy)
        .refuses(&[
            Cause::BadRequest,
            Cause::RequestTimeout,
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
            .ok("The campaigns", &schemas.of::<Campaigns>()),
        Operation::new("GET", "/v1/time", "The service's clock", Security::Open)
            .ok("The time", &schemas.of::<Time>()),
        voucher(schemas),
        Operation::new("GET", "/v1/vouchers/{id}/qr", "What the holder shows at the till", Security::Ticket)
            .answers(OK, "The QR code", vec![(JSON, schemas.of::<Qr>()), ("image/svg+xml", svg)])
            .refuses(TICKET)
            .refuses(&[Cause::UnknownVoucher, Cause::VoucherNotLive, Cause::Overloaded]),
    ]
}
