//! What contenders need: a folder, tickets, a Redis of their own.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::process::Started;
use crate::{cli::BenchArgs, peer::pooled};

/// How long a server may take until it is ready.
pub const READY_WAIT: Duration = Duration::from_secs(20);
/// The longest path of a unix socket, in bytes (unix(7), without the final zero).
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// What is added to the bench's folder: `/data-claimrush-100/redis/redis.sock` and a little more.
const SOCKET_NAME_BYTES: usize = 40;
/// The stock of a per-claim peer: more than any round can take.
const PEER_STOCK: u64 = 1_000_000_000;
/// The length of a synthetic ticket, in bytes: that of an HS256 ticket with short ids.
const SYNTHETIC_TICKET_BYTES: usize = 240;

/// One bench's folder and tickets.
#[derive(Debug)]
pub struct Workshop<'a> {
    /// What was asked for.
    pub args: &'a BenchArgs,
    /// Removed at the end.
    pub folder: TempDir,
    /// Tickets for everyone who checks none.
    pub tickets: PathBuf,
    /// How many there are.
    pub ticket_count: u64,
}

impl<'a> Workshop<'a> {
    /// Makes the folder and the tickets that need no service.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub fn new(args: &'a BenchArgs) -> Result<Self> {
        // Beside the results, not in a temporary folder: that may be in memory, where an fsync costs nothing.
        let out = args.out.canonicalize()?;
        let folder = tempfile::Builder::new().prefix("run-").tempdir_in(&out)?;
        let length = folder.path().as_os_str().len();
        ensure!(
            length + SOCKET_NAME_BYTES <= SOCKET_PATH_BYTES_MAX,
            "{} is too long for the path of a unix socket: give a shorter --out",
            out.display()
        );
        let tickets = folder.path().join("synthetic-tickets");
        write_synthetic_tickets(&tickets, args.tickets)?;
        Ok(Self { args, folder, tickets, ticket_count: args.tickets })
    }

    /// A path in the bench's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The file that takes a process' output.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.args.out.join(format!("{name}.log"))
    }
}

/// Tickets in shape only; their ends differ, which is what per-claim peers take for the person.
fn write_synthetic_tickets(path: &Path, count: u64) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let filler = "x".repeat(SYNTHETIC_TICKET_BYTES - pooled::PERSON_BYTES);
    for number in 0..count {
        writeln!(file, "{filler}{number:0width$}", width = pooled::PERSON_BYTES)?;
    }
    file.flush()?;
    Ok(())
}

/// A loopback address that nobody listens on now.
///
/// # Errors
/// There is no free port.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Whether something accepts connections there.
pub fn accepts(address: SocketAddr) -> Option<()> {
    TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok().map(drop)
}

/// A Redis with the durability settings of the design.
#[derive(Debug)]
pub struct RedisServer {
    /// Its process.
    pub process: Started,
    /// Its unix socket.
    pub socket: PathBuf,
    /// The digest of the per-claim script, loaded.
    pub script_sha: String,
}

impl RedisServer {
    /// Starts it in a folder of its own and fills the drop of the per-claim peers.
    ///
    /// # Errors
    /// It does not start, or refuses the script.
    pub fn start(workshop: &Workshop<'_>, name: &str) -> Result<Self> {
        let folder = workshop.path(&format!("redis-{name}"));
        // Another round's leftovers would be loaded.
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let socket = folder.join("redis.sock");
        let mut command = Command::new("redis-server");
        command.arg("--port").arg("0").arg("--unixsocket").arg(&socket).arg("--dir").arg(&folder);
        command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        command.args(["--no-appendfsync-on-rewrite", "no", "--maxmemory-policy", "noeviction"]);
        let mut process =
            Started::start("redis-server", &mut command, &workshop.log(&format!("redis-{name}")))?;
        let mut connection = process.wait_for(READY_WAIT, || connect(&socket).ok())?;
        let [drop, ..] = pooled::KEYS;
        redis::cmd("HSET")
            .arg(drop)
            .arg(&["stock", &PEER_STOCK.to_string(), "seq", "0"])
            .exec(&mut connection)
            .context("fill the peers' drop")?;
        let script_sha = redis::cmd("SCRIPT")
            .arg("LOAD")
            .arg(pooled::SINGLE_CLAIM)
            .query(&mut connection)
            .context("script")?;
        Ok(Self { process, socket, script_sha })
    }

    /// How many claims it has granted.
    ///
    /// # Errors
    /// It does not answer.
    pub fn granted(&self) -> Result<u64> {
        let [drop, ..] = pooled::KEYS;
        let mut connection = connect(&self.socket)?;
        Ok(redis::cmd("HGET").arg(drop).arg("seq").query(&mut connection)?)
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket.display())
    }
}

fn connect(socket: &Path) -> Result<redis::Connection> {
    let mut connection =
        redis::Client::open(format!("redis+unix://{}", socket.display()))?.get_connection()?;
    let pong: String = redis::cmd("PING").query(&mut connection)?;
    ensure!(pong == "PONG", "redis-server is not ready");
    Ok(connection)
}
