//! A rush: a scenario from the command line, for those who have tickets and a number in mind.
//!
//! Owns what each flag means in the words of a scenario. Everything else is as for a scenario file.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, anyhow};
use clap::{ArgGroup, Args};

use crate::{
    cli::{seconds, threads},
    engine::Supply,
    live::Mode,
    outfile, outputs,
    results::Results,
    run::{
        self,
        course::{Course, Makers, Ran},
    },
    scenario::{
        self, Arrivals, Behaviour, CONNECTIONS_MAX, Connections, DropShare, Method, Persona, Refusal,
        Scenario, Service, Spacing, TRIES_MAX, Tickets,
    },
    streams,
    tally::Tally,
};

/// Connections of an open model when none are given.
const OPEN_CONNECTIONS: usize = 1_000;

/// The flags that say what a key of a scenario says.
const FLAGS: [(&str, &str); 11] = [
    ("name", "--name"),
    ("service.url", "--target"),
    ("service.claim_path", "--path"),
    ("drop.0.id", "--drop"),
    ("arrivals.rate", "--rate"),
    ("arrivals.duration", "--duration"),
    ("connections.count", "--connections"),
    ("connections.reply_wait", "--reply-wait"),
    ("connections.grace", "--grace"),
    ("connections.retry_unknown_for", "--retry-for"),
    ("tickets.path", "--tickets"),
];

/// A rush.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("load").required(true).multiple(true).args(["rate", "connections"]))]
pub struct RushArgs {
    /// The service, as http://host:port
    #[arg(long)]
    pub target: String,
    /// The drop to claim from
    #[arg(long)]
    pub drop: String,
    /// Tickets, one a line
    #[arg(long, value_name = "FILE")]
    pub tickets: PathBuf,
    /// Open model: this many requests leave each second, whatever the service does
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub rate: Option<u32>,
    /// Connections; without --rate a closed model: each sends its next request after its answer
    #[arg(long, value_name = "N", value_parser = connections)]
    pub connections: Option<usize>,
    /// Seconds during which requests leave
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Duration,
    /// What the run is called in its results
    #[arg(long, default_value = "rush")]
    pub name: String,
    /// End after this many tickets
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: Option<u64>,
    /// Leave the first tickets alone
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub skip: u64,
    /// Start again with the first ticket after the last
    #[arg(long)]
    pub repeat: bool,
    /// The path to send to instead of the drop's; {line} is the ticket's line
    #[arg(long)]
    pub path: Option<String>,
    /// The method of the requests
    #[arg(long, value_enum, default_value_t)]
    pub method: Method,
    /// Send a ticket again when its reply was lost
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set,
          num_args = 0..=1, default_missing_value = "true")]
    pub retry_unknown: bool,
    /// Seconds for which a ticket with a lost reply is sent again
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub retry_for: Duration,
    /// Send a ticket again after a 503 or 429 with Retry-After
    #[arg(long)]
    pub retry_busy: bool,
    /// Seconds after which a reply counts as lost
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub reply_wait: Duration,
    /// Seconds after the end during which answers are still waited for
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub grace: Duration,
    /// Generator threads; as many as cores if not given
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// Report the CPU time of these processes too
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub cpu_of: Vec<u32>,
    /// Write every claim that was seen, one JSON line each
    #[arg(long, value_name = "FILE")]
    pub claims_log: Option<PathBuf>,
    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write all files that `run` writes: results, page, histograms, series
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Nothing while it runs
    #[arg(long)]
    pub quiet: bool,
}

/// Runs a rush, tells its results, and gives the exit code of its verdict.
///
/// # Errors
/// The tickets cannot be read, the generator itself failed, or an output cannot be written.
pub fn run(args: &RushArgs) -> Result<u8> {
    let scenario = scenario(args)?;
    // What cannot be written is known before the run is lost.
    let mut taken = None;
    if let Some(folder) = &args.out {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        taken = Some(outfile::take(folder)?);
        outputs::remove_all(folder)?;
    }
    if let Some(path) = &args.json {
        outfile::check(path)?;
    }
    let course = Course {
        scenario: &scenario,
        makers: Makers::Here(args.threads),
        claims_log: args.claims_log.as_deref(),
        cpu_of: &args.cpu_of,
        mode: Mode::choose(args.quiet, true),
    };
    let Ran { results, tally, signals, .. } = match course.run(Supply::read(&scenario.tickets)?)? {
        Ok(outcome) => outcome,
        Err(why) => return Ok(run::invalid(&why)),
    };
    let written = write(args, &results, &tally);
    drop((signals, taken));
    // What cannot be written is told all the same.
    written.and(streams::print(&outputs::text(&results)))?;
    Ok(results.verdict.exit_code)
}

/// Writes what was asked for.
fn write(args: &RushArgs, results: &Results, tally: &Tally) -> Result<()> {
    if let Some(path) = &args.json {
        outfile::write(path, serde_json::to_string_pretty(results)? + "\n")?;
    }
    if let Some(folder) = &args.out {
        outputs::write_all(folder, results, tally)?;
    }
    Ok(())
}

/// The scenario that the flags describe, checked like one from a file.
fn scenario(args: &RushArgs) -> Result<Scenario> {
    let duration = args.duration;
    let arrivals = match args.rate {
        Some(rate) => Arrivals::Constant { rate: rate.into(), duration, spacing: Spacing::Even },
        None => Arrivals::Closed { duration, people: None },
    };
    let retries = if args.retry_busy { TRIES_MAX } else { 0 };
    let scenario = Scenario {
        name: args.name.clone(),
        about: format!("Tickets of one file for the drop {}, one after the other.", args.drop),
        seed: 1,
        service: Service {
            url: args.target.clone(),
            method: args.method,
            claim_path: args.path.clone().unwrap_or_else(|| Service::default().claim_path),
            ..Service::default()
        },
        drops: vec![DropShare { id: args.drop.clone(), weight: 1 }],
        arrivals,
        connections: Connections {
            count: args.connections.unwrap_or(OPEN_CONNECTIONS),
            reply_wait: args.reply_wait,
            grace: args.grace,
            retry_unknown_for: Some(if args.retry_unknown { args.retry_for } else { Duration::ZERO }),
            ..Connections::default()
        },
        tickets: Tickets::File {
            path: args.tickets.clone(),
            skip: args.skip,
            uses: args.requests,
            repeat: args.repeat,
        },
        personas: vec![Persona { behaviour: Behaviour::Honest { retries }, ..Persona::honest() }],
        thresholds: Vec::new(),
    };
    scenario::check(&scenario).map_err(|refusal| in_flags(&refusal))?;
    Ok(scenario)
}

/// A refusal in the words of the command line.
fn in_flags(refusal: &Refusal) -> anyhow::Error {
    let flag = FLAGS.iter().find(|(key, _)| *key == refusal.key).map(|(_, flag)| *flag);
    anyhow!("{}: {}", flag.unwrap_or(&refusal.key), refusal.what)
}

fn connections(text: &str) -> Result<usize, String> {
    crate::cli::at_most(text, CONNECTIONS_MAX)
}
