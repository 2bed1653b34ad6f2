//! Subcommands of the harness; all else is in the library.

#![warn(clippy::print_stderr, clippy::print_stdout)]

use std::process::ExitCode;

use claimrush_loadtest::{
    bench,
    cli::{Cli, Command, Document, PeerCommand},
    compare, fairness, peer, report, results, run, rush, scenario, streams, ticket_desk, workers,
};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The bench measured a number that misses its target.
const TARGET_MISSED: u8 = 1;
/// Bad arguments or inputs; clap uses the same.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => return run::run(&args).map_or_else(|error| complain(&error), ExitCode::from),
        Command::Rush(args) => return rush::run(&args).map_or_else(|error| complain(&error), ExitCode::from),
        Command::Bench(args) => {
            return match bench::run(&args) {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::from(TARGET_MISSED),
                Err(error) => complain(&error),
            };
        }
        Command::Worker(args) => workers::server::run(&args),
        Command::Tickets(args) => ticket_desk::run(&args),
        Command::IdentityKeys(args) => ticket_desk::identity::run(&args),
        Command::Fairness(args) => fairness::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Schema { of } => schema(of),
        Command::Report(args) => report::run(&args),
        Command::Peer(PeerCommand::Echo(args)) => peer::echo::run(&args),
        Command::Peer(PeerCommand::Pooled { peer, redis, pool_size }) => {
            peer::pooled::run(&peer, &redis, pool_size)
        }
        Command::Peer(PeerCommand::Far(args)) => peer::far::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error),
    }
}

/// Prints a JSON schema.
fn schema(of: Document) -> anyhow::Result<()> {
    let text = match of {
        Document::Scenario => serde_json::to_string_pretty(&scenario::schema::scenario_schema())?,
        Document::Results => serde_json::to_string_pretty(&results::schema::schema())?,
    };
    streams::print(&(text + "\n"))
}

fn complain(error: &anyhow::Error) -> ExitCode {
    streams::tell(&format!("claimrush-loadtest: {error:#}"));
    ExitCode::from(USAGE)
}
