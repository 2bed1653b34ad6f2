//! `run --workers`, from its flags to its results.

use std::path::Path;

use crate::{
    run::{Rehearsal, generous, lines_of, said},
    script::Nobody,
    workers::crew::{Process, TOKEN, token_file},
};

/// The flags of a run with these workers and this token.
fn flags<'a>(workers: &'a str, token: &'a Path) -> [&'a str; 4] {
    ["--workers", workers, "--token-file", token.to_str().unwrap()]
}

#[test]
fn two_workers_make_the_load_of_one_run() {
    let rehearsal = Rehearsal::of_crowd(generous(), 400);
    let workers = [Process::start(1), Process::start(1)];
    let token = token_file(TOKEN);
    let addresses = format!("{},{}", workers[0].address, workers[1].address);
    let output = rehearsal.run(&flags(&addresses, token.path()));
    // On a busy machine somebody may have come late: then the run proves nothing, and everybody was served all the same.
    assert!([Some(0), Some(3)].contains(&output.status.code()), "{}", said(&output));
    let results = rehearsal.results();
    assert_eq!((&results["total"]["granted"], &results["environment"]["threads"]), (&400.into(), &2.into()));
    assert_eq!(lines_of(&rehearsal.path("out/claims.jsonl")), 400);
    for (at, worker) in workers.iter().enumerate() {
        let told = &results["environment"]["workers"][at];
        assert_eq!((&told["address"], &told["threads"]), (&worker.address.as_str().into(), &1.into()));
        assert!(told["cpu"]["cpu_s"].as_f64().unwrap() > 0.0, "{told}");
    }
}

#[test]
fn a_wrong_token_and_a_missing_one_are_usage_errors() {
    let rehearsal = Rehearsal::new(generous());
    let worker = Process::start(1);
    let wrong = token_file("not-the-right-token");
    let output = rehearsal.run(&flags(&worker.address, wrong.path()));
    let expected =
        format!("claimrush-loadtest: worker {}: the token is wrong or missing (401)\n", worker.address);
    assert_eq!((output.status.code(), said(&output)), (Some(2), expected));
    assert!(!rehearsal.path("out/results.json").exists());

    let gone = rehearsal.path("no-token");
    let output = rehearsal.run(&flags(&worker.address, &gone));
    let told = said(&output);
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{told}");
    assert!(told.contains("no-token"), "{told}");

    let output = rehearsal.run(&["--workers", &worker.address]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--token-file"), "{}", said(&output));
}

#[test]
fn a_worker_that_nobody_reaches_is_named() {
    let rehearsal = Rehearsal::new(generous());
    let here = Process::start(1);
    let nobody = Nobody::new();
    let nowhere = nobody.address;
    let token = token_file(TOKEN);
    let addresses = format!("{},{nowhere}", here.address);
    let output = rehearsal.run(&flags(&addresses, token.path()));
    let told = said(&output);
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{told}");
    assert!(told.contains(&format!("worker {nowhere}: ")) && told.contains("nobody listens there"), "{told}");
}
