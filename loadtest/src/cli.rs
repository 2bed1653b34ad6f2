//! The command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

/// The load-test harness of claimrush.
#[derive(Debug, Parser)]
#[command(name = "claimrush-loadtest", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the harness can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Rehearse a release by a scenario file
    Run(crate::run::RunArgs),
    /// Put the results of two runs side by side
    Compare(crate::compare::CompareArgs),
    /// Print the JSON schema of a document
    Schema {
        /// Which
        of: Document,
    },
    /// Send a rush of claims and report what came back
    Rush(crate::rush::RushArgs),
    /// Get tickets at the service's own desk, for people with identity tokens
    Tickets(crate::ticket_desk::TicketsArgs),
    /// Make a key set for the identities of a rehearsal, for the service's desk and for `run`
    IdentityKeys(crate::ticket_desk::identity::KeysArgs),
    /// Run a scenario without the guard and with it, in turn, and put people's share on a page
    Fairness(crate::fairness::FairnessArgs),
    /// Serve as a yardstick
    #[command(subcommand)]
    Peer(PeerCommand),
    /// Wait for a coordinator and do a share of its runs
    ///
    /// The link is plain HTTP and carries the key that signs tickets: listen only where nobody else listens in.
    Worker(crate::workers::WorkerArgs),
    /// Make one page of several runs and an audit
    Report(crate::report::ReportArgs),
    /// Measure the service and its peers in turn, and compare
    Bench(BenchArgs),
}

/// A document with a published schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Document {
    /// What `run` reads
    Scenario,
    /// What `run` and `rush` write as results
    Results,
}

/// A yardstick server.
#[derive(Debug, Subcommand)]
pub enum PeerCommand {
    /// A bare hyper server: reads a claim-sized request, answers a claim-sized reply
    Echo(PeerArgs),
    /// The same server with one pooled checkout and one EVALSHA a claim
    Pooled {
        /// Address and threads
        #[command(flatten)]
        peer: PeerArgs,
        /// The Redis to claim from
        #[arg(long, value_name = "URL")]
        redis: String,
        /// Connections of each thread's pool; the pool's own default if not given
        #[arg(long, value_name = "N", value_parser = threads)]
        pool_size: Option<usize>,
    },
    /// A longer way to another server: every byte is held back for half a round trip, there and back
    Far(crate::peer::far::FarArgs),
}

/// Where a yardstick listens.
#[derive(Debug, Args)]
pub struct PeerArgs {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Server threads; as many as cores if not given
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
}

/// A bench.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// The service's binary; without it only its peers are measured
    #[arg(long, value_name = "PATH")]
    pub service_bin: Option<PathBuf>,
    /// Seconds of each measurement
    #[arg(long, value_name = "S", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Rounds; every number is a median over them
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// The folder for results and logs
    #[arg(long, value_name = "DIR", default_value = "bench-out")]
    pub out: PathBuf,
    /// The page whose lines between the bench markers are replaced
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,
    /// The word of that page's markers, `<!-- WORD: begin -->` and `<!-- WORD: end -->`
    #[arg(long, value_name = "WORD", default_value = "bench", requires = "page")]
    pub section: String,
    /// The folder of the peers
    #[arg(long, value_name = "DIR", default_value = "loadtest/peers")]
    pub peers: PathBuf,
    /// Tickets, each used once a round: more than can be claimed in the time
    #[arg(long, value_name = "N", default_value_t = 2_000_000,
          value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    pub tickets: u64,
    /// Only these; the modes of acknowledgement are measured only when they stand here
    #[arg(long, value_delimiter = ',',
          value_parser = ["echo", "wrk", "claimrush", "sold-out", "pooled", "webdis", "node", "memory",
                          "ack-memory", "ack-fsync", "ack-replica", "ack-memory-pg", "ack-fsync-pg", "ack-replica-pg"])]
    pub rows: Vec<String>,
}

impl BenchArgs {
    /// Whether this row is asked for.
    #[must_use]
    pub fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.names(row)
    }

    /// Whether this row is asked for by its name.
    #[must_use]
    pub fn names(&self, row: &str) -> bool {
        self.rows.iter().any(|wanted| wanted == row)
    }

    /// The length of each measurement.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// A positive number of seconds, fractions allowed, up to a day.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if seconds > 0.0 && seconds <= 86_400.0 {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("must be above 0 and at most 86400".to_owned())
    }
}

/// A number of threads.
pub(crate) fn threads(text: &str) -> Result<usize, String> {
    at_most(text, 1_024)
}

/// A number from one to `most`.
pub(crate) fn at_most(text: &str, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(format!("must be a number from 1 to {most}")),
    }
}
