//! What carries requests: kept or new connections, slow ones, too many, or none.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use claimrush_loadtest::{engine, scenario::Behaviour};

use crate::{
    engine_run::{Claims, crowd, job, minted, ms, numbered, run, scenario},
    script::{Act, Nobody, serve, serve_asked},
};

const CLOSED: &str =
    "drop = [{ id = \"d\" }]\narrivals = { profile = \"closed\", duration = \"10s\", people = 30 }\n";

#[test]
fn a_new_connection_each_is_really_new() {
    for open in [false, true] {
        let peers = Arc::new(Mutex::new(BTreeSet::new()));
        let (noted, claims) = (Arc::clone(&peers), Claims::default());
        let address = serve_asked(move |asked| {
            noted.lock().unwrap().insert(asked.peer);
            claims.next()
        });
        let text = format!("{CLOSED}connections = {{ count = 2, reuse = \"new_each\" }}");
        let job = job(scenario(address, &text), minted());
        let tally = run(if open { crowd(job, 30, Duration::from_millis(10)) } else { job });
        assert_eq!((tally.personas[0].granted, tally.personas[0].mishaps.reconnects), (30, 0));
        assert_eq!(peers.lock().unwrap().len(), 30);
    }
}

#[test]
fn a_person_can_have_a_connection_of_their_own_and_keep_it() {
    for (kind, mine) in [("honest", 1), ("double_clicker", 2)] {
        let asked_by = Arc::new(Mutex::new(BTreeMap::new()));
        let (noted, claims) = (Arc::clone(&asked_by), Claims::default());
        let address = serve_asked(move |asked| {
            let mut noted = noted.lock().unwrap();
            let peers: &mut Vec<_> = noted.entry(asked.ticket().to_owned()).or_default();
            peers.push(asked.peer);
            if kind == "honest" && peers.len() == 1 {
                let body = r#"{"code":"overloaded"}"#.into();
                return Act::Reply { after: Duration::ZERO, status: 503, body, retry_after: Some(0) };
            }
            claims.next()
        });
        let text = format!(
            "drop = [{{ id = \"d\" }}]\nconnections = {{ reuse = \"per_person\" }}\npersona = [{{ kind = \"{kind}\" }}]\n\
             arrivals = {{ profile = \"constant\", rate = 100, duration = \"200ms\", spacing = \"even\" }}"
        );
        let tally = run(job(scenario(address, &text), minted()));
        assert_eq!((tally.personas[0].arrivals, tally.personas[0].mishaps.reconnects), (20, 0));
        let asked_by = asked_by.lock().unwrap();
        assert_eq!(asked_by.len(), 20);
        let mut all = BTreeSet::new();
        for peers in asked_by.values() {
            assert_eq!(peers.len(), 2, "{kind}");
            let own: BTreeSet<_> = peers.iter().collect();
            assert_eq!(own.len(), mine, "{kind}");
            assert!(own.into_iter().all(|peer| all.insert(*peer)), "nobody shares");
        }
    }
}

#[test]
fn a_slow_network_takes_its_round_trip_and_its_bandwidth() {
    let body = "x".repeat(2_000);
    let address = serve(move |_| Act::reply(410, body.clone()));
    let text = format!(
        "{CLOSED}connections = {{ count = 10, slow = {{ round_trip = \"100ms\", bytes_per_second = 20000 }} }}"
    );
    let tally = run(job(scenario(address, &text), numbered(30)));
    let persona = &tally.personas[0];
    assert_eq!(persona.refused_service.histogram().len(), 30);
    let fastest = ms(&persona.service, 0.0);
    // 100 ms for the way, and 100 ms for 2,000 bytes.
    assert!((200.0..500.0).contains(&fastest), "{fastest} ms");
}

#[test]
fn a_connection_that_the_service_closes_is_opened_again() {
    let claims = Claims::default();
    let address = serve(move |_| Act::Once(Box::new(claims.next())));
    let text = format!("{CLOSED}connections = {{ count = 10 }}");
    let tally = run(crowd(job(scenario(address, &text), minted()), 50, Duration::from_millis(10)));
    let persona = &tally.personas[0];
    assert_eq!((persona.granted, persona.unknown, persona.mishaps.unsent), (50, 0, 0));
    assert!(persona.mishaps.reconnects >= 40, "{:?}", persona.mishaps);
}

#[test]
fn too_many_connections_are_refused_before_any_is_opened() {
    let text = format!("{CLOSED}connections = {{ count = 1000000 }}");
    let address = "127.0.0.1:1".parse().unwrap();
    let said = engine::prepare(job(scenario(address, &text), minted()), None).err().unwrap().to_string();
    assert!(said.contains("10000") && (said.contains("ulimit -n") || said.contains("ports")), "{said}");
}

#[test]
fn nothing_that_listens_means_no_connection() {
    let nobody = Nobody::new();
    let text = format!("{CLOSED}connections = {{ count = 2 }}");
    let start = Instant::now();
    let prepared = engine::prepare(job(scenario(nobody.address, &text), minted()), None).unwrap();
    assert_eq!(prepared.open_connections(), 0);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn jobs_that_contradict_themselves_are_refused() {
    let address = "127.0.0.1:1".parse().unwrap();
    let refused = |change: &dyn Fn(&mut engine::Job)| {
        let mut job = job(scenario(address, CLOSED), minted());
        change(&mut job);
        engine::prepare(job, None).err().unwrap().to_string()
    };
    assert!(refused(&|job| job.threads = 0).contains("at least one thread"));
    assert!(refused(&|job| job.place.first = 1).contains("do not lie within a run of 1"));
    assert!(refused(&|job| job.trace = Some(vec![1])).contains("trace"));
    let bot = |more: &str| -> Behaviour { toml::from_str(&format!("kind = \"bot\"\n{more}")).unwrap() };
    let expired = bot("tickets = { expired = 1 }");
    assert!(
        refused(&|job| {
            job.supply = numbered(3);
            job.scenario.personas[0].behaviour = expired.clone();
        })
        .contains("only tickets minted here")
    );
    let elsewhere = bot("addresses = [\"::1\"]");
    assert!(refused(&|job| job.scenario.personas[0].behaviour = elsewhere.clone()).contains("from ::1"));
}
