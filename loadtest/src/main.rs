//! Subcommands of the harness; all else is in the library.

use std::process::ExitCode;

use claimrush_loadtest::{
    cli::{Cli, Command, PeerCommand},
    peer, rush,
};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bad arguments or inputs; clap uses the same.
const USAGE: u8 = 2;
/// The run says nothing about the service.
const INVALID_RUN: u8 = 3;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Rush(args) => rush::run(&args),
        Command::Peer(PeerCommand::Echo(args)) => peer::echo::run(&args).map(|()| true),
        Command::Peer(PeerCommand::Pooled { peer, redis }) => peer::pooled::run(&peer, &redis).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(INVALID_RUN),
        Err(error) => {
            eprintln!("claimrush-loadtest: {error:#}");
            ExitCode::from(USAGE)
        }
    }
}
