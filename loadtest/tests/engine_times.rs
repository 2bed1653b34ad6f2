//! Known answers: the times that the engine reports equal those computed from the schedule.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use claimrush_loadtest::{
    engine::Place,
    schedule::Schedule,
    tally::{Schedule as Kept, Tally},
};

use crate::{
    engine_run::{Claims, crowd, crowd_at, job, minted, ms, run, scenario},
    noise::{Noise, assert_near},
    script::{Act, serve_asked},
};

/// How far times may be off, in milliseconds, beyond what the machine itself is late by.
const TOLERANCE_MS: f64 = 120.0;

const STALL: std::ops::Range<Duration> = Duration::from_secs(1)..Duration::from_secs(2);

/// A server that answers nothing between the first and the second second after its first request.
fn stalling(pause: Duration) -> std::net::SocketAddr {
    let first = Mutex::new(None);
    serve_asked(move |_| {
        let start = *first.lock().unwrap().get_or_insert_with(Instant::now);
        let at = start.elapsed();
        let after = if STALL.contains(&at) { STALL.end.saturating_sub(at) } else { pause };
        Act::Reply { after, status: 201, body: String::new(), retry_after: None }
    })
}

#[test]
fn whoever_is_let_go_in_time_and_has_their_turn_late_is_late_by_the_generator() {
    // More at one moment than one thread can see to within ten milliseconds, each with a connection of their own.
    let claims = Claims::default();
    let scenario = scenario(
        serve_asked(move |_| claims.next()),
        "drop = [{ id = \"d\" }]\nconnections = { sessions_max = 3000, grace = \"30s\", reuse = \"per_person\" }\n\
         arrivals = { profile = \"closed\", duration = \"1s\" }",
    );
    let tally = run(crowd_at(job(scenario, minted()), vec![50_000_000; 2_000]));
    let Kept { scheduled, late_generator, late_connections, dropped } = tally.schedule;
    assert_eq!((scheduled, late_connections, dropped), (2_000, 0, 0));
    assert!(late_generator > 100, "{late_generator}");
}

#[test]
fn an_open_model_counts_the_whole_stall() {
    let scenario = scenario(
        stalling(Duration::ZERO),
        "drop = [{ id = \"d\" }]\nconnections = { count = 64 }\narrivals = { profile = \"closed\", duration = \"3s\" }",
    );
    // A thousand a second.
    let every = Duration::from_millis(1);
    let wait =
        |due: Duration| if STALL.contains(&due) { STALL.end.saturating_sub(due) } else { Duration::ZERO };
    let mut waits: Vec<f64> = (0..3_000).map(|n| wait(every * n).as_secs_f64() * 1e3).collect();
    waits.sort_by(f64::total_cmp);

    let noise = Noise::watch();
    let tally = run(crowd(job(scenario, minted()), 3_000, every));
    let noise = noise.ms();
    let assert_near =
        |what: &str, measured, expected| assert_near(what, measured, expected, TOLERANCE_MS, noise);
    let [persona] = &tally.personas[..] else { panic!("one persona") };
    assert_eq!((persona.arrivals, persona.granted, tally.schedule.scheduled), (3_000, 3_000, 3_000));
    // Those who came first during the stall are served first after it: the longest waits are the exact ones.
    for (rank, quantile) in [(1_500, 0.5), (2_700, 0.9), (2_970, 0.99), (2_997, 0.999), (3_000, 1.0)] {
        assert_near(&format!("p{quantile}"), ms(&persona.response, quantile), waits[rank - 1]);
    }
    // Only as many requests as there are connections were sent during the stall.
    assert_near("service p90", ms(&persona.service, 0.9), 0.0);
    assert_near("service max", ms(&persona.service, 1.0), 1_000.0);
    assert!(tally.schedule.late_connections > 800, "{:?}", tally.schedule);
    by_interval(&tally);
}

/// Arrivals count where they were due, answers where they came.
fn by_interval(tally: &Tally) {
    assert_eq!(tally.interval, Duration::from_millis(100));
    let within = |from, to: usize| tally.intervals.iter().take(to).skip(from);
    assert!(within(0, 30).all(|interval| interval.scheduled == 100));
    let answers = |from, to| within(from, to).map(|interval| interval.answers).sum::<u64>();
    assert!(answers(11, 19) < 100, "{} answers during the stall", answers(11, 19));
    assert_eq!(answers(0, tally.intervals.len()), 3_000);
    let kinds: u64 = tally.intervals.iter().flat_map(|it| it.counts.iter()).map(|(_, answers)| answers).sum();
    assert_eq!(kinds, 3_000);
}

#[test]
fn a_closed_model_hides_the_stall() {
    let scenario = scenario(
        stalling(Duration::from_millis(2)),
        "drop = [{ id = \"d\" }]\nconnections = { count = 4 }\narrivals = { profile = \"closed\", duration = \"3s\" }",
    );
    let noise = Noise::watch();
    let tally = run(job(scenario, minted()));
    let noise = noise.ms();
    let [persona] = &tally.personas[..] else { panic!("one persona") };
    assert!(persona.granted > 500, "{}", persona.granted);
    assert_near("p99", ms(&persona.response, 0.99), 0.0, TOLERANCE_MS, noise);
    assert_near("max", ms(&persona.response, 1.0), 1_000.0, TOLERANCE_MS, noise);
    assert_eq!(persona.response, persona.service);
}

#[test]
fn a_generator_that_cannot_keep_up_says_so() {
    let claims = Claims::default();
    let scenario = scenario(
        serve_asked(move |_| claims.next()),
        "drop = [{ id = \"d\" }]\nconnections = { count = 1, grace = \"100ms\" }\n\
         arrivals = { profile = \"constant\", rate = 5000000, duration = \"200ms\", spacing = \"even\" }",
    );
    let Kept { scheduled, late_generator, dropped, .. } = run(job(scenario, minted())).schedule;
    assert_eq!(scheduled, 1_000_000);
    assert!(late_generator > scheduled / 100, "{late_generator} late");
    assert!(dropped > scheduled / 2, "{dropped} dropped");
}

#[test]
fn two_places_merged_equal_one() {
    let claims = Claims::default();
    let address = serve_asked(move |_| claims.next());
    let scenario = scenario(
        address,
        "seed = 7\ndrop = [{ id = \"d\", weight = 3 }, { id = \"e\" }]\nconnections = { count = 8 }\n\
         arrivals = { profile = \"constant\", rate = 400, duration = \"1s\" }\n\
         persona = [{ kind = \"honest\", weight = 5 }, { kind = \"double_clicker\" }, { kind = \"bot\", requests = 3 }]",
    );
    let schedule = Schedule::new(&scenario.arrivals, scenario.seed, None).unwrap();
    let moments: Vec<u64> = schedule.map(|due| u64::try_from(due.at.as_nanos()).unwrap()).collect();
    let place = |first, of| {
        let mut job = crowd_at(job(scenario.clone(), minted()), moments.clone());
        job.place = Place { first, of };
        // As it goes to a worker on another machine.
        serde_json::from_str(&serde_json::to_string(&job).unwrap()).unwrap()
    };
    let one = run(place(0, 1));
    let mut merged = run(place(0, 2));
    merged.merge(&run(place(1, 2))).unwrap();
    let counts = |tally: &Tally| {
        let persona = |it: &claimrush_loadtest::tally::PersonaTally| {
            (it.name.clone(), it.arrivals, it.requests, it.granted)
        };
        tally.personas.iter().map(persona).collect::<Vec<_>>()
    };
    assert!(one.personas.iter().all(|persona| persona.arrivals > 0));
    assert_eq!(counts(&merged), counts(&one));
    let due = |tally: &Tally| {
        tally.intervals.iter().map(|it| it.scheduled).filter(|&it| it > 0).collect::<Vec<_>>()
    };
    assert_eq!(due(&merged), due(&one));
    assert_eq!(merged.schedule.scheduled, one.schedule.scheduled);
}
