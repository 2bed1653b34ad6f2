//! Reading: the catalogue, positions, claims, balances, quarantine. Nothing here writes.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{encoded, signed, unsigned};
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
pub(super) fn revision(connection: &Connection) -> Result<u64, LedgerError> {
    unsigned(connection.prepare_cached("SELECT revision FROM catalogue")?.query_row([], |row| row.get(0))?)
}

/// See [`crate::ledger::Ledger::catalogue`]. To be called in a transaction: it reads several tables.
pub(super) fn catalogue(connection: &Connection) -> Result<Catalogue, LedgerError> {
    let mut statement =
        connection.prepare_cached(
            "SELECT number, body, state, ended_at_ms FROM campaign LEFT JOIN campaign_end e ON e.campaign = number \
             ORDER BY number",
        )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let mut campaigns = Vec::new();
    for row in rows {
        let (number, body, state, ended_at_ms): (i64, String, String, Option<i64>) = row?;
        let campaign = Campaign::from_canonical(&body).map_err(encoded)?;
        let state = match state.as_str() {
            _ if ended_at_ms.is_some() => CampaignState::Ended,
            "running" => CampaignState::Running,
            "paused" => CampaignState::Paused,
            other => return Err(LedgerError::Corrupt(format!("campaign state {other:?}"))),
        };
        let drops = drop_records(connection, number, &campaign)?;
        campaigns.push(CampaignRecord { campaign, state, ended_at_ms, drops });
    }
    Ok(Catalogue { revision: revision(connection)?, campaigns })
}

fn drop_records(
    connection: &Connection,
    number: i64,
    campaign: &Campaign,
) -> Result<Vec<DropRecord>, LedgerError> {
    let mut numbers = connection.prepare_cached(
        "SELECT number, opens_at_min_ms FROM campaign_drop WHERE id = ?1 AND campaign = ?2",
    )?;
    let mut loading = connection.prepare_cached(
        "SELECT shard, epoch, carried, seen_seq FROM loaded WHERE drop_number = ?1 ORDER BY shard, epoch",
    )?;
    let record = |id: &DropId| {
        let (drop, opens_at_min_ms): (u32, Option<i64>) =
            numbers.query_row(params![id.as_str(), number], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut rows = loading.query([drop])?;
        let mut loaded = Vec::new();
        while let Some(row) = rows.next()? {
            loaded.push(Loaded {
                shard: Shard(row.get(0)?),
                epoch: Epoch(row.get(1)?),
                carried: unsigned(row.get(2)?)?,
                seen_seq: row.get(3)?,
            });
        }
        Ok(DropRecord { id: id.clone(), number: DropNumber(drop), loaded, opens_at_min_ms })
    };
    campaign.drops.iter().map(|drop| &drop.id).map(record).collect()
}

/// See [`crate::ledger::Ledger::position`].
pub(super) fn position(connection: &Connection, shard: Shard) -> Result<JournalId, LedgerError> {
    let position = connection
        .prepare_cached("SELECT ms, seq FROM position WHERE shard = ?1")?
        .query_row([shard.0], |row| journal_id(row, 0, 1))
        .optional()?;
    Ok(position.unwrap_or(JournalId::START))
}

fn journal_id(row: &Row<'_>, ms: usize, seq: usize) -> rusqlite::Result<JournalId> {
    let (ms, seq): (i64, i64) = (row.get(ms)?, row.get(seq)?);
    Ok(JournalId { ms: ms.cast_unsigned(), seq: seq.cast_unsigned() })
}

/// See [`crate::ledger::Ledger::tallies`]. Counts rows; the counts kept in `series` are not looked at.
pub(super) fn tallies(connection: &Connection) -> Result<Vec<Tally>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT s.drop_number, s.shard, s.epoch, count(c.number), coalesce(sum(c.status = 1), 0), \
                coalesce(max(c.number & 4294967295), 0) \
         FROM series s LEFT JOIN claim c ON c.number >= s.number << 32 AND c.number < (s.number + 1) << 32 \
         GROUP BY s.number ORDER BY s.drop_number, s.shard, s.epoch",
    )?;
    let mut rows = statement.query([])?;
    let mut tallies = Vec::new();
    while let Some(row) = rows.next()? {
        tallies.push(Tally {
            drop: DropNumber(row.get(0)?),
            shard: Shard(row.get(1)?),
            epoch: Epoch(row.get(2)?),
            claims: unsigned(row.get(3)?)?,
            returned: unsigned(row.get(4)?)?,
            seq_max: row.get(5)?,
        });
    }
    Ok(tallies)
}

/// See [`crate::ledger::Ledger::standing`]. To be called in a transaction: it reads several tables.
pub(super) fn standing(connection: &Connection, shard: Shard) -> Result<Standing, LedgerError> {
    // The position first: the moment of the whole is the moment of the first read.
    let position = position(connection, shard)?;
    Ok(Standing {
        catalogue: catalogue(connection)?,
        position,
        tallies: tallies(connection)?,
        balances: balances(connection)?,
        vouchers: super::life::stands(connection)?,
    })
}

/// The series of a drop from (shard, epoch) on, each with its row number.
fn series_from(
    connection: &Connection,
    drop: DropNumber,
    (shard, epoch): (Shard, Epoch),
) -> Result<Vec<(i64, Shard, Epoch)>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT number, shard, epoch FROM series \
         WHERE drop_number = ?1 AND (shard, epoch) >= (?2, ?3) ORDER BY shard, epoch",
    )?;
    let rows = statement.query_map(params![drop.0, shard.0, epoch.0], |row| {
        Ok((row.get(0)?, Shard(row.get(1)?), Epoch(row.get(2)?)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// See [`crate::ledger::Ledger::claims`].
pub(super) fn claims(
    connection: &Connection,
    drop: DropNumber,
    after: Option<ClaimNumber>,
    limit: u32,
) -> Result<Vec<ClaimRow>, LedgerError> {
    let from = after.map_or((Shard(0), Epoch(0)), |after| (after.shard, after.epoch));
    let mut statement = connection.prepare_cached(
        "SELECT number & 4294967295, person, mark, status, claimed_at_ms, \
                CASE WHEN status = 1 THEN (SELECT may_claim_again FROM claim_return WHERE claim = claim.number) END \
         FROM claim WHERE number > ?1 AND number < ?2 ORDER BY number LIMIT ?3",
    )?;
    let mut page = Vec::new();
    for (series, shard, epoch) in series_from(connection, drop, from)? {
        let seq = after.filter(|_| (shard, epoch) == from).map_or(0, |after| after.seq);
        let left = i64::from(limit).saturating_sub(i64::try_from(page.len()).unwrap_or(i64::MAX));
        let number = |seq| ClaimNumber { drop, shard, epoch, seq };
        let mut rows = statement.query(params![row_key(series, seq), row_key(series + 1, 0), left])?;
        while let Some(row) = rows.next()? {
            page.push(claim_row(number(row.get(0)?), row)?);
        }
    }
    Ok(page)
}

fn claim_row(number: ClaimNumber, row: &Row<'_>) -> Result<ClaimRow, LedgerError> {
    let status = match row.get(3)? {
        0_i64 => ClaimStatus::Issued,
        1 => ClaimStatus::Returned,
        other => return Err(LedgerError::Corrupt(format!("claim status {other}"))),
    };
    Ok(ClaimRow {
        number,
        person: row.get(1)?,
        mark: row.get(2)?,
        status,
        may_claim_again: row.get::<_, Option<bool>>(5)?.unwrap_or(false),
        claimed_at_ms: row.get(4)?,
    })
}

/// See [`crate::ledger::Ledger::claim`].
pub(super) fn claim(connection: &Connection, number: ClaimNumber) -> Result<Option<ClaimRow>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT c.number, c.person, c.mark, c.status, c.claimed_at_ms, r.may_claim_again FROM series s \
         JOIN claim c ON c.number = s.number << 32 | ?4 LEFT JOIN claim_return r ON r.claim = c.number \
         WHERE s.drop_number = ?1 AND s.shard = ?2 AND s.epoch = ?3",
    )?;
    let key = params![number.drop.0, number.shard.0, number.epoch.0, number.seq];
    statement.query(key)?.next()?.map(|row| claim_row(number, row)).transpose()
}

/// See [`crate::ledger::Ledger::over_limit`].
pub(super) fn over_limit(
    connection: &Connection,
    drop: DropNumber,
    per_person: u32,
    limit: u32,
) -> Result<Vec<(String, u64)>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT c.person, count(*) FROM series s \
         JOIN claim c ON c.number >= s.number << 32 AND c.number < (s.number + 1) << 32 \
         WHERE s.drop_number = ?1 AND c.status = 0 \
         GROUP BY c.person HAVING count(*) > ?2 ORDER BY c.person LIMIT ?3",
    )?;
    let rows =
        statement.query_map(params![drop.0, per_person, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.map(|row| row.map_err(LedgerError::from).and_then(|(person, n)| Ok((person, unsigned(n)?))))
        .collect()
}

/// See [`crate::ledger::Ledger::in_several_drops`].
pub(super) fn in_several_drops(
    connection: &Connection,
    campaign: &CampaignId,
    since_ms: UnixMs,
    limit: u32,
) -> Result<Vec<(String, u64)>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT c.person, count(DISTINCT s.drop_number) FROM campaign k \
         JOIN campaign_drop d ON d.campaign = k.number JOIN series s ON s.drop_number = d.number \
         JOIN claim c ON c.number >= s.number << 32 AND c.number < (s.number + 1) << 32 \
         LEFT JOIN claim_return r ON r.claim = c.number \
         WHERE k.id = ?1 AND coalesce(r.may_claim_again, 0) = 0 GROUP BY c.person \
         HAVING count(DISTINCT s.drop_number) > 1 AND max(c.claimed_at_ms) >= ?2 ORDER BY c.person LIMIT ?3",
    )?;
    let key = params![campaign.as_str(), since_ms, limit];
    let rows = statement.query_map(key, |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.map(|row| row.map_err(LedgerError::from).and_then(|(person, n)| Ok((person, unsigned(n)?))))
        .collect()
}

/// See [`crate::ledger::Ledger::repeated_marks`].
pub(super) fn repeated_marks(
    connection: &Connection,
    drop: DropNumber,
    limit: u32,
) -> Result<Vec<(String, String, u64)>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT c.person, c.mark, count(*) FROM series s \
         JOIN claim c ON c.number >= s.number << 32 AND c.number < (s.number + 1) << 32 \
         WHERE s.drop_number = ?1 AND c.mark IS NOT NULL \
         GROUP BY c.person, c.mark HAVING count(*) > 1 ORDER BY c.person, c.mark LIMIT ?2",
    )?;
    let mut rows = statement.query(params![drop.0, limit])?;
    let mut repeated = Vec::new();
    while let Some(row) = rows.next()? {
        repeated.push((row.get(0)?, row.get(1)?, unsigned(row.get(2)?)?));
    }
    Ok(repeated)
}

/// See [`crate::ledger::Ledger::balances`]. Adds up the lines; the sums kept in `account` are not looked at.
pub(super) fn balances(connection: &Connection) -> Result<Vec<Balances>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT c.id, l.account, sum(l.amount) FROM campaign c \
         LEFT JOIN posting p ON p.campaign = c.number LEFT JOIN posting_line l ON l.posting = p.number \
         GROUP BY c.number, l.account ORDER BY c.number",
    )?;
    let mut rows = statement.query([])?;
    let mut all: Vec<Balances> = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, account, amount): (String, Option<String>, Option<i64>) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        if all.last().is_none_or(|last| last.campaign.as_str() != id) {
            all.push(Balances::empty(CampaignId::new(&id).map_err(encoded)?, unbalanced(connection, &id)?));
        }
        let (Some(last), Some(account), Some(amount)) = (all.last_mut(), account, amount) else { continue };
        last.add(&account, Fen(amount)).map_err(LedgerError::Corrupt)?;
    }
    Ok(all)
}

fn unbalanced(connection: &Connection, campaign: &str) -> Result<u64, LedgerError> {
    let count = connection
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM campaign c JOIN posting p ON p.campaign = c.number \
             LEFT JOIN posting_line l ON l.posting = p.number WHERE c.id = ?1 \
             GROUP BY p.number HAVING coalesce(sum(l.amount), 1) <> 0)",
        )?
        .query_row([campaign], |row| row.get(0))?;
    unsigned(count)
}

/// See [`crate::ledger::Ledger::quarantine`].
pub(super) fn quarantine(
    connection: &Connection,
    after: u64,
    limit: u32,
) -> Result<Vec<Quarantined>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT number, shard, ms, seq, raw, reason FROM quarantine WHERE number > ?1 ORDER BY number LIMIT ?2",
    )?;
    let rows = statement.query_map(params![signed(after)?, limit], |row| {
        let poison = Poison { raw: row.get(4)?, reason: row.get(5)? };
        let (number, shard, id) = (row.get::<_, i64>(0)?, Shard(row.get(1)?), journal_id(row, 2, 3)?);
        Ok((number, shard, id, poison))
    })?;
    let kept = rows.map(|row| {
        let (number, shard, id, poison) = row?;
        Ok::<_, LedgerError>(Quarantined { number: unsigned(number)?, shard, id, poison })
    });
    kept.collect()
}

/// See [`crate::ledger::Ledger::quarantine_open`].
pub(super) fn quarantine_open(connection: &Connection) -> Result<u64, LedgerError> {
    unsigned(connection.prepare_cached(QUARANTINE_OPEN)?.query_row([], |row| row.get(0))?)
}
