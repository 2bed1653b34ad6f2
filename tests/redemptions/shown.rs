//! Campaigns whose vouchers are taken by the changing QR code alone.

use claimrush::clock::Clock;

use super::street::{Plan, Street, file, order, refused};
use crate::support::campaign::DropFile;
use crate::support::http::{Client, bearer};
use crate::support::postgres::PostgresServer;
use crate::support::service::PATIENCE;
use crate::support::wait_for;

fn street(postgres: Option<PostgresServer>) -> Street {
    let files = vec![file("c-1", &DropFile::open("d-1", 200), "code = \"qr\"")];
    Street::of(Plan { postgres, files, ..Plan::default() })
}

/// What the holder's page shows now.
fn payload(street: &Street, code: &str, ticket: &str) -> String {
    let (path, authorization) = (format!("/v1/vouchers/{code}/qr"), bearer(ticket));
    let shown = Client::connect(street.service.address()).call(
        "GET",
        &path,
        &[("authorization", &authorization)],
        b"",
    );
    assert_eq!(shown.status, 200, "{}", shown.json());
    shown.text("payload")
}

fn qr_alone(mut street: Street) {
    let (till, trial) = (street.key("m-1"), street.key("m-uat"));
    let (code, ticket) = street.voucher("ann");
    let old = |code: &str| {
        let number = street.number(code);
        street.signers().1.sign(number, Clock::System.now_ms() - 31_000).text
    };

    let said_before = |street: &Street| street.service.drop_state("d-1").json()["voucher"].clone();
    assert_eq!(said_before(&street)["qr_required"], true, "the drop says it before anybody claims");

    // A photograph of the code is worth nothing, and tells nothing.
    for who in [&till, &trial] {
        refused(&street.redeem(who, &code, "k-1", &order("o-1", "6.00")), 422, "qr_required");
        refused(&street.look(&code, who), 422, "qr_required");
    }
    // Nor is one of a QR code, a little later.
    for answer in
        [street.redeem(&till, &old(&code), "k-1", &order("o-1", "6.00")), street.look(&old(&code), &till)]
    {
        refused(&answer, 410, "qr_expired");
    }
    let own = street.look(&code, &ticket).json();
    assert_eq!((&own["status"], &own["qr_required"]), (&"issued".into(), &true.into()), "its holder sees it");

    let fresh = payload(&street, &code, &ticket);
    assert_eq!(street.look(&fresh, &till).text("status"), "issued");
    let taken = street.redeem(&till, &fresh, "k-1", &order("o-1", "6.00"));
    assert_eq!(taken.status, 201, "{}", taken.json());
    // The answer may get lost: whoever asks again with the key is told the same, also when the payload's time is over.
    for shown in [&fresh, &old(&code), &code] {
        let again = street.redeem(&till, shown, "k-1", &order("o-1", "6.00"));
        assert_eq!(
            (again.status, again.text("redemption_id")),
            (200, taken.text("redemption_id")),
            "{shown}"
        );
    }
    refused(&street.redeem(&till, &old(&code), "k-1", &order("o-1", "7.00")), 422, "idempotency_key_reused");
    refused(&street.redeem(&till, &code, "k-2", &order("o-2", "6.00")), 422, "qr_required");
    let refund = street.undo(&till, &taken.text("redemption_id"), "refunds", "r-1", &serde_json::json!({}));
    assert_eq!(refund.status, 201, "a refund needs no picture: {}", refund.json());

    // A campaign changes its rule, which its diff names; a restart keeps it.
    let (second, second_ticket) = street.voucher("bob");
    let any = file("c-1", &DropFile::open("d-1", 200), "");
    let said = street.service.apply_ok(&any);
    assert!(said.contains("redemption: code qr to any"), "{said}");
    assert_eq!(street.redeem(&till, &second, "k-3", &order("o-3", "6.00")).status, 201);
    let own = street.look(&second, &second_ticket).json();
    assert_eq!((&own["status"], own.get("qr_required")), (&"redeemed".into(), None));
    assert_eq!(said_before(&street).get("qr_required"), None);
    let path = street.service.data().join("qr.toml");
    let qr = file("c-1", &DropFile::open("d-1", 200), "code = \"qr\", person_per_day = 9");
    std::fs::write(&path, qr).expect("written");
    let said = street.ran(&["campaign", "draft", &path.to_string_lossy()]);
    for change in ["redemption: code any to qr", "redemption: person_per_day none to 9"] {
        assert!(said.contains(change), "{said}");
    }
    let (third, _) = street.voucher("cid");
    assert_eq!(
        street.redeem(&till, &third, "k-4", &order("o-4", "6.00")).status,
        201,
        "a draft changes nothing"
    );
    street.ran(&["campaign", "approve", "c-1"]);
    let (fourth, fourth_ticket) = street.voucher("dan");
    refused(&street.redeem(&till, &fourth, "k-5", &order("o-5", "6.00")), 422, "qr_required");
    let shown = street.ran(&["campaign", "show", "c-1"]);
    assert!(shown.contains("vouchers are taken by their changing QR code alone"), "{shown}");
    street.service.kill();
    street.service.restart();
    wait_for("it is refused as before", PATIENCE, || {
        let answer = street.redeem(&till, &fourth, "k-5", &order("o-5", "6.00"));
        (answer.status == 422 && answer.code() == "qr_required").then_some(())
    });
    let fresh = payload(&street, &fourth, &fourth_ticket);
    assert_eq!(street.redeem(&till, &fresh, "k-5", &order("o-5", "6.00")).status, 201);
    street.audited();
}

#[test]
fn where_qr_codes_alone_are_taken_a_photographed_code_is_refused() {
    qr_alone(street(None));
}

#[test]
fn where_qr_codes_alone_are_taken_a_photographed_code_is_refused_in_postgres() {
    qr_alone(street(Some(PostgresServer::start(&[]))));
}

#[test]
fn a_till_that_lost_its_answer_learns_it_with_a_qr_code_whose_time_is_over() {
    let street = Street::open(None);
    let till = street.key("m-1");
    let (code, _) = street.voucher("ann");
    let number = street.number(&code);
    let at = |ms: i64| street.signers().1.sign(number, Clock::System.now_ms() + ms).text;
    let taken = street.redeem(&till, &at(0), "k-1", &order("o-1", "6.00"));
    assert_eq!(taken.status, 201, "{}", taken.json());
    let again = street.redeem(&till, &at(-60_000), "k-1", &order("o-1", "6.00"));
    assert_eq!((again.status, again.text("redemption_id")), (200, taken.text("redemption_id")));
    // For anything else it is too old, as before; and one from ahead of all clocks is none.
    refused(&street.redeem(&till, &at(-60_000), "k-2", &order("o-1", "6.00")), 410, "qr_expired");
    refused(&street.redeem(&till, &at(120_000), "k-1", &order("o-1", "6.00")), 410, "qr_expired");
    let trial = street.key("m-uat");
    refused(&street.redeem(&trial, &at(-60_000), "k-1", &order("o-1", "6.00")), 410, "qr_expired");
    street.audited();
}
