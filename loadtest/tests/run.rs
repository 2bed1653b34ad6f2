//! `run`, from a scenario file to its files and its exit code.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::script::{Act, Nobody, serve, serve_first};

/// So few people that a run of them is valid however late some of them come on a busy machine.
pub(crate) const FEW: u32 = 10;

/// A folder with a scenario and the tickets of two thousand people.
pub(crate) struct Rehearsal {
    folder: tempfile::TempDir,
    service: SocketAddr,
}

impl Rehearsal {
    /// Of two hundred people a second, for two seconds.
    pub(crate) fn new(service: SocketAddr) -> Self {
        let arrivals = "profile = \"constant\"\nrate = 200\nduration = \"2s\"\nspacing = \"even\"";
        Self::with_arrivals(service, arrivals)
    }

    /// Of so many people, two hundred a second, who are all served, however busy the machine is.
    pub(crate) fn of_crowd(service: SocketAddr, people: u32) -> Self {
        let rehearsal = Self::with_arrivals(service, "profile = \"trace\"\nfile = \"crowd.csv\"");
        let offset = |text: String, n| text + &format!("{:?}\n", f64::from(n) / 200.0);
        let offsets = (0..people).fold("offset_s\n".to_owned(), offset);
        fs::write(rehearsal.path("crowd.csv"), offsets).unwrap();
        rehearsal
    }

    pub(crate) fn with_arrivals(service: SocketAddr, arrivals: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tickets = folder.path().join("tickets");
        fs::write(&tickets, (1..=2_000).fold(String::new(), |text, n| text + &format!("t{n}\n"))).unwrap();
        let scenario = format!(
            r#"
            name = "trial"
            thresholds = ["granted > 0", "p99 < 5s", "code.overloaded == 0"]
            [service]
            url = "http://{service}"
            [[drop]]
            id = "d"
            [arrivals]
            {arrivals}
            [connections]
            count = 8
            [tickets]
            source = "file"
            path = "{}"
            "#,
            tickets.display()
        );
        fs::write(folder.path().join("trial.toml"), scenario).unwrap();
        Self { folder, service }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_claimrush-loadtest"));
        command.arg("run").arg(self.path("trial.toml")).arg("--quiet").args(more);
        command.arg("--out").arg(self.path("out"));
        command
    }

    pub(crate) fn run(&self, more: &[&str]) -> Output {
        self.command(more).output().unwrap()
    }

    pub(crate) fn results(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path("out/results.json")).unwrap()).unwrap()
    }
}

/// A service that grants everything.
pub(crate) fn generous() -> SocketAddr {
    let granted = AtomicU64::new(0);
    serve(move |ticket| Act::claim(ticket, granted.fetch_add(1, Ordering::Relaxed) + 1))
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn lines_of(path: &Path) -> usize {
    fs::read_to_string(path).unwrap().lines().count()
}

#[test]
fn a_run_leaves_its_files_and_ends_with_zero() {
    let rehearsal = Rehearsal::of_crowd(generous(), FEW);
    let output = rehearsal.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("10 granted") && told.contains("Everything held (exit code 0)"), "{told}");
    let results = rehearsal.results();
    assert_eq!(results["total"]["granted"], FEW);
    assert_eq!(results["schedule"]["scheduled"], FEW);
    assert_eq!(results["scenario"]["service"]["url"], format!("http://{}", rehearsal.service));
    assert_eq!(lines_of(&rehearsal.path("out/claims.jsonl")), 10);
    for name in ["report.html", "junit.xml", "times.hlog", "series.csv"] {
        assert!(fs::metadata(rehearsal.path("out").join(name)).unwrap().len() > 100, "{name}");
    }
}

#[test]
fn a_missed_threshold_ends_with_one_and_stands_in_the_junit_file() {
    let rehearsal = Rehearsal::of_crowd(generous(), FEW);
    let output = rehearsal.run(&["--set", "thresholds=[\"granted == 7\"]"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let junit = fs::read_to_string(rehearsal.path("out/junit.xml")).unwrap();
    assert!(junit.contains("granted == 7") && junit.contains("<failure"), "{junit}");
}

#[test]
fn a_bad_scenario_is_a_usage_error_in_one_line_that_names_the_key() {
    let rehearsal = Rehearsal::new(generous());
    for (set, named) in [
        ("arrivals.rate=-1", "arrivals.rate"),
        ("arrivals.colour=red", "colour"),
        ("thresholds=[\"p98 < 5ms\"]", "p98"),
        ("drop.0.id=", "drop.0.id"),
    ] {
        let output = rehearsal.run(&["--set", set]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(named) && said.trim().lines().count() == 1, "{said}");
    }
}

#[test]
fn a_run_at_nothing_is_invalid() {
    let nobody = Nobody::new();
    let output = Rehearsal::new(nobody.address).run(&[]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("INVALID RUN: nothing accepts connections"), "{}", said(&output));
}

/// Something that is no service: says this as soon as somebody comes, or once they have asked, and hangs up.
fn stranger(asked: bool, says: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let meet = move |mut stream: TcpStream| {
        let heard = if asked { stream.read(&mut [0; 4_096]) } else { Ok(0) };
        let said = heard.and_then(|_| stream.write_all(says)).and_then(|()| stream.shutdown(Shutdown::Write));
        // Whoever goes before that has heard enough.
        said.and_then(|()| io::copy(&mut stream, &mut io::sink())).unwrap_or_default();
    };
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || meet(stream));
        }
    });
    address
}

#[test]
fn a_run_at_what_does_not_speak_http_says_what_it_heard() {
    for (asked, says, heard) in [
        (false, &b"SSH-2.0-OpenSSH_9.2p1\r\n"[..], r#"but says \"SSH-2.0-OpenSSH_9.2p1\""#),
        (true, b"-ERR unknown command 'POST'\r\n", r#"but says \"-ERR unknown command 'POST'\""#),
        (true, b"", "connections are closed without a word"),
    ] {
        let rehearsal = Rehearsal::of_crowd(stranger(asked, says), FEW);
        let output = rehearsal.run(&["--set", "connections.grace=200ms"]);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        let why = rehearsal.results()["verdict"]["invalid_because"][0].to_string();
        assert!(why.contains("no request was answered: ") && why.contains(heard), "{why}");
    }
}

#[test]
fn a_run_that_comes_to_nothing_leaves_no_results_of_an_earlier_one() {
    let rehearsal = Rehearsal::of_crowd(generous(), FEW);
    assert_eq!(rehearsal.run(&[]).status.code(), Some(0));
    fs::write(rehearsal.path("out/notes.txt"), "mine").unwrap();
    // Refused before the log of this one is begun.
    let output = rehearsal.run(&["--set", "tickets.path=nowhere"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(!rehearsal.path("out/claims.jsonl").exists());
    let nobody = Nobody::new();
    let output = rehearsal.run(&["--target", &format!("http://{}", nobody.address)]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    for name in ["results.json", "report.html", "junit.xml", "times.hlog", "series.csv"] {
        assert!(!rehearsal.path("out").join(name).exists(), "{name}");
    }
    assert!(rehearsal.path("out/notes.txt").exists());
}

/// A service that grants everything, each claim on a connection of its own, until it goes away after so many.
fn mortal(connections: usize) -> SocketAddr {
    let granted = AtomicU64::new(0);
    serve_first(connections, move |ticket| {
        Act::Once(Box::new(Act::claim(ticket, granted.fetch_add(1, Ordering::Relaxed) + 1)))
    })
}

#[test]
fn a_service_that_goes_away_makes_its_run_invalid_whatever_carries_the_people() {
    for reuse in ["keep_alive", "per_person", "new_each"] {
        let rehearsal = Rehearsal::new(mortal(100));
        let reuse = format!("connections.reuse={reuse}");
        let output = rehearsal.run(&["--set", &reuse, "--set", "connections.grace=200ms"]);
        let results = rehearsal.results();
        assert_eq!(output.status.code(), Some(3), "{reuse}: {}", results["schedule"]);
        assert!(results["schedule"]["dropped"].as_u64().unwrap() > 200, "{reuse}: {}", results["schedule"]);
        let why = results["verdict"]["invalid_because"].to_string();
        assert!(
            why.contains("never left") && why.contains("no connection could be opened"),
            "{reuse}: {why}"
        );
    }
}

#[test]
fn a_closed_model_is_invalid_too_and_as_long_as_it_was_to_be() {
    for reuse in ["keep_alive", "per_person"] {
        let rehearsal = Rehearsal::with_arrivals(mortal(100), "profile = \"closed\"\nduration = \"1500ms\"");
        let reuse = format!("connections.reuse={reuse}");
        let output = rehearsal.run(&["--set", &reuse, "--set", "connections.grace=200ms"]);
        let results = rehearsal.results();
        let why = results["verdict"]["invalid_because"].to_string();
        assert_eq!(output.status.code(), Some(3), "{reuse}: {}", results["verdict"]);
        assert!(why.contains("could not be opened any more until the end"), "{reuse}: {why}");
        assert!(results["elapsed_s"].as_f64().unwrap() >= 1.5, "{reuse}: {}", results["elapsed_s"]);
    }
}

#[test]
fn a_generator_that_was_stopped_for_a_while_marks_its_run_invalid() {
    let rehearsal = Rehearsal::new(generous());
    let mut child = rehearsal
        .command(&["--set", "arrivals.duration=4s"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let log = rehearsal.path("out/claims.jsonl");
    let patience = Instant::now() + Duration::from_secs(20);
    // Claims reach the log only once people have come.
    while fs::metadata(&log).map_or(0, |file| file.len()) == 0 {
        assert!(Instant::now() < patience, "nobody came");
        thread::sleep(Duration::from_millis(10));
    }
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
    };
    signal("-STOP");
    thread::sleep(Duration::from_millis(400));
    signal("-CONT");
    let code = child.wait().unwrap().code();
    let results = rehearsal.results();
    assert_eq!(code, Some(3), "{}", results["schedule"]);
    assert!(results["schedule"]["late_generator"].as_u64().unwrap() > 10, "{}", results["schedule"]);
    let why = results["verdict"]["invalid_because"].to_string();
    assert!(why.contains("generator"), "{why}");
}

#[test]
fn two_runs_can_be_compared_and_the_schemas_printed() {
    let rehearsal = Rehearsal::of_crowd(generous(), FEW);
    let output = rehearsal.run(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(rehearsal.results()["total"]["granted"], FEW);
    let (results, page) = (rehearsal.path("out/results.json"), rehearsal.path("compare.html"));
    let harness = || Command::new(env!("CARGO_BIN_EXE_claimrush-loadtest"));
    let compared =
        harness().arg("compare").args([&results, &results]).arg("--out").arg(&page).output().unwrap();
    assert_eq!(compared.status.code(), Some(0), "{}", said(&compared));
    assert!(fs::read_to_string(page).unwrap().contains("</html>"));
    for document in ["scenario", "results"] {
        let printed = harness().args(["schema", document]).output().unwrap().stdout;
        let published = format!("{}/schema/{document}.schema.json", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(String::from_utf8_lossy(&printed), fs::read_to_string(published).unwrap(), "{document}");
    }
}
