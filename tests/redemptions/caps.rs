//! Caps of persons: a day, and a day at one merchant, by the campaign's own clocks.

use std::cell::Cell;

use claimrush::clock::Clock;
use serde_json::json;

use super::street::{Plan, Street, file, order};
use crate::support::campaign::DropFile;
use crate::support::clock::FakeClock;
use crate::support::http::Answer;
use crate::support::postgres::PostgresServer;

const DAY_S: i64 = 86_400;
const CAPS: &str = "person_per_day = 3, person_per_merchant_per_day = 2";

/// Two campaigns of the same caps, one on the clocks of Kunming, one on those of Los Angeles.
fn street(postgres: Option<PostgresServer>) -> Street {
    let far = file("c-far", &DropFile::open("d-far", 200).limit(9), CAPS);
    let files = vec![
        file("c-1", &DropFile::open("d-1", 200).limit(9), CAPS),
        far.replace("Asia/Shanghai", "America/Los_Angeles"),
    ];
    Street::of(Plan { postgres, clock: Some(FakeClock::new()), files, ..Plan::default() })
}

fn capped(answer: &Answer, whose: &str) {
    let told = (answer.status, answer.code(), answer.text("detail"));
    assert_eq!(told, (409, "daily_limit_reached".to_owned(), whose.to_owned()), "{}", answer.json());
}

/// Seconds from now to eleven in the evening in Kunming: by then it is morning in Los Angeles.
fn to_evening_s() -> i64 {
    // Eight hours ahead of UTC, all year.
    let of_day_s = (Clock::System.now_ms() / 1_000).rem_euclid(DAY_S);
    let ahead_s = (15 * 3_600 - of_day_s).rem_euclid(DAY_S);
    // A clock moves by two hours or more.
    if ahead_s >= 7_200 { ahead_s } else { ahead_s + DAY_S }
}

fn caps_of_persons(mut street: Street) {
    let (first, other) = (street.key("m-1"), street.key("m-3"));
    let (anns, _) = street.vouchers("d-1", "ann", 6);
    let (bobs, _) = street.vouchers("d-1", "bob", 1);
    let (far, _) = street.vouchers("d-far", "ann", 4);
    street.advance(to_evening_s());
    let orders = Cell::new(0);
    let redeem = |street: &Street, till: &str, code: &str| {
        orders.set(orders.get() + 1);
        let id = format!("o-{}", orders.get());
        street.redeem(till, code, &id, &order(&id, "6.00"))
    };
    let taken = |street: &Street, till: &str, code: &str| {
        let answer = redeem(street, till, code);
        assert_eq!(answer.status, 201, "{}", answer.json());
        answer.text("redemption_id")
    };
    taken(&street, &first, &anns[0]);
    let second = taken(&street, &first, &anns[1]);
    capped(&redeem(&street, &first, &anns[2]), "the person's");
    taken(&street, &first, &bobs[0]);
    let third = taken(&street, &other, &anns[2]);
    capped(&redeem(&street, &other, &anns[3]), "the person's");
    // Another campaign counts for itself.
    for code in &far[..2] {
        taken(&street, &first, code);
    }
    capped(&redeem(&street, &first, &far[2]), "the person's");

    // A refunded order was an order of the day; a redemption that was taken back was none.
    let refund = street.undo(&other, &third, "refunds", "r-1", &json!({}));
    assert_eq!(refund.status, 201, "{}", refund.json());
    capped(&redeem(&street, &other, &anns[3]), "the person's");
    let reversal = street.undo(&first, &second, "reversals", "b-1", &json!({}));
    assert_eq!(reversal.status, 201, "{}", reversal.json());
    taken(&street, &first, &anns[1]);
    capped(&redeem(&street, &first, &anns[3]), "the person's");
    capped(&redeem(&street, &other, &anns[3]), "the person's");

    // One in the morning in Kunming; in Los Angeles the day goes on.
    street.advance(7_200);
    capped(&redeem(&street, &first, &far[2]), "the person's");
    taken(&street, &first, &anns[3]);
    taken(&street, &first, &anns[4]);
    capped(&redeem(&street, &first, &anns[5]), "the person's");
    taken(&street, &other, &anns[5]);
    street.advance(DAY_S);
    taken(&street, &first, &far[2]);
    street.audited();
    street.service.stop();
    street.service.restart();
    street.audited();
}

/// A merchant takes one voucher of a person a day, whatever the campaign allows.
fn a_merchants_own_cap(mut street: Street) {
    let (own, other) = (street.key("m-4"), street.key("m-1"));
    let (anns, _) = street.vouchers("d-1", "ann", 7);
    let (bobs, _) = street.vouchers("d-1", "bob", 1);
    street.advance(to_evening_s());
    let orders = Cell::new(0);
    let redeem = |street: &Street, till: &str, code: &str, shop: &str| {
        orders.set(orders.get() + 1);
        let id = format!("o-{}", orders.get());
        let order = json!({ "order_id": id, "amount": "6.00", "shop": shop });
        street.redeem(till, code, &id, &order)
    };
    let taken = |street: &Street, till: &str, code: &str| {
        let answer = redeem(street, till, code, "s-1");
        assert_eq!(answer.status, 201, "{}", answer.json());
        answer.text("redemption_id")
    };
    let first = taken(&street, &own, &anns[0]);
    capped(&redeem(&street, &own, &anns[1], "s-1"), "the person's");
    capped(&redeem(&street, &own, &anns[1], "s-2"), "the person's");
    // Each person has their own, and nobody else's till counts.
    taken(&street, &own, &bobs[0]);
    for code in &anns[1..4] {
        taken(&street, &other, code);
    }
    capped(&redeem(&street, &own, &anns[4], "s-1"), "the person's");

    // A redemption that was taken back was none; a refunded order was one.
    let reversal = street.undo(&own, &first, "reversals", "b-1", &json!({}));
    assert_eq!(reversal.status, 201, "{}", reversal.json());
    let again = taken(&street, &own, &anns[4]);
    let refund = street.undo(&own, &again, "refunds", "r-1", &json!({}));
    assert_eq!(refund.status, 201, "{}", refund.json());
    capped(&redeem(&street, &own, &anns[4], "s-1"), "the person's");

    // A restart forgets nothing, and the next day is another one.
    street.service.stop();
    street.service.restart();
    capped(&redeem(&street, &own, &anns[4], "s-1"), "the person's");
    street.advance(7_200);
    taken(&street, &own, &anns[4]);
    capped(&redeem(&street, &own, &anns[5], "s-1"), "the person's");
    street.audited();
}

fn without_caps_of_the_campaign(postgres: Option<PostgresServer>) -> Street {
    let files = vec![file("c-1", &DropFile::open("d-1", 200).limit(9), "")];
    Street::of(Plan { postgres, clock: Some(FakeClock::new()), files, ..Plan::default() })
}

#[test]
fn a_merchant_takes_so_many_of_a_person_a_day() {
    a_merchants_own_cap(without_caps_of_the_campaign(None));
}

#[test]
fn a_merchant_takes_so_many_of_a_person_a_day_in_postgres() {
    a_merchants_own_cap(without_caps_of_the_campaign(Some(PostgresServer::start(&[]))));
}

#[test]
fn a_person_redeems_so_many_a_day() {
    caps_of_persons(street(None));
}

#[test]
fn a_person_redeems_so_many_a_day_in_postgres() {
    caps_of_persons(street(Some(PostgresServer::start(&[]))));
}
