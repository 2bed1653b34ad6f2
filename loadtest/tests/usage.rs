//! Arguments, inputs and exit codes.

use std::{fs, net::TcpListener, process::Command};

use crate::script::{Act, Rush, serve};

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
        (vec!["--target", "https://127.0.0.1", "--rate", "1"], "only http://"),
        (vec!["--target", "http://127.0.0.1/x", "--rate", "1"], "only scheme"),
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
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let done = Rush::new(free, 1).with("--connections 1 --duration 1").run(3);
    assert!(done.complaint().contains("nothing accepts connections"));
}

#[test]
fn a_bench_needs_the_binary_that_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let (code, said) = harness(&["bench", "--service-bin", "/nonexistent", "--out", out]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("no service binary at /nonexistent"));
}
