//! What a run says and leaves where nobody reads it, or nothing can be written.

use std::{
    fs,
    io::{BufRead, BufReader, pipe},
    net::SocketAddr,
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use claimrush_loadtest::workers::{Fleet, Token};

use crate::{
    run::{FEW, Rehearsal, generous, lines_of, said},
    script::{Act, serve},
    workers::crew::{self, TOKEN, token, token_file, until},
};

/// Longer than anything that is waited for takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream whose reader has gone.
fn gone() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A disk that is full.
fn full() -> Stdio {
    fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

fn harness(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claimrush-loadtest"));
    command.args(arguments);
    command
}

#[test]
fn a_reader_that_has_gone_ends_nothing() {
    let rehearsal = Rehearsal::of_crowd(generous(), FEW);
    let mut command = rehearsal.command(&[]);
    let status = command.stdout(gone()).stderr(gone()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(rehearsal.results()["total"]["granted"], FEW);

    let results = rehearsal.path("out/results.json");
    let page = rehearsal.path("page.html");
    let [results, page] = [&results, &page].map(|path| path.to_str().unwrap());
    for arguments in [
        &["schema", "results"][..],
        &["compare", results, results, "--out", page],
        &[
            "rush",
            "--target",
            "http://127.0.0.1:1",
            "--drop",
            "d",
            "--tickets",
            "none",
            "--rate",
            "1",
            "--duration",
            "1",
        ],
    ] {
        let status = harness(arguments).stdout(gone()).stderr(gone()).status().unwrap();
        let expected = if arguments[0] == "rush" { 2 } else { 0 };
        assert_eq!(status.code(), Some(expected), "{arguments:?}");
    }
    assert!(fs::read_to_string(page).unwrap().contains("</html>"));
}

#[test]
fn a_desk_that_asks_for_ages_or_for_work_without_end_refuses() {
    for (status, body, retry_after, refused) in [
        (503, r#"{"code":"overloaded"}"#.to_owned(), Some(u64::MAX), "1 refused: overloaded"),
        (
            201,
            format!(
                r#"{{"algorithm":"SHA-256","challenge":"{}","maxnumber":{},"salt":"s","signature":"t"}}"#,
                "00".repeat(32),
                u64::MAX
            ),
            None,
            "1 refused: no_solution",
        ),
    ] {
        let desk =
            serve(move |_| Act::Reply { after: Duration::ZERO, status, body: body.clone(), retry_after });
        let folder = tempfile::tempdir().unwrap();
        let [identities, out] = ["identities", "out"].map(|name| folder.path().join(name));
        fs::write(&identities, "one\n").unwrap();
        let target = format!("http://{desk}");
        let mut command = harness(&["tickets", "--drop", "d", "--target", &target]);
        command.arg("--identities").arg(identities).arg("--out").arg(&out);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < PATIENCE || child.kill().is_err(), "{refused}");
            thread::sleep(Duration::from_millis(10));
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(String::from_utf8_lossy(&output.stdout).contains(refused), "{output:?}");
        assert!(!out.exists());
    }
}

#[test]
fn a_full_disk_under_standard_output_is_told_and_loses_no_results() {
    let rehearsal = Rehearsal::of_crowd(generous(), FEW);
    let output = rehearsal.command(&[]).stdout(full()).stderr(Stdio::piped()).spawn().unwrap();
    let output = output.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("standard output: No space left"), "{}", said(&output));
    assert_eq!(rehearsal.results()["total"]["granted"], FEW);
}

#[test]
fn a_worker_that_nobody_listens_to_goes_on() {
    let file = token_file(TOKEN);
    let mut child = crew::command(file.path(), 1).stderr(gone()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = [line.split(' ').nth(3).unwrap().to_owned()];
    // Each refused call is told, to nobody.
    let error = Fleet::connect(&address, &Token::new("not-the-right-token").unwrap()).err().unwrap();
    assert!(format!("{error:#}").contains("the token is wrong or missing (401)"), "{error:#}");
    // A job whose coordinator vanishes is let go, which is told, too; only the first answer is waited for here.
    let job = crew::job(generous(), 100.0, "60s");
    drop(Fleet::connect(&address, &token()).unwrap().prepare(job, None).unwrap());
    until(|| Fleet::connect(&address, &token()).is_ok());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_worker_starts_though_nobody_reads_where_it_listens() {
    let file = token_file(TOKEN);
    let mut child = crew::command(file.path(), 1).stdout(gone()).spawn().unwrap();
    // It would have ended by itself; that it listens cannot be asked without its port.
    thread::sleep(Duration::from_millis(500));
    let ended = child.try_wait().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ended, None);
}

/// A rush of ten people whose results go here.
fn rush_of_ten(service: SocketAddr, json: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let tickets = folder.path().join("tickets");
    fs::write(&tickets, "t\n".repeat(10)).unwrap();
    let (target, tickets) = (format!("http://{service}"), tickets.to_str().unwrap());
    let rush = ["rush", "--quiet", "--drop", "d", "--connections", "2", "--duration", "10"];
    harness(&rush).args(["--target", &target, "--tickets", tickets, "--json", json]).output().unwrap()
}

#[test]
fn results_that_cannot_be_written_are_told_all_the_same() {
    let output = rush_of_ten(generous(), "/dev/full");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("cannot write /dev/full: No space left"), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("10 granted"), "{output:?}");
}

#[test]
fn a_place_where_no_results_can_be_is_refused_before_anything_is_sent() {
    let asked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    let service = serve(move |ticket| Act::claim(ticket, counter.fetch_add(1, Ordering::Relaxed) + 1));
    let output = rush_of_ten(service, "/nowhere/at/all.json");
    let told = said(&output);
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{told}");
    assert!(told.contains("cannot write /nowhere/at/all.json: No such file"), "{told}");
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

/// A run of ten minutes with these flags, which is to end by itself long before.
fn ends_by_itself(rehearsal: &Rehearsal, flags: &[&str]) -> Output {
    let long =
        ["--set", "arrivals.duration=10m", "--set", "tickets.repeat=true", "--set", "connections.grace=1s"];
    let mut command = rehearsal.command(&[&long[..], flags].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    output
}

#[test]
fn a_claims_log_that_cannot_be_written_ends_the_run_and_is_named_with_its_cause() {
    let rehearsal = Rehearsal::new(generous());
    let output = ends_by_itself(&rehearsal, &["--claims-log", "/dev/full"]);
    let told = said(&output);
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{told}");
    assert!(told.contains("claims log /dev/full cannot be written: No space left"), "{told}");

    let worker = crew::Process::start(1);
    let file = token_file(TOKEN);
    let workers = ["--workers", &worker.address, "--token-file", file.path().to_str().unwrap()];
    let output = ends_by_itself(&rehearsal, &[&workers[..], &["--claims-log", "/dev/full"]].concat());
    let told = said(&output);
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{told}");
    assert!(told.contains("claims log /dev/full cannot be written: No space left"), "{told}");
}

#[test]
fn a_claims_log_may_be_something_else_than_a_file() {
    let rehearsal = Rehearsal::of_crowd(generous(), FEW);
    let output = rehearsal.run(&["--claims-log", "/dev/null"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let output = rehearsal.run(&["--claims-log", "/dev/stdout"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told.lines().filter(|line| line.starts_with("{\"claim_id\":")).count(), 10, "{told}");

    let worker = crew::Process::start(1);
    let file = token_file(TOKEN);
    let workers = ["--workers", &worker.address, "--token-file", file.path().to_str().unwrap()];
    let output = rehearsal.run(&[&workers[..], &["--claims-log", "/dev/null"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

/// A run of ten minutes that goes on, with claims in its log.
fn under_way() -> (Rehearsal, Child) {
    let rehearsal = Rehearsal::with_arrivals(generous(), "profile = \"closed\"\nduration = \"10m\"");
    let mut command = rehearsal.command(&["--set", "tickets.repeat=true"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let log = rehearsal.path("out/claims.jsonl");
    until(|| fs::metadata(&log).map_or(0, |file| file.len()) > 0);
    (rehearsal, child)
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_second_run_takes_nothing_away_from_one_that_goes_on() {
    let (rehearsal, mut child) = under_way();
    let output = rehearsal.run(&[]);
    let told = said(&output);
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{told}");
    assert!(told.contains("another run writes its results to "), "{told}");
    let log = rehearsal.path("out/claims.jsonl");
    let other = Rehearsal::new(generous());
    let output = other.run(&["--claims-log", log.to_str().unwrap()]);
    let told = said(&output);
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{told}");
    assert!(told.contains("claims.jsonl: another run is writing it"), "{told}");
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let results = rehearsal.results();
    assert_eq!(results["total"]["granted"], lines_of(&log));
    assert_eq!(rehearsal.run(&["--set", "tickets.uses=5"]).status.code(), Some(0), "it is free again");
}

#[test]
fn a_disk_that_is_full_at_the_end_of_a_run_hides_nothing() {
    let (rehearsal, child) = under_way();
    std::os::unix::fs::symlink("/dev/full", rehearsal.path("out/report.html")).unwrap();
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("report.html: No space left"), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains(" answers in "), "{output:?}");
    assert!(rehearsal.results()["total"]["granted"].as_u64().unwrap() > 0);
}

#[test]
fn a_second_interrupt_just_after_the_last_answer_loses_no_results() {
    let (rehearsal, mut child) = under_way();
    // Whoever writes to these waits for a reader: so the run is known to write its results.
    let [results, junit] = ["out/results.json", "out/junit.xml"].map(|name| rehearsal.path(name));
    assert!(Command::new("mkfifo").args([&results, &junit]).status().unwrap().success());
    interrupt(&child);
    let text = fs::read_to_string(&results).unwrap();
    assert!(text.contains("\"verdict\""), "{text}");
    interrupt(&child);
    let reader = thread::spawn(move || fs::read_to_string(junit).unwrap());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(reader.join().unwrap().contains("</testsuites>"));
    assert!(rehearsal.path("out/report.html").exists());
    assert!(lines_of(&rehearsal.path("out/claims.jsonl")) > 0);
}
