//! `claimrush voucher …`: a voucher's whole life, and what staff decide of it.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::campaign::{AdminAccess, client, table};
use super::{Exit, Failure, Global, json, print};
use crate::backoffice::admin_api::{StepView, VoucherView};
use crate::ledger::life::Verdict;

/// `claimrush voucher …`.
#[derive(Debug, Clone, Args)]
pub struct VoucherArgs {
    /// How the service is found.
    #[command(flatten)]
    pub access: AdminAccess,
    /// What is to be done.
    #[command(subcommand)]
    pub command: VoucherCommand,
}

/// What there is to do with vouchers.
#[derive(Debug, Clone, Subcommand)]
pub enum VoucherCommand {
    /// Show a voucher and everything that has happened to it
    Show {
        /// The voucher's code, or its claim's id
        code: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Hold a voucher for review: nobody can use it meanwhile
    Freeze(DecisionArgs),
    /// End the review well: the voucher may be used until its own end
    Release(DecisionArgs),
    /// Declare a voucher worthless; its money goes to what was recovered
    Void(DecisionArgs),
    /// Take the money of a redemption from its merchant: it was fraud
    Recover(DecisionArgs),
}

/// Which voucher, and why.
#[derive(Debug, Clone, Args)]
pub struct DecisionArgs {
    /// The voucher's code, or its claim's id
    pub code: String,
    /// Why; it is kept
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

pub(super) async fn run(global: &Global, args: VoucherArgs) -> Result<Exit, Failure> {
    let client = client(global, &args.access)?;
    let (verdict, DecisionArgs { code, reason }) = match args.command {
        VoucherCommand::Show { code, json: as_json } => {
            let mut voucher = client.voucher(&code, 0).await?;
            while let Some(after) = voucher.next.take() {
                let more = client.voucher(&code, after).await?;
                voucher.steps.extend(more.steps);
                voucher.next = more.next;
            }
            print(&if as_json { json(&voucher)? } else { text(&voucher) })?;
            return Ok(Exit::Ok);
        }
        VoucherCommand::Freeze(args) => (Verdict::Freeze, args),
        VoucherCommand::Release(args) => (Verdict::Release, args),
        VoucherCommand::Void(args) => (Verdict::Void, args),
        VoucherCommand::Recover(args) => (Verdict::Recover, args),
    };
    let voucher = client.decide(&code, verdict, reason).await?;
    print(&format!("{} is {}\n", voucher.claim_id, voucher.state))?;
    Ok(Exit::Ok)
}

fn text(voucher: &VoucherView) -> String {
    let VoucherView { claim_id, drop, campaign, person, state, claimed_at, .. } = voucher;
    let mut text = format!("{claim_id}  {state}\ncampaign {campaign}, drop {drop}, held by {person}\n");
    let _ = write!(text, "claimed {claimed_at}");
    if let (Some(face), Some(threshold), Some(until)) =
        (&voucher.face, &voucher.threshold, &voucher.expires_at)
    {
        let _ = write!(text, ", {face} off from {threshold}, valid until {until}");
    }
    if let Some(until) = &voucher.hold_expires_at {
        let _ = write!(text, ", held until {until}");
    }
    text.push('\n');
    if !voucher.steps.is_empty() {
        let rows = voucher.steps.iter().map(|step| {
            [
                step.number.to_string(),
                step.at.clone(),
                step.step.clone(),
                step.state.clone(),
                step.by.clone(),
                money(step),
                about(step),
            ]
        });
        text.push('\n');
        text.push_str(&table(["STEP", "AT", "WHAT", "STATE", "BY", "MONEY", "ABOUT"], rows));
    }
    text
}

fn money(step: &StepView) -> String {
    match (&step.moved, &step.from, &step.to) {
        (Some(moved), Some(from), Some(to)) => format!("{moved} {from} → {to}"),
        _ => String::new(),
    }
}

/// The order, the reason, the reference: what there is of them.
fn about(step: &StepView) -> String {
    let order = step.order_id.as_ref().map(|order| match &step.amount {
        Some(amount) => format!("order {order} of {amount}"),
        None => format!("order {order}"),
    });
    let refunded = step.refunded.as_ref().map(|refunded| format!("refunded {refunded}"));
    let parts = [step.reason.clone(), step.reference.clone(), order, refunded];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
