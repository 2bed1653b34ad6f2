//! Arguments, inputs and exit codes.

use std::{fs, process::Command};

use claimrush_loadtest::results::Results;

use crate::script::{Act, Nobody, Rush, serve};

fn harness(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_claimrush-loadtest")).args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn rush_with_tickets(tickets: &str, more: &[&str]) -> (Option<i32>, String) {
    let mut arguments = vec!["rush", "--drop", "d", "--duration", "1", "--quiet", "--tickets", tickets];
    arguments.extend_from_slice(more);
    harness(&arguments)
}

#[test]
fn bad_ticket_files_are_named_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tickets");
    let try_with = |content: Option<&str>| {
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        rush_with_tickets(path.to_str().unwrap(), &["--target", "http://127.0.0.1:1", "--connections", "1"])
    };
    for (content, complaint) in [
        (None, "No such file"),
        (Some(""), "holds no ticket"),
        (Some("a\nb c\n"), "line 2 has a character that no ticket has"),
        (Some("a\n\nb\n"), "line 2 is empty"),
    ] {
        let (code, said) = try_with(content);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(complaint) && said.trim().lines().count() == 1, "{said}");
    }
}

#[test]
fn bad_arguments_are_refused() {
    let target = ["--target", "http://127.0.0.1:1"];
    for (more, complaint) in [
        (vec![], "--target"),
        (target.to_vec(), "--rate"),
        ([&target[..], &["--connections", "0"]].concat(), "1000000"),
        ([&target[..], &["--rate", "0"]].concat(), "--rate"),
        (
            vec!["--target", "https://127.0.0.1", "--rate", "1"],
            "--target: \"https://127.0.0.1\" is no address",
        ),
        (
            vec!["--target", "http://127.0.0.1/x", "--rate", "1"],
            "allowed is http://host:port, without a path",
        ),
        ([&target[..], &["--rate", "1", "--path", "x"]].concat(), "--path: \"x\" is no path"),
        ([&target[..], &["--rate", "1", "--method", "FETCH"]].concat(), "GET, POST, PUT, PATCH, DELETE"),
    ] {
        let (code, said) = rush_with_tickets("none", &more);
        assert_eq!(code, Some(2), "{more:?}: {said}");
        assert!(said.contains(complaint), "{more:?}: {said}");
    }
}

#[test]
fn a_process_that_does_not_exist_cannot_be_watched() {
    let address = serve(|ticket| Act::claim(ticket, 1));
    let done = Rush::new(address, 1).with("--connections 1 --duration 1 --cpu-of 4194305").run(2);
    assert!(done.complaint().contains("there is no process 4194305"));
}

#[test]
fn nothing_listening_is_an_invalid_run() {
    let nobody = Nobody::new();
    let done = Rush::new(nobody.address, 1).with("--connections 1 --duration 1").run(3);
    assert!(done.complaint().contains("nothing accepts connections"));
}

#[test]
fn a_rush_leaves_the_files_of_a_run_where_they_are_asked_for() {
    let address = serve(|ticket| Act::claim(ticket, 1));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let arguments = format!("--connections 2 --duration 10 --name trial --out {}", out.display());
    let done = Rush::new(address, 20).with(&arguments).run(0);
    let results = done.results();
    assert_eq!((results.scenario.name.as_str(), results.total.granted), ("trial", 20));
    assert_eq!(Results::read(&out.join("results.json")).unwrap(), results);
    for name in ["report.html", "junit.xml", "times.hlog", "series.csv"] {
        assert!(fs::metadata(out.join(name)).unwrap().len() > 100, "{name}");
    }
    let told = done.text();
    assert!(told.contains("trial: closed model") && told.contains("2 connections"), "{told}");

    let (page, json) = (folder.path().join("page.html"), done.folder().join("results.json"));
    let [page_text, json] = [&page, &json].map(|path| path.to_str().unwrap());
    let (code, said) =
        harness(&["report", json, json, "--mark", "1=kill", "--title", "Two", "--out", page_text]);
    assert_eq!(code, Some(0), "{said}");
    let written = fs::read_to_string(&page).unwrap();
    assert!(written.contains("<h1>Two</h1>") && written.contains("Then: trial"));
    let (code, said) = harness(&["report", json, "--mark", "kill", "--out", page_text]);
    assert!(code == Some(2) && said.contains("a moment and a label are needed"), "{said}");
}

#[test]
fn a_rush_tells_how_it_goes_a_line_a_second() {
    let address = serve(|ticket| Act::claim(ticket, 1));
    let folder = tempfile::tempdir().unwrap();
    let tickets = folder.path().join("tickets");
    fs::write(&tickets, "t\n".repeat(1_000)).unwrap();
    let target = format!("http://{address}");
    let rush = ["rush", "--target", &target, "--drop", "d", "--tickets", tickets.to_str().unwrap()];
    let (_, said) = harness(&[&rush[..], &["--rate", "100", "--duration", "2.5"]].concat());
    let seconds =
        said.lines().filter(|line| line.contains("sent 1") && line.contains("/s  answered")).count();
    assert!((1..=3).contains(&seconds), "{said}");
}

#[test]
fn a_bench_needs_the_binary_that_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let (code, said) = harness(&["bench", "--service-bin", "/nonexistent", "--out", out]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("no service binary at /nonexistent"));
}
