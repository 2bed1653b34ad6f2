//! What alarms and dashboards go by moves with what it tells of.

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::Client;
use crate::support::redis::kill_9;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

/// Waits until a metric shows what it should.
fn wait_shown(service: &Service, name: &str, good: impl Fn(f64) -> bool) {
    wait_for(name, PATIENCE, || service.gauge(name).filter(|value| good(*value)));
}

/// Waits until a metric of whole numbers shows this one.
fn wait_counted(service: &Service, name: &str, count: u64) {
    wait_for(name, PATIENCE, || (service.metric(name)? == count).then_some(()));
}

#[test]
fn claims_are_counted_by_what_became_of_them() {
    let service = Service::start();
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let ticket = service.ticket("d-1", "ann");
    assert_eq!([(); 3].map(|()| service.claim("d-1", &ticket).status), [201, 200, 200]);
    assert_eq!(service.claim("d-1", "no.ticket.this").status, 401);
    let nothing = Client::connect(service.address()).call("GET", "/v1/drops/nowhere", &[], b"");
    assert_eq!(nothing.status, 404);
    for (name, count) in [
        ("claimrush_claims_decided_total", 1),
        ("claimrush_claim_replays_total", 2),
        ("claimrush_claim_refusals_total", 1),
        ("claimrush_refusals_total", 2),
    ] {
        assert_eq!(service.metric(name), Some(count), "{name}");
    }
}

#[test]
fn what_a_service_has_room_for_is_told() {
    let settings =
        [("server.max_connections", "77"), ("limits.keys_max", "5000"), ("limits.person_per_second", "1")];
    let service = Service::start_with(&settings, &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    wait_counted(&service, "claimrush_connections_max", 77);
    wait_counted(&service, "claimrush_limiter_keys_max", 5_000);
    wait_shown(&service, "claimrush_data_free_bytes", |bytes| bytes > 0.0);
    let free = service.gauge("claimrush_data_free_bytes").expect("it was there");
    wait_shown(&service, "claimrush_data_size_bytes", |bytes| bytes >= free);
    let ticket = service.ticket("d-1", "ann");
    assert_eq!([(); 3].map(|()| service.claim("d-1", &ticket).status), [201, 200, 200]);
    wait_shown(&service, "claimrush_limiter_keys", |keys| keys > 0.0);
    // Who may ask as often as at first, after three seconds, is forgotten.
    wait_counted(&service, "claimrush_limiter_keys", 0);
}

#[test]
fn a_redis_that_is_started_again_is_counted() {
    let service = Service::start();
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    assert_eq!(service.claim("d-1", &service.ticket("d-1", "ann")).status, 201);
    wait_counted(&service, "claimrush_redis_append_ok", 1);
    assert_eq!(service.metric("claimrush_redis_restarts_total"), Some(0));
    assert_eq!(service.metric("claimrush_redis_reconnects_total"), Some(0));
    kill_9(service.redis_pid());
    let (again, ticket) = ("a claim after that", service.ticket("d-1", "bob"));
    wait_for(again, PATIENCE, || (service.claim("d-1", &ticket).status < 300).then_some(()));
    wait_counted(&service, "claimrush_redis_restarts_total", 1);
    assert!(service.metric("claimrush_redis_reconnects_total") > Some(0));
}

#[test]
fn a_batch_that_is_asked_for_again_is_counted() {
    let service = Service::start_with(&[("server.threads", "1"), ("redis.response_timeout_ms", "1500")], &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 50)]));
    // The lane is connected by the first claim.
    assert_eq!(service.claim("d-1", &service.ticket("d-1", "first")).status, 201);
    assert_eq!(service.metric("claimrush_batch_retries_total"), Some(0));
    let failures = || service.log().matches("a batch failed").count();
    let mut attempt = 0;
    wait_for("a claim gets past the gate before the silence is noticed, and an answer", PATIENCE, || {
        attempt += 1;
        service.wait_ready();
        let ticket = service.ticket("d-1", &format!("p-{attempt}"));
        let (before, frozen) = (failures(), service.freeze_redis());
        let answer = std::thread::scope(|scope| {
            let claim = scope.spawn(|| service.claim("d-1", &ticket));
            wait_for("its reply is lost, or it is refused", PATIENCE, || {
                (claim.is_finished() || failures() > before).then_some(())
            });
            drop(frozen);
            claim.join().expect("an answer")
        });
        (answer.status < 300).then_some(())
    });
    assert!(service.metric("claimrush_batch_retries_total") > Some(0));
}
