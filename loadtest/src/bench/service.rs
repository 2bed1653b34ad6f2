//! The service under test: started with a data folder of its own, fed with a campaign, asked for its journal and
//! its audit. Everything goes through its command line, its sockets and `run.json`.

use std::{
    fs::{self, DirBuilder},
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::{
    measure::Load,
    process::Started,
    setup::{READY_WAIT, Workshop, accepts},
};
use crate::cli::BenchArgs;

/// The drop with stock for everyone, and the one that is sold out.
pub const DROP: &str = "bench";
/// See [`DROP`].
pub const SOLD_OUT_DROP: &str = "bench-sold-out";

const JOURNAL: &str = "cr:{s0}:journal";
/// How long the journal may take to become empty before the bench gives up.
const DRAIN_WAIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The fields of `run.json` that the bench needs.
#[derive(Debug, Deserialize)]
struct RunInfo {
    listen: SocketAddr,
    pid: u32,
    redis_pid: Option<u32>,
    redis_url: String,
}

/// How one claimrush measurement ended.
#[derive(Debug, Clone, Serialize)]
pub struct Finish {
    /// The round, from 1.
    pub round: u32,
    /// Connections.
    pub connections: usize,
    /// Claims granted a second during the load.
    pub decided_per_s: f64,
    /// The same claims a second, counted until the last was in the ledger.
    pub durable_per_s: f64,
    /// Seconds from the last answer until the journal was empty.
    pub journal_empty_after_s: f64,
}

/// A running service.
#[derive(Debug)]
pub struct Service {
    /// Its public listener.
    pub listen: SocketAddr,
    /// Its process id.
    pub pid: u32,
    redis_pid: Option<u32>,
    redis_url: String,
    binary: PathBuf,
    data: PathBuf,
    process: Started,
    /// Redis memory before the first claim, in bytes.
    pub redis_bytes_before: u64,
}

impl Service {
    /// Starts it on an empty data folder, with these variables in its environment, and applies a campaign that is
    /// open already.
    ///
    /// # Errors
    /// It does not start, or refuses the campaign.
    pub fn start(workshop: &Workshop<'_>, name: &str, settings: &[(&str, String)]) -> Result<Self> {
        let binary = workshop.args.service_bin.clone().context("no --service-bin")?;
        let data = workshop.path(&format!("data-{name}"));
        DirBuilder::new().mode(0o700).create(&data)?;
        let key = workshop.path("ticket.key");
        if key.exists() {
            fs::copy(&key, data.join("ticket.key"))?;
        }
        let mut command = Command::new(&binary);
        command.arg("serve").arg("--data").arg(&data);
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.envs(settings.iter().map(|(key, value)| (key, value)));
        let mut process = Started::start("claimrush", &mut command, &workshop.log(name))?;
        let run_json = data.join("run.json");
        let run: RunInfo = process
            .wait_for(READY_WAIT, || serde_json::from_str(&fs::read_to_string(&run_json).ok()?).ok())?;
        process.wait_for(READY_WAIT, || accepts(run.listen))?;
        if let Some(pid) = run.redis_pid {
            process.also_end(pid);
        }
        let RunInfo { listen, pid, redis_pid, redis_url } = run;
        let mut service =
            Self { listen, pid, redis_pid, redis_url, binary, data, process, redis_bytes_before: 0 };
        if !key.exists() {
            fs::copy(service.data.join("ticket.key"), &key)?;
        }
        service.apply_campaign(workshop)?;
        service.mint(workshop, DROP, workshop.args.tickets)?;
        service.mint(workshop, SOLD_OUT_DROP, workshop.args.tickets / 4)?;
        service.redis_bytes_before = service.redis_bytes()?;
        Ok(service)
    }

    /// The processes whose CPU counts: itself, its drain included, and its Redis.
    #[must_use]
    pub fn watched(&self) -> Vec<u32> {
        std::iter::once(self.pid).chain(self.redis_pid).collect()
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

    fn apply_campaign(&self, workshop: &Workshop<'_>) -> Result<()> {
        let stock = workshop.args.tickets;
        let drop = |id: &str, stock: u64| {
            format!(
                "[[drop]]\nid = \"{id}\"\nopens_at = \"2020-01-01T00:00:00Z\"\n\
                 closes_at = \"2099-01-01T00:00:00Z\"\nstock = {stock}\nlimit_per_person = 1\n\
                 voucher = {{ face = \"1.00\", threshold = \"2.00\", valid_for = \"7d\" }}\n"
            )
        };
        let campaign = format!(
            "id = \"bench\"\nname = \"bench\"\nbudget = \"{}.00 CNY\"\ntime_zone = \"Asia/Shanghai\"\n\n{}\n{}",
            stock + 1,
            drop(DROP, stock),
            drop(SOLD_OUT_DROP, 1)
        );
        let path = workshop.path("bench.toml");
        fs::write(&path, campaign)?;
        self.call(&["campaign", "apply", &path.display().to_string()])
    }

    /// Mints the tickets once; every service of this bench has the same key.
    fn mint(&self, workshop: &Workshop<'_>, drop: &str, count: u64) -> Result<()> {
        let out = ticket_file(workshop, drop);
        if out.exists() {
            return Ok(());
        }
        let (count, out) = (count.max(1).to_string(), out.display().to_string());
        self.call(&["ticket", "mint", "--drop", drop, "--count", &count, "--prefix", "p", "--out", &out])
    }

    /// A connection to its Redis.
    fn redis(&self) -> Result<redis::Connection> {
        Ok(redis::Client::open(self.redis_url.as_str())?.get_connection()?)
    }

    /// What its Redis uses now, in bytes.
    ///
    /// # Errors
    /// Redis does not answer.
    pub fn redis_bytes(&self) -> Result<u64> {
        let info: String = redis::cmd("INFO").arg("memory").query(&mut self.redis()?)?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        Ok(used.context("INFO memory has no used_memory")?.trim().parse()?)
    }

    /// Waits for an empty journal and tells how the load ended.
    ///
    /// # Errors
    /// The journal is not empty after a minute.
    pub fn finish(&self, load: &Load<'_>, round: u32, connections: usize) -> Result<Finish> {
        let mut redis = self.redis()?;
        let give_up_at = load.ended_at + DRAIN_WAIT;
        loop {
            let waiting: u64 = redis::cmd("XLEN").arg(JOURNAL).query(&mut redis)?;
            if waiting == 0 {
                break;
            }
            if Instant::now() >= give_up_at {
                bail!("{waiting} journal entries are left after {} s", DRAIN_WAIT.as_secs());
            }
            thread::sleep(LOOK_EVERY);
        }
        let behind_s = load.ended_at.elapsed().as_secs_f64();
        let (granted, elapsed_s) = (load.last_granted as f64, load.last_elapsed_s);
        Ok(Finish {
            round,
            connections,
            decided_per_s: granted / elapsed_s,
            durable_per_s: granted / (elapsed_s + behind_s),
            journal_empty_after_s: behind_s,
        })
    }

    /// Lets the service prove that nothing was oversold or lost.
    ///
    /// # Errors
    /// An invariant is broken.
    pub fn audit(&self, args: &BenchArgs) -> Result<()> {
        let output =
            Command::new(&self.binary).args(["audit", "--json", "--data"]).arg(&self.data).output()?;
        fs::write(args.out.join("audit.json"), &output.stdout)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the audit failed: {} {}", output.status, said.trim());
        Ok(())
    }

    /// Ends it and removes its data.
    ///
    /// # Errors
    /// The data cannot be removed.
    pub fn end(self) -> Result<()> {
        drop(self.process);
        fs::remove_dir_all(&self.data).with_context(|| format!("{}", self.data.display()))
    }
}

/// Where a drop's tickets are.
#[must_use]
pub fn ticket_file(workshop: &Workshop<'_>, drop: &str) -> PathBuf {
    workshop.path(&format!("tickets-{drop}"))
}

/// Whether a path is an executable's: said before anything is started.
///
/// # Errors
/// There is no such file.
pub fn check_binary(path: &Path) -> Result<()> {
    ensure!(path.is_file(), "no service binary at {}", path.display());
    Ok(())
}
