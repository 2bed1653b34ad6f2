//! What is known of the machine that a run was on.
//!
//! Reads `/proc` and `/etc/os-release`; where they are missing it says what the compiler knows.

use std::{fs, num::NonZero, thread, time::UNIX_EPOCH};

use super::Environment;
use crate::clock;

impl Environment {
    /// This machine, now; threads and workers are left empty.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: humantime::format_rfc3339_millis(UNIX_EPOCH + clock::unix_now()).to_string(),
            system: system(),
            processor: processor(&read("/proc/cpuinfo")),
            cores: thread::available_parallelism().map_or(1, NonZero::get),
            memory_bytes: memory_bytes(&read("/proc/meminfo")),
            threads: 0,
            workers: Vec::new(),
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The distribution, the kernel and the architecture, as far as they are known.
fn system() -> String {
    let distribution = distribution(&read("/etc/os-release"));
    let kernel = [read("/proc/sys/kernel/ostype"), read("/proc/sys/kernel/osrelease")];
    let kernel = kernel.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    let kernel = kernel.collect::<Vec<_>>().join(" ");
    let kernel = if kernel.is_empty() { std::env::consts::OS.to_owned() } else { kernel };
    let known = [distribution, Some(format!("{kernel} {}", std::env::consts::ARCH))];
    known.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn distribution(os_release: &str) -> Option<String> {
    let name = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim().trim_matches('"').to_owned())
}

/// The processor's name; not every architecture's kernel tells it.
fn processor(cpuinfo: &str) -> String {
    let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// All memory in bytes; 0 where it is not known.
fn memory_bytes(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1_024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_linux_are_understood() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: A Fast One @ 3 GHz\n"), "A Fast One @ 3 GHz");
        assert_eq!(memory_bytes("MemTotal:       16384 kB\nMemFree: 1 kB\n"), 16_777_216);
        assert_eq!(distribution("ID=x\nPRETTY_NAME=\"A System 12\"\n").as_deref(), Some("A System 12"));
    }

    #[test]
    fn what_is_not_there_is_not_invented() {
        assert_eq!(processor("Features : fp asimd\n"), std::env::consts::ARCH);
        assert_eq!(memory_bytes(""), 0);
        assert_eq!(distribution(""), None);
    }

    #[test]
    fn this_machine_is_described() {
        let here = Environment::of_this_machine();
        assert!(here.cores > 0);
        assert!(!here.system.is_empty() && !here.processor.is_empty());
        assert!(humantime::parse_rfc3339(&here.started_at).is_ok(), "{}", here.started_at);
    }
}
