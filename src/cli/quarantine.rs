//! `claimrush quarantine …`: journal entries that nobody could understand, and what was found of them.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::campaign::{AdminAccess, client};
use super::{Exit, Failure, Global, json, print};
use crate::backoffice::admin_api::EntryView;

/// `claimrush quarantine …`.
#[derive(Debug, Clone, Args)]
pub struct QuarantineArgs {
    /// How the service is found.
    #[command(flatten)]
    pub access: AdminAccess,
    /// What is to be done.
    #[command(subcommand)]
    pub command: QuarantineCommand,
}

/// What there is to do with the quarantine.
#[derive(Debug, Clone, Subcommand)]
pub enum QuarantineCommand {
    /// List the entries that nobody has settled
    List {
        /// The settled ones too
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what was found of entries: the audit counts them from then on, and fails for them no more
    Settle {
        /// The entries' numbers in the list
        #[arg(required = true, value_name = "NUMBER")]
        numbers: Vec<u64>,
        /// What was found: who wrote them, and what was done about it; it is kept
        #[arg(long, value_name = "TEXT")]
        note: String,
    },
}

pub(super) async fn run(global: &Global, args: QuarantineArgs) -> Result<Exit, Failure> {
    let client = client(global, &args.access)?;
    match args.command {
        QuarantineCommand::List { all, json: as_json } => {
            let mut list = client.quarantine(0).await?;
            while let Some(last) = list.entries.last().map(|entry| entry.number) {
                let more = client.quarantine(last).await?;
                if more.entries.is_empty() {
                    break;
                }
                list.entries.extend(more.entries);
            }
            list.entries.retain(|entry| all || entry.settled_at.is_none());
            print(&if as_json { json(&list)? } else { text(&list.entries) })?;
        }
        QuarantineCommand::Settle { numbers, note } => {
            for number in numbers {
                let entry = client.settle_entry(number, note.clone()).await?;
                print(&format!("entry {number} is settled: {}\n", entry.note.unwrap_or_default()))?;
            }
        }
    }
    Ok(Exit::Ok)
}

/// One block an entry. What it says is quoted: it may hold any character.
fn text(entries: &[EntryView]) -> String {
    let mut text = String::new();
    for entry in entries {
        let EntryView { number, shard, journal_id, reason, raw, settled_at, settled_by, note } = entry;
        let _ = writeln!(
            text,
            "entry {number}: {journal_id} in the journal of {shard}\n  {reason}\n  says {raw:?}"
        );
        if let (Some(at), Some(by), Some(note)) = (settled_at, settled_by, note) {
            let _ = writeln!(text, "  settled by {by}, {at}: {note}");
        }
    }
    let open = entries.iter().filter(|entry| entry.settled_at.is_none()).count();
    let _ = writeln!(text, "{open} to look at");
    text
}
