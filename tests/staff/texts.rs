//! Texts with control characters, which one store would keep and the other cannot: refused by both, as what they are.

use serde_json::{Value, json};

use super::office::Office;
use crate::support::http::{Answer, Client, bearer};
use crate::support::postgres::PostgresServer;

/// Nothing that a store says: the caller's text is wrong, and the same text is wrong tomorrow.
fn told_wrong(answer: &Answer, status: u16, code: &str, what: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{what}: {}", answer.json());
}

fn each_text(office: &Office) {
    let code = office.voucher("ann");
    let freeze = format!("vouchers/{code}/freeze");
    let pay = |merchant: &str, amount: &str, reference: &str, reason: &str| json!({ "merchant": merchant, "amount": amount, "reference": reference, "reason": reason });
    let pot = |from: &str, to: &str, reference: &str, reason: &str| json!({ "from": from, "to": to, "amount": "1.00", "reference": reference, "reason": reason });
    let (payments, transfers) = ("campaigns/c-1/payments", "campaigns/c-1/transfers");
    let calls: [(&str, Value, u16, &str); 23] = [
        ("receipts/1/void", json!({ "reason": "a\0b" }), 400, "bad_request"),
        ("late-payments/1/refunded", json!({ "reference": "a\0b" }), 400, "bad_request"),
        ("bans", json!({ "person": "a\0b", "reason": "why" }), 400, "bad_request"),
        ("bans", json!({ "person": "ann", "reason": "a\0b" }), 400, "bad_request"),
        ("bans", json!({ "person": "ann", "reason": "why", "until": "\0" }), 400, "bad_request"),
        ("bans/lift", json!({ "person": "a\0b" }), 404, "unknown_ban"),
        ("keys", json!({ "role": "auditor", "name": "a\0b" }), 422, "key_refused"),
        ("keys", json!({ "role": "merchant", "name": "a", "merchant": "a\0b" }), 422, "key_refused"),
        ("merchants/m-1/suspend", json!({ "reason": "a\0b" }), 400, "bad_request"),
        ("merchants/m-1/suspend", json!({ "reason": "a\nb" }), 400, "bad_request"),
        (&freeze, json!({ "reason": "a\0b" }), 400, "bad_request"),
        ("campaigns/c-1/periods", json!({ "until": "a\0b" }), 400, "bad_request"),
        ("campaigns/c-1/copy", json!({ "id": "a\0b" }), 400, "bad_request"),
        (payments, pay("a\0b", "1.00", "r", "why"), 400, "bad_request"),
        (payments, pay("m-1", "1\0", "r", "why"), 400, "bad_request"),
        (payments, pay("m-1", "1.00", "a\0b", "why"), 400, "bad_request"),
        (payments, pay("m-1", "1.00", "r", "a\0b"), 400, "bad_request"),
        (transfers, pot("a\0b", "treasury", "r", "why"), 400, "bad_request"),
        (transfers, pot("recycled", "a\0b", "r", "why"), 400, "bad_request"),
        (transfers, pot("recycled", "treasury", "a\0b", "why"), 400, "bad_request"),
        (transfers, pot("recycled", "treasury", "r", "a\0b"), 400, "bad_request"),
        ("campaigns/c-1/reversals", json!({ "step": 1, "reason": "a\0b" }), 400, "bad_request"),
        ("campaigns/c-1/waiting/withdraw", json!({ "id": "a\0b" }), 400, "bad_request"),
    ];
    for (path, body, status, code) in calls {
        let answer = office.call("admin", "POST", path, Some("key-1"), &body);
        told_wrong(&answer, status, code, &format!("{path} {body}"));
    }
    // The place in a list, as it is handed out.
    let cursor = data_encoding::BASE64URL_NOPAD.encode(b"a\0b");
    let answer = office.call("admin", "GET", &format!("bans?after={cursor}"), None, &Value::Null);
    told_wrong(&answer, 400, "bad_request", &cursor);
    // Files.
    let file = "id,name,category,region\nm-3,a\0b,H6210,530102\n";
    told_wrong(&sent(office, "merchants", file), 422, "import_refused", file);
    for path in ["campaigns", "drafts"] {
        let file =
            "id = \"c-9\"\nname = \"a\\u0000b\"\nbudget = \"1.00 CNY\"\ntime_zone = \"Asia/Shanghai\"\n";
        told_wrong(&sent(office, path, file), 422, "campaign_refused", path);
        told_wrong(&sent(office, path, &format!("# a\0b\n{file}")), 422, "campaign_refused", path);
    }
    // Tills.
    let redeemed = office.redeem_by("m-1", &code, "a\0b", "key-1");
    told_wrong(&redeemed, 400, "bad_request", "an order's number");
    office.audited();
}

/// A file, sent as it is.
fn sent(office: &Office, path: &str, file: &str) -> Answer {
    let token = std::fs::read_to_string(office.service.data().join("admin.token")).expect("it is there");
    let authorization = bearer(token.trim());
    let headers = [("authorization", authorization.as_str())];
    let path = format!("/admin/v1/{path}");
    Client::connect(office.service.admin_address()).call("POST", &path, &headers, file.as_bytes())
}

#[test]
fn a_text_with_control_characters_is_refused() {
    each_text(&Office::open(None, &[]));
}

#[test]
fn a_text_with_control_characters_is_refused_in_postgres() {
    each_text(&Office::open(Some(PostgresServer::start(&[])), &[]));
}
