//! A stand-in for a service somewhere else: answers every request with what it is told to, and counts them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

pub(crate) struct StandIn {
    address: SocketAddr,
    said: Arc<Mutex<(u16, String)>>,
    heard: Arc<Mutex<String>>,
    count: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StandIn {
    /// Starts one that says this.
    pub(crate) fn start(status: u16, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let said = Arc::new(Mutex::new((status, body.to_owned())));
        let (heard, count) = (Arc::new(Mutex::new(String::new())), Arc::new(AtomicUsize::new(0)));
        let stopped = Arc::new(AtomicBool::new(false));
        let thread = {
            let (said, heard, count, stopped) =
                (Arc::clone(&said), Arc::clone(&heard), Arc::clone(&count), Arc::clone(&stopped));
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    if stopped.load(Ordering::Acquire) {
                        return;
                    }
                    let Some((mut stream, request)) = hear(stream) else { continue };
                    let said = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    // Counted before it is answered: whoever has the answer finds it counted.
                    *heard.lock().unwrap_or_else(PoisonError::into_inner) = request;
                    count.fetch_add(1, Ordering::AcqRel);
                    let (status, body) = said;
                    let length = body.len();
                    let head = format!(
                        "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                    );
                    let _ = stream.write_all((head + &body).as_bytes());
                }
            })
        };
        Self { address, said, heard, count, stopped, thread: Some(thread) }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/anything", self.address)
    }

    /// What it says from now on.
    pub(crate) fn say(&self, status: u16, body: &str) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = (status, body.to_owned());
    }

    /// How often it was asked.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// What it was asked last.
    pub(crate) fn heard(&self) -> String {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads one request; nothing for somebody who only knocked.
fn hear(mut stream: TcpStream) -> Option<(TcpStream, String)> {
    let mut request = String::new();
    let mut buffer = [0_u8; 4_096];
    loop {
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        request.push_str(&String::from_utf8_lossy(buffer.get(..read)?));
        let Some((head, so_far)) = request.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if so_far.len() >= length.unwrap_or(0_usize) {
            return Some((stream, request));
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
