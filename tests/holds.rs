//! Units that are held until they are paid for: confirmed by a signed callback, cancelled by their holder, or given back when
//! their time is over, once each; and payments that come too late.

mod at_once;
mod kills;
mod overdue;
mod recovered;
mod shop;
mod stuck;

use std::time::Instant;

use claimrush::clock::Clock;
use claimrush::domain::webhook::WebhookSecrets;
use jiff::Timestamp;
use serde_json::json;

use crate::support::http::Answer;
use crate::support::postgres::PostgresServer;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;
use shop::{DROP, Shop};

fn told(answer: &Answer) -> (u16, String) {
    (answer.status, answer.code())
}

fn instant_ms(answer: &Answer, field: &str) -> i64 {
    answer.text(field).parse::<Timestamp>().expect("RFC 3339").as_millisecond()
}

#[test]
fn a_hold_is_confirmed_once_and_a_second_payment_is_to_be_refunded() {
    confirm(&Shop::open(&[], 3, "hold_for = \"15m\""));
}

#[test]
fn holds_are_the_same_on_postgres() {
    let server = PostgresServer::start(&[]);
    let ledger = [("ledger.url", &*server.url())];
    confirm(&Shop::open(&ledger, 3, "hold_for = \"15m\""));
    let other = PostgresServer::start(&[]);
    lapse(&Shop::open(&[("ledger.url", &*other.url())], 2, "hold_for = \"1s\""));
}

fn confirm(shop: &Shop) {
    let first = shop.claim("ann");
    let claim = first.text("claim_id");
    assert_eq!((first.status, first.text("status")), (201, "held".to_owned()));
    assert_eq!(instant_ms(&first, "hold_expires_at") - instant_ms(&first, "claimed_at"), 900_000);
    assert!(first.json().get("voucher").is_none());
    assert_eq!(shop.service.drop_state(DROP).json()["item"], json!({"hold_for_s": 900, "claim_again": true}));
    assert_eq!(shop.statuses("ann"), ["held"]);

    let paid = shop.pay(&claim, "msg_1", "pay_1");
    assert_eq!(
        (paid.status, paid.text("outcome"), paid.text("status")),
        (200, "confirmed".into(), "confirmed".into())
    );
    assert_eq!((paid.text("amount"), paid.text("payment")), ("4999.00".into(), "pay_1".into()));
    assert_eq!(paid.json()["replayed"], false);
    // The same message, and the same payment in another message: the same answer.
    for message in ["msg_1", "msg_2"] {
        told_again(&shop.pay(&claim, message, "pay_1"), &paid);
    }
    assert_eq!(told(&shop.pay(&claim, "msg_1", "pay_other")), (422, "idempotency_key_reused".to_owned()));

    assert_eq!(shop.statuses("ann"), ["confirmed"]);
    let again = shop.claim("ann");
    assert_eq!((again.status, again.text("status")), (200, "confirmed".to_owned()));
    assert!(again.json().get("hold_expires_at").is_none());
    let refused = shop.cancel(&claim, "ann");
    assert_eq!(
        (told(&refused), refused.text("detail")),
        ((409, "not_held".into()), "it is confirmed".into())
    );

    let twice = shop.pay(&claim, "msg_3", "pay_2");
    assert_eq!(
        (twice.status, twice.text("outcome"), twice.text("status")),
        (200, "refund_due".into(), "confirmed".into())
    );
    // The one that bought the unit, told once more after another one's: still what it was.
    told_again(&shop.pay(&claim, "msg_4", "pay_1"), &paid);
    let late = shop.late();
    assert_eq!(late.len(), 1, "{late:?}");
    assert_eq!(
        (&late[0]["payment"], &late[0]["person"], &late[0]["amount"]),
        (&"pay_2".into(), &"ann".into(), &"4999.00".into())
    );
    wait_for("the metric shows it", PATIENCE, || {
        (shop.service.metric("claimrush_late_payments")? == 1).then_some(())
    });
    refund(shop, late[0]["number"].as_u64().expect("a number"));
    // Told again when it has been refunded: nothing is to be refunded twice.
    told_again(&shop.pay(&claim, "msg_5", "pay_2"), &twice);
    assert_eq!((shop.late().len(), shop.run(&["late-payment", "list"])), (1, "0 to refund\n".to_owned()));
    assert_eq!(shop.service.metric("claimrush_holds_total"), Some(2));
    assert_eq!(shop.service.redis_stock_left(DROP), 2);
    shop.audit();
}

/// The answer is the first one, said to be so.
fn told_again(again: &Answer, first: &Answer) {
    assert_eq!((again.status, again.json()["replayed"].as_bool()), (200, Some(true)), "{}", again.json());
    for field in ["outcome", "status", "payment", "recorded_at", "claim_id"] {
        assert_eq!(again.text(field), first.text(field), "{field}");
    }
}

fn refund(shop: &Shop, number: u64) {
    let number = number.to_string();
    assert!(shop.run(&["late-payment", "list"]).ends_with("1 to refund\n"));
    let noted = shop.run(&["late-payment", "refunded", &number, "--reference", "re_1"]);
    assert_eq!(noted, format!("late payment {number} (pay_2) is refunded: re_1\n"));
    let again = shop.run(&["late-payment", "refunded", &number, "--reference", "re_2"]);
    assert_eq!(again, noted, "what was noted first stays");
    assert_eq!(shop.run(&["late-payment", "list"]), "0 to refund\n");
    let late = shop.late();
    assert_eq!(
        (late.len(), &late[0]["reference"], &late[0]["refunded_by"]),
        (1, &"re_1".into(), &"admin token".into())
    );
    for (number, reference, what) in
        [("99", "x", "There is no such late payment"), (&*number, " ", "reference: must have 1 to")]
    {
        let output =
            shop.service.command(&["late-payment", "refunded", number, "--reference", reference]).output();
        let (exit, _, err) = crate::support::outcome(&output.expect("it runs"));
        assert!(exit == 1 && err.contains(what), "{exit} {err}");
    }
    wait_for("the metric falls", PATIENCE, || {
        (shop.service.metric("claimrush_late_payments")? == 0).then_some(())
    });
}

#[test]
fn no_forged_late_or_strange_callback_is_believed() {
    let shop = Shop::open(&[], 3, "hold_for = \"15m\"");
    let claim = shop.claimed("ann");
    let now_s = Clock::System.now_ms() / 1_000;
    let body = json!({"payment": "pay_1", "amount": "1.00"}).to_string().into_bytes();
    let other = WebhookSecrets::parse(&format!("whsec_{}", data_encoding::BASE64.encode(&[1; 32])))
        .expect("a secret");
    let now = now_s.to_string();
    let forged = other.sign("msg_1", now_s, &body);
    for (message, at, signature) in
        [("msg_1", &*now, &*forged), ("msg_1", &now, ""), ("", &now, &forged), ("msg_1", "", &forged)]
    {
        let answer = shop.send(&claim, message, at, signature, &body).expect("an answer");
        assert_eq!(told(&answer), (401, "signature_invalid".to_owned()), "{message:?} {at:?} {signature:?}");
    }
    let call = |claim: &str, at_s: i64, body: &[u8]| {
        told(&shop.try_call_back(claim, "msg_1", at_s, body).expect("an answer"))
    };
    for at_s in [now_s - 400, now_s + 400] {
        assert_eq!(call(&claim, at_s, &body), (401, "signature_invalid".to_owned()), "{at_s}");
    }
    for bad in [
        &b"{}"[..],
        b"",
        b"[]",
        br#"{"payment":"","amount":"1.00"}"#,
        br#"{"payment":"p","amount":"-1"}"#,
        br#"{"payment":"p","amount":1}"#,
    ] {
        assert_eq!(
            call(&claim, now_s, bad),
            (400, "bad_request".to_owned()),
            "{}",
            String::from_utf8_lossy(bad)
        );
    }
    let voucher = shop.service.claim("voucher", &shop.service.ticket("voucher", "ann")).text("claim_id");
    assert_eq!(call(&voucher, now_s, &body), (409, "not_held".to_owned()));
    // One that was never granted, one of a drop that is not there, and none.
    let last = if claim.ends_with('0') { "Z" } else { "0" };
    let mut never = format!("{}{last}", &claim[..claim.len() - 1]);
    never.replace_range(17..18, "7");
    for unknown in [&*never, "clm_ZZZZZZZZZZZZZZZZ", "x"] {
        assert_eq!(call(unknown, now_s, &body), (404, "unknown_claim".to_owned()), "{unknown}");
        let answer = shop.cancel(unknown, "ann");
        assert_eq!(told(&answer), (404, "unknown_claim".to_owned()), "{unknown}");
    }
    assert_eq!(told(&shop.cancel(&claim, "bob")), (404, "unknown_claim".to_owned()), "somebody else's");
    assert_eq!(shop.statuses("ann"), ["held"], "nothing of it counted");
    assert_eq!(call(&claim, now_s, &body).0, 200);

    let bare = Service::start();
    let path = format!("/v1/claims/{claim}/confirm");
    let answer = crate::support::http::Client::connect(bare.address()).call("POST", &path, &[], &body);
    assert_eq!(told(&answer), (404, "not_found".to_owned()));
    assert!(answer.text("detail").contains("holds.payment_secret_file"));
}

#[test]
fn a_wrong_secret_file_is_refused_at_the_start() {
    let mut service = Service::start();
    service.stop();
    let folder = crate::support::folder();
    let path = folder.path().join("payments");
    for (text, what) in
        [("", "must hold 1 to 8 secrets"), ("secret\n", "line 1 must be whsec_ and 24 to 64 bytes in base64")]
    {
        std::fs::write(&path, text).expect("it is written");
        let mut command = service.command(&["serve"]);
        command.env("CLAIMRUSH_HOLDS__PAYMENT_SECRET_FILE", &path);
        let (exit, _, err) = crate::support::outcome(&command.output().expect("it runs"));
        assert_eq!(exit, 64, "{err}");
        assert!(err.contains("holds.payment_secret_file") && err.contains(what), "{err}");
    }
}

#[test]
fn a_cancelled_unit_reopens_a_sold_out_drop() {
    let shop = Shop::open(&[], 1, "hold_for = \"15m\"");
    let claim = shop.claimed("ann");
    wait_for("others are told sold out", PATIENCE, || (shop.claim("bob").status == 410).then_some(()));
    let began = Instant::now();
    let cancelled = shop.cancel(&claim, "ann");
    assert_eq!((cancelled.status, cancelled.text("status")), (200, "cancelled".to_owned()));
    let bobs = wait_for("somebody else gets it", PATIENCE, || {
        Some(shop.claim("bob")).filter(|got| got.status == 201)
    });
    eprintln!("cancelled at once, open again after {} ms", began.elapsed().as_millis());
    assert_ne!(bobs.text("claim_id"), claim);
    assert_eq!(shop.cancel(&claim, "ann").status, 200, "again it answers the same");
    assert_eq!(shop.statuses("ann"), ["cancelled"]);
    let late = shop.pay(&claim, "msg_1", "pay_1");
    assert_eq!(
        (late.status, late.text("outcome"), late.text("status")),
        (200, "refund_due".into(), "cancelled".into())
    );
    shop.wait_stock(0);
    assert_eq!(shop.late().len(), 1);
    shop.audit();
}

#[test]
fn a_hold_that_nobody_pays_for_goes_back_to_stock() {
    lapse(&Shop::open(&[], 2, "hold_for = \"1s\""));
}

fn lapse(shop: &Shop) {
    let claim = shop.claimed("ann");
    shop.wait_status("ann", "lapsed");
    shop.wait_stock(2);
    let late = shop.pay(&claim, "msg_1", "pay_1");
    assert_eq!(
        (late.status, late.text("outcome"), late.text("status")),
        (200, "refund_due".into(), "lapsed".into())
    );
    let refused = shop.cancel(&claim, "ann");
    assert_eq!((told(&refused), refused.text("detail")), ((409, "not_held".into()), "it is lapsed".into()));
    // Refunded, and told of by a message of its own afterwards.
    let number = shop.late()[0]["number"].to_string();
    shop.run(&["late-payment", "refunded", &number, "--reference", "re_1"]);
    told_again(&shop.pay(&claim, "msg_2", "pay_1"), &late);
    assert_eq!(shop.run(&["late-payment", "list"]), "0 to refund\n");
    assert_ne!(shop.claimed("ann"), claim, "they may try again");
    wait_for("both are over", PATIENCE, || (shop.statuses("ann") == ["lapsed", "lapsed"]).then_some(()));
    shop.wait_stock(2);
    assert_eq!(shop.late().len(), 1);
    wait_for("nothing is owed", PATIENCE, || {
        (shop.service.metric("claimrush_hold_returns_owed")? == 0).then_some(())
    });
    shop.audit();
}

#[test]
fn who_lets_a_hold_lapse_may_be_kept_from_another_one() {
    let shop = Shop::open(&[], 2, "hold_for = \"1s\", claim_again = false");
    shop.claimed("ann");
    shop.wait_status("ann", "lapsed");
    shop.wait_stock(2);
    assert_eq!(told(&shop.claim("ann")), (409, "limit_reached".to_owned()));
    shop.audit();
}
