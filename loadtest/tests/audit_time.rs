//! The audit of a load with more people than there is time to look up.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use claimrush_loadtest::{
    audit::{self, AuditPlan, LookupLimits},
    results::{AuditCheck, AuditResult},
};
use hyper::header::HeaderValue;

use crate::script::{Act, serve_asked};

/// So many people were told of a claim.
const PEOPLE: u64 = 200;

/// A service that has sold one claim to each, and shows it to them after this long; to nobody where there is no time.
fn shows(after: Option<Duration>) -> SocketAddr {
    serve_asked(move |asked| {
        if !asked.line.contains("/mine") {
            return Act::reply(200, r#"{"state":"open","stock_total":400,"limit_per_person":1}"#.into());
        }
        let Some(after) = after else { return Act::Close };
        let number = &asked.ticket()[1..];
        let body = format!(r#"{{"claims":[{{"claim_id":"clm_{number}","seq":{number}}}]}}"#);
        Act::Reply { after, status: 200, body, retry_after: None }
    })
}

/// Audits within two seconds.
fn audited(service: SocketAddr, per_second: u32) -> AuditResult {
    let log = tempfile::NamedTempFile::new().unwrap();
    let line =
        |n| format!(r#"{{"claim_id":"clm_{n}","drop":"d","seq":{n},"status":201,"ticket_line":{n}}}"#) + "\n";
    std::fs::write(log.path(), (1..=PEOPLE).map(line).collect::<String>()).unwrap();
    let tickets = |person: u64, _: &str| Ok(HeaderValue::from_str(&format!("Bearer t{person}"))?);
    let plan = AuditPlan {
        claims_log: log.path().to_owned(),
        tickets: Arc::new(tickets),
        url: format!("http://{service}"),
        mine_path: "/v1/drops/{drop}/claims/mine".into(),
        state_path: "/v1/drops/{drop}".into(),
        drops: vec!["d".into()],
        service: None,
        baseline: None,
        lookups: LookupLimits { per_second, connections: 2, ..LookupLimits::default() },
        deadline: Duration::from_secs(2),
        drain_wait: Duration::ZERO,
    };
    audit::run(&plan, &|_| {}).unwrap()
}

fn found_by_owner(audited: &AuditResult) -> &AuditCheck {
    audited.checks.iter().find(|check| check.id == "found_by_owner").unwrap()
}

/// How many of all were left out for want of time.
fn left_out(audited: &AuditResult) -> u64 {
    let line = audited.left_out.iter().find_map(|line| line.strip_prefix("found_by_owner: "));
    let (number, rest) = line.unwrap().split_once(' ').unwrap();
    assert_eq!(rest, format!("of {PEOPLE} persons, for whom there was no time"));
    number.parse().unwrap()
}

#[test]
fn more_people_than_there_is_time_for_are_a_sample() {
    let audited = audited(shows(Some(Duration::ZERO)), 20);
    assert!(audited.ok, "{audited:#?}");
    let compared = &found_by_owner(&audited).compared;
    let sampled =
        compared.contains("; a sample of ") && compared.contains(" of 200 persons (seed 1), as many as");
    assert!(sampled, "{compared}");
    assert!((PEOPLE - 36..PEOPLE).contains(&left_out(&audited)), "{audited:#?}");
}

#[test]
fn a_service_that_takes_its_time_has_broken_no_promise() {
    let audited = audited(shows(Some(Duration::from_millis(100))), 10_000);
    assert!(audited.ok, "{audited:#?}");
    let compared = &found_by_owner(&audited).compared;
    assert!(compared.ends_with(" were not looked up before the time was over"), "{compared}");
    assert!((PEOPLE - 60..PEOPLE).contains(&left_out(&audited)), "{audited:#?}");
}

#[test]
fn who_looks_nobody_up_has_checked_nothing() {
    let audited = audited(shows(None), 10_000);
    let check = found_by_owner(&audited);
    assert!(!audited.ok && !check.ok, "{audited:#?}");
    assert_eq!(check.detail, "nobody was looked up before the time for that was over");
}
