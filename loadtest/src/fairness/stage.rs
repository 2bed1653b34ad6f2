//! The service of one turn, on an empty folder, and its drop.

use std::{
    fs::{self, DirBuilder},
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::FairnessArgs;
use crate::bench::{
    process::Started,
    setup::{READY_WAIT, accepts},
};

/// What the desk and the hot path refuse nothing by.
const UNGUARDED: [(&str, &str); 9] = [
    ("CLAIMRUSH_DESK__CHALLENGE", "none"),
    ("CLAIMRUSH_DESK__PERSON_PER_MINUTE", "600000"),
    ("CLAIMRUSH_DESK__ADDRESS_PER_MINUTE", "600000"),
    ("CLAIMRUSH_LIMITS__PERSON_PER_SECOND", "10000"),
    ("CLAIMRUSH_LIMITS__PERSON_BURST", "10000"),
    ("CLAIMRUSH_LIMITS__ADDRESS_PER_SECOND", "1000000"),
    ("CLAIMRUSH_LIMITS__ADDRESS_BURST", "1000000"),
    ("CLAIMRUSH_LIMITS__NETWORK_PER_SECOND", "1000000"),
    ("CLAIMRUSH_LIMITS__NETWORK_BURST", "1000000"),
];

#[derive(Debug, Deserialize)]
struct RunInfo {
    listen: SocketAddr,
    redis_pid: Option<u32>,
}

/// A running service.
pub(super) struct Stage {
    /// Its public listener.
    pub(super) listen: SocketAddr,
    binary: PathBuf,
    data: PathBuf,
    process: Started,
}

impl Stage {
    pub(super) fn start(
        args: &FairnessArgs,
        folder: &Path,
        keys: &Path,
        guarded: bool,
        name: &str,
    ) -> Result<Self> {
        let binary = args.service_bin.clone();
        ensure!(binary.is_file(), "no service binary at {}", binary.display());
        let data = folder.join(name);
        DirBuilder::new().mode(0o700).create(&data)?;
        let mut command = Command::new(&binary);
        command.arg("serve").arg("--data").arg(&data);
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        // The addresses of the scenario come as a proxy on this machine tells them.
        command.env("CLAIMRUSH_SERVER__TRUSTED_PROXIES", "127.0.0.0/8");
        command.env("CLAIMRUSH_DESK__KEYS_FILE", keys);
        command.env("CLAIMRUSH_DESK__DIFFICULTY", args.difficulty.to_string());
        if !guarded {
            command.envs(UNGUARDED);
        }
        let mut process =
            Started::start("claimrush", &mut command, &args.out.join(format!("service-{name}.log")))?;
        let run_json = data.join("run.json");
        let run: RunInfo = process
            .wait_for(READY_WAIT, || serde_json::from_str(&fs::read_to_string(&run_json).ok()?).ok())?;
        process.wait_for(READY_WAIT, || accepts(run.listen))?;
        if let Some(pid) = run.redis_pid {
            process.also_end(pid);
        }
        Ok(Self { listen: run.listen, binary, data, process })
    }

    /// Opens a drop of so many vouchers, one a person.
    pub(super) fn open(&self, drop: &str, stock: u64) -> Result<()> {
        let campaign = format!(
            "id = \"fairness\"\nname = \"fairness\"\nbudget = \"{stock}.00 CNY\"\ntime_zone = \"Asia/Shanghai\"\n\
             [[drop]]\nid = \"{drop}\"\nopens_at = \"2020-01-01T00:00:00Z\"\ncloses_at = \"2099-01-01T00:00:00Z\"\n\
             stock = {stock}\nlimit_per_person = 1\n\
             voucher = {{ face = \"1.00\", threshold = \"2.00\", valid_for = \"7d\" }}\n"
        );
        let path = self.data.join("fairness.toml");
        fs::write(&path, campaign)?;
        self.call(&["campaign", "apply", &path.display().to_string()])
    }

    /// Has the service prove that nothing was oversold or lost, ends it, and removes its data.
    pub(super) fn end(self) -> Result<()> {
        self.call(&["audit"])?;
        drop(self.process);
        fs::remove_dir_all(&self.data).with_context(|| format!("{}", self.data.display()))
    }

    fn call(&self, arguments: &[&str]) -> Result<()> {
        let output = Command::new(&self.binary).args(arguments).arg("--data").arg(&self.data).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "claimrush {}: {} {}",
            arguments.join(" "),
            output.status,
            said.trim()
        );
        Ok(())
    }
}
