//! Tickets through the service's own desk: identity, challenge, work, ticket, for many people before a rush.
//!
//! Owns the way from a file of identity tokens to a file of tickets. A refusal is counted by its code and is no failure:
//! a desk that lets everybody in proves nothing.
//!
//! - `asker`: one connection to the desk
//! - [`identity`]: who people are in a rehearsal
//! - `everybody`: tickets for all people of a scenario

mod asker;
mod everybody;
pub mod identity;

use std::{collections::BTreeMap, path::PathBuf, thread, time::Instant};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use hyper::Method;

use self::asker::Asker;
pub(crate) use self::everybody::{Everybody, everybody};
use crate::{cli::threads, client::target::Target, outfile, streams, tickets};

/// Gets tickets at the desk.
#[derive(Debug, Args)]
pub struct TicketsArgs {
    /// The service, `http://host:port`
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub target: String,
    /// The drop that the tickets are for
    #[arg(long, value_name = "DROP")]
    pub drop: String,
    /// Identity tokens of the sponsor's login, one a line
    #[arg(long, value_name = "FILE")]
    pub identities: PathBuf,
    /// The tickets that are given, one a line
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// People who ask at a time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = threads)]
    pub threads: usize,
}

/// What became of those who asked.
#[derive(Debug, Default)]
struct Outcome {
    /// In the order of their identities.
    tickets: Vec<String>,
    refused: BTreeMap<String, u64>,
    hashes: u64,
}

/// Gets the tickets and writes them.
///
/// # Errors
/// A file cannot be read or written, the service cannot be reached, or nobody gets a ticket.
pub fn run(args: &TicketsArgs) -> Result<()> {
    let text = tickets::read_lines(&args.identities, 0, None)?;
    let identities: Vec<&str> = text.lines().collect();
    let target = Target::new(&args.target, &Method::POST, "/")?;
    let began = Instant::now();
    let share = identities.len().div_ceil(args.threads).max(1);
    let outcomes: Vec<Result<Outcome>> = thread::scope(|scope| {
        let workers: Vec<_> = identities
            .chunks(share)
            .map(|identities| scope.spawn(|| ask_for_all(&target, &args.drop, identities)))
            .collect();
        let joined = workers.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|joined| joined.unwrap_or_else(|_| anyhow::bail!("a worker failed"))).collect()
    });
    let mut all = Outcome::default();
    for outcome in outcomes {
        let outcome = outcome?;
        all.tickets.extend(outcome.tickets);
        all.hashes = all.hashes.saturating_add(outcome.hashes);
        for (code, count) in outcome.refused {
            *all.refused.entry(code).or_default() += count;
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let refused = all.refused.iter().map(|(code, count)| format!("  {count} refused: {code}\n"));
    let told = format!(
        "{} tickets for {} identities in {seconds:.1} s, {} hashes\n",
        all.tickets.len(),
        identities.len(),
        all.hashes
    );
    let written = if all.tickets.is_empty() {
        Err(anyhow!("nobody got a ticket"))
    } else {
        outfile::write(&args.out, all.tickets.join("\n") + "\n").context("ticket file")
    };
    written.and(streams::print(&(told + &refused.collect::<String>())))
}

fn ask_for_all(target: &Target, drop: &str, identities: &[&str]) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut asker = Asker::new(target.clone());
        let mut outcome = Outcome::default();
        for identity in identities {
            match asker.ticket(drop, identity).await? {
                Ok(ticket) => outcome.tickets.push(ticket),
                Err(code) => *outcome.refused.entry(code).or_default() += 1,
            }
        }
        outcome.hashes = asker.hashes;
        Ok(outcome)
    })
}
