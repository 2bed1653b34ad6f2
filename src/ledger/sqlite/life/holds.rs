//! How claims stand after their last step, and late payments. Nothing here writes.

use rusqlite::{Connection, OptionalExtension, params};

use crate::domain::ids::{ClaimNumber, DropNumber, Epoch, Shard};
use crate::domain::life::State;
use crate::ledger::late::{LATE_OPEN, LATE_PAYMENTS};
use crate::ledger::sections::row_key;
use crate::ledger::sqlite::{signed, unsigned};
use crate::ledger::{LateOpen, LatePayment, LedgerError};

fn state(word: &str) -> Result<State, LedgerError> {
    State::parse(word).ok_or_else(|| LedgerError::Corrupt(format!("state {word:?}")))
}

/// See [`crate::ledger::Ledger::states`]. To be called in a transaction: it reads two tables.
pub(in crate::ledger::sqlite) fn states(
    connection: &Connection,
    claims: &[ClaimNumber],
) -> Result<Vec<Option<State>>, LedgerError> {
    let mut series = connection
        .prepare_cached("SELECT number FROM series WHERE drop_number = ?1 AND shard = ?2 AND epoch = ?3")?;
    let mut last =
        connection.prepare_cached("SELECT state FROM step WHERE claim = ?1 ORDER BY number DESC LIMIT 1")?;
    let mut of = |claim: &ClaimNumber| -> Result<Option<State>, LedgerError> {
        let place = params![claim.drop.0, claim.shard.0, claim.epoch.0];
        let Some(series) = series.query_row(place, |row| row.get(0)).optional()? else { return Ok(None) };
        let word: Option<String> =
            last.query_row([row_key(series, claim.seq)], |row| row.get(0)).optional()?;
        word.as_deref().map(state).transpose()
    };
    claims.iter().map(&mut of).collect()
}

/// See [`crate::ledger::Ledger::late_payments`].
pub(in crate::ledger::sqlite) fn late_payments(
    connection: &Connection,
    after: u64,
    limit: u32,
) -> Result<Vec<LatePayment>, LedgerError> {
    let mut statement = connection.prepare_cached(LATE_PAYMENTS)?;
    let mut rows = statement.query(params![signed(after)?, limit])?;
    let mut late = Vec::new();
    while let Some(row) = rows.next()? {
        let key: i64 = row.get(5)?;
        let claim = ClaimNumber {
            drop: DropNumber(row.get(2)?),
            shard: Shard(row.get(3)?),
            epoch: Epoch(row.get(4)?),
            seq: u32::try_from(key & i64::from(u32::MAX)).unwrap_or(0),
        };
        let refunded: (Option<i64>, Option<String>) = (row.get(10)?, row.get(11)?);
        late.push(LatePayment {
            number: unsigned(row.get(0)?)?,
            at_ms: row.get(1)?,
            claim,
            person: row.get(6)?,
            state: state(&row.get::<_, String>(7)?)?,
            payment: row.get(8)?,
            amount: row.get(9)?,
            refunded: refunded.0.zip(refunded.1),
        });
    }
    Ok(late)
}

/// See [`crate::ledger::Ledger::late_payments_open`].
pub(in crate::ledger::sqlite) fn late_open(connection: &Connection) -> Result<LateOpen, LedgerError> {
    let open = connection.prepare_cached(LATE_OPEN)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(LateOpen { count: unsigned(open.0)?, oldest_at_ms: open.1 })
}
