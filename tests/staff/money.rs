//! Payments to merchants and transfers between accounts: once for a key, never more than there is.

use serde_json::{Value, json};

use super::office::{Office, refused};
use crate::support::http::Answer;
use crate::support::postgres::PostgresServer;

const PAYMENTS: &str = "campaigns/c-1/payments";
const TRANSFERS: &str = "campaigns/c-1/transfers";

fn paid(merchant: &str, amount: &str, reference: &str) -> Value {
    json!({ "merchant": merchant, "amount": amount, "reference": reference, "reason": "week 47" })
}

fn moved(from: &str, to: &str, amount: &str) -> Value {
    json!({ "from": from, "to": to, "amount": amount, "reference": "决定 7", "reason": "the programme ends" })
}

fn post(office: &Office, path: &str, key: &str, body: &Value) -> Answer {
    office.call("finance", "POST", path, Some(key), body)
}

fn held(office: &Office, account: &str) -> String {
    office.get("finance", "campaigns/c-1/books")["accounts"][account].as_str().expect("a text").to_owned()
}

fn payments(office: &Office) {
    for person in ["ann", "bob", "cid"] {
        office.redeemed("m-1", person);
    }
    let body = paid("m-1", "2.00", "bank 1");
    refused(&office.call("finance", "POST", PAYMENTS, None, &body), 400, "idempotency_key_required", "");
    let cases = [
        (paid("m-1", "0.00", "r"), 400, "bad_request", "amount: must be more than zero"),
        (paid("m-1", "-1.00", "r"), 400, "bad_request", "amount: "),
        (paid("m-1", "1.001", "r"), 400, "bad_request", "amount: "),
        (paid("m-1", "1.00", " "), 400, "bad_request", "reference: must have 1 to 128"),
        (paid("M 1", "1.00", "r"), 400, "bad_request", "merchant: "),
        (json!({ "merchant": "m-1", "amount": "1.00", "reference": "r" }), 400, "bad_request", "reason"),
        (paid("m-1", "3.01", "r"), 409, "books_refused", "too much: payable:m-1 holds 3.00"),
        (paid("m-2", "0.01", "r"), 409, "books_refused", "too much: payable:m-2 holds 0.00"),
    ];
    for (body, status, code, words) in &cases {
        refused(&post(office, PAYMENTS, "k-0", body), *status, code, words);
    }
    refused(&post(office, "campaigns/c-9/payments", "k-0", &body), 404, "unknown_campaign", "");

    // A refusal leaves its key free; the same key pays once.
    let first = post(office, PAYMENTS, "k-0", &body);
    assert_eq!(first.status, 201, "{}", first.json());
    assert_eq!((first.text("from"), first.text("to")), ("payable:m-1".to_owned(), "settled".to_owned()));
    let again = post(office, PAYMENTS, "k-0", &body);
    assert_eq!((again.status, &again.json()["number"]), (200, &first.json()["number"]));
    assert_eq!(again.json()["replayed"], true);
    refused(
        &post(office, PAYMENTS, "k-0", &paid("m-1", "1.00", "bank 1")),
        422,
        "idempotency_key_reused",
        "",
    );
    // The bank's reference pays once, whatever the key and the amount; somebody else may have been paid by it too.
    let earlier = format!(
        "reference bank 1 is in the books already: posting {} (step {}) moved 2.00 from payable:m-1 to settled at 20",
        first.json()["posting"],
        first.json()["number"]
    );
    for (key, reference, amount) in [("k-1", "bank 1", "2.00"), ("k-2", " bank 1 ", "0.10")] {
        let twice = post(office, PAYMENTS, key, &paid("m-1", amount, reference));
        refused(&twice, 409, "reference_used", &earlier);
    }
    let other = post(office, PAYMENTS, "k-1", &paid("m-2", "0.01", "bank 1"));
    refused(&other, 409, "books_refused", "too much");
    assert_eq!((held(office, "payable"), held(office, "settled")), ("1.00".into(), "2.00".into()));

    // By the command line the same said again is the same payment.
    let args = [
        "books",
        "paid",
        "c-1",
        "--merchant",
        "m-1",
        "--reference",
        "回单 2",
        "--reason",
        "week 48",
        "--amount",
    ];
    let said = office.ran_as("finance", &[&args[..], &["0.50"]].concat());
    assert!(said.starts_with("0.50 payable:m-1 → settled (step "), "{said}");
    let said = office.ran_as("finance", &[&args[..], &["0.50"]].concat());
    assert!(said.ends_with("noted before)\n"), "{said}");
    let (exit, said) = office.try_as("finance", &[&args[..], &["0.40"]].concat());
    assert!(exit == 1 && said.contains("reference 回单 2 is in the books already: posting "), "{said}");
    let (exit, said) = office.try_as("finance", &[&args[..], &["0.50", "--key", "mine"]].concat());
    assert!(exit == 1 && said.contains(" moved 0.50 from payable:m-1 to settled at 20"), "{said}");
    assert_eq!(office.try_as("operator", &[&args[..], &["0.50"]].concat()).0, 1);
    let listed = office.get("auditor", PAYMENTS);
    let listed = listed["moves"].as_array().expect("a list");
    let told: Vec<_> =
        listed.iter().map(|paid| (&paid["amount"], &paid["reference"], &paid["reason"])).collect();
    assert_eq!(
        told,
        [
            (&"2.00".into(), &"bank 1".into(), &"week 47".into()),
            (&"0.50".into(), &"回单 2".into(), &"week 48".into())
        ]
    );
    assert!(listed[0]["by"].as_str().expect("a text").starts_with("finance (crk_"));
    let number = first.json()["number"].as_u64().expect("a number");
    let rest = office.get("auditor", &format!("{PAYMENTS}?after={number}"));
    assert_eq!(rest["moves"], json!([listed[1]]));
    let said = office.ran_as("auditor", &["books", "payments", "c-1"]);
    assert!(said.contains("payable:m-1  settled  0.50    回单 2"), "{said}");
}

fn transfers(office: &Office) {
    let codes: Vec<_> = ["dan", "eve"].iter().map(|person| office.voucher(person)).collect();
    for code in &codes {
        assert_eq!(office.decide("finance", code, "void", "sold on").status, 200);
    }
    for (from, to) in
        [("live", "treasury"), ("recycled", "recovered"), ("treasury", "recycled"), ("payable", "treasury")]
    {
        let wrong = post(office, TRANSFERS, "t-0", &moved(from, to, "0.01"));
        refused(&wrong, 400, "bad_request", "from recycled to treasury, or from recovered");
    }
    refused(
        &post(office, TRANSFERS, "t-0", &moved("purse", "treasury", "1")),
        400,
        "bad_request",
        "no account \"purse\"",
    );
    let too_much = post(office, TRANSFERS, "t-0", &moved("recovered", "recycled", "2.01"));
    refused(&too_much, 409, "books_refused", "too much: recovered holds 2.00");
    let first = post(office, TRANSFERS, "t-0", &moved("recovered", "recycled", "2.00"));
    assert_eq!((first.status, first.text("reference")), (201, "决定 7".to_owned()), "{}", first.json());
    assert_eq!(post(office, TRANSFERS, "t-0", &moved("recovered", "recycled", "2.00")).status, 200);
    let twice = post(office, TRANSFERS, "t-1", &moved("recovered", "recycled", "0.01"));
    refused(&twice, 409, "reference_used", "reference 决定 7 is in the books already: posting ");
    let too_much = post(office, TRANSFERS, "t-1", &moved("recycled", "treasury", "2.01"));
    refused(&too_much, 409, "books_refused", "too much: recycled holds 2.00, and what may still be claimed");
    let args = [
        "--from",
        "recycled",
        "--to",
        "treasury",
        "--amount",
        "1.50",
        "--reference",
        "T1",
        "--reason",
        "back",
    ];
    let said = office.ran_as("finance", &[&["books", "move", "c-1"][..], &args].concat());
    assert!(said.starts_with("1.50 recycled → treasury (step "), "{said}");
    assert_eq!((held(office, "recycled"), held(office, "treasury")), ("0.50".into(), "1.50".into()));
    let listed = office.get("auditor", TRANSFERS);
    let amounts = listed["moves"].as_array().expect("a list").iter().map(|moved| moved["amount"].clone());
    assert_eq!(amounts.collect::<Vec<_>>(), ["2.00", "1.50"]);
    let said = office.ran_as("auditor", &["books", "transfers", "c-1", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&said).expect("JSON"), listed);
    office.audited();
}

/// One reference, said by many at once, each with a key of its own.
fn one_reference_by_many(office: &Office) {
    office.redeemed("m-2", "fay");
    let body = paid("m-2", "0.25", "bank 9");
    let answers: Vec<_> = std::thread::scope(|scope| {
        let call = |n: usize| {
            let body = &body;
            scope.spawn(move || post(office, PAYMENTS, &format!("many-{n}"), body))
        };
        let calls: Vec<_> = (0..12).map(call).collect();
        calls.into_iter().map(|call| call.join().expect("it ends")).collect()
    });
    let (noted, twice): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(noted.len(), 1, "{:?}", answers.iter().map(Answer::json).collect::<Vec<_>>());
    let earlier = format!("(step {}) moved 0.25 from payable:m-2", noted[0].json()["number"]);
    for answer in twice {
        refused(answer, 409, "reference_used", &earlier);
    }
    let books = office.get("finance", "campaigns/c-1/books");
    let owed = books["payable"].as_array().expect("a list").iter().find(|owed| owed["merchant"] == "m-2");
    assert_eq!(owed.expect("it is there")["amount"], "0.75");
    office.audited();
}

/// What was paid and then found to be fraud comes back from the merchant.
fn repayments(office: &Office) {
    let path = "campaigns/c-1/repayments";
    let owed = |office: &Office| {
        let books = office.get("finance", "campaigns/c-1/books");
        let owed = books["payable"].as_array().expect("a list").iter().find(|owed| owed["merchant"] == "m-2");
        owed.expect("it is there")["amount"].as_str().expect("a text").to_owned()
    };
    let code = office.redeemed("m-2", "gus");
    let all = owed(office);
    assert_eq!(post(office, PAYMENTS, "g-1", &paid("m-2", &all, "bank 20")).status, 201);
    let nothing = post(office, path, "g-2", &paid("m-2", "0.01", "bank 21"));
    refused(&nothing, 409, "books_refused", "too much: payable:m-2 holds 0.00");
    assert_eq!(office.decide("finance", &code, "recover", "no such order").status, 200);
    assert_eq!(owed(office), "-1.00");
    let settled = held(office, "settled");
    refused(
        &office.call("finance", "POST", path, None, &paid("m-2", "1.00", "bank 20")),
        400,
        "idempotency_key_required",
        "",
    );
    refused(&post(office, path, "g-2", &paid("m-2", "1.01", "bank 20")), 409, "books_refused", "holds -1.00");
    let back = post(office, path, "g-2", &paid("m-2", "0.75", "bank 20"));
    assert_eq!(
        (back.status, back.text("from"), back.text("to")),
        (201, "settled".into(), "payable:m-2".into())
    );
    let again = post(office, path, "g-2", &paid("m-2", "0.75", "bank 20"));
    assert_eq!((again.status, &again.json()["number"]), (200, &back.json()["number"]));
    let earlier = format!("(step {}) moved 0.75 from settled to payable:m-2", back.json()["number"]);
    refused(&post(office, path, "g-3", &paid("m-2", "0.25", "bank 20")), 409, "reference_used", &earlier);
    let args = ["books", "repaid", "c-1", "--merchant", "m-2", "--amount", "0.25", "--reference", "回单 9"];
    let args = [&args[..], &["--reason", "the rest"]].concat();
    assert_eq!(office.try_as("operator", &args).0, 1);
    let noted = office.ran_as("finance", &args);
    assert!(noted.starts_with("0.25 settled → payable:m-2 (step "), "{noted}");
    assert!(office.ran_as("finance", &args).ends_with("noted before)\n"));
    assert_eq!(owed(office), "0.00");
    let fen = |text: &str| text.replace('.', "").parse::<i64>().expect("an amount");
    assert_eq!(fen(&held(office, "settled")), fen(&settled) - 100);
    let listed = office.ran_as("auditor", &["books", "repayments", "c-1"]);
    assert!(listed.contains("bank 20") && listed.contains("the rest"), "{listed}");
    office.audited();
}

#[test]
fn merchants_are_paid_and_money_is_moved_once() {
    let office = Office::open(None, &[]);
    payments(&office);
    transfers(&office);
    one_reference_by_many(&office);
    repayments(&office);
}

#[test]
fn merchants_are_paid_and_money_is_moved_once_in_postgres() {
    let office = Office::open(Some(PostgresServer::start(&[])), &[]);
    payments(&office);
    transfers(&office);
    one_reference_by_many(&office);
    repayments(&office);
}

#[test]
fn a_payment_that_is_said_by_many_at_once_or_across_a_crash_is_noted_once() {
    let mut office = Office::open(None, &[]);
    office.redeemed("m-1", "ann");
    office.redeemed("m-1", "bob");
    let body = paid("m-1", "0.60", "bank 1");
    let numbers: Vec<_> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..12)
            .map(|_| {
                let (office, body) = (&office, &body);
                scope.spawn(move || post(office, PAYMENTS, "k-1", body))
            })
            .collect();
        let answers = calls.into_iter().map(|call| call.join().expect("it ends"));
        answers.map(|answer| (answer.status, answer.json()["number"].clone())).collect()
    });
    assert_eq!(numbers.iter().filter(|(status, _)| *status == 201).count(), 1, "{numbers:?}");
    assert!(numbers.iter().all(|(status, number)| *status <= 201 && *number == numbers[0].1), "{numbers:?}");

    // Killed when it is committed and nobody was told; then asked again.
    let body = paid("m-1", "0.70", "bank 2");
    office.service.stop();
    let text = body.to_string();
    let authorization = crate::support::http::bearer(
        std::fs::read_to_string(office.service.data().join("admin.token")).expect("it is there").trim(),
    );
    let ask = move |address: std::net::SocketAddr| {
        let headers = [("authorization", authorization.as_str()), ("idempotency-key", "k-2")];
        let mut client = crate::support::http::Client::try_connect(address)?;
        client.try_call("POST", &format!("/admin/v1/{PAYMENTS}"), &headers, text.as_bytes())
    };
    office.service.restart_until_killed("life.committed", |service| {
        // Nobody is told anything: the service is gone.
        let _ = ask(service.admin_address());
    });
    office.service.restart();
    let told = post(&office, PAYMENTS, "k-2", &body);
    assert_eq!((told.status, told.json()["replayed"].clone()), (200, true.into()), "{}", told.json());
    assert_eq!((held(&office, "payable"), held(&office, "settled")), ("0.70".into(), "1.30".into()));
    office.audited();
}
