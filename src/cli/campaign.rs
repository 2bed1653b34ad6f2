//! `claimrush campaign …`: asks a running service and prints what it says.

mod drafts;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, Subcommand};

use super::{Exit, Failure, Global, print};
use crate::backoffice::admin_api::{Applied, ApplyOutcome, CampaignList, CampaignView};
use crate::backoffice::admin_client::{AdminClient, AdminError};
use crate::backoffice::audit::report::columns;
use crate::clock::{Clock, UnixMs};
use crate::datadir::DataDir;
use crate::domain::ids::CampaignId;
use crate::infile;
use crate::limits;

/// `claimrush campaign …`.
#[derive(Debug, Clone, Args)]
pub struct CampaignArgs {
    /// How the service is found.
    #[command(flatten)]
    pub access: AdminAccess,
    /// What is to be done.
    #[command(subcommand)]
    pub command: CampaignCommand,
}

/// How the service is found: by the data folder that it serves from, or by its admin listener's address.
#[derive(Debug, Clone, Args)]
pub struct AdminAccess {
    /// The admin listener, as in `http://127.0.0.1:9090`, in place of the data folder
    #[arg(long, global = true, value_name = "URL")]
    pub admin: Option<String>,
    /// The file with the admin token; `admin.token` in the data folder without it
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// What there is to do with campaigns.
#[derive(Debug, Clone, Subcommand)]
pub enum CampaignCommand {
    /// Apply a campaign file: all of it, or nothing when any of it is refused
    Apply {
        /// The file (TOML)
        file: PathBuf,
        /// Move the file's drops in time so that the first opens then: RFC 3339, or +SECONDS from now
        #[arg(long, value_name = "INSTANT", allow_hyphen_values = true)]
        opens_at: Option<OpensAt>,
    },
    /// Keep a campaign file as a draft, for somebody else to approve
    Draft {
        /// The campaign file
        file: PathBuf,
        /// Move all drops in time so that the first opens then: RFC 3339, or +SECONDS from now
        #[arg(long, value_name = "INSTANT", allow_hyphen_values = true)]
        opens_at: Option<OpensAt>,
    },
    /// List the drafts, or print one as JSON
    Drafts {
        /// The campaign's id
        id: Option<CampaignId>,
    },
    /// Approve what somebody else drafted, which applies it
    Approve {
        /// The campaign's id
        id: CampaignId,
        /// This revision of the draft, as it was looked at; where one person is enough it may be left out
        #[arg(long)]
        revision: Option<u64>,
    },
    /// Draft another campaign like one that stands
    Copy {
        /// The campaign's id
        id: CampaignId,
        /// The new campaign's id
        new: CampaignId,
        /// When its first drop opens: RFC 3339, or +SECONDS from now
        #[arg(long, value_name = "INSTANT", allow_hyphen_values = true)]
        opens_at: OpensAt,
    },
    /// End a campaign, for good: nobody claims any more, and its money stays accounted for
    End {
        /// The campaign's id
        id: CampaignId,
    },
    /// List the campaigns
    List,
    /// Show one campaign and its drops
    Show {
        /// The campaign's id
        id: CampaignId,
    },
    /// Stop a campaign from granting claims
    Pause {
        /// The campaign's id
        id: CampaignId,
    },
    /// Let a paused campaign grant claims again
    Resume {
        /// The campaign's id
        id: CampaignId,
    },
}

/// An opening instant from the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpensAt {
    /// At this instant.
    At(UnixMs),
    /// So many milliseconds from now.
    In(i64),
}

impl OpensAt {
    /// The instant.
    fn ms(self) -> UnixMs {
        match self {
            Self::At(at) => at,
            Self::In(ms) => Clock::System.now_ms().saturating_add(ms),
        }
    }
}

impl FromStr for OpensAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || "must be RFC 3339, as in 2023-11-20T10:00:00+08:00, or +SECONDS".to_owned();
        match text.strip_prefix('+') {
            Some(seconds) => {
                let seconds: u32 = seconds.parse().map_err(|_| refuse())?;
                Ok(Self::In(i64::from(seconds) * 1_000))
            }
            None => {
                text.parse::<jiff::Timestamp>().map(|at| Self::At(at.as_millisecond())).map_err(|_| refuse())
            }
        }
    }
}

pub(super) async fn run(global: &Global, args: CampaignArgs) -> Result<Exit, Failure> {
    match args.command {
        CampaignCommand::Apply { file, opens_at } => {
            let text = read_campaign(&file)?;
            let applied = client(global, &args.access)?.apply(text, opens_at.map(OpensAt::ms)).await;
            let applied = applied.map_err(|error| about(error, &file))?;
            print(&applied_text(&applied))?;
        }
        CampaignCommand::Draft { file, opens_at } => {
            let text = read_campaign(&file)?;
            let draft = client(global, &args.access)?.draft(text, opens_at.map(OpensAt::ms)).await;
            print(&drafts::text(&draft.map_err(|error| about(error, &file))?))?;
        }
        CampaignCommand::Drafts { id: None } => {
            print(&drafts::list(&client(global, &args.access)?.drafts().await?))?;
        }
        CampaignCommand::Drafts { id: Some(id) } => {
            print(&drafts::json(&client(global, &args.access)?.show_draft(&id).await?)?)?;
        }
        CampaignCommand::Approve { id, revision } => {
            print(&drafts::text(&client(global, &args.access)?.approve(&id, revision).await?))?;
        }
        CampaignCommand::Copy { id, new, opens_at } => {
            print(&drafts::text(&client(global, &args.access)?.copy(&id, &new, opens_at.ms()).await?))?;
        }
        CampaignCommand::End { id } => {
            let campaign = client(global, &args.access)?.end(&id).await?;
            print(&format!("{} is {}\n", campaign.id, campaign.state))?;
        }
        CampaignCommand::List => print(&list_text(&client(global, &args.access)?.list().await?))?,
        CampaignCommand::Show { id } => {
            print(&campaign_text(&client(global, &args.access)?.show(&id).await?))?;
        }
        CampaignCommand::Pause { id } => {
            let campaign = client(global, &args.access)?.pause(&id).await?;
            print(&format!("{} is {}\n", campaign.id, campaign.state))?;
        }
        CampaignCommand::Resume { id } => {
            let campaign = client(global, &args.access)?.resume(&id).await?;
            print(&format!("{} is {}\n", campaign.id, campaign.state))?;
        }
    }
    Ok(Exit::Ok)
}

/// A refusal is about the file; whatever else is wrong is not.
fn about(error: AdminError, file: &Path) -> Failure {
    let by_service = matches!(error, AdminError::Refused(_));
    let failure = Failure::from(error);
    if by_service { failure.about(file.display()) } else { failure }
}

/// The client, by address or by data folder.
pub(super) fn client(global: &Global, access: &AdminAccess) -> Result<AdminClient, Failure> {
    if let Some(url) = &access.admin {
        let Some(file) = &access.token_file else {
            return Err(Failure::new(Exit::Usage, "--admin needs --token-file"));
        };
        return Ok(AdminClient::at_url(url, read_token(file)?)?);
    }
    let config = global.load(&global.overrides())?;
    let dir = DataDir::open(&config.data.dir)?;
    let info = dir.run_info()?;
    let token = match &access.token_file {
        Some(file) => read_token(file)?,
        None => read_token(&dir.admin_token_path())?,
    };
    Ok(AdminClient::at(info.admin_listen, token))
}

fn read_token(file: &Path) -> Result<String, Failure> {
    let token = String::from_utf8(read_file(file, limits::TOKEN_FILE_BYTES_MAX)?).unwrap_or_default();
    // While a token is being changed the file has two lines; the first is the new one.
    let token = token.trim().lines().next().unwrap_or_default().trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::new(Exit::Failed, "is not a token").about(file.display()));
    }
    Ok(token.to_owned())
}

fn read_campaign(file: &Path) -> Result<String, Failure> {
    let refuse = |problem: String| Failure::new(Exit::Failed, problem).about(file.display());
    let bytes = read_file(file, limits::CAMPAIGN_FILE_BYTES_MAX)?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
        refuse(format!("line {line}: is not UTF-8 text: save it as UTF-8"))
    })
}

/// A whole file that somebody names, if it has no more than so many bytes.
pub(super) fn read_file(file: &Path, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let bytes_max = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    infile::read(file, bytes_max)
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()).about(file.display()))
}

fn applied_text(applied: &Applied) -> String {
    let word = match applied.outcome {
        ApplyOutcome::Created => "created",
        ApplyOutcome::Changed => "changed",
        ApplyOutcome::Unchanged => "unchanged",
    };
    let mut text = format!("{} {word}\n", applied.campaign);
    for change in &applied.changes {
        let _ = writeln!(text, "  {change}");
    }
    text
}

fn list_text(list: &CampaignList) -> String {
    if list.campaigns.is_empty() {
        return "no campaigns\n".to_owned();
    }
    let rows = list.campaigns.iter().map(|campaign| {
        let stock: u64 = campaign.drops.iter().map(|drop| drop.stock_total).sum();
        [
            campaign.id.clone(),
            campaign.state.clone(),
            campaign.drops.len().to_string(),
            stock.to_string(),
            campaign.budget.clone(),
            campaign.name.clone(),
        ]
    });
    table(["CAMPAIGN", "STATE", "DROPS", "STOCK", "BUDGET", "NAME"], rows)
}

fn campaign_text(campaign: &CampaignView) -> String {
    let CampaignView { id, name, state, budget, time_zone, drops, .. } = campaign;
    let daily = campaign.daily_budget.as_ref().map_or_else(String::new, |daily| format!(" ({daily} a day)"));
    let ended = campaign.ended_at.as_ref().map_or_else(String::new, |at| format!(" since {at}"));
    let taken =
        if campaign.qr_required { "\nvouchers are taken by their changing QR code alone" } else { "" };
    let head = format!(
        "{id}  {name}\nstate {state}{ended}, budget {budget}{daily}, time zone {time_zone}{taken}\n\n"
    );
    let rows = drops.iter().map(|drop| {
        [
            drop.id.clone(),
            drop.state.clone(),
            drop.opens_at.clone(),
            drop.closes_at.clone(),
            drop.stock_total.to_string(),
            drop.stock_left.map_or_else(|| "-".to_owned(), |left| left.to_string()),
            drop.limit_per_person.to_string(),
        ]
    });
    head + &table(["DROP", "STATE", "OPENS", "CLOSES", "STOCK", "LEFT", "PER PERSON"], rows)
}

/// Columns under their heads, as wide as their widest cell.
pub(super) fn table<const N: usize>(heads: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(heads.map(str::to_owned)).chain(rows).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = columns(cell).max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let blanks = width.saturating_sub(columns(cell)) + 2;
            let _ = write!(line, "{cell}{:blanks$}", "");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{OpensAt, table};

    #[test]
    fn an_opening_instant_is_absolute_or_ahead() {
        assert_eq!("+10".parse(), Ok(OpensAt::In(10_000)));
        assert_eq!("2023-11-20T10:00:00+08:00".parse(), Ok(OpensAt::At(1_700_445_600_000)));
        for wrong in ["10", "+", "+-1", "+1.5", "2023-11-20", "tomorrow"] {
            assert!(wrong.parse::<OpensAt>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn columns_line_up() {
        let rows = [["a".to_owned(), "1".to_owned()], ["long-id".to_owned(), "22".to_owned()]];
        assert_eq!(table(["ID", "N"], rows.into_iter()), "ID       N\na        1\nlong-id  22\n");
        let wide = [["会计".to_owned(), "1".to_owned()], ["ann".to_owned(), "2".to_owned()]];
        assert_eq!(table(["BY", "N"], wide.into_iter()), "BY    N\n会计  1\nann   2\n");
    }
}
