//! What staff read of vouchers' lives and of campaigns' books.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::{SqliteLedger, life, signed, unsigned};
use crate::clock::UnixMs;
use crate::domain::ids::{CampaignId, ClaimNumber};
use crate::domain::life::Step;
use crate::domain::money::Fen;
use crate::ledger::accounts::{Accounts, MOVEMENTS, Movement, POSTINGS, PostingRow, add_line, in_order};
use crate::ledger::life::{MoneyMove, Noted, StepRow};
use crate::ledger::postings::Account;
use crate::ledger::{LedgerError, Period};

#[async_trait]
impl Accounts for SqliteLedger {
    async fn steps_of(
        &self,
        claim: ClaimNumber,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StepRow>, LedgerError> {
        self.look_ups
            .run(move |connection| life::steps_of(&*connection.transaction()?, claim, after, limit))
            .await
    }

    async fn movements(
        &self,
        campaign: &CampaignId,
        before_ms: UnixMs,
    ) -> Result<Vec<Movement>, LedgerError> {
        let campaign = campaign.clone();
        self.scans.run(move |connection| movements(connection, &campaign, before_ms)).await
    }

    async fn postings(
        &self,
        campaign: &CampaignId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<PostingRow>, LedgerError> {
        let campaign = campaign.clone();
        self.scans.run(move |connection| postings(connection, &campaign, after, limit)).await
    }

    async fn money_steps(
        &self,
        campaign: &CampaignId,
        step: Step,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StepRow>, LedgerError> {
        let campaign = campaign.clone();
        self.look_ups
            .run(move |connection| life::money_steps(connection, &campaign, step, after, limit))
            .await
    }

    async fn noted(
        &self,
        campaign: &CampaignId,
        from: &Account,
        to: &Account,
        reference: &str,
    ) -> Result<Option<Noted>, LedgerError> {
        let (campaign, accounts) = (campaign.clone(), (from.clone(), to.clone()));
        let reference = reference.to_owned();
        self.look_ups
            .run(move |connection| life::noted(connection, &campaign, (&accounts.0, &accounts.1), &reference))
            .await
    }

    async fn money_move(&self, campaign: &CampaignId, step: u64) -> Result<Option<MoneyMove>, LedgerError> {
        let campaign = campaign.clone();
        self.look_ups.run(move |connection| life::moved(connection, &campaign, step)).await
    }

    async fn periods_of(
        &self,
        campaign: &CampaignId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Period>, LedgerError> {
        let campaign = campaign.clone();
        self.scans
            .run(move |connection| life::periods_of(&*connection.transaction()?, &campaign, after, limit))
            .await
    }
}

fn movements(
    connection: &Connection,
    campaign: &CampaignId,
    before_ms: UnixMs,
) -> Result<Vec<Movement>, LedgerError> {
    let mut statement = connection.prepare_cached(MOVEMENTS)?;
    let mut rows = statement.query(params![campaign.as_str(), before_ms])?;
    let mut movements = Vec::new();
    while let Some(row) = rows.next()? {
        let (kind, account) = (row.get(0)?, row.get(1)?);
        let (gains, amount) = (unsigned(row.get(2)?)?, Fen(row.get(3)?));
        movements.push(Movement { kind, account, gains, amount });
    }
    Ok(in_order(movements))
}

fn postings(
    connection: &Connection,
    campaign: &CampaignId,
    after: u64,
    limit: u32,
) -> Result<Vec<PostingRow>, LedgerError> {
    let mut statement = connection.prepare_cached(POSTINGS)?;
    let mut rows = statement.query(params![campaign.as_str(), signed(after)?, limit])?;
    let mut postings = Vec::new();
    while let Some(row) = rows.next()? {
        let (number, at_ms) = (unsigned(row.get(0)?)?, row.get(1)?);
        let (kind, drop) = (row.get(2)?, row.get(3)?);
        let reverses = row.get::<_, Option<i64>>(6)?.map(unsigned).transpose()?;
        let head = PostingRow { number, at_ms, kind, drop, reverses, lines: Vec::new() };
        add_line(&mut postings, head, (row.get(4)?, Fen(row.get(5)?)));
    }
    Ok(postings)
}
