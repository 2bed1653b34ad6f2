//! Books: what accounts hold and why, postings, and periods.

use std::collections::BTreeMap;

use claimrush::clock::{Clock, rfc3339};
use serde_json::{Value, json};

use super::office::{Office, refused};
use crate::support::postgres::PostgresServer;

/// An amount in fen.
fn fen(amount: &Value) -> i64 {
    let text = amount.as_str().expect("a text");
    text.replace('.', "").parse().expect("an amount")
}

/// The accounts of a campaign, after checking that they add up to the budget.
fn accounts(books: &Value) -> BTreeMap<String, i64> {
    let accounts = books["accounts"].as_object().expect("an object");
    let accounts: BTreeMap<_, _> =
        accounts.iter().map(|(name, amount)| (name.clone(), fen(amount))).collect();
    assert_eq!(accounts.values().sum::<i64>(), fen(&books["budget"]), "{books}");
    assert_eq!(books["balanced"], true);
    let owed: i64 =
        books["payable"].as_array().expect("a list").iter().map(|owed| fen(&owed["amount"])).sum();
    assert_eq!(owed, accounts["payable"], "{books}");
    // What the reasons moved is what the accounts hold.
    let mut moved = BTreeMap::new();
    for reason in books["reasons"].as_array().expect("a list") {
        for line in reason["accounts"].as_array().expect("a list") {
            *moved.entry(line["account"].as_str().expect("a text").to_owned()).or_insert(0) +=
                fen(&line["amount"]);
        }
    }
    moved.remove("budget");
    for (name, held) in &accounts {
        assert_eq!(moved.get(name).copied().unwrap_or(0), *held, "{name}: {books}");
    }
    accounts
}

fn a_month(office: &Office) {
    let before_ms = Clock::System.now_ms();
    office.voucher("ann");
    office.redeemed("m-1", "bob");
    office.redeemed("m-1", "cid");
    let last = office.redeemed("m-2", "dan");
    let books = office.get("finance", "campaigns/c-1/books");
    let held = accounts(&books);
    assert_eq!((held["live"], held["payable"], held["unissued"]), (100, 300, 99_999_600), "{books}");
    assert_eq!(
        books["payable"],
        json!([{ "merchant": "m-1", "amount": "2.00" }, { "merchant": "m-2", "amount": "1.00" }])
    );
    assert_eq!((&books["currency"], &books["budget"]), (&"CNY".into(), &"1000000.00".into()));
    let reason = |books: &Value, name: &str| {
        let reasons = books["reasons"].as_array().expect("a list").clone();
        reasons.into_iter().find(|reason| reason["reason"] == name)
    };
    let redeemed = reason(&books, "redeemed").expect("it is there");
    assert_eq!(
        (&redeemed["postings"], &redeemed["accounts"][0]),
        (&3.into(), &json!({ "account": "live", "amount": "-3.00" }))
    );
    // Before anything was claimed, and by the command line.
    let early = office.get("auditor", &format!("campaigns/c-1/books?at_ms={before_ms}"));
    assert_eq!((accounts(&early)["unissued"], reason(&early, "claimed")), (100_000_000, None));
    let shown = office.ran_as("auditor", &["books", "show", "c-1", "--at", &rfc3339(before_ms)]);
    assert!(shown.contains("unissued   1000000.00\n") && !shown.contains("claimed"), "{shown}");
    let shown = office.ran_as("auditor", &["books", "show", "c-1"]);
    assert!(shown.contains("\nm-2       1.00\n") && shown.contains("redeemed  3 "), "{shown}");
    let shown = office.ran_as("auditor", &["books", "show", "c-1", "--json"]);
    assert_eq!(accounts(&serde_json::from_str(&shown).expect("JSON")), held);

    postings(office);
    let until_ms = periods(office, &held);
    // What happens later does not change what was closed.
    assert_eq!(office.decide("finance", &last, "recover", "no such order").status, 200);
    assert_eq!(accounts(&office.get("finance", "campaigns/c-1/books"))["recovered"], 100);
    assert_eq!(accounts(&office.get("finance", &format!("campaigns/c-1/books?at_ms={until_ms}"))), held);
    office.audited();
}

fn postings(office: &Office) {
    let list = office.get("operator", "campaigns/c-1/postings");
    let all = list["postings"].as_array().expect("a list");
    assert_eq!(list["next"], Value::Null);
    for posting in all {
        let lines = posting["lines"].as_array().expect("a list");
        assert_eq!(lines.iter().map(|line| fen(&line["amount"])).sum::<i64>(), 0, "{posting}");
    }
    assert_eq!((&all[0]["reason"], &all[0]["drop"]), (&"budget".into(), &Value::Null));
    let redeemed = all.iter().filter(|posting| posting["reason"] == "redeemed");
    assert!(redeemed.clone().all(|posting| posting["drop"] == "d-1"));
    assert_eq!(redeemed.count(), 3);
    let second = all[1]["number"].as_u64().expect("a number");
    let rest = office.get("operator", &format!("campaigns/c-1/postings?after={second}"));
    assert_eq!(rest["postings"].as_array().expect("a list"), &all[2..]);
    let csv =
        office.ran_as("operator", &["books", "postings", "c-1", "--csv", "--from", &second.to_string()]);
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(
        rows.headers().expect("a line"),
        &["posting", "at", "reason", "drop", "account", "amount", "reverses"][..]
    );
    let rows: Vec<_> = rows.records().map(|row| row.expect("it is whole")).collect();
    let lines: usize =
        all[1..].iter().map(|posting| posting["lines"].as_array().expect("a list").len()).sum();
    assert_eq!((rows.len(), &rows[0][0]), (lines, &*second.to_string()));
    assert_eq!(rows.iter().map(|row| fen(&row[5].into())).sum::<i64>(), 0);
    let text = office.ran_as("operator", &["books", "postings", "c-1"]);
    assert!(text.contains("budget -1000000.00, unissued 1000000.00"), "{text}");
}

/// Closes the books so far, and gives until when.
fn periods(office: &Office, held: &BTreeMap<String, i64>) -> i64 {
    let close = |id: &str, until: &str| {
        let path = format!("campaigns/{id}/periods");
        office.call("finance", "POST", &path, None, &json!({ "until": until }))
    };
    let now_ms = Clock::System.now_ms();
    refused(&close("c-1", "tomorrow"), 400, "bad_request", "until: \"tomorrow\" is not like");
    refused(&close("c-1", &rfc3339(now_ms + 3_600_000)), 409, "books_refused", "it is not over yet");
    refused(&close("c-9", &rfc3339(now_ms)), 404, "unknown_campaign", "");
    refused(&close("c-1", "1970-01-01T00:00:00Z"), 409, "books_refused", "closed until then already");
    let none = office.ran_as("auditor", &["books", "periods", "c-1"]);
    assert_eq!(none, "no periods\n");

    let closed = close("c-1", &rfc3339(now_ms));
    assert_eq!(closed.status, 201, "{}", closed.json());
    let line = |period: &Value, account: &str| {
        let lines = period["accounts"].as_array().expect("a list").clone();
        let line = lines.into_iter().find(|line| line["account"] == account).expect("it is there");
        (fen(&line["opening"]), fen(&line["closing"]))
    };
    let period = closed.json();
    assert_eq!((&period["from"], &period["until"]), (&Value::Null, &rfc3339(now_ms).into()));
    for account in ["live", "payable", "unissued"] {
        assert_eq!(line(&period, account), (0, held[account]), "{account}");
    }
    assert_eq!(line(&period, "budget"), (0, -100_000_000));
    refused(&close("c-1", &rfc3339(now_ms)), 409, "books_refused", "closed until then already");
    refused(&close("c-1", &rfc3339(now_ms - 60_000)), 409, "books_refused", "closed until then already");

    // The next one begins where this one ended, by the command line.
    let until_ms = Clock::System.now_ms();
    let (exit, said) = office.try_as("operator", &["books", "close", "c-1", "--until", &rfc3339(until_ms)]);
    assert!(exit == 1 && said.contains("may not close_books"), "{said}");
    let said = office.ran_as("finance", &["books", "close", "c-1", "--until", &rfc3339(until_ms)]);
    assert!(said.contains(&format!("from {} until {}", rfc3339(now_ms), rfc3339(until_ms))), "{said}");
    let listed = office.get("auditor", "campaigns/c-1/periods");
    let listed = listed["periods"].as_array().expect("a list");
    assert_eq!((listed.len(), &listed[0]), (2, &period));
    assert_eq!(line(&listed[1], "live"), (held["live"], held["live"]));
    let first = period["number"].as_u64().expect("a number");
    let rest = office.get("auditor", &format!("campaigns/c-1/periods?after={first}"));
    assert_eq!(rest["periods"], json!([listed[1]]));
    until_ms
}

#[test]
fn a_campaigns_books_are_shown_and_closed() {
    let office = Office::open(None, &[]);
    a_month(&office);
    // Who closed a period stands in the chain.
    let ledger = rusqlite::Connection::open(office.service.data().join("ledger.db")).expect("it is there");
    let by: String = ledger
        .query_row(
            "SELECT body ->> '$.actor' FROM audit WHERE body ->> '$.content.kind' = 'period'",
            [],
            |row| row.get(0),
        )
        .expect("there is one");
    assert!(by.starts_with("finance (crk_"), "{by}");
}

#[test]
fn a_campaigns_books_are_shown_and_closed_in_postgres() {
    a_month(&Office::open(Some(PostgresServer::start(&[])), &[]));
}
