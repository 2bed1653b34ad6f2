//! The calls of the admin listener.

use serde_json::{Value, json};

use super::types::{Health, Readiness};
use super::{JSON, Operation, Schemas, Security};
use crate::backoffice::access::KeyView;
use crate::backoffice::admin_api::{
    AddKey, Applied, Approve, BanPerson, CAMPAIGN_FILE_TYPE, CampaignList, CampaignView, Copy, DraftList,
    DraftView, EntryView, Honour, ImportReport, KeyList, LatePaymentList, LatePaymentView, LiftBan, MadeKey,
    Me, MerchantList, MerchantView, PaymentRefunded, QuarantineList, ReceiptList, ReceiptView, Recovery,
    Review, RotateKey, SettleEntry, Suspend, Void,
};
use crate::backoffice::bans::{BanList, BanView};
use crate::domain::cause::Cause;
use crate::http::admin_routes::{Access, ENDPOINTS};
use crate::http::reply::{CREATED, OK, status_of};

/// What any call with a body may be refused for.
pub(super) const BODY: &[Cause] = &[Cause::BadRequest, Cause::PayloadTooLarge, Cause::RequestTimeout];

pub(super) fn operations(schemas: &mut Schemas) -> Vec<Operation> {
    let mut operations = open(schemas);
    operations.extend(campaigns(schemas));
    operations.extend(drafts(schemas));
    operations.extend(merchants(schemas));
    operations.extend(keys(schemas));
    operations.extend(others(schemas));
    operations.extend(bans(schemas));
    operations.extend(late_payments(schemas));
    operations.extend(quarantine(schemas));
    operations
}

fn open(schemas: &mut Schemas) -> Vec<Operation> {
    let text = json!({ "type": "string" });
    let document = json!({ "type": "object" });
    let (health, readiness) = (schemas.of::<Health>(), schemas.of::<Readiness>());
    let unready = status_of(Cause::Unavailable).as_u16();
    vec![
        Operation::new("GET", "/metrics", "Metrics, for Prometheus", Security::Open).answers(
            OK,
            "The metrics",
            vec![("text/plain", text)],
        ),
        Operation::new("GET", "/healthz", "Whether the process answers", Security::Open)
            .ok("It does", &health),
        Operation::new("GET", "/readyz", "Whether claims can be granted", Security::Open)
            .ok("They can", &readiness)
            .answers(unready, "They cannot", vec![(JSON, readiness.clone())]),
        Operation::new("GET", "/openapi.json", "This document", Security::Open).ok("The document", &document),
    ]
}

/// A call for those whose role may: it says which permission that takes.
pub(super) fn staff(method: &'static str, path: &'static str, summary: &str) -> Operation {
    let listed = ENDPOINTS.iter().find(|endpoint| (endpoint.method, endpoint.path) == (method, path));
    let may = match listed.map(|endpoint| endpoint.access) {
        Some(Access::May(permission)) => format!(" (`{}`)", permission.as_str()),
        _ => String::new(),
    };
    Operation::new(method, path, summary.to_owned() + &may, Security::Key).refuses(&[
        Cause::Unauthorized,
        Cause::Forbidden,
        Cause::Unavailable,
    ])
}

fn campaigns(schemas: &mut Schemas) -> Vec<Operation> {
    let (list, campaign) = (schemas.of::<CampaignList>(), schemas.of::<CampaignView>());
    let at = json!({ "type": "integer" });
    let moved = "Move all drops so that the first opens then, in milliseconds since the Unix epoch";
    let step = |path, summary| {
        staff("POST", path, summary)
            .ok("The campaign", &campaign)
            .refuses(&[Cause::UnknownCampaign, Cause::CampaignRefused])
    };
    vec![
        staff("GET", "/admin/v1/campaigns", "All campaigns").ok("The campaigns", &list),
        staff("POST", "/admin/v1/campaigns", "Apply a campaign file in one step")
            .query("opens_at_ms", moved, &at)
            .takes(vec![(CAMPAIGN_FILE_TYPE, json!({ "type": "string" }))], true)
            .ok("What it did", &schemas.of::<Applied>())
            .refuses(BODY)
            .refuses(&[Cause::CampaignRefused, Cause::DraftRefused, Cause::Conflict]),
        staff("GET", "/admin/v1/campaigns/{id}", "One campaign")
            .ok("The campaign", &campaign)
            .refuses(&[Cause::UnknownCampaign]),
        step("/admin/v1/campaigns/{id}/pause", "Stop claims"),
        step("/admin/v1/campaigns/{id}/resume", "Let claims go on"),
        step("/admin/v1/campaigns/{id}/end", "Close all drops, for good"),
    ]
}

fn drafts(schemas: &mut Schemas) -> Vec<Operation> {
    let (list, draft) = (schemas.of::<DraftList>(), schemas.of::<DraftView>());
    let at = json!({ "type": "integer" });
    let applied = &[Cause::CampaignRefused, Cause::DraftRefused, Cause::Conflict];
    vec![
        staff("GET", "/admin/v1/drafts", "All drafts").ok("The drafts", &list),
        staff("POST", "/admin/v1/drafts", "Draft a campaign file")
            .query("opens_at_ms", "Move all drops so that the first opens then", &at)
            .takes(vec![(CAMPAIGN_FILE_TYPE, json!({ "type": "string" }))], true)
            .ok("The draft", &draft)
            .refuses(BODY)
            .refuses(applied),
        staff("GET", "/admin/v1/drafts/{id}", "One draft")
            .ok("The draft", &draft)
            .refuses(&[Cause::UnknownDraft]),
        staff("POST", "/admin/v1/drafts/{id}/approve", "Approve a draft of somebody else, which applies it")
            .takes(vec![(JSON, schemas.of::<Approve>())], false)
            .ok("The draft", &draft)
            .refuses(BODY)
            .refuses(&[Cause::UnknownDraft])
            .refuses(applied),
        staff("POST", "/admin/v1/campaigns/{id}/copy", "Draft another campaign like this one")
            .takes(vec![(JSON, schemas.of::<Copy>())], true)
            .ok("The draft", &draft)
            .refuses(BODY)
            .refuses(&[Cause::UnknownCampaign])
            .refuses(applied),
    ]
}

fn merchants(schemas: &mut Schemas) -> Vec<Operation> {
    let (list, merchant) = (schemas.of::<MerchantList>(), schemas.of::<MerchantView>());
    let workbook = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    let files = vec![("text/csv", json!({ "type": "string" })), (workbook, json!({}))];
    let step = |path, summary| {
        staff("POST", path, summary).ok("The merchant", &merchant).refuses(&[
            Cause::UnknownMerchant,
            Cause::MerchantRefused,
            Cause::Conflict,
        ])
    };
    vec![
        staff("GET", "/admin/v1/merchants", "Merchants, in order of their ids")
            .query("after", "The id after which to go on", &json!({ "type": "string" }))
            .ok("A page of them", &list)
            .refuses(&[Cause::BadRequest]),
        staff("POST", "/admin/v1/merchants", "Enter merchants from a file, all or none")
            .query("dry_run", "Only say what would be entered", &json!({ "const": "true" }))
            .takes(files, true)
            .ok("What was entered, or would be", &schemas.of::<ImportReport>())
            .refuses(BODY)
            .refuses(&[Cause::ImportRefused, Cause::MerchantRefused, Cause::Conflict]),
        staff("GET", "/admin/v1/merchants/{id}", "One merchant")
            .ok("The merchant", &merchant)
            .refuses(&[Cause::UnknownMerchant]),
        step("/admin/v1/merchants/{id}/review", "Find what somebody else entered good")
            .takes(vec![(JSON, schemas.of::<Review>())], false)
            .refuses(BODY),
        step("/admin/v1/merchants/{id}/activate", "Have it take vouchers"),
        step("/admin/v1/merchants/{id}/suspend", "Have it take none")
            .takes(vec![(JSON, schemas.of::<Suspend>())], true)
            .refuses(BODY),
    ]
}

fn keys(schemas: &mut Schemas) -> Vec<Operation> {
    let made = schemas.of::<MadeKey>();
    let refused = &[Cause::UnknownKey, Cause::KeyRefused, Cause::Conflict];
    vec![
        staff("GET", "/admin/v1/me", "Who one is, and may do").ok("The caller", &schemas.of::<Me>()),
        staff("GET", "/admin/v1/keys", "Who has keys").ok("The keys", &schemas.of::<KeyList>()),
        staff("POST", "/admin/v1/keys", "Add a key")
            .takes(vec![(JSON, schemas.of::<AddKey>())], true)
            .answers(CREATED, "The key, with its text this once", vec![(JSON, made.clone())])
            .refuses(BODY)
            .refuses(&[Cause::KeyRefused, Cause::Conflict]),
        staff("POST", "/admin/v1/keys/{id}/rotate", "Give a key a new secret")
            .takes(vec![(JSON, schemas.of::<RotateKey>())], false)
            .answers(CREATED, "The key, with its text this once", vec![(JSON, made)])
            .refuses(BODY)
            .refuses(refused),
        staff("POST", "/admin/v1/keys/{id}/revoke", "End a key at once")
            .ok("The key", &schemas.of::<KeyView>())
            .refuses(refused),
    ]
}

fn bans(schemas: &mut Schemas) -> Vec<Operation> {
    let ban = schemas.of::<BanView>();
    vec![
        staff("GET", "/admin/v1/bans", "Whom staff keep out")
            .query("after", "Where to go on, as `next` of the part before says", &json!({ "type": "string" }))
            .ok("A part of them", &schemas.of::<BanList>())
            .refuses(&[Cause::BadRequest]),
        staff("POST", "/admin/v1/bans", "Keep a person out")
            .takes(vec![(JSON, schemas.of::<BanPerson>())], true)
            .ok("The ban", &ban)
            .refuses(BODY)
            .refuses(&[Cause::Conflict]),
        staff("POST", "/admin/v1/bans/lift", "Let a person in again")
            .takes(vec![(JSON, schemas.of::<LiftBan>())], true)
            .ok("The ban", &ban)
            .refuses(BODY)
            .refuses(&[Cause::UnknownBan, Cause::Conflict]),
    ]
}

fn late_payments(schemas: &mut Schemas) -> Vec<Operation> {
    vec![
        staff("GET", "/admin/v1/late-payments", "Payments that came too late")
            .query("after", "The number after which to go on", &json!({ "type": "integer", "minimum": 0 }))
            .ok("A page of them", &schemas.of::<LatePaymentList>())
            .refuses(&[Cause::BadRequest]),
        staff("POST", "/admin/v1/late-payments/{number}/refunded", "Note that one was refunded")
            .takes(vec![(JSON, schemas.of::<PaymentRefunded>())], true)
            .ok("The payment", &schemas.of::<LatePaymentView>())
            .refuses(BODY)
            .refuses(&[Cause::UnknownPayment]),
    ]
}

fn quarantine(schemas: &mut Schemas) -> Vec<Operation> {
    vec![
        staff("GET", "/admin/v1/quarantine", "Journal entries that nobody could understand")
            .query("after", "The number after which to go on", &json!({ "type": "integer", "minimum": 0 }))
            .ok("A page of them", &schemas.of::<QuarantineList>())
            .refuses(&[Cause::BadRequest]),
        staff("POST", "/admin/v1/quarantine/{number}/settle", "Say what was found of one")
            .takes(vec![(JSON, schemas.of::<SettleEntry>())], true)
            .ok("The entry", &schemas.of::<EntryView>())
            .refuses(BODY)
            .refuses(&[Cause::UnknownEntry, Cause::Conflict]),
    ]
}

fn others(schemas: &mut Schemas) -> Vec<Operation> {
    let (recovery, receipt) = (schemas.of::<Recovery>(), schemas.of::<ReceiptView>());
    let settle = |path, summary, body: Value| {
        staff("POST", path, summary)
            .takes(vec![(JSON, body)], true)
            .ok("The receipt", &receipt)
            .refuses(BODY)
            .refuses(&[Cause::UnknownReceipt, Cause::ReceiptRefused])
    };
    vec![
        staff("GET", "/admin/v1/recovery", "What Redis has lost").ok("What would be done", &recovery),
        staff("POST", "/admin/v1/recovery", "Make it anew from the ledger")
            .query("accept_loss", "Although claims may be gone for good", &json!({ "const": "true" }))
            .ok("What was done", &recovery)
            .refuses(&[Cause::BadRequest, Cause::Conflict]),
        staff("GET", "/admin/v1/receipts", "Codes that people showed and no store knows")
            .query("after", "The number after which to go on", &json!({ "type": "integer", "minimum": 0 }))
            .ok("A page of them", &schemas.of::<ReceiptList>())
            .refuses(&[Cause::BadRequest]),
        settle("/admin/v1/receipts/{number}/honour", "Give the person a unit", schemas.of::<Honour>()),
        settle("/admin/v1/receipts/{number}/void", "Find that nothing is owed", schemas.of::<Void>()),
    ]
}
