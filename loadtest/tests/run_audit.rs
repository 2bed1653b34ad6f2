//! `run --audit`: a service that keeps its word, and ones that do not.

use std::{collections::BTreeMap, fs, net::SocketAddr, process::Stdio, sync::Mutex};

use serde_json::{Value, json};

use crate::{
    run::{FEW, Rehearsal, said},
    script::{Act, serve_asked},
    workers::crew::until,
};

/// What the service does with what it told its clients.
#[derive(Clone, Copy, PartialEq)]
enum Word {
    Kept,
    /// One person is shown another claim than the one that they were told of.
    Forged,
    /// One person is shown nothing.
    Lost,
}

/// A service that grants each person one claim and shows it to them afterwards.
fn service(word: Word) -> SocketAddr {
    let claims: Mutex<BTreeMap<String, Value>> = Mutex::default();
    serve_asked(move |asked| {
        let mut claims = claims.lock().unwrap();
        let ticket = asked.ticket().to_owned();
        if asked.line.starts_with("POST") {
            let seq = claims.len() as u64 + 1;
            claims.insert(ticket.clone(), json!({ "claim_id": format!("clm_{ticket}"), "seq": seq }));
            return Act::claim(&ticket, seq);
        }
        if !asked.line.contains("/mine") {
            return Act::reply(200, r#"{"state":"open","stock_total":400,"limit_per_person":1}"#.into());
        }
        let mut mine = claims.get(&ticket).cloned().into_iter().collect::<Vec<_>>();
        match (word, &*ticket) {
            (Word::Forged, "t7") => mine = vec![json!({ "claim_id": "clm_of-somebody-else", "seq": 7 })],
            (Word::Lost, "t7") => mine.clear(),
            _ => {}
        }
        Act::reply(200, json!({ "claims": mine }).to_string())
    })
}

fn audited(word: Word, more: &[&str]) -> (Option<i32>, Value, String) {
    let rehearsal = Rehearsal::of_crowd(service(word), FEW);
    let output = rehearsal.run(&[&["--audit"], more].concat());
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &said(&output);
    (output.status.code(), rehearsal.results(), told)
}

#[test]
fn a_service_that_keeps_its_word_passes_the_audit() {
    let (code, results, told) = audited(Word::Kept, &[]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(results["audit"]["ok"], true);
    assert!(told.contains("10 claims that 10 persons were told of"), "{told}");
}

#[test]
fn a_claim_that_is_not_there_any_more_ends_with_four() {
    for word in [Word::Forged, Word::Lost] {
        let (code, results, told) = audited(word, &[]);
        assert_eq!(code, Some(4), "{told}");
        assert_eq!(
            (&results["verdict"]["valid"], &results["verdict"]["exit_code"]),
            (&json!(true), &json!(4))
        );
        let checks = results["audit"]["checks"].as_array().unwrap();
        let broken: Vec<_> =
            checks.iter().filter(|check| check["ok"] == false).map(|check| &check["id"]).collect();
        assert_eq!(broken, ["found_by_owner"], "{told}");
        assert!(told.contains("is not shown to its person 7"), "{told}");
        assert!(told.contains("The audit found a broken promise (exit code 4)"), "{told}");
    }
}

#[test]
fn an_audit_that_cannot_be_made_is_a_broken_check_and_the_results_stay() {
    // Sells, and says nothing of itself afterwards.
    let silent =
        serve_asked(
            |asked| {
                if asked.line.starts_with("POST") { Act::claim(asked.ticket(), 1) } else { Act::Close }
            },
        );
    let rehearsal = Rehearsal::of_crowd(silent, FEW);
    let mut child = rehearsal.command(&["--audit"]).stdout(Stdio::piped()).spawn().unwrap();
    until(|| rehearsal.path("out/report.html").exists());
    let meanwhile = rehearsal.results();
    let warnings = meanwhile["verdict"]["warnings"].to_string();
    assert!(meanwhile["audit"].is_null() && warnings.contains("had not ended"), "{meanwhile}");
    assert_eq!(meanwhile["total"]["granted"], FEW);
    assert_eq!(child.wait().unwrap().code(), Some(4));
    let results = rehearsal.results();
    assert_eq!((&results["audit"]["ok"], &results["total"]["granted"]), (&json!(false), &json!(FEW)));
    let check = &results["audit"]["checks"][0];
    assert_eq!((&check["id"], &check["ok"]), (&json!("audit_made"), &json!(false)));
    assert!(check["detail"].to_string().contains("the service does not say how d stands"), "{check}");
    let warnings = results["verdict"]["warnings"].to_string();
    assert!(!warnings.contains("had not ended"), "{warnings}");
}

/// A shop with two units, each of which is held: a person's first claim lapses, the second is cancelled, and the others
/// stay.
fn shop() -> SocketAddr {
    let claims: Mutex<BTreeMap<String, Vec<Value>>> = Mutex::default();
    serve_asked(move |asked| {
        let mut claims = claims.lock().unwrap();
        if asked.line.starts_with("POST") {
            let seq = claims.values().map(Vec::len).sum::<usize>() as u64 + 1;
            let mine = claims.entry(asked.ticket().to_owned()).or_default();
            let id = format!("{}-{}", asked.ticket(), mine.len());
            let status = ["lapsed", "cancelled"].get(mine.len()).copied().unwrap_or("held");
            mine.push(json!({ "claim_id": format!("clm_{id}"), "seq": seq, "status": status }));
            return Act::claim(&id, seq);
        }
        if !asked.line.contains("/mine") {
            let item = json!({ "hold_for_s": 1, "claim_again": true });
            let state = json!({ "state": "open", "stock_total": 2, "limit_per_person": 1, "item": item });
            return Act::reply(200, state.to_string());
        }
        let mine = claims.get(asked.ticket()).cloned().unwrap_or_default();
        Act::reply(200, json!({ "claims": mine }).to_string())
    })
}

/// Two people take turns at the shop, so many times in all.
fn audited_shop(times: u32) -> (Option<i32>, Value, String) {
    let rehearsal = Rehearsal::of_crowd(shop(), times);
    fs::write(rehearsal.path("tickets"), "t1\nt2\n").unwrap();
    let output = rehearsal.run(&["--audit", "--set", "tickets.repeat=true"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &said(&output);
    (output.status.code(), rehearsal.results(), told)
}

#[test]
fn units_that_went_back_to_stock_may_be_granted_again() {
    let (code, results, told) = audited_shop(6);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("6 claims that 2 persons were told of"), "{told}");
    let left_out = results["audit"]["left_out"].to_string();
    assert!(left_out.contains("granted_within_stock of d: units that are held and go back"), "{left_out}");
    assert!(left_out.contains("the limit per person of d: in what was granted over time"), "{left_out}");

    let (code, _, told) = audited_shop(8);
    assert_eq!(code, Some(4), "{told}");
    assert!(told.contains("person 1 holds 2 claims of d, 1 may be"), "{told}");
    assert!(!told.contains("new claims of d"), "{told}");
}

#[test]
fn a_broken_promise_is_graver_than_a_threshold() {
    let (code, results, told) = audited(Word::Lost, &["--set", "thresholds=[\"granted == 7\"]"]);
    assert_eq!((code, &results["verdict"]["thresholds_ok"]), (Some(4), &json!(false)), "{told}");
}
