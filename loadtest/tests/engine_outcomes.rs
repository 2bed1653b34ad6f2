//! What becomes of each claim, and of the log of claims.

use std::{
    collections::BTreeSet,
    sync::Mutex,
    time::{Duration, Instant},
};

use claimrush_loadtest::{
    claims_log::{self, ClaimsLog, Line, UnknownOutcome},
    engine,
};

use crate::{
    engine_run::{Claims, answers, job, minted, numbered, run, run_with_log, scenario},
    script::{Act, Seen, serve_asked},
};

/// Arrivals fast enough for a test, and connections for them.
const QUICK: &str = "drop = [{ id = \"d\" }]\nconnections = { count = 4, grace = \"1s\" }\n\
                     arrivals = { profile = \"closed\", duration = \"10s\" }\n";

fn refusal(status: u16, code: &str, retry_after: Option<u64>) -> Act {
    Act::Reply { after: Duration::ZERO, status, body: format!(r#"{{"code":"{code}"}}"#), retry_after }
}

fn unknown(ticket_line: u64) -> Line {
    Line::Unknown { drop: Some("d".into()), ticket_line, outcome: UnknownOutcome::Unknown }
}

#[test]
fn every_claim_that_was_seen_is_logged_with_its_person() {
    let claims = Claims::default();
    let address = serve_asked(move |asked| match asked.ticket() {
        "t3" => refusal(410, "sold_out", None),
        "t4" => Act::reply(200, "{}".into()),
        _ => claims.next(),
    });
    let (tally, log) = run_with_log(job(scenario(address, QUICK), numbered(50)));
    let persona = &tally.personas[0];
    assert_eq!((persona.arrivals, persona.granted, persona.replayed), (50, 48, 1));
    assert_eq!((answers(persona, 410, "sold_out"), persona.mishaps.unreadable_claims), (1, 1));
    assert_eq!(persona.refused_response.histogram().len(), 1);
    let (mut seqs, mut persons) = (BTreeSet::new(), BTreeSet::new());
    for line in log {
        let Line::Claim { drop, seq, status, ticket_line, .. } = line else { panic!("{line:?}") };
        assert_eq!((drop.as_str(), status), ("d", 201));
        seqs.insert(seq);
        persons.insert(ticket_line);
    }
    assert_eq!(seqs, (1..=48).collect());
    assert_eq!(persons, (1..=50).filter(|n| ![3, 4].contains(n)).collect());
}

#[test]
fn what_is_in_doubt_is_asked_for_again_until_an_answer_decides() {
    let (seen, claims) = (Seen::default(), Claims::default());
    let address = serve_asked(move |asked| match (asked.ticket(), seen.times(asked.ticket())) {
        ("t2", 1) => refusal(503, "outcome_unknown", Some(0)),
        // Neither says what became of the claim before.
        ("t3", 2) => refusal(503, "overloaded", None),
        ("t4", 2) => refusal(429, "rate_limited", Some(0)),
        ("t1" | "t3" | "t4", 1) | ("t5", _) => Act::Close,
        _ => claims.next(),
    });
    let mut scenario = scenario(address, QUICK);
    scenario.personas[0].behaviour = toml::from_str("kind = \"honest\"\nretries = 0").unwrap();
    // What stays in doubt is given up then, and nobody else comes.
    scenario.connections.retry_unknown_for = Some(Duration::from_secs(2));
    let (tally, log) = run_with_log(job(scenario, numbered(6)));
    let persona = &tally.personas[0];
    assert_eq!((persona.arrivals, persona.granted, persona.unknown), (6, 5, 1));
    assert_eq!(log.iter().filter(|line| **line == unknown(5)).count(), 1);
    assert_eq!(log.len(), 6);
    assert_eq!(answers(persona, 503, "outcome_unknown"), 1);
    assert_eq!(answers(persona, 503, "overloaded"), 1);
    assert!(persona.mishaps.lost_replies >= 4 && persona.mishaps.retries >= 6, "{:?}", persona.mishaps);
    assert_eq!(persona.requests, 5 + 3 + persona.mishaps.lost_replies);
}

#[test]
fn a_busy_answer_is_obeyed_as_often_as_the_persona_wants() {
    for (retries, granted) in [(0, 0), (1, 0), (2, 5)] {
        let (seen, claims) = (Seen::default(), Claims::default());
        let address = serve_asked(move |asked| match seen.times(asked.ticket()) {
            1 => refusal(503, "overloaded", Some(0)),
            2 => refusal(429, "rate_limited", Some(0)),
            _ => claims.next(),
        });
        let persona = format!("{QUICK}persona = [{{ kind = \"honest\", retries = {retries} }}]");
        let tally = run(job(scenario(address, &persona), numbered(5)));
        let persona = &tally.personas[0];
        assert_eq!((persona.granted, persona.mishaps.retries), (granted, 5 * retries));
        assert_eq!(answers(persona, 503, "overloaded"), 5);
    }
}

#[test]
fn a_claim_may_carry_an_idempotency_key_of_its_person_and_drop() {
    let keys = std::sync::Arc::new(Mutex::new(Vec::new()));
    let (noted, claims) = (std::sync::Arc::clone(&keys), Claims::default());
    let address = serve_asked(move |asked| {
        noted.lock().unwrap().push(asked.header("idempotency-key").to_owned());
        claims.next()
    });
    let mut scenario = scenario(address, QUICK);
    scenario.service.idempotency_key = true;
    run(job(scenario, numbered(3)));
    let mut keys = keys.lock().unwrap().clone();
    keys.sort();
    assert_eq!(keys, ["d-1", "d-2", "d-3"]);
}

#[test]
fn a_run_that_is_stopped_ends_early_and_shows_itself_meanwhile() {
    let claims = Claims::default();
    let address = serve_asked(move |_| claims.next());
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "drop = [{ id = \"d\" }]\nconnections = { count = 4, grace = \"1s\" }\n\
                arrivals = { profile = \"constant\", rate = 200, duration = \"60s\" }";
    let prepared = engine::prepare(
        job(scenario(address, text), minted()),
        Some(ClaimsLog::create(file.path()).unwrap()),
    )
    .unwrap();
    assert_eq!(prepared.open_connections(), 4);
    assert_eq!(prepared.planned(), Duration::from_secs(60));
    let start = Instant::now();
    let running = prepared.start(start);
    // The log reaches the disk while the run lasts.
    while claims_log::read(file.path()).unwrap().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(30), "no claim was logged");
        std::thread::yield_now();
    }
    let meter = running.meter();
    assert!(meter.scheduled >= meter.sent && meter.sent >= meter.answers, "{meter:?}");
    assert!(meter.answers >= meter.granted && meter.granted > 0 && meter.lost == 0, "{meter:?}");
    let recent = meter.recent.histogram().len();
    assert!(recent > 0 && recent <= meter.answers, "{recent} recent of {}", meter.answers);
    assert!(!running.is_finished());
    running.stop();
    let tally = running.join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(40));
    assert_eq!(tally.personas[0].granted, claims_log::read(file.path()).unwrap().len() as u64);
}

#[test]
fn nobody_outstays_a_run_that_is_stopped() {
    let claims = Claims::default();
    let address = serve_asked(move |_| claims.next());
    for text in [
        // One who thinks for an hour, one who holds a connection for an hour, one who asks again in an hour.
        "arrivals = { profile = \"closed\", duration = \"2h\" }\npersona = [{ kind = \"honest\", think = \"1h\" }]",
        "arrivals = { profile = \"constant\", rate = 20, duration = \"2h\" }\n\
         persona = [{ kind = \"slowloris\", every = \"1h\", hold = \"1h\" }]",
        "arrivals = { profile = \"constant\", rate = 20, duration = \"2h\" }\n\
         persona = [{ kind = \"refresher\", every = \"1h\" }]",
    ] {
        let text =
            format!("drop = [{{ id = \"d\" }}]\nconnections = {{ count = 1, grace = \"100ms\" }}\n{text}");
        let start = Instant::now();
        let running = engine::prepare(job(scenario(address, &text), minted()), None).unwrap().start(start);
        while running.meter().sent == 0 {
            assert!(start.elapsed() < Duration::from_secs(30), "nobody came");
            std::thread::yield_now();
        }
        running.stop();
        let tally = running.join().unwrap();
        assert!(start.elapsed() < Duration::from_secs(40) && tally.personas[0].requests > 0);
    }
}
