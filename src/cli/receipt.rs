//! `claimrush receipt …`: what people showed that no store knows, and what an operator decides of it.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::campaign::{AdminAccess, client, table};
use super::{Exit, Failure, Global, print};
use crate::backoffice::admin_api::{ReceiptList, ReceiptView};
use crate::ledger::ReceiptState;

/// `claimrush receipt …`.
#[derive(Debug, Clone, Args)]
pub struct ReceiptArgs {
    /// How the service is found.
    #[command(flatten)]
    pub access: AdminAccess,
    /// What is to be done.
    #[command(subcommand)]
    pub command: ReceiptCommand,
}

/// What there is to do with orphan receipts.
#[derive(Debug, Clone, Subcommand)]
pub enum ReceiptCommand {
    /// List the open ones
    List {
        /// The settled ones too
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give the persons of these receipts a unit each, whatever the drop's window, and settle the receipts with it
    Honour {
        /// The receipts' numbers
        #[arg(required = true)]
        numbers: Vec<u64>,
        /// The drop whose stock gives the units (same campaign, same voucher); each receipt's own without it
        #[arg(long, value_name = "DROP")]
        from: Option<String>,
    },
    /// Find that nothing is owed for these receipts
    Void {
        /// The receipts' numbers
        #[arg(required = true)]
        numbers: Vec<u64>,
        /// Why; it is kept
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

pub(super) async fn run(global: &Global, args: ReceiptArgs) -> Result<Exit, Failure> {
    let client = client(global, &args.access)?;
    match args.command {
        ReceiptCommand::List { all, json } => {
            let mut list = client.receipts(0).await?;
            while let Some(last) = list.receipts.last().map(|receipt| receipt.number) {
                let more = client.receipts(last).await?;
                if more.receipts.is_empty() {
                    break;
                }
                list.receipts.extend(more.receipts);
            }
            list.receipts.retain(|receipt| all || receipt.state == ReceiptState::Open);
            if json {
                let text = serde_json::to_string_pretty(&list)
                    .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
                print(&format!("{text}\n"))?;
            } else {
                print(&text(&list))?;
            }
        }
        ReceiptCommand::Honour { numbers, from } => {
            for number in numbers {
                print(&settled(&client.honour(number, from.clone()).await?))?;
            }
        }
        ReceiptCommand::Void { numbers, reason } => {
            for number in numbers {
                print(&settled(&client.void(number, reason.clone()).await?))?;
            }
        }
    }
    Ok(Exit::Ok)
}

fn settled(receipt: &ReceiptView) -> String {
    let ReceiptView { number, person, .. } = receipt;
    match &receipt.honoured_by {
        Some(claim) => format!("receipt {number} is honoured: {person} has {claim}\n"),
        None => format!("receipt {number} is {}\n", receipt.state.as_str()),
    }
}

fn text(list: &ReceiptList) -> String {
    let rows = list.receipts.iter().map(|receipt| {
        let note = match (&receipt.honoured_by, &receipt.reason) {
            (Some(claim), _) => format!("by {claim}"),
            (_, Some(reason)) => reason.clone(),
            _ if receipt.found => "the ledger has the claim by now".to_owned(),
            _ if receipt.ahead => "beyond what Redis has granted".to_owned(),
            _ => String::new(),
        };
        [
            receipt.number.to_string(),
            receipt.state.as_str().to_owned(),
            receipt.drop.clone(),
            receipt.claim_id.clone(),
            receipt.person.clone(),
            receipt.shown_at.clone(),
            note,
        ]
    });
    let mut text = String::new();
    if !list.receipts.is_empty() {
        text = table(["RECEIPT", "STATE", "DROP", "CLAIM", "PERSON", "SHOWN", "NOTE"], rows);
        text.push('\n');
    }
    let ReceiptList { open, honoured, void, .. } = list;
    let _ = writeln!(text, "{open} open, {honoured} honoured, {void} void");
    if list.receipts.iter().any(|receipt| receipt.ahead) {
        text.push_str(
            "\nA signed code beyond what Redis has granted says that Redis went back and nobody saw it. Pause the\n\
             campaign and look for a Redis that has more (a replica, the old primary, a backup of its file).\n",
        );
    }
    text
}
