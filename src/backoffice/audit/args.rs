//! The arguments of `claimrush audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `claimrush audit`.
#[derive(Debug, Clone, Args)]
pub struct AuditArgs {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// A head of the audit chain that was kept elsewhere; the chain must contain it
    #[arg(long, value_name = "HASH", value_parser = parse_head)]
    pub head: Option<String>,
    /// A file with the claim ids that clients were given, one a line; each must be in the ledger
    #[arg(long, value_name = "FILE")]
    pub claims_log: Option<PathBuf>,
    /// What is to be done instead.
    #[command(subcommand)]
    pub command: Option<AuditCommand>,
}

/// What else there is to audit.
#[derive(Debug, Clone, Subcommand)]
pub enum AuditCommand {
    /// Verify the audit chain alone, without Redis
    Verify(AuditVerifyArgs),
}

/// `claimrush audit verify`.
#[derive(Debug, Clone, Args)]
pub struct AuditVerifyArgs {
    /// From this record on, each with the one before; the whole chain and all that it covers without it
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub from: Option<u64>,
    /// A head that was kept elsewhere; the chain must contain it
    #[arg(long, value_name = "HASH", value_parser = parse_head)]
    pub head: Option<String>,
}

/// A head of the audit chain as it is printed. One that was cut off when it was copied is no sign of a broken chain.
fn parse_head(text: &str) -> Result<String, String> {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let refuse = || format!("must be 64 hex digits, has {} characters", text.chars().count());
    is_hash.then(|| text.to_owned()).ok_or_else(refuse)
}
