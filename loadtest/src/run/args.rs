//! What `run` is told on the command line.

use std::path::PathBuf;

use clap::Args;

use crate::scenario::Scenario;

/// A rehearsal by a scenario file.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The scenario, as TOML
    pub scenario: PathBuf,
    /// The service's public address, in place of the scenario's
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,
    /// The service's admin address, in place of the scenario's: the live view reads its metrics
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// Sets a key of the scenario, as in arrivals.rate=5000 or drop.0.id=x; may stand several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// The seed, in place of the scenario's
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Where the results go; loadtest-out/NAME if not given
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where every claim that was seen is written; claims.jsonl among the results if not given
    #[arg(long, value_name = "FILE")]
    pub claims_log: Option<PathBuf>,
    /// Generator threads; as many as cores if not given
    #[arg(long, value_name = "N", value_parser = crate::cli::threads, conflicts_with = "workers")]
    pub threads: Option<usize>,
    /// Worker processes that make the load, as host:port,host:port
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',', requires = "token_file")]
    pub workers: Vec<String>,
    /// The token that the workers know
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Report the CPU time of these processes too
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub cpu_of: Vec<u32>,
    /// Look every claim that was seen up when the load is over
    #[arg(long)]
    pub audit: bool,
    /// Of the claims, look up this many at the most, chosen by the seed
    #[arg(long, value_name = "N", requires = "audit")]
    pub audit_sample: Option<usize>,
    /// The claimrush binary, to audit Redis, ledger and money as well
    #[arg(long, value_name = "PATH", requires = "audit")]
    pub service_bin: Option<PathBuf>,
    /// The service's data folder, for the same
    #[arg(long, value_name = "DIR", requires = "service_bin")]
    pub service_data: Option<PathBuf>,
    /// The service's config file, for the same
    #[arg(long, value_name = "FILE", requires = "service_bin")]
    pub service_config: Option<PathBuf>,
    /// Plain lines instead of a screen
    #[arg(long)]
    pub plain: bool,
    /// Nothing while it runs
    #[arg(long)]
    pub quiet: bool,
}

impl RunArgs {
    /// What the flags set in the scenario file, as `KEY=VALUE`.
    #[must_use]
    pub fn overrides(&self) -> Vec<String> {
        let mut overrides = self.sets.clone();
        overrides.extend(self.target.iter().map(|url| format!("service.url={url}")));
        overrides.extend(self.admin.iter().map(|url| format!("service.admin_url={url}")));
        overrides.extend(self.seed.iter().map(|seed| format!("seed={seed}")));
        overrides
    }

    /// Where the results of this scenario go.
    #[must_use]
    pub fn folder(&self, scenario: &Scenario) -> PathBuf {
        self.out.clone().unwrap_or_else(|| PathBuf::from("loadtest-out").join(&scenario.name))
    }
}
