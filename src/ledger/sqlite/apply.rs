//! Campaigns: stored, changed, paused, and noted as loaded, each with its audit record.

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::books::{Books, testify, testify_by};
use super::{encoded, read, unsigned};
use crate::clock::UnixMs;
use crate::domain::campaign::{Campaign, CampaignState, Changes, changes, check_days};
use crate::domain::ids::{CampaignId, DropId, DropNumber, Epoch, Shard};
use crate::domain::money::Fen;
use crate::ledger::chain::{Content, NumberedDrop};
use crate::ledger::life::check_funded;
use crate::ledger::postings::{Account, Posting};
use crate::ledger::{LedgerError, admission};

/// See [`crate::ledger::Ledger::apply_campaign`].
pub(super) fn apply(
    connection: &mut Connection,
    campaign: &Campaign,
    expected: u64,
    (actor, now_ms): (&str, UnixMs),
) -> Result<Changes, LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let catalogue = read::catalogue(&transaction)?;
    if catalogue.revision != expected {
        return Err(LedgerError::Stale { expected, found: catalogue.revision });
    }
    let record = catalogue.campaigns.iter().find(|record| record.campaign.id == campaign.id);
    record.map_or(Ok(()), admission::check_alive)?;
    let old = record.map(|record| &record.campaign);
    let claimed = match old {
        Some(old) => live_claims(&transaction, &old.id)?,
        None => Vec::new(),
    };
    let claimed_of =
        |drop: &DropId| claimed.iter().find(|(id, _)| id == drop.as_str()).map_or(0, |(_, n)| *n);
    let changes = changes(old, campaign, claimed_of)?;
    if changes.is_empty() {
        return Ok(changes);
    }
    let last_claims = last_claims(&transaction, &campaign.id)?;
    let last_claim_ms = |drop: &DropId| {
        last_claims.iter().filter(|(id, _)| id == drop.as_str()).map(|(_, at_ms)| *at_ms).max()
    };
    check_days(old, campaign, now_ms, last_claim_ms)?;
    admission::check_caps(&catalogue, campaign, old.is_none(), &changes)?;

    let number = store(&transaction, campaign)?;
    let drops = number_drops(&transaction, number, campaign, &changes)?;
    keep_earliest(&transaction, campaign)?;
    let mut books = Books::open(&transaction, now_ms)?;
    let change = changes.budget_to.0.checked_sub(changes.budget_from.0);
    let change = change.ok_or_else(|| LedgerError::Corrupt("a budget does not fit".to_owned()))?;
    let unissued = books.balance(number, &Account::Unissued)?;
    let recycled = books.balance(number, &Account::Recycled)?;
    if change < 0 || campaign.drops.iter().any(|drop| drop.recycled) {
        check_funded(campaign, claimed_of, Fen(unissued.0.saturating_add(change)), recycled)?;
    }
    books.post(number, None, Posting::budget(Fen(change), unissued, recycled))?;
    let content = Content::Campaign {
        campaign: campaign.id.to_string(),
        before: old.map(Campaign::digest).transpose().map_err(encoded)?,
        after: campaign.digest().map_err(encoded)?,
        drops,
        postings: books.digest.finish(),
    };
    testify_by(&transaction, now_ms, Some(actor), content)?;
    raise_revision(&transaction)?;
    transaction.commit()?;
    Ok(changes)
}

/// Gives the campaign's new drops their numbers.
fn number_drops(
    transaction: &Transaction<'_>,
    campaign_number: i64,
    campaign: &Campaign,
    changes: &Changes,
) -> Result<Vec<NumberedDrop>, LedgerError> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO campaign_drop (id, campaign, face, opens_at_min_ms) VALUES (?1, ?2, ?3, ?4) RETURNING number",
    )?;
    let number = |id: &DropId| {
        let spec = campaign.drop_spec(id);
        let face = spec.and_then(|drop| drop.voucher.as_ref()).map(|terms| terms.face.0);
        let opens_at_ms = spec.map(|drop| drop.opens_at_ms);
        let row = params![id.as_str(), campaign_number, face, opens_at_ms];
        let number = insert.query_row(row, |row| row.get(0))?;
        Ok(NumberedDrop { number, id: id.to_string(), face })
    };
    changes.created.iter().map(number).collect()
}

/// Keeps the earliest instant at which each drop was ever to open; one that is not known stays unknown.
fn keep_earliest(transaction: &Transaction<'_>, campaign: &Campaign) -> Result<(), LedgerError> {
    let mut update = transaction.prepare_cached(
        "UPDATE campaign_drop SET opens_at_min_ms = min(opens_at_min_ms, ?2) WHERE id = ?1",
    )?;
    for drop in &campaign.drops {
        update.execute(params![drop.id.as_str(), drop.opens_at_ms])?;
    }
    Ok(())
}

/// Claims of each of a campaign's drops that were not returned.
pub(super) fn live_claims(
    transaction: &Transaction<'_>,
    campaign: &CampaignId,
) -> Result<Vec<(String, u64)>, LedgerError> {
    let mut statement = transaction.prepare_cached(
        "SELECT d.id, coalesce(sum(s.claims - s.returned), 0) FROM campaign c \
         JOIN campaign_drop d ON d.campaign = c.number JOIN series s ON s.drop_number = d.number \
         WHERE c.id = ?1 GROUP BY d.id",
    )?;
    let rows = statement.query_map([campaign.as_str()], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
    rows.map(|row| row.map_err(LedgerError::from).and_then(|(id, live)| Ok((id, unsigned(live)?)))).collect()
}

/// When each of a campaign's drops was claimed last, a row for each of its series.
fn last_claims(
    transaction: &Transaction<'_>,
    campaign: &CampaignId,
) -> Result<Vec<(String, UnixMs)>, LedgerError> {
    let mut statement = transaction.prepare_cached(
        "SELECT d.id, l.claimed_at_ms FROM campaign c JOIN campaign_drop d ON d.campaign = c.number \
         JOIN series s ON s.drop_number = d.number JOIN claim l ON l.number = \
             (SELECT max(number) FROM claim WHERE number > s.number << 32 AND number < (s.number + 1) << 32) \
         WHERE c.id = ?1",
    )?;
    let rows = statement.query_map([campaign.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes the campaign's row; its number.
fn store(transaction: &Transaction<'_>, campaign: &Campaign) -> Result<i64, LedgerError> {
    let body = campaign.to_canonical().map_err(encoded)?;
    let number = transaction
        .prepare_cached(
            "INSERT INTO campaign (id, body, state) VALUES (?1, ?2, 'running') \
             ON CONFLICT (id) DO UPDATE SET body = excluded.body RETURNING number",
        )?
        .query_row([campaign.id.as_str(), body.as_str()], |row| row.get(0))?;
    Ok(number)
}

pub(super) fn raise_revision(transaction: &Transaction<'_>) -> Result<(), LedgerError> {
    transaction.execute("UPDATE catalogue SET revision = revision + 1", [])?;
    Ok(())
}

/// See [`crate::ledger::Ledger::outdate`].
pub(super) fn outdate(connection: &mut Connection, revision: u64) -> Result<(), LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if read::revision(&transaction)? == revision {
        raise_revision(&transaction)?;
        transaction.commit()?;
    }
    Ok(())
}

/// See [`crate::ledger::Ledger::set_campaign_state`].
pub(super) fn set_state(
    connection: &mut Connection,
    campaign: &CampaignId,
    state: CampaignState,
    (actor, now_ms): (&str, UnixMs),
) -> Result<bool, LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let catalogue = read::catalogue(&transaction)?;
    let record = catalogue.campaigns.iter().find(|record| record.campaign.id == *campaign);
    let Some(record) = record else { return Ok(false) };
    if record.state == state {
        return Ok(true);
    }
    admission::check_alive(record)?;
    let Some(word) = admission::state_word(state) else {
        return end(transaction, campaign, (actor, now_ms));
    };
    transaction.execute("UPDATE campaign SET state = ?2 WHERE id = ?1", [campaign.as_str(), word])?;
    let content = Content::State { campaign: campaign.to_string(), state };
    testify_by(&transaction, now_ms, Some(actor), content)?;
    raise_revision(&transaction)?;
    transaction.commit()?;
    Ok(true)
}

fn end(
    transaction: Transaction<'_>,
    campaign: &CampaignId,
    (actor, ended_at_ms): (&str, UnixMs),
) -> Result<bool, LedgerError> {
    transaction.execute(
        "INSERT INTO campaign_end (campaign, ended_at_ms) SELECT number, ?2 FROM campaign WHERE id = ?1",
        params![campaign.as_str(), ended_at_ms],
    )?;
    let content = Content::Ended { campaign: campaign.to_string(), ended_at_ms };
    testify_by(&transaction, ended_at_ms, Some(actor), content)?;
    raise_revision(&transaction)?;
    transaction.commit()?;
    Ok(true)
}

/// See [`crate::ledger::Ledger::mark_loaded`].
pub(super) fn mark_loaded(
    connection: &mut Connection,
    drop: DropNumber,
    shard: Shard,
    epoch: Epoch,
    now_ms: UnixMs,
) -> Result<(), LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let new = transaction
        .prepare_cached(
            "INSERT INTO loaded (drop_number, shard, epoch) \
             SELECT number, ?2, ?3 FROM campaign_drop WHERE number = ?1 ON CONFLICT DO NOTHING",
        )?
        .execute(params![drop.0, shard.0, epoch.0])?;
    if new == 0 {
        let known = transaction
            .prepare_cached("SELECT 1 FROM campaign_drop WHERE number = ?1")?
            .query_row([drop.0], |_| Ok(()))
            .optional()?;
        return known.ok_or_else(|| LedgerError::Corrupt(format!("there is no drop of number {}", drop.0)));
    }
    testify(&transaction, now_ms, Content::Loaded { drop: drop.0, shard: shard.0, epoch: epoch.0 })?;
    raise_revision(&transaction)?;
    transaction.commit()?;
    Ok(())
}
