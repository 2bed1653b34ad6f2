//! The data folder: who may use it, its secrets, and who is serving from it.
//!
//! Owns the folder's lock, `run.json` and `admin.token`, and the rule that everything in it is readable by its
//! owner alone. Knows the other files only by their places.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

use crate::clock::{Clock, rfc3339};
use crate::config::ServiceUrl;

/// The longest `run.json` or secret that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// The longest list of epochs that is read, in bytes: a ledger has a few thousand drops.
const EPOCHS_BYTES_MAX: u64 = 1024 * 1024;

/// What can be wrong with the data folder.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process serves from it.
    #[error("another claimrush{} is serving {dir}", pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Locked {
        /// The folder, as it was named.
        dir: String,
        /// The other process, where it has said so.
        pid: Option<u32>,
    },
    /// Nobody serves from it.
    #[error("no service runs on {dir}")]
    NotRunning {
        /// The folder, as it was named.
        dir: String,
    },
    /// A file or folder cannot be used.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: String,
        /// Why.
        cause: String,
    },
}

/// A data folder that exists.
#[derive(Debug, Clone)]
pub struct DataDir {
    /// As it was named, for messages.
    named: PathBuf,
    /// Absolute, so that it is the same from every working directory.
    path: PathBuf,
}

impl DataDir {
    /// Makes the folder if it is missing (mode 0700) and looks at it.
    ///
    /// # Errors
    /// [`DataDirError::File`] when it cannot be made or is no folder.
    pub fn create(named: &Path) -> Result<Self, DataDirError> {
        if named.exists() && !named.is_dir() {
            return Err(file_error(named)(io::ErrorKind::NotADirectory.into()));
        }
        DirBuilder::new().recursive(true).mode(0o700).create(named).map_err(file_error(named))?;
        Self::open(named)
    }

    /// Looks at a folder that must exist, without changing anything.
    ///
    /// # Errors
    /// [`DataDirError::NotRunning`] when there is none: nobody can serve from it.
    pub fn open(named: &Path) -> Result<Self, DataDirError> {
        let path = match named.canonicalize() {
            Ok(path) => path,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let dir = format!("{}: there is no such folder", named.display());
                return Err(DataDirError::NotRunning { dir });
            }
            Err(error) => return Err(file_error(named)(error)),
        };
        Ok(Self { named: named.to_owned(), path })
    }

    /// The same for whoever needs nothing that is kept in it, where `needed` is false: then it need not exist, and nobody serves from
    /// one that does not.
    ///
    /// # Errors
    /// As [`DataDir::open`].
    pub fn look_at(named: &Path, needed: bool) -> Result<Self, DataDirError> {
        match Self::open(named) {
            Err(DataDirError::NotRunning { .. }) if !needed => {
                let path = std::path::absolute(named).map_err(file_error(named))?;
                Ok(Self { named: named.to_owned(), path })
            }
            found => found,
        }
    }

    /// The folder, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The managed Redis' folder.
    #[must_use]
    pub fn redis_dir(&self) -> PathBuf {
        self.path.join("redis")
    }

    /// Takes the folder for this process; released when the process ends, however it ends.
    ///
    /// # Errors
    /// [`DataDirError::Locked`] names the process that has it.
    pub fn lock(&self, clock: &Clock) -> Result<DataLock, DataDirError> {
        let path = self.path.join("lock");
        let mut file = private(OpenOptions::new().read(true).write(true).create(true))
            .open(&path)
            .map_err(file_error(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The holder writes its pid just after it has locked: an empty file is a holder of that moment.
                let _ = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
                let pid = text.split_whitespace().next().and_then(|pid| pid.parse().ok());
                return Err(DataDirError::Locked { dir: self.named.display().to_string(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(file_error(&path)(error)),
        }
        let holder = format!("{} {}\n", std::process::id(), rfc3339(clock.now_ms()));
        file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())).map_err(file_error(&path))?;
        Ok(DataLock { dir: self.clone(), _file: file })
    }

    /// Who serves from the folder.
    ///
    /// # Errors
    /// [`DataDirError::NotRunning`] when nobody does, or when the process that did is dead.
    pub fn run_info(&self) -> Result<RunInfo, DataDirError> {
        let path = self.path.join("run.json");
        let not_running = || DataDirError::NotRunning { dir: self.named.display().to_string() };
        let text = match read_bounded(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(not_running()),
            Err(error) => return Err(file_error(&path)(error)),
        };
        let info: RunInfo = serde_json::from_str(&text).map_err(|error| DataDirError::File {
            path: path.display().to_string(),
            cause: format!("is not a claimrush run file: {error}"),
        })?;
        if process_lives(info.pid) { Ok(info) } else { Err(not_running()) }
    }

    /// Up to where the ledger went when it was sealed; nothing where it was not.
    #[must_use]
    pub fn seal(&self) -> Option<String> {
        read_bounded(&self.path.join("seal")).ok().map(|text| text.trim().to_owned())
    }

    /// Says up to where the ledger went when it was sealed.
    ///
    /// # Errors
    /// [`DataDirError::File`] when it cannot be written.
    pub fn write_seal(&self, position: &str) -> Result<(), DataDirError> {
        let path = self.path.join("seal");
        let written = write_new(&path, &format!("{position}\n"));
        written
            .and_then(|file| file.persist(&path).map_err(|error| error.error))
            .map(drop)
            .map_err(file_error(&path))
    }

    /// Says that the ledger may lack something from now on.
    ///
    /// # Errors
    /// [`DataDirError::File`] when the file cannot be removed; that there is none is no error.
    pub fn break_seal(&self) -> Result<(), DataDirError> {
        remove(&self.path.join("seal"))
    }

    /// The highest epoch of each drop, by its number, in which claims may have been numbered; empty where none is remembered.
    ///
    /// # Errors
    /// [`DataDirError::File`] when the file cannot be read.
    pub fn epochs(&self) -> Result<BTreeMap<u32, u16>, DataDirError> {
        let path = self.path.join("epochs.json");
        match read_at_most(&path, EPOCHS_BYTES_MAX) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| DataDirError::File {
                path: path.display().to_string(),
                cause: format!("is not a list of epochs: {error}"),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(file_error(&path)(error)),
        }
    }

    /// Remembers the highest epochs, in one step.
    ///
    /// # Errors
    /// [`DataDirError::File`] when the file cannot be written; the one before stays.
    pub fn write_epochs(&self, epochs: &BTreeMap<u32, u16>) -> Result<(), DataDirError> {
        let path = self.path.join("epochs.json");
        let text = serde_json::to_string(epochs).map_err(|error| file_error(&path)(error.into()))?;
        let written = write_new(&path, &text);
        written
            .and_then(|file| file.persist(&path).map_err(|error| error.error))
            .map(drop)
            .map_err(file_error(&path))
    }

    /// Where the admin token stands.
    #[must_use]
    pub fn admin_token_path(&self) -> PathBuf {
        self.path.join("admin.token")
    }

    /// The admin token; made of 32 random bytes (base64url) if there is none.
    ///
    /// # Errors
    /// [`DataDirError::File`] when it cannot be read or made, or is empty.
    pub fn admin_token(&self) -> Result<String, DataDirError> {
        let random = || data_encoding::BASE64URL_NOPAD.encode(&rand::random::<[u8; 32]>());
        secret_file(&self.admin_token_path(), random)
    }
}

/// The data folder, held by this process alone.
#[derive(Debug)]
pub struct DataLock {
    dir: DataDir,
    /// Holds the lock for as long as it is open.
    _file: File,
}

impl DataLock {
    /// The folder that is held.
    #[must_use]
    pub fn dir(&self) -> &DataDir {
        &self.dir
    }

    /// Says who serves here, in one step: a reader sees the old file or the new one.
    ///
    /// # Errors
    /// [`DataDirError::File`] when it cannot be written.
    pub fn write_run_info(&self, info: &RunInfo) -> Result<(), DataDirError> {
        let path = self.dir.path.join("run.json");
        let text = serde_json::to_string_pretty(info).map_err(|error| file_error(&path)(error.into()))?;
        write_new(&path, &text)
            .and_then(|file| file.persist(&path).map_err(|error| error.error))
            .map_err(file_error(&path))?;
        Ok(())
    }

    /// Says that nobody serves here any more.
    ///
    /// # Errors
    /// [`DataDirError::File`] when the file cannot be removed; that there is none is no error.
    pub fn remove_run_info(&self) -> Result<(), DataDirError> {
        remove(&self.dir.path.join("run.json"))
    }
}

/// Who serves from a data folder, and how to reach it. `run.json` is readable by its owner alone, since the
/// Redis URL may hold a password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The service's version.
    pub version: String,
    /// The service's process.
    pub pid: u32,
    /// The public listener, with the port that it really has.
    pub listen: SocketAddr,
    /// The admin listener, with the port that it really has.
    pub admin_listen: SocketAddr,
    /// Where claims are decided.
    #[serde(serialize_with = "whole_url")]
    pub redis_url: ServiceUrl,
    /// The managed Redis' process; `None` for an external one.
    pub redis_pid: Option<u32>,
    /// Where claims are kept.
    #[serde(serialize_with = "whole_url")]
    pub ledger_url: ServiceUrl,
    /// RFC 3339.
    pub started_at: String,
}

/// `run.json` is for connecting, so it holds the password that is redacted everywhere else.
fn whole_url<S: Serializer>(url: &ServiceUrl, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(url.expose())
}

/// Whether a process is there; one that belongs to somebody else counts.
fn process_lives(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else { return false };
    !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}

/// Reads the secret in `path`, trimmed; where there is none, stores what `make` gives (mode 0600). Of two
/// processes that make one at once, both get the same.
///
/// # Errors
/// [`DataDirError::File`] when it cannot be read or made, or is empty.
pub fn secret_file(path: &Path, make: impl FnOnce() -> String) -> Result<String, DataDirError> {
    if !path.exists() {
        let made = write_new(path, &format!("{}\n", make()))
            .and_then(|file| file.persist_noclobber(path).map_err(|error| error.error));
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(file_error(path)(error));
            }
            _ => {}
        }
    }
    let secret = read_bounded(path).map_err(file_error(path))?.trim().to_owned();
    if secret.is_empty() {
        return Err(DataDirError::File { path: path.display().to_string(), cause: "is empty".to_owned() });
    }
    let mode = std::fs::metadata(path).map_err(file_error(path))?.mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "this secret can be read by others: chmod 600 it");
    }
    Ok(secret)
}

/// A file beside `path`, written and synced, that is yet to take its name. Mode 0600.
fn write_new(path: &Path, text: &str) -> io::Result<tempfile::NamedTempFile> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(parent)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn remove(path: &Path) -> Result<(), DataDirError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error(path)(error)),
        _ => Ok(()),
    }
}

fn read_bounded(path: &Path) -> io::Result<String> {
    read_at_most(path, FILE_BYTES_MAX)
}

fn read_at_most(path: &Path, bytes_max: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(bytes_max).read_to_string(&mut text)?;
    Ok(text)
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> DataDirError {
    let path = path.display().to_string();
    move |error| DataDirError::File { path: path.clone(), cause: error.to_string() }
}
