//! The command line: its words, and what its exit codes mean.
//!
//! Owns the subcommands' arguments and the one table from failures to exit codes. What a subcommand asks of a running service, and
//! what it prints of the answer, stands here; `serve`, `drain`, `audit`, `ledger` and `check-config` have their bodies, `audit`
//! and `ledger` their arguments too, in the modules that they are about.

mod args;
mod ban;
mod books;
mod campaign;
mod failures;
mod key;
mod late;
mod merchant;
mod quarantine;
mod receipt;
mod recover;
mod voucher;

use std::io::ErrorKind;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::backoffice::audit::args::AuditArgs;
use crate::backoffice::export::args::LedgerArgs;
use crate::clock::Clock;
use crate::config::{self, Config, ConfigError, Overrides};
use crate::datadir::DataDir;
use crate::exit::{Exit, Failure, print};
use crate::guard::ticket::{KeyFile, MintError, MintRequest, Persons, mint_tickets};
use crate::telemetry::logging;

pub use args::{DrainArgs, ServeArgs, TicketArgs, TicketCommand, TicketMintArgs};
pub use ban::{BanArgs, BanCommand};
pub use books::{BooksArgs, BooksCommand, SaidArgs};
pub use campaign::{AdminAccess, CampaignArgs, CampaignCommand, OpensAt};
pub use key::{KeyArgs, KeyCommand};
pub use late::{LatePaymentArgs, LatePaymentCommand};
pub use merchant::{MerchantArgs, MerchantCommand};
pub use quarantine::{QuarantineArgs, QuarantineCommand};
pub use receipt::{ReceiptArgs, ReceiptCommand};
pub use recover::RecoverArgs;
pub use voucher::{DecisionArgs, VoucherArgs, VoucherCommand};

/// A claim-rush engine: flash sales that are never oversold, never lost, and audited to the fen.
#[derive(Debug, Parser)]
#[command(name = "claimrush", version, disable_help_subcommand = true)]
pub struct Cli {
    /// What every subcommand takes.
    #[command(flatten)]
    pub global: Global,
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// What every subcommand takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// The config file (TOML). Without one the defaults and `CLAIMRUSH_SECTION__KEY` variables hold.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data folder.
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve claims.
    Serve(ServeArgs),
    /// Carry the journal to the ledger, beside services that run with `--no-drain`.
    Drain(DrainArgs),
    /// Apply, list, show, pause and resume campaigns of a running service.
    Campaign(CampaignArgs),
    /// Make tickets.
    Ticket(TicketArgs),
    /// Check every promise, Redis against ledger, while the service runs or is stopped.
    Audit(AuditArgs),
    /// Make drops that Redis has lost anew from the ledger; without --apply say what would be done.
    Recover(RecoverArgs),
    /// List, honour and void signed codes that people showed and no store knows.
    Receipt(ReceiptArgs),
    /// List journal entries that nobody could understand, and say what was found of them.
    Quarantine(QuarantineArgs),
    /// Keep persons out, list whom, and let them in again.
    Ban(BanArgs),
    /// Add, list, rotate and revoke API keys.
    Key(KeyArgs),
    /// List payments that came too late, and note their refunds.
    LatePayment(LatePaymentArgs),
    /// Enter, review, activate and suspend merchants.
    Merchant(MerchantArgs),
    /// Show vouchers with all that happened to them; freeze, release, void and recover them.
    Voucher(VoucherArgs),
    /// Show the books of a campaign, close periods, note payments to merchants and transfers.
    Books(BooksArgs),
    /// Write a drop's claims, while the service runs or is stopped.
    Ledger(LedgerArgs),
    /// Print the document (`OpenAPI` 3.1) that describes both listeners.
    Openapi,
    /// Check the configuration and the files that it names, and print it as it holds, without secrets.
    CheckConfig,
}

impl Global {
    /// The flags as config overrides; a subcommand with more of them adds its own.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        Overrides { data_dir: self.data.clone(), ..Overrides::default() }
    }

    /// The config from the file, the process' environment and `overrides`.
    ///
    /// # Errors
    /// [`ConfigError`], see [`config::load`].
    pub fn load(&self, overrides: &Overrides) -> Result<Config, ConfigError> {
        config::load(self.config.as_deref(), std::env::vars_os(), overrides)
    }
}

/// `claimrush openapi`.
///
/// # Errors
/// None in practice.
pub fn openapi() -> Result<Exit, Failure> {
    let text = crate::http::openapi::text();
    print(&text.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?)?;
    Ok(Exit::Ok)
}

/// `claimrush ticket mint`: with the key file of the data folder, which is made if it is missing.
///
/// # Errors
/// [`Failure`] with what is wrong with the request, the key file or the output.
pub fn ticket(global: &Global, args: &TicketArgs) -> Result<Exit, Failure> {
    let TicketCommand::Mint(args) = &args.command;
    let config = global.load(&global.overrides())?;
    let folder = DataDir::create(&config.data.dir)?;
    let key_path = config.ticket.key_path(folder.path());
    let is_new = !key_path.exists();
    let keys = KeyFile::load_or_create(&key_path)?;
    if is_new {
        // Else whoever mints in the wrong folder learns only at the release that no service takes these tickets.
        let place = key_path.display();
        logging::tell(&format!(
            "there was no key file {place}: made one; a service takes these tickets only if it has it"
        ));
    }
    let persons = match (&args.user, &args.prefix, args.count) {
        (Some(user), _, _) => Persons::One(user.as_str()),
        (None, Some(prefix), Some(count)) => Persons::Numbered { prefix, count },
        _ => return Err(Failure::new(Exit::Usage, "either --user or --count with --prefix is needed")),
    };
    let request = MintRequest {
        drop: args.drop.as_str(),
        persons,
        valid_for: args.valid_for,
        out: args.out.as_deref(),
    };
    match mint_tickets(&keys, &request, Clock::System.now_ms(), std::io::stdout().lock()) {
        // A reader that has gone (`| head`) has seen what it wanted.
        Err(MintError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Ok),
        minted => Ok(minted.map(|()| Exit::Ok)?),
    }
}

/// `claimrush campaign …`.
///
/// # Errors
/// [`Failure`] with what the service refused, or with why it cannot be reached.
pub async fn campaign(global: &Global, args: CampaignArgs) -> Result<Exit, Failure> {
    campaign::run(global, args).await
}

/// `claimrush recover`.
///
/// # Errors
/// [`Failure`] with what the service refused, or with why it cannot be reached.
pub async fn recover(global: &Global, args: RecoverArgs) -> Result<Exit, Failure> {
    recover::run(global, args).await
}

/// `claimrush receipt …`.
///
/// # Errors
/// [`Failure`] with what the service refused, or with why it cannot be reached.
pub async fn receipt(global: &Global, args: ReceiptArgs) -> Result<Exit, Failure> {
    receipt::run(global, args).await
}

/// `claimrush quarantine …`.
///
/// # Errors
/// [`Failure`] with what the service refused, or with why it cannot be reached.
pub async fn quarantine(global: &Global, args: QuarantineArgs) -> Result<Exit, Failure> {
    quarantine::run(global, args).await
}

/// `claimrush ban …`.
///
/// # Errors
/// [`Failure`] with what the service refused, or with why it cannot be reached.
pub async fn ban(global: &Global, args: BanArgs) -> Result<Exit, Failure> {
    ban::run(global, args).await
}

/// `claimrush key …`.
///
/// # Errors
/// [`Failure`] with what the service refused, or with why it cannot be reached.
pub async fn key(global: &Global, args: KeyArgs) -> Result<Exit, Failure> {
    key::run(global, args).await
}

/// `claimrush late-payment …`.
///
/// # Errors
/// [`Failure`] with what the service refused, or with why it cannot be reached.
pub async fn late_payment(global: &Global, args: LatePaymentArgs) -> Result<Exit, Failure> {
    late::run(global, args).await
}

/// `claimrush merchant …`.
///
/// # Errors
/// [`Failure`] with what the service refused, or with why it cannot be reached.
pub async fn merchant(global: &Global, args: MerchantArgs) -> Result<Exit, Failure> {
    merchant::run(global, args).await
}

/// `claimrush voucher …`.
///
/// # Errors
/// [`Failure`] with what the service refused, or with why it cannot be reached.
pub async fn voucher(global: &Global, args: VoucherArgs) -> Result<Exit, Failure> {
    voucher::run(global, args).await
}

/// `claimrush books …`.
///
/// # Errors
/// [`Failure`] with what the service refused, or with why it cannot be reached.
pub async fn books(global: &Global, args: BooksArgs) -> Result<Exit, Failure> {
    books::run(global, args).await
}

/// A value as JSON for people and machines.
fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n").map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}
