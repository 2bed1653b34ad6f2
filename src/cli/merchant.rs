//! `claimrush merchant …`: enters merchants from files, and takes the steps to their first voucher and their last.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};

use super::campaign::{AdminAccess, client, read_file, table};
use super::{Exit, Failure, Global, print};
use crate::backoffice::admin_api::{ImportReport, MerchantView};
use crate::backoffice::admin_client::AdminError;
use crate::domain::count::counted_of;
use crate::limits;

/// `claimrush merchant …`.
#[derive(Debug, Clone, Args)]
pub struct MerchantArgs {
    /// How the service is found.
    #[command(flatten)]
    pub access: AdminAccess,
    /// What is to be done.
    #[command(subcommand)]
    pub command: MerchantCommand,
}

/// What there is to do with merchants.
#[derive(Debug, Clone, Subcommand)]
pub enum MerchantCommand {
    /// Enter merchants and shops from a CSV or XLSX file: all of it, or nothing
    Import {
        /// The file: one row a shop, below a line with the columns' names
        file: PathBuf,
        /// Say what would be entered, and enter nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// List the merchants
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print one merchant as JSON
    Show {
        /// The merchant's id
        id: String,
    },
    /// Find what somebody else entered good, as it was looked at
    Review {
        /// The merchants' ids, each with the revision that `show` or `list` had; where one person is enough it may be left out
        #[arg(required = true, value_name = "ID@REVISION")]
        seen: Vec<Seen>,
    },
    /// Have merchants take vouchers
    Activate {
        /// The merchants' ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Have merchants take no voucher any more
    Suspend {
        /// The merchants' ids
        #[arg(required = true)]
        ids: Vec<String>,
        /// Why; it is kept
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// A merchant, and its revision that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    id: String,
    revision: Option<u64>,
}

impl FromStr for Seen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((id, revision)) = text.split_once('@') else {
            return Ok(Self { id: text.to_owned(), revision: None });
        };
        let revision = revision.parse().map_err(|_| "must be as in m-1@3".to_owned())?;
        Ok(Self { id: id.to_owned(), revision: Some(revision) })
    }
}

pub(super) async fn run(global: &Global, args: MerchantArgs) -> Result<Exit, Failure> {
    let client = client(global, &args.access)?;
    match args.command {
        MerchantCommand::Import { file, dry_run } => {
            let bytes = read_file(&file, limits::IMPORT_BYTES_MAX)?;
            let report = client.import_merchants(bytes, dry_run).await.map_err(|error| {
                let by_service = matches!(error, AdminError::Refused(_));
                let failure = Failure::from(error);
                if by_service { failure.about(file.display()) } else { failure }
            })?;
            print(&report_text(&report))?;
        }
        MerchantCommand::List { json } => {
            let mut all: Vec<MerchantView> = Vec::new();
            loop {
                let after = all.last().map_or("", |last| last.id.as_str());
                let page = client.merchants(after).await?.merchants;
                if page.is_empty() {
                    break;
                }
                all.extend(page);
            }
            print(&if json { to_json(&all)? } else { text(&all) })?;
        }
        MerchantCommand::Show { id } => print(&to_json(&client.merchant(&id).await?)?)?,
        MerchantCommand::Review { seen } => {
            for Seen { id, revision } in seen {
                print(&stands(&client.review_merchant(&id, revision).await?))?;
            }
        }
        MerchantCommand::Activate { ids } => {
            for id in ids {
                print(&stands(&client.activate_merchant(&id).await?))?;
            }
        }
        MerchantCommand::Suspend { ids, reason } => {
            for id in ids {
                print(&stands(&client.suspend_merchant(&id, reason.clone()).await?))?;
            }
        }
    }
    Ok(Exit::Ok)
}

fn to_json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n").map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}

fn stands(merchant: &MerchantView) -> String {
    format!("merchant {} is {}\n", merchant.id, merchant.status.as_str())
}

fn report_text(report: &ImportReport) -> String {
    let ImportReport { applied, rows, new, changed, unchanged } = report;
    let word = if *applied { "entered" } else { "would be entered" };
    let (rows, new, changed) = (counted_of(*rows, "row", "rows"), new.len(), changed.len());
    let mut text = format!("{rows}: {new} new, {changed} changed, {unchanged} unchanged merchants {word}\n");
    if *applied && new.saturating_add(changed) > 0 {
        let _ = writeln!(text, "what is new or changed holds once somebody else has reviewed it");
    }
    text
}

fn text(merchants: &[MerchantView]) -> String {
    if merchants.is_empty() {
        return "no merchants\n".to_owned();
    }
    let rows = merchants.iter().map(|merchant| {
        let details = merchant.details.as_ref().or(merchant.proposed.as_ref());
        let of =
            |part: fn(&crate::domain::merchant::Details) -> String| details.map_or_else(String::new, part);
        [
            merchant.id.clone(),
            merchant.status.as_str().to_owned(),
            merchant.revision.to_string(),
            if merchant.proposed.is_some() { "yes" } else { "-" }.to_owned(),
            of(|details| details.category.clone()),
            of(|details| details.region.clone()),
            of(|details| details.shops.len().to_string()),
            of(|details| details.name.clone() + if details.uat { " (UAT)" } else { "" }),
        ]
    });
    table(["MERCHANT", "STATUS", "REVISION", "TO REVIEW", "CATEGORY", "REGION", "SHOPS", "NAME"], rows)
}
