//! What ends a run before its time, or keeps it from beginning.

use std::{
    fs,
    io::Read,
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use claimrush_loadtest::claims_log::{self, Line};
use serde_json::Value;

use crate::{
    run::{Rehearsal, generous, said},
    script::{Act, serve, serve_first},
    workers::crew::{Process, TOKEN, token_file},
};

/// Longer than anything that is waited for takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A service that answers the first hundred people, and everybody else never; and how many have asked it.
fn falls_silent() -> (SocketAddr, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    let address = serve(move |ticket| {
        let seq = counter.fetch_add(1, Ordering::Relaxed) + 1;
        match Act::claim(ticket, seq) {
            Act::Reply { status, body, .. } if seq > 100 => {
                Act::Reply { after: Duration::from_secs(3_600), status, body, retry_after: None }
            }
            act => act,
        }
    });
    (address, asked)
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up_at = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < give_up_at, "waited for: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

/// Reads what the run says until these words come.
fn hear(child: &mut Child, words: &str) {
    let (mut said, mut byte) = (Vec::new(), [0]);
    while !String::from_utf8_lossy(&said).contains(words) {
        assert_eq!(child.stderr.as_mut().unwrap().read(&mut byte).unwrap(), 1, "{said:?}");
        said.extend(byte);
    }
}

/// Interrupts a run twice whose service has fallen silent, and which waits for eight answers; gives its results and the
/// unknown outcomes in its log.
fn interrupted_twice(more: &[&str]) -> (Rehearsal, Value, usize) {
    let (service, asked) = falls_silent();
    let rehearsal = Rehearsal::new(service);
    let endless = ["--set", "arrivals.duration=1m", "--set", "connections.reply_wait=10m"];
    let grace = ["--set", "connections.grace=10m", "--audit"];
    let mut command = rehearsal.command(&[endless.as_slice(), &grace, more].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let log = rehearsal.path("out/claims.jsonl");
    until("claims in the log", || claims_log::read(&log).is_ok_and(|lines| lines.len() >= 100));
    until("claims without an answer", || asked.load(Ordering::Relaxed) >= 108);
    interrupt(&child);
    hear(&mut child, "a second signal (Ctrl-C) ends the run at once");
    assert_eq!(child.try_wait().unwrap(), None, "the first signal waits for the answers under way");
    let asked_at = Instant::now();
    interrupt(&child);
    hear(&mut child, "ending at once");
    let status = child.wait().unwrap();
    assert!(asked_at.elapsed() < PATIENCE, "{:?}", asked_at.elapsed());
    assert_eq!((status.code(), status.signal()), (Some(3), None));
    let lines = claims_log::read(&log).unwrap();
    let unknown = lines.iter().filter(|line| matches!(line, Line::Unknown { .. })).count();
    let results = rehearsal.results();
    (rehearsal, results, unknown)
}

#[test]
fn a_second_interrupt_ends_at_once_with_what_is_known() {
    let (rehearsal, results, unknown) = interrupted_twice(&[]);
    // Each of the eight connections waits for an answer.
    assert_eq!((&results["total"]["granted"], &results["total"]["unknown"]), (&100.into(), &8.into()));
    assert_eq!(unknown, 8);
    let why = results["verdict"]["invalid_because"].to_string();
    assert!(why.contains("it was ended at once"), "{why}");
    assert_eq!(results["audit"], Value::Null);
    assert!(rehearsal.path("out/report.html").exists());
}

#[test]
fn a_second_interrupt_ends_the_workers_too() {
    let workers = [Process::start(1), Process::start(1)];
    let token = token_file(TOKEN);
    let addresses = format!("{},{}", workers[0].address, workers[1].address);
    let flags = ["--workers", &addresses, "--token-file", token.path().to_str().unwrap()];
    let (_rehearsal, results, unknown) = interrupted_twice(&flags);
    assert_eq!((&results["total"]["granted"], &results["total"]["unknown"]), (&100.into(), &8.into()));
    assert_eq!(unknown, 8);
}

#[test]
fn personas_with_connections_of_their_own_are_ended_too() {
    let own = ["--set", "connections.reuse=per_person", "--set", "connections.count=1"];
    let (_rehearsal, results, unknown) = interrupted_twice(&own);
    assert_eq!(results["total"]["granted"], 100);
    let requests = results["total"]["requests"].as_u64().unwrap();
    assert!(requests > 100, "{requests}");
    assert_eq!(unknown as u64, requests - 100);
}

#[test]
fn a_run_that_one_signal_ended_says_after_how_long() {
    let rehearsal = Rehearsal::with_arrivals(generous(), "profile = \"closed\"\nduration = \"10m\"");
    let mut command = rehearsal.command(&["--set", "tickets.repeat=true"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let log = rehearsal.path("out/claims.jsonl");
    until("claims in the log", || fs::metadata(&log).is_ok_and(|file| file.len() > 0));
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("warning: ended after ") && told.contains(" s of 10m: "), "{told}");
    let results = rehearsal.results();
    assert!(results["verdict"]["warnings"].to_string().contains(" s of 10m: "), "{}", results["verdict"]);
    assert!(results["elapsed_s"].as_f64().unwrap() < 300.0, "{}", results["elapsed_s"]);
    let page = fs::read_to_string(rehearsal.path("out/report.html")).unwrap();
    assert!(page.contains("Note: ended after "));
}

#[test]
fn nobody_tries_to_connect_any_more_when_a_run_is_stopped() {
    for arrivals in
        ["profile = \"closed\"\nduration = \"2h\"", "profile = \"constant\"\nrate = 200\nduration = \"2h\""]
    {
        let granted = AtomicU64::new(0);
        let gone = serve_first(20, move |ticket| {
            Act::Once(Box::new(Act::claim(ticket, granted.fetch_add(1, Ordering::Relaxed) + 1)))
        });
        let rehearsal = Rehearsal::with_arrivals(gone, arrivals);
        let mut child = rehearsal.command(&["--set", "connections.grace=100ms"]).spawn().unwrap();
        let log = rehearsal.path("out/claims.jsonl");
        until("claims in the log", || fs::metadata(&log).is_ok_and(|file| file.len() > 0));
        interrupt(&child);
        until("the end of the run", || child.try_wait().unwrap().is_some());
    }
}

#[test]
fn more_connections_than_descriptors_are_refused_before_anything_is_opened() {
    let rehearsal = Rehearsal::new(generous());
    let run = rehearsal.command(&["--set", "connections.count=500", "--threads", "1"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", r#"ulimit -n 300 && exec "$0" "$@""#]).arg(run.get_program()).args(run.get_args());
    let output = limited.output().unwrap();
    let told = said(&output);
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{told}");
    assert!(told.contains("the run needs 572 open files"), "{told}");
    assert!(told.contains("this process may have 300") && told.contains("ulimit -n 572"), "{told}");
    assert!(!rehearsal.path("out/results.json").exists());
}
