//! SIGTERM, SIGINT and a closed terminal's SIGHUP: the first asks for an orderly stop, the second for an immediate one.

use std::future::pending;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// These signals, caught from the moment of [`Signals::install`].
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// None where whoever started the process has it ignored.
    hangup: Option<Signal>,
    came: u32,
}

impl Signals {
    /// Catches them. A SIGHUP that is ignored stays so: `nohup` starts what is to outlive its terminal like that.
    ///
    /// # Errors
    /// What the system says.
    pub fn install() -> io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let hangup = match ignores(&status, SignalKind::hangup()) {
            Some(false) => Some(signal(SignalKind::hangup())?),
            // Where it cannot be told nothing is changed.
            Some(true) | None => None,
        };
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup,
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
                _ = self.terminate.recv() => self.came += 1,
                _ = self.interrupt.recv() => self.came += 1,
                // A terminal that is closed hangs up more than once: its shell does, and the system when that has ended.
                () = next(&mut self.hangup) => self.came = self.came.max(1),
            }
        }
    }
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => pending().await,
    }
}

/// Whether a process ignores a signal, by what `/proc/<pid>/status` says of it; nothing where that does not say.
fn ignores(status: &str, signal: SignalKind) -> Option<bool> {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let ignored = u64::from_str_radix(ignored.trim(), 16).ok()?;
    let bit = u32::try_from(signal.as_raw_value()).ok()?.checked_sub(1)?;
    Some(ignored.checked_shr(bit)? & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_which_signals_are_ignored() {
        let status = |mask: &str| format!("Name:\tclaimrush\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
        let hangup = |status: &str| ignores(status, SignalKind::hangup());
        assert_eq!(hangup(&status("0000000000001001")), Some(true));
        assert_eq!(hangup(&status("0000000000001000")), Some(false));
        assert_eq!(ignores(&status("0000000000004000"), SignalKind::terminate()), Some(true));
        for unknown in ["", "SigIgn:", "SigIgn:\tnone\n"] {
            assert_eq!(hangup(unknown), None, "{unknown:?}");
        }
    }
}
