//! Staff's calls about vouchers and about books.

use serde_json::{Value, json};

use super::admin::{BODY, staff};
use super::{JSON, Operation, Schemas, idempotency_key};
use crate::backoffice::admin_api::{
    BooksView, ClosePeriod, Decide, MoneyMoved, MoneyMovedList, MoneyWaits, MoveMoney, PayMerchant,
    PeriodList, PeriodView, PostingList, RepayMerchant, ReverseMove, VoucherView, WaitingList, WithdrawMove,
};
use crate::domain::cause::Cause;
use crate::http::reply::{ACCEPTED, CREATED};

pub(super) fn operations(schemas: &mut Schemas) -> Vec<Operation> {
    let mut operations = vouchers(schemas);
    operations.extend(books(schemas));
    operations
}

/// A call that is answered page by page.
fn paged(path: &'static str, summary: &str) -> Operation {
    let number = json!({ "type": "integer", "minimum": 0 });
    staff("GET", path, summary)
        .query("after", "The number after which to go on", &number)
        .refuses(&[Cause::BadRequest])
}

fn vouchers(schemas: &mut Schemas) -> Vec<Operation> {
    let (voucher, body) = (schemas.of::<VoucherView>(), schemas.of::<Decide>());
    let decide = |path, summary| {
        staff("POST", path, summary)
            .takes(vec![(JSON, body.clone())], true)
            .ok("The voucher", &voucher)
            .refuses(BODY)
            .refuses(&[Cause::UnknownVoucher, Cause::VoucherRefused, Cause::Conflict])
    };
    vec![
        paged("/admin/v1/vouchers/{id}", "A voucher's whole life, by its code or its claim's id")
            .ok("The voucher", &voucher)
            .refuses(&[Cause::UnknownVoucher]),
        decide("/admin/v1/vouchers/{id}/freeze", "Hold a voucher for review"),
        decide("/admin/v1/vouchers/{id}/release", "End the review well"),
        decide("/admin/v1/vouchers/{id}/void", "Declare a voucher worthless"),
        decide("/admin/v1/vouchers/{id}/recover", "Take the money of a redemption from its merchant"),
    ]
}

fn books(schemas: &mut Schemas) -> Vec<Operation> {
    let (moved, moves) = (schemas.of::<MoneyMoved>(), schemas.of::<MoneyMovedList>());
    let waits = schemas.of::<MoneyWaits>();
    let key = idempotency_key();
    let at = json!({ "type": "integer" });
    let noted = |path, summary, body: Value| {
        staff("POST", path, summary)
            .header("Idempotency-Key", "The same key, the same answer; it has to be there", &key)
            .takes(vec![(JSON, body)], true)
            .answers(CREATED, "It is noted", vec![(JSON, moved.clone())])
            .answers(ACCEPTED, "It waits for another person who says the same", vec![(JSON, waits.clone())])
            .ok("It was noted before", &moved)
            .refuses(BODY)
            .refuses(&[
                Cause::IdempotencyKeyRequired,
                Cause::UnknownCampaign,
                Cause::BooksRefused,
                Cause::ReferenceUsed,
                Cause::KeyReused,
            ])
    };
    let listed = |path, summary, what, schema: &Value| {
        paged(path, summary).ok(what, schema).refuses(&[Cause::UnknownCampaign])
    };
    vec![
        staff("GET", "/admin/v1/campaigns/{id}/books", "What a campaign's accounts hold, and why")
            .query("at_ms", "With what was posted before, in milliseconds since the Unix epoch", &at)
            .ok("The books", &schemas.of::<BooksView>())
            .refuses(&[Cause::BadRequest, Cause::UnknownCampaign]),
        listed(
            "/admin/v1/campaigns/{id}/postings",
            "A campaign's postings",
            "A page of them",
            &schemas.of::<PostingList>(),
        ),
        listed(
            "/admin/v1/campaigns/{id}/periods",
            "Closed periods",
            "A page of them",
            &schemas.of::<PeriodList>(),
        ),
        staff("POST", "/admin/v1/campaigns/{id}/periods", "Close the books until an instant")
            .takes(vec![(JSON, schemas.of::<ClosePeriod>())], true)
            .answers(CREATED, "The period", vec![(JSON, schemas.of::<PeriodView>())])
            .refuses(BODY)
            .refuses(&[Cause::UnknownCampaign, Cause::BooksRefused]),
        listed("/admin/v1/campaigns/{id}/payments", "Payments to merchants", "A page of them", &moves),
        noted(
            "/admin/v1/campaigns/{id}/payments",
            "Note that a merchant was paid",
            schemas.of::<PayMerchant>(),
        ),
        listed("/admin/v1/campaigns/{id}/repayments", "Payments by merchants", "A page of them", &moves),
        noted(
            "/admin/v1/campaigns/{id}/repayments",
            "Note that a merchant gave back what it had been paid and owed again",
            schemas.of::<RepayMerchant>(),
        ),
        listed("/admin/v1/campaigns/{id}/transfers", "Transfers between accounts", "A page of them", &moves),
        noted(
            "/admin/v1/campaigns/{id}/transfers",
            "Move money to the treasury, or what was recovered to later drops",
            schemas.of::<MoveMoney>(),
        ),
        listed("/admin/v1/campaigns/{id}/reversals", "What was reversed", "A page of them", &moves),
        noted(
            "/admin/v1/campaigns/{id}/reversals",
            "Reverse a payment, a repayment or a transfer that was noted by mistake",
            schemas.of::<ReverseMove>(),
        ),
        staff("GET", "/admin/v1/campaigns/{id}/waiting", "What waits for another person who says the same")
            .query("after", "The id after which to go on", &json!({ "type": "string" }))
            .ok("A part of it", &schemas.of::<WaitingList>())
            .refuses(&[Cause::BadRequest, Cause::UnknownCampaign]),
        staff("POST", "/admin/v1/campaigns/{id}/waiting/withdraw", "Withdraw what waits")
            .takes(vec![(JSON, schemas.of::<WithdrawMove>())], true)
            .ok("It, as it was", &waits)
            .refuses(BODY)
            .refuses(&[Cause::UnknownCampaign, Cause::BooksRefused]),
    ]
}
