//! Reading: the catalogue, positions, claims, balances, quarantine. Nothing here writes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use super::{encoded, number, query, query_number, query_opt};
use crate::clock::UnixMs;
use crate::domain::campaign::{Campaign, CampaignState};
use crate::domain::claim::{JournalId, Poison};
use crate::domain::ids::{CampaignId, ClaimNumber, DropId, DropNumber, Epoch, Shard};
use crate::domain::money::Fen;
use crate::ledger::documents::QUARANTINE_OPEN;
use crate::ledger::sections::row_key;
use crate::ledger::{
    Balances, CampaignRecord, Catalogue, ClaimRow, ClaimStatus, DropRecord, LedgerError, Loaded, Quarantined,
    Standing, Tally,
};

/// See [`crate::ledger::Ledger::revision`].
pub(super) async fn revision<C: GenericClient>(client: &C) -> Result<u64, LedgerError> {
    number(query_number(client, "SELECT revision FROM catalogue", &[]).await?)
}

/// Drops by their ids.
type Records = HashMap<String, DropRecord>;

/// See [`crate::ledger::Ledger::catalogue`]. To be called on a snapshot: it reads several tables.
pub(super) async fn catalogue<C: GenericClient>(client: &C) -> Result<Catalogue, LedgerError> {
    let revision = revision(client).await?;
    let records = drop_records(client).await?;
    let mut campaigns = Vec::new();
    let sql = "SELECT body, state, ended_at_ms FROM campaign LEFT JOIN campaign_end e ON e.campaign = number \
               ORDER BY number";
    for row in query(client, sql, &[]).await? {
        let campaign = Campaign::from_canonical(row.try_get(0)?).map_err(encoded)?;
        let ended_at_ms: Option<i64> = row.try_get(2)?;
        let state = match row.try_get(1)? {
            _ if ended_at_ms.is_some() => CampaignState::Ended,
            "running" => CampaignState::Running,
            "paused" => CampaignState::Paused,
            other => return Err(LedgerError::Corrupt(format!("campaign state {other:?}"))),
        };
        let drops = campaign.drops.iter().map(|drop| {
            let record = records.get(drop.id.as_str()).cloned();
            record.ok_or_else(|| LedgerError::Corrupt(format!("drop {} has no number", drop.id)))
        });
        let drops = drops.collect::<Result<_, LedgerError>>()?;
        campaigns.push(CampaignRecord { campaign, state, ended_at_ms, drops });
    }
    Ok(Catalogue { revision, campaigns })
}

async fn drop_records<C: GenericClient>(client: &C) -> Result<Records, LedgerError> {
    let sql = "SELECT d.id, d.number, d.opens_at_min_ms, l.shard, l.epoch, l.carried, l.seen_seq \
               FROM campaign_drop d LEFT JOIN loaded l ON l.drop_number = d.number \
               ORDER BY d.number, l.shard, l.epoch";
    let mut records = Records::new();
    for row in query(client, sql, &[]).await? {
        let id: String = row.try_get(0)?;
        let record = match records.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let id = DropId::new(place.key()).map_err(encoded)?;
                let drop = DropNumber(number(row.try_get::<_, i32>(1)?)?);
                let opens_at_min_ms = row.try_get(2)?;
                place.insert(DropRecord { id, number: drop, loaded: Vec::new(), opens_at_min_ms })
            }
        };
        if let Some(shard) = row.try_get::<_, Option<i16>>(3)? {
            record.loaded.push(Loaded {
                shard: Shard(number(shard)?),
                epoch: Epoch(number(row.try_get::<_, i32>(4)?)?),
                carried: number(row.try_get::<_, i64>(5)?)?,
                seen_seq: number(row.try_get::<_, i64>(6)?)?,
            });
        }
    }
    Ok(records)
}

/// See [`crate::ledger::Ledger::position`].
pub(super) async fn position<C: GenericClient>(client: &C, shard: Shard) -> Result<JournalId, LedgerError> {
    let row =
        query_opt(client, "SELECT ms, seq FROM position WHERE shard = $1", &[&i16::from(shard.0)]).await?;
    row.map_or(Ok(JournalId::START), |row| journal_id(&row, 0, 1))
}

/// A journal id out of two columns, which hold 64 bits without a sign.
pub(super) fn journal_id(row: &Row, ms: usize, seq: usize) -> Result<JournalId, LedgerError> {
    let (ms, seq): (i64, i64) = (row.try_get(ms)?, row.try_get(seq)?);
    Ok(JournalId { ms: ms.cast_unsigned(), seq: seq.cast_unsigned() })
}

/// See [`crate::ledger::Ledger::tallies`]. Counts rows; the counts kept in `series` are not looked at.
pub(super) async fn tallies<C: GenericClient>(client: &C) -> Result<Vec<Tally>, LedgerError> {
    let sql = "SELECT s.drop_number, s.shard, s.epoch, coalesce(c.claims, 0), coalesce(c.returned, 0), \
                      coalesce(c.last & 4294967295, 0) \
               FROM series s LEFT JOIN (SELECT number >> 32 AS series, count(*) AS claims, \
                   count(*) FILTER (WHERE status = 1) AS returned, max(number) AS last \
                   FROM claim GROUP BY number >> 32) c ON c.series = s.number \
               ORDER BY s.drop_number, s.shard, s.epoch";
    let rows = query(client, sql, &[]).await?;
    rows.iter().map(tally).collect()
}

fn tally(row: &Row) -> Result<Tally, LedgerError> {
    Ok(Tally {
        drop: DropNumber(number(row.try_get::<_, i32>(0)?)?),
        shard: Shard(number(row.try_get::<_, i16>(1)?)?),
        epoch: Epoch(number(row.try_get::<_, i32>(2)?)?),
        claims: number(row.try_get::<_, i64>(3)?)?,
        returned: number(row.try_get::<_, i64>(4)?)?,
        seq_max: number(row.try_get::<_, i64>(5)?)?,
    })
}

/// See [`crate::ledger::Ledger::standing`]. To be called on a snapshot: it reads several tables.
pub(super) async fn standing<C: GenericClient>(client: &C, shard: Shard) -> Result<Standing, LedgerError> {
    Ok(Standing {
        position: position(client, shard).await?,
        catalogue: catalogue(client).await?,
        tallies: tallies(client).await?,
        balances: balances(client).await?,
        vouchers: super::life::stands(client).await?,
    })
}

/// See [`crate::ledger::Ledger::claims`].
pub(super) async fn claims<C: GenericClient>(
    client: &C,
    drop: DropNumber,
    after: Option<ClaimNumber>,
    limit: u32,
) -> Result<Vec<ClaimRow>, LedgerError> {
    let from = after.map_or((Shard(0), Epoch(0)), |after| (after.shard, after.epoch));
    let series = "SELECT number, shard, epoch FROM series \
                  WHERE drop_number::bigint = $1 AND (shard, epoch) >= ($2, $3) ORDER BY shard, epoch";
    let key: (i64, i16, i32) = (drop.0.into(), from.0.0.into(), from.1.0.into());
    let page_of = "SELECT c.number & 4294967295, c.person, c.mark, c.status, c.claimed_at_ms, r.may_claim_again \
                   FROM claim c LEFT JOIN claim_return r ON r.claim = c.number AND c.status = 1 \
                   WHERE c.number > $1 AND c.number < $2 ORDER BY c.number LIMIT $3";
    let mut page = Vec::new();
    for row in query(client, series, &[&key.0, &key.1, &key.2]).await? {
        let series: i64 = row.try_get(0)?;
        let (shard, epoch) =
            (Shard(number(row.try_get::<_, i16>(1)?)?), Epoch(number(row.try_get::<_, i32>(2)?)?));
        let seq = after.filter(|_| (shard, epoch) == from).map_or(0, |after| after.seq);
        let left = i64::from(limit).saturating_sub(i64::try_from(page.len()).unwrap_or(i64::MAX));
        let (low, high) = (row_key(series, seq), row_key(series.saturating_add(1), 0));
        for row in query(client, page_of, &[&low, &high, &left]).await? {
            let seq = number(row.try_get::<_, i64>(0)?)?;
            page.push(claim_row(ClaimNumber { drop, shard, epoch, seq }, &row)?);
        }
    }
    Ok(page)
}

fn claim_row(number: ClaimNumber, row: &Row) -> Result<ClaimRow, LedgerError> {
    let status = match row.try_get(3)? {
        0_i16 => ClaimStatus::Issued,
        1 => ClaimStatus::Returned,
        other => return Err(LedgerError::Corrupt(format!("claim status {other}"))),
    };
    let (person, mark, claimed_at_ms) = (row.try_get(1)?, row.try_get(2)?, row.try_get(4)?);
    let may_claim_again = row.try_get::<_, Option<bool>>(5)?.unwrap_or(false);
    Ok(ClaimRow { number, person, mark, status, may_claim_again, claimed_at_ms })
}

/// See [`crate::ledger::Ledger::claim`].
pub(super) async fn claim<C: GenericClient>(
    client: &C,
    wanted: ClaimNumber,
) -> Result<Option<ClaimRow>, LedgerError> {
    let sql = "SELECT c.number, c.person, c.mark, c.status, c.claimed_at_ms, r.may_claim_again FROM series s \
               JOIN claim c ON c.number = (s.number << 32 | $4) \
               LEFT JOIN claim_return r ON r.claim = c.number \
               WHERE s.drop_number::bigint = $1 AND s.shard = $2 AND s.epoch = $3";
    let (drop, seq): (i64, i64) = (wanted.drop.0.into(), wanted.seq.into());
    let row = query_opt(client, sql, &[&drop, &i16::from(wanted.shard.0), &i32::from(wanted.epoch.0), &seq])
        .await?;
    row.map(|row| claim_row(wanted, &row)).transpose()
}

/// See [`crate::ledger::Ledger::over_limit`].
pub(super) async fn over_limit<C: GenericClient>(
    client: &C,
    drop: DropNumber,
    per_person: u32,
    limit: u32,
) -> Result<Vec<(String, u64)>, LedgerError> {
    let sql = "SELECT c.person, count(*) FROM series s \
               JOIN claim c ON c.number >= s.number << 32 AND c.number < (s.number + 1) << 32 \
               WHERE s.drop_number::bigint = $1 AND c.status = 0 \
               GROUP BY c.person HAVING count(*) > $2 ORDER BY c.person LIMIT $3";
    let rows = query(client, sql, &[&i64::from(drop.0), &i64::from(per_person), &i64::from(limit)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, number(row.try_get::<_, i64>(1)?)?))).collect()
}

/// See [`crate::ledger::Ledger::in_several_drops`].
pub(super) async fn in_several_drops<C: GenericClient>(
    client: &C,
    campaign: &CampaignId,
    since_ms: UnixMs,
    limit: u32,
) -> Result<Vec<(String, u64)>, LedgerError> {
    let sql = "SELECT c.person, count(DISTINCT s.drop_number) FROM campaign k \
               JOIN campaign_drop d ON d.campaign = k.number JOIN series s ON s.drop_number = d.number \
               JOIN claim c ON c.number >= s.number << 32 AND c.number < (s.number + 1) << 32 \
               LEFT JOIN claim_return r ON r.claim = c.number \
               WHERE k.id = $1 AND NOT coalesce(r.may_claim_again, false) GROUP BY c.person \
               HAVING count(DISTINCT s.drop_number) > 1 AND max(c.claimed_at_ms) >= $2 \
               ORDER BY c.person LIMIT $3";
    let rows = query(client, sql, &[&campaign.as_str(), &since_ms, &i64::from(limit)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, number(row.try_get::<_, i64>(1)?)?))).collect()
}

/// See [`crate::ledger::Ledger::repeated_marks`].
pub(super) async fn repeated_marks<C: GenericClient>(
    client: &C,
    drop: DropNumber,
    limit: u32,
) -> Result<Vec<(String, String, u64)>, LedgerError> {
    let sql = "SELECT c.person, c.mark, count(*) FROM series s \
               JOIN claim c ON c.number >= s.number << 32 AND c.number < (s.number + 1) << 32 \
               WHERE s.drop_number::bigint = $1 AND c.mark IS NOT NULL \
               GROUP BY c.person, c.mark HAVING count(*) > 1 ORDER BY c.person, c.mark LIMIT $2";
    let rows = query(client, sql, &[&i64::from(drop.0), &i64::from(limit)]).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, number(row.try_get::<_, i64>(2)?)?)))
        .collect()
}

/// See [`crate::ledger::Ledger::balances`]. Adds up the lines; the sums kept in `account` are not looked at.
pub(super) async fn balances<C: GenericClient>(client: &C) -> Result<Vec<Balances>, LedgerError> {
    let sums = "SELECT c.id, l.account, sum(l.amount)::bigint FROM campaign c \
                LEFT JOIN posting p ON p.campaign = c.number LEFT JOIN posting_line l ON l.posting = p.number \
                GROUP BY c.number, l.account ORDER BY c.number";
    let unbalanced = "SELECT id, count(*) FROM (SELECT c.id FROM campaign c \
                      JOIN posting p ON p.campaign = c.number \
                      LEFT JOIN posting_line l ON l.posting = p.number \
                      GROUP BY c.id, p.number HAVING coalesce(sum(l.amount), 1) <> 0) u GROUP BY id";
    let mut odd: HashMap<String, i64> = HashMap::new();
    for row in query(client, unbalanced, &[]).await? {
        odd.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let mut all: Vec<Balances> = Vec::new();
    for row in query(client, sums, &[]).await? {
        let id: &str = row.try_get(0)?;
        if all.last().is_none_or(|last| last.campaign.as_str() != id) {
            let unbalanced = number(odd.get(id).copied().unwrap_or(0))?;
            all.push(Balances::empty(CampaignId::new(id).map_err(encoded)?, unbalanced));
        }
        let (account, amount): (Option<&str>, Option<i64>) = (row.try_get(1)?, row.try_get(2)?);
        let (Some(last), Some(account), Some(amount)) = (all.last_mut(), account, amount) else { continue };
        last.add(account, Fen(amount)).map_err(LedgerError::Corrupt)?;
    }
    Ok(all)
}

/// See [`crate::ledger::Ledger::quarantine`].
pub(super) async fn quarantine<C: GenericClient>(
    client: &C,
    after: u64,
    limit: u32,
) -> Result<Vec<Quarantined>, LedgerError> {
    let sql = "SELECT number, shard, ms, seq, raw, reason FROM quarantine \
               WHERE number > $1 ORDER BY number LIMIT $2";
    let after: i64 = number(after)?;
    let rows = query(client, sql, &[&after, &i64::from(limit)]).await?;
    let kept = rows.iter().map(|row| {
        let shard = Shard(number(row.try_get::<_, i16>(1)?)?);
        let poison = Poison { raw: text(row, 4)?.to_owned(), reason: text(row, 5)?.to_owned() };
        let number = number(row.try_get::<_, i64>(0)?)?;
        Ok(Quarantined { number, shard, id: journal_id(row, 2, 3)?, poison })
    });
    kept.collect()
}

/// A text that is stored as bytes, because it may hold any character.
pub(super) fn text(row: &Row, column: usize) -> Result<&str, LedgerError> {
    std::str::from_utf8(row.try_get(column)?).map_err(encoded)
}

/// See [`crate::ledger::Ledger::quarantine_open`].
pub(super) async fn quarantine_open<C: GenericClient>(client: &C) -> Result<u64, LedgerError> {
    number(query_number(client, QUARANTINE_OPEN, &[]).await?)
}
