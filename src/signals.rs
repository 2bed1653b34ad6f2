//! SIGTERM and SIGINT: the first asks for an orderly stop, the second for an immediate one.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The two signals, caught from the moment of [`Signals::install`].
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    came: u32,
}

impl Signals {
    /// Catches them.
    ///
    /// # Errors
    /// What the system says.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            came: 0,
        })
    }

    /// Waits for the first signal; returns at once when it came before.
    pub async fn first(&mut self) {
        self.until(1).await;
    }

    /// Waits for the second signal.
    pub async fn again(&mut self) {
        self.until(2).await;
    }

    async fn until(&mut self, count: u32) {
        while self.came < count {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            self.came += 1;
        }
    }
}
