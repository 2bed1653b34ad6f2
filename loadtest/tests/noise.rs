//! How late this machine is with what it is asked for, while a test measures.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long a watcher sleeps at a time.
const NAP: Duration = Duration::from_millis(1);
/// A watcher that wakes up no later than this is on time.
const ON_TIME: Duration = Duration::from_millis(4);

/// Watchers that wake up every millisecond. A machine that wakes them late is late for the generator and its service too,
/// and times that are measured meanwhile may be longer by that much, never shorter.
pub(crate) struct Noise {
    stopped: Arc<AtomicBool>,
    watchers: Vec<JoinHandle<Duration>>,
}

impl Noise {
    /// Watches from now on, by a thread for each core.
    pub(crate) fn watch() -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let watcher = || {
            let stopped = Arc::clone(&stopped);
            thread::spawn(move || {
                let mut late = Duration::ZERO;
                while !stopped.load(Ordering::Relaxed) {
                    let asleep_at = Instant::now();
                    thread::sleep(NAP);
                    let over = asleep_at.elapsed().saturating_sub(NAP);
                    if over > ON_TIME {
                        late += over;
                    }
                }
                late
            })
        };
        let watchers = (0..cores).map(|_| watcher()).collect();
        Self { stopped, watchers }
    }

    /// By how many milliseconds the machine was late in all.
    pub(crate) fn ms(self) -> f64 {
        self.stopped.store(true, Ordering::Relaxed);
        let late = self.watchers.into_iter().map(|watcher| watcher.join().unwrap());
        late.max().unwrap_or_default().as_secs_f64() * 1e3
    }
}

/// Fails unless a time is what it must be at least, and no more than that but for `tolerance_ms` and what the machine itself
/// was late by.
pub(crate) fn assert_near(what: &str, measured_ms: f64, expected_ms: f64, tolerance_ms: f64, noise_ms: f64) {
    let allowed = (expected_ms - tolerance_ms)..(expected_ms + tolerance_ms + noise_ms);
    assert!(
        allowed.contains(&measured_ms),
        "{what}: {measured_ms} ms instead of {expected_ms} ms, on a machine that was late by {noise_ms} ms"
    );
}
