//! Writing a stretch of a shard's journal: whole or not at all, each entry once.
//!
//! A group of nothing but claims is first written on trust: every claim is taken to be new, which the number of
//! inserted rows confirms. Where it does not, and where there is more than claims, what the group names is loaded
//! and the group decided with care. Either way the rows go by binary COPY into a staging table of the session and
//! from there in one statement.

use std::pin::pin;

use deadpool_postgres::{Client, Transaction};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use super::books::{Books, digest_after, lock, testify};
use super::entry::{Known, NewClaim, Plan, Stored, Trouble};
use super::{execute, number, query, query_number, read};
use crate::domain::claim::{JournalEntry, JournalEvent, JournalId};
use crate::domain::ids::{DropNumber, Epoch, Shard};
use crate::domain::money::Fen;
use crate::failpoint::Step;
use crate::ledger::chain::{Content, Covered};
use crate::ledger::numbered::Numbered;
use crate::ledger::postings::Account;
use crate::ledger::sections::row_key;
use crate::ledger::totals::DropFacts;
use crate::ledger::{Committed, Group, LedgerError};

/// A table of the session's own, made when it begins; empty at the start of every transaction.
pub(super) const STAGING: &str = "CREATE TEMPORARY TABLE staging (number bigint, claimed_at_ms bigint, \
                       person text, mark text) ON COMMIT DELETE ROWS";
const COPY: &str = "COPY staging (number, claimed_at_ms, person, mark) FROM STDIN (FORMAT binary)";
const INSERT: &str = "INSERT INTO claim (number, claimed_at_ms, status, person, mark) \
                      SELECT number, claimed_at_ms, 0, person, mark FROM staging ON CONFLICT (number) DO NOTHING";

/// See [`crate::ledger::Ledger::commit`].
pub(super) async fn commit(client: &mut Client, group: &Group) -> Result<Committed, LedgerError> {
    check_order(group)?;
    if group.entries.iter().all(claims_alone)
        && let Some(committed) = attempt(client, group, true).await?
    {
        return Ok(committed);
    }
    let outcome = attempt(client, group, false).await?;
    outcome.ok_or_else(|| LedgerError::Corrupt("a claim was written beside the ledger's lock".to_owned()))
}

fn check_order(group: &Group) -> Result<(), LedgerError> {
    let mut to = group.after;
    for entry in &group.entries {
        if entry.id <= to {
            return Err(LedgerError::Corrupt(format!("journal entry {} does not follow {to}", entry.id)));
        }
        to = entry.id;
    }
    Ok(())
}

fn claims_alone(entry: &JournalEntry) -> bool {
    let claimed = |event: &JournalEvent| matches!(event, JournalEvent::Claimed { .. });
    entry.content.as_ref().is_ok_and(|events| events.iter().all(claimed))
}

/// Writes the group; nothing where it cannot be taken on trust.
async fn attempt(
    client: &mut Client,
    group: &Group,
    on_trust: bool,
) -> Result<Option<Committed>, LedgerError> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    let position = read::position(&transaction, group.shard).await?;
    if position != group.after {
        return Ok(Some(Committed::Moved { position }));
    }
    let mut known = known(&transaction, group).await?;
    if !on_trust {
        look_closer(&transaction, group, &mut known).await?;
    }
    let digests = [
        digest_after(&transaction, Numbered::Returns).await?,
        digest_after(&transaction, Numbered::Quarantine).await?,
    ];
    let mut plan = Plan::new(group.shard, known, on_trust, digests);
    let mut to = group.after;
    for entry in &group.entries {
        to = entry.id;
        match plan.entry(entry) {
            Ok(()) => {}
            Err(Trouble::Rejected(_)) => return Ok(None),
            Err(Trouble::Failed(error)) => return Err(error),
        }
    }
    if insert_claims(&transaction, &plan.claims).await? != plan.claims.len() {
        return Ok(None);
    }
    insert_rest(&transaction, group.shard, &plan).await?;
    Step::DrainWritten.reached();
    let committed = finish(&transaction, group, to, plan).await?;
    Step::DrainTestified.reached();
    transaction.commit().await?;
    Ok(Some(committed))
}

/// The drops and series that a group names.
async fn known(transaction: &Transaction<'_>, group: &Group) -> Result<Known, LedgerError> {
    let mut known = Known::default();
    let named = events(group).map(|event| match event {
        JournalEvent::Claimed { drop, .. } | JournalEvent::Returned { drop, .. } => drop,
    });
    let mut ids: Vec<_> = named.collect();
    ids.sort_unstable();
    ids.dedup();
    let names: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    let sql = "SELECT id, number, campaign, coalesce(face, 0) FROM campaign_drop WHERE id = ANY($1::text[])";
    for row in query(transaction, sql, &[&names]).await? {
        let id: &str = row.try_get(0)?;
        let facts = DropFacts {
            number: DropNumber(number(row.try_get::<_, i32>(1)?)?),
            campaign: row.try_get(2)?,
            face: Fen(row.try_get(3)?),
        };
        if let Some(id) = ids.iter().find(|known| known.as_str() == id) {
            known.drops.insert((*id).clone(), facts);
        }
    }
    let sql = "SELECT number, drop_number, epoch FROM series WHERE shard = $1";
    for row in query(transaction, sql, &[&i16::from(group.shard.0)]).await? {
        let (drop, epoch): (i32, i32) = (row.try_get(1)?, row.try_get(2)?);
        known.series.insert((DropNumber(number(drop)?), Epoch(number(epoch)?)), row.try_get(0)?);
    }
    known.series_last = query_number(transaction, "SELECT coalesce(max(number), 0) FROM series", &[]).await?;
    Ok(known)
}

fn events(group: &Group) -> impl Iterator<Item = &JournalEvent> {
    group.entries.iter().filter_map(|entry| entry.content.as_ref().ok()).flatten()
}

/// Adds the claims and the quarantined entries that stand where the group's want to.
async fn look_closer(
    transaction: &Transaction<'_>,
    group: &Group,
    known: &mut Known,
) -> Result<(), LedgerError> {
    let mut keys = Vec::new();
    for event in events(group) {
        let (drop, epoch, first, count) = match event {
            JournalEvent::Claimed { drop, epoch, first_seq, takers, .. } => {
                (drop, epoch, *first_seq, takers.count())
            }
            JournalEvent::Returned { drop, epoch, seq, .. } => (drop, epoch, *seq, 1),
        };
        let facts = known.drops.get(drop);
        if let Some(series) = facts.and_then(|facts| known.series.get(&(facts.number, *epoch))) {
            let last = first.saturating_add(count.saturating_sub(1));
            keys.extend((first..=last).map(|seq| row_key(*series, seq)));
        }
    }
    let sql =
        "SELECT number, person, mark, claimed_at_ms, status FROM claim WHERE number = ANY($1::bigint[])";
    for row in query(transaction, sql, &[&keys]).await? {
        let stored = Stored {
            person: row.try_get(1)?,
            mark: row.try_get(2)?,
            claimed_at_ms: row.try_get(3)?,
            returned: row.try_get::<_, i16>(4)? != 0,
            state: None,
        };
        known.claims.insert(row.try_get(0)?, stored);
    }
    let goes = |event: &&JournalEvent| matches!(event, JournalEvent::Returned { .. });
    if events(group).any(|event| goes(&event)) {
        for (claim, state) in super::life::states(transaction, &keys).await? {
            if let Some(stored) = known.claims.get_mut(&claim) {
                stored.state = Some(state);
            }
        }
    }
    let (ms, seq): (Vec<i64>, Vec<i64>) =
        group.entries.iter().map(|entry| (entry.id.ms.cast_signed(), entry.id.seq.cast_signed())).unzip();
    let sql = "SELECT q.ms, q.seq FROM unnest($2::bigint[], $3::bigint[]) e (ms, seq) \
               JOIN quarantine q ON q.shard = $1 AND q.ms = e.ms AND q.seq = e.seq";
    for row in query(transaction, sql, &[&i16::from(group.shard.0), &ms, &seq]).await? {
        known.quarantined.insert(read::journal_id(&row, 0, 1)?);
    }
    Ok(())
}

/// How many of the claims were new.
async fn insert_claims(transaction: &Transaction<'_>, claims: &[NewClaim<'_>]) -> Result<usize, LedgerError> {
    if claims.is_empty() {
        return Ok(0);
    }
    let sink = transaction.copy_in(COPY).await?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &[Type::INT8, Type::INT8, Type::TEXT, Type::TEXT]));
    for claim in claims {
        writer.as_mut().write(&[&claim.key, &claim.claimed_at_ms, &claim.person, &claim.mark]).await?;
    }
    writer.finish().await?;
    number(execute(transaction, INSERT, &[]).await?)
}

/// Writes series, returns and quarantine.
async fn insert_rest(
    transaction: &Transaction<'_>,
    shard: Shard,
    plan: &Plan<'_>,
) -> Result<(), LedgerError> {
    let shard = i16::from(shard.0);
    for (series, drop, epoch) in &plan.new_series {
        let drop: i32 = number(drop.0)?;
        let sql = "INSERT INTO series (number, drop_number, shard, epoch) VALUES ($1, $2, $3, $4)";
        execute(transaction, sql, &[series, &drop, &shard, &i32::from(epoch.0)]).await?;
    }
    for (series, counts) in &plan.effects.totals.series {
        let sql = "UPDATE series SET claims = claims + $2, returned = returned + $3 WHERE number = $1";
        execute(transaction, sql, &[series, &counts.claims, &counts.returned]).await?;
    }
    if !plan.new_returns.is_empty() {
        let numbers: Vec<i64> = plan.new_returns.iter().map(|row| row.0).collect();
        let claims: Vec<i64> = plan.new_returns.iter().map(|row| row.1).collect();
        let at_ms: Vec<i64> = plan.new_returns.iter().map(|row| row.2).collect();
        let again: Vec<bool> = plan.new_returns.iter().map(|row| row.3).collect();
        let sql = "INSERT INTO claim_return (number, claim, returned_at_ms, may_claim_again) \
                   SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[])";
        execute(transaction, sql, &[&numbers, &claims, &at_ms, &again]).await?;
        let sql = "UPDATE claim SET status = 1 WHERE number = ANY($1::bigint[])";
        execute(transaction, sql, &[&claims]).await?;
    }
    for poison in &plan.poisons {
        let (ms, seq) = (poison.id.ms.cast_signed(), poison.id.seq.cast_signed());
        let (raw, reason) = (poison.raw.as_bytes(), poison.reason.as_bytes());
        let sql =
            "INSERT INTO quarantine (number, shard, ms, seq, raw, reason) VALUES ($1, $2, $3, $4, $5, $6)";
        execute(transaction, sql, &[&poison.number, &shard, &ms, &seq, &raw, &reason]).await?;
    }
    Ok(())
}

/// Postings, position and the record that covers the whole.
async fn finish(
    transaction: &Transaction<'_>,
    group: &Group,
    to: JournalId,
    plan: Plan<'_>,
) -> Result<Committed, LedgerError> {
    let postings = post(transaction, group, &plan).await?;
    let effects = plan.effects;
    let (claims, returns) = (effects.totals.claims(), effects.returns.count());
    let poisoned = effects.quarantine.count();
    let (shard, ms, seq) = (i16::from(group.shard.0), to.ms.cast_signed(), to.seq.cast_signed());
    let sql = "INSERT INTO position (shard, ms, seq) VALUES ($1, $2, $3) \
               ON CONFLICT (shard) DO UPDATE SET ms = excluded.ms, seq = excluded.seq";
    execute(transaction, sql, &[&shard, &ms, &seq]).await?;
    let content = Content::Journal {
        shard: group.shard.0,
        after: group.after.to_string(),
        to: to.to_string(),
        claims: effects.sections.finish(),
        returns: effects.returns.finish(),
        quarantine: effects.quarantine.finish(),
        postings,
    };
    testify(transaction, group.now_ms, content).await?;
    Ok(Committed::Written { claims, returns, poisoned, position: to })
}

/// Writes the postings: for every drop one of its claims and one of each kind of its returns.
async fn post(transaction: &Transaction<'_>, group: &Group, plan: &Plan<'_>) -> Result<Covered, LedgerError> {
    let mut books = Books::open(transaction, group.now_ms).await?;
    for ((campaign, drop), money) in &plan.effects.totals.money {
        let unissued = books.balance(*campaign, &Account::Unissued).await?;
        let recycled = books.balance(*campaign, &Account::Recycled).await?;
        for posting in money.postings(unissued, recycled) {
            books.post(*campaign, Some(*drop), posting).await?;
        }
    }
    Ok(books.digest.finish())
}
