//! Vouchers: their whole life, and what staff decide of them.

use serde_json::{Value, json};

use super::office::{Office, refused};
use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Client, bearer};
use crate::support::postgres::PostgresServer;
use crate::support::service::Service;

/// (step, state, by, reason, money) of each step.
fn life(voucher: &Value) -> Vec<[String; 5]> {
    let steps = voucher["steps"].as_array().expect("a list");
    let text = |step: &Value, field: &str| step[field].as_str().unwrap_or("").to_owned();
    let told = steps.iter().map(|step| {
        let money = format!("{} {} {}", text(step, "moved"), text(step, "from"), text(step, "to"));
        let by = text(step, "by");
        let by = by.split(" (crk_").next().expect("a part").to_owned();
        [text(step, "step"), text(step, "state"), by, text(step, "reason"), money.trim().to_owned()]
    });
    told.collect()
}

fn told(steps: &[[&str; 5]]) -> Vec<[String; 5]> {
    steps.iter().map(|step| step.map(str::to_owned)).collect()
}

fn a_case_of_scalping(office: &Office) {
    let (bad, good, used) = (office.voucher("ann"), office.voucher("bob"), office.redeemed("m-1", "cid"));
    let claim_id = office.get("support", &format!("vouchers/{used}"))["claim_id"].clone();
    let by_id = office.get("auditor", &format!("vouchers/{}", claim_id.as_str().expect("a text")));
    assert_eq!((&by_id["person"], &by_id["state"]), (&"cid".into(), &"redeemed".into()));
    assert_eq!(
        (&by_id["face"], &by_id["campaign"], &by_id["drop"]),
        (&"1.00".into(), &"c-1".into(), &"d-1".into())
    );
    assert!(by_id.get("voucher").is_none(), "whoever looks up a claim is not given its code: {by_id}");

    // What is wrong with a decision is said, and nothing is decided.
    refused(
        &office.decide("operator", &bad, "freeze", "  "),
        400,
        "bad_request",
        "reason: must have 1 to 500",
    );
    let more = json!({ "reason": "r", "silently": true });
    let odd = office.call("operator", "POST", &format!("vouchers/{bad}/freeze"), None, &more);
    refused(&odd, 400, "bad_request", "silently");
    let bent = format!("{}{}", &bad[..31], if bad.ends_with('0') { '1' } else { '0' });
    for nobody in ["nothing", "clm_0000000000000000", &bent] {
        refused(&office.decide("operator", nobody, "freeze", "r"), 404, "unknown_voucher", "");
    }
    assert_eq!(office.decide("approver", &bad, "freeze", "r").status, 403);
    assert_eq!(office.decide("operator", &bad, "void", "r").status, 403);
    assert_eq!(office.decide("approver", &used, "recover", "r").status, 403);
    refused(
        &office.decide("approver", &bad, "release", "r"),
        409,
        "voucher_refused",
        "it is issued: only what is frozen can be released",
    );
    refused(
        &office.decide("finance", &bad, "recover", "r"),
        409,
        "voucher_refused",
        "it is issued: only what is redeemed or lost can be recovered",
    );

    // Frozen once, however often it is said; no till takes it meanwhile.
    for reason in ["a broker's", "said again"] {
        let frozen = office.decide("support", &bad, "freeze", reason);
        assert_eq!((frozen.status, frozen.text("state")), (200, "frozen".to_owned()), "{}", frozen.json());
    }
    refused(&office.redeem("m-1", &bad, "o-1"), 409, "voucher_not_live", "it is frozen");
    assert_eq!(office.decide("approver", &bad, "release", "their own").text("state"), "issued");
    assert_eq!(office.decide("approver", &bad, "release", "their own").status, 200);
    assert_eq!(office.decide("operator", &bad, "freeze", "another hint").status, 200);
    assert_eq!(office.decide("approver", &bad, "void", "sold on").text("state"), "void");
    assert_eq!(office.decide("finance", &bad, "void", "sold on").text("state"), "void");
    refused(
        &office.decide("operator", &bad, "freeze", "r"),
        409,
        "voucher_refused",
        "it is void: only what is issued can be frozen",
    );
    refused(&office.redeem("m-1", &bad, "o-1"), 409, "voucher_not_live", "it is void");
    let shown = office.get("auditor", &format!("vouchers/{bad}"));
    assert_eq!(
        life(&shown),
        told(&[
            ["frozen", "frozen", "support", "a broker's", ""],
            ["released", "issued", "approver", "their own", ""],
            ["frozen", "frozen", "operator", "another hint", ""],
            ["voided", "void", "approver", "sold on", "1.00 live recovered"],
        ])
    );
    // The rest of it, from a step on.
    let second = shown["steps"][1]["number"].as_u64().expect("a number");
    let rest = office.get("auditor", &format!("vouchers/{bad}?after={second}"));
    assert_eq!((life(&rest), &rest["state"]), (life(&shown)[2..].to_vec(), &shown["state"]));
    let odd = office.call("auditor", "GET", &format!("vouchers/{bad}?after=x"), None, &Value::Null);
    refused(&odd, 400, "bad_request", "the number of a step");

    // What was redeemed by fraud comes back from the merchant, by the command line.
    let (exit, said) = office.try_as("finance", &["voucher", "void", &used, "--reason", "r"]);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("it is redeemed: only what is issued or frozen can be voided"), "{said}");
    let recover = ["voucher", "recover", &used, "--reason", "no such order"];
    for _ in 0..2 {
        assert!(office.ran_as("finance", &recover).ends_with(" is void\n"));
    }
    let said = office.ran_as("finance", &["voucher", "show", &used]);
    assert!(said.contains("campaign c-1, drop d-1, held by cid\n"), "{said}");
    for part in
        ["1.00 live → payable:m-1 ", "1.00 payable:m-1 → recovered  no such order, order cid of 6.00\n"]
    {
        assert!(said.contains(part), "{part:?}: {said}");
    }
    let said = office.ran_as("finance", &["voucher", "show", &used, "--json"]);
    assert_eq!(life(&serde_json::from_str(&said).expect("JSON")).len(), 2);

    // In one step, whoever may void does not need another one to freeze; a held item is no voucher.
    assert_eq!(office.decide("finance", &good, "void", "a test").text("state"), "void");
    let phone = office.claimed("phone", "dan").text("claim_id");
    let shown = office.get("support", &format!("vouchers/{phone}"));
    assert_eq!((&shown["state"], shown.get("face")), (&"held".into(), None));
    assert!(shown["hold_expires_at"].is_string());
    refused(&office.decide("operator", &phone, "freeze", "r"), 409, "voucher_refused", "it is no voucher");
    let accounts = &office.get("finance", "campaigns/c-1/books")["accounts"];
    assert_eq!((&accounts["recovered"], &accounts["live"]), (&"3.00".into(), &"0.00".into()));
    office.audited();
}

#[test]
fn a_voucher_is_frozen_released_voided_and_recovered() {
    a_case_of_scalping(&Office::open(None, &[]));
}

#[test]
fn a_voucher_is_frozen_released_voided_and_recovered_in_postgres() {
    a_case_of_scalping(&Office::open(Some(PostgresServer::start(&[])), &[]));
}

fn two_persons(office: &mut Office) {
    let (one, other) = (office.voucher("ann"), office.voucher("bob"));
    let void = |office: &Office, who: &str, code: &str| office.decide(who, code, "void", "sold on");
    refused(
        &void(office, "approver", &one),
        409,
        "voucher_refused",
        "it is issued, and somebody else has to freeze it",
    );
    assert_eq!(office.decide("operator", &one, "freeze", "a broker's").status, 200);
    // Two keys of one name are one person, and the admin token is nobody's exception.
    office.hire("approver too", "operator");
    refused(&void(office, "approver too", &one), 409, "voucher_refused", "whoever froze it cannot void it");
    assert_eq!(void(office, "approver", &one).text("state"), "void");
    assert_eq!(office.decide("admin", &other, "freeze", "a hint").status, 200);
    refused(&void(office, "admin", &other), 409, "voucher_refused", "whoever froze it cannot void it");
    assert_eq!(office.decide("admin", &other, "release", "a wrong one").text("state"), "issued");
    assert_eq!(office.decide("support", &other, "freeze", "a better one").status, 200);
    assert_eq!(void(office, "admin", &other).text("state"), "void", "it is the last freeze that counts");
    office.audited();
}

#[test]
fn two_persons_make_a_voucher_worthless() {
    two_persons(&mut Office::open(None, &[("backoffice.approval", "two-person")]));
}

#[test]
fn two_persons_make_a_voucher_worthless_in_postgres() {
    let postgres = PostgresServer::start(&[]);
    two_persons(&mut Office::open(Some(postgres), &[("backoffice.approval", "two-person")]));
}

#[test]
fn of_many_who_decide_at_once_one_decides() {
    let office = Office::open(None, &[]);
    let code = office.voucher("ann");
    let answers: Vec<_> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..16)
            .map(|n| {
                let (office, code) = (&office, &code);
                scope.spawn(move || match n % 2 {
                    0 => office.decide("operator", code, "freeze", "a hint"),
                    _ => office.decide("finance", code, "void", "sold on"),
                })
            })
            .collect();
        calls.into_iter().map(|call| call.join().expect("it ends")).collect()
    });
    for answer in &answers {
        let refusal =
            answer.status == 409 && ["voucher_refused", "conflict"].contains(&answer.code().as_str());
        assert!(answer.status == 200 || refusal, "{}", answer.json());
    }
    let shown = office.get("auditor", &format!("vouchers/{code}"));
    let steps: Vec<_> = life(&shown).into_iter().map(|[step, ..]| step).collect();
    assert!([&["voided"][..], &["frozen", "voided"]].iter().any(|life| steps == *life), "{steps:?}");
    office.audited();
}

#[test]
fn a_voucher_that_the_ledger_does_not_have_yet_is_not_unknown() {
    let service = Service::start_with(&[], &["--no-drain"]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 5)]));
    let claimed = service.claim("d-1", &service.ticket("d-1", "ann"));
    let token = std::fs::read_to_string(service.data().join("admin.token")).expect("it is there");
    let authorization = bearer(token.trim());
    let look = |name: &str| {
        let path = format!("/admin/v1/vouchers/{name}");
        Client::connect(service.admin_address()).call("GET", &path, &[("authorization", &authorization)], b"")
    };
    refused(
        &look(&claimed.text("voucher")),
        503,
        "unavailable",
        "the ledger does not have the voucher (yet)",
    );
    refused(&look(&claimed.text("claim_id")), 404, "unknown_voucher", "");
}
