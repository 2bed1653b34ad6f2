//! Vouchers whose time is over, a page at a time, with the place up to which they were looked at.

use deadpool_postgres::{Client, Transaction};

use super::known::terms;
use super::take;
use crate::clock::UnixMs;
use crate::domain::ids::{ClaimNumber, DropNumber, Epoch, Shard};
use crate::domain::life::rules::expires_at_ms;
use crate::ledger::life::{Action, Request, StepRow, TermsCache, given_back};
use crate::ledger::postgres::books::lock;
use crate::ledger::postgres::{execute, number, query};
use crate::ledger::sections::row_key;
use crate::ledger::{Expired, LedgerError};

/// See [`crate::ledger::Ledger::expire`].
pub(in crate::ledger::postgres) async fn expire(
    client: &mut Client,
    cache: &TermsCache,
    limit: u32,
    now_ms: UnixMs,
) -> Result<Expired, LedgerError> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    let terms = terms(&transaction, cache).await?;
    let series = "SELECT s.number, s.drop_number, s.shard, s.epoch, c.looked, \
                         (SELECT claimed_at_ms FROM claim WHERE number > c.looked AND number < (s.number + 1) << 32 \
                          ORDER BY number LIMIT 1) \
                  FROM series s LEFT JOIN expiry e ON e.series = s.number \
                  CROSS JOIN LATERAL (SELECT coalesce(e.claim, s.number << 32)) c (looked) ORDER BY s.number";
    for row in query(&transaction, series, &[]).await? {
        let at: i64 = row.try_get(0)?;
        let of = ClaimNumber {
            drop: DropNumber(number(row.try_get::<_, i32>(1)?)?),
            shard: Shard(number(row.try_get::<_, i16>(2)?)?),
            epoch: Epoch(number(row.try_get::<_, i32>(3)?)?),
            seq: 0,
        };
        let (cursor, first): (i64, Option<i64>) = (row.try_get(4)?, row.try_get(5)?);
        let Some(voucher) = terms.drops.get(&of.drop).and_then(|terms| terms.voucher.as_ref()) else {
            continue;
        };
        if first.is_none_or(|claimed_at_ms| expires_at_ms(voucher, claimed_at_ms) > now_ms) {
            continue;
        }
        let page = "SELECT number, claimed_at_ms, status FROM claim WHERE number > $1 AND number < $2 \
                    ORDER BY number LIMIT $3";
        let end = row_key(at.saturating_add(1), 0);
        let (mut requests, mut upto) = (Vec::new(), cursor);
        for row in query(&transaction, page, &[&cursor, &end, &i64::from(limit)]).await? {
            let (key, claimed_at_ms): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            if expires_at_ms(voucher, claimed_at_ms) > now_ms {
                break;
            }
            upto = key;
            if row.try_get::<_, i16>(2)? == 0 {
                let claim = ClaimNumber { seq: number(key & i64::from(u32::MAX))?, ..of };
                requests.push(Request { action: Action::Expire { claim }, key: None });
            }
        }
        let outcomes = take(&transaction, cache, &requests, now_ms).await?;
        let keep = "INSERT INTO expiry (series, claim) VALUES ($1, $2) \
                    ON CONFLICT (series) DO UPDATE SET claim = excluded.claim";
        execute(&transaction, keep, &[&at, &upto]).await?;
        crate::failpoint::Step::ExpiryWritten.reached();
        transaction.commit().await?;
        let expired = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        return Ok(Expired { expired: number(expired)?, looked_at: true });
    }
    Ok(Expired { expired: 0, looked_at: false })
}

/// Has vouchers that went back to their holders looked at again, where they were passed.
pub(super) async fn look_again(transaction: &Transaction<'_>, steps: &[StepRow]) -> Result<(), LedgerError> {
    for (series, claim) in given_back(steps) {
        let sql = "UPDATE expiry SET claim = $2 WHERE series = $1 AND claim > $2";
        execute(transaction, sql, &[&series, &claim.saturating_sub(1)]).await?;
    }
    Ok(())
}
