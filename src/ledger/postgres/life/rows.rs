//! The rows of steps: how they are written and read.

use std::collections::BTreeMap;
use std::pin::pin;

use deadpool_postgres::{GenericClient, Transaction};
use futures_util::TryStreamExt;
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use crate::domain::ids::{CampaignId, ClaimNumber, DropNumber};
use crate::domain::life::{State, Step};
use crate::domain::money::Fen;
use crate::ledger::chain::{Covered, RowsDigest};
use crate::ledger::life::{STANDS, StepRow};
use crate::ledger::postgres::{encoded, number, query};
use crate::ledger::{LedgerError, VoucherCount};

macro_rules! columns {
    () => {
        "number, at_ms, step, campaign, drop_number, claim, person, state, redemption, redeemed_at_ms, merchant, shop, \
         order_id, amount, discount, refunded, back, moved, posting, day, actor, key, content, detail"
    };
}
pub(super) use columns;

const TYPES: [Type; 24] = [
    Type::INT8,
    Type::INT8,
    Type::TEXT,
    Type::INT8,
    Type::INT4,
    Type::INT8,
    Type::TEXT,
    Type::TEXT,
    Type::INT8,
    Type::INT8,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT4,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
];

/// Writes steps.
pub(super) async fn insert(transaction: &Transaction<'_>, steps: &[StepRow]) -> Result<(), LedgerError> {
    let sink =
        transaction.copy_in(concat!("COPY step (", columns!(), ") FROM STDIN (FORMAT binary)")).await?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &TYPES));
    let signed = |at: Option<u64>| at.map(number::<u64, i64>).transpose();
    for step in steps {
        let at: i64 = number(step.number)?;
        let drop: Option<i32> = step.drop.map(number).transpose()?;
        let (redemption, posting) = (signed(step.redemption)?, signed(step.posting)?);
        let (kind, state) = (step.step.map(Step::as_str), step.state.map(State::as_str));
        writer
            .as_mut()
            .write(&[
                &at,
                &step.at_ms,
                &kind,
                &step.campaign,
                &drop,
                &step.claim,
                &step.person,
                &state,
                &redemption,
                &step.redeemed_at_ms,
                &step.merchant,
                &step.shop,
                &step.order_id,
                &step.amount,
                &step.discount,
                &step.refunded,
                &step.back,
                &step.moved,
                &posting,
                &step.day,
                &step.actor,
                &step.key,
                &step.content,
                &step.detail,
            ])
            .await?;
    }
    writer.finish().await?;
    Ok(())
}

/// A step from its row.
pub(super) fn step(row: &Row) -> Result<StepRow, LedgerError> {
    let (kind, state): (&str, Option<&str>) = (row.try_get(2)?, row.try_get(7)?);
    let state =
        state.map(|word| State::parse(word).ok_or_else(|| LedgerError::Corrupt(format!("state {word:?}"))));
    let unsigned = |at: Option<i64>| at.map(number::<i64, u64>).transpose();
    Ok(StepRow {
        number: number(row.try_get::<_, i64>(0)?)?,
        at_ms: row.try_get(1)?,
        step: Some(Step::parse(kind).ok_or_else(|| LedgerError::Corrupt(format!("step {kind:?}")))?),
        campaign: row.try_get(3)?,
        drop: row.try_get::<_, Option<i32>>(4)?.map(number).transpose()?,
        claim: row.try_get(5)?,
        person: row.try_get(6)?,
        state: state.transpose()?,
        redemption: unsigned(row.try_get(8)?)?,
        redeemed_at_ms: row.try_get(9)?,
        merchant: row.try_get(10)?,
        shop: row.try_get(11)?,
        order_id: row.try_get(12)?,
        amount: row.try_get(13)?,
        discount: row.try_get(14)?,
        refunded: row.try_get(15)?,
        back: row.try_get(16)?,
        moved: row.try_get(17)?,
        posting: unsigned(row.try_get(18)?)?,
        day: row.try_get(19)?,
        actor: row.try_get(20)?,
        key: row.try_get(21)?,
        content: row.try_get(22)?,
        detail: row.try_get(23)?,
    })
}

/// See [`crate::ledger::Ledger::steps`].
pub(in crate::ledger::postgres) async fn steps<C: GenericClient>(
    client: &C,
    after: u64,
    limit: u32,
) -> Result<Vec<StepRow>, LedgerError> {
    let sql = concat!("SELECT ", columns!(), " FROM step WHERE number > $1 ORDER BY number LIMIT $2");
    let (after, limit): (i64, i64) = (number(after)?, limit.into());
    query(client, sql, &[&after, &limit]).await?.iter().map(step).collect()
}

/// See [`crate::ledger::Accounts::steps_of`].
pub(in crate::ledger::postgres) async fn steps_of<C: GenericClient>(
    client: &C,
    claim: ClaimNumber,
    after: u64,
    limit: u32,
) -> Result<Vec<StepRow>, LedgerError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM step WHERE claim = (SELECT number << 32 | $4 FROM series \
          WHERE drop_number = $1 AND shard = $2 AND epoch = $3) AND number > $5 ORDER BY number LIMIT $6"
    );
    let drop: i32 = number(claim.drop.0)?;
    let (shard, epoch, seq) = (i16::from(claim.shard.0), i32::from(claim.epoch.0), i64::from(claim.seq));
    let (after, limit): (i64, i64) = (number(after)?, limit.into());
    query(client, sql, &[&drop, &shard, &epoch, &seq, &after, &limit]).await?.iter().map(step).collect()
}

/// See [`crate::ledger::Accounts::money_steps`].
pub(in crate::ledger::postgres) async fn money_steps<C: GenericClient>(
    client: &C,
    campaign: &CampaignId,
    kind: Step,
    after: u64,
    limit: u32,
) -> Result<Vec<StepRow>, LedgerError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM step WHERE claim IS NULL AND campaign = (SELECT number FROM campaign WHERE id = $1) \
          AND step = $2 AND number > $3 ORDER BY number LIMIT $4"
    );
    let (after, limit): (i64, i64) = (number(after)?, limit.into());
    let given: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&campaign.as_str(), &kind.as_str(), &after, &limit];
    query(client, sql, &given).await?.iter().map(step).collect()
}

/// A digest over the rows that a record covers.
pub(in crate::ledger::postgres) async fn steps_covered(
    snapshot: &Transaction<'_>,
    covered: &Covered,
    [first, last]: [i64; 2],
) -> Result<RowsDigest, LedgerError> {
    let sql = concat!("SELECT ", columns!(), " FROM step WHERE number BETWEEN $1 AND $2 ORDER BY number");
    let mut digest = RowsDigest::new(covered.first);
    let statement = snapshot.prepare_cached(sql).await?;
    let mut rows = pin!(snapshot.query_raw(&statement, [first, last]).await?);
    while let Some(row) = rows.try_next().await? {
        digest.push(&step(&row)?).map_err(encoded)?;
    }
    Ok(digest)
}

/// How the claims stand that steps were taken with, by drop and state.
pub(in crate::ledger::postgres) async fn stands<C: GenericClient>(
    client: &C,
) -> Result<Vec<VoucherCount>, LedgerError> {
    let count = |row: &Row| {
        let state: &str = row.try_get(1)?;
        Ok(VoucherCount {
            drop: DropNumber(number(row.try_get::<_, i32>(0)?)?),
            state: State::parse(state).ok_or_else(|| LedgerError::Corrupt(format!("state {state:?}")))?,
            claims: number(row.try_get::<_, i64>(2)?)?,
        })
    };
    query(client, STANDS, &[]).await?.iter().map(count).collect()
}

/// What every account of a campaign holds, from the postings alone.
pub(in crate::ledger::postgres) async fn pots<C: GenericClient>(
    client: &C,
    campaign: &str,
) -> Result<BTreeMap<String, Fen>, LedgerError> {
    let sql = "SELECT l.account, sum(l.amount)::bigint FROM campaign c JOIN posting p ON p.campaign = c.number \
               JOIN posting_line l ON l.posting = p.number WHERE c.id = $1 GROUP BY l.account";
    let pot = |row: &Row| Ok((row.try_get(0)?, Fen(row.try_get(1)?)));
    query(client, sql, &[&campaign]).await?.iter().map(pot).collect()
}

/// The states of the claims among these with which a step was taken.
pub(in crate::ledger::postgres) async fn states<C: GenericClient>(
    client: &C,
    claims: &[i64],
) -> Result<Vec<(i64, State)>, LedgerError> {
    let sql = "SELECT DISTINCT ON (claim) claim, state FROM step WHERE claim = ANY($1::bigint[]) \
               ORDER BY claim, number DESC";
    let state = |row: &Row| {
        let word: &str = row.try_get(1)?;
        let state = State::parse(word).ok_or_else(|| LedgerError::Corrupt(format!("state {word:?}")))?;
        Ok((row.try_get(0)?, state))
    };
    query(client, sql, &[&claims]).await?.iter().map(state).collect()
}
