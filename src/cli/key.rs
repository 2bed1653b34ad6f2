//! `claimrush key …`: who may call the admin listener, and merchants' tills the public one.

use clap::{Args, Subcommand};

use super::args::parse_span;
use super::campaign::{AdminAccess, client, table};
use super::{Exit, Failure, Global, print};
use crate::backoffice::access::KeyView;
use crate::backoffice::admin_api::MadeKey;
use crate::domain::access::Role;
use crate::telemetry::logging;

/// `claimrush key …`.
#[derive(Debug, Clone, Args)]
pub struct KeyArgs {
    /// How the service is found.
    #[command(flatten)]
    pub access: AdminAccess,
    /// What is to be done.
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// What there is to do with keys.
#[derive(Debug, Clone, Subcommand)]
pub enum KeyCommand {
    /// Add a key and print it; it is not shown again
    Add {
        /// What it may do: operator, approver, finance, auditor, support or merchant
        #[arg(long)]
        role: Role,
        /// Whose it is; two keys of one name count as one person
        #[arg(long)]
        name: String,
        /// For the role merchant: which merchant's
        #[arg(long, required_if_eq("role", "merchant"))]
        merchant: Option<String>,
    },
    /// List the keys, without their secrets
    List {
        /// The revoked ones too
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a key a new secret and print it
    Rotate {
        /// The key's id
        id: String,
        /// How long the secret before is good too
        #[arg(long, value_name = "SPAN", value_parser = parse_span)]
        overlap: Option<std::time::Duration>,
    },
    /// End a key, at once
    Revoke {
        /// The key's id
        id: String,
    },
}

pub(super) async fn run(global: &Global, args: KeyArgs) -> Result<Exit, Failure> {
    let client = client(global, &args.access)?;
    match args.command {
        KeyCommand::Add { role, name, merchant } => {
            print(&made(&client.add_key(role, name, merchant).await?))?;
        }
        KeyCommand::List { all, json } => {
            let mut list = client.keys().await?;
            list.keys.retain(|key| all || key.state == "active");
            if json {
                let text = serde_json::to_string_pretty(&list)
                    .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
                print(&format!("{text}\n"))?;
            } else {
                print(&text(&list.keys))?;
            }
        }
        KeyCommand::Rotate { id, overlap } => {
            let overlap_s = overlap.map_or(0, |overlap| u32::try_from(overlap.as_secs()).unwrap_or(u32::MAX));
            print(&made(&client.rotate_key(bare(&id), overlap_s).await?))?;
        }
        KeyCommand::Revoke { id } => {
            let key = client.revoke_key(bare(&id)).await?;
            print(&format!("key {} of {} is {}\n", key.id, key.name, key.state))?;
        }
    }
    Ok(Exit::Ok)
}

/// Ids are shown bare, and as `crk_…` where somebody acted with one.
fn bare(id: &str) -> &str {
    id.strip_prefix("crk_").unwrap_or(id)
}

/// The key alone on standard output, so that it can be piped to where it is kept.
fn made(made: &MadeKey) -> String {
    let KeyView { id, role, name, .. } = &made.view;
    logging::tell(&format!("key {id} of {name}, role {role}; keep it, as it is not shown again:"));
    format!("{}\n", made.key)
}

fn text(keys: &[KeyView]) -> String {
    if keys.is_empty() {
        return "no keys\n".to_owned();
    }
    let rows = keys.iter().map(|key| {
        [
            key.id.clone(),
            key.role.to_string(),
            key.state.clone(),
            key.merchant.clone().unwrap_or_else(|| "-".to_owned()),
            key.made_at.clone(),
            key.name.clone(),
        ]
    });
    table(["KEY", "ROLE", "STATE", "MERCHANT", "MADE", "NAME"], rows)
}
