//! What becomes of each ticket.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use claimrush_loadtest::claims_log::{self, Line, UnknownOutcome};

use crate::script::{Act, Done, Rush, Seen, serve, serve_asked};

/// Longer than anything that is waited for takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn count(done: &Done, status: u16, code: &str) -> u64 {
    let counts = done.results().total.counts;
    counts.iter().find(|count| count.status == status && count.code == code).map_or(0, |count| count.answers)
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
fn a_code_that_is_none_moves_no_cursor_and_is_cut_short() {
    let address = serve(|ticket| match ticket {
        "t1" => Act::reply(400, r#"{"code":"a\u001b[2J\nb"}"#.into()),
        _ => Act::reply(400, format!(r#"{{"code":"{}"}}"#, "x".repeat(60_000))),
    });
    let done = Rush::new(address, 2).with("--connections 1 --duration 10").run(0);
    assert_eq!((count(&done, 400, "a\u{fffd}[2J\u{fffd}b"), count(&done, 400, &"x".repeat(64))), (1, 1));
    assert!(!done.text().contains('\x1b') && done.text().len() < 10_000, "{}", done.text());
}

#[test]
fn an_answer_that_grants_a_claim_and_shows_none_is_warned_of() {
    let address = serve(|ticket| match ticket {
        "t1" => Act::reply(201, "granted".into()),
        _ => Act::claim(ticket, 1),
    });
    let done = Rush::new(address, 2).with("--connections 1 --duration 10").run(0);
    assert_eq!(done.results().total.mishaps.unreadable_claims, 1);
    assert!(done.text().contains("warning: 1 answers of status 200 or 201 show no claim"), "{}", done.text());
}

#[test]
fn a_lost_reply_is_unknown() {
    let address = serve(|ticket| match ticket {
        "t3" | "t5" => Act::Close,
        _ => Act::claim(ticket, 1),
    });
    let done = Rush::new(address, 8).with("--connections 2 --duration 10 --retry-unknown=false").run(0);
    let total = done.results().total;
    assert_eq!((total.granted, total.unknown, total.mishaps.lost_replies), (6, 2, 2));
    let lines = claims_log::read(&done.claims_log()).unwrap();
    let unknown = lines.iter().filter_map(|line| match line {
        Line::Unknown { drop, ticket_line, outcome: UnknownOutcome::Unknown } => {
            Some((drop.as_deref(), *ticket_line))
        }
        Line::Claim { .. } => None,
    });
    assert_eq!(unknown.collect::<BTreeSet<_>>(), [(Some("d"), 3), (Some("d"), 5)].into());
    assert_eq!(lines.len(), 8);
}

#[test]
fn a_lost_reply_is_asked_for_again() {
    let seen = Seen::default();
    let address = serve(move |ticket| match seen.times(ticket) {
        1 => Act::Close,
        _ => Act::reply(200, format!(r#"{{"claim_id":"clm_{ticket}","seq":1,"replayed":true}}"#)),
    });
    let done = Rush::new(address, 20).with("--connections 3 --duration 10").run(0);
    let total = done.results().total;
    assert_eq!((total.unknown, total.mishaps.lost_replies, total.mishaps.retries), (0, 20, 20));
    assert_eq!((total.answers, count(&done, 200, "")), (20, 20));
    assert_eq!(claims_log::read(&done.claims_log()).unwrap().len(), 20);
}

#[test]
fn an_answer_that_does_not_know_is_asked_for_again_and_else_stays_unknown() {
    let seen = Seen::default();
    let address = serve(move |ticket| match (ticket, seen.times(ticket)) {
        ("t1", _) | ("t2", 1) => Act::Reply {
            after: Duration::ZERO,
            status: 503,
            body: r#"{"code":"outcome_unknown"}"#.into(),
            retry_after: Some(0),
        },
        _ => Act::claim(ticket, 1),
    });
    let done = Rush::new(address, 3).with("--connections 1 --duration 10 --retry-for 1.5").run(0);
    let total = done.results().total;
    assert_eq!((total.granted, total.unknown), (2, 1));
    // Every attempt has its answer: one of t2, and all of t1 until its time was over.
    assert!(count(&done, 503, "outcome_unknown") > 2);
    assert_eq!(total.mishaps.retries, total.answers - 3);
    assert!(done.results().elapsed_s < 9.0, "the time for a lost reply was not kept");
}

#[test]
fn a_busy_answer_is_tried_again_only_when_asked() {
    let busy_once = || {
        let seen = Seen::default();
        serve(move |ticket| match seen.times(ticket) {
            1 => Act::Reply {
                after: Duration::ZERO,
                status: 503,
                body: r#"{"code":"overloaded"}"#.into(),
                retry_after: Some(0),
            },
            _ => Act::claim(ticket, 1),
        })
    };
    let stands = Rush::new(busy_once(), 5).with("--connections 1 --duration 10").run(0);
    assert_eq!((count(&stands, 503, "overloaded"), stands.results().total.granted), (5, 0));
    let again = Rush::new(busy_once(), 5).with("--connections 1 --duration 10 --retry-busy").run(0);
    assert_eq!((count(&again, 503, "overloaded"), again.results().total.granted), (5, 5));
}

#[test]
fn the_cap_and_skip_choose_the_tickets() {
    let address = serve(|ticket| Act::claim(ticket, 1));
    let seen = |tickets, arguments: &str| {
        let done = Rush::new(address, tickets).with(arguments).with("--duration 10").run_on_busy_machine();
        let lines = claims_log::read(&done.claims_log()).unwrap();
        let claim = |line: Line| match line {
            Line::Claim { claim_id, ticket_line, .. } => (claim_id, ticket_line),
            Line::Unknown { .. } => panic!("{line:?}"),
        };
        lines.into_iter().map(claim).collect::<Vec<_>>()
    };
    let lines = |lines: &[u64]| lines.iter().map(|line| (format!("clm_t{line}"), *line)).collect::<Vec<_>>();
    let closed = "--connections 1 --skip 10";
    assert_eq!(seen(100, &format!("{closed} --requests 5")), lines(&[11, 12, 13, 14, 15]));
    assert_eq!(seen(12, &format!("{closed} --requests 5 --repeat")), lines(&[11, 12, 11, 12, 11]));
    // An open model ends with the last ticket, too.
    let open = "--rate 500 --connections 1 --skip 1";
    assert_eq!(seen(100, &format!("{open} --requests 3")), lines(&[2, 3, 4]));
    assert_eq!(seen(4, open), lines(&[2, 3, 4]));
}

#[test]
fn no_thread_is_out_of_tickets_while_another_has_some() {
    let others = Arc::new((Mutex::new(0), Condvar::new()));
    let address = serve(move |ticket| {
        let (answered, changed) = &*others;
        if ticket == "t1" {
            // Its connection's thread has no other: all other tickets are left to the other thread.
            let all = changed.wait_timeout_while(answered.lock().unwrap(), PATIENCE, |seen| *seen < 99);
            return Act::claim(ticket, *all.unwrap().0);
        }
        *answered.lock().unwrap() += 1;
        changed.notify_all();
        Act::claim(ticket, 0)
    });
    let done = Rush::new(address, 100).with("--connections 2 --threads 2 --duration 60").run(0);
    let lines = claims_log::read(&done.claims_log()).unwrap();
    let first = lines.iter().find_map(|line| match line {
        Line::Claim { ticket_line: 1, seq, .. } => Some(*seq),
        _ => None,
    });
    assert_eq!((lines.len(), first), (100, Some(99)));
}

#[test]
fn method_and_path_are_what_was_asked_for() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&lines);
    let address = serve_asked(move |asked| {
        noted.lock().unwrap().push(asked.line.clone());
        Act::claim(asked.ticket(), 1)
    });
    Rush::new(address, 3).with("--connections 1 --duration 10 --skip 1").run(0);
    let other = "--connections 1 --duration 10 --skip 1 --method GET --path /EVALSHA/ab/person-{line}";
    Rush::new(address, 3).with(other).run(0);
    let [two, three] = ["GET /EVALSHA/ab/person-2 HTTP/1.1", "GET /EVALSHA/ab/person-3 HTTP/1.1"];
    let claim = "POST /v1/drops/d/claims HTTP/1.1";
    assert_eq!(*lines.lock().unwrap(), [claim, claim, two, three]);
}

#[test]
fn a_service_that_closes_idle_connections_loses_no_ticket() {
    let address = serve(|ticket| Act::Once(Box::new(Act::claim(ticket, 1))));
    let done = Rush::new(address, 50).with("--connections 10 --rate 100 --duration 10").run_on_busy_machine();
    let total = done.results().total;
    assert_eq!((total.granted, total.unknown, total.mishaps.unsent), (50, 0, 0));
    assert!(total.mishaps.reconnects >= 40, "{:?}", total.mishaps);
}
