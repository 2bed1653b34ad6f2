//! A job's life on a worker, from its order to its result.
//!
//! ```text
//!  Preparing ──► Ready ──start──► Running ──all threads ended──► Ending ──► Finished
//!      └────────────┴──────────────── something went wrong ─────────┴─────► Failed
//! ```
//!
//! [`Life::live`] moves it on and ends when the coordinator takes leave or has been silent for too long.
//! Owns the claims that the job has seen until they are fetched: in a file without a name, which goes with the
//! process.

use std::{
    fmt,
    fs::File,
    os::unix::fs::FileExt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::desk::lock;
use crate::{
    claims_log::ClaimsLog,
    cpu,
    engine::{self, Job, MeterReading, Prepared, Running},
    streams,
    workers::protocol::{CLAIMS_BYTES_MAX, LEAVE_WAIT, Order, Outcome, Progress, State},
};

/// How often a job looks whether it has ended or was abandoned.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A job as the desk sees it.
pub(super) struct ActiveJob {
    id: String,
    phase: Mutex<Phase>,
    heard: Mutex<Instant>,
    /// It is let go when its coordinator was silent for so long.
    let_go_after: Duration,
    abandoned: AtomicBool,
    /// Whether the worker is free again.
    over: watch::Sender<bool>,
    /// Connections that stood when it was ready, and how long it is planned to be.
    readiness: Mutex<(u64, Duration)>,
    claims: Option<File>,
}

#[derive(Default)]
enum Phase {
    #[default]
    Preparing,
    Ready(Prepared),
    Running(Running, CpuMark),
    /// Its threads have ended; their counts are added up.
    Ending(LastReading),
    Finished(LastReading, Arc<Outcome>),
    Failed(String),
}

/// CPU that this process had used when the job started.
#[derive(Clone, Copy)]
struct CpuMark(Duration);

/// What a run showed last.
type LastReading = Box<MeterReading>;

/// What the life of a job has to do next.
enum Next {
    Wait,
    AddUp(Box<Running>, CpuMark),
    End,
}

/// Why a call does not fit the job's phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It cannot be started: it is not ready, or has been started.
    NotReady,
    /// It has no result yet.
    NotFinished,
    /// Its result cannot be written down.
    Unwritable,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotReady => "the job is not waiting for a start",
            Self::NotFinished => "the job has no result (yet)",
            Self::Unwritable => "the job's result cannot be written as JSON",
        })
    }
}

impl fmt::Debug for ActiveJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveJob").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What moves a job on.
pub(super) struct Life {
    active: Arc<ActiveJob>,
    job: Job,
    log: Option<ClaimsLog>,
}

impl ActiveJob {
    /// Takes an order.
    ///
    /// # Errors
    /// There is no file for its claims.
    pub(super) fn take(order: Order, let_go_after: Duration) -> Result<(Arc<Self>, Life)> {
        let Order { keep_claims, job } = order;
        let (log, claims) = if keep_claims {
            let file = tempfile::NamedTempFile::new().context("a file for its claims")?;
            let log = ClaimsLog::create(file.path())?;
            (Some(log), Some(file.into_parts().0))
        } else {
            (None, None)
        };
        let active = Arc::new(Self {
            id: format!("{:016x}", rand::random::<u64>()),
            phase: Mutex::new(Phase::Preparing),
            heard: Mutex::new(Instant::now()),
            let_go_after,
            abandoned: AtomicBool::new(false),
            over: watch::Sender::new(false),
            readiness: Mutex::default(),
            claims,
        });
        Ok((Arc::clone(&active), Life { active, job, log }))
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Its coordinator has called.
    pub(super) fn heard(&self) {
        *lock(&self.heard) = Instant::now();
    }

    /// Its coordinator takes leave; waits for its end, if that is near.
    pub(super) async fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
        let mut over = self.over.subscribe();
        let _later = timeout(LEAVE_WAIT, over.wait_for(|over| *over)).await;
    }

    /// The worker is free again.
    pub(super) fn is_over(&self) {
        self.over.send_replace(true);
    }

    /// Lets it go at this instant.
    ///
    /// # Errors
    /// It is not waiting for that.
    pub(super) fn start(&self, at: Instant) -> Result<(), Refused> {
        let mut phase = lock(&self.phase);
        match std::mem::take(&mut *phase) {
            Phase::Ready(prepared) => {
                *phase = Phase::Running(prepared.start(at), CpuMark(cpu::used_by_self()));
                Ok(())
            }
            other => {
                *phase = other;
                Err(Refused::NotReady)
            }
        }
    }

    /// Lets no new arrival go.
    pub(super) fn stop(&self) {
        if let Phase::Running(running, _) = &*lock(&self.phase) {
            running.stop();
        }
    }

    /// Ends it at once, with what it has counted.
    pub(super) fn halt(&self) {
        if let Phase::Running(running, _) = &*lock(&self.phase) {
            running.halt();
        }
    }

    pub(super) fn progress(&self) -> Progress {
        let (state, meter, error) = match &*lock(&self.phase) {
            Phase::Preparing => (State::Preparing, None, None),
            Phase::Ready(_) => (State::Ready, None, None),
            Phase::Running(running, _) => (State::Running, Some(running.meter()), None),
            Phase::Ending(last) => (State::Running, Some((**last).clone()), None),
            Phase::Finished(last, _) => (State::Finished, Some((**last).clone()), None),
            Phase::Failed(why) => (State::Failed, None, Some(why.clone())),
        };
        let (open_connections, planned) = *lock(&self.readiness);
        // Read after the state, so that a finished job's number is its last.
        let claims_bytes = self.claims_bytes();
        Progress { state, error, open_connections, planned, meter, claims_bytes }
    }

    fn claims_bytes(&self) -> u64 {
        self.claims.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |about| about.len())
    }

    /// Whole lines of claims from this byte on; none where there are none yet.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn claims(&self, from: u64) -> std::io::Result<Vec<u8>> {
        let Some(file) = &self.claims else { return Ok(Vec::new()) };
        let there = usize::try_from(self.claims_bytes().saturating_sub(from)).unwrap_or(usize::MAX);
        let mut lines = vec![0; there.min(CLAIMS_BYTES_MAX)];
        let mut filled = 0;
        while let Some(room) = lines.get_mut(filled..).filter(|room| !room.is_empty()) {
            match file.read_at(room, from + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        lines.truncate(filled);
        let whole = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        lines.truncate(whole);
        Ok(lines)
    }

    /// Its result as JSON.
    ///
    /// # Errors
    /// It has none.
    pub(super) fn outcome(&self) -> Result<Vec<u8>, Refused> {
        let outcome = match &*lock(&self.phase) {
            Phase::Finished(_, outcome) => Arc::clone(outcome),
            _ => return Err(Refused::NotFinished),
        };
        serde_json::to_vec(&*outcome).map_err(|_| Refused::Unwritable)
    }

    fn set(&self, phase: Phase) {
        *lock(&self.phase) = phase;
    }

    fn is_let_go(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) || lock(&self.heard).elapsed() > self.let_go_after
    }

    fn next(&self) -> Next {
        let let_go = self.is_let_go();
        let mut phase = lock(&self.phase);
        match &*phase {
            Phase::Running(running, _) if running.is_finished() => (),
            Phase::Running(running, _) if let_go => {
                running.stop();
                return Next::Wait;
            }
            Phase::Ready(_) | Phase::Finished(..) | Phase::Failed(_) if let_go => return Next::End,
            _ => return Next::Wait,
        }
        match std::mem::take(&mut *phase) {
            Phase::Running(running, mark) => {
                *phase = Phase::Ending(Box::new(running.meter()));
                Next::AddUp(Box::new(running), mark)
            }
            other => {
                *phase = other;
                Next::Wait
            }
        }
    }
}

impl Life {
    /// Does the job and stays with it until its coordinator is done with it.
    pub(super) async fn live(self) {
        let Self { active, job, log } = self;
        let prepared = spawn_blocking(move || engine::prepare(job, log)).await;
        active.set(match flat(prepared) {
            Ok(prepared) => {
                *lock(&active.readiness) = (prepared.open_connections(), prepared.planned());
                Phase::Ready(prepared)
            }
            Err(error) => Phase::Failed(format!("{error:#}")),
        });
        loop {
            match active.next() {
                Next::Wait => sleep(LOOK_EVERY).await,
                Next::AddUp(running, mark) => add_up(&active, *running, mark).await,
                Next::End => break,
            }
        }
        if !active.abandoned.load(Ordering::Relaxed) {
            let seconds = active.let_go_after.as_secs();
            streams::tell(&format!(
                "claimrush-loadtest worker: let job {} go, its coordinator was silent for {seconds} s",
                active.id
            ));
        }
        // What is left of the job goes here: connections that were never used are closed beside the calls.
        let _broken = spawn_blocking(move || active.set(Phase::Failed("the job was let go".into()))).await;
    }
}

async fn add_up(active: &ActiveJob, running: Running, mark: CpuMark) {
    let added = spawn_blocking(move || {
        let tally = running.join()?;
        Ok(Outcome { tally, cpu: cpu::used_by_self().saturating_sub(mark.0) })
    });
    let outcome = flat(added.await);
    let mut phase = lock(&active.phase);
    *phase = match (outcome, std::mem::take(&mut *phase)) {
        (Ok(outcome), Phase::Ending(last)) => Phase::Finished(last, Arc::new(outcome)),
        (Ok(_), _) => Phase::Failed("the job ended out of turn".into()),
        (Err(error), _) => Phase::Failed(format!("{error:#}")),
    };
}

fn flat<T>(done: Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    done.context("a thread of the job broke")?
}
