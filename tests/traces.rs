//! Under which ids a request is found again: those that the client brings, if they are well formed, and those that it is given; and
//! the line that is logged of a decision.

use serde_json::Value;

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Answer, Client, bearer, claims_path};
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UUID: &str = "018f4e8c-2a6b-7c3d-9e4f-5a6b7c8d9e0f";

fn service(settings: &[(&str, &str)]) -> Service {
    let service = Service::start_with(&[&[("log.format", "json")], settings].concat(), &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 50), DropFile::open("d-2", 5).not_open()]));
    service
}

fn claim(client: &mut Client, drop: &str, ticket: &str, headers: &[(&str, &str)]) -> Answer {
    let authorization = bearer(ticket);
    let headers = [&[("authorization", authorization.as_str())], headers].concat();
    client.call("POST", &claims_path(drop), &headers, b"")
}

/// The decisions that were logged.
fn decisions(service: &Service) -> Vec<Value> {
    let log = service.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == "decided").collect()
}

/// The span of the reply's that the client is told of, as trace, span and flags.
fn told_span(answer: &Answer) -> Option<[String; 3]> {
    let value = answer.header("server-timing")?.strip_prefix("traceparent;desc=\"00-")?.strip_suffix('"')?;
    let parts: Vec<_> = value.split('-').map(str::to_owned).collect();
    parts.try_into().ok()
}

#[test]
fn a_claim_is_found_again_under_the_ids_that_it_came_with() {
    let service = service(&[("log.decisions", "all")]);
    let mut client = Client::connect(service.address());
    let ticket = service.ticket("d-1", "ann");
    let granted = claim(&mut client, "d-1", &ticket, &[("traceparent", PARENT), ("x-request-id", UUID)]);
    assert_eq!((granted.status, granted.header("x-request-id")), (201, Some(UUID)));
    let [trace, span, flags] = told_span(&granted).expect("it is told");
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE_ID, "01"));
    let refused = claim(&mut client, "d-2", &service.ticket("d-2", "ann"), &[("traceparent", PARENT)]);
    assert_eq!(refused.status, 425);
    assert_eq!(refused.header("x-request-id"), Some(refused.text("request_id").as_str()));
    let lines =
        wait_for("both are logged", PATIENCE, || Some(decisions(&service)).filter(|lines| lines.len() == 2));
    let [first, second] = lines.as_slice() else { panic!("{lines:?}") };
    let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
    let fields = ["call", "outcome", "drop", "request_id", "trace_id", "span_id", "level"];
    assert_eq!(
        fields.map(|field| text(first, field)),
        ["claim", "granted", "d-1", UUID, TRACE_ID, &span, "INFO"]
    );
    assert!(first["micros"].as_u64().is_some_and(|micros| micros > 0), "{first}");
    assert_eq!(fields.map(|field| text(second, field))[..3], ["claim", "not_open", "d-2"]);
    assert_eq!(text(second, "request_id"), refused.text("request_id"));
}

#[test]
fn what_is_malformed_or_comes_twice_is_not_taken_over() {
    let service = service(&[("log.decisions", "all")]);
    let mut client = Client::connect(service.address());
    let upper = PARENT.to_uppercase();
    let bad: [&[(&str, &str)]; 6] = [
        &[("x-request-id", "13800138000")],
        &[("x-request-id", UUID), ("x-request-id", UUID)],
        &[("traceparent", upper.as_str())],
        &[("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01")],
        &[("traceparent", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")],
        &[("traceparent", PARENT), ("traceparent", PARENT)],
    ];
    for headers in bad {
        let answer = claim(&mut client, "d-1", "no.good.ticket", headers);
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("server-timing"), None, "{headers:?}");
        let id = answer.header("x-request-id").expect("a refusal has one");
        assert!(id.len() == 16 && headers.iter().all(|(_, value)| *value != id), "{headers:?}: {id}");
        assert_eq!(answer.text("request_id"), id);
    }
    // Later versions of the header begin like the first; a trace that is not recorded stays so.
    let later = PARENT.replacen("00", "cc", 1).replace("-01", "-02-and-more");
    let answer = claim(&mut client, "d-1", &service.ticket("d-1", "bob"), &[("traceparent", later.as_str())]);
    let [trace, _, flags] = told_span(&answer).expect("it is told");
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE_ID, "00"));
    // An unknown drop's name may be anything: it is not logged.
    assert_eq!(claim(&mut client, "13800138000", "no.good.ticket", &[]).status, 404);
    wait_for("all are logged", PATIENCE, || (decisions(&service).len() == 8).then_some(()));
    assert!(!service.log().contains("13800138000"), "{}", service.log());
}

#[test]
fn only_what_is_asked_for_is_logged() {
    let quiet = service(&[]);
    let mut client = Client::connect(quiet.address());
    let granted = claim(&mut client, "d-1", &quiet.ticket("d-1", "ann"), &[]);
    assert_eq!(
        (granted.status, granted.header("x-request-id"), granted.header("server-timing")),
        (201, None, None)
    );
    assert_eq!(claim(&mut client, "d-1", "no.good.ticket", &[]).status, 401);
    let sampled = service(&[("log.decisions", "refusals"), ("log.sample", "10")]);
    // One connection is one core's, and each core counts for itself.
    let mut client = Client::connect(sampled.address());
    assert_eq!(claim(&mut client, "d-1", &sampled.ticket("d-1", "ann"), &[]).status, 201);
    for _ in 0..30 {
        assert_eq!(claim(&mut client, "d-1", "no.good.ticket", &[]).status, 401);
    }
    let lines =
        wait_for("three of thirty", PATIENCE, || Some(decisions(&sampled)).filter(|lines| lines.len() == 3));
    assert!(lines.iter().all(|line| line["outcome"] == "ticket_invalid"), "{lines:?}");
    assert_eq!(decisions(&quiet), Vec::<Value>::new());
}
