//! Walking the audit chain: every record's hash, every row that it covers, and that no row is left over.
//!
//! Records and rows come one after another in order of their keys, so memory does not grow with their number.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;

use deadpool_postgres::Transaction;
use futures_util::TryStreamExt;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, RowStream};

use super::books::hash;
use super::{documents, encoded, life, number, query, query_number, query_opt, read, receipts};
use crate::domain::campaign::Campaign;
use crate::ledger::chain::{
    ClaimsDigest, Content, Covered, NumberedDrop, Record, RowsDigest, Section, SeriesKey, Walk,
};
use crate::ledger::documents::document_differs;
use crate::ledger::life::{
    ACCOUNTS_DIFFER, COUNTS_DIFFER, MONEY_DIFFERS, PASSED_OVER, PERIODS_DIFFER, PLACES_DIFFER,
    REFERENCES_DIFFER, REVERSALS_DIFFER, SERIES_DIFFER,
};
use crate::ledger::numbered::Numbered;
use crate::ledger::sections::row_key;
use crate::ledger::testimony::{
    CAMPAIGN_OF, Demand, FIRST_POSTINGS, Tables, Testimony, loaded_differs, rows_differ, section_differs,
};
use crate::ledger::{ChainBreak, ChainHead, LedgerError};
use crate::limits;

/// See [`crate::ledger::Ledger::verify_chain`].
pub(super) async fn verify(snapshot: &Transaction<'_>) -> Result<Result<ChainHead, ChainBreak>, LedgerError> {
    let series = series(snapshot).await?;
    let mut verifier = Verifier { snapshot, series, testimony: Testimony::default() };
    let mut walk = Walk::default();
    let sql = "SELECT number, body, hash FROM audit WHERE number > $1 ORDER BY number LIMIT $2";
    let mut last = i64::MIN;
    loop {
        let page = query(snapshot, sql, &[&last, &limits::AUDIT_RECORDS_PAGE]).await?;
        for row in &page {
            last = row.try_get(0)?;
            let index: u64 = number(last)?;
            let record = Record { index, body: row.try_get(1)?, hash: hash(row.try_get(2)?)? };
            let content = match walk.step(&record) {
                Ok(content) => content,
                Err(broken) => return Ok(Err(broken)),
            };
            if let Some(what) = verifier.check(&content).await? {
                return Ok(Err(ChainBreak { index, what }));
            }
        }
        if page.is_empty() {
            break;
        }
    }
    let head = walk.head();
    let left_over = verifier.testimony.left_over(&verifier.tables().await?);
    Ok(match left_over {
        None => Ok(head),
        Some(what) => Err(ChainBreak { index: head.length.saturating_add(1), what }),
    })
}

async fn series(snapshot: &Transaction<'_>) -> Result<HashMap<SeriesKey, i64>, LedgerError> {
    let rows = query(snapshot, "SELECT drop_number, shard, epoch, number FROM series", &[]).await?;
    rows.iter().map(|row| Ok((series_key(row)?, row.try_get(3)?))).collect()
}

fn series_key(row: &Row) -> Result<SeriesKey, LedgerError> {
    let (drop, shard, epoch): (i32, i16, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok((number(drop)?, number(shard)?, number(epoch)?))
}

/// The tables beside what the records so far have said.
struct Verifier<'s, 'c> {
    snapshot: &'s Transaction<'c>,
    series: HashMap<SeriesKey, i64>,
    testimony: Testimony,
}

impl Verifier<'_, '_> {
    /// What is wrong with a record or its rows, if anything.
    async fn check(&mut self, content: &Content) -> Result<Option<String>, LedgerError> {
        let demands = match self.testimony.take(content) {
            Ok(demands) => demands,
            Err(what) => return Ok(Some(what)),
        };
        for demand in demands {
            let differs = match demand {
                Demand::Loaded { drop, shard, epoch, carried } => {
                    let key = (drop, shard, epoch);
                    loaded_differs(key, carried, self.carried(key).await?)
                }
                Demand::Section { shard, section } => {
                    section_differs(shard, section, self.section(shard, section).await?)
                }
                Demand::Returns(covered) => rows_differ(self.returns(covered).await?, covered, "returns"),
                Demand::Quarantine(covered) => {
                    rows_differ(self.quarantine(covered).await?, covered, "quarantine")
                }
                Demand::Postings(covered) => rows_differ(self.postings(covered).await?, covered, "postings"),
                Demand::Bonds(covered) => rows_differ(self.bonds(covered).await?, covered, "bonds"),
                Demand::Document { number, sha256 } => {
                    let row = documents::change(self.snapshot, number).await?;
                    let found = row.map(|row| row.digest()).transpose().map_err(encoded)?;
                    document_differs(number, sha256, found.as_deref())
                }
                Demand::Steps(covered) => {
                    let steps = life::steps_covered(self.snapshot, covered, range(covered)?).await?;
                    rows_differ(steps, covered, "steps")
                }
            };
            if differs.is_some() {
                return Ok(differs);
            }
        }
        Ok(None)
    }

    /// Rows as they come, of numbers from `first` to `last`.
    async fn rows(&self, sql: &str, range: [i64; 2]) -> Result<RowStream, LedgerError> {
        let statement = self.snapshot.prepare_cached(sql).await?;
        let parameters: [&(dyn ToSql + Sync); 2] = [&range[0], &range[1]];
        Ok(self.snapshot.query_raw(&statement, parameters).await?)
    }

    async fn carried(&self, (drop, shard, epoch): SeriesKey) -> Result<Option<u64>, LedgerError> {
        let sql = "SELECT carried FROM loaded WHERE drop_number::bigint = $1 AND shard = $2 AND epoch = $3";
        let key: (i64, i16, i32) = (drop.into(), shard.into(), epoch.into());
        let row = query_opt(self.snapshot, sql, &[&key.0, &key.1, &key.2]).await?;
        row.map(|row| number(row.try_get::<_, i64>(0)?)).transpose()
    }

    async fn section(
        &self,
        shard: u8,
        section: &Section,
    ) -> Result<Option<(u32, ClaimsDigest)>, LedgerError> {
        let Some(series) = self.series.get(&(section.drop, shard, section.epoch)) else { return Ok(None) };
        let first = row_key(*series, section.first_seq);
        let last = first.saturating_add(i64::from(section.count) - 1);
        let sql =
            "SELECT person, mark, claimed_at_ms FROM claim WHERE number BETWEEN $1 AND $2 ORDER BY number";
        let mut digest = ClaimsDigest::default();
        let mut found = 0_u32;
        let mut rows = pin!(self.rows(sql, [first, last]).await?);
        while let Some(row) = rows.try_next().await? {
            digest.push_row(row.try_get(2)?, row.try_get(0)?, row.try_get(1)?);
            found = found.saturating_add(1);
        }
        Ok(Some((found, digest)))
    }

    async fn returns(&self, covered: &Covered) -> Result<RowsDigest, LedgerError> {
        // A row whose claim is not marked as returned counts as missing.
        let sql = "SELECT r.number, r.claim, r.returned_at_ms, r.may_claim_again FROM claim_return r \
                   JOIN claim c ON c.number = r.claim AND c.status = 1 \
                   WHERE r.number BETWEEN $1 AND $2 ORDER BY r.number";
        let mut digest = RowsDigest::new(covered.first);
        let mut rows = pin!(self.rows(sql, range(covered)?).await?);
        while let Some(row) = rows.try_next().await? {
            let (at, claim, at_ms): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let again: bool = row.try_get(3)?;
            digest.push(&(at, claim, at_ms, again)).map_err(encoded)?;
        }
        Ok(digest)
    }

    async fn quarantine(&self, covered: &Covered) -> Result<RowsDigest, LedgerError> {
        let sql = "SELECT number, shard, ms, seq, raw, reason FROM quarantine \
                   WHERE number BETWEEN $1 AND $2 ORDER BY number";
        let mut digest = RowsDigest::new(covered.first);
        let mut rows = pin!(self.rows(sql, range(covered)?).await?);
        while let Some(row) = rows.try_next().await? {
            let (at, shard, ms, seq): (i64, i16, i64, i64) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            let (raw, reason) = (read::text(&row, 4)?, read::text(&row, 5)?);
            digest.push(&(at, shard, ms, seq, raw, reason)).map_err(encoded)?;
        }
        Ok(digest)
    }

    async fn postings(&mut self, covered: &Covered) -> Result<RowsDigest, LedgerError> {
        // The lines of all postings at once: looked up for each posting by itself they cost a walk over the whole table each,
        // where PostgreSQL believes that a posting has many.
        let sql = "SELECT number, at_ms, campaign, drop_number, kind, coalesce(accounts, '{}'), coalesce(amounts, '{}') \
                   FROM posting LEFT JOIN ( \
                       SELECT posting, array_agg(account ORDER BY account) AS accounts, \
                              array_agg(amount ORDER BY account) AS amounts \
                       FROM posting_line WHERE posting BETWEEN $1 AND $2 GROUP BY posting \
                   ) AS lines ON posting = number \
                   WHERE number BETWEEN $1 AND $2 ORDER BY number";
        let mut digest = RowsDigest::new(covered.first);
        let mut rows = pin!(self.rows(sql, range(covered)?).await?);
        while let Some(row) = rows.try_next().await? {
            let (at, at_ms, campaign): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let (drop, kind): (Option<i32>, &str) = (row.try_get(3)?, row.try_get(4)?);
            let (accounts, amounts): (Vec<&str>, Vec<i64>) = (row.try_get(5)?, row.try_get(6)?);
            let lines: Vec<(&str, i64)> = accounts.into_iter().zip(amounts).collect();
            self.testimony.count_lines(number(lines.len())?);
            digest.push(&(at, at_ms, campaign, drop, kind, lines)).map_err(encoded)?;
        }
        Ok(digest)
    }

    /// What stands in the tables, counted.
    async fn tables(&self) -> Result<Tables, LedgerError> {
        let mut tables = Tables {
            lines: self.count("SELECT count(*) FROM posting_line").await?,
            loaded: self.count("SELECT count(*) FROM loaded").await?,
            returns: self.count(Numbered::Returns.rows()).await?,
            quarantine: self.count(Numbered::Quarantine.rows()).await?,
            postings: self.count(Numbered::Postings.rows()).await?,
            bonds: self.count(Numbered::Bonds.rows()).await?,
            documents: self.count(Numbered::Documents.rows()).await?,
            positions: self.positions().await?,
            drops: self.drops().await?,
            campaign_of: self.campaign_of().await?,
            first_postings: self.first_postings().await?,
            campaigns: self.campaigns().await?,
            receipts: self.receipts().await?,
            receipt_rows: self.count("SELECT count(*) FROM receipt").await?,
            steps: self.count(Numbered::Steps.rows()).await?,
            astray: [
                ("counts of series", self.count(SERIES_DIFFER).await?),
                ("counts of days", self.count(COUNTS_DIFFER).await?),
                ("postings", self.count(MONEY_DIFFERS).await?),
                ("closed periods", self.count(PERIODS_DIFFER).await?),
                ("sums of accounts", self.count(ACCOUNTS_DIFFER).await?),
                ("references of payments", self.count(REFERENCES_DIFFER).await?),
                ("reversals of money", self.count(REVERSALS_DIFFER).await?),
                ("places of the sweep", self.count(PLACES_DIFFER).await?),
            ],
            passed_over: self.count(PASSED_OVER).await?,
            periods: self.periods().await?,
            ended: self.ended().await?,
            ..Tables::default()
        };
        tables.claims_of.extend(self.series.keys().map(|key| (*key, 0)));
        let by_number: HashMap<i64, SeriesKey> = self.series.iter().map(|(key, at)| (*at, *key)).collect();
        let sql = "SELECT number >> 32, count(*), count(*) FILTER (WHERE status <> 0) FROM claim GROUP BY 1";
        for row in query(self.snapshot, sql, &[]).await? {
            let (claims, returned): (u64, u64) =
                (number(row.try_get::<_, i64>(1)?)?, number(row.try_get::<_, i64>(2)?)?);
            tables.claims = tables.claims.saturating_add(claims);
            tables.returned = tables.returned.saturating_add(returned);
            if let Some(key) = by_number.get(&row.try_get(0)?) {
                tables.claims_of.insert(*key, claims);
            }
        }
        Ok(tables)
    }

    async fn count(&self, sql: &str) -> Result<u64, LedgerError> {
        number(query_number(self.snapshot, sql, &[]).await?)
    }

    async fn positions(&self) -> Result<BTreeMap<u8, String>, LedgerError> {
        let rows = query(self.snapshot, "SELECT shard, ms, seq FROM position", &[]).await?;
        let position =
            |row: &Row| Ok((number(row.try_get::<_, i16>(0)?)?, read::journal_id(row, 1, 2)?.to_string()));
        rows.iter().map(position).collect()
    }

    async fn drops(&self) -> Result<Vec<NumberedDrop>, LedgerError> {
        let rows = query(self.snapshot, "SELECT number, id, face FROM campaign_drop ORDER BY number", &[]);
        let drop = |row: &Row| {
            let number = number(row.try_get::<_, i32>(0)?)?;
            Ok(NumberedDrop { number, id: row.try_get(1)?, face: row.try_get(2)? })
        };
        rows.await?.iter().map(drop).collect()
    }

    async fn campaign_of(&self) -> Result<BTreeMap<u32, String>, LedgerError> {
        let rows = query(self.snapshot, CAMPAIGN_OF, &[]).await?;
        rows.iter().map(|row| Ok((number(row.try_get::<_, i32>(0)?)?, row.try_get(1)?))).collect()
    }

    async fn first_postings(&self) -> Result<BTreeMap<String, u64>, LedgerError> {
        let rows = query(self.snapshot, FIRST_POSTINGS, &[]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, number(row.try_get::<_, i64>(1)?)?))).collect()
    }

    async fn bonds(&self, covered: &Covered) -> Result<RowsDigest, LedgerError> {
        let sql = "SELECT number, at_ms, campaign, field, value FROM bond \
                   WHERE number BETWEEN $1 AND $2 ORDER BY number";
        let mut digest = RowsDigest::new(covered.first);
        let mut rows = pin!(self.rows(sql, range(covered)?).await?);
        while let Some(row) = rows.try_next().await? {
            let (at, at_ms, campaign): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let (field, value): (&str, &str) = (row.try_get(3)?, row.try_get(4)?);
            digest.push(&(at, at_ms, campaign, field, value)).map_err(encoded)?;
        }
        Ok(digest)
    }

    async fn receipts(&self) -> Result<BTreeMap<u64, String>, LedgerError> {
        let mut digests = BTreeMap::new();
        loop {
            let after = digests.last_key_value().map_or(0, |(number, _)| *number);
            let page = receipts::page(self.snapshot, after, limits::RECEIPTS_PAGE).await?;
            if page.is_empty() {
                return Ok(digests);
            }
            for row in page {
                digests.insert(row.number, row.digest().map_err(encoded)?);
            }
        }
    }

    async fn periods(&self) -> Result<BTreeMap<u64, String>, LedgerError> {
        let periods = life::periods(self.snapshot).await?;
        periods.iter().map(|period| Ok((period.number, period.digest().map_err(encoded)?))).collect()
    }

    async fn ended(&self) -> Result<BTreeMap<String, i64>, LedgerError> {
        let sql = "SELECT id, ended_at_ms FROM campaign_end JOIN campaign ON number = campaign";
        let rows = query(self.snapshot, sql, &[]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    async fn campaigns(&self) -> Result<BTreeMap<String, (String, String)>, LedgerError> {
        let rows = query(self.snapshot, "SELECT id, body, state FROM campaign", &[]).await?;
        let campaign = |row: &Row| {
            let stored = Campaign::from_canonical(row.try_get(1)?).map_err(encoded)?;
            Ok((row.try_get(0)?, (stored.digest().map_err(encoded)?, row.try_get(2)?)))
        };
        rows.iter().map(campaign).collect()
    }
}

fn range(covered: &Covered) -> Result<[i64; 2], LedgerError> {
    let first: i64 = number(covered.first)?;
    Ok([first, first.saturating_add(number(covered.count)?).saturating_sub(1)])
}
