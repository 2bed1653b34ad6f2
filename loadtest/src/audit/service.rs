//! The service's own commands, run beside it: the ledger's export and its audit.
//!
//! Owns how they are run and read. Never runs longer than it may; what runs too long is ended.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tokio::{process::Command, time::timeout_at};

use crate::results::{AuditCheck, AuditResult};

/// Of what a command complains, so many characters are passed on.
const COMPLAINT_CHARS_MAX: usize = 300;

/// The service's binary, and where it finds its ledger and Redis: by its own defaults where nothing is said.
#[derive(Debug, Clone, Default)]
pub struct ServiceAccess {
    /// The `claimrush` binary.
    pub binary: PathBuf,
    /// Its data folder.
    pub data: Option<PathBuf>,
    /// Its config file.
    pub config: Option<PathBuf>,
}

/// One claim in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Row {
    pub(super) claim_id: Box<str>,
    pub(super) drop: Box<str>,
    pub(super) shard: u32,
    pub(super) epoch: u32,
    pub(super) seq: u64,
    pub(super) person: Box<str>,
}

/// What `claimrush audit --json` says.
#[derive(Debug, Deserialize)]
pub struct ServiceAudit {
    ok: bool,
    checks: Vec<AuditCheck>,
}

impl From<ServiceAudit> for AuditResult {
    fn from(ServiceAudit { ok, checks }: ServiceAudit) -> Self {
        Self { ok, checks, left_out: Vec::new() }
    }
}

impl ServiceAccess {
    /// Runs one of the service's commands.
    async fn run(&self, arguments: &[&OsStr], until: Instant) -> Result<Output> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        for (flag, path) in [("--data", &self.data), ("--config", &self.config)] {
            if let Some(path) = path {
                command.arg(flag).arg(path);
            }
        }
        let output = timeout_at(until.into(), command.output()).await;
        let output = output.context("the time for the audit is over")?;
        output.with_context(|| format!("cannot run {}", self.binary.display()))
    }

    /// A drop's claims as the ledger has them.
    ///
    /// # Errors
    /// The export cannot be run, fails, takes longer than `until`, or cannot be read.
    pub(super) async fn export(&self, drop: &str, until: Instant) -> Result<Vec<Row>> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("claims.csv");
        let arguments = ["ledger", "export", "--drop", drop, "--format", "csv", "--out"].map(OsStr::new);
        let arguments: Vec<_> = arguments.into_iter().chain([file.as_os_str()]).collect();
        let output = self.run(&arguments, until).await.context("ledger export")?;
        ensure!(output.status.success(), "ledger export: {}", complaint(&output));
        let rows = csv::Reader::from_path(&file)?.into_deserialize().collect::<Result<_, _>>();
        rows.context("ledger export cannot be read")
    }

    /// What the service's audit says of Redis, ledger, money and this claims log, each check by its own name.
    ///
    /// # Errors
    /// The audit cannot be run, takes longer than `until`, or comes to no result.
    pub(super) async fn audit(&self, claims_log: &Path, until: Instant) -> Result<Vec<AuditCheck>> {
        let arguments = ["audit", "--json", "--claims-log"].map(OsStr::new);
        let arguments: Vec<_> = arguments.into_iter().chain([claims_log.as_os_str()]).collect();
        let output = self.run(&arguments, until).await?;
        let Ok(ServiceAudit { ok, mut checks }) = serde_json::from_slice(&output.stdout) else {
            bail!("{}", complaint(&output));
        };
        let agrees = ok == output.status.success() && ok == checks.iter().all(|check| check.ok);
        ensure!(
            agrees && !checks.is_empty(),
            "its checks, its verdict and its exit code contradict each other"
        );
        for check in &mut checks {
            check.id.insert_str(0, "service.");
        }
        Ok(checks)
    }
}

/// How a command failed, in one line.
fn complaint(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    let line: String = errors.lines().next().unwrap_or_default().chars().take(COMPLAINT_CHARS_MAX).collect();
    if line.is_empty() { output.status.to_string() } else { format!("{line} ({})", output.status) }
}

/// What the ledger held before a run.
#[derive(Debug, Clone, Default)]
pub struct AuditBaseline {
    claims: HashMap<String, HashSet<Box<str>>>,
}

impl AuditBaseline {
    /// Notes the claims of these drops, until `until`. To be called when nothing is claimed and all is drained: what
    /// comes to the ledger later counts as the run's.
    ///
    /// # Errors
    /// The ledger has no such drop, or cannot be exported in time.
    pub fn take(service: &ServiceAccess, drops: &[String], until: Instant) -> Result<Self> {
        let runtime = super::runtime()?;
        let mut claims = HashMap::new();
        for drop in drops {
            let rows = runtime.block_on(service.export(drop, until))?;
            claims.insert(drop.clone(), rows.into_iter().map(|row| row.claim_id).collect());
        }
        Ok(Self { claims })
    }

    /// The claims of a drop before the run; `None` for a drop that was not noted.
    pub(super) fn of(&self, drop: &str) -> Option<&HashSet<Box<str>>> {
        self.claims.get(drop)
    }
}
