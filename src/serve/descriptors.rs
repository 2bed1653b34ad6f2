//! File descriptors: as many as the connections may take, beside those that all else needs.
//!
//! Owns the process' own limit of them. A login shell allows a thousand where the machine would allow a million; and
//! connections that took the last one would keep Redis and the ledger out of reach, also for who is connected already.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits;

/// Raises the process' limit as far as `connections` ask for it and the system allows it; how many of them may be held.
pub(super) fn provide(connections: usize, threads: usize) -> usize {
    let reserved = reserved(threads);
    let limit = getrlimit(Resource::Nofile);
    let wanted = wide(connections).saturating_add(reserved);
    let mut granted = limit.current.unwrap_or(u64::MAX);
    if granted < wanted {
        let raised = limit.maximum.map_or(wanted, |most| most.min(wanted));
        match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }) {
            Ok(()) => granted = raised,
            Err(error) => tracing::warn!(%error, raised, "the limit of open files cannot be raised"),
        }
    }
    let held = held(connections, reserved, granted);
    if held < connections {
        tell_fewer(connections, held, granted);
    }
    held
}

/// Warns who asked for so many; the default is more than most machines give, and is nobody's wish.
fn tell_fewer(connections: usize, held: usize, open_files: u64) {
    const WHY: &str = "fewer connections are held than server.max_connections, for want of open files (LimitNOFILE, ulimit -n)";
    if connections == limits::CONNECTIONS_DEFAULT {
        tracing::info!(open_files, connections = held, "{WHY}");
    } else {
        tracing::warn!(open_files, connections = held, "{WHY}");
    }
}

/// What is kept for Redis, the ledger, the admin listener and files.
fn reserved(threads: usize) -> u64 {
    wide(threads.saturating_mul(limits::DESCRIPTORS_PER_THREAD).saturating_add(limits::DESCRIPTORS_RESERVED))
}

/// How many connections a limit leaves room for; half of it where it is too small for everything.
fn held(connections: usize, reserved: u64, limit: u64) -> usize {
    let left = limit.saturating_sub(reserved).max(limit / 2).max(1);
    usize::try_from(left).unwrap_or(usize::MAX).min(connections)
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_what_all_else_needs() {
        assert_eq!(held(20_000, 520, u64::MAX), 20_000);
        assert_eq!(held(20_000, 520, 20_520), 20_000);
        assert_eq!(held(20_000, 520, 20_519), 19_999);
        assert_eq!(held(20_000, 520, 1_024), 512, "half of it, where that is more than what is left");
        assert_eq!(held(20_000, 520, 0), 1);
        assert_eq!(held(10, 520, 1_024), 10);
    }
}
