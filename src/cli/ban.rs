//! `claimrush ban …`: whom staff keep out.

use clap::{Args, Subcommand};

use super::campaign::{AdminAccess, client, table};
use super::{Exit, Failure, Global, print};
use crate::backoffice::bans::BanView;

/// `claimrush ban …`.
#[derive(Debug, Clone, Args)]
pub struct BanArgs {
    /// How the service is found.
    #[command(flatten)]
    pub access: AdminAccess,
    /// What is to be done.
    #[command(subcommand)]
    pub command: BanCommand,
}

/// What there is to do with bans.
#[derive(Debug, Clone, Subcommand)]
pub enum BanCommand {
    /// Keep a person out, at once; a ban that is there gets the new reason and end
    Add {
        /// As claims, tickets and exports call them
        person: String,
        /// Why; it is kept
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Until when, as in 2026-01-31T00:00:00+08:00; for ever without it
        #[arg(long, value_name = "RFC3339")]
        until: Option<String>,
    },
    /// List the bans that hold
    List {
        /// The lifted and expired ones too
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let a person in again, at once
    Lift {
        /// As claims, tickets and exports call them
        person: String,
    },
}

pub(super) async fn run(global: &Global, args: BanArgs) -> Result<Exit, Failure> {
    let client = client(global, &args.access)?;
    match args.command {
        BanCommand::Add { person, reason, until } => {
            let ban = client.ban(person, reason, until).await?;
            let until = ban.until.map_or_else(|| "for ever".to_owned(), |until| format!("until {until}"));
            print(&format!("{} is banned {until}\n", ban.person))?;
        }
        BanCommand::List { all, json } => {
            let mut list = client.bans(None).await?;
            while let Some(next) = list.next.take() {
                let more = client.bans(Some(&next)).await?;
                list.bans.extend(more.bans);
                list.next = more.next;
            }
            list.bans.retain(|ban| all || ban.state == "active");
            if json {
                let text = serde_json::to_string_pretty(&list)
                    .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
                print(&format!("{text}\n"))?;
            } else {
                print(&text(&list.bans))?;
            }
        }
        BanCommand::Lift { person } => {
            print(&format!("{} may take part again\n", client.lift_ban(person).await?.person))?;
        }
    }
    Ok(Exit::Ok)
}

fn text(bans: &[BanView]) -> String {
    if bans.is_empty() {
        return "no bans\n".to_owned();
    }
    let rows = bans.iter().map(|ban| {
        let note = match (&ban.lifted_by, &ban.lifted_at) {
            (Some(by), Some(at)) => format!("{} (lifted by {by}, {at})", ban.reason),
            _ => ban.reason.clone(),
        };
        let until = ban.until.clone().unwrap_or_else(|| "for ever".to_owned());
        [ban.person.clone(), ban.state.clone(), until, ban.banned_at.clone(), ban.banned_by.clone(), note]
    });
    table(["PERSON", "STATE", "UNTIL", "SINCE", "BY", "REASON"], rows)
}
