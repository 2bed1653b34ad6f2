//! `claimrush recover`: asks a running service what it would make anew from the ledger, or to do it, and prints that.

use std::fmt::Write as _;

use clap::Args;

use super::campaign::{AdminAccess, client, table};
use super::{Exit, Failure, Global, print};
use crate::backoffice::admin_api::Recovery;
use crate::domain::count::counted;

/// `claimrush recover`.
#[derive(Debug, Clone, Args)]
pub struct RecoverArgs {
    /// How the service is found.
    #[command(flatten)]
    pub access: AdminAccess,
    /// Do it; without this nothing is changed
    #[arg(long)]
    pub apply: bool,
    /// Accept that claims may be lost that no store has and that nobody who is still there has seen
    #[arg(long, requires = "apply")]
    pub accept_loss: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub(super) async fn run(global: &Global, args: RecoverArgs) -> Result<Exit, Failure> {
    let client = client(global, &args.access)?;
    let recovery =
        if args.apply { client.recover(args.accept_loss).await? } else { client.recovery().await? };
    if args.json {
        let text = serde_json::to_string_pretty(&recovery)
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        print(&format!("{text}\n"))?;
    } else {
        print(&text(&recovery))?;
    }
    Ok(Exit::Ok)
}

fn text(recovery: &Recovery) -> String {
    if recovery.drops.is_empty() {
        return "nothing is lost: every drop stands in Redis with all that is known of it\n".to_owned();
    }
    let rows = recovery.drops.iter().map(|drop| {
        [
            drop.id.clone(),
            drop.epoch.to_string(),
            drop.next_epoch.to_string(),
            drop.in_redis.map_or_else(|| "gone".to_owned(), |seq| seq.to_string()),
            drop.in_ledger.to_string(),
            drop.lost.to_string(),
            drop.stock_total.to_string(),
            drop.stock_left.to_string(),
        ]
    });
    let mut text =
        table(["DROP", "EPOCH", "NEW EPOCH", "IN REDIS", "IN LEDGER", "KNOWN LOST", "STOCK", "LEFT"], rows);
    for drop in recovery.drops.iter().filter(|drop| drop.lost > 0) {
        let lost = counted(drop.lost, "claim was granted and stands", "claims were granted and stand");
        let _ = writeln!(text, "\n{}: {lost} in no store:", drop.id);
        for claim in &drop.lost_claims {
            let _ = writeln!(text, "  {claim}");
        }
        let named = u64::try_from(drop.lost_claims.len()).unwrap_or(u64::MAX);
        if named < drop.lost {
            let _ = writeln!(text, "  and {} more", drop.lost.saturating_sub(named));
        }
    }
    let end = if recovery.applied {
        "\nmade anew from the ledger; check it: claimrush audit\n"
    } else {
        "\nnothing was changed. To do it: claimrush recover --apply, with --accept-loss for drops that were ever open.\n\
         If another Redis has more (a replica, the old primary, a backup of its file), bring that back instead.\n"
    };
    text + end
}
