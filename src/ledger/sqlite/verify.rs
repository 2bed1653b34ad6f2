//! Walking the audit chain: every record's hash, every row that it covers, and that no row is left over.
//!
//! Rows are read one by one in order of their keys, so memory does not grow with their number.

use std::collections::{BTreeMap, HashMap};

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, params};

use super::{documents, encoded, life, read, receipts, signed, unsigned};
use crate::domain::campaign::Campaign;
use crate::domain::ids::Shard;
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
pub(super) fn verify(connection: &mut Connection) -> Result<Result<ChainHead, ChainBreak>, LedgerError> {
    // One snapshot for the whole walk; the drain may go on writing meanwhile.
    let snapshot = connection.transaction()?;
    let mut verifier =
        Verifier { connection: &snapshot, series: series(&snapshot)?, testimony: Testimony::default() };
    let mut walk = Walk::default();
    let mut statement = snapshot.prepare("SELECT number, body, hash FROM audit ORDER BY number")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let index = unsigned(row.get(0)?)?;
        let record = Record { index, body: row.get(1)?, hash: row.get(2)? };
        let content = match walk.step(&record) {
            Ok(content) => content,
            Err(broken) => return Ok(Err(broken)),
        };
        if let Some(what) = verifier.check(&content)? {
            return Ok(Err(ChainBreak { index, what }));
        }
    }
    let head = walk.head();
    let left_over = verifier.testimony.left_over(&verifier.tables()?);
    Ok(match left_over {
        None => Ok(head),
        Some(what) => Err(ChainBreak { index: head.length.saturating_add(1), what }),
    })
}

fn series(connection: &Connection) -> Result<HashMap<SeriesKey, i64>, LedgerError> {
    let mut statement = connection.prepare_cached("SELECT drop_number, shard, epoch, number FROM series")?;
    let rows = statement.query_map([], |row| Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The tables beside what the records so far have said.
struct Verifier<'c> {
    connection: &'c Connection,
    series: HashMap<SeriesKey, i64>,
    testimony: Testimony,
}

impl Verifier<'_> {
    /// What is wrong with a record or its rows, if anything.
    fn check(&mut self, content: &Content) -> Result<Option<String>, LedgerError> {
        let demands = match self.testimony.take(content) {
            Ok(demands) => demands,
            Err(what) => return Ok(Some(what)),
        };
        for demand in demands {
            let differs = match demand {
                Demand::Loaded { drop, shard, epoch, carried } => {
                    let key = (drop, shard, epoch);
                    loaded_differs(key, carried, self.carried(key)?)
                }
                Demand::Section { shard, section } => {
                    section_differs(shard, section, self.section(shard, section)?)
                }
                Demand::Returns(covered) => rows_differ(self.returns(covered)?, covered, "returns"),
                Demand::Quarantine(covered) => rows_differ(self.quarantine(covered)?, covered, "quarantine"),
                Demand::Postings(covered) => rows_differ(self.postings(covered)?, covered, "postings"),
                Demand::Bonds(covered) => rows_differ(self.bonds(covered)?, covered, "bonds"),
                Demand::Document { number, sha256 } => {
                    let row = documents::change(self.connection, number)?;
                    let found = row.map(|row| row.digest()).transpose().map_err(encoded)?;
                    document_differs(number, sha256, found.as_deref())
                }
                Demand::Steps(covered) => {
                    let steps = life::steps_covered(self.connection, covered, range(covered)?)?;
                    rows_differ(steps, covered, "steps")
                }
            };
            if differs.is_some() {
                return Ok(differs);
            }
        }
        Ok(None)
    }

    fn carried(&self, (drop, shard, epoch): SeriesKey) -> Result<Option<u64>, LedgerError> {
        let found: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT carried FROM loaded WHERE drop_number = ?1 AND shard = ?2 AND epoch = ?3",
            )?
            .query_row(params![drop, shard, epoch], |row| row.get(0))
            .optional()?;
        found.map(unsigned).transpose()
    }

    fn section(&self, shard: u8, section: &Section) -> Result<Option<(u32, ClaimsDigest)>, LedgerError> {
        let Some(series) = self.series.get(&(section.drop, shard, section.epoch)) else { return Ok(None) };
        let mut digest = ClaimsDigest::default();
        let mut found = 0_u32;
        let first = row_key(*series, section.first_seq);
        let last = first.saturating_add(i64::from(section.count) - 1);
        let mut statement = self.connection.prepare_cached(
            "SELECT person, mark, claimed_at_ms FROM claim WHERE number BETWEEN ?1 AND ?2 ORDER BY number",
        )?;
        let mut rows = statement.query([first, last])?;
        while let Some(row) = rows.next()? {
            let mark = row.get_ref(1)?.as_str_or_null().map_err(encoded)?;
            digest.push_row(row.get(2)?, row.get_ref(0)?.as_str().map_err(encoded)?, mark);
            found = found.saturating_add(1);
        }
        Ok(Some((found, digest)))
    }

    fn returns(&self, covered: &Covered) -> Result<RowsDigest, LedgerError> {
        let mut digest = RowsDigest::new(covered.first);
        // A row whose claim is not marked as returned counts as missing.
        let mut statement = self.connection.prepare_cached(
            "SELECT r.number, r.claim, r.returned_at_ms, r.may_claim_again FROM claim_return r \
             JOIN claim c ON c.number = r.claim AND c.status = 1 \
             WHERE r.number BETWEEN ?1 AND ?2 ORDER BY r.number",
        )?;
        let mut rows = statement.query(range(covered)?)?;
        while let Some(row) = rows.next()? {
            let (number, claim, at_ms): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let again: bool = row.get(3)?;
            digest.push(&(number, claim, at_ms, again)).map_err(encoded)?;
        }
        Ok(digest)
    }

    fn quarantine(&self, covered: &Covered) -> Result<RowsDigest, LedgerError> {
        let mut digest = RowsDigest::new(covered.first);
        let mut statement = self.connection.prepare_cached(
            "SELECT number, shard, ms, seq, raw, reason FROM quarantine \
             WHERE number BETWEEN ?1 AND ?2 ORDER BY number",
        )?;
        let mut rows = statement.query(range(covered)?)?;
        while let Some(row) = rows.next()? {
            let (number, shard, ms, seq): (i64, u8, i64, i64) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let (raw, reason): (String, String) = (row.get(4)?, row.get(5)?);
            digest.push(&(number, shard, ms, seq, raw, reason)).map_err(encoded)?;
        }
        Ok(digest)
    }

    fn postings(&mut self, covered: &Covered) -> Result<RowsDigest, LedgerError> {
        let mut digest = RowsDigest::new(covered.first);
        let mut statement = self.connection.prepare_cached(
            "SELECT number, at_ms, campaign, drop_number, kind FROM posting \
             WHERE number BETWEEN ?1 AND ?2 ORDER BY number",
        )?;
        let mut line_statement = self
            .connection
            .prepare_cached("SELECT account, amount FROM posting_line WHERE posting = ?1 ORDER BY account")?;
        let mut rows = statement.query(range(covered)?)?;
        while let Some(row) = rows.next()? {
            let (number, at_ms, campaign): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (drop, kind): (Option<u32>, String) = (row.get(3)?, row.get(4)?);
            let lines = line_statement
                .query_map([number], |line| Ok((line.get(0)?, line.get(1)?)))?
                .collect::<Result<Vec<(String, i64)>, _>>()?;
            self.testimony.count_lines(u64::try_from(lines.len()).unwrap_or(u64::MAX));
            digest.push(&(number, at_ms, campaign, drop, kind, lines)).map_err(encoded)?;
        }
        Ok(digest)
    }

    /// What stands in the tables, counted.
    fn tables(&self) -> Result<Tables, LedgerError> {
        let mut claims_of = BTreeMap::new();
        for (key, series) in &self.series {
            claims_of.insert(*key, self.claims_of(*series)?);
        }
        let count = |sql: &str| unsigned(self.connection.query_row(sql, [], |row| row.get(0))?);
        Ok(Tables {
            claims_of,
            claims: count("SELECT count(*) FROM claim")?,
            returned: count("SELECT count(*) FROM claim WHERE status <> 0")?,
            returns: count(Numbered::Returns.rows())?,
            quarantine: count(Numbered::Quarantine.rows())?,
            postings: count(Numbered::Postings.rows())?,
            bonds: count(Numbered::Bonds.rows())?,
            documents: count(Numbered::Documents.rows())?,
            lines: count("SELECT count(*) FROM posting_line")?,
            loaded: count("SELECT count(*) FROM loaded")?,
            positions: self.positions()?,
            drops: self.drops()?,
            campaign_of: self.by_key(CAMPAIGN_OF)?,
            first_postings: self.first_postings()?,
            campaigns: self.campaigns()?,
            receipts: self.receipts()?,
            receipt_rows: count("SELECT count(*) FROM receipt")?,
            steps: count(Numbered::Steps.rows())?,
            astray: [
                ("counts of series", count(SERIES_DIFFER)?),
                ("counts of days", count(COUNTS_DIFFER)?),
                ("postings", count(MONEY_DIFFERS)?),
                ("closed periods", count(PERIODS_DIFFER)?),
                ("sums of accounts", count(ACCOUNTS_DIFFER)?),
                ("references of payments", count(REFERENCES_DIFFER)?),
                ("reversals of money", count(REVERSALS_DIFFER)?),
                ("places of the sweep", count(PLACES_DIFFER)?),
            ],
            passed_over: count(PASSED_OVER)?,
            periods: self.periods()?,
            ended: self.ended()?,
        })
    }

    fn claims_of(&self, series: i64) -> Result<u64, LedgerError> {
        let count = self
            .connection
            .prepare_cached("SELECT count(*) FROM claim WHERE number >= ?1 AND number < ?2")?
            .query_row([row_key(series, 0), row_key(series.saturating_add(1), 0)], |row| row.get(0))?;
        unsigned(count)
    }

    fn positions(&self) -> Result<BTreeMap<u8, String>, LedgerError> {
        let mut statement = self.connection.prepare_cached("SELECT shard FROM position")?;
        let shards = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<u8>, _>>()?;
        let position = |shard| Ok((shard, read::position(self.connection, Shard(shard))?.to_string()));
        shards.into_iter().map(position).collect()
    }

    fn drops(&self) -> Result<Vec<NumberedDrop>, LedgerError> {
        let mut statement =
            self.connection.prepare_cached("SELECT number, id, face FROM campaign_drop ORDER BY number")?;
        let drops = statement.query_map([], |row| {
            Ok(NumberedDrop { number: row.get(0)?, id: row.get(1)?, face: row.get(2)? })
        })?;
        Ok(drops.collect::<Result<_, _>>()?)
    }

    fn bonds(&self, covered: &Covered) -> Result<RowsDigest, LedgerError> {
        let mut digest = RowsDigest::new(covered.first);
        let mut statement = self.connection.prepare_cached(
            "SELECT number, at_ms, campaign, field, value FROM bond WHERE number BETWEEN ?1 AND ?2 ORDER BY number",
        )?;
        let mut rows = statement.query(range(covered)?)?;
        while let Some(row) = rows.next()? {
            let (number, at_ms, campaign): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (field, value): (String, String) = (row.get(3)?, row.get(4)?);
            digest.push(&(number, at_ms, campaign, field, value)).map_err(encoded)?;
        }
        Ok(digest)
    }

    fn receipts(&self) -> Result<BTreeMap<u64, String>, LedgerError> {
        let mut digests = BTreeMap::new();
        loop {
            let after = digests.last_key_value().map_or(0, |(number, _)| *number);
            let page = receipts::page(self.connection, after, limits::RECEIPTS_PAGE)?;
            if page.is_empty() {
                return Ok(digests);
            }
            for row in page {
                digests.insert(row.number, row.digest().map_err(encoded)?);
            }
        }
    }

    fn periods(&self) -> Result<BTreeMap<u64, String>, LedgerError> {
        let periods = life::periods(self.connection)?;
        periods.iter().map(|period| Ok((period.number, period.digest().map_err(encoded)?))).collect()
    }

    fn ended(&self) -> Result<BTreeMap<String, i64>, LedgerError> {
        self.by_key("SELECT id, ended_at_ms FROM campaign_end JOIN campaign ON number = campaign")
    }

    fn first_postings(&self) -> Result<BTreeMap<String, u64>, LedgerError> {
        let first: BTreeMap<String, i64> = self.by_key(FIRST_POSTINGS)?;
        first.into_iter().map(|(campaign, posting)| Ok((campaign, unsigned(posting)?))).collect()
    }

    /// The second column of a query by its first.
    fn by_key<K: FromSql + Ord, V: FromSql>(&self, sql: &str) -> Result<BTreeMap<K, V>, LedgerError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn campaigns(&self) -> Result<BTreeMap<String, (String, String)>, LedgerError> {
        let mut statement = self.connection.prepare_cached("SELECT id, body, state FROM campaign")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let mut stored = BTreeMap::new();
        for row in rows {
            let (id, body, state): (String, String, String) = row?;
            let digest =
                Campaign::from_canonical(&body).and_then(|campaign| campaign.digest()).map_err(encoded)?;
            stored.insert(id, (digest, state));
        }
        Ok(stored)
    }
}

fn range(covered: &Covered) -> Result<[i64; 2], LedgerError> {
    let first = signed(covered.first)?;
    Ok([first, first.saturating_add(signed(covered.count)?).saturating_sub(1)])
}
