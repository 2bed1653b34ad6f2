//! What finance noted by mistake is reversed by a movement of its own, and what waits for another person is listed and withdrawn.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::office::{Office, refused};
use crate::support::http::Answer;
use crate::support::postgres::PostgresServer;

const PAYMENTS: &str = "campaigns/c-1/payments";
const REPAYMENTS: &str = "campaigns/c-1/repayments";
const TRANSFERS: &str = "campaigns/c-1/transfers";
const REVERSALS: &str = "campaigns/c-1/reversals";
const WAITING: &str = "campaigns/c-1/waiting";
const WITHDRAW: &str = "campaigns/c-1/waiting/withdraw";
const FIRST: &str = "finance";
const SECOND: &str = "finance two";

fn paid(merchant: &str, amount: &str, reference: &str) -> Value {
    json!({ "merchant": merchant, "amount": amount, "reference": reference, "reason": "week 47" })
}

fn reversal(step: &Value) -> Value {
    json!({ "step": step, "reason": "another one's" })
}

fn say(office: &Office, who: &str, path: &str, key: &str, body: &Value) -> Answer {
    office.call(who, "POST", path, Some(key), body)
}

fn noted(answer: &Answer) -> Value {
    assert_eq!(answer.status, 201, "{}", answer.json());
    answer.json()["number"].clone()
}

/// What merchants are owed and what they were paid.
fn held(office: &Office) -> (String, String) {
    let accounts = office.get("auditor", "campaigns/c-1/books")["accounts"].clone();
    let of = |name: &str| accounts[name].as_str().expect("a text").to_owned();
    (of("payable"), of("settled"))
}

fn waiting(office: &Office) -> Vec<Value> {
    office.get("auditor", WAITING)["waiting"].as_array().expect("a list").clone()
}

fn a_payment_to_the_wrong_merchant(office: &Office) {
    office.redeemed("m-1", "ann");
    office.redeemed("m-2", "bob");
    let wrong = noted(&say(office, FIRST, PAYMENTS, "k-1", &paid("m-1", "0.60", "bank 1")));
    let used = say(office, FIRST, PAYMENTS, "k-2", &paid("m-1", "0.50", "bank 1"));
    refused(&used, 409, "reference_used", &format!("if that was a mistake, reverse step {wrong} first"));

    let body = reversal(&wrong);
    refused(&office.call(FIRST, "POST", REVERSALS, None, &body), 400, "idempotency_key_required", "");
    assert_eq!(say(office, "auditor", REVERSALS, "r-1", &body).status, 403);
    refused(&say(office, FIRST, "campaigns/c-9/reversals", "r-1", &body), 404, "unknown_campaign", "");
    for (body, status, code, words) in [
        (json!({ "step": wrong, "reason": " " }), 400, "bad_request", "reason: must have 1 to 500"),
        (json!({ "step": wrong }), 400, "bad_request", "reason"),
        (json!({ "step": wrong, "reason": "r", "amount": "0.10" }), 400, "bad_request", "amount"),
        (json!({ "step": -1, "reason": "r" }), 400, "bad_request", ""),
        (reversal(&json!(1)), 409, "books_refused", "with step 1 nobody moved money of this campaign"),
        (reversal(&json!(0)), 409, "books_refused", "with step 0 nobody"),
        (reversal(&json!(u64::MAX)), 409, "books_refused", "nobody moved money"),
    ] {
        refused(&say(office, FIRST, REVERSALS, "r-1", &body), status, code, words);
    }
    let reversed = say(office, FIRST, REVERSALS, "r-1", &body);
    let by = noted(&reversed);
    let told = reversed.json();
    assert_eq!((&told["from"], &told["to"]), (&json!("settled"), &json!("payable:m-1")), "{told}");
    assert_eq!(
        (&told["amount"], &told["reference"], &told["reason"], &told["reverses"]),
        (&json!("0.60"), &json!("bank 1"), &json!("another one's"), &wrong)
    );
    let again = say(office, FIRST, REVERSALS, "r-1", &body);
    assert_eq!((again.status, &again.json()["number"]), (200, &by));
    let twice = say(office, FIRST, REVERSALS, "r-2", &body);
    refused(&twice, 409, "books_refused", &format!("it was reversed already, by step {by}"));
    let other = json!({ "step": wrong, "reason": "why not" });
    refused(&say(office, FIRST, REVERSALS, "r-1", &other), 422, "idempotency_key_reused", "");
    let of_itself = say(office, FIRST, REVERSALS, "r-3", &reversal(&by));
    refused(&of_itself, 409, "books_refused", "is a reversal itself: note once more what it has reversed");
    assert_eq!(held(office), ("2.00".into(), "0.00".into()));

    // The bank's reference is free again, for the right amount too, and by another key for the very same.
    let same = say(office, FIRST, PAYMENTS, "k-1", &paid("m-1", "0.60", "bank 1"));
    refused(&same, 409, "books_refused", &format!("step {wrong} noted it, which step {by} has reversed"));
    let right = noted(&say(office, FIRST, PAYMENTS, "k-3", &paid("m-1", "0.50", "bank 1")));
    let used = say(office, FIRST, PAYMENTS, "k-4", &paid("m-1", "0.50", "bank 1"));
    refused(&used, 409, "reference_used", &format!("(step {right}) moved 0.50 from payable:m-1"));
    noted(&say(office, FIRST, PAYMENTS, "k-4", &paid("m-2", "0.60", "bank 1")));
    assert_eq!(held(office), ("0.90".into(), "1.10".into()));

    let listed = office.get("auditor", PAYMENTS)["moves"].clone();
    assert_eq!((&listed[0]["reversed_by"], &listed[1]["reversed_by"]), (&by, &Value::Null), "{listed}");
    let list = office.get("auditor", REVERSALS)["moves"].clone();
    assert_eq!((list.as_array().map(Vec::len), &list[0]["reverses"]), (Some(1), &wrong), "{list}");
    let postings = office.get("auditor", "campaigns/c-1/postings")["postings"].clone();
    let contra = postings.as_array().expect("a list").iter().find(|posting| posting["reason"] == "contra");
    let contra = contra.expect("it has a posting of its own");
    assert_eq!((&contra["number"], &contra["reverses"]), (&told["posting"], &listed[0]["posting"]));
    let reasons = office.get("auditor", "campaigns/c-1/books")["reasons"].clone();
    let reason = reasons.as_array().expect("a list").iter().find(|reason| reason["reason"] == "contra");
    assert_eq!(reason.expect("it is there")["postings"], 1);
    office.audited();
}

fn by_the_command_line(office: &Office) {
    let wrong = noted(&say(office, FIRST, PAYMENTS, "c-1", &paid("m-1", "0.25", "回单 5")));
    let wrong = wrong.to_string();
    let args = ["books", "reverse", "c-1", "--step", &wrong, "--reason", "错户"];
    let (exit, said) = office.try_as("auditor", &args);
    assert!(exit == 1 && said.contains("may not move_money"), "{said}");
    let said = office.ran_as(FIRST, &args);
    assert!(said.starts_with("0.25 settled → payable:m-1 (step "), "{said}");
    assert!(said.ends_with(&format!(", reverses step {wrong})\n")), "{said}");
    assert!(office.ran_as(FIRST, &args).ends_with(", noted before)\n"));
    let listed = office.ran_as("auditor", &["books", "payments", "c-1"]);
    assert!(listed.contains("回单 5     by step "), "{listed}");
    let listed = office.ran_as("auditor", &["books", "reversals", "c-1"]);
    assert!(listed.contains(&format!("of step {wrong}")) && listed.contains("错户"), "{listed}");
    let listed = office.ran_as("auditor", &["books", "reversals", "c-1", "--json"]);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed, office.get("auditor", REVERSALS));
    let csv = office.ran_as("auditor", &["books", "postings", "c-1", "--csv"]);
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<_> = rows.records().map(|row| row.expect("it is whole")).collect();
    let contra: Vec<_> = rows.iter().filter(|row| &row[2] == "contra").collect();
    assert_eq!(contra.len(), 4);
    assert!(contra.iter().all(|row| rows.iter().any(|paid| paid[0] == row[6] && &paid[2] == "settled")));
    assert!(rows.iter().all(|row| (&row[2] == "contra") != row[6].is_empty()));
    assert!(office.ran_as("auditor", &["books", "postings", "c-1"]).contains("  contra of "));
    assert_eq!(office.ran_as("auditor", &["books", "waiting", "c-1"]), "nothing waits\n");
    office.audited();
}

/// What a merchant gave back, and what was moved, goes back; what is not there any more does not.
fn repayments_and_transfers(office: &Office) {
    let code = office.redeemed("m-2", "eve");
    noted(&say(office, FIRST, PAYMENTS, "f-1", &paid("m-2", "1.40", "bank 3")));
    assert_eq!(office.decide(FIRST, &code, "recover", "no such order").status, 200);
    let (before, wrong) = (held(office), paid("m-2", "1.00", "bank 4"));
    let back = noted(&say(office, FIRST, REPAYMENTS, "f-2", &wrong));
    noted(&say(office, FIRST, REVERSALS, "f-3", &reversal(&back)));
    assert_eq!(held(office), before);
    noted(&say(office, FIRST, REPAYMENTS, "f-4", &wrong));

    let moved = |from: &str, to: &str, reference: &str| json!({ "from": from, "to": to, "amount": "1.00", "reference": reference, "reason": "it ends" });
    let on = noted(&say(office, FIRST, TRANSFERS, "g-1", &moved("recovered", "recycled", "D1")));
    let away = noted(&say(office, FIRST, TRANSFERS, "g-2", &moved("recycled", "treasury", "D1")));
    let gone = say(office, FIRST, REVERSALS, "g-3", &reversal(&on));
    refused(&gone, 409, "books_refused", "too much: recycled holds 0.00, and what may still be claimed");
    noted(&say(office, FIRST, REVERSALS, "g-3", &reversal(&away)));
    noted(&say(office, FIRST, REVERSALS, "g-4", &reversal(&on)));
    let accounts = office.get("auditor", "campaigns/c-1/books")["accounts"].clone();
    let of = ["recovered", "recycled", "treasury"].map(|name| accounts[name].clone());
    assert_eq!(of, [json!("1.00"), json!("0.00"), json!("0.00")]);
    noted(&say(office, FIRST, TRANSFERS, "g-5", &moved("recovered", "recycled", "D1")));
    office.audited();
}

/// Said by many at once, each with a key of its own.
fn one_reversal_by_many(office: &Office) {
    let wrong = noted(&say(office, FIRST, PAYMENTS, "h-1", &paid("m-1", "0.10", "bank 9")));
    let before = held(office);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let call = |n: usize| {
            let body = reversal(&wrong);
            scope.spawn(move || say(office, FIRST, REVERSALS, &format!("many-{n}"), &body))
        };
        let calls: Vec<_> = (0..12).map(call).collect();
        calls.into_iter().map(|call| call.join().expect("it ends")).collect()
    });
    let (noted, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(noted.len(), 1, "{:?}", answers.iter().map(Answer::json).collect::<Vec<_>>());
    for answer in others {
        refused(answer, 409, "books_refused", &format!("by step {}", noted[0].json()["number"]));
    }
    assert_ne!(held(office), before);
    office.audited();
}

fn reversed(office: &Office) {
    a_payment_to_the_wrong_merchant(office);
    by_the_command_line(office);
    repayments_and_transfers(office);
    one_reversal_by_many(office);
}

#[test]
fn what_was_noted_by_mistake_is_reversed_once() {
    reversed(&Office::open(None, &[]));
}

#[test]
fn what_was_noted_by_mistake_is_reversed_once_in_postgres() {
    reversed(&Office::open(Some(PostgresServer::start(&[])), &[]));
}

/// Both have to say each of it: the payment, that it is reversed, and that it is paid once more.
fn two_say_the_same(office: &Office) {
    office.redeemed("m-1", "ann");
    let body = paid("m-1", "0.60", "bank 1");
    assert_eq!(say(office, FIRST, PAYMENTS, "k-1", &body).status, 202);
    let wrong = noted(&say(office, SECOND, PAYMENTS, "k-2", &body));
    let back = reversal(&wrong);
    for key in ["k-3", "k-4"] {
        let waits = say(office, FIRST, REVERSALS, key, &back);
        assert_eq!((waits.status, &waits.json()["reverses"]), (202, &wrong), "{}", waits.json());
    }
    assert_eq!(held(office), ("0.40".into(), "0.60".into()));
    let listed = waiting(office);
    assert_eq!(listed.len(), 1, "{listed:?}");
    let told =
        ["from", "to", "amount", "reference", "reason", "reverses"].map(|name| listed[0][name].clone());
    let known = json!(["settled", "payable:m-1", "0.60", "bank 1", "another one's", wrong]);
    assert_eq!(json!(told), known);
    let reversed = say(office, SECOND, REVERSALS, "k-5", &json!({ "step": wrong, "reason": "I see it too" }));
    noted(&reversed);
    let by = reversed.text("by");
    assert!(by.starts_with("Li Na (crk_") && by.contains(", finance (crk_"), "{by}");
    assert_eq!((waiting(office), held(office)), (vec![], ("1.00".into(), "0.00".into())));
    for who in [FIRST, SECOND] {
        refused(&say(office, who, REVERSALS, "k-6", &back), 409, "books_refused", "it was reversed already");
    }

    // What both said of the first payment says nothing of another one by its reference, whatever the amount.
    for amount in ["0.60", "0.50"] {
        assert_eq!(say(office, FIRST, PAYMENTS, "k-7", &paid("m-1", amount, "bank 1")).status, 202);
    }
    assert_eq!(say(office, FIRST, PAYMENTS, "k-8", &paid("m-1", "0.50", "bank 1")).status, 202);
    assert_eq!(waiting(office)[0]["amount"], "0.50");
    noted(&say(office, SECOND, PAYMENTS, "k-9", &paid("m-1", "0.50", "bank 1")));
    assert_eq!((waiting(office), held(office)), (vec![], ("0.50".into(), "0.50".into())));
    office.audited();
}

fn what_waits_is_withdrawn(office: &Office) {
    let one = say(office, FIRST, PAYMENTS, "w-1", &paid("m-1", "0.10", "bank 5"));
    let other = json!({ "from": "recycled", "to": "treasury", "amount": "9.00", "reference": "D9", "reason": "it ends" });
    let other = say(office, SECOND, TRANSFERS, "w-2", &other);
    let ids = [one.text("id"), other.text("id")];
    let listed = office.ran_as("auditor", &["books", "waiting", "c-1"]);
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let line = |id: &str| listed.lines().find(|line| line.starts_with(id)).expect("it is listed").to_owned();
    let (one, other) = (line(&ids[0]), line(&ids[1]));
    assert!(one.contains("payable:m-1  settled") && one.ends_with("week 47"), "{listed}");
    assert!(other.contains("  D9 ") && other.contains("Li Na (crk_"), "{listed}");
    let listed: Value =
        serde_json::from_str(&office.ran_as("auditor", &["books", "waiting", "c-1", "--json"]))
            .expect("JSON");
    let found = listed["waiting"].as_array().expect("a list").iter();
    let found: BTreeSet<&str> = found.map(|waits| waits["id"].as_str().expect("a text")).collect();
    assert_eq!(found, ids.iter().map(String::as_str).collect());
    assert!(listed["waiting"][0]["said_at"].as_str().expect("a text").starts_with("20"));
    let after = ids.iter().min().expect("one");
    let rest = office.get("auditor", &format!("{WAITING}?after={after}"))["waiting"].clone();
    assert_eq!((rest.as_array().map(Vec::len), &rest[0]["id"]), (Some(1), &json!(ids.iter().max())));
    let wrong = office.call("auditor", "GET", &format!("{WAITING}?from=1"), None, &Value::Null);
    refused(&wrong, 400, "bad_request", "the one parameter is after");
    refused(
        &office.call("auditor", "GET", "campaigns/c-9/waiting", None, &Value::Null),
        404,
        "unknown_campaign",
        "",
    );

    // As if nobody had said it.
    assert_eq!(office.call("auditor", "POST", WITHDRAW, None, &json!({ "id": ids[0] })).status, 403);
    for id in ["", "x", "../../c-1"] {
        refused(
            &office.call(FIRST, "POST", WITHDRAW, None, &json!({ "id": id })),
            400,
            "bad_request",
            "id: ",
        );
    }
    refused(
        &office.call(FIRST, "POST", WITHDRAW, None, &json!({ "id": "00" })),
        409,
        "books_refused",
        "nothing waits",
    );
    let withdrawn = office.call(SECOND, "POST", WITHDRAW, None, &json!({ "id": ids[0] }));
    assert_eq!(
        (withdrawn.status, withdrawn.text("reference")),
        (200, "bank 5".to_owned()),
        "{}",
        withdrawn.json()
    );
    let twice = office.call(SECOND, "POST", WITHDRAW, None, &json!({ "id": ids[0] }));
    refused(&twice, 409, "books_refused", "it is in the books, or was withdrawn");
    let said = office.ran_as(FIRST, &["books", "withdraw", "c-1", &ids[1]]);
    assert_eq!(said, "9.00 recycled → treasury is withdrawn\n");
    assert_eq!(waiting(office), Vec::<Value>::new());
    for (who, key) in [(SECOND, "w-3"), (SECOND, "w-4")] {
        let waits = say(office, who, PAYMENTS, key, &paid("m-1", "0.20", "bank 5"));
        assert_eq!(waits.status, 202, "{}", waits.json());
    }
    noted(&say(office, FIRST, PAYMENTS, "w-5", &paid("m-1", "0.20", "bank 5")));
    assert_eq!((waiting(office), held(office)), (vec![], ("0.30".into(), "0.70".into())));
    let in_the_books = office.call(SECOND, "POST", WITHDRAW, None, &json!({ "id": ids[0] }));
    refused(&in_the_books, 409, "books_refused", "nothing waits by ");
    office.audited();
}

fn by_two(mut office: Office) {
    office.hire(SECOND, "Li Na");
    two_say_the_same(&office);
    what_waits_is_withdrawn(&office);
}

const TWO: [(&str, &str); 1] = [("backoffice.approval", "two-person")];

#[test]
fn two_persons_reverse_what_two_persons_noted() {
    by_two(Office::open(None, &TWO));
}

#[test]
fn two_persons_reverse_what_two_persons_noted_in_postgres() {
    by_two(Office::open(Some(PostgresServer::start(&[])), &TWO));
}
