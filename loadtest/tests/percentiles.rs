//! Reported percentiles equal those computed from the schedule.

use std::time::Duration;

use claimrush_loadtest::results::{Model, Percentiles, Results};

use crate::{
    noise::{Noise, assert_near},
    script::{Act, Rush, SinceFirst, serve},
};

/// How far times may be off, in milliseconds, beyond what the machine itself is late by.
const TOLERANCE_MS: f64 = 80.0;

/// Answers at once, but stands still for the whole second second.
fn stalling(pause: Duration) -> impl Fn(&str) -> Act {
    let clock = SinceFirst::default();
    move |_| {
        let at = clock.elapsed();
        let stall_left = Duration::from_secs(2).saturating_sub(at);
        let after = if at >= Duration::from_secs(1) { stall_left.max(pause) } else { pause };
        Act::Reply { after, status: 201, body: String::new(), retry_after: None }
    }
}

/// The response times of all answers, and their service times.
fn times(results: &Results) -> (Percentiles, Percentiles) {
    let times = results.total.times.as_ref().unwrap();
    (times.response, times.service)
}

#[test]
fn an_open_model_counts_the_whole_stall() {
    let address = serve(stalling(Duration::ZERO));
    let noise = Noise::watch();
    // It ends with the last ticket, after three seconds.
    let results = Rush::new(address, 600)
        .with("--rate 200 --connections 300 --duration 30")
        .run_on_busy_machine()
        .results();
    let noise = noise.ms();
    let assert_near =
        |what: &str, measured, expected| assert_near(what, measured, expected, TOLERANCE_MS, noise);
    assert_eq!(results.model, Model::Open);
    assert_eq!((results.total.answers, results.schedule.unwrap().scheduled), (600, 600));
    // 200 of 600 arrivals fall into the stall, 5 ms apart: the k-th smallest of their waits is 5k ms.
    let (response, _) = times(&results);
    assert_near("p50", response.p50_ms, 0.0);
    assert_near("p90", response.p90_ms, (540.0 - 400.0) * 5.0);
    assert_near("p99", response.p99_ms, (594.0 - 400.0) * 5.0);
    assert_near("max", response.max_ms, 1_000.0);
}

#[test]
fn too_few_connections_do_not_hide_the_stall() {
    let address = serve(stalling(Duration::ZERO));
    let noise = Noise::watch();
    let done = Rush::new(address, 600).with("--rate 200 --connections 2 --duration 30").run_on_busy_machine();
    let noise = noise.ms();
    let results = done.results();
    let (response, service) = times(&results);
    // Two wait in the service, the others before it: the response time counts both, the service time does not.
    assert_near("p90 response", response.p90_ms, 700.0, TOLERANCE_MS, noise);
    assert_near("p90 service", service.p90_ms, 0.0, TOLERANCE_MS, noise);
    assert!(results.schedule.unwrap().late_connections >= 150);
    assert!(done.text().contains("left late because all connections waited"));
}

#[test]
fn a_closed_model_omits_the_stall_and_says_what_it_is() {
    let address = serve(stalling(Duration::from_millis(5)));
    let noise = Noise::watch();
    let done = Rush::new(address, 100).with("--connections 4 --duration 3 --repeat").run(0);
    let noise = noise.ms();
    let results = done.results();
    let (response, _) = times(&results);
    assert_eq!(results.model, Model::Closed);
    assert!(results.schedule.is_none());
    // Four answers of hundreds met the stall.
    assert_near("p99", response.p99_ms, 10.0, TOLERANCE_MS, noise);
    assert_near("max", response.max_ms, 1_000.0, TOLERANCE_MS, noise);
    assert!(done.text().contains("closed model"));
}

#[test]
fn a_rate_that_was_not_delivered_is_invalid() {
    let slow = |_: &str| Act::Reply {
        after: Duration::from_millis(100),
        status: 201,
        body: String::new(),
        retry_after: None,
    };
    let done = Rush::new(serve(slow), 1_000).with("--rate 500 --connections 1 --duration 1").run(3);
    let results = done.results();
    assert!(!results.verdict.valid);
    let schedule = results.schedule.unwrap();
    assert!(schedule.dropped > 400, "{schedule:?}");
    assert!(done.text().contains("INVALID RUN"));
}
