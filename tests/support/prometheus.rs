//! Prometheus and its tool, where the machine has them.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::service::PATIENCE;
use super::{folder, wait_for};

/// The folder of the rules.
pub(crate) fn rules_dir() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus"))
}

/// Whether this program can be run here; says so if it cannot.
pub(crate) fn is_there(program: &str) -> bool {
    let mut look = Command::new(program);
    look.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let there = look.status().is_ok_and(|status| status.success());
    if !there {
        eprintln!("{program} is not here: what needs it is left out");
    }
    there
}

/// A Prometheus of the test's own, with the rules of `deploy/prometheus`; ended when dropped.
pub(crate) struct Prometheus {
    _work: TempDir,
    process: Child,
    address: SocketAddr,
}

impl Prometheus {
    /// Starts one that scrapes this admin listener, more often than anybody would.
    pub(crate) fn start(target: SocketAddr) -> Self {
        let work = folder();
        for rules in ["recording.yml", "alerts.yml"] {
            std::fs::copy(rules_dir().join(rules), work.path().join(rules)).expect("it is copied");
        }
        let sample = std::fs::read_to_string(rules_dir().join("prometheus.yml")).expect("it is there");
        let config =
            sample.replace("interval: 5s", "interval: 500ms").replace("127.0.0.1:9090", &target.to_string());
        assert!(
            config.contains("scrape_interval: 500ms") && config.contains(&target.to_string()),
            "{config}"
        );
        std::fs::write(work.path().join("prometheus.yml"), config).expect("it is written");
        let log = work.path().join("log");
        let process = Command::new("prometheus")
            .args([
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                "--web.listen-address=127.0.0.1:0",
            ])
            .current_dir(work.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a log"))
            .spawn()
            .expect("it starts");
        let mut prometheus = Self { _work: work, process, address: target };
        prometheus.address = wait_for("prometheus listens", PATIENCE, || {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let ended = prometheus.process.try_wait().expect("it is our child");
            assert!(ended.is_none(), "{said}");
            let line = said.lines().find(|line| line.contains("\"Listening on\""))?;
            line.rsplit_once("address=")?.1.trim().parse().ok()
        });
        prometheus
    }

    /// How many series an expression has now, those that are no number left out; what is wrong with it, if something is.
    pub(crate) fn count(&self, expr: &str) -> Result<u64, String> {
        let wrapped = format!("count(({expr}) >= 0 or ({expr}) < 0)");
        let answer = self.get(&format!("/api/v1/query?query={}", escaped(&wrapped)));
        let text = |place: &str| answer.pointer(place).and_then(Value::as_str);
        if text("/status") != Some("success") {
            return Err(text("/error").unwrap_or("it is not ready").to_owned());
        }
        let value = text("/data/result/0/value/1").unwrap_or("0");
        value.parse().map_err(|_| format!("{value} is no count"))
    }

    /// All groups of rules, with how they are.
    pub(crate) fn rules(&self) -> Value {
        self.get("/api/v1/rules").pointer("/data/groups").cloned().unwrap_or_default()
    }

    /// By HTTP/1.0, in which an answer of unknown length ends with its connection.
    fn get(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is set");
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        serde_json::from_str(body).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A text as it stands in a URL.
fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut url, byte| {
        if byte.is_ascii_alphanumeric() {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
        url
    })
}

/// Every expression in a file of rules: it begins after `expr:`, and goes on in the lines that stand further in.
pub(crate) fn expressions(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(rules_dir().join(file)).expect("it is there");
    let mut found: Vec<String> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(begins) = line.strip_prefix("        expr:") {
            found.push(begins.trim().trim_start_matches('|').to_owned());
            inside = true;
        } else if inside && line.starts_with("          ") {
            found.last_mut().expect("one has begun").push_str(line);
        } else {
            inside = false;
        }
    }
    found
}
