//! Several workers driven by one coordinator.

pub(crate) mod crew;

use std::{
    io::Write,
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use claimrush_loadtest::{
    claims_log::{self, ClaimsLog, Line},
    clock::unix_now,
    engine::{self, Job, Place},
    tally::Tally,
    workers::{Fleet, RunningFleet},
};

use self::crew::{InProcess, Process, SECRET, TOKEN, crowd_job, job, token, until};
use crate::script::{Act, serve};

/// A service that grants every claim.
fn generous() -> std::net::SocketAddr {
    let seq = AtomicU64::new(0);
    serve(move |_| Act::claim("x", seq.fetch_add(1, Ordering::Relaxed) + 1))
}

fn run(addresses: &[String], job: Job) -> RunningFleet {
    let prepared = Fleet::connect(addresses, &token()).unwrap().prepare(job, None).unwrap();
    prepared.start().unwrap()
}

fn answers(tally: &Tally) -> u64 {
    tally.personas.iter().flat_map(|persona| persona.counts.iter().map(|(_, answers)| answers)).sum()
}

/// Who claimed what, in an order that does not depend on time.
fn claimed(path: &std::path::Path) -> Vec<(String, u64)> {
    let lines = claims_log::read(path).unwrap().into_iter().map(|line| match line {
        Line::Claim { drop, ticket_line, .. } => (drop, ticket_line),
        Line::Unknown { ticket_line, .. } => ("unknown".to_owned(), ticket_line),
    });
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines
}

#[test]
fn two_workers_do_what_one_process_does_and_lose_no_count() {
    const EVERY: Duration = Duration::from_micros(2_500);
    let folder = tempfile::tempdir().unwrap();
    let (one_log, fleet_log) = (folder.path().join("one"), folder.path().join("fleet"));
    let service = generous();

    let mut alone = crowd_job(service, 600, EVERY);
    (alone.place, alone.threads) = (Place { first: 0, of: 2 }, 2);
    let log = ClaimsLog::create(&one_log).unwrap();
    let one = engine::prepare(alone, Some(log)).unwrap().start(Instant::now()).join().unwrap();

    let workers = [Process::start(1), Process::start(1)];
    let addresses = workers.each_ref().map(|worker| worker.address.clone());
    let fleet = Fleet::connect(&addresses, &token()).unwrap();
    assert_eq!(fleet.threads(), 2);
    let prepared = fleet.prepare(crowd_job(service, 600, EVERY), Some(&fleet_log)).unwrap();
    assert_eq!(prepared.open_connections(), 8);
    assert_eq!(prepared.planned(), 600 * EVERY);
    let running = prepared.start().unwrap();
    assert!(running.started_at() > Instant::now());
    until(|| running.is_finished());
    let meter = running.meter().unwrap();
    let (tally, results) = running.join().unwrap();

    assert_eq!(tally.schedule.scheduled, 600);
    assert_eq!(tally.schedule.scheduled, one.schedule.scheduled);
    for (ours, theirs) in tally.personas.iter().zip(&one.personas) {
        assert!(ours.arrivals > 0, "{} came", ours.name);
        let about = |persona: &claimrush_loadtest::tally::PersonaTally| {
            (
                persona.name.clone(),
                persona.arrivals,
                persona.requests,
                persona.granted,
                persona.counts.clone(),
            )
        };
        assert_eq!(about(ours), about(theirs));
        let answered: u64 = ours.counts.iter().map(|(_, answers)| answers).sum();
        assert_eq!(ours.response.histogram().len(), answered);
        assert_eq!(ours.service.histogram().len(), answered);
        assert_eq!(ours.granted_response.histogram().len(), ours.granted);
    }
    let by_interval: u64 = tally.intervals.iter().map(|interval| interval.response.histogram().len()).sum();
    assert_eq!(by_interval, answers(&tally));
    assert_eq!((meter.scheduled, meter.answers), (600, answers(&tally)));
    assert_eq!(meter.personas.len(), tally.personas.len());
    for (shown, counted) in meter.personas.iter().zip(&tally.personas) {
        assert_eq!((&shown.name, shown.arrivals), (&counted.name, counted.arrivals));
        assert_eq!((shown.answers, shown.granted), (counted.response.histogram().len(), counted.granted));
    }

    let ours = claimed(&fleet_log);
    assert_eq!(ours, claimed(&one_log));
    assert!(ours.iter().any(|(drop, _)| drop == "d") && ours.iter().any(|(drop, _)| drop == "e"));
    assert_eq!(results.len(), 2);
    for (result, address) in results.iter().zip(addresses) {
        assert_eq!((&result.address, result.threads), (&address, 1));
        assert!(result.cpu.cpu_s > 0.0 && result.cpu.us_per_answer > 0.0, "{result:?}");
        assert!(result.clock_offset_us.unsigned_abs() <= result.clock_error_us + 50, "{result:?}");
    }
}

#[test]
fn a_worker_is_busy_during_a_job_and_free_after_it() {
    let worker = Process::start(1);
    let addresses = [worker.address.clone()];
    let running = run(&addresses, job(generous(), 100.0, "500ms"));
    let error = format!("{:#}", Fleet::connect(&addresses, &token()).err().unwrap());
    assert_eq!(error, format!("worker {}: is busy with another job", worker.address));
    running.join().unwrap();
    assert_eq!(Fleet::connect(&addresses, &token()).unwrap().threads(), 1);
}

#[test]
fn a_wrong_token_is_refused_and_told_without_its_text() {
    let mut worker = Process::start(1);
    let wrong = claimrush_loadtest::workers::Token::new("not-the-right-token").unwrap();
    let error = Fleet::connect(&[worker.address.clone()], &wrong).err().unwrap();
    let error = format!("{error:#}");
    assert_eq!(error, format!("worker {}: the token is wrong or missing (401)", worker.address));
    let said = worker.end();
    assert!(said.contains("refused a call from 127.0.0.1:"), "{said}");
    assert!(!said.contains("not-the-right-token") && !said.contains(TOKEN), "{said}");
}

#[test]
fn strangers_who_say_nothing_keep_nobody_out() {
    let worker = InProcess::start(unix_now, Duration::from_secs(10));
    let addresses = [worker.address.clone()];
    let come = |words: &[u8]| {
        let mut stranger = TcpStream::connect(&worker.address).unwrap();
        stranger.write_all(words).unwrap();
        stranger
    };
    // More than a worker has room for: some say nothing, some never come to an end.
    let crowd = || (0..100).map(|n| come(if n % 2 == 0 { b"" } else { b"GET /v1/worker HTTP/1.1\r\n" }));
    let _before: Vec<_> = crowd().collect();
    let running = run(&addresses, job(generous(), 200.0, "1s"));
    // Whoever has shown the token is not made to leave.
    let _meanwhile: Vec<_> = crowd().collect();
    let (tally, _) = running.join().unwrap();
    assert_eq!(tally.schedule.scheduled, 200);
}

#[test]
fn a_worker_that_dies_ends_the_run_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("claims");
    let mut doomed = Process::start(1);
    let other = Process::start(1);
    let addresses = [other.address.clone(), doomed.address.clone()];
    let fleet = Fleet::connect(&addresses, &token()).unwrap();
    let running = fleet.prepare(job(generous(), 200.0, "60s"), Some(&log)).unwrap().start().unwrap();
    // Both have sent claims, and the log has them.
    until(|| {
        let lines: Vec<_> = claims_log::read(&log).unwrap_or_default();
        let slot = |line: &Line| matches!(line, Line::Claim { ticket_line, .. } if ticket_line % 2 == 0);
        lines.iter().any(slot) && lines.iter().any(|line| !slot(line))
    });
    doomed.kill();
    until(|| running.is_finished());
    let error = format!("{:#}", running.join().unwrap_err());
    assert!(error.starts_with(&format!("worker {}: ", doomed.address)), "{error}");
    let granted = claimed(&log).len();
    assert!((2..6_000).contains(&granted), "{granted}");
    // The other was stopped, and is free.
    assert!(Fleet::connect(&addresses[..1], &token()).is_ok());
    let error = format!("{:#}", Fleet::connect(&addresses, &token()).err().unwrap());
    assert!(error.contains(&doomed.address) && error.contains("nobody listens there"), "{error}");
}

#[test]
fn a_clock_three_hours_ahead_is_measured_and_the_start_is_common() {
    let ahead = Duration::from_hours(3);
    let skewed = InProcess::start(|| unix_now() + Duration::from_hours(3), Duration::from_secs(10));
    let straight = InProcess::start(unix_now, Duration::from_secs(10));
    let running = run(&[skewed.address.clone(), straight.address.clone()], job(generous(), 200.0, "500ms"));
    let start = running.started_at();
    let (tally, results) = running.join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(tally.schedule.scheduled, 100);
    let off_us = |at: usize, truth: Duration| {
        let truth = i64::try_from(truth.as_micros()).unwrap();
        results[at].clock_offset_us.abs_diff(truth)
    };
    assert!(off_us(0, ahead) <= results[0].clock_error_us + 50, "{results:?}");
    assert!(off_us(1, Duration::ZERO) <= results[1].clock_error_us + 50, "{results:?}");
}

#[test]
fn a_worker_lets_go_of_a_job_whose_coordinator_has_vanished() {
    let worker = InProcess::start(unix_now, Duration::from_secs(2));
    let addresses = [worker.address.clone()];
    let seen = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&seen);
    let service = serve(move |_| Act::claim("x", counter.fetch_add(1, Ordering::Relaxed) + 1));
    let running = run(&addresses, job(service, 200.0, "60s"));
    until(|| seen.load(Ordering::Relaxed) > 10);
    assert!(Fleet::connect(&addresses, &token()).is_err());
    drop(running);
    until(|| Fleet::connect(&addresses, &token()).is_ok());
    assert!(seen.load(Ordering::Relaxed) < 12_000, "the job was cut short");

    let prepared = Fleet::connect(&addresses, &token()).unwrap().prepare(job(service, 200.0, "60s"), None);
    assert!(Fleet::connect(&addresses, &token()).is_err());
    drop(prepared.unwrap());
    until(|| Fleet::connect(&addresses, &token()).is_ok());
}

#[test]
fn a_stop_reaches_every_worker() {
    let workers = [Process::start(1), Process::start(1)];
    let addresses = workers.each_ref().map(|worker| worker.address.clone());
    let running = run(&addresses, job(generous(), 100.0, "60s"));
    let begun = Instant::now();
    until(|| running.meter().is_some_and(|meter| meter.granted > 20));
    running.stop();
    let (tally, results) = running.join().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(40));
    assert!(answers(&tally) > 20 && results.len() == 2);
}

#[test]
fn a_worker_that_cannot_do_its_share_is_named_and_gives_no_secret_away() {
    let workers = [Process::start(1), Process::start(1)];
    let addresses = workers.each_ref().map(|worker| worker.address.clone());
    let named = |error: &anyhow::Error| {
        let error = format!("{error:#}");
        assert!(addresses.iter().any(|address| error.starts_with(&format!("worker {address}: "))), "{error}");
        assert!(!error.contains(SECRET), "{error}");
        assert!(Fleet::connect(&addresses, &token()).is_ok(), "all were let go");
    };
    let mut unreachable = job(generous(), 100.0, "1s");
    unreachable.scenario.service.url = "https://127.0.0.1:1".into();
    named(&Fleet::connect(&addresses, &token()).unwrap().prepare(unreachable, None).err().unwrap());

    let mut unsigned = job(generous(), 100.0, "1s");
    if let engine::Supply::Key { secret, .. } = &mut unsigned.supply {
        secret.push('!');
    }
    named(&Fleet::connect(&addresses, &token()).unwrap().prepare(unsigned, None).err().unwrap());
}

#[test]
fn another_version_is_refused() {
    let other = serve(|_| Act::reply(200, r#"{"version":"9.9.9/1","threads":4,"free":true}"#.into()));
    let error = Fleet::connect(&[other.to_string()], &token()).err().unwrap();
    let error = format!("{error:#}");
    assert!(error.starts_with(&format!("worker {other}: has version 9.9.9/1 ")), "{error}");
    let error = Fleet::connect(&[other.to_string(), other.to_string()], &token()).err().unwrap();
    assert!(error.to_string().contains("named twice"), "{error}");
}

#[test]
fn a_worker_with_more_threads_than_a_run_can_have_is_refused() {
    let (version, threads) = (concat!(env!("CARGO_PKG_VERSION"), "/1"), usize::MAX);
    let about = format!(r#"{{"version":"{version}","threads":{threads},"free":true}}"#);
    let addresses = [(); 2].map(|()| {
        let about = about.clone();
        serve(move |_| Act::reply(200, about.clone())).to_string()
    });
    let error = format!("{:#}", Fleet::connect(&addresses, &token()).err().unwrap());
    assert_eq!(
        error,
        format!("worker {}: offers {threads} threads, where 1 to 4096 are possible", addresses[0])
    );
}

#[test]
fn a_terminated_worker_ends_in_good_order_even_in_the_middle_of_a_job() {
    let mut worker = Process::start(1);
    let running = run(&[worker.address.clone()], job(generous(), 100.0, "60s"));
    until(|| running.meter().is_some_and(|meter| meter.answers > 0));
    let status = worker.terminate();
    assert!(status.success(), "{status}");
    let error = format!("{:#}", running.join().unwrap_err());
    assert!(error.contains(&worker.address), "{error}");
}

#[test]
fn a_token_file_that_others_can_read_is_a_usage_error() {
    use std::os::unix::fs::PermissionsExt;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), TOKEN).unwrap();
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = crew::command(file.path(), 1).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("has mode 0644") && said.lines().count() == 1, "{said}");
}
