//! A proxy on a loopback port that a test can cut, slow down and slice.
//!
//! Stands between two parts that talk over TCP, or TCP on the near side and a unix socket on the far side. What it
//! does to the bytes may be changed at any time, for connections that are there as for new ones.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::SockRef;

/// How long a waiting thread takes to see that something was changed.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Bytes that are taken at once.
const PIECE_BYTES: usize = 16 * 1024;

/// Where a proxy leads.
#[derive(Debug, Clone)]
pub(crate) enum Upstream {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

/// What is done to the bytes; by default nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    /// How long each piece is held, in both directions.
    pub(crate) delay: Duration,
    /// Every byte travels in a segment of its own.
    pub(crate) sliced: bool,
    /// Bytes per second that one direction of one connection carries; 0 for any number.
    pub(crate) bytes_per_second: u64,
    /// What travels this way goes nowhere.
    pub(crate) hole: Option<Direction>,
    /// Of each two pieces of an upstream's answers the later one comes first, where it comes within this time.
    pub(crate) crossed: Option<Duration>,
    /// Connections are closed as soon as they are made.
    pub(crate) refuse: bool,
}

/// A proxy; its connections end when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    upstream: Mutex<Upstream>,
    weather: Mutex<Weather>,
    links: Mutex<Vec<Arc<Link>>>,
    swallowed: AtomicU64,
    held: AtomicU64,
    stop: AtomicBool,
}

/// One client's connection and the one that was made for it.
struct Link {
    near: TcpStream,
    far: Far,
    /// It has to end with a reset.
    reset: AtomicBool,
    /// Bytes are missing from it, so that it can never be used again.
    torn: AtomicBool,
}

enum Far {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A way through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the client to the upstream.
    Requests,
    /// From the upstream to the client.
    Replies,
}

impl Proxy {
    /// Listens on a free loopback port and leads to `upstream`.
    pub(crate) fn start(upstream: Upstream) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener.set_nonblocking(true).expect("it is set");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            weather: Mutex::default(),
            links: Mutex::default(),
            swallowed: AtomicU64::new(0),
            held: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let accepting = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.accept(&listener)
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that are open.
    pub(crate) fn connections(&self) -> usize {
        locked(&self.shared.links).len()
    }

    /// Bytes that went nowhere so far.
    pub(crate) fn swallowed(&self) -> u64 {
        self.shared.swallowed.load(Ordering::Acquire)
    }

    /// Pieces that were held back for a later one so far.
    pub(crate) fn held(&self) -> u64 {
        self.shared.held.load(Ordering::Acquire)
    }

    /// From now on new connections lead there; those that are open stay as they are.
    pub(crate) fn point_to(&self, upstream: Upstream) {
        *locked(&self.shared.upstream) = upstream;
    }

    /// Changes what is done to the bytes. A connection that has lost some to a hole is reset as soon as the hole is
    /// closed, since TCP never delivers what follows a gap.
    pub(crate) fn set(&self, weather: Weather) {
        *locked(&self.shared.weather) = weather;
        if weather.hole.is_none() {
            let torn = |link: &&Arc<Link>| link.torn.load(Ordering::Acquire);
            locked(&self.shared.links).iter().filter(torn).for_each(|link| link.end_with_reset());
        }
    }

    /// Nothing is done to the bytes any more.
    pub(crate) fn heal(&self) {
        self.set(Weather::default());
    }

    /// Resets every connection; new ones are welcome.
    pub(crate) fn reset_all(&self) {
        locked(&self.shared.links).iter().for_each(|link| link.end_with_reset());
    }

    /// Resets every connection and refuses new ones, until it is healed.
    pub(crate) fn cut(&self) {
        self.set(Weather { refuse: true, ..Weather::default() });
        self.reset_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.reset_all();
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        while !self.stop.load(Ordering::Acquire) {
            match listener.accept() {
                Ok((near, _)) => {
                    if self.weather().refuse {
                        let _ = SockRef::from(&near).set_linger(Some(Duration::ZERO));
                    } else {
                        // An upstream that is not there shows as a connection that ends at once.
                        let _ = self.link(near);
                    }
                }
                Err(_) => std::thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// Makes the far connection and starts a thread for each direction.
    fn link(self: &Arc<Self>, near: TcpStream) -> io::Result<()> {
        let upstream = locked(&self.upstream).clone();
        let far = match upstream {
            Upstream::Tcp(address) => Far::Tcp(TcpStream::connect(address)?),
            Upstream::Unix(path) => Far::Unix(UnixStream::connect(path)?),
        };
        near.set_nonblocking(false)?;
        near.set_nodelay(true)?;
        near.set_read_timeout(Some(LOOK_EVERY))?;
        far.prepare()?;
        let link = Arc::new(Link { near, far, reset: AtomicBool::new(false), torn: AtomicBool::new(false) });
        locked(&self.links).push(Arc::clone(&link));
        for direction in [Direction::Requests, Direction::Replies] {
            let (shared, link) = (Arc::clone(self), Arc::clone(&link));
            std::thread::spawn(move || {
                shared.pump(&link, direction);
                locked(&shared.links).retain(|other| !Arc::ptr_eq(other, &link));
            });
        }
        Ok(())
    }

    /// Carries one direction until an end closes it, or the link has to be reset.
    fn pump(&self, link: &Link, direction: Direction) {
        let mut piece = vec![0; PIECE_BYTES];
        let (mut held, mut since) = (Vec::new(), Instant::now());
        while !link.reset.load(Ordering::Acquire) {
            match link.read(direction, &mut piece) {
                Ok(0) => break,
                Ok(count) => {
                    let bytes = piece.get(..count).unwrap_or_default();
                    if self.crosses(direction).is_some() && held.is_empty() {
                        held.extend_from_slice(bytes);
                        since = Instant::now();
                        self.held.fetch_add(1, Ordering::Release);
                        continue;
                    }
                    if self.carry(link, direction, bytes).is_err()
                        || self.carry(link, direction, &held).is_err()
                    {
                        break;
                    }
                    held.clear();
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    // Whoever asks one thing after the other gets its answer, late.
                    if self.crosses(direction).is_none_or(|most| since.elapsed() >= most) {
                        if self.carry(link, direction, &held).is_err() {
                            break;
                        }
                        held.clear();
                    }
                }
                Err(_) => break,
            }
        }
        link.close();
    }

    /// Takes bytes, of which there may be none, to the other side.
    fn carry(&self, link: &Link, direction: Direction, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            // Nothing is delayed, and nothing falls into a hole.
            return Ok(());
        }
        let weather = self.weather();
        wait(weather.delay, link);
        if weather.hole == Some(direction) || link.torn.load(Ordering::Acquire) {
            link.torn.store(true, Ordering::Release);
            self.swallowed.fetch_add(bytes.len() as u64, Ordering::Release);
            return Ok(());
        }
        let step = if weather.sliced { 1 } else { bytes.len() };
        for part in bytes.chunks(step) {
            link.write(direction, part)?;
            if let Some(nanos) = (part.len() as u64 * 1_000_000_000).checked_div(weather.bytes_per_second) {
                wait(Duration::from_nanos(nanos), link);
            }
        }
        Ok(())
    }

    /// How long a piece is held back for a later one, if at all.
    fn crosses(&self, direction: Direction) -> Option<Duration> {
        self.weather().crossed.filter(|_| direction == Direction::Replies)
    }

    fn weather(&self) -> Weather {
        *locked(&self.weather)
    }
}

/// Waits, unless the link has to end.
fn wait(time: Duration, link: &Link) {
    let until = Instant::now() + time;
    while !link.reset.load(Ordering::Acquire) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(LOOK_EVERY));
    }
}

impl Link {
    fn read(&self, direction: Direction, piece: &mut [u8]) -> io::Result<usize> {
        match (direction, &self.far) {
            (Direction::Requests, _) => (&self.near).read(piece),
            (Direction::Replies, Far::Tcp(far)) => (&*far).read(piece),
            (Direction::Replies, Far::Unix(far)) => (&*far).read(piece),
        }
    }

    fn write(&self, direction: Direction, part: &[u8]) -> io::Result<()> {
        match (direction, &self.far) {
            (Direction::Replies, _) => (&self.near).write_all(part),
            (Direction::Requests, Far::Tcp(far)) => (&*far).write_all(part),
            (Direction::Requests, Far::Unix(far)) => (&*far).write_all(part),
        }
    }

    /// Ends both connections, without a word of good-bye on TCP: unread bytes and unsent ones are lost.
    fn end_with_reset(&self) {
        // A socket that lingers for no time is reset when it is closed; that is when both directions have ended.
        let _ = SockRef::from(&self.near).set_linger(Some(Duration::ZERO));
        if let Far::Tcp(far) = &self.far {
            let _ = SockRef::from(far).set_linger(Some(Duration::ZERO));
        }
        self.reset.store(true, Ordering::Release);
    }

    /// One direction has ended, and with it the other.
    fn close(&self) {
        if self.reset.load(Ordering::Acquire) {
            return;
        }
        let _ = self.near.shutdown(Shutdown::Both);
        let _ = match &self.far {
            Far::Tcp(far) => far.shutdown(Shutdown::Both),
            Far::Unix(far) => far.shutdown(Shutdown::Both),
        };
    }
}

impl Far {
    fn prepare(&self) -> io::Result<()> {
        match self {
            Self::Tcp(far) => far.set_nodelay(true).and_then(|()| far.set_read_timeout(Some(LOOK_EVERY))),
            Self::Unix(far) => far.set_read_timeout(Some(LOOK_EVERY)),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
