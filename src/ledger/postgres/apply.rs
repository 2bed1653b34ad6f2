//! Campaigns: stored, changed, paused, and noted as loaded, each with its audit record.

use deadpool_postgres::{Client, Transaction};

use super::books::{Books, lock, raise_revision, testify, testify_by};
use super::{encoded, execute, number, query, query_number, query_opt, read};
use crate::clock::UnixMs;
use crate::domain::campaign::{Campaign, CampaignState, Changes, changes, check_days};
use crate::domain::ids::{CampaignId, DropId, DropNumber, Epoch, Shard};
use crate::domain::money::Fen;
use crate::ledger::chain::{Content, NumberedDrop};
use crate::ledger::life::check_funded;
use crate::ledger::postings::{Account, Posting};
use crate::ledger::{LedgerError, admission};

/// See [`crate::ledger::Ledger::apply_campaign`].
pub(super) async fn apply(
    client: &mut Client,
    campaign: &Campaign,
    expected: u64,
    (actor, now_ms): (&str, UnixMs),
) -> Result<Changes, LedgerError> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    let catalogue = read::catalogue(&transaction).await?;
    if catalogue.revision != expected {
        return Err(LedgerError::Stale { expected, found: catalogue.revision });
    }
    let record = catalogue.campaigns.iter().find(|record| record.campaign.id == campaign.id);
    record.map_or(Ok(()), admission::check_alive)?;
    let old = record.map(|record| &record.campaign);
    let claimed = match old {
        Some(old) => live_claims(&transaction, &old.id).await?,
        None => Vec::new(),
    };
    let claimed_of =
        |drop: &DropId| claimed.iter().find(|(id, _)| id == drop.as_str()).map_or(0, |(_, n)| *n);
    let changes = changes(old, campaign, claimed_of)?;
    if changes.is_empty() {
        return Ok(changes);
    }
    let last_claims = last_claims(&transaction, &campaign.id).await?;
    let last_claim_ms = |drop: &DropId| {
        last_claims.iter().filter(|(id, _)| id == drop.as_str()).map(|(_, at_ms)| *at_ms).max()
    };
    check_days(old, campaign, now_ms, last_claim_ms)?;
    admission::check_caps(&catalogue, campaign, old.is_none(), &changes)?;

    let row = store(&transaction, campaign).await?;
    let drops = number_drops(&transaction, row, campaign, &changes).await?;
    keep_earliest(&transaction, campaign).await?;
    let mut books = Books::open(&transaction, now_ms).await?;
    let change = changes.budget_to.0.checked_sub(changes.budget_from.0);
    let change = change.ok_or_else(|| LedgerError::Corrupt("a budget does not fit".to_owned()))?;
    let unissued = books.balance(row, &Account::Unissued).await?;
    let recycled = books.balance(row, &Account::Recycled).await?;
    if change < 0 || campaign.drops.iter().any(|drop| drop.recycled) {
        check_funded(campaign, claimed_of, Fen(unissued.0.saturating_add(change)), recycled)?;
    }
    books.post(row, None, Posting::budget(Fen(change), unissued, recycled)).await?;
    let content = Content::Campaign {
        campaign: campaign.id.to_string(),
        before: old.map(Campaign::digest).transpose().map_err(encoded)?,
        after: campaign.digest().map_err(encoded)?,
        drops,
        postings: books.digest.finish(),
    };
    testify_by(&transaction, now_ms, Some(actor), content).await?;
    raise_revision(&transaction).await?;
    transaction.commit().await?;
    Ok(changes)
}

/// Gives the campaign's new drops their numbers.
async fn number_drops(
    transaction: &Transaction<'_>,
    campaign_row: i64,
    campaign: &Campaign,
    changes: &Changes,
) -> Result<Vec<NumberedDrop>, LedgerError> {
    let sql = "INSERT INTO campaign_drop (number, id, campaign, face, opens_at_min_ms) \
               SELECT coalesce(max(number), 0) + 1, $1, $2, $3, $4 FROM campaign_drop RETURNING number::bigint";
    let mut numbered = Vec::with_capacity(changes.created.len());
    for id in &changes.created {
        let spec = campaign.drop_spec(id);
        let face = spec.and_then(|drop| drop.voucher.as_ref()).map(|terms| terms.face.0);
        let opens_at_ms = spec.map(|drop| drop.opens_at_ms);
        let row = query_number(transaction, sql, &[&id.as_str(), &campaign_row, &face, &opens_at_ms]).await?;
        numbered.push(NumberedDrop { number: number(row)?, id: id.to_string(), face });
    }
    Ok(numbered)
}

/// Keeps the earliest instant at which each drop was ever to open; one that is not known stays unknown.
async fn keep_earliest(transaction: &Transaction<'_>, campaign: &Campaign) -> Result<(), LedgerError> {
    // LEAST passes nulls over, and unknown is not the latest.
    let sql = "UPDATE campaign_drop SET opens_at_min_ms = LEAST(opens_at_min_ms, $2) \
               WHERE id = $1 AND opens_at_min_ms IS NOT NULL";
    for drop in &campaign.drops {
        execute(transaction, sql, &[&drop.id.as_str(), &drop.opens_at_ms]).await?;
    }
    Ok(())
}

/// Claims of each of a campaign's drops that were not returned.
pub(super) async fn live_claims(
    transaction: &Transaction<'_>,
    campaign: &CampaignId,
) -> Result<Vec<(String, u64)>, LedgerError> {
    let sql = "SELECT d.id, coalesce(sum(s.claims - s.returned), 0)::bigint FROM campaign c \
               JOIN campaign_drop d ON d.campaign = c.number JOIN series s ON s.drop_number = d.number \
               WHERE c.id = $1 GROUP BY d.id";
    let rows = query(transaction, sql, &[&campaign.as_str()]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, number(row.try_get::<_, i64>(1)?)?))).collect()
}

/// When each of a campaign's drops was claimed last, a row for each of its series.
async fn last_claims(
    transaction: &Transaction<'_>,
    campaign: &CampaignId,
) -> Result<Vec<(String, UnixMs)>, LedgerError> {
    let sql = "SELECT d.id, l.claimed_at_ms FROM campaign c JOIN campaign_drop d ON d.campaign = c.number \
               JOIN series s ON s.drop_number = d.number CROSS JOIN LATERAL \
                   (SELECT claimed_at_ms FROM claim WHERE number > s.number << 32 AND number < (s.number + 1) << 32 \
                    ORDER BY number DESC LIMIT 1) l \
               WHERE c.id = $1";
    let rows = query(transaction, sql, &[&campaign.as_str()]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Writes the campaign's row; its number.
async fn store(transaction: &Transaction<'_>, campaign: &Campaign) -> Result<i64, LedgerError> {
    let body = campaign.to_canonical().map_err(encoded)?;
    let sql = "INSERT INTO campaign (number, id, body, state) \
               SELECT coalesce(max(number), 0) + 1, $1, $2, 'running' FROM campaign \
               ON CONFLICT (id) DO UPDATE SET body = excluded.body RETURNING number";
    query_number(transaction, sql, &[&campaign.id.as_str(), &body]).await
}

/// See [`crate::ledger::Ledger::outdate`].
pub(super) async fn outdate(client: &mut Client, revision: u64) -> Result<(), LedgerError> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    if read::revision(&transaction).await? == revision {
        raise_revision(&transaction).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// See [`crate::ledger::Ledger::set_campaign_state`].
pub(super) async fn set_state(
    client: &mut Client,
    campaign: &CampaignId,
    state: CampaignState,
    (actor, now_ms): (&str, UnixMs),
) -> Result<bool, LedgerError> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    let catalogue = read::catalogue(&transaction).await?;
    let record = catalogue.campaigns.iter().find(|record| record.campaign.id == *campaign);
    let Some(record) = record else { return Ok(false) };
    if record.state == state {
        return Ok(true);
    }
    admission::check_alive(record)?;
    let Some(word) = admission::state_word(state) else {
        return end(transaction, campaign, (actor, now_ms)).await;
    };
    let sql = "UPDATE campaign SET state = $2 WHERE id = $1";
    execute(&transaction, sql, &[&campaign.as_str(), &word]).await?;
    let content = Content::State { campaign: campaign.to_string(), state };
    testify_by(&transaction, now_ms, Some(actor), content).await?;
    raise_revision(&transaction).await?;
    transaction.commit().await?;
    Ok(true)
}

async fn end(
    transaction: Transaction<'_>,
    campaign: &CampaignId,
    (actor, ended_at_ms): (&str, UnixMs),
) -> Result<bool, LedgerError> {
    let sql =
        "INSERT INTO campaign_end (campaign, ended_at_ms) SELECT number, $2 FROM campaign WHERE id = $1";
    execute(&transaction, sql, &[&campaign.as_str(), &ended_at_ms]).await?;
    let content = Content::Ended { campaign: campaign.to_string(), ended_at_ms };
    testify_by(&transaction, ended_at_ms, Some(actor), content).await?;
    raise_revision(&transaction).await?;
    transaction.commit().await?;
    Ok(true)
}

/// See [`crate::ledger::Ledger::mark_loaded`].
pub(super) async fn mark_loaded(
    client: &mut Client,
    drop: DropNumber,
    shard: Shard,
    epoch: Epoch,
    now_ms: UnixMs,
) -> Result<(), LedgerError> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    if !note_loaded(&transaction, drop, shard, epoch, 0).await? {
        return Ok(());
    }
    let content = Content::Loaded { drop: drop.0, shard: shard.0, epoch: epoch.0 };
    testify(&transaction, now_ms, content).await?;
    raise_revision(&transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Writes that a drop is loaded; `false` where that stands there already.
///
/// # Errors
/// [`LedgerError::Corrupt`] when there is no such drop.
pub(super) async fn note_loaded(
    transaction: &Transaction<'_>,
    drop: DropNumber,
    shard: Shard,
    epoch: Epoch,
    carried: u64,
) -> Result<bool, LedgerError> {
    let sql = "SELECT 1 FROM campaign_drop WHERE number::bigint = $1";
    if query_opt(transaction, sql, &[&i64::from(drop.0)]).await?.is_none() {
        return Err(LedgerError::Corrupt(format!("there is no drop of number {}", drop.0)));
    }
    let sql = "INSERT INTO loaded (drop_number, shard, epoch, carried) VALUES ($1, $2, $3, $4) \
               ON CONFLICT DO NOTHING";
    let (drop, carried): (i32, i64) = (number(drop.0)?, number(carried)?);
    let key = (i16::from(shard.0), i32::from(epoch.0));
    Ok(execute(transaction, sql, &[&drop, &key.0, &key.1, &carried]).await? == 1)
}
