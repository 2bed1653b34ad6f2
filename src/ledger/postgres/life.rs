//! Steps of vouchers, holds and campaign money: what a batch has to know, and what it leaves. One statement a table.

mod expiry;
mod holds;
mod known;
mod money;
mod periods;
mod rows;

use deadpool_postgres::{Client, GenericClient, Transaction};

pub(super) use self::expiry::expire;
pub(super) use self::holds::{late_open, late_payments, states_of};
use self::known::known;
pub(super) use self::money::{moved, noted};
pub(super) use self::periods::{close, in_time, periods, periods_of};
use self::rows::{insert, step};
pub(super) use self::rows::{money_steps, pots, stands, states, steps, steps_covered, steps_of};
use super::books::{Books, digest_after, lock, testify};
use super::{encoded, execute, query_opt};
use crate::clock::UnixMs;
use crate::domain::ids::ClaimNumber;
use crate::failpoint::Step as Fail;
use crate::ledger::LedgerError;
use crate::ledger::chain::Content;
use crate::ledger::life::{Outcome, Plan, Reference, Request, StepRow, TermsCache};
use crate::ledger::numbered::Numbered;

/// See [`crate::ledger::Ledger::life`].
pub(super) async fn life(
    client: &mut Client,
    cache: &TermsCache,
    requests: &[Request],
    now_ms: UnixMs,
) -> Result<Vec<Outcome>, LedgerError> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    let outcomes = take(&transaction, cache, requests, now_ms).await?;
    transaction.commit().await?;
    Fail::LifeCommitted.reached();
    Ok(outcomes)
}

/// Decides requests and writes what comes of them, all but the commit. The lock must be held.
async fn take(
    transaction: &Transaction<'_>,
    cache: &TermsCache,
    requests: &[Request],
    now_ms: UnixMs,
) -> Result<Vec<Outcome>, LedgerError> {
    // Nothing is written into a period that is closed, whatever this machine's clock says.
    let now_ms = in_time(transaction, now_ms).await?;
    let known = known(transaction, cache, requests, now_ms).await?;
    Fail::LifeRead.reached();
    let mut plan = Plan::new(known, now_ms);
    for request in requests {
        plan.take(request);
    }
    let mut books = Books::open(transaction, now_ms).await?;
    let decided = plan.finish(books.digest.next_number());
    if decided.steps.is_empty() {
        return Ok(decided.outcomes);
    }
    books.post_all(&decided.postings).await?;
    let mut digest = digest_after(transaction, Numbered::Steps).await?;
    for step in &decided.steps {
        digest.push(step).map_err(encoded)?;
    }
    insert(transaction, &decided.steps).await?;
    count(transaction, &decided.counts).await?;
    note_references(transaction, &decided.references).await?;
    expiry::look_again(transaction, &decided.steps).await?;
    Fail::LifeWritten.reached();
    let content = Content::Steps { steps: digest.finish(), postings: books.digest.finish() };
    testify(transaction, now_ms, content).await?;
    Fail::LifeTestified.reached();
    Ok(decided.outcomes)
}

/// Notes by what money was moved; the table takes each reference once.
async fn note_references(
    transaction: &Transaction<'_>,
    references: &[(Reference, u64)],
) -> Result<(), LedgerError> {
    for ((campaign, from, to, reference), step) in references {
        let step: i64 = super::number(*step)?;
        let sql = "INSERT INTO money_reference (campaign, paid_from, paid_to, reference, step) \
                   VALUES ($1, $2, $3, $4, $5)";
        execute(transaction, sql, &[campaign, &&*from.name(), &&*to.name(), reference, &step]).await?;
    }
    Ok(())
}

/// Changes the counts of days. Counts that become less were there, so those are updates alone: a row that would be
/// inserted must not be below zero.
async fn count(
    transaction: &Transaction<'_>,
    counts: &[(i64, i32, String, String, i64)],
) -> Result<(), LedgerError> {
    for (more, sql) in [
        (
            true,
            "INSERT INTO day_count (campaign, day, person, merchant, count) \
             SELECT * FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::bigint[]) \
             ON CONFLICT (campaign, day, person, merchant) DO UPDATE SET count = day_count.count + excluded.count",
        ),
        (
            false,
            "UPDATE day_count d SET count = d.count + c.change \
             FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::bigint[]) \
                  c (campaign, day, person, merchant, change) \
             WHERE d.campaign = c.campaign AND d.day = c.day AND d.person = c.person AND d.merchant = c.merchant",
        ),
    ] {
        let these: Vec<_> = counts.iter().filter(|count| (count.4 > 0) == more).collect();
        if these.is_empty() {
            continue;
        }
        let campaigns: Vec<i64> = these.iter().map(|count| count.0).collect();
        let days: Vec<i32> = these.iter().map(|count| count.1).collect();
        let persons: Vec<&str> = these.iter().map(|count| count.2.as_str()).collect();
        let merchants: Vec<&str> = these.iter().map(|count| count.3.as_str()).collect();
        let changes: Vec<i64> = these.iter().map(|count| count.4).collect();
        execute(transaction, sql, &[&campaigns, &days, &persons, &merchants, &changes]).await?;
    }
    Ok(())
}

/// See [`crate::ledger::Ledger::last_step`].
pub(super) async fn last_step_of<C: GenericClient>(
    client: &C,
    claim: ClaimNumber,
) -> Result<Option<StepRow>, LedgerError> {
    let sql = concat!(
        "SELECT ",
        rows::columns!(),
        " FROM step WHERE claim = (SELECT number << 32 | $4 FROM series \
          WHERE drop_number = $1 AND shard = $2 AND epoch = $3) ORDER BY number DESC LIMIT 1"
    );
    let drop: i32 = super::number(claim.drop.0)?;
    let (shard, epoch, seq) = (i16::from(claim.shard.0), i32::from(claim.epoch.0), i64::from(claim.seq));
    query_opt(client, sql, &[&drop, &shard, &epoch, &seq]).await?.as_ref().map(step).transpose()
}
