//! What becomes of each ticket.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use claimrush_loadtest::claims_log::{self, Line, UnknownOutcome};

use crate::script::{Act, Done, Rush, serve};

fn count(done: &Done, status: u16, code: &str) -> u64 {
    let counts = done.report().counts;
    counts.iter().find(|count| count.status == status && count.code == code).map_or(0, |count| count.answers)
}

/// How often each ticket was seen, this time included.
#[derive(Default)]
struct Seen(Mutex<HashMap<String, u64>>);

impl Seen {
    fn times(&self, ticket: &str) -> u64 {
        let mut seen = self.0.lock().unwrap();
        let times = seen.entry(ticket.to_owned()).or_default();
        *times += 1;
        *times
    }
}

#[test]
fn every_claim_that_was_seen_is_logged() {
    let seq = AtomicU64::new(0);
    let address = serve(move |ticket| match seq.fetch_add(1, Ordering::Relaxed) + 1 {
        101.. => Act::reply(410, r#"{"code":"sold_out"}"#.into()),
        seq => Act::claim(ticket, seq),
    });
    let done = Rush::new(address, 150).with("--connections 7 --duration 10").run(0);
    assert_eq!((count(&done, 201, ""), count(&done, 410, "sold_out")), (100, 50));
    let lines = claims_log::read(&done.claims_log()).unwrap();
    let mut seqs = BTreeSet::new();
    for line in &lines {
        let Line::Claim { claim_id, drop, seq, status, ticket_line } = line else { panic!("{line:?}") };
        assert_eq!(
            (claim_id.as_str(), drop.as_str(), *status),
            (format!("clm_t{ticket_line}").as_str(), "d", 201)
        );
        seqs.insert(*seq);
    }
    assert_eq!(seqs, (1..=100).collect());
}

#[test]
fn a_lost_reply_is_unknown() {
    let address = serve(|ticket| match ticket {
        "t3" | "t5" => Act::Close,
        _ => Act::claim(ticket, 1),
    });
    let done = Rush::new(address, 8).with("--connections 2 --duration 10 --retry-unknown=false").run(0);
    let report = done.report();
    assert_eq!((report.granted, report.unknown, report.mishaps.lost_replies), (6, 2, 2));
    let lines = claims_log::read(&done.claims_log()).unwrap();
    let unknown = |ticket_line| Line::Unknown { drop: None, ticket_line, outcome: UnknownOutcome::Unknown };
    assert_eq!(lines[6..], [unknown(3), unknown(5)]);
}

#[test]
fn a_lost_reply_is_asked_for_again() {
    let seen = Seen::default();
    let address = serve(move |ticket| match seen.times(ticket) {
        1 => Act::Close,
        _ => Act::reply(200, format!(r#"{{"claim_id":"clm_{ticket}","seq":1,"replayed":true}}"#)),
    });
    let done = Rush::new(address, 20).with("--connections 3 --duration 10").run(0);
    let report = done.report();
    assert_eq!((report.unknown, report.mishaps.lost_replies, report.mishaps.retries), (0, 20, 20));
    assert_eq!((report.answers, count(&done, 200, "")), (20, 20));
    assert_eq!(claims_log::read(&done.claims_log()).unwrap().len(), 20);
}

#[test]
fn an_answer_that_does_not_know_is_asked_for_again_and_else_stays_unknown() {
    let seen = Seen::default();
    let address = serve(move |ticket| match (ticket, seen.times(ticket)) {
        ("t1", _) | ("t2", 1) => Act::Reply {
            after: std::time::Duration::ZERO,
            status: 503,
            body: r#"{"code":"outcome_unknown"}"#.into(),
            retry_after: Some(0),
        },
        _ => Act::claim(ticket, 1),
    });
    let done = Rush::new(address, 3).with("--connections 1 --duration 10 --retry-for 0.3").run(0);
    assert_eq!((done.report().granted, done.report().unknown), (2, 1));
    assert_eq!(count(&done, 503, "outcome_unknown"), 1);
}

#[test]
fn a_busy_answer_is_tried_again_only_when_asked() {
    let busy_once = || {
        let seen = Seen::default();
        serve(move |ticket| match seen.times(ticket) {
            1 => Act::Reply {
                after: std::time::Duration::ZERO,
                status: 503,
                body: r#"{"code":"overloaded"}"#.into(),
                retry_after: Some(0),
            },
            _ => Act::claim(ticket, 1),
        })
    };
    let stands = Rush::new(busy_once(), 5).with("--connections 1 --duration 10").run(0);
    assert_eq!((count(&stands, 503, "overloaded"), stands.report().granted), (5, 0));
    let again = Rush::new(busy_once(), 5).with("--connections 1 --duration 10 --retry-busy").run(0);
    assert_eq!((again.report().answers, again.report().granted), (5, 5));
}

#[test]
fn the_cap_and_skip_choose_the_tickets() {
    let address = serve(|ticket| Act::claim(ticket, 1));
    let done = Rush::new(address, 100).with("--connections 1 --duration 10 --skip 10 --requests 5").run(0);
    let ids: Vec<_> = claims_log::read(&done.claims_log())
        .unwrap()
        .into_iter()
        .map(|line| match line {
            Line::Claim { claim_id, .. } => claim_id,
            Line::Unknown { .. } => panic!("{line:?}"),
        })
        .collect();
    assert_eq!(ids, ["clm_t11", "clm_t12", "clm_t13", "clm_t14", "clm_t15"]);
}

#[test]
fn a_service_that_closes_idle_connections_loses_no_ticket() {
    let address = serve(|ticket| Act::Once(Box::new(Act::claim(ticket, 1))));
    let done = Rush::new(address, 50).with("--connections 10 --rate 100 --duration 10").run_on_busy_machine();
    let report = done.report();
    assert_eq!((report.granted, report.unknown, report.mishaps.unsent), (50, 0, 0));
    assert!(report.mishaps.reconnects >= 40, "{:?}", report.mishaps);
}
