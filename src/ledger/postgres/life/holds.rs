//! How claims stand after their last step, and late payments. Nothing here writes.

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use crate::domain::ids::{ClaimNumber, DropNumber, Epoch, Shard};
use crate::domain::life::State;
use crate::ledger::late::{LATE_OPEN, LATE_PAYMENTS};
use crate::ledger::postgres::{number, query, query_opt};
use crate::ledger::{LateOpen, LatePayment, LedgerError};

fn state(word: &str) -> Result<State, LedgerError> {
    State::parse(word).ok_or_else(|| LedgerError::Corrupt(format!("state {word:?}")))
}

/// See [`crate::ledger::Ledger::states`].
pub(in crate::ledger::postgres) async fn states_of<C: GenericClient>(
    client: &C,
    claims: &[ClaimNumber],
) -> Result<Vec<Option<State>>, LedgerError> {
    let sql = "SELECT (SELECT s.state FROM step s WHERE s.claim = (e.number << 32 | w.seq) \
                       ORDER BY s.number DESC LIMIT 1) \
               FROM unnest($1::integer[], $2::smallint[], $3::integer[], $4::bigint[]) \
                    WITH ORDINALITY w (drop_number, shard, epoch, seq, place) \
               LEFT JOIN series e ON e.drop_number = w.drop_number AND e.shard = w.shard AND e.epoch = w.epoch \
               ORDER BY w.place";
    let drops = claims.iter().map(|claim| number(claim.drop.0)).collect::<Result<Vec<i32>, _>>()?;
    let shards: Vec<i16> = claims.iter().map(|claim| claim.shard.0.into()).collect();
    let epochs: Vec<i32> = claims.iter().map(|claim| claim.epoch.0.into()).collect();
    let seqs: Vec<i64> = claims.iter().map(|claim| claim.seq.into()).collect();
    let rows = query(client, sql, &[&drops, &shards, &epochs, &seqs]).await?;
    rows.iter().map(|row| row.try_get::<_, Option<&str>>(0)?.map(state).transpose()).collect()
}

/// See [`crate::ledger::Ledger::late_payments`].
pub(in crate::ledger::postgres) async fn late_payments<C: GenericClient>(
    client: &C,
    after: u64,
    limit: u32,
) -> Result<Vec<LatePayment>, LedgerError> {
    let (after, limit): (i64, i64) = (number(after)?, limit.into());
    query(client, LATE_PAYMENTS, &[&after, &limit]).await?.iter().map(late_payment).collect()
}

fn late_payment(row: &Row) -> Result<LatePayment, LedgerError> {
    let key: i64 = row.try_get(5)?;
    let claim = ClaimNumber {
        drop: DropNumber(number::<i32, u32>(row.try_get(2)?)?),
        shard: Shard(number::<i16, u8>(row.try_get(3)?)?),
        epoch: Epoch(number::<i32, u16>(row.try_get(4)?)?),
        seq: number(key & i64::from(u32::MAX))?,
    };
    let refunded: (Option<i64>, Option<String>) = (row.try_get(10)?, row.try_get(11)?);
    Ok(LatePayment {
        number: number::<i64, u64>(row.try_get(0)?)?,
        at_ms: row.try_get(1)?,
        claim,
        person: row.try_get(6)?,
        state: state(row.try_get(7)?)?,
        payment: row.try_get(8)?,
        amount: row.try_get(9)?,
        refunded: refunded.0.zip(refunded.1),
    })
}

/// See [`crate::ledger::Ledger::late_payments_open`].
pub(in crate::ledger::postgres) async fn late_open<C: GenericClient>(
    client: &C,
) -> Result<LateOpen, LedgerError> {
    let Some(row) = query_opt(client, LATE_OPEN, &[]).await? else { return Ok(LateOpen::default()) };
    Ok(LateOpen { count: number(row.try_get::<_, i64>(0)?)?, oldest_at_ms: row.try_get(1)? })
}
