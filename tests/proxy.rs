//! The proxy of the fault tests does to a connection what it says.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use crate::support::folder;
use crate::support::proxy::{Direction, Proxy, Upstream, Weather};
use crate::support::service::PATIENCE;
use crate::support::wait_for;

/// Sends every byte back; `mark` follows what came in each read.
fn echo(mut stream: impl Read + Write, mark: &[u8]) {
    let mut piece = [0; 1_024];
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        if stream.write_all(&piece[..count]).and_then(|()| stream.write_all(mark)).is_err() {
            return;
        }
    }
}

fn tcp_echo(mark: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || echo(stream, mark));
        }
    });
    address
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn say(stream: &mut TcpStream, words: &[u8], answer: &[u8]) {
    stream.write_all(words).unwrap();
    let mut found = vec![0; answer.len()];
    stream.read_exact(&mut found).unwrap();
    assert_eq!(found, answer);
}

#[test]
fn bytes_pass_unchanged_to_tcp_and_to_unix_sockets() {
    let folder = folder();
    let socket = folder.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || echo(listener.accept().unwrap().0, b"/"));
    let proxy = Proxy::start(Upstream::Tcp(tcp_echo(b".")));
    say(&mut connect(&proxy), b"tcp", b"tcp.");
    proxy.point_to(Upstream::Unix(socket));
    say(&mut connect(&proxy), b"unix", b"unix/");
    wait_for("both have ended", PATIENCE, || (proxy.connections() == 0).then_some(()));
}

#[test]
fn slices_delays_and_limits() {
    let proxy = Proxy::start(Upstream::Tcp(tcp_echo(b"")));
    let mut stream = connect(&proxy);
    let pause = Duration::from_millis(40);
    proxy.set(Weather { delay: pause, ..Weather::default() });
    let began = Instant::now();
    say(&mut stream, b"slow", b"slow");
    assert!(began.elapsed() >= 2 * pause, "held on the way there and back");
    proxy.set(Weather { bytes_per_second: 1_000, ..Weather::default() });
    let began = Instant::now();
    say(&mut stream, &[b'x'; 60], &[b'x'; 60]);
    say(&mut stream, b"y", b"y");
    assert!(began.elapsed() >= Duration::from_millis(60), "60 bytes at 1,000 a second");
    // So slowly that the second byte is not there yet, however late the first one is read.
    proxy.set(Weather { sliced: true, bytes_per_second: 1, ..Weather::default() });
    stream.write_all(b"abc").unwrap();
    let mut piece = [0; 8];
    assert_eq!(stream.read(&mut piece).unwrap(), 1, "a byte comes alone");
}

#[test]
fn what_a_hole_swallows_is_lost_with_its_connection() {
    let proxy = Proxy::start(Upstream::Tcp(tcp_echo(b"")));
    let (mut torn, mut whole) = (connect(&proxy), connect(&proxy));
    say(&mut torn, b"a", b"a");
    say(&mut whole, b"a", b"a");
    proxy.set(Weather { hole: Some(Direction::Replies), ..Weather::default() });
    torn.write_all(b"lost").unwrap();
    wait_for("it is swallowed", PATIENCE, || (proxy.swallowed() == 4).then_some(()));
    proxy.heal();
    assert_eq!(torn.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    say(&mut whole, b"b", b"b");
    proxy.set(Weather { hole: Some(Direction::Requests), ..Weather::default() });
    whole.write_all(b"lost").unwrap();
    wait_for("it is swallowed too", PATIENCE, || (proxy.swallowed() == 8).then_some(()));
}

#[test]
fn a_cut_resets_and_refuses_until_it_is_healed() {
    let proxy = Proxy::start(Upstream::Tcp(tcp_echo(b"")));
    let mut stream = connect(&proxy);
    say(&mut stream, b"a", b"a");
    proxy.reset_all();
    assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    say(&mut connect(&proxy), b"b", b"b");
    proxy.cut();
    let answer = connect(&proxy).read(&mut [0; 8]);
    assert!(!matches!(answer, Ok(1..)), "nobody answers");
    proxy.heal();
    say(&mut connect(&proxy), b"c", b"c");
}

#[test]
fn answers_are_crossed() {
    let proxy = Proxy::start(Upstream::Tcp(tcp_echo(b"")));
    let mut stream = connect(&proxy);
    proxy.set(Weather { crossed: Some(PATIENCE), ..Weather::default() });
    stream.write_all(b"first").unwrap();
    wait_for("it is held", PATIENCE, || (proxy.held() == 1).then_some(()));
    say(&mut stream, b"second", b"secondfirst");
    proxy.heal();
    say(&mut stream, b"third", b"third");
}
