//! The file of claims that clients saw, kept outside the service under test.
//!
//! One JSON line a claim; claims whose outcome nobody knows have a line of their own that says so. A thread of its
//! own writes, and syncs each second; the threads of the run hand it whole buffers and wait when the disk is slower
//! than they are. What is no file (a pipe, `/dev/null`) is written to and not synced.

use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    io::Write,
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::client::answer::ClaimBody;

/// A buffer is handed over when it is this full, in bytes.
const BUFFER_BYTES: usize = 32 * 1024;
/// What an ordinary line needs at the most, in bytes.
const LINE_BYTES: usize = 512;
/// How long a line may wait for its fsync.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Buffers waiting for the disk.
const BUFFERS_MAX: usize = 256;

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// A claim that a client saw.
    Claim {
        /// The claim's id.
        claim_id: String,
        /// The drop that was asked for.
        drop: String,
        /// The claim's number.
        seq: u64,
        /// 201 for a new claim, 200 for one that was granted before.
        status: u16,
        /// The ticket's line in the ticket file, from 1.
        ticket_line: u64,
    },
    /// A claim whose outcome nobody knows.
    Unknown {
        /// The drop that was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        drop: Option<String>,
        /// The ticket's line in the ticket file, from 1.
        ticket_line: u64,
        /// Always `unknown`.
        outcome: UnknownOutcome,
    },
}

/// The one outcome that is not an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownOutcome {
    /// The claim may or may not have been granted.
    Unknown,
}

#[derive(Serialize)]
struct ClaimLine<'a> {
    claim_id: &'a str,
    drop: &'a str,
    seq: u64,
    status: u16,
    ticket_line: u64,
}

#[derive(Serialize)]
struct UnknownLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    drop: Option<&'a str>,
    ticket_line: u64,
    outcome: UnknownOutcome,
}

/// The log cannot be written, so that what the run has seen is not known for good; the cause stands behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritten {
    /// Which log.
    pub named: String,
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be written", self.named)
    }
}

impl std::error::Error for Unwritten {}

/// The file and the thread that writes it.
#[derive(Debug)]
pub struct ClaimsLog {
    named: String,
    buffers: SyncSender<Vec<u8>>,
    writer: JoinHandle<Result<()>>,
}

impl ClaimsLog {
    /// Creates the file, replacing an older one.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let named = format!("claims log {}", path.display());
        let file = Synced::create(path).with_context(|| named.clone())?;
        let (buffers, to_write) = sync_channel(BUFFERS_MAX);
        let writer =
            std::thread::Builder::new().name("claims-log".into()).spawn(move || write(file, &to_write))?;
        Ok(Self { named, buffers, writer })
    }

    /// One thread's pen for claims of these drops.
    #[must_use]
    pub fn pen(&self, drops: Vec<String>) -> Pen {
        Pen { buffers: self.buffers.clone(), drops, buffer: Vec::with_capacity(BUFFER_BYTES) }
    }

    /// Waits until all is on disk (fsync), and closes the file. All pens must be gone.
    ///
    /// # Errors
    /// [`Unwritten`]: something could not be written.
    pub fn finish(self) -> Result<()> {
        drop(self.buffers);
        let written = self.writer.join().map_err(|_| anyhow!("the claims log's writer broke"))?;
        written.context(Unwritten { named: self.named })
    }
}

/// What a log is written to, and whether it has a disk under it.
#[derive(Debug)]
pub(crate) struct Synced {
    file: File,
    is_file: bool,
}

impl Synced {
    /// Creates the file, replacing an older one that no other run is writing.
    pub(crate) fn create(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        let is_file = file.metadata()?.is_file();
        if is_file {
            // Where a file system knows no locks, there is none.
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                return Err(std::io::Error::other("another run is writing it"));
            }
            file.set_len(0)?;
        }
        Ok(Self { file, is_file })
    }

    /// Waits until what was written is on disk, where there is one.
    pub(crate) fn sync(&self) -> std::io::Result<()> {
        if self.is_file { self.file.sync_data() } else { Ok(()) }
    }
}

impl Write for Synced {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Writes what comes, and syncs it each second, until all pens and the log itself are gone.
fn write(mut file: Synced, buffers: &Receiver<Vec<u8>>) -> Result<()> {
    let mut sync_at = None;
    loop {
        let wait = sync_at.map_or(SYNC_EVERY, |at: Instant| at.saturating_duration_since(Instant::now()));
        match buffers.recv_timeout(wait) {
            Ok(buffer) => {
                // At once, so that it outlives this process whatever becomes of it; only the machine can still lose it.
                file.write_all(&buffer)?;
                sync_at.get_or_insert_with(|| Instant::now() + SYNC_EVERY);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if sync_at.is_some_and(|at| Instant::now() >= at) {
            file.sync()?;
            sync_at = None;
        }
    }
    file.sync()?;
    Ok(())
}

fn append(buffer: &mut Vec<u8>, line: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *buffer, line)?;
    buffer.push(b'\n');
    Ok(())
}

/// Writes one thread's claims.
#[derive(Debug)]
pub struct Pen {
    buffers: SyncSender<Vec<u8>>,
    drops: Vec<String>,
    buffer: Vec<u8>,
}

impl Pen {
    /// Notes a claim that a client saw; `drop` is a place among the pen's drops.
    ///
    /// # Errors
    /// The claim cannot be written as JSON, or the writer has gone.
    pub fn claim(&mut self, claim: &ClaimBody<'_>, drop: usize, status: u16, ticket_line: u64) -> Result<()> {
        let ClaimBody { claim_id, seq } = claim;
        let drop = self.drops.get(drop).map_or("", String::as_str);
        append(&mut self.buffer, &ClaimLine { claim_id, drop, seq: *seq, status, ticket_line })?;
        self.flush_if_full()
    }

    /// Notes a claim whose outcome nobody knows; `drop` is a place among the pen's drops.
    ///
    /// # Errors
    /// The writer has gone.
    pub fn unknown(&mut self, drop: usize, ticket_line: u64) -> Result<()> {
        let drop = self.drops.get(drop).map(String::as_str);
        append(&mut self.buffer, &UnknownLine { drop, ticket_line, outcome: UnknownOutcome::Unknown })?;
        self.flush_if_full()
    }

    fn flush_if_full(&mut self) -> Result<()> {
        if self.buffer.len() + LINE_BYTES > BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Hands over what is buffered.
    ///
    /// # Errors
    /// The writer has gone: the disk is full, for instance.
    pub fn flush(&mut self) -> Result<()> {
        let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(BUFFER_BYTES));
        self.buffers.send(full).map_err(|_| anyhow!("the claims log cannot be written"))
    }
}

/// Reads a claims log.
///
/// # Errors
/// The file cannot be read, or a line is not of its format.
pub fn read(path: &Path) -> Result<Vec<Line>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("claims log {}", path.display()))?;
    let lines = text.lines().enumerate();
    lines
        .map(|(at, line)| {
            serde_json::from_str(line).with_context(|| format!("{} line {}", path.display(), at + 1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let log = ClaimsLog::create(file.path()).unwrap();
        let mut pen = log.pen(vec!["d".into()]);
        let claim = ClaimBody { claim_id: "clm_\"1".into(), seq: 17 };
        for line in 1..=2_000 {
            pen.claim(&claim, 0, 201, line).unwrap();
        }
        pen.unknown(0, 8).unwrap();
        pen.flush().unwrap();
        drop(pen);
        log.finish().unwrap();
        let lines = read(file.path()).unwrap();
        assert_eq!(lines.len(), 2_001);
        let first = Line::Claim {
            claim_id: "clm_\"1".into(),
            drop: "d".into(),
            seq: 17,
            status: 201,
            ticket_line: 1,
        };
        assert_eq!(lines[0], first);
        let outcome = UnknownOutcome::Unknown;
        assert_eq!(lines[2_000], Line::Unknown { drop: Some("d".into()), ticket_line: 8, outcome });
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(text.ends_with("{\"drop\":\"d\",\"ticket_line\":8,\"outcome\":\"unknown\"}\n"), "{text}");
    }
}
