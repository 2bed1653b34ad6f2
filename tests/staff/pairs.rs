//! With two persons money is moved in the books when both have said the same, and not before.

use serde_json::{Value, json};

use super::office::{Office, refused};
use crate::support::http::{Answer, Client, bearer};
use crate::support::postgres::PostgresServer;

const PAYMENTS: &str = "campaigns/c-1/payments";
const REPAYMENTS: &str = "campaigns/c-1/repayments";
const TRANSFERS: &str = "campaigns/c-1/transfers";
const FIRST: &str = "finance";
const SECOND: &str = "finance two";
/// Another key of the first one's.
const SAME: &str = "finance same";

fn paid(merchant: &str, amount: &str, reference: &str) -> Value {
    json!({ "merchant": merchant, "amount": amount, "reference": reference, "reason": "week 47" })
}

fn say(office: &Office, who: &str, path: &str, key: &str, body: &Value) -> Answer {
    office.call(who, "POST", path, Some(key), body)
}

fn waits(answer: &Answer) {
    assert_eq!(answer.status, 202, "{}", answer.json());
    assert!(answer.text("said_by").contains(" (crk_"), "{}", answer.json());
}

/// What merchants are owed and what they were paid.
fn held(office: &Office) -> (String, String) {
    let accounts = office.get("auditor", "campaigns/c-1/books")["accounts"].clone();
    let of = |name: &str| accounts[name].as_str().expect("a text").to_owned();
    (of("payable"), of("settled"))
}

fn two_say_the_same(office: &mut Office) {
    office.hire(SECOND, "Li Na");
    office.hire(SAME, "FINANCE");
    office.redeemed("m-1", "ann");
    let body = paid("m-1", "0.60", "bank 1");
    refused(&say(office, FIRST, "campaigns/c-9/payments", "k-1", &body), 404, "unknown_campaign", "");
    for (who, key) in [(FIRST, "k-1"), (FIRST, "k-1"), (FIRST, "k-2"), (SAME, "k-3")] {
        waits(&say(office, who, PAYMENTS, key, &body));
    }
    assert_eq!(held(office), ("1.00".into(), "0.00".into()));
    let other = say(office, SECOND, PAYMENTS, "k-4", &paid("m-1", "0.06", "bank 1"));
    refused(&other, 409, "books_refused", "two persons have to say the same: finance (crk_");
    refused(&other, 409, "books_refused", " said 0.60 by reference bank 1");
    let noted = say(office, SECOND, PAYMENTS, "k-5", &body);
    assert_eq!((noted.status, noted.text("amount")), (201, "0.60".to_owned()), "{}", noted.json());
    let by = noted.text("by");
    assert!(by.starts_with("Li Na (crk_") && by.contains(", finance (crk_"), "{by}");
    assert_eq!(held(office), ("0.40".into(), "0.60".into()));
    let again = say(office, SECOND, PAYMENTS, "k-5", &body);
    assert_eq!((again.status, &again.json()["number"]), (200, &noted.json()["number"]));
    for who in [FIRST, SECOND] {
        refused(&say(office, who, PAYMENTS, "k-6", &body), 409, "reference_used", "reference bank 1 is in");
    }

    // What the books refuse was said by one alone afterwards, who may say another amount.
    let more = paid("m-1", "0.41", "bank 2");
    waits(&say(office, SECOND, PAYMENTS, "k-7", &more));
    let too_much = say(office, FIRST, PAYMENTS, "k-8", &more);
    refused(&too_much, 409, "books_refused", "too much: payable:m-1 holds 0.40");
    let less = paid("m-1", "0.40", "bank 2");
    refused(&say(office, FIRST, PAYMENTS, "k-8", &less), 409, "books_refused", "Li Na (crk_");
    waits(&say(office, SECOND, PAYMENTS, "k-7", &less));
    assert_eq!(say(office, FIRST, PAYMENTS, "k-8", &less).status, 201);
    assert_eq!(held(office), ("0.00".into(), "1.00".into()));
    office.audited();
}

/// What was recovered of a merchant that had been paid is moved when it has come back, each by two.
fn fraud(office: &Office) {
    let code = office.redeemed("m-2", "bob");
    for who in [FIRST, SECOND] {
        say(office, who, PAYMENTS, &format!("b-{}", who.len()), &paid("m-2", "1.00", "bank 3"));
    }
    assert_eq!(office.decide(FIRST, &code, "recover", "no such order").status, 200);
    let args = ["books", "move", "c-1", "--from", "recovered", "--to", "treasury", "--amount", "1.00"];
    let args = [&args[..], &["--reference", "D1", "--reason", "fraud"]].concat();
    let said = office.ran_as(FIRST, &args);
    assert!(
        said.starts_with("1.00 recovered → treasury waits for another person who says the same; finance"),
        "{said}"
    );
    let (exit, said) = office.try_as(SECOND, &args);
    assert!(
        exit == 1 && said.contains("recovered holds 1.00, and what merchants owe has to come back first"),
        "{said}"
    );
    let back = paid("m-2", "1.00", "bank 4");
    waits(&say(office, FIRST, REPAYMENTS, "b-1", &back));
    assert_eq!(say(office, SECOND, REPAYMENTS, "b-2", &back).status, 201);
    let said = office.ran_as(SECOND, &args);
    assert!(said.starts_with("1.00 recovered → treasury (step "), "{said}");
    let wrong =
        json!({ "from": "live", "to": "treasury", "amount": "1.00", "reference": "D2", "reason": "r" });
    refused(&say(office, FIRST, TRANSFERS, "b-3", &wrong), 400, "bad_request", "money goes from recycled");
    office.audited();
}

/// Many calls of both at once, each with a key of its own.
fn at_once(office: &Office) {
    office.redeemed("m-2", "cid");
    let body = paid("m-2", "0.25", "bank 9");
    let answers: Vec<_> = std::thread::scope(|scope| {
        let call = |n: usize| {
            let (body, who) = (&body, [FIRST, SECOND][n % 2]);
            scope.spawn(move || say(office, who, PAYMENTS, &format!("many-{n}"), body))
        };
        let calls: Vec<_> = (0..12).map(call).collect();
        calls.into_iter().map(|call| call.join().expect("it ends")).collect()
    });
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [201, 202, 409].contains(status)), "{statuses:?}");
    let books = office.get("auditor", "campaigns/c-1/books");
    let owed = books["payable"].as_array().expect("a list").iter().find(|owed| owed["merchant"] == "m-2");
    assert_eq!(owed.expect("it is there")["amount"], "0.75");
    office.audited();
}

fn pairs(mut office: Office) {
    two_say_the_same(&mut office);
    fraud(&office);
    at_once(&office);
}

const TWO: [(&str, &str); 1] = [("backoffice.approval", "two-person")];

#[test]
fn money_is_moved_when_two_persons_have_said_the_same() {
    pairs(Office::open(None, &TWO));
}

#[test]
fn money_is_moved_when_two_persons_have_said_the_same_in_postgres() {
    pairs(Office::open(Some(PostgresServer::start(&[])), &TWO));
}

#[test]
fn a_second_word_that_a_crash_cut_off_counts_when_it_is_said_again() {
    let mut office = Office::open(None, &TWO);
    office.redeemed("m-1", "ann");
    let body = paid("m-1", "0.60", "bank 1");
    waits(&say(&office, FIRST, PAYMENTS, "k-1", &body));
    office.service.stop();
    let token = std::fs::read_to_string(office.service.data().join("admin.token")).expect("it is there");
    let (authorization, text) = (bearer(token.trim()), body.to_string());
    office.service.restart_until_killed("life.written", |service| {
        let headers = [("authorization", authorization.as_str()), ("idempotency-key", "k-2")];
        // Nobody is told anything: the service is gone.
        let asked = Client::try_connect(service.admin_address());
        let path = format!("/admin/v1/{PAYMENTS}");
        let _ = asked.and_then(|mut client| client.try_call("POST", &path, &headers, text.as_bytes()));
    });
    office.service.restart();
    assert_eq!(held(&office), ("1.00".into(), "0.00".into()));
    let noted = say(&office, "admin", PAYMENTS, "k-2", &body);
    assert_eq!(noted.status, 201, "{}", noted.json());
    assert!(noted.text("by").starts_with("admin token, finance (crk_"), "{}", noted.json());
    assert_eq!(held(&office), ("0.40".into(), "0.60".into()));
    office.audited();
}
