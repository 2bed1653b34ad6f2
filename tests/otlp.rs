//! Spans to an OpenTelemetry collector: a small one here, which takes what comes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use crate::support::campaign::{DropFile, campaign};
use crate::support::http::{Client, bearer, claims_path};
use crate::support::service::{PATIENCE, Service};
use crate::support::wait_for;

/// Bodies that were posted to the collector, with their paths.
type Taken = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

fn collector() -> (SocketAddr, Taken) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let taken = Taken::default();
    let keep = Arc::clone(&taken);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = BufReader::new(stream);
            loop {
                let (mut head, mut length) = (String::new(), 0);
                while stream.read_line(&mut head).is_ok_and(|bytes| bytes > 2) {
                    let line = head.lines().last().unwrap_or_default().to_ascii_lowercase();
                    if let Some(value) = line.strip_prefix("content-length:") {
                        length = value.trim().parse().expect("a length");
                    }
                }
                if head.is_empty() {
                    break;
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).expect("a body");
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                keep.lock().expect("it is ours").push((path, body));
                stream
                    .get_mut()
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .expect("it is taken");
            }
        }
    });
    (address, taken)
}

fn holds(body: &[u8], bytes: &[u8]) -> bool {
    body.windows(bytes.len()).any(|window| window == bytes)
}

#[test]
fn a_recorded_trace_gets_a_span_and_no_other_does() {
    let (address, taken) = collector();
    let url = format!("http://{address}/v1/traces");
    let mut service = Service::start_with(&[("trace.otlp_url", &url)], &[]);
    service.apply_ok(&campaign("c-1", &[DropFile::open("d-1", 9)]));
    let mut client = Client::connect(service.address());
    let mut claim = |person: &str, parent: &str| {
        let authorization = bearer(&service.ticket("d-1", person));
        let headers = [("authorization", authorization.as_str()), ("traceparent", parent)];
        client.call("POST", &claims_path("d-1"), &headers, b"")
    };
    let recorded = claim("ann", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let other = claim("bob", "00-11111111111111111111111111111111-b7ad6b7169203331-00");
    assert_eq!((recorded.status, other.status), (201, 201));
    let told = recorded.header("server-timing").expect("it is told").to_owned();
    let span = told.split('-').nth(2).map(str::to_owned).expect("a span");
    let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).expect("hex");
    let (path, body) = wait_for("a span comes", PATIENCE, || {
        let bodies = taken.lock().expect("it is ours");
        bodies.iter().find(|(_, body)| holds(body, &hex("0af7651916cd43dd8448eb211c80319c"))).cloned()
    });
    assert_eq!(path, "/v1/traces");
    for id in ["b7ad6b7169203331", &span] {
        assert!(holds(&body, &hex(id)), "{id} is not in the span");
    }
    for word in ["claimrush", "claim", "granted", "d-1", "service.version"] {
        assert!(holds(&body, word.as_bytes()), "{word} is not in the span");
    }
    // Whatever was taken is handed on before the end.
    claim("cid", "00-22222222222222222222222222222222-b7ad6b7169203331-01");
    service.stop();
    let bodies = taken.lock().expect("it is ours");
    let any = |id: &str| bodies.iter().any(|(_, body)| holds(body, &hex(id)));
    assert!(any("22222222222222222222222222222222"));
    assert!(!any("11111111111111111111111111111111"), "nobody records it");
    assert!(!bodies.iter().any(|(_, body)| holds(body, b"ann")), "no person is in a span");
}
