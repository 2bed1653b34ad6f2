//! Stopping: unready first, requests at hand answered, the journal drained, Redis last; and what a second signal
//! does.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::campaign::{DropFile, campaign};
use crate::support::crowd::{Crowd, Told, Wish};
use crate::support::http::{Client, claim_request};
use crate::support::ledger::{assert_numbered_and_unique, rows};
use crate::support::redis::processes_in;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

fn service(settings: &[(&str, &str)]) -> Service {
    let service = Service::start_with(settings, &[]);
    service.apply_ok(&campaign("c", &[DropFile::open("stop-rush", 2_000)]));
    service
}

/// Checks that a stopped service has left nothing running and nothing undone.
fn assert_stopped_in_order(service: &Service) {
    assert!(!service.data().join("run.json").exists(), "nobody serves here any more");
    assert_eq!(processes_in(&service.redis_dir()), Vec::<u32>::new(), "its Redis has ended");
    assert!(service.log().contains("redis has stopped"), "{}", service.log());
}

#[test]
fn a_stop_under_load_loses_nothing() {
    let mut service = service(&[("server.shutdown_deadline_ms", "60000")]);
    let crowd = Crowd::new("stop-rush", service.mint(), service.address());
    let people: Vec<_> = (0..2_000).map(|n| Wish::of(format!("p-{n}"))).collect();
    let told = std::thread::scope(|scope| {
        let rush = scope.spawn(|| crowd.rush(&people, 16));
        wait_for("the rush is on", PATIENCE, || (crowd.answers() >= 300).then_some(()));
        service.stop();
        assert_stopped_in_order(&service);
        // What stands in the ledger now is all that anybody can have been told.
        assert_numbered_and_unique(&rows(&service.data(), "stop-rush"));
        let durable = rows(&service.data(), "stop-rush").len();
        assert!(durable >= crowd.answers(), "{durable} rows for {} answers", crowd.answers());
        service.restart();
        assert_eq!(service.journal_length(), 0, "the journal was drained before Redis was stopped");
        assert_eq!(service.redis_stock_left("stop-rush"), 2_000 - durable as u64);
        crowd.move_to(service.address());
        rush.join().expect("everybody was answered")
    });
    wait_for("all is drained", PATIENCE, || (service.journal_length() == 0).then_some(()));
    let rows = rows(&service.data(), "stop-rush");
    assert_numbered_and_unique(&rows);
    assert_eq!(rows.len(), told.len());
    for row in rows {
        assert_eq!(told[&Wish::of(row.person)], Told::Claimed(row.claim_id));
    }
}

#[test]
fn nobody_is_waited_for_who_only_connected() {
    let mut service = service(&[("server.shutdown_deadline_ms", "600000")]);
    let mut silent = Client::connect(service.address());
    let mut kept_alive = Client::connect(service.address());
    assert_eq!(kept_alive.call("GET", "/v1/drops/stop-rush", &[], b"").status, 200);
    service.wait_connections(2);
    // Half of the deadline would be five minutes, longer than the test has patience.
    service.stop();
    assert!(silent.is_closed_by_service() && kept_alive.is_closed_by_service());
    assert_stopped_in_order(&service);
}

#[test]
fn a_request_at_hand_is_answered_while_the_service_is_unready() {
    let mut service = service(&[
        ("server.shutdown_deadline_ms", "60000"),
        ("redis.response_timeout_ms", "60000"),
        ("claim.queue_wait_ms", "30000"),
    ]);
    let mint = service.mint();
    // The lanes are connected by claims that go through.
    for n in 0..8 {
        assert_eq!(service.claim("stop-rush", &mint.ticket("stop-rush", &format!("first-{n}"))).status, 201);
    }
    let mut idle = Client::connect(service.address());
    assert_eq!(idle.call("GET", "/v1/drops/stop-rush", &[], b"").status, 200);
    let mut attempt = 0;
    let (mut waiting, frozen) =
        wait_for("a claim is at hand before the silence is noticed", PATIENCE, || {
            attempt += 1;
            service.wait_ready();
            service.wait_connections(1);
            let refused_before = service.metric("claimrush_refusals_total");
            let frozen = service.freeze_redis();
            let mut client = Client::connect(service.address());
            client.send(&claim_request("stop-rush", &mint.ticket("stop-rush", &format!("last-{attempt}"))));
            service.wait_connections(2);
            service.wait_all_read();
            (service.metric("claimrush_refusals_total") == refused_before).then_some((client, frozen))
        });
    service.signal(Signal::TERM);
    service.wait_unready("stopping");
    assert!(idle.is_closed_by_service(), "an idle connection is closed, not waited for");
    wait_for("nobody new is let in", PATIENCE, || {
        Client::try_connect(service.address()).is_err().then_some(())
    });
    drop(frozen);
    assert_eq!(waiting.answer().status, 201, "its claim was at hand");
    assert!(waiting.is_closed_by_service());
    assert!(service.wait_end().success(), "{}", service.log());
    assert_stopped_in_order(&service);
    assert_eq!(rows(&service.data(), "stop-rush").len(), 9, "all of it is in the ledger");
}

#[test]
fn idle_connections_do_not_hold_up_a_stop() {
    let settings = [("server.shutdown_deadline_ms", "120000"), ("server.header_timeout_ms", "1000")];
    let mut service = service(&settings);
    let mut idle: Vec<_> = (0..20).map(|_| Client::connect(service.address())).collect();
    for client in &mut idle[..10] {
        assert_eq!(client.call("GET", "/v1/drops/stop-rush", &[], b"").status, 200);
    }
    let mut slow = Client::connect(service.address());
    slow.send(b"GET /v1/drops/stop-rush HTTP/1.1\r\nhos");
    let began = Instant::now();
    service.stop();
    assert!(began.elapsed() < Duration::from_secs(30), "far below the half deadline: {:?}", began.elapsed());
    assert!(idle.iter_mut().all(Client::is_closed_by_service));
    assert_stopped_in_order(&service);
}

#[test]
fn a_second_signal_ends_at_once_and_nothing_is_lost() {
    let mut service = service(&[
        ("server.shutdown_deadline_ms", "600000"),
        ("redis.response_timeout_ms", "60000"),
        ("claim.queue_wait_ms", "30000"),
    ]);
    let mint = service.mint();
    let mut ids = Vec::new();
    for n in 0..8 {
        ids.push(service.claim("stop-rush", &mint.ticket("stop-rush", &format!("p-{n}"))).text("claim_id"));
    }
    service.wait_connections(0);
    let frozen = service.freeze_redis();
    let mut client = Client::connect(service.address());
    client.send(&claim_request("stop-rush", &mint.ticket("stop-rush", "late")));
    service.wait_connections(1);
    service.signal(Signal::TERM);
    service.wait_unready("stopping");
    service.signal(Signal::TERM);
    let began = Instant::now();
    let status = service.wait_end();
    assert!(began.elapsed() < Duration::from_secs(15), "at once: {:?}", began.elapsed());
    assert_eq!(status.code(), Some(1), "{}", service.log());
    assert!(service.log().contains("stopped at once by a second signal"), "{}", service.log());
    drop(frozen);

    service.restart();
    for (n, id) in ids.iter().enumerate() {
        let again = service.claim("stop-rush", &mint.ticket("stop-rush", &format!("p-{n}")));
        assert_eq!((again.status, &again.text("claim_id")), (200, id));
    }
    let late = service.claim("stop-rush", &mint.ticket("stop-rush", "late"));
    assert!([200, 201].contains(&late.status), "{}", late.status);
    wait_for("all is in the ledger", PATIENCE, || {
        (rows(&service.data(), "stop-rush").len() == 9).then_some(())
    });
    assert_numbered_and_unique(&rows(&service.data(), "stop-rush"));
}

#[test]
fn a_closed_terminal_stops_in_order_however_often_it_hangs_up() {
    let settings = [
        ("server.shutdown_deadline_ms", "600000"),
        ("redis.response_timeout_ms", "60000"),
        ("claim.queue_wait_ms", "30000"),
    ];
    // The test itself may have been started by `nohup`.
    let mut service = Service::start_under(&["env", "--default-signal=HUP"], &settings);
    service.apply_ok(&campaign("c", &[DropFile::open("stop-rush", 5)]));
    assert_eq!(service.claim("stop-rush", &service.ticket("stop-rush", "ann")).status, 201);
    service.wait_connections(0);
    let frozen = service.freeze_redis();
    let mut client = Client::connect(service.address());
    client.send(&claim_request("stop-rush", &service.ticket("stop-rush", "bob")));
    service.wait_connections(1);
    service.signal(Signal::HUP);
    service.wait_unready("stopping");
    // The shell has passed it on; now the system says it itself.
    service.signal(Signal::HUP);
    assert_eq!(service.readiness().map(|answer| answer.status), Some(503), "it is still about to stop");
    drop(frozen);
    assert!(service.wait_end().success(), "{}", service.log());
    assert_stopped_in_order(&service);
    assert_eq!(rows(&service.data(), "stop-rush").len(), 2, "all of it is in the ledger");
}

#[test]
fn what_nohup_has_started_outlives_its_terminal() {
    let mut service = Service::start_under(&["nohup"], &[]);
    service.apply_ok(&campaign("c", &[DropFile::open("stop-rush", 5)]));
    service.signal(Signal::HUP);
    assert_eq!(service.claim("stop-rush", &service.ticket("stop-rush", "ann")).status, 201);
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.pid())).expect("it runs");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("linux has it");
    assert_eq!(u64::from_str_radix(ignored.trim(), 16).expect("a mask") & 1, 1, "SIGHUP is still ignored");
    service.stop();
    assert_stopped_in_order(&service);
}

#[test]
fn a_second_signal_does_not_wait_for_redis_either() {
    let mut service = Service::start_with(&[("server.shutdown_deadline_ms", "600000")], &["--no-drain"]);
    service.apply_ok(&campaign("c", &[DropFile::open("stop-rush", 5)]));
    let ann = service.ticket("stop-rush", "ann");
    assert_eq!(service.claim("stop-rush", &ann).status, 201);
    let frozen = service.freeze_redis();
    service.signal(Signal::TERM);
    wait_for("only Redis is left to stop", PATIENCE, || {
        Client::try_connect(service.admin_address()).is_err().then_some(())
    });
    service.signal(Signal::TERM);
    let status = service.wait_end();
    assert_eq!(status.code(), Some(1), "{}", service.log());
    drop(frozen);
    // Redis may have taken its order to stop or not: it is adopted, or another is started.
    service.restart();
    assert_eq!(service.claim("stop-rush", &ann).status, 200);
}

#[test]
fn a_stop_that_takes_too_long_ends_at_its_deadline() {
    let mut service =
        service(&[("server.shutdown_deadline_ms", "1000"), ("redis.response_timeout_ms", "60000")]);
    let ann = service.ticket("stop-rush", "ann");
    assert_eq!(service.claim("stop-rush", &ann).status, 201);
    service.wait_connections(0);
    let frozen = service.freeze_redis();
    let mut client = Client::connect(service.address());
    client.send(&claim_request("stop-rush", &service.ticket("stop-rush", "bob")));
    service.wait_connections(1);
    service.signal(Signal::TERM);
    let began = Instant::now();
    let status = service.wait_end();
    assert_eq!(status.code(), Some(1), "{}", service.log());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    drop(frozen);
    service.restart();
    assert_eq!(service.claim("stop-rush", &ann).status, 200);
    wait_for("the rest is drained after the restart", PATIENCE, || {
        rows(&service.data(), "stop-rush").iter().any(|row| row.person == "ann").then_some(())
    });
}
