//! CPU time of processes, read from `/proc`.
//!
//! `utime + stime` of `/proc/<pid>/stat` counts all threads of a process, ended ones included, in ticks of
//! 1/100 s (proc(5); user space sees 100 a second on every Linux architecture).

use std::{collections::HashMap, fs, time::Duration};

const MILLIS_PER_TICK: u64 = 10;
/// Fields after the command name: state is field 3, utime field 14 of proc(5).
const UTIME_AFTER_NAME: usize = 11;
const PARENT_AFTER_NAME: usize = 1;

/// The CPU time that a process has used so far, or `None` if there is no such process.
#[must_use]
pub fn used_by(pid: u32) -> Option<Duration> {
    ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, UTIME_AFTER_NAME)
}

/// The logical cores of this machine that this process may use.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The CPU time that this process has used so far.
#[must_use]
pub fn used_by_self() -> Duration {
    used_by(std::process::id()).unwrap_or_default()
}

/// The CPU time of this process' ended and awaited children.
#[must_use]
pub fn used_by_ended_children() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    ticks(&stat, UTIME_AFTER_NAME + 2).unwrap_or_default()
}

fn ticks(stat: &str, first: usize) -> Option<Duration> {
    let mut fields = after_name(stat)?.skip(first);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * MILLIS_PER_TICK))
}

/// The fields after the command name, which is in parentheses and may hold anything.
fn after_name(stat: &str) -> Option<std::str::SplitAsciiWhitespace<'_>> {
    Some(stat.rsplit_once(')')?.1.split_ascii_whitespace())
}

/// A process and all its descendants, as they are now.
#[must_use]
pub fn family_of(pid: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = after_name(&stat).and_then(|mut fields| fields.nth(PARENT_AFTER_NAME)?.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(child);
        }
    }
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(member) = family.get(at).copied() {
        family.extend(children.remove(&member).unwrap_or_default());
        at += 1;
    }
    family
}

/// Resident memory of a process in bytes, or `None` if there is no such process.
#[must_use]
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

/// CPU time of some processes between two moments.
#[derive(Debug)]
pub struct CpuWatch {
    before: Vec<(u32, Duration)>,
}

impl CpuWatch {
    /// Starts to watch; a process that does not exist is named in the error.
    ///
    /// # Errors
    /// One of the processes does not exist.
    pub fn start(pids: &[u32]) -> anyhow::Result<Self> {
        let before = pids
            .iter()
            .map(|&pid| Ok((pid, used_by(pid).ok_or_else(|| anyhow::anyhow!("there is no process {pid}"))?)))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { before })
    }

    /// What each process has used since; `None` for one that has ended meanwhile.
    #[must_use]
    pub fn since(&self) -> Vec<(u32, Option<Duration>)> {
        self.before
            .iter()
            .map(|&(pid, before)| (pid, used_by(pid).map(|now| now.saturating_sub(before))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_is_skipped() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 0 0 0 0 0 25 17 3 4 20";
        assert_eq!(ticks(stat, UTIME_AFTER_NAME), Some(Duration::from_millis(420)));
        assert_eq!(ticks(stat, UTIME_AFTER_NAME + 2), Some(Duration::from_millis(70)));
    }

    #[test]
    fn this_process_is_seen() {
        let pid = std::process::id();
        assert!(used_by(pid).is_some());
        assert!(resident_bytes(pid).unwrap() > 100_000);
        assert!(family_of(pid).contains(&pid));
        assert!(CpuWatch::start(&[0]).is_err());
    }
}
