//! `claimrush late-payment …`: payments for units that could not be had any more, and their refunds.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::campaign::{AdminAccess, client, table};
use super::{Exit, Failure, Global, print};
use crate::backoffice::admin_api::LatePaymentList;

/// `claimrush late-payment …`.
#[derive(Debug, Clone, Args)]
pub struct LatePaymentArgs {
    /// How the service is found.
    #[command(flatten)]
    pub access: AdminAccess,
    /// What is to be done.
    #[command(subcommand)]
    pub command: LatePaymentCommand,
}

/// What there is to do with late payments.
#[derive(Debug, Clone, Subcommand)]
pub enum LatePaymentCommand {
    /// List those that wait for their refund
    List {
        /// The refunded ones too
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Note that a late payment was refunded
    Refunded {
        /// The payment's number in the list
        number: u64,
        /// By what the refund is found again: a number of the payment service, or a reason
        #[arg(long, value_name = "TEXT")]
        reference: String,
    },
}

pub(super) async fn run(global: &Global, args: LatePaymentArgs) -> Result<Exit, Failure> {
    let client = client(global, &args.access)?;
    match args.command {
        LatePaymentCommand::List { all, json } => {
            let mut list = client.late_payments(0).await?;
            while let Some(last) = list.payments.last().map(|payment| payment.number) {
                let more = client.late_payments(last).await?;
                if more.payments.is_empty() {
                    break;
                }
                list.payments.extend(more.payments);
            }
            list.payments.retain(|payment| all || payment.refunded_at.is_none());
            if json {
                let text = serde_json::to_string_pretty(&list)
                    .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
                print(&format!("{text}\n"))?;
            } else {
                print(&text(&list))?;
            }
            Ok(Exit::Ok)
        }
        LatePaymentCommand::Refunded { number, reference } => {
            let payment = client.payment_refunded(number, reference).await?;
            let reference = payment.reference.unwrap_or_default();
            print(&format!("late payment {number} ({}) is refunded: {reference}\n", payment.payment))?;
            Ok(Exit::Ok)
        }
    }
}

fn text(list: &LatePaymentList) -> String {
    let rows = list.payments.iter().map(|payment| {
        [
            payment.number.to_string(),
            payment.payment.clone(),
            payment.amount.clone(),
            payment.drop.clone(),
            payment.claim_id.clone(),
            payment.person.clone(),
            payment.came_at.clone(),
            payment.reference.clone().unwrap_or_default(),
        ]
    });
    let mut text = String::new();
    if !list.payments.is_empty() {
        text = table(["NUMBER", "PAYMENT", "AMOUNT", "DROP", "CLAIM", "PERSON", "CAME", "REFUNDED"], rows);
        text.push('\n');
    }
    let _ = writeln!(text, "{} to refund", list.open);
    text
}
