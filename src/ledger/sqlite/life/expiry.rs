//! Vouchers whose time is over, a page at a time, with the place up to which they were looked at.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{TermsCache, take, terms};
use crate::clock::UnixMs;
use crate::domain::ids::{ClaimNumber, DropNumber, Epoch, Shard};
use crate::domain::life::rules::expires_at_ms;
use crate::ledger::life::{Action, Request, StepRow, given_back};
use crate::ledger::sections::row_key;
use crate::ledger::sqlite::unsigned;
use crate::ledger::{Expired, LedgerError};

/// See [`crate::ledger::Ledger::expire`].
pub(in crate::ledger::sqlite) fn expire(
    connection: &mut Connection,
    cache: &TermsCache,
    limit: u32,
    now_ms: UnixMs,
) -> Result<Expired, LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let terms = terms(&transaction, cache)?;
    let mut statement = transaction.prepare_cached(
        "SELECT s.number, s.drop_number, s.shard, s.epoch, coalesce(e.claim, s.number << 32) \
         FROM series s LEFT JOIN expiry e ON e.series = s.number ORDER BY s.number",
    )?;
    let series = statement
        .query_map([], |row| {
            let (drop, shard, epoch) = (DropNumber(row.get(1)?), Shard(row.get(2)?), Epoch(row.get(3)?));
            Ok((row.get(0)?, ClaimNumber { drop, shard, epoch, seq: 0 }, row.get(4)?))
        })?
        .collect::<Result<Vec<(i64, ClaimNumber, i64)>, _>>()?;
    let mut next = transaction.prepare_cached(
        "SELECT claimed_at_ms, status FROM claim WHERE number > ?1 AND number < ?2 \
                                    ORDER BY number LIMIT 1",
    )?;
    let mut page = transaction.prepare_cached(
        "SELECT number, claimed_at_ms, status FROM claim WHERE number > ?1 AND number < ?2 ORDER BY number LIMIT ?3",
    )?;
    for (number, of, cursor) in series {
        let Some(voucher) = terms.drops.get(&of.drop).and_then(|terms| terms.voucher.as_ref()) else {
            continue;
        };
        let end = row_key(number.saturating_add(1), 0);
        let first: Option<i64> = next.query_row([cursor, end], |row| row.get(0)).optional()?;
        if first.is_none_or(|claimed_at_ms| expires_at_ms(voucher, claimed_at_ms) > now_ms) {
            continue;
        }
        let mut rows = page.query(params![cursor, end, limit])?;
        let (mut requests, mut upto) = (Vec::new(), cursor);
        while let Some(row) = rows.next()? {
            let (key, claimed_at_ms, status): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if expires_at_ms(voucher, claimed_at_ms) > now_ms {
                break;
            }
            upto = key;
            if status == 0 {
                let seq = u32::try_from(key & i64::from(u32::MAX)).unwrap_or(0);
                requests
                    .push(Request { action: Action::Expire { claim: ClaimNumber { seq, ..of } }, key: None });
            }
        }
        drop(rows);
        let outcomes = take(&transaction, cache, &requests, now_ms)?;
        transaction
            .prepare_cached(
                "INSERT INTO expiry (series, claim) VALUES (?1, ?2) \
                 ON CONFLICT DO UPDATE SET claim = excluded.claim",
            )?
            .execute([number, upto])?;
        crate::failpoint::Step::ExpiryWritten.reached();
        let expired = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        drop((next, page, statement));
        transaction.commit()?;
        return Ok(Expired {
            expired: unsigned(i64::try_from(expired).unwrap_or(i64::MAX))?,
            looked_at: true,
        });
    }
    Ok(Expired { expired: 0, looked_at: false })
}

/// Has vouchers that went back to their holders looked at again, where they were passed.
pub(super) fn look_again(transaction: &Transaction<'_>, steps: &[StepRow]) -> Result<(), LedgerError> {
    for (series, claim) in given_back(steps) {
        transaction
            .prepare_cached("UPDATE expiry SET claim = ?2 WHERE series = ?1 AND claim > ?2")?
            .execute([series, claim.saturating_sub(1)])?;
    }
    Ok(())
}
