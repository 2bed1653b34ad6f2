//! A server whose every answer is scripted, and the harness run against it.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use claimrush_loadtest::results::Results;
use tempfile::TempDir;
use tokio::net::TcpSocket;

/// What the server does with a request.
pub(crate) enum Act {
    /// Answers after a while.
    Reply { after: Duration, status: u16, body: String, retry_after: Option<u64> },
    /// Closes the connection without an answer.
    Close,
    /// Answers, then closes the connection without having announced it.
    Once(Box<Act>),
}

impl Act {
    /// A new claim at once.
    pub(crate) fn claim(ticket: &str, seq: u64) -> Self {
        Self::reply(201, format!(r#"{{"claim_id":"clm_{ticket}","drop":"d","seq":{seq},"replayed":false}}"#))
    }

    /// An answer at once.
    pub(crate) fn reply(status: u16, body: String) -> Self {
        Self::Reply { after: Duration::ZERO, status, body, retry_after: None }
    }
}

/// A request as the script sees it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Its first line.
    pub(crate) line: String,
    /// Its headers, one a line, names in small letters.
    pub(crate) headers: Vec<String>,
    /// Where it comes from.
    pub(crate) peer: SocketAddr,
}

impl Asked {
    /// A header's value; empty without one.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = |line: &'_ String| line.strip_prefix(name)?.strip_prefix(": ").map(str::len);
        self.headers.iter().find_map(|line| Some(&line[line.len() - value(line)?..])).unwrap_or_default()
    }

    /// Its ticket; empty without one.
    pub(crate) fn ticket(&self) -> &str {
        self.header("authorization").strip_prefix("Bearer ").unwrap_or_default()
    }
}

/// Serves until the test's process ends; the script sees the ticket.
pub(crate) fn serve(script: impl Fn(&str) -> Act + Send + Sync + 'static) -> SocketAddr {
    serve_asked(move |asked| script(asked.ticket()))
}

/// Serves until the test's process ends; the script sees the whole request.
pub(crate) fn serve_asked(script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || serve_connections(&listener, usize::MAX, script));
    address
}

/// Serves so many connections; then nobody listens there any more.
pub(crate) fn serve_first(
    connections: usize,
    script: impl Fn(&str) -> Act + Send + Sync + 'static,
) -> SocketAddr {
    // Keeps the port when the listener has gone, so that no other test gets it.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = TcpListener::bind(socket.local_addr().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        serve_connections(&listener, connections, move |asked| script(asked.ticket()));
        drop(listener);
        let _kept = socket;
        loop {
            thread::park();
        }
    });
    address
}

fn serve_connections(
    listener: &TcpListener,
    connections: usize,
    script: impl Fn(&Asked) -> Act + Send + Sync + 'static,
) {
    let script = Arc::new(script);
    for stream in listener.incoming().take(connections) {
        let script = Arc::clone(&script);
        thread::spawn(move || serve_connection(stream.unwrap(), &*script));
    }
}

fn serve_connection(mut stream: TcpStream, script: &impl Fn(&Asked) -> Act) {
    stream.set_nodelay(true).unwrap();
    let Ok(peer) = stream.peer_addr() else { return };
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    loop {
        let Some(Ok(line)) = lines.next() else { return };
        let mut asked = Asked { line, headers: Vec::new(), peer };
        loop {
            let Some(Ok(line)) = lines.next() else { return };
            if line.is_empty() {
                break;
            }
            asked.headers.push(line);
        }
        let (act, last) = match script(&asked) {
            Act::Once(act) => (*act, true),
            act => (act, asked.header("connection") == "close"),
        };
        match act {
            Act::Close | Act::Once(_) => return,
            Act::Reply { after, status, body, retry_after } => {
                thread::sleep(after);
                let retry =
                    retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
                let length = body.len();
                let reply = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n{retry}\r\n{body}");
                if stream.write_all(reply.as_bytes()).is_err() || last {
                    return;
                }
            }
        }
    }
}

/// A port that is nobody's as long as this is there: taken, so that no other test gets it, and not listened on.
pub(crate) struct Nobody {
    _socket: TcpSocket,
    pub(crate) address: SocketAddr,
}

impl Nobody {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { address: socket.local_addr().unwrap(), _socket: socket }
    }
}

/// One run of the harness.
pub(crate) struct Rush {
    folder: TempDir,
    command: Command,
}

impl Rush {
    /// A run with `tickets` tickets, `t1` first, for the drop `d`.
    pub(crate) fn new(address: SocketAddr, tickets: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines: Vec<_> = (1..=tickets).map(|n| format!("t{n}\n")).collect();
        std::fs::write(folder.path().join("tickets"), lines.concat()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_claimrush-loadtest"));
        command.args(["rush", "--quiet", "--drop", "d", "--target", &format!("http://{address}")]);
        command.arg("--tickets").arg(folder.path().join("tickets"));
        command.arg("--json").arg(folder.path().join("results.json"));
        command.arg("--claims-log").arg(folder.path().join("claims.log"));
        Self { folder, command }
    }

    /// More arguments, in one text.
    pub(crate) fn with(mut self, arguments: &str) -> Self {
        self.command.args(arguments.split_whitespace());
        self
    }

    /// Runs it and expects this exit code.
    pub(crate) fn run(self, code: i32) -> Done {
        self.run_to(&[code])
    }

    /// Runs it, valid or not: a busy machine may leave the generator without CPU.
    pub(crate) fn run_on_busy_machine(self) -> Done {
        self.run_to(&[0, 3])
    }

    fn run_to(mut self, codes: &[i32]) -> Done {
        let output = self.command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code().unwrap();
        assert!(codes.contains(&code), "exit {code}: {said}{}", String::from_utf8_lossy(&output.stdout));
        Done { folder: self.folder, output }
    }
}

/// A run that has ended.
pub(crate) struct Done {
    folder: TempDir,
    output: Output,
}

impl Done {
    /// Its results.
    pub(crate) fn results(&self) -> Results {
        Results::read(&self.folder.path().join("results.json")).unwrap()
    }

    /// The folder of all that it wrote.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its claims log.
    pub(crate) fn claims_log(&self) -> PathBuf {
        self.folder.path().join("claims.log")
    }

    /// What it said to people.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// What it complained about.
    pub(crate) fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }
}

/// How often each ticket was seen.
#[derive(Default)]
pub(crate) struct Seen(Mutex<HashMap<String, u64>>);

impl Seen {
    /// So many times, this time included.
    pub(crate) fn times(&self, ticket: &str) -> u64 {
        let mut seen = self.0.lock().unwrap();
        let times = seen.entry(ticket.to_owned()).or_default();
        *times += 1;
        *times
    }
}

/// A clock that starts with the first request.
#[derive(Default)]
pub(crate) struct SinceFirst(std::sync::OnceLock<Instant>);

impl SinceFirst {
    /// Time since the first call.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.get_or_init(Instant::now).elapsed()
    }
}
