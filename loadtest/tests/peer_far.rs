//! A longer way to a server.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::script::Nobody;

const ROUND_TRIP: Duration = Duration::from_millis(60);
/// Longer than anything that is waited for takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The way, ended with the test.
struct Far {
    child: Child,
    address: SocketAddr,
}

impl Far {
    fn before(to: SocketAddr) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_claimrush-loadtest"))
            .args(["peer", "far", "--listen", "127.0.0.1:0", "--round-trip", "60ms", "--to", &to.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(',').next()).unwrap();
        Self { address: address.parse().unwrap(), child }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A server that says what it is told.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || io::copy(&mut stream.try_clone().unwrap(), &mut stream));
        }
    });
    address
}

#[test]
fn what_is_far_answers_later_and_says_the_same() {
    let far = Far::before(echo());
    let mut stream = far.connect();
    let mut said = [0; 4];
    for _ in 0..3 {
        let asked = Instant::now();
        stream.write_all(b"ping").unwrap();
        stream.read_exact(&mut said).unwrap();
        assert!(asked.elapsed() >= ROUND_TRIP && &said == b"ping", "{:?}", asked.elapsed());
    }

    let text: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut writing = stream.try_clone().unwrap();
    let written = thread::spawn({
        let text = text.clone();
        move || {
            writing.write_all(&text).unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        }
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    written.join().unwrap();
    assert!(back == text, "{} of {} bytes came back", back.len(), text.len());
}

#[test]
fn nobody_is_kept_waiting_where_the_way_leads_nowhere() {
    let nobody = Nobody::new();
    let far = Far::before(nobody.address);
    for _ in 0..2 {
        assert!(matches!(far.connect().read(&mut [0]), Ok(0) | Err(_)));
    }
}

#[test]
fn a_round_trip_is_a_time_within_bounds() {
    for (time, complaint) in [("11s", "at most 10s"), ("5", "time unit needed"), ("far", "expected number")] {
        let output = Command::new(env!("CARGO_BIN_EXE_claimrush-loadtest"))
            .args(["peer", "far", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", "--round-trip", time])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(complaint), "{said}");
    }
}
