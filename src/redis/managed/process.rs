//! One run of the managed server's process: started by us, or found alive and adopted.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::ManagedError;
use super::files::Files;
use crate::redis::pool::connect_once;
use crate::redis::server_check::{self, ServerFacts};

/// How often a starting server, or one that is not our child, is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often the progress of loading is logged.
const REPORT_EVERY: Duration = Duration::from_secs(2);
/// How long one look may take.
const LOOK_TIMEOUT: Duration = Duration::from_millis(1_000);

/// A server process.
#[derive(Debug)]
pub(super) enum Process {
    /// Our child, in a process group of its own.
    Own(Child),
    /// The child of a service that was killed.
    Adopted,
}

impl Process {
    /// Adopts the server that holds the folder, or starts one if none does.
    pub(super) fn adopt_or_spawn(files: &Files, server_bin: &Path) -> Result<Self, ManagedError> {
        match files.try_lock()? {
            Some(lock) => Self::spawn(files, server_bin, lock),
            None => Ok(Self::Adopted),
        }
    }

    fn spawn(files: &Files, server_bin: &Path, lock: File) -> Result<Self, ManagedError> {
        let child = Command::new(program(server_bin))
            .args(files.arguments())
            .current_dir(&files.dir)
            .stdin(Stdio::from(lock))
            .stdout(Stdio::null())
            // What is said before it has opened its log: by the system's loader, say.
            .stderr(files.log().map_or_else(Stdio::null, Stdio::from))
            // A Ctrl-C in the terminal reaches the service's group alone: its Redis has to outlast it.
            .process_group(0)
            .spawn();
        child.map(Self::Own).map_err(|error| {
            let binary = server_bin.display().to_string();
            let missing = match error.kind() {
                ErrorKind::NotFound => true,
                // What a look-up says, too, when it met a folder of the PATH that may not be searched.
                ErrorKind::PermissionDenied => !is_on_path(server_bin),
                _ => false,
            };
            if missing {
                ManagedError::NoBinary { binary }
            } else {
                ManagedError::Spawn { binary, cause: error.to_string() }
            }
        })
    }

    /// Returns once the process has ended. Safe to drop and call again.
    pub(super) async fn ended(&mut self, files: &Files) {
        match self {
            Self::Own(child) => {
                // It fails only if the child was reaped already, which is an end too.
                let _ = child.wait().await;
            }
            Self::Adopted => {
                while !matches!(files.try_lock(), Ok(Some(_))) {
                    sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// Waits until the server answers `PING`, which it does once it has loaded its data.
    pub(super) async fn ready(&mut self, files: &Files) -> Result<ServerFacts, ManagedError> {
        let started = Instant::now();
        let deadline = started + files.load_deadline();
        let mut report_at = started + REPORT_EVERY;
        loop {
            let is_found = matches!(self, Self::Adopted);
            match timeout(LOOK_TIMEOUT, look(files, is_found)).await {
                Ok(Look::Ready(facts)) => return Ok(facts),
                Ok(Look::Foreign(dir)) => {
                    return Err(ManagedError::Foreign { socket: files.socket.display().to_string(), dir });
                }
                Ok(Look::Loading(percent)) if Instant::now() >= report_at => {
                    tracing::info!(percent, "redis is loading its data");
                    report_at = Instant::now() + REPORT_EVERY;
                }
                Ok(Look::Loading(_) | Look::Silent) | Err(_) => {}
            }
            if timeout(LOOK_EVERY, self.ended(files)).await.is_ok() {
                return Err(ManagedError::Died { log: log_words(files) });
            }
            if Instant::now() >= deadline {
                return Err(ManagedError::NotReady {
                    waited_s: started.elapsed().as_secs(),
                    log: log_words(files),
                });
            }
        }
    }

    /// Asks the server to stop, which it does once everything is on disk; ends it after `deadline`. Nothing
    /// happens to a server that has ended already.
    pub(super) async fn stop(&mut self, files: &Files, pid: u32, deadline: Duration) {
        signal_server(files, pid, Signal::TERM);
        if timeout(deadline, self.ended(files)).await.is_err() {
            tracing::warn!(pid, "redis did not stop in time and is ended");
            kill_leftovers(files, pid);
            self.ended(files).await;
        }
    }

    /// The process id where we know it without asking.
    pub(super) fn own_pid(&self) -> Option<u32> {
        match self {
            Self::Own(child) => child.id(),
            Self::Adopted => None,
        }
    }
}

/// A program by its name is looked up on the PATH; one by its path is meant from our working folder, not from
/// the server's.
fn program(server_bin: &Path) -> PathBuf {
    if is_bare_name(server_bin) {
        return server_bin.to_owned();
    }
    std::path::absolute(server_bin).unwrap_or_else(|_| server_bin.to_owned())
}

fn is_bare_name(server_bin: &Path) -> bool {
    server_bin.file_name() == Some(server_bin.as_os_str())
}

fn is_on_path(server_bin: &Path) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    !is_bare_name(server_bin)
        || std::env::split_paths(&folders).any(|folder| folder.join(server_bin).exists())
}

/// What a starting server says.
enum Look {
    Ready(ServerFacts),
    /// With how much of it is done.
    Loading(String),
    /// Something else listens there: the folder that it works in.
    Foreign(String),
    Silent,
}

/// Asks the server how it is. One that `is_found` is asked to stay: whoever left it may have told it to stop, and it answers until it
/// looks at that, a tenth of a second later or more.
async fn look(files: &Files, is_found: bool) -> Look {
    let Ok(mut connection) = connect_once(&files.url(), LOOK_TIMEOUT).await else { return Look::Silent };
    let dir: Result<(String, String), _> =
        redis::cmd("CONFIG").arg("GET").arg("dir").query_async(&mut connection).await;
    match dir {
        Ok((_, dir)) if Path::new(&dir) != files.dir => return Look::Foreign(dir),
        Ok(_) => {}
        Err(_) => return Look::Silent,
    }
    if is_found {
        match redis::cmd("SHUTDOWN").arg("ABORT").query_async::<String>(&mut connection).await {
            Ok(_) => tracing::info!("redis had been told to stop, and stays"),
            // Nobody had told it to.
            Err(error) if error.code().is_some() => {}
            Err(_) => return Look::Silent,
        }
    }
    if redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok() {
        return server_check::facts(&mut connection).await.map_or(Look::Silent, Look::Ready);
    }
    let info: String =
        redis::cmd("INFO").arg("persistence").query_async(&mut connection).await.unwrap_or_default();
    Look::Loading(server_check::info_field(&info, "loading_loaded_perc").unwrap_or("0").to_owned())
}

fn log_words(files: &Files) -> String {
    files.last_log_line().map_or_else(String::new, |line| format!("; its log ends with: {line}"))
}

/// Ends a deaf server, or what a dead one has left, such as the child that rewrites its log.
pub(super) fn kill_leftovers(files: &Files, pid: u32) {
    signal_server(files, pid, Signal::KILL);
}

/// Signals the server's process group. Only while the folder's lock is held: then the group is still the
/// server's, and its number cannot have gone to anybody else.
fn signal_server(files: &Files, pid: u32, signal: Signal) {
    if !matches!(files.try_lock(), Ok(None)) {
        return;
    }
    if let Some(group) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended meanwhile.
        let _ = rustix::process::kill_process_group(group, signal);
    }
}
