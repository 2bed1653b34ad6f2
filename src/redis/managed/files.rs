//! The managed server's folder: its lock, its socket's place and its settings.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::ManagedError;
use crate::config::ServiceUrl;
use crate::datadir::DataDir;
use crate::limits;

/// How much of the log's end is looked at for the cause of a failed start, in bytes.
const LOG_TAIL_BYTES: u64 = 4_096;
/// Redis rewrites the append-only file by itself from this size on alone, so that a rush of six million claims meets no
/// rewrite; a smaller one is rewritten when all is quiet ([`super::rewrites`]). A larger one would take a Redis that is
/// killed more than fifteen seconds to load.
const REWRITE_MIN_SIZE: &str = "512mb";

/// Where the managed server keeps what.
#[derive(Debug, Clone)]
pub(super) struct Files {
    /// `redis/` in the data folder.
    pub(super) dir: PathBuf,
    /// The server's only listener.
    pub(super) socket: PathBuf,
}

impl Files {
    /// Makes the folder (mode 0700) and settles where the socket goes.
    pub(super) fn prepare(data: &DataDir) -> Result<Self, ManagedError> {
        let dir = data.redis_dir();
        private_dir(&dir)?;
        let socket = dir.join("redis.sock");
        if socket.as_os_str().len() <= limits::SOCKET_PATH_BYTES_MAX {
            return Ok(Self { dir, socket });
        }
        // Too deep a folder for a socket: a short one of our own beside the system's temporary files. Its name
        // follows from the data folder, so that the next start finds the same one.
        let digest = Sha256::digest(dir.as_os_str().as_bytes());
        let name = data_encoding::HEXLOWER.encode(digest.get(..10).unwrap_or_default());
        let short = std::env::temp_dir().join(format!("claimrush-{name}"));
        private_dir(&short)?;
        let socket = short.join("redis.sock");
        if socket.as_os_str().len() > limits::SOCKET_PATH_BYTES_MAX {
            return Err(ManagedError::SocketPath { path: socket.display().to_string() });
        }
        Ok(Self { dir, socket })
    }

    /// The server's URL. Characters with a meaning in URLs are escaped.
    pub(super) fn url(&self) -> ServiceUrl {
        let mut url = String::from("redis+unix://");
        for byte in self.socket.as_os_str().as_bytes() {
            if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
                url.push(char::from(*byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(url, "%{byte:02X}");
            }
        }
        ServiceUrl::new(url)
    }

    /// Takes the server's lock: `None` when a server lives, since it holds the lock for its whole life.
    ///
    /// The lock is handed to the server as its standard input. It belongs to the open file, not to a process,
    /// so it passes from the service to the server without a gap, outlives a killed service, and ends with the
    /// last process of the server. That makes "never two on one folder" hold at every instant.
    pub(super) fn try_lock(&self) -> Result<Option<File>, ManagedError> {
        let path = self.dir.join("server.lock");
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = open.map_err(|error| ManagedError::file(&path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(ManagedError::file(&path, &error)),
        }
    }

    /// The server's settings, as arguments: every acknowledged write is on disk before its reply leaves, no key
    /// is ever evicted, and nobody but this user can connect. Arguments, since Redis takes the name of a config
    /// file for a pattern and would start with its defaults where an odd folder matches nothing.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        for (key, value) in [
            ("--dir", self.dir.clone().into_os_string()),
            ("--unixsocket", self.socket.clone().into_os_string()),
            ("--pidfile", self.dir.join("redis.pid").into_os_string()),
            ("--logfile", self.log_path().into_os_string()),
            ("--port", "0".into()),
            ("--unixsocketperm", "700".into()),
            ("--daemonize", "no".into()),
            ("--appendonly", "yes".into()),
            ("--appendfsync", "always".into()),
            ("--no-appendfsync-on-rewrite", "no".into()),
            ("--aof-use-rdb-preamble", "yes".into()),
            ("--auto-aof-rewrite-percentage", "100".into()),
            ("--auto-aof-rewrite-min-size", REWRITE_MIN_SIZE.into()),
            ("--maxmemory-policy", "noeviction".into()),
            ("--save", "".into()),
        ] {
            arguments.extend([key.into(), value]);
        }
        arguments
    }

    /// How long the server may take to load what it has on disk.
    pub(super) fn load_deadline(&self) -> std::time::Duration {
        let files = std::fs::read_dir(self.dir.join("appendonlydir")).into_iter().flatten().flatten();
        let bytes: u64 = files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum();
        let mib = u32::try_from(bytes / (1024 * 1024)).unwrap_or(u32::MAX);
        limits::REDIS_LOAD_BASE + limits::REDIS_LOAD_PER_MIB.saturating_mul(mib)
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("redis.log")
    }

    /// The server's log, to be added to; nothing where it cannot be opened.
    pub(super) fn log(&self) -> Option<File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(self.log_path()).ok()
    }

    /// The last line that the server logged, for the cause of a failed start.
    pub(super) fn last_log_line(&self) -> Option<String> {
        let mut file = File::open(self.log_path()).ok()?;
        let size = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(LOG_TAIL_BYTES))).ok()?;
        let mut tail = Vec::new();
        file.take(LOG_TAIL_BYTES).read_to_end(&mut tail).ok()?;
        let tail = String::from_utf8_lossy(&tail);
        tail.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    }

    /// Removes the socket's folder if it is one that stands outside of the data folder.
    pub(super) fn clean_up(&self) {
        if let Some(short) = self.socket.parent().filter(|parent| *parent != self.dir) {
            // It is empty once the server has removed its socket; otherwise it stays for the next start.
            let _ = std::fs::remove_dir(short);
        }
    }
}

/// Makes a folder that is ours alone, and refuses one that is not.
fn private_dir(path: &Path) -> Result<(), ManagedError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(ManagedError::file(path, &error));
        }
        _ => {}
    }
    let found = std::fs::symlink_metadata(path).map_err(|error| ManagedError::file(path, &error))?;
    let ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
    let open_to_others = found.mode() & 0o077 != 0;
    if ours && !open_to_others {
        return Ok(());
    }
    let cause = "must be a folder that belongs to this user, with mode 0700".to_owned();
    Err(ManagedError::File { path: path.display().to_string(), cause })
}
