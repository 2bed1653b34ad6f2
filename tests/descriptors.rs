//! File descriptors: connections never take those that Redis and the ledger need.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use claimrush::datadir::RunInfo;
use claimrush::guard::ticket::{KEY_FILE_NAME, KeyFile};
use rustix::process::Signal;

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::Client;
use crate::support::ledger::rows;
use crate::support::mint::Mint;
use crate::support::redis::ManagedFolder;
use crate::support::service::{PATIENCE, Service};
use crate::support::signals::send_signal;
use crate::support::{claimrush, outcome, wait_for};

/// What a shell allows at first, and what it lets a program ask for.
const LIMITS: &str = "ulimit -S -n 64 && ulimit -H -n 300 && exec \"$@\"";
const PEOPLE: usize = 20;

/// What a metric of this name and kind says.
fn metric(admin: SocketAddr, name: &str) -> Option<String> {
    let answer = Client::connect(admin).call("GET", "/metrics", &[], b"");
    let text = String::from_utf8(answer.body).expect("metrics are text");
    text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")).map(str::to_owned))
}

#[test]
fn only_who_asked_for_more_connections_is_warned_that_fewer_are_held() {
    let why = "fewer connections are held than server.max_connections";
    for (settings, level) in [(&[][..], "INFO"), (&[("server.max_connections", "20001")], "WARN")] {
        let service = Service::start_under(&["sh", "-c", LIMITS, "sh"], settings);
        let told = |log: &str| log.lines().find(|line| line.contains(why)).map(str::to_owned);
        let line = wait_for("the log says it", PATIENCE, || told(&service.log()));
        assert!(line.contains(&format!(" {level} ")) && line.contains("connections=150"), "{line}");
    }
}

#[test]
fn more_connections_than_descriptors_keep_nobody_from_claiming() {
    let folder = ManagedFolder::new();
    let mut serve = Command::new("sh");
    serve.current_dir(folder.path()).args(["-c", LIMITS, "sh", env!("CARGO_BIN_EXE_claimrush"), "serve"]);
    serve.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data", "."]);
    let mut service = serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let info: RunInfo = wait_for("the service runs", PATIENCE, || {
        let ended = service.try_wait().expect("it is our child");
        assert!(ended.is_none(), "the service has ended: {ended:?}");
        serde_json::from_slice(&std::fs::read(folder.path().join("run.json")).ok()?).ok()
    });
    std::fs::write(folder.path().join("c.toml"), campaign("c", &[DropFile::open("d-1", 100)])).unwrap();
    let mut apply = claimrush(folder.path());
    let applied = apply.args(["campaign", "apply", "c.toml", "--data", "."]).output().expect("it runs");
    assert_eq!(outcome(&applied).0, 0, "{applied:?}");
    let mint = Mint::new(&KeyFile::load_or_create(&folder.path().join(KEY_FILE_NAME)).expect("a key file"));

    let connect = |address: SocketAddr| Client::connect(address);
    let mut people: Vec<Client> = (0..PEOPLE).map(|_| connect(info.listen)).collect();
    // They are held before the crowd comes.
    for client in &mut people {
        assert_eq!(client.call("GET", "/v1/time", &[], b"").status, 200);
    }
    let crowd: Vec<Client> = (0..400).map(|_| connect(info.listen)).collect();
    // Half of the limit is held, those who were there first among them; the others are closed, not left to wait.
    let refused = (400 + PEOPLE - 150).to_string();
    wait_for("all have come", PATIENCE, || {
        (metric(info.admin_listen, "claimrush_connections_refused_total")? == refused).then_some(())
    });
    assert_eq!(metric(info.admin_listen, "claimrush_connections_max").as_deref(), Some("150"));
    for (n, client) in people.iter_mut().enumerate() {
        assert_eq!(client.claim("d-1", &mint.ticket("d-1", &format!("p-{n}"))).status, 201);
    }
    wait_for("the drain has them", PATIENCE, || (rows(folder.path(), "d-1").len() == PEOPLE).then_some(()));
    drop(crowd);
    send_signal(service.id(), Signal::TERM);
    let ended = wait_for("the service stops", PATIENCE, || service.try_wait().expect("it is our child"));
    assert_eq!(ended.code(), Some(0));
}
