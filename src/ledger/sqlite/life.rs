//! Steps of vouchers, holds and campaign money: what a batch has to know, and what it leaves.

mod expiry;
mod holds;
mod money;
mod periods;
mod rows;

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

pub(super) use self::expiry::expire;
pub(super) use self::holds::{late_open, late_payments, states};
pub(super) use self::money::{moved, noted};
pub(super) use self::periods::{close, in_time, periods, periods_of};
use self::rows::{insert, select_step, step};
pub(super) use self::rows::{money_steps, pots, stands, steps, steps_covered};
use super::apply::live_claims;
use super::books::{Books, digest_after, testify};
use super::{encoded, read, signed, unsigned};
use crate::clock::UnixMs;
use crate::domain::campaign::Campaign;
use crate::domain::ids::{ClaimNumber, DropNumber, Epoch, Shard};
use crate::domain::money::Fen;
use crate::failpoint::Step as Fail;
use crate::ledger::LedgerError;
use crate::ledger::chain::Content;
use crate::ledger::life::{
    AllTerms, Known, KnownClaim, Needs, OWED, Outcome, Plan, Reference, Request, StepRow, TermsCache, free,
    terms_of,
};
use crate::ledger::numbered::Numbered;
use crate::ledger::postings::Account;
use crate::ledger::sections::row_key;

/// See [`crate::ledger::Ledger::life`].
pub(super) fn life(
    connection: &mut Connection,
    cache: &TermsCache,
    requests: &[Request],
    now_ms: UnixMs,
) -> Result<Vec<Outcome>, LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let outcomes = take(&transaction, cache, requests, now_ms)?;
    transaction.commit()?;
    Fail::LifeCommitted.reached();
    Ok(outcomes)
}

/// Decides requests and writes what comes of them, all but the commit.
fn take(
    transaction: &Transaction<'_>,
    cache: &TermsCache,
    requests: &[Request],
    now_ms: UnixMs,
) -> Result<Vec<Outcome>, LedgerError> {
    // Nothing is written into a period that is closed, whatever this machine's clock says.
    let now_ms = in_time(transaction, now_ms)?;
    let known = known(transaction, cache, requests, now_ms)?;
    Fail::LifeRead.reached();
    let mut plan = Plan::new(known, now_ms);
    for request in requests {
        plan.take(request);
    }
    let mut books = Books::open(transaction, now_ms)?;
    let decided = plan.finish(books.digest.next_number());
    if decided.steps.is_empty() {
        return Ok(decided.outcomes);
    }
    for (campaign, drop, posting) in decided.postings {
        books.post(campaign, drop, posting)?;
    }
    let mut digest = digest_after(transaction, Numbered::Steps)?;
    for step in &decided.steps {
        insert(transaction, step)?;
        digest.push(step).map_err(encoded)?;
    }
    let mut count = transaction.prepare_cached(
        "INSERT INTO day_count (campaign, day, person, merchant, count) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO UPDATE SET count = count + excluded.count",
    )?;
    let mut less = transaction.prepare_cached(
        "UPDATE day_count SET count = count + ?5 \
         WHERE campaign = ?1 AND day = ?2 AND person = ?3 AND merchant = ?4",
    )?;
    for (campaign, day, person, merchant, change) in &decided.counts {
        let statement = if *change > 0 { &mut count } else { &mut less };
        statement.execute(params![campaign, day, person, merchant, change])?;
    }
    note_references(transaction, &decided.references)?;
    expiry::look_again(transaction, &decided.steps)?;
    Fail::LifeWritten.reached();
    let content = Content::Steps { steps: digest.finish(), postings: books.digest.finish() };
    testify(transaction, now_ms, content)?;
    Fail::LifeTestified.reached();
    Ok(decided.outcomes)
}

/// Notes by what money was moved; the table takes each reference once.
fn note_references(
    transaction: &Transaction<'_>,
    references: &[(Reference, u64)],
) -> Result<(), LedgerError> {
    let mut note = transaction.prepare_cached(
        "INSERT INTO money_reference (campaign, paid_from, paid_to, reference, step) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for ((campaign, from, to, reference), step) in references {
        note.execute(params![campaign, from.name(), to.name(), reference, signed(*step)?])?;
    }
    Ok(())
}

/// The terms of all drops, read once a revision.
fn terms(connection: &Connection, cache: &TermsCache) -> Result<Arc<AllTerms>, LedgerError> {
    let revision = read::revision(connection)?;
    if let Some(terms) = cache.of(revision) {
        return Ok(terms);
    }
    let mut all = AllTerms::default();
    let mut number = connection.prepare_cached("SELECT number FROM campaign_drop WHERE id = ?1")?;
    let mut statement = connection.prepare_cached("SELECT number, body FROM campaign ORDER BY number")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let body: String = row.get(1)?;
        let campaign = Campaign::from_canonical(&body).map_err(encoded)?;
        let mut numbers = std::collections::HashMap::new();
        for drop in &campaign.drops {
            let found: Option<u32> = number.query_row([drop.id.as_str()], |row| row.get(0)).optional()?;
            numbers.extend(found.map(|found| (drop.id.clone(), DropNumber(found))));
        }
        terms_of(&mut all, row.get(0)?, &campaign, |id| numbers.get(id).copied())
            .map_err(LedgerError::Corrupt)?;
    }
    Ok(cache.keep(revision, all))
}

/// Reads what the requests have to know.
fn known(
    transaction: &Transaction<'_>,
    cache: &TermsCache,
    requests: &[Request],
    now_ms: UnixMs,
) -> Result<Known, LedgerError> {
    let needs = Needs::of(requests);
    let mut known = Known { terms: terms(transaction, cache)?, ..Known::default() };
    known.last_number =
        unsigned(transaction.prepare_cached(Numbered::Steps.last())?.query_row([], |row| row.get(0))?)?;
    let mut by_key = transaction.prepare_cached(select_step!("WHERE actor = ?1 AND key = ?2"))?;
    for pair in &needs.keys {
        if let Some(found) = by_key.query_row([&pair.0, &pair.1], |row| Ok(step(row))).optional()? {
            known.keys.insert(pair.clone(), found?);
        }
    }
    let mut by_number = transaction.prepare_cached(select_step!("WHERE number = ?1"))?;
    for number in &needs.redemptions {
        // A number that does not fit was never given.
        let Ok(number) = signed(*number) else { continue };
        if let Some(found) = by_number.query_row([number], |row| Ok(step(row))).optional()? {
            let found = found?;
            if let Some(claim) = found.claim {
                learn_claim(transaction, &mut known, claim, None)?;
            }
            known.redemptions.insert(found.number, found);
        }
    }
    let mut series = transaction
        .prepare_cached("SELECT number FROM series WHERE drop_number = ?1 AND shard = ?2 AND epoch = ?3")?;
    for claim in &needs.claims {
        let of = params![claim.drop.0, claim.shard.0, claim.epoch.0];
        let found: Option<i64> = series.query_row(of, |row| row.get(0)).optional()?;
        if let Some(series) = found {
            learn_claim(transaction, &mut known, row_key(series, claim.seq), Some(*claim))?;
        }
    }
    learn_payments(transaction, &needs, &mut known)?;
    let mut standing = transaction.prepare_cached(rows::ORDER_STANDS)?;
    for (merchant, order) in &needs.orders {
        let found: Option<i64> = standing.query_row([merchant, order], |row| row.get(0)).optional()?;
        if let Some(number) = found {
            known.orders.insert((merchant.clone(), order.clone()), unsigned(number)?);
        }
    }
    learn_counts(transaction, requests, &mut known, now_ms)?;
    learn_money(transaction, &needs, &mut known, now_ms)?;
    Ok(known)
}

/// Reads a claim and its last step.
fn learn_claim(
    transaction: &Transaction<'_>,
    known: &mut Known,
    key: i64,
    number: Option<ClaimNumber>,
) -> Result<(), LedgerError> {
    if known.claims.contains_key(&key) {
        return Ok(());
    }
    let number = match number {
        Some(number) => number,
        None => transaction
            .prepare_cached("SELECT drop_number, shard, epoch FROM series WHERE number = ?1")?
            .query_row([key >> 32], |row| {
                Ok(ClaimNumber {
                    drop: DropNumber(row.get(0)?),
                    shard: Shard(row.get(1)?),
                    epoch: Epoch(row.get(2)?),
                    seq: u32::try_from(key & i64::from(u32::MAX)).unwrap_or(0),
                })
            })?,
    };
    let row = transaction
        .prepare_cached("SELECT person, claimed_at_ms, status FROM claim WHERE number = ?1")?
        .query_row([key], |row| {
            let (person, claimed_at_ms) = (row.get(0)?, row.get(1)?);
            Ok(KnownClaim { number, person, claimed_at_ms, returned: row.get::<_, i64>(2)? != 0 })
        })
        .optional()?;
    let Some(claim) = row else { return Ok(()) };
    known.keys_of.insert(number, key);
    known.claims.insert(key, claim);
    if let Some(last) = last_step(transaction, key)? {
        known.last.insert(key, last);
    }
    Ok(())
}

/// The last step of a claim.
pub(super) fn last_step(connection: &Connection, claim: i64) -> Result<Option<StepRow>, LedgerError> {
    connection
        .prepare_cached(select_step!("WHERE claim = ?1 ORDER BY number DESC LIMIT 1"))?
        .query_row([claim], |row| Ok(step(row)))
        .optional()?
        .transpose()
}

/// What each payment led to when it was first told of.
fn learn_payments(
    transaction: &Transaction<'_>,
    needs: &Needs,
    known: &mut Known,
) -> Result<(), LedgerError> {
    let mut first = transaction.prepare_cached(select_step!(
        "WHERE claim = ?1 AND order_id = ?2 AND step IN ('confirmed', 'late_payment') ORDER BY number LIMIT 1"
    ))?;
    for (claim, payment) in &needs.payments {
        let Some(key) = known.keys_of.get(claim).copied() else { continue };
        if let Some(found) = first.query_row(params![key, payment], |row| Ok(step(row))).optional()? {
            known.payments.insert((key, payment.clone()), found?);
        }
    }
    Ok(())
}

fn learn_counts(
    transaction: &Transaction<'_>,
    requests: &[Request],
    known: &mut Known,
    now_ms: UnixMs,
) -> Result<(), LedgerError> {
    let mut statement = transaction.prepare_cached(
        "SELECT merchant, count FROM day_count \
         WHERE campaign = ?1 AND day = ?2 AND person = ?3 AND (?4 IS NULL OR merchant = ?4)",
    )?;
    for day in Needs::days(requests, known, now_ms) {
        let mut rows = statement.query(params![day.campaign, day.day, day.person, day.merchant])?;
        let of = known.counts.entry((day.campaign, day.day, day.person.clone())).or_default();
        while let Some(row) = rows.next()? {
            of.insert(row.get(0)?, row.get(1)?);
        }
    }
    Ok(())
}

fn learn_money(
    transaction: &Transaction<'_>,
    needs: &Needs,
    known: &mut Known,
    now_ms: UnixMs,
) -> Result<(), LedgerError> {
    let books = Books::open(transaction, now_ms)?;
    for (campaign, account) in &needs.accounts {
        let Some(row) = known.terms.campaigns.get(campaign).copied() else { continue };
        known.balances.insert((row, account.clone()), books.balance(row, account)?);
    }
    for (campaign, from, to, reference) in &needs.references {
        let Some(row) = known.terms.campaigns.get(campaign).copied() else { continue };
        if let Some(noted) = noted(transaction, campaign, (from, to), reference)? {
            known.references.insert((row, from.clone(), to.clone(), reference.clone()), noted);
        }
    }
    for (campaign, step) in &needs.moves {
        let Some(row) = known.terms.campaigns.get(campaign).copied() else { continue };
        let Some(moved) = moved(transaction, campaign, *step)? else { continue };
        for account in [&moved.from, &moved.to] {
            known.balances.insert((row, account.clone()), books.balance(row, account)?);
        }
        known.moves.insert(*step, moved);
    }
    for id in &needs.free {
        let Some(row) = known.terms.campaigns.get(id).copied() else { continue };
        let (unissued, recycled) =
            (books.balance(row, &Account::Unissued)?, books.balance(row, &Account::Recycled)?);
        let body: String = transaction
            .prepare_cached("SELECT body FROM campaign WHERE number = ?1")?
            .query_row([row], |row| row.get(0))?;
        let campaign = Campaign::from_canonical(&body).map_err(encoded)?;
        let claimed = live_claims(transaction, id)?;
        let of = |drop: &crate::domain::ids::DropId| {
            claimed.iter().find(|(id, _)| id == drop.as_str()).map_or(0, |(_, claims)| *claims)
        };
        known.free.insert(row, free(&campaign, of, unissued, recycled).unwrap_or_default());
        let owed = transaction.prepare_cached(OWED)?.query_row([row], |row| row.get(0))?;
        known.owed.insert(row, Fen(owed));
    }
    Ok(())
}

/// See [`crate::ledger::Accounts::steps_of`]. To be called in a transaction: it reads two tables.
pub(super) fn steps_of(
    connection: &Connection,
    claim: ClaimNumber,
    after: u64,
    limit: u32,
) -> Result<Vec<StepRow>, LedgerError> {
    let Some(key) = key_of(connection, claim)? else { return Ok(Vec::new()) };
    let mut statement = connection
        .prepare_cached(select_step!("WHERE claim = ?1 AND number > ?2 ORDER BY number LIMIT ?3"))?;
    let rows = statement.query_map(params![key, signed(after)?, limit], |row| Ok(step(row)))?;
    rows.map(|row| row?).collect()
}

/// The row key of a claim, if its series is known.
fn key_of(connection: &Connection, claim: ClaimNumber) -> Result<Option<i64>, LedgerError> {
    let series: Option<i64> = connection
        .prepare_cached("SELECT number FROM series WHERE drop_number = ?1 AND shard = ?2 AND epoch = ?3")?
        .query_row(params![claim.drop.0, claim.shard.0, claim.epoch.0], |row| row.get(0))
        .optional()?;
    Ok(series.map(|series| row_key(series, claim.seq)))
}

/// See [`crate::ledger::Ledger::last_step`]. To be called in a transaction: it reads two tables.
pub(super) fn last_step_of(
    connection: &Connection,
    claim: ClaimNumber,
) -> Result<Option<StepRow>, LedgerError> {
    key_of(connection, claim)?.map_or(Ok(None), |key| last_step(connection, key))
}
