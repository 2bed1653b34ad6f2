//! Signals that ask the program to end.
//!
//! Owns the process' handlers of SIGINT, SIGTERM and SIGHUP from the first view on. A handler cannot be taken back,
//! so when no view runs (the audit after the load, say) a signal ends the process, as it would have done before.

use std::{
    io,
    sync::{
        Once,
        atomic::{AtomicBool, AtomicU8, Ordering},
        mpsc::{self, Sender},
    },
    thread,
};

use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use super::terminal;

/// The signal that does not wait for the run loop any more.
const PATIENCE: u8 = 3;
/// What a shell adds to a signal's number to make an exit code.
const EXIT_BY_SIGNAL: i32 = 128;

static INTERRUPTS: Interrupts = Interrupts { asked: AtomicU8::new(0), watched: AtomicBool::new(false) };
static HANDLERS: Once = Once::new();

struct Interrupts {
    /// Signals since the watch began.
    asked: AtomicU8,
    /// Somebody looks at `asked`.
    watched: AtomicBool,
}

/// While it lives, signals are counted instead of ending the process.
#[derive(Debug)]
pub struct Watch(());

impl Watch {
    /// Starts to count.
    pub(crate) fn start() -> Self {
        INTERRUPTS.asked.store(0, Ordering::Relaxed);
        INTERRUPTS.watched.store(true, Ordering::Relaxed);
        HANDLERS.call_once(|| {
            let (ready, is_ready) = mpsc::channel::<()>();
            // Without a thread, a signal ends the process at once: bad manners, but nothing is lost that is promised.
            let _thread = thread::Builder::new().name("signals".into()).spawn(move || listen(ready));
            // Nothing is ever sent: the other end's going is the sign.
            let _ready = is_ready.recv();
        });
        Self(())
    }

    /// How many signals came since the start.
    #[expect(clippy::unused_self, reason = "only who watches may ask")]
    pub(crate) fn asked(&self) -> u8 {
        INTERRUPTS.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        INTERRUPTS.watched.store(false, Ordering::Relaxed);
    }
}

/// Hears signals until the process ends; drops `ready` when it does.
fn listen(ready: Sender<()>) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        drop(ready);
        loop {
            let kind = tokio::select! {
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = terminate.recv() => SignalKind::terminate(),
                _ = hangup.recv() => SignalKind::hangup(),
            };
            let asked = INTERRUPTS.asked.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            if asked >= PATIENCE || !INTERRUPTS.watched.load(Ordering::Relaxed) {
                terminal::restore();
                std::process::exit(EXIT_BY_SIGNAL + kind.as_raw_value());
            }
        }
    })
}
