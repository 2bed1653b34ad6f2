//! The gate: who is refused from memory, that holders never are, and how soon it opens again.

use std::time::{Duration, Instant};

use crate::support::campaign::{DropFile, campaign};
use crate::support::clock::FakeClock;
use crate::support::http::Client;
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

/// The design's bound on how long a restock may take to be known, and what a busy machine may add to it.
const REOPENED_WITHIN: Duration = Duration::from_millis(500 + 2_500);

/// How many script calls the service's Redis has answered.
fn script_calls(service: &Service) -> u64 {
    let stats: String = service.ask_redis(redis::cmd("INFO").arg("commandstats"));
    let calls = stats.lines().filter_map(|line| {
        let (name, figures) = line.split_once(':')?;
        let script = ["cmdstat_eval", "cmdstat_evalsha", "cmdstat_fcall"].contains(&name);
        figures.split(',').find_map(|figure| figure.strip_prefix("calls=")).filter(|_| script)
    });
    calls.map(|calls| calls.parse::<u64>().expect("a number")).sum()
}

/// Waits until strangers are refused from memory.
fn wait_latched(service: &Service, drops: u64) {
    wait_for("the gate knows all holders", PATIENCE, || {
        (service.metric("claimrush_drop_sold_out_latched")? == drops).then_some(())
    });
}

/// Asks with this many strangers and checks that each gets this answer, without a single script call.
fn assert_refused_from_memory(service: &Service, drop: &str, strangers: &str, status: u16, code: &str) {
    let mint = service.mint();
    let before = script_calls(service);
    let mut client = Client::connect(service.address());
    for n in 0..200 {
        let answer = client.claim(drop, &mint.ticket(drop, &format!("{strangers}-{n}")));
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
    }
    assert_eq!(script_calls(service), before, "{drop}: answered from memory");
}

#[test]
fn sold_out_is_answered_from_memory_and_never_to_a_holder() {
    let mut service = Service::start();
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 3)]));
    let mint = service.mint();
    let holders: Vec<_> = (0..3).map(|n| mint.ticket("d-1", &format!("holder-{n}"))).collect();
    let ids: Vec<_> = holders.iter().map(|ticket| service.claim("d-1", ticket).text("claim_id")).collect();
    assert!(ids.iter().all(|id| id.starts_with("clm_")), "{ids:?}");

    for round in 0..2 {
        wait_latched(&service, 1);
        assert_refused_from_memory(&service, "d-1", &format!("late-{round}"), 410, "sold_out");
        for (ticket, id) in holders.iter().zip(&ids) {
            let again = service.claim("d-1", ticket);
            assert_eq!((again.status, &again.text("claim_id")), (200, id), "round {round}");
        }
        assert_eq!(service.mine("d-1", &holders[0]).status, 200);
        if round == 0 {
            // A new process knows nobody: it must learn of the holders before it refuses anybody.
            service.stop();
            service.restart();
            for (ticket, id) in holders.iter().zip(&ids) {
                assert_eq!(&service.claim("d-1", ticket).text("claim_id"), id, "at once after the start");
            }
        }
    }
}

#[test]
fn a_holder_keeps_the_claim_when_the_drop_is_closed_or_paused() {
    let mut service = Service::start();
    let (closing, halting) = (DropFile::open("closing", 5), DropFile::open("halting", 5));
    service.apply_ok(&campaign("c", std::slice::from_ref(&closing)));
    service.apply_ok(&campaign("h", &[halting]));
    let ids = ["closing", "halting"].map(|drop| {
        let answer = service.claim(drop, &service.ticket(drop, "ann"));
        assert_eq!(answer.status, 201);
        answer.text("claim_id")
    });
    service.apply_ok(&campaign("c", &[closing.closed()]));
    assert_eq!(service.campaign(&["pause", "h"]).0, 0);
    for round in 0..2 {
        service.wait_state("closing", "closed");
        service.wait_state("halting", "paused");
        wait_latched(&service, 2);
        for (drop, id) in ["closing", "halting"].into_iter().zip(&ids) {
            let again = service.claim(drop, &service.ticket(drop, "ann"));
            assert_eq!((again.status, &again.text("claim_id")), (200, id), "{drop}, round {round}");
        }
        assert_refused_from_memory(&service, "closing", &format!("late-{round}"), 410, "closed");
        assert_refused_from_memory(&service, "halting", &format!("late-{round}"), 503, "paused");
        if round == 0 {
            service.stop();
            service.restart();
        }
    }
}

#[test]
fn a_restock_opens_the_gate_again_within_half_a_second() {
    let service = Service::start();
    let drop = DropFile::open("d-1", 1);
    service.apply_ok(&campaign("c", std::slice::from_ref(&drop)));
    assert_eq!(service.claim("d-1", &service.ticket("d-1", "first")).status, 201);
    for stock in 2..5 {
        wait_latched(&service, 1);
        let late = service.ticket("d-1", &format!("late-{stock}"));
        assert_eq!(service.claim("d-1", &late).status, 410);
        // From here on nothing writes but what the test asks for: the time is the gate's, and not the disk's.
        wait_for("all is in the ledger", PATIENCE, || (service.journal_length() == 0).then_some(()));
        service.apply_ok(&campaign("c", &[drop.clone().stock(stock)]));
        let restocked = Instant::now();
        service.wait_state("d-1", "open");
        assert!(restocked.elapsed() < REOPENED_WITHIN, "{:?}", restocked.elapsed());
        let granted = wait_for("the gate opens", PATIENCE, || {
            let answer = service.claim("d-1", &late);
            (answer.status != 410 && answer.status != 429).then_some(answer)
        });
        assert_eq!((granted.status, granted.json()["seq"].as_u64()), (201, Some(u64::from(stock))));
    }
}

#[test]
fn a_pause_holds_at_once_and_resuming_goes_on() {
    let service = Service::start();
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 50)]));
    let mint = service.mint();
    let claim = |person: &str| service.claim("d-1", &mint.ticket("d-1", person));
    assert_eq!(claim("p-0").status, 201);
    for round in 1..4 {
        assert_eq!(service.campaign(&["pause", "c"]), (0, "c is paused\n".to_owned(), String::new()));
        let answer = claim(&format!("paused-{round}"));
        assert_eq!((answer.status, answer.code().as_str()), (503, "paused"), "the very next claim");
        assert_eq!(service.drop_state("d-1").text("state"), "paused");
        assert_eq!(service.campaign(&["resume", "c"]), (0, "c is running\n".to_owned(), String::new()));
        let answer = claim(&format!("p-{round}"));
        assert_eq!(
            (answer.status, answer.json()["seq"].as_u64()),
            (201, Some(round + 1)),
            "the very next claim"
        );
    }
}

/// What was heard before looks newer than all that is heard after it, until the clock is there again.
#[test]
fn a_clock_of_redis_that_is_set_back_holds_up_no_news() {
    let mut clock = FakeClock::new();
    let service = Service::start_in(clock.environment(), &[], &[]);
    service.apply_ok(&campaign("c", &[DropFile::open("d-1", 5)]));
    let now_ms = || {
        let (seconds, micros): (i64, i64) = service.ask_redis(&redis::cmd("TIME"));
        seconds * 1_000 + micros / 1_000
    };
    for ahead_s in [-4, -8, -12] {
        let before_ms = now_ms();
        clock.set(ahead_s);
        wait_for("Redis shows it", PATIENCE, || (now_ms() < before_ms).then_some(()));
        assert_eq!(service.campaign(&["pause", "c"]).0, 0);
        assert_eq!(service.drop_state("d-1").text("state"), "paused", "the very next look");
        assert_eq!(service.campaign(&["resume", "c"]).0, 0);
        assert_eq!(service.drop_state("d-1").text("state"), "open", "the very next look");
    }
}
