//! Subcommands only.

use std::process::ExitCode;

use claimrush::cli::{self, Cli, Command};
use claimrush::config::Config;
use claimrush::exit::{Exit, Failure};
use claimrush::telemetry::logging;
use clap::Parser;

/// As fast as the system's allocator and mimalloc; an idle connection takes 12 KB where mimalloc took 20 (measured).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Threads of the runtime for everything that is not a claim.
const BACKGROUND_THREADS: usize = 2;

fn main() -> ExitCode {
    let exit = match run(Cli::parse()) {
        Ok(exit) => exit,
        Err(failure) => {
            logging::tell(&format!("claimrush: {failure}"));
            failure.exit
        }
    };
    logging::flush();
    exit.into()
}

fn run(Cli { global, command }: Cli) -> Result<Exit, Failure> {
    match command {
        Command::Serve(args) => {
            let config = global.load(&args.over(global.overrides()))?;
            background(claimrush::serve::run, config)
        }
        Command::Drain(_) => background(claimrush::drain::process::run, global.load(&global.overrides())?),
        Command::Campaign(args) => block_on(cli::campaign(&global, args)),
        Command::Ticket(args) => cli::ticket(&global, &args),
        Command::Audit(args) => {
            block_on(claimrush::backoffice::audit::run(global.load(&global.overrides())?, args))
        }
        Command::Recover(args) => block_on(cli::recover(&global, args)),
        Command::Receipt(args) => block_on(cli::receipt(&global, args)),
        Command::Quarantine(args) => block_on(cli::quarantine(&global, args)),
        Command::Ban(args) => block_on(cli::ban(&global, args)),
        Command::Key(args) => block_on(cli::key(&global, args)),
        Command::LatePayment(args) => block_on(cli::late_payment(&global, args)),
        Command::Merchant(args) => block_on(cli::merchant(&global, args)),
        Command::Voucher(args) => block_on(cli::voucher(&global, args)),
        Command::Books(args) => block_on(cli::books(&global, args)),
        Command::Ledger(args) => {
            block_on(claimrush::backoffice::export::run(global.load(&global.overrides())?, args))
        }
        Command::Openapi => cli::openapi(),
        Command::CheckConfig => {
            block_on(claimrush::serve::files::check_config(global.load(&global.overrides())?))
        }
    }
}

/// Runs a long-lived subcommand with logging on the background runtime; `serve` adds a runtime a core to it.
fn background<F: Future<Output = Result<Exit, Failure>>>(
    body: impl FnOnce(Config) -> F,
    config: Config,
) -> Result<Exit, Failure> {
    config.log.logging().install().map_err(|error| Failure::new(Exit::Config, format!("config: {error}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(BACKGROUND_THREADS)
        .thread_name("background")
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("no runtime: {error}")))?;
    let exit = runtime.block_on(body(config));
    // What is still waited for after a second signal, or after the deadline of a stop, is not worth waiting for.
    runtime.shutdown_background();
    exit
}

/// Runs a subcommand that waits for others but does not serve.
fn block_on(body: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("no runtime: {error}")))?;
    runtime.block_on(body)
}
