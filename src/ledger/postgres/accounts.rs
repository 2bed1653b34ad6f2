//! What staff read of vouchers' lives and of campaigns' books.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{PostgresLedger, in_time, life, number, query, snapshot, unhurried};
use crate::clock::UnixMs;
use crate::domain::ids::{CampaignId, ClaimNumber};
use crate::domain::life::Step;
use crate::domain::money::Fen;
use crate::ledger::accounts::{Accounts, MOVEMENTS, Movement, POSTINGS, PostingRow, add_line, in_order};
use crate::ledger::life::{MoneyMove, Noted, StepRow};
use crate::ledger::postings::Account;
use crate::ledger::{LedgerError, Period};

#[async_trait]
impl Accounts for PostgresLedger {
    async fn steps_of(
        &self,
        claim: ClaimNumber,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StepRow>, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, life::steps_of(&client, claim, after, limit))
    }

    async fn movements(
        &self,
        campaign: &CampaignId,
        before_ms: UnixMs,
    ) -> Result<Vec<Movement>, LedgerError> {
        let client = self.scans.get().await?;
        unhurried!(client, async {
            let rows = query(&client, MOVEMENTS, &[&campaign.as_str(), &before_ms]).await?;
            rows.iter().map(movement).collect::<Result<_, _>>().map(in_order)
        })
    }

    async fn postings(
        &self,
        campaign: &CampaignId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<PostingRow>, LedgerError> {
        let client = self.scans.get().await?;
        let (after, limit): (i64, i64) = (number(after)?, limit.into());
        unhurried!(client, async {
            let mut postings = Vec::new();
            for row in query(&client, POSTINGS, &[&campaign.as_str(), &after, &limit]).await? {
                let reverses: Option<i64> = row.try_get(6)?;
                let reverses = reverses.map(number::<i64, u64>).transpose()?;
                let (number, at_ms) = (number::<i64, u64>(row.try_get(0)?)?, row.try_get(1)?);
                let (kind, drop) = (row.try_get(2)?, row.try_get(3)?);
                let head = PostingRow { number, at_ms, kind, drop, reverses, lines: Vec::new() };
                add_line(&mut postings, head, (row.try_get(4)?, Fen(row.try_get(5)?)));
            }
            Ok(postings)
        })
    }

    async fn money_steps(
        &self,
        campaign: &CampaignId,
        step: Step,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StepRow>, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, life::money_steps(&client, campaign, step, after, limit))
    }

    async fn noted(
        &self,
        campaign: &CampaignId,
        from: &Account,
        to: &Account,
        reference: &str,
    ) -> Result<Option<Noted>, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, life::noted(&client, campaign, (from, to), reference))
    }

    async fn money_move(&self, campaign: &CampaignId, step: u64) -> Result<Option<MoneyMove>, LedgerError> {
        let client = self.look_ups.get().await?;
        in_time!(client, life::moved(&client, campaign, step))
    }

    async fn periods_of(
        &self,
        campaign: &CampaignId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Period>, LedgerError> {
        let mut client = self.scans.get().await?;
        unhurried!(client, async {
            life::periods_of(&snapshot(&mut client).await?, campaign, after, limit).await
        })
    }
}

fn movement(row: &Row) -> Result<Movement, LedgerError> {
    let (kind, account) = (row.try_get(0)?, row.try_get(1)?);
    let (gains, amount) = (number::<i64, u64>(row.try_get(2)?)?, Fen(row.try_get(3)?));
    Ok(Movement { kind, account, gains, amount })
}
