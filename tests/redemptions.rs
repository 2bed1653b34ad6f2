//! Vouchers at tills: merchants with keys, orders, keys that are used again, refunds and reversals, and the books behind them,
//! against the built service on both ledgers.

mod absent;
mod caps;
mod clocks;
mod shown;
pub(crate) mod street;

use std::sync::Barrier;

use serde_json::json;

use self::street::{Street, call, order, redemptions_of, refused};
use crate::support::http::{Answer, Client, bearer};
use crate::support::postgres::PostgresServer;
use crate::support::service::PATIENCE;
use crate::support::wait_for;

/// One voucher's life at the tills of a street.
fn a_day_at_the_tills(street: &Street) {
    let (till, other) = (street.key("m-1"), street.key("m-2"));
    let (code, ticket) = street.voucher("ann");
    let (second, _) = street.voucher("bob");

    // What is wrong is said, and takes nothing.
    let path = redemptions_of(&code);
    refused(&street.call(&till, &path, None, &order("o-1", "6.00")), 400, "idempotency_key_required");
    let refusals = [
        (till.as_str(), code.as_str(), order("o-1", "4.99"), 422, "terms_not_met"),
        (&till, &code, json!({ "order_id": "o-1", "amount": "6.00", "shop": "s-far" }), 422, "terms_not_met"),
        (&till, &code, json!({ "order_id": "o-1", "amount": "6.00", "shop": "nowhere" }), 400, "bad_request"),
        (&till, &code, json!({ "order_id": "o-1", "amount": "-1.00" }), 400, "bad_request"),
        (&till, &code, json!({ "order_id": "o-1" }), 400, "bad_request"),
        (&till, &code, json!({ "order_id": "o-1", "amount": "6.00", "tip": "1" }), 400, "bad_request"),
        (&till, "0000400004000001AAAAAAAAAAAAAAAA", order("o-1", "6.00"), 404, "unknown_voucher"),
        (
            "crk_aaaaaaaaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
            &code,
            order("o-1", "6.00"),
            401,
            "unauthorized",
        ),
        (&ticket, &code, order("o-1", "6.00"), 401, "unauthorized"),
    ];
    for (who, code, body, status, word) in refusals {
        refused(&street.redeem(who, code, "k-0", &body), status, word);
    }
    assert_eq!(street.status(&code, &ticket), "issued");

    // Taken once; the same key gives the same answer, with other content a refusal.
    let taken = street.redeem(&till, &code, "k-1", &order("o-1", "6.00"));
    assert_eq!(taken.status, 201, "{}", taken.json());
    let said = |field: &str| taken.text(field);
    assert_eq!(
        (said("discount"), said("to_pay"), said("status")),
        ("1.00".into(), "5.00".into(), "redeemed".into())
    );
    let again = street.redeem(&till, &code, "k-1", &order("o-1", "6.00"));
    assert_eq!((again.status, again.text("redemption_id")), (200, said("redemption_id")));
    assert_eq!(again.json()["replayed"], true);
    refused(&street.redeem(&till, &code, "k-1", &order("o-1", "7.00")), 422, "idempotency_key_reused");
    assert_eq!(street.service.metric("claimrush_voucher_steps_total"), Some(1), "what was written counts");
    refused(&street.redeem(&till, &code, "k-2", &order("o-2", "6.00")), 409, "voucher_not_live");
    refused(&street.redeem(&till, &second, "k-3", &order("o-1", "6.00")), 409, "order_used");
    assert_eq!(street.status(&code, &ticket), "redeemed");

    // A full refund within its time makes it usable again; another merchant may not.
    let refund = format!("/v1/redemptions/{}/refunds", said("redemption_id"));
    refused(&street.call(&other, &refund, Some("r-0"), &json!({})), 404, "unknown_redemption");
    refused(&street.call(&till, &refund, Some("r-0"), &json!({ "amount": "6.01" })), 409, "refund_refused");
    let refunded = street.call(&till, &refund, Some("r-1"), &json!({}));
    assert_eq!((refunded.status, refunded.text("refunded")), (201, "6.00".to_owned()), "{}", refunded.json());
    assert_eq!(street.call(&till, &refund, Some("r-1"), &json!({})).status, 200);
    assert_eq!(street.status(&code, &ticket), "issued");

    // Taken at another merchant whose cap a day is one, and taken back there.
    let there = street.redeem(&other, &code, "k-1", &order("o-1", "5.00"));
    assert_eq!(there.status, 201, "keys and orders are each merchant's own: {}", there.json());
    refused(&street.redeem(&other, &second, "k-2", &order("o-2", "5.00")), 409, "daily_limit_reached");
    let back = format!("/v1/redemptions/{}/reversals", there.text("redemption_id"));
    assert_eq!(street.call(&other, &back, Some("b-1"), &json!({})).status, 201);
    let third = street.redeem(&other, &second, "k-2", &order("o-2", "5.00"));
    assert_eq!(third.status, 201, "what was taken back counts for no cap: {}", third.json());

    // A part of the order refunded: the voucher is lost.
    let part = format!("/v1/redemptions/{}/refunds", third.text("redemption_id"));
    let parted = street.call(&other, &part, Some("p-1"), &json!({ "amount": "2.50" }));
    assert_eq!((parted.status, parted.text("discount_back")), (201, "0.50".to_owned()), "{}", parted.json());

    // A merchant that is there for tests moves no money; one that is not active takes nothing, one that is suspended neither.
    let trial = street.redeem(&street.key("m-uat"), &code, "k-1", &order("o-1", "6.00"));
    assert_eq!((trial.status, trial.json()["trial"].clone()), (201, json!(true)), "{}", trial.json());
    assert_eq!(street.status(&code, &ticket), "issued");
    refused(
        &street.redeem(&street.key("m-new"), &code, "k-1", &order("o-1", "6.00")),
        403,
        "merchant_inactive",
    );
    street.ran(&["merchant", "suspend", "m-1", "--reason", "an inspection"]);
    refused(&street.redeem(&till, &code, "k-9", &order("o-9", "6.00")), 403, "merchant_inactive");
    street.audited();
}

#[test]
fn a_till_says_once_who_it_is_and_under_which_key() {
    let street = Street::open(None);
    let till = street.key("m-1");
    let (code, ticket) = street.voucher("ann");
    let (good, small) = (bearer(&till), format!("bearer   {till}"));
    let body = order("o-1", "6.00").to_string();
    let call = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        let headers = [&[("content-type", "application/json")], headers].concat();
        Client::connect(street.service.address()).call(method, path, &headers, body.as_bytes())
    };
    let redeem = |headers: &[(&str, &str)]| call("POST", &redemptions_of(&code), headers, &body);
    let who = ("authorization", good.as_str());
    for (what, headers, status, word) in [
        ("two keys", &[who, ("idempotency-key", "a"), ("idempotency-key", "b")][..], 400, "bad_request"),
        ("the same twice", &[who, ("idempotency-key", "a"), ("idempotency-key", "a")], 400, "bad_request"),
        ("a blank in it", &[who, ("idempotency-key", "a b")], 400, "bad_request"),
        (
            "another one behind",
            &[who, ("authorization", "Bearer x"), ("idempotency-key", "a")],
            401,
            "unauthorized",
        ),
        ("themselves twice", &[who, who, ("idempotency-key", "a")], 401, "unauthorized"),
    ] {
        let answer = redeem(headers);
        assert_eq!((answer.status, answer.code().as_str()), (status, word), "{what}");
    }
    // Whoever is no till is not told what is wrong with an order.
    for path in [redemptions_of(&code), "/v1/redemptions/red_1/refunds".to_owned()] {
        for (headers, status) in [(&[][..], 401), (&[("authorization", "Bearer x")], 401), (&[who], 400)] {
            let answer = call("POST", &path, headers, "{");
            assert_eq!(answer.status, status, "{path}: {}", answer.json());
        }
    }
    assert_eq!(street.status(&code, &ticket), "issued");
    // A scheme is spelled in any case, and some blanks may follow it.
    let who = ("authorization", small.as_str());
    let path = format!("/v1/vouchers/{code}");
    let looked = call("GET", &path, &[who], "");
    assert_eq!((looked.status, looked.text("status")), (200, "issued".to_owned()));
    let twice = call("GET", &path, &[who, who], "");
    assert_eq!((twice.status, twice.code().as_str()), (401, "ticket_invalid"));
    assert_eq!(redeem(&[who, ("idempotency-key", "a")]).status, 201);
}

#[test]
fn a_voucher_is_taken_refunded_and_taken_back() {
    a_day_at_the_tills(&Street::open(None));
}

#[test]
fn a_voucher_is_taken_refunded_and_taken_back_in_postgres() {
    a_day_at_the_tills(&Street::open(Some(PostgresServer::start(&[]))));
}

#[test]
fn a_hundred_tills_at_once_take_a_voucher_once() {
    let street = Street::open(None);
    let till = street.key("m-1");
    let (code, _) = street.voucher("ann");
    let (at_once, service) = (Barrier::new(100), &street.service);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..100)
            .map(|n| {
                let (at_once, till, path) = (&at_once, &till, redemptions_of(&code));
                scope.spawn(move || {
                    at_once.wait();
                    let (key, body) = (format!("k-{n}"), order(&format!("o-{n}"), "6.00"));
                    call(service, till, &path, Some(&key), &body)
                })
            })
            .collect();
        calls.into_iter().map(|call| call.join().expect("it ends")).collect()
    });
    let taken = answers.iter().filter(|answer| answer.status == 201).count();
    let late =
        answers.iter().filter(|answer| answer.status == 409 && answer.code() == "voucher_not_live").count();
    assert_eq!((taken, late), (1, 99));
    street.audited();
}

#[test]
fn a_qr_code_is_taken_while_it_is_fresh_and_a_restart_forgets_nothing() {
    let mut street = Street::open(None);
    let till = street.key("m-1");
    let (code, ticket) = street.voucher("ann");
    let authorization = bearer(&ticket);
    let shown = Client::connect(street.service.address()).call(
        "GET",
        &format!("/v1/vouchers/{code}/qr"),
        &[("authorization", &authorization)],
        b"",
    );
    let payload = shown.text("payload");
    let taken = street.redeem(&till, &payload, "k-1", &order("o-1", "6.00"));
    assert_eq!(taken.status, 201, "{}", taken.json());
    street.service.kill();
    street.service.restart();
    // The key stands for the claim, whether it was shown as a code or as a picture.
    let again = wait_for("the service takes it", PATIENCE, || {
        Some(street.redeem(&till, &code, "k-1", &order("o-1", "6.00"))).filter(|answer| answer.status == 200)
    });
    assert_eq!(again.text("redemption_id"), taken.text("redemption_id"));
    street.audited();
}

#[test]
fn the_place_of_the_shop_decides_also_where_a_till_does_not_name_it() {
    let street = Street::open(None);
    let (code, _) = street.voucher("ann");
    let bare = json!({ "order_id": "o-1", "amount": "6.00" });
    // The merchant is at home in Kunming, and every shop of it in Chengdu.
    let away = street.key("m-away");
    for body in [json!({ "order_id": "o-1", "amount": "6.00", "shop": "cd-1" }), bare.clone()] {
        refused(&street.redeem(&away, &code, "k-1", &body), 422, "terms_not_met");
    }
    // One shop in Kunming and one in Beijing: the till has to say which.
    let till = street.key("m-1");
    let unnamed = street.redeem(&till, &code, "k-1", &bare);
    refused(&unnamed, 400, "bad_request");
    assert!(unnamed.text("detail").contains("name the shop"), "{}", unnamed.json());
    let taken = street.redeem(&till, &code, "k-1", &order("o-1", "6.00"));
    assert_eq!(taken.status, 201, "{}", taken.json());
    // A refund names none.
    let refund = street.undo(&till, &taken.text("redemption_id"), "refunds", "r-1", &json!({}));
    assert_eq!(refund.status, 201, "{}", refund.json());
    // The only shop there is, and two in one place.
    for merchant in ["m-3", "m-4"] {
        let key = street.key(merchant);
        let taken = street.redeem(&key, &code, "k-1", &bare);
        assert_eq!(taken.status, 201, "{merchant}: {}", taken.json());
        let back = street.undo(&key, &taken.text("redemption_id"), "reversals", "b-1", &json!({}));
        assert_eq!(back.status, 201, "{}", back.json());
    }
    street.audited();
}

fn a_suspension(street: &Street) {
    let till = street.key("m-1");
    let (first, _) = street.voucher("ann");
    let (second, _) = street.voucher("bob");
    let (third, _) = street.voucher("cid");
    let taken = street.redeem(&till, &first, "k-1", &order("o-1", "6.00"));
    let lost = street.redeem(&till, &second, "k-2", &order("o-2", "6.00"));
    assert_eq!((taken.status, lost.status), (201, 201), "{}", lost.json());
    let refund = |who: &str, redemption: &str, key: &str, amount: &str| {
        street.undo(who, redemption, "refunds", key, &json!({ "amount": amount }))
    };
    street.ran(&["merchant", "suspend", "m-1", "--reason", "an inspection"]);

    // Nothing is taken any more, whatever is shown.
    for body in [order("o-3", "6.00"), json!({ "order_id": "o-3", "amount": "6.00" })] {
        refused(&street.redeem(&till, &third, "k-3", &body), 403, "merchant_inactive");
    }
    refused(&street.redeem(&till, &first, "k-3", &order("o-3", "6.00")), 403, "merchant_inactive");
    // What was done is told to who lost the answer, and customers get back what they paid before.
    let again = street.redeem(&till, &second, "k-2", &order("o-2", "6.00"));
    assert_eq!((again.status, again.text("redemption_id")), (200, lost.text("redemption_id")));
    refused(&street.redeem(&till, &second, "k-2", &order("o-2", "7.00")), 422, "idempotency_key_reused");
    let refunded = refund(&till, &taken.text("redemption_id"), "r-1", "6.00");
    assert_eq!((refunded.status, refunded.text("status")), (201, "issued".to_owned()), "{}", refunded.json());
    assert_eq!(refund(&till, &taken.text("redemption_id"), "r-1", "6.00").status, 200);
    let back = street.undo(&till, &lost.text("redemption_id"), "reversals", "b-1", &json!({}));
    assert_eq!(back.status, 201, "{}", back.json());
    // A merchant that never took one is told that it does not.
    refused(&refund(&street.key("m-new"), "red_1", "r-1", "6.00"), 403, "merchant_inactive");

    street.ran(&["merchant", "activate", "m-1"]);
    assert_eq!(street.redeem(&till, &third, "k-3", &order("o-3", "6.00")).status, 201);
    street.audited();
}

#[test]
fn a_suspended_merchant_takes_nothing_and_gives_back_what_it_took() {
    a_suspension(&Street::open(None));
}

#[test]
fn a_suspended_merchant_takes_nothing_and_gives_back_what_it_took_in_postgres() {
    a_suspension(&Street::open(Some(PostgresServer::start(&[]))));
}
