//! The arguments of `claimrush ledger`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `claimrush ledger …`.
#[derive(Debug, Clone, Args)]
pub struct LedgerArgs {
    /// What is to be done.
    #[command(subcommand)]
    pub command: LedgerCommand,
}

/// What there is to do with the ledger.
#[derive(Debug, Clone, Subcommand)]
pub enum LedgerCommand {
    /// Write a drop's claims
    Export(LedgerExportArgs),
}

/// `claimrush ledger export`.
#[derive(Debug, Clone, Args)]
pub struct LedgerExportArgs {
    /// The drop
    #[arg(long)]
    pub drop: String,
    /// How the claims are written
    #[arg(long, value_enum)]
    pub format: ExportFormat,
    /// The file to write; standard output without it (a workbook is not written to a terminal)
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// How claims are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Comma-separated, with a header line.
    Csv,
    /// An array of objects.
    Json,
    /// A workbook.
    Xlsx,
}
