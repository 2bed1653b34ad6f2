//! `claimrush campaign …`, through the built binary against an admin listener of the test's own: what is sent,
//! what is printed, and how failures end.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use claimrush::clock::Clock;
use claimrush::datadir::{DataDir, secret_file};

use crate::support::postgres::own_port;
use crate::support::{claimrush, folder, outcome, run_info};

/// An admin listener that answers one request, and gives back what it was asked.
fn answer_once(status: &'static str, body: &'static str) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = Vec::new();
        let mut chunk = [0; 1024];
        loop {
            let read = stream.read(&mut chunk).expect("it sends");
            request.extend_from_slice(&chunk[..read]);
            let text = String::from_utf8_lossy(&request).into_owned();
            let Some((head, sent)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if sent.len() < length.map_or(0, |length| length.parse().expect("a number")) {
                continue;
            }
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).expect("it listens");
            return text;
        }
    });
    (port, thread)
}

/// Runs `campaign` in a data folder whose service is this process, listening on `admin_port`.
fn campaign(admin_port: u16, args: &[&str]) -> (i32, String, String) {
    let folder = folder();
    let dir = DataDir::create(&folder.path().join("claimrush-data")).expect("it is made");
    let lock = dir.lock(&Clock::System).expect("it is free");
    lock.write_run_info(&run_info(std::process::id(), admin_port)).expect("it is written");
    secret_file(&dir.admin_token_path(), || "token-1".to_owned()).expect("it is made");
    std::fs::write(folder.path().join("c.toml"), "id = \"c-1\"\n").expect("it is written");
    outcome(&claimrush(folder.path()).arg("campaign").args(args).output().expect("it runs"))
}

const CAMPAIGN: &str = r#"{"id":"c-1","name":"彩云","state":"paused","budget":"100.00 CNY","time_zone":"Asia/Shanghai",
    "drops":[{"id":"d-1","state":"paused","opens_at":"O","closes_at":"C","stock_total":40,"stock_left":null,"limit_per_person":1}]}"#;

#[test]
fn a_campaign_file_is_sent_as_it_is_and_what_changed_is_printed() {
    let (port, server) =
        answer_once("200 OK", r#"{"campaign":"c-1","outcome":"changed","changes":["d-1: stock 40 to 50"]}"#);
    let (exit, out, err) = campaign(port, &["apply", "c.toml", "--opens-at", "2023-11-20T10:00:00+08:00"]);
    assert_eq!((exit, out.as_str(), err.as_str()), (0, "c-1 changed\n  d-1: stock 40 to 50\n", ""));
    let request = server.join().expect("it was asked");
    assert!(
        request.starts_with("POST /admin/v1/campaigns?opens_at_ms=1700445600000 HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nauthorization: Bearer token-1\r\n"), "{request}");
    assert!(request.contains("\r\ncontent-type: application/toml\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\nid = \"c-1\"\n"), "{request}");
}

#[test]
fn a_refused_campaign_file_is_named_with_its_line() {
    let problem = r#"{"title":"bad request","code":"bad_request","detail":"line 7: stock = 0: must be 1 to 4294967295"}"#;
    let (port, server) = answer_once("400 Bad Request", problem);
    let (exit, out, err) = campaign(port, &["apply", "c.toml"]);
    let line = "claimrush: c.toml: line 7: stock = 0: must be 1 to 4294967295\n";
    assert_eq!((exit, out.as_str(), err.as_str()), (1, "", line));
    server.join().expect("it was asked");
}

#[test]
fn campaigns_are_listed_shown_paused_and_resumed() {
    let list: &'static str = Box::leak(format!("{{\"campaigns\":[{CAMPAIGN}]}}").into_boxed_str());
    for (args, request_line, body, printed) in [
        (
            &["list"][..],
            "GET /admin/v1/campaigns ",
            list,
            "CAMPAIGN  STATE   DROPS  STOCK  BUDGET      NAME\nc-1       paused  1      40     100.00 CNY  彩云\n",
        ),
        (
            &["show", "c-1"],
            "GET /admin/v1/campaigns/c-1 ",
            CAMPAIGN,
            "c-1  彩云\nstate paused, budget 100.00 CNY, time zone Asia/Shanghai\n\n\
             DROP  STATE   OPENS  CLOSES  STOCK  LEFT  PER PERSON\nd-1   paused  O      C       40     -     1\n",
        ),
        (&["pause", "c-1"], "POST /admin/v1/campaigns/c-1/pause ", CAMPAIGN, "c-1 is paused\n"),
        (&["resume", "c-1"], "POST /admin/v1/campaigns/c-1/resume ", CAMPAIGN, "c-1 is paused\n"),
    ] {
        let (port, server) = answer_once("200 OK", body);
        assert_eq!(campaign(port, args), (0, printed.to_owned(), String::new()), "{args:?}");
        let request = server.join().expect("it was asked");
        assert!(request.starts_with(request_line), "{request}");
    }
}

#[test]
fn an_admin_listener_that_does_not_answer_is_unavailable() {
    let port = own_port();
    let (exit, out, err) = campaign(port, &["list"]);
    assert_eq!((exit, out.as_str()), (69, ""));
    let line =
        format!("claimrush: no answer from the admin listener at 127.0.0.1:{port}: Connection refused");
    assert!(err.starts_with(&line), "{err}");

    let (port, server) = answer_once("200 OK", "<html>");
    let (exit, _, err) = campaign(port, &["list"]);
    assert_eq!(exit, 69, "{err}");
    server.join().expect("it was asked");
}

#[test]
fn a_folder_that_nobody_serves_is_unavailable() {
    let folder = folder();
    let output =
        claimrush(folder.path()).args(["campaign", "list", "--data", "gone"]).output().expect("it runs");
    assert_eq!(
        outcome(&output),
        (69, String::new(), "claimrush: no service runs on gone: there is no such folder\n".to_owned())
    );
}
