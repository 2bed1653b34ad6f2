//! `claimrush books …`: what a campaign's accounts hold and why, periods, payments, transfers and reversals, and what waits.

mod text;

use clap::{Args, Subcommand};
use sha2::{Digest, Sha256};

use super::campaign::{AdminAccess, client};
use super::{Exit, Failure, Global, json, print};
use crate::backoffice::admin_api::{
    MoneyMoved, MoneyMovedList, MoneyNoted, MoneyWaits, MoveMoney, PayMerchant, RepayMerchant, ReverseMove,
    WaitingList,
};
use crate::backoffice::admin_client::{AdminClient, AdminError};
use crate::domain::ids::CampaignId;

/// `claimrush books …`.
#[derive(Debug, Clone, Args)]
pub struct BooksArgs {
    /// How the service is found.
    #[command(flatten)]
    pub access: AdminAccess,
    /// What is to be done.
    #[command(subcommand)]
    pub command: BooksCommand,
}

/// What there is to do with books.
#[derive(Debug, Clone, Subcommand)]
pub enum BooksCommand {
    /// Show what every account of a campaign holds, and why
    Show {
        /// The campaign's id
        campaign: CampaignId,
        /// From what was posted before this instant, as in 2023-12-01T00:00:00+08:00; from everything without it
        #[arg(long, value_name = "RFC3339")]
        at: Option<jiff::Timestamp>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List a campaign's postings, page by page
    Postings {
        /// The campaign's id
        campaign: CampaignId,
        /// The posting to begin with
        #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
        from: u64,
        /// Print all of them as comma-separated values, a line for each account, with a header line
        #[arg(long)]
        csv: bool,
    },
    /// List a campaign's closed periods with the balances at both ends
    Periods {
        /// The campaign's id
        campaign: CampaignId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Close a campaign's books until an instant: nothing is posted before it any more
    Close {
        /// The campaign's id
        campaign: CampaignId,
        /// The first instant that is no longer in the period, as in 2023-12-01T00:00:00+08:00
        #[arg(long, value_name = "RFC3339")]
        until: jiff::Timestamp,
    },
    /// Note that a merchant was paid what it is owed, or a part
    Paid {
        /// The campaign's id
        campaign: CampaignId,
        /// Who was paid
        #[arg(long)]
        merchant: String,
        /// What is said of it.
        #[command(flatten)]
        said: SaidArgs,
    },
    /// Note that a merchant gave back what it had been paid for what was refunded or recovered later
    Repaid {
        /// The campaign's id
        campaign: CampaignId,
        /// Who gave it back
        #[arg(long)]
        merchant: String,
        /// What is said of it.
        #[command(flatten)]
        said: SaidArgs,
    },
    /// Move money: recycled to treasury, or recovered to treasury or recycled; unissued to treasury when the campaign ended
    Move {
        /// The campaign's id
        campaign: CampaignId,
        /// The account that has it
        #[arg(long, value_name = "ACCOUNT")]
        from: String,
        /// The account that gets it
        #[arg(long, value_name = "ACCOUNT")]
        to: String,
        /// What is said of it.
        #[command(flatten)]
        said: SaidArgs,
    },
    /// Reverse a payment, a repayment or a transfer that was noted by mistake: it stays, and goes back the way it came
    Reverse {
        /// The campaign's id
        campaign: CampaignId,
        /// The step that noted it, as `payments`, `repayments` and `transfers` list it
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
        step: u64,
        /// Why; it is kept
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The same key, the same reversal; made of all that is said without it
        #[arg(long)]
        key: Option<String>,
    },
    /// List what waits for another person who says the same
    Waiting {
        /// The campaign's id
        campaign: CampaignId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Withdraw what waits
    Withdraw {
        /// The campaign's id
        campaign: CampaignId,
        /// Its id, as `waiting` lists it
        id: String,
    },
    /// List what merchants were paid
    Payments {
        /// The campaign's id
        campaign: CampaignId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List what merchants gave back
    Repayments {
        /// The campaign's id
        campaign: CampaignId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List what was moved between accounts
    Transfers {
        /// The campaign's id
        campaign: CampaignId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List what was reversed
    Reversals {
        /// The campaign's id
        campaign: CampaignId,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What is said of a movement of money.
#[derive(Debug, Clone, Args)]
pub struct SaidArgs {
    /// How much, as in 120.00
    #[arg(long)]
    pub amount: String,
    /// By what it is found again: a number of the bank, a decision
    #[arg(long, value_name = "TEXT")]
    pub reference: String,
    /// Why; it is kept
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The same key, the same movement; made of all that is said without it
    #[arg(long)]
    pub key: Option<String>,
}

impl SaidArgs {
    /// Whoever says all of it again means the same movement; the reference with anything else is refused by the books.
    fn key(&self, about: &[&str]) -> String {
        let said = [&*self.amount, &self.reference, &self.reason].map(str::trim);
        self.key.clone().unwrap_or_else(|| key_of(&[about, &said].concat()))
    }
}

/// A key made of all that is said.
fn key_of(said: &[&str]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(said.join("\n")))
}

pub(super) async fn run(global: &Global, args: BooksArgs) -> Result<Exit, Failure> {
    let client = client(global, &args.access)?;
    match args.command {
        BooksCommand::Show { campaign, at, json: as_json } => {
            let books = client.books(&campaign, at.map(jiff::Timestamp::as_millisecond)).await?;
            print(&if as_json { json(&books)? } else { text::books(&books) })?;
        }
        BooksCommand::Postings { campaign, from, csv: true } => csv(&client, &campaign, from).await?,
        BooksCommand::Postings { campaign, from, csv: false } => {
            let list = client.postings(&campaign, from.saturating_sub(1)).await?;
            print(&text::postings(&campaign, &list))?;
        }
        BooksCommand::Periods { campaign, json: as_json } => {
            let mut list = client.periods(&campaign, 0).await?;
            while let Some(after) = list.next.take() {
                let more = client.periods(&campaign, after).await?;
                list.periods.extend(more.periods);
                list.next = more.next;
            }
            print(&if as_json { json(&list)? } else { text::periods(&list.periods) })?;
        }
        BooksCommand::Close { campaign, until } => {
            let period = client.close_period(&campaign, until.to_string()).await?;
            print(&text::periods(&[period]))?;
        }
        BooksCommand::Paid { campaign, merchant, said } => {
            let key = said.key(&["paid", &merchant]);
            let SaidArgs { amount, reference, reason, .. } = said;
            let paid = PayMerchant { merchant, amount, reference, reason };
            print(&noted(&client.pay(&campaign, &key, &paid).await?))?;
        }
        BooksCommand::Repaid { campaign, merchant, said } => {
            let key = said.key(&["repaid", &merchant]);
            let SaidArgs { amount, reference, reason, .. } = said;
            let repaid = RepayMerchant { merchant, amount, reference, reason };
            print(&noted(&client.repay(&campaign, &key, &repaid).await?))?;
        }
        BooksCommand::Move { campaign, from, to, said } => {
            let key = said.key(&["move", &from, &to]);
            let SaidArgs { amount, reference, reason, .. } = said;
            let wanted = MoveMoney { from, to, amount, reference, reason };
            print(&noted(&client.transfer(&campaign, &key, &wanted).await?))?;
        }
        BooksCommand::Reverse { campaign, step, reason, key } => {
            let key = key.unwrap_or_else(|| key_of(&["reverse", &step.to_string(), reason.trim()]));
            print(&noted(&client.reverse(&campaign, &key, &ReverseMove { step, reason }).await?))?;
        }
        BooksCommand::Waiting { campaign, json: as_json } => {
            let list = waiting(&client, &campaign).await?;
            print(&if as_json { json(&list)? } else { text::waiting(&list.waiting) })?;
        }
        BooksCommand::Withdraw { campaign, id } => {
            let MoneyWaits { from, to, amount, .. } = client.withdraw(&campaign, id).await?;
            print(&format!("{amount} {from} → {to} is withdrawn\n"))?;
        }
        BooksCommand::Payments { campaign, json: as_json } => {
            let list = all(async |after| client.payments(&campaign, after).await).await?;
            print(&moves(&list, as_json)?)?;
        }
        BooksCommand::Repayments { campaign, json: as_json } => {
            let list = all(async |after| client.repayments(&campaign, after).await).await?;
            print(&moves(&list, as_json)?)?;
        }
        BooksCommand::Transfers { campaign, json: as_json } => {
            let list = all(async |after| client.transfers(&campaign, after).await).await?;
            print(&moves(&list, as_json)?)?;
        }
        BooksCommand::Reversals { campaign, json: as_json } => {
            let list = all(async |after| client.reversals(&campaign, after).await).await?;
            print(&moves(&list, as_json)?)?;
        }
    }
    Ok(Exit::Ok)
}

fn noted(noted: &MoneyNoted) -> String {
    match noted {
        MoneyNoted::Moved(MoneyMoved { amount, from, to, number, replayed, reverses, .. }) => {
            let reverses = reverses.map(|step| format!(", reverses step {step}")).unwrap_or_default();
            let before = if *replayed { ", noted before" } else { "" };
            format!("{amount} {from} → {to} (step {number}{reverses}{before})\n")
        }
        MoneyNoted::Waits(MoneyWaits { from, to, amount, said_by, .. }) => {
            format!("{amount} {from} → {to} waits for another person who says the same; {said_by} said it\n")
        }
    }
}

/// All that waits, the first first.
async fn waiting(client: &AdminClient, campaign: &CampaignId) -> Result<WaitingList, Failure> {
    let mut list = client.waiting(campaign, None).await?;
    while let Some(after) = list.next.take() {
        let more = client.waiting(campaign, Some(&after)).await?;
        list.waiting.extend(more.waiting);
        list.next = more.next;
    }
    list.waiting.sort_by(|one, other| (&one.said_at, &one.id).cmp(&(&other.said_at, &other.id)));
    Ok(list)
}

/// A whole list, page by page.
async fn all(
    page: impl AsyncFn(u64) -> Result<MoneyMovedList, AdminError>,
) -> Result<MoneyMovedList, Failure> {
    let mut list = page(0).await?;
    while let Some(after) = list.next.take() {
        let more = page(after).await?;
        list.moves.extend(more.moves);
        list.next = more.next;
    }
    Ok(list)
}

fn moves(list: &MoneyMovedList, as_json: bool) -> Result<String, Failure> {
    if as_json { json(list) } else { Ok(text::moves(&list.moves)) }
}

/// Writes all postings from a number on, page by page.
async fn csv(client: &AdminClient, campaign: &CampaignId, from: u64) -> Result<(), Failure> {
    let mut after = Some(from.saturating_sub(1));
    let mut is_first = true;
    while let Some(number) = after {
        let list = client.postings(campaign, number).await?;
        print(&text::csv(&list.postings, is_first)?)?;
        is_first = false;
        after = list.next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::SaidArgs;

    #[test]
    fn the_same_said_again_is_the_same_movement() {
        let said = |reference: &str, key: Option<&str>| SaidArgs {
            amount: "1.00".to_owned(),
            reference: reference.to_owned(),
            reason: "r".to_owned(),
            key: key.map(str::to_owned),
        };
        let of = |reference, about: &[&str]| said(reference, None).key(about);
        let more = SaidArgs { amount: "2.00".to_owned(), ..said("1", None) };
        assert_ne!(more.key(&["paid", "m-1"]), of("1", &["paid", "m-1"]));
        assert_eq!(of("回单 1", &["paid", "m-1"]), of(" 回单 1 ", &["paid", "m-1"]));
        assert!(of("回单 1", &["paid", "m-1"]).bytes().all(|byte| byte.is_ascii_graphic()));
        assert_ne!(of("1", &["paid", "m-1"]), of("1", &["paid", "m-2"]));
        assert_ne!(of("1", &["paid", "m-1"]), of("2", &["paid", "m-1"]));
        assert_eq!(said("1", Some("mine")).key(&["paid"]), "mine");
    }
}
