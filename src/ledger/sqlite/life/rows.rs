//! The rows of steps: how they are written and read.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, Transaction, params};

use crate::domain::ids::{CampaignId, DropNumber};
use crate::domain::life::{State, Step};
use crate::domain::money::Fen;
use crate::ledger::chain::{Covered, RowsDigest};
use crate::ledger::life::{STANDS, StepRow};
use crate::ledger::sqlite::{encoded, signed, unsigned};
use crate::ledger::{LedgerError, VoucherCount};

macro_rules! select_step {
    ($rest:literal) => {
        concat!(
            "SELECT number, at_ms, step, campaign, drop_number, claim, person, state, redemption, redeemed_at_ms, \
             merchant, shop, order_id, amount, discount, refunded, back, moved, posting, day, actor, key, content, \
             detail FROM step ",
            $rest
        )
    };
}
pub(super) use select_step;

/// The redemption of a merchant's order, unless it was taken back.
pub(super) const ORDER_STANDS: &str = "SELECT s.number FROM step s \
     WHERE s.merchant = ?1 AND s.order_id = ?2 AND s.step = 'redeemed' \
       AND NOT EXISTS (SELECT 1 FROM step r WHERE r.claim = s.claim AND r.number > s.number \
                       AND r.redemption = s.number AND r.step IN ('reversed', 'reversed_late')) LIMIT 1";

/// Writes a step.
pub(super) fn insert(transaction: &Transaction<'_>, step: &StepRow) -> Result<(), LedgerError> {
    let optional = |number: Option<u64>| number.map(signed).transpose();
    transaction
        .prepare_cached(
            "INSERT INTO step (number, at_ms, step, campaign, drop_number, claim, person, state, redemption, \
             redeemed_at_ms, merchant, shop, order_id, amount, discount, refunded, back, moved, posting, day, actor, \
             key, content, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, \
             ?18, ?19, ?20, ?21, ?22, ?23, ?24)",
        )?
        .execute(params![
            signed(step.number)?,
            step.at_ms,
            step.step.map(Step::as_str),
            step.campaign,
            step.drop,
            step.claim,
            step.person,
            step.state.map(State::as_str),
            optional(step.redemption)?,
            step.redeemed_at_ms,
            step.merchant,
            step.shop,
            step.order_id,
            step.amount,
            step.discount,
            step.refunded,
            step.back,
            step.moved,
            optional(step.posting)?,
            step.day,
            step.actor,
            step.key,
            step.content,
            step.detail,
        ])?;
    Ok(())
}

/// A step from its row.
pub(super) fn step(row: &Row<'_>) -> Result<StepRow, LedgerError> {
    let (kind, state): (String, Option<String>) = (row.get(2)?, row.get(7)?);
    let state =
        state.map(|word| State::parse(&word).ok_or_else(|| LedgerError::Corrupt(format!("state {word:?}"))));
    let optional = |number: Option<i64>| number.map(unsigned).transpose();
    Ok(StepRow {
        number: unsigned(row.get(0)?)?,
        at_ms: row.get(1)?,
        step: Some(Step::parse(&kind).ok_or_else(|| LedgerError::Corrupt(format!("step {kind:?}")))?),
        campaign: row.get(3)?,
        drop: row.get(4)?,
        claim: row.get(5)?,
        person: row.get(6)?,
        state: state.transpose()?,
        redemption: optional(row.get(8)?)?,
        redeemed_at_ms: row.get(9)?,
        merchant: row.get(10)?,
        shop: row.get(11)?,
        order_id: row.get(12)?,
        amount: row.get(13)?,
        discount: row.get(14)?,
        refunded: row.get(15)?,
        back: row.get(16)?,
        moved: row.get(17)?,
        posting: optional(row.get(18)?)?,
        day: row.get(19)?,
        actor: row.get(20)?,
        key: row.get(21)?,
        content: row.get(22)?,
        detail: row.get(23)?,
    })
}

/// See [`crate::ledger::Ledger::steps`].
pub(in crate::ledger::sqlite) fn steps(
    connection: &Connection,
    after: u64,
    limit: u32,
) -> Result<Vec<StepRow>, LedgerError> {
    let mut statement =
        connection.prepare_cached(select_step!("WHERE number > ?1 ORDER BY number LIMIT ?2"))?;
    let rows = statement.query_map(params![signed(after)?, limit], |row| Ok(step(row)))?;
    rows.map(|row| row?).collect()
}

/// See [`crate::ledger::Accounts::money_steps`].
pub(in crate::ledger::sqlite) fn money_steps(
    connection: &Connection,
    campaign: &CampaignId,
    kind: Step,
    after: u64,
    limit: u32,
) -> Result<Vec<StepRow>, LedgerError> {
    let mut statement = connection.prepare_cached(select_step!(
        "WHERE claim IS NULL AND campaign = (SELECT number FROM campaign WHERE id = ?1) AND step = ?2 \
         AND number > ?3 ORDER BY number LIMIT ?4"
    ))?;
    let given = params![campaign.as_str(), kind.as_str(), signed(after)?, limit];
    let rows = statement.query_map(given, |row| Ok(step(row)))?;
    rows.map(|row| row?).collect()
}

/// A digest over the rows that a record covers.
pub(in crate::ledger::sqlite) fn steps_covered(
    connection: &Connection,
    covered: &Covered,
    [first, last]: [i64; 2],
) -> Result<RowsDigest, LedgerError> {
    let mut digest = RowsDigest::new(covered.first);
    let mut statement =
        connection.prepare_cached(select_step!("WHERE number BETWEEN ?1 AND ?2 ORDER BY number"))?;
    let mut rows = statement.query([first, last])?;
    while let Some(row) = rows.next()? {
        digest.push(&step(row)?).map_err(encoded)?;
    }
    Ok(digest)
}

/// How the claims stand that steps were taken with, by drop and state.
pub(in crate::ledger::sqlite) fn stands(connection: &Connection) -> Result<Vec<VoucherCount>, LedgerError> {
    let mut statement = connection.prepare_cached(STANDS)?;
    let mut rows = statement.query([])?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next()? {
        let state: String = row.get(1)?;
        counts.push(VoucherCount {
            drop: DropNumber(row.get(0)?),
            state: State::parse(&state).ok_or_else(|| LedgerError::Corrupt(format!("state {state:?}")))?,
            claims: unsigned(row.get(2)?)?,
        });
    }
    Ok(counts)
}

/// What every account of a campaign holds, from the postings alone.
pub(in crate::ledger::sqlite) fn pots(
    connection: &Connection,
    campaign: &str,
) -> Result<BTreeMap<String, Fen>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT l.account, sum(l.amount) FROM campaign c JOIN posting p ON p.campaign = c.number \
         JOIN posting_line l ON l.posting = p.number WHERE c.id = ?1 GROUP BY l.account",
    )?;
    let rows = statement.query_map([campaign], |row| Ok((row.get(0)?, Fen(row.get(1)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
