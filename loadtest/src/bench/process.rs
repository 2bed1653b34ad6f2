//! Whatever is started is ended, by its own pid: at the end of its turn, on an error, and on a signal.

use std::{
    fs::File,
    io,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use crate::streams;

/// How long a process may take to end on its own.
const END_WAIT: Duration = Duration::from_secs(15);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The exit code of a program ended by an interrupt.
const INTERRUPTED: i32 = 130;

/// Processes that run now, in the order of their start.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn running<T>(change: impl FnOnce(&mut Vec<u32>) -> T) -> T {
    change(&mut RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _gone = kill_process(pid, signal);
    }
}

/// Ends every process that was started, and then this one, on an interrupt or a request to end.
///
/// # Errors
/// Signals cannot be listened to.
pub fn end_all_on_signal() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = runtime.block_on(async {
        Ok::<_, io::Error>((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    });
    let (mut interrupt, mut terminate) = signals.context("signals")?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        running(|pids| pids.iter().rev().for_each(|&pid| send(pid, Signal::KILL)));
        std::process::exit(INTERRUPTED);
    })?;
    Ok(())
}

/// A process that ends with this value.
#[derive(Debug)]
pub struct Started {
    name: String,
    child: Child,
    /// A process of its own that it leaves behind when it is killed.
    also: Option<u32>,
}

impl Started {
    /// Starts a process whose output goes to a file.
    ///
    /// # Errors
    /// There is no such program, or the file cannot be written.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let log = File::create(log).with_context(|| format!("{}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        running(|pids| pids.push(child.id()));
        Ok(Self { name: name.to_owned(), child, also: None })
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends this process too, should it still run after the other has ended.
    pub fn also_end(&mut self, pid: u32) {
        running(|pids| pids.push(pid));
        self.also = Some(pid);
    }

    /// Waits until `condition` gives something; an error when the process ends first or `wait` is over.
    ///
    /// # Errors
    /// See above; the process is named.
    pub fn wait_for<T>(&mut self, wait: Duration, mut condition: impl FnMut() -> Option<T>) -> Result<T> {
        let give_up_at = Instant::now() + wait;
        loop {
            if let Some(found) = condition() {
                return Ok(found);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at its start: {status}", self.name);
            }
            if Instant::now() >= give_up_at {
                bail!("{} is not ready after {} s", self.name, wait.as_secs());
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn wait(mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    fn end(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_none() {
            send(self.child.id(), Signal::TERM);
            let give_up_at = Instant::now() + END_WAIT;
            while self.child.try_wait()?.is_none() {
                if Instant::now() >= give_up_at {
                    self.child.kill()?;
                    self.child.wait()?;
                    break;
                }
                thread::sleep(LOOK_EVERY);
            }
        }
        if let Some(also) = self.also.take() {
            send(also, Signal::KILL);
            running(|pids| pids.retain(|&pid| pid != also));
        }
        running(|pids| pids.retain(|&pid| pid != self.child.id()));
        Ok(())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            streams::tell(&format!("{} could not be ended: {error}", self.name));
        }
    }
}
