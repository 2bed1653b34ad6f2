//! Prometheus and its tool, where the machine has them.

use std::path::Path;
use std::process::{Command, Stdio};

/// The folder of the rules.
pub(crate) fn rules_dir() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus"))
}

/// Whether this program can be run here; says so if it cannot.
pub(crate) fn is_there(program: &str) -> bool {
    let mut look = Command::new(program);
    look.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let there = look.status().is_ok_and(|status| status.success());
    if !there {
        eprintln!("{program} is not here: what needs it is left out");
    }
    there
}
