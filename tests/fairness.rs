//! A farm beside people: nine requests in ten are the farm's, and it has twice as many accounts as there are people. What
//! do people get without the guard, and with it? `FAIRNESS_PEOPLE` people; as many units as people.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use claimrush_loadtest::ticket_desk::{self, TicketsArgs};
use serde_json::json;

use crate::desk::{desk, identity};
use crate::support::campaign::{DropFile, campaign};
use crate::support::http::Client;
use crate::support::service::Service;

/// Accounts of the farm for one person.
const ACCOUNTS_PER_PERSON: usize = 2;
/// Accounts that share a phone.
const ACCOUNTS_PER_PHONE: usize = 100;
/// Requests of the farm for one of a person.
const REQUESTS_PER_PERSON: usize = 9;
const PEOPLE_THREADS: usize = 4;
const FARM_THREADS: usize = 12;

/// What people got.
#[derive(Debug)]
struct Share {
    people: usize,
    farm: usize,
    farm_tickets: usize,
    p99: Duration,
}

/// Tickets through the desk; fewer than identities where the desk says no.
fn tickets(service: &Service, folder: &std::path::Path, identities: &[String]) -> Vec<String> {
    let file = folder.join("identities");
    std::fs::write(&file, identities.join("\n")).expect("it is written");
    let args = TicketsArgs {
        target: format!("http://{}", service.address()),
        drop: "d-1".to_owned(),
        identities: file,
        out: folder.join("tickets"),
        threads: 2,
    };
    ticket_desk::run(&args).expect("tickets are given");
    let text = std::fs::read_to_string(args.out).expect("tickets");
    text.lines().map(str::to_owned).collect()
}

fn rush(guarded: bool, people: usize) -> Share {
    let common = [
        ("desk.person_per_minute", "600000"),
        ("desk.address_per_minute", "600000"),
        ("desk.difficulty", "2000"),
    ];
    let unguarded =
        [("desk.challenge", "none"), ("limits.person_per_second", "10000"), ("limits.person_burst", "10000")];
    let settings = if guarded { common.to_vec() } else { [&common[..], &unguarded].concat() };
    let (folder, service) = desk(&settings);
    let stock = u32::try_from(people).expect("a stock");
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", stock)]));
    let own: Vec<String> = (0..people).map(|n| identity(&format!("person-{n}"), &json!({}))).collect();
    let farm: Vec<String> = (0..people * ACCOUNTS_PER_PERSON)
        .map(|n| {
            let phone = format!("phone-{}", n / ACCOUNTS_PER_PHONE);
            // Without the guard nobody asks what an account shares with another.
            let dims = if guarded { json!({"dims": {"phone": phone}}) } else { json!({}) };
            identity(&format!("farm-{n}"), &dims)
        })
        .collect();
    let own = tickets(&service, folder.path(), &own);
    let farm = tickets(&service, folder.path(), &farm);
    let (sent, people_got, farm_got) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let (next, times) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(people)));
    thread::scope(|scope| {
        for _ in 0..PEOPLE_THREADS {
            scope.spawn(|| {
                let mut client = Client::connect(service.address());
                while let Some(ticket) = own.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let began = Instant::now();
                    let status = client.claim("d-1", ticket).status;
                    times.lock().expect("nobody panics").push(began.elapsed());
                    people_got.fetch_add(usize::from(status == 201), Ordering::Relaxed);
                }
            });
        }
        for _ in 0..FARM_THREADS {
            scope.spawn(|| {
                let mut client = Client::connect(service.address());
                loop {
                    let n = sent.fetch_add(1, Ordering::Relaxed);
                    if n >= people * REQUESTS_PER_PERSON {
                        return;
                    }
                    let status = client.claim("d-1", &farm[n % farm.len()]).status;
                    farm_got.fetch_add(usize::from(status == 201), Ordering::Relaxed);
                }
            });
        }
    });
    let mut times = times.into_inner().expect("nobody panics");
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    Share { people: people_got.into_inner(), farm: farm_got.into_inner(), farm_tickets: farm.len(), p99 }
}

#[test]
fn people_get_what_a_farm_would_have_taken() {
    let people = std::env::var("FAIRNESS_PEOPLE").map_or(300, |text| text.parse().expect("a number"));
    let without = rush(false, people);
    let with = rush(true, people);
    for (what, share) in [("without the guard", &without), ("with it", &with)] {
        let percent = 100.0 * share.people as f64 / people as f64;
        let Share { people: got, farm, farm_tickets, p99 } = share;
        println!(
            "{what}: people got {got} of {people} units ({percent:.1} %), the farm {farm} with {farm_tickets} tickets; \
             people's p99 {:.1} ms",
            p99.as_secs_f64() * 1_000.0
        );
    }
    let phones = (people * ACCOUNTS_PER_PERSON).div_ceil(ACCOUNTS_PER_PHONE);
    assert_eq!((without.farm_tickets, with.farm_tickets), (people * ACCOUNTS_PER_PERSON, phones));
    assert!(without.people < people * 3 / 4, "the farm takes a good part: {without:?}");
    assert!(with.farm <= phones && with.people >= people - phones, "a phone is one person: {with:?}");
    assert_eq!(without.people + without.farm, people, "all is sold");
}
