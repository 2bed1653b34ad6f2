//! Closing a stretch of a campaign's books.

use std::collections::BTreeMap;

use deadpool_postgres::{Client, GenericClient};
use tokio_postgres::Row;

use crate::clock::UnixMs;
use crate::domain::ids::CampaignId;
use crate::domain::money::Fen;
use crate::ledger::accounts::PERIODS_OF;
use crate::ledger::chain::Content;
use crate::ledger::postgres::books::{lock, testify_by};
use crate::ledger::postgres::{Parameters, encoded, execute, number, query, query_number, query_opt};
use crate::ledger::{CloseRefused, LedgerError, Period, PeriodLine};

/// The instant at which something may be booked that happens at `now_ms`: not in a closed period.
pub(in crate::ledger::postgres) async fn in_time<C: GenericClient>(
    client: &C,
    now_ms: UnixMs,
) -> Result<UnixMs, LedgerError> {
    let closed = query_number(client, "SELECT coalesce(max(until_ms), 0) FROM period", &[]).await?;
    Ok(closed.max(now_ms))
}

/// See [`crate::ledger::Ledger::close_period`].
pub(in crate::ledger::postgres) async fn close(
    client: &mut Client,
    campaign: &CampaignId,
    until_ms: UnixMs,
    (actor, now_ms): (&str, UnixMs),
) -> Result<Result<Period, CloseRefused>, LedgerError> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    let sql = "SELECT number FROM campaign WHERE id = $1";
    let Some(found) = query_opt(&transaction, sql, &[&campaign.as_str()]).await? else {
        return Ok(Err(CloseRefused::UnknownCampaign));
    };
    let row: i64 = found.try_get(0)?;
    let sql = "SELECT number, until_ms FROM period WHERE campaign = $1 ORDER BY until_ms DESC LIMIT 1";
    let last = query_opt(&transaction, sql, &[&row]).await?;
    let from_ms = last.as_ref().map_or(Ok(0), |last| last.try_get(1))?;
    if let Err(refused) = Period::check(from_ms, until_ms, now_ms) {
        return Ok(Err(refused));
    }
    let mut opening = BTreeMap::new();
    if let Some(last) = last {
        let lines = lines(&transaction, last.try_get(0)?).await?;
        opening.extend(lines.into_iter().map(|line| (line.account, line.closing)));
    }
    let sql = "SELECT l.account, sum(l.amount)::bigint FROM posting p JOIN posting_line l ON l.posting = p.number \
               WHERE p.campaign = $1 AND p.at_ms < $2 GROUP BY l.account";
    let mut closing = BTreeMap::new();
    for row in query(&transaction, sql, &[&row, &until_ms]).await? {
        closing.insert(row.try_get(0)?, Fen(row.try_get(1)?));
    }
    let at = query_number(&transaction, "SELECT coalesce(max(number), 0) + 1 FROM period", &[]).await?;
    let period =
        Period::closed(number(at)?, campaign.clone(), (from_ms, until_ms, now_ms), &opening, &closing);
    let sql =
        "INSERT INTO period (number, campaign, from_ms, until_ms, closed_at_ms) VALUES ($1, $2, $3, $4, $5)";
    execute(&transaction, sql, &[&at, &row, &from_ms, &until_ms, &now_ms]).await?;
    for line in &period.lines {
        let sql = "INSERT INTO period_balance (period, account, opening, closing) VALUES ($1, $2, $3, $4)";
        execute(&transaction, sql, &[&at, &line.account, &line.opening.0, &line.closing.0]).await?;
    }
    let sha256 = period.digest().map_err(encoded)?;
    let content = Content::Period { number: period.number, sha256 };
    testify_by(&transaction, now_ms, Some(actor), content).await?;
    transaction.commit().await?;
    Ok(Ok(period))
}

async fn lines<C: GenericClient>(client: &C, period: i64) -> Result<Vec<PeriodLine>, LedgerError> {
    let sql = "SELECT account, opening, closing FROM period_balance WHERE period = $1 ORDER BY account";
    let line = |row: &Row| {
        Ok(PeriodLine {
            account: row.try_get(0)?,
            opening: Fen(row.try_get(1)?),
            closing: Fen(row.try_get(2)?),
        })
    };
    query(client, sql, &[&period]).await?.iter().map(line).collect()
}

/// Every closed period, in order of their numbers.
pub(in crate::ledger::postgres) async fn periods<C: GenericClient>(
    client: &C,
) -> Result<Vec<Period>, LedgerError> {
    let sql = "SELECT p.number, c.id, p.from_ms, p.until_ms, p.closed_at_ms FROM period p \
               JOIN campaign c ON c.number = p.campaign ORDER BY p.number";
    read(client, sql, &[]).await
}

/// See [`crate::ledger::Accounts::periods_of`].
pub(in crate::ledger::postgres) async fn periods_of<C: GenericClient>(
    client: &C,
    campaign: &CampaignId,
    after: u64,
    limit: u32,
) -> Result<Vec<Period>, LedgerError> {
    let (after, limit): (i64, i64) = (number(after)?, limit.into());
    read(client, PERIODS_OF, &[&campaign.as_str(), &after, &limit]).await
}

async fn read<C: GenericClient>(
    client: &C,
    sql: &str,
    given: Parameters<'_>,
) -> Result<Vec<Period>, LedgerError> {
    let mut periods = Vec::new();
    for row in query(client, sql, given).await? {
        let at: i64 = row.try_get(0)?;
        periods.push(Period {
            number: number(at)?,
            campaign: CampaignId::new(row.try_get(1)?).map_err(encoded)?,
            from_ms: row.try_get(2)?,
            until_ms: row.try_get(3)?,
            closed_at_ms: row.try_get(4)?,
            lines: lines(client, at).await?,
        });
    }
    Ok(periods)
}
