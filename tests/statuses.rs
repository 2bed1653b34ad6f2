//! Every status and code of the contract, from the built service over its sockets.

mod faults;
mod granted;
mod order;
mod refusals;

use crate::support::http::Answer;

/// Checks that an answer is this problem, whole and in the form of RFC 9457.
fn assert_problem(what: &str, answer: &Answer, status: u16, code: &str) {
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, status, "{what}: {body}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{what}: {body}");
    assert_eq!(problem["type"], format!("urn:claimrush:problem:{code}"), "{what}");
    assert_eq!(problem["status"], status, "{what}");
    assert!(!answer.text("title").is_empty(), "{what}: {body}");
    let request_id = answer.text("request_id");
    assert!(request_id.len() == 16 && request_id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{what}");
}

/// The seconds after which a problem says to come back.
fn retry_after_s(answer: &Answer) -> Option<u64> {
    answer.header("retry-after").map(|seconds| seconds.parse().expect("whole seconds"))
}
