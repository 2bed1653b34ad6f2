//! Subcommands only.

use std::process::ExitCode;

use claimrush::cli::{self, Cli, Command, Exit, Failure};
use clap::Parser;

fn main() -> ExitCode {
    let exit = match run(Cli::parse()) {
        Ok(exit) => exit,
        Err(failure) => {
            eprintln!("claimrush: {failure}");
            failure.exit
        }
    };
    exit.into()
}

fn run(Cli { global, command }: Cli) -> Result<Exit, Failure> {
    match command {
        Command::Campaign(args) => block_on(cli::campaign(&global, args)),
        Command::CheckConfig => cli::check_config(&global),
    }
}

/// Runs a subcommand that waits for others but does not serve.
fn block_on(body: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("no runtime: {error}")))?;
    runtime.block_on(body)
}
