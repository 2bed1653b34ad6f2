//! Closing a stretch of a campaign's books.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Params, TransactionBehavior, params};

use crate::clock::UnixMs;
use crate::domain::ids::CampaignId;
use crate::domain::money::Fen;
use crate::ledger::accounts::PERIODS_OF;
use crate::ledger::chain::Content;
use crate::ledger::sqlite::books::testify_by;
use crate::ledger::sqlite::{encoded, signed, unsigned};
use crate::ledger::{CloseRefused, LedgerError, Period, PeriodLine};

/// The instant at which something may be booked that happens at `now_ms`: not in a closed period.
pub(in crate::ledger::sqlite) fn in_time(
    connection: &Connection,
    now_ms: UnixMs,
) -> Result<UnixMs, LedgerError> {
    let closed: Option<i64> =
        connection.prepare_cached("SELECT max(until_ms) FROM period")?.query_row([], |row| row.get(0))?;
    Ok(closed.map_or(now_ms, |closed| closed.max(now_ms)))
}

/// See [`crate::ledger::Ledger::close_period`].
pub(in crate::ledger::sqlite) fn close(
    connection: &mut Connection,
    campaign: &CampaignId,
    until_ms: UnixMs,
    (actor, now_ms): (&str, UnixMs),
) -> Result<Result<Period, CloseRefused>, LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let row: Option<i64> = transaction
        .prepare_cached("SELECT number FROM campaign WHERE id = ?1")?
        .query_row([campaign.as_str()], |row| row.get(0))
        .optional()?;
    let Some(row) = row else { return Ok(Err(CloseRefused::UnknownCampaign)) };
    let last = transaction
        .prepare_cached(
            "SELECT number, until_ms FROM period WHERE campaign = ?1 ORDER BY until_ms DESC LIMIT 1",
        )?
        .query_row([row], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
        .optional()?;
    let from_ms = last.map_or(0, |(_, until_ms)| until_ms);
    if let Err(refused) = Period::check(from_ms, until_ms, now_ms) {
        return Ok(Err(refused));
    }
    let opening = match last {
        Some((number, _)) => {
            lines(&transaction, number)?.into_iter().map(|line| (line.account, line.closing)).collect()
        }
        None => BTreeMap::new(),
    };
    let mut statement = transaction.prepare_cached(
        "SELECT l.account, sum(l.amount) FROM posting p JOIN posting_line l ON l.posting = p.number \
         WHERE p.campaign = ?1 AND p.at_ms < ?2 GROUP BY l.account",
    )?;
    let closing = statement
        .query_map([row, until_ms], |row| Ok((row.get(0)?, Fen(row.get(1)?))))?
        .collect::<Result<BTreeMap<String, Fen>, _>>()?;
    drop(statement);
    let number: i64 = transaction
        .prepare_cached("SELECT coalesce(max(number), 0) + 1 FROM period")?
        .query_row([], |row| row.get(0))?;
    let period =
        Period::closed(unsigned(number)?, campaign.clone(), (from_ms, until_ms, now_ms), &opening, &closing);
    transaction
        .prepare_cached(
            "INSERT INTO period (number, campaign, from_ms, until_ms, closed_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![number, row, from_ms, until_ms, now_ms])?;
    for line in &period.lines {
        transaction
            .prepare_cached(
                "INSERT INTO period_balance (period, account, opening, closing) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![number, line.account, line.opening.0, line.closing.0])?;
    }
    let sha256 = period.digest().map_err(encoded)?;
    let content = Content::Period { number: period.number, sha256 };
    testify_by(&transaction, now_ms, Some(actor), content)?;
    transaction.commit()?;
    Ok(Ok(period))
}

fn lines(connection: &Connection, period: i64) -> Result<Vec<PeriodLine>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT account, opening, closing FROM period_balance WHERE period = ?1 ORDER BY account",
    )?;
    let rows = statement.query_map([period], |row| {
        Ok(PeriodLine { account: row.get(0)?, opening: Fen(row.get(1)?), closing: Fen(row.get(2)?) })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Every closed period, in order of their numbers.
pub(in crate::ledger::sqlite) fn periods(connection: &Connection) -> Result<Vec<Period>, LedgerError> {
    let sql = "SELECT p.number, c.id, p.from_ms, p.until_ms, p.closed_at_ms FROM period p \
               JOIN campaign c ON c.number = p.campaign ORDER BY p.number";
    read(connection, sql, [])
}

/// See [`crate::ledger::Accounts::periods_of`].
pub(in crate::ledger::sqlite) fn periods_of(
    connection: &Connection,
    campaign: &CampaignId,
    after: u64,
    limit: u32,
) -> Result<Vec<Period>, LedgerError> {
    read(connection, PERIODS_OF, params![campaign.as_str(), signed(after)?, limit])
}

fn read(connection: &Connection, sql: &str, given: impl Params) -> Result<Vec<Period>, LedgerError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(given)?;
    let mut periods = Vec::new();
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let id: String = row.get(1)?;
        periods.push(Period {
            number: unsigned(number)?,
            campaign: CampaignId::new(&id).map_err(encoded)?,
            from_ms: row.get(2)?,
            until_ms: row.get(3)?,
            closed_at_ms: row.get(4)?,
            lines: lines(connection, number)?,
        });
    }
    Ok(periods)
}
