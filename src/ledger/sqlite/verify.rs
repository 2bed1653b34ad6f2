//! Walking the audit chain: every record's hash, every row that it covers, and that no row is left over.
//!
//! Rows are read one by one in order of their keys, so memory does not grow with their number.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, params};

use super::{encoded, signed, unsigned};
use crate::domain::claim::JournalId;
use crate::ledger::admission::state_word;
use crate::ledger::chain::{
    ClaimsDigest, Content, Coverage, Covered, NumberedDrop, Record, RowsDigest, Section, SeriesKey, Walk,
};
use crate::ledger::sections::row_key;
use crate::ledger::{ChainBreak, ChainHead, LedgerError};

/// Why the walk ends early.
enum Stop {
    Broken(ChainBreak),
    Failed(LedgerError),
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        Self::Failed(error)
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// See [`crate::ledger::Ledger::verify_chain`].
pub(super) fn verify(connection: &mut Connection) -> Result<Result<ChainHead, ChainBreak>, LedgerError> {
    // One snapshot for the whole walk; the drain may go on writing meanwhile.
    let snapshot = connection.transaction()?;
    let mut verifier = Verifier::new(&snapshot)?;
    match verifier.walk() {
        Ok(head) => Ok(Ok(head)),
        Err(Stop::Broken(broken)) => Ok(Err(broken)),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// What the records so far have said.
pub(super) struct Verifier<'c> {
    pub(super) connection: &'c Connection,
    pub(super) series: HashMap<SeriesKey, i64>,
    pub(super) coverage: Coverage,
    pub(super) returns: u64,
    pub(super) quarantine: u64,
    pub(super) postings: u64,
    pub(super) lines: u64,
    pub(super) loaded: u64,
    pub(super) positions: BTreeMap<u8, String>,
    pub(super) drops: Vec<NumberedDrop>,
    /// Digest and state by campaign.
    pub(super) campaigns: BTreeMap<String, (String, &'static str)>,
}

impl<'c> Verifier<'c> {
    fn new(connection: &'c Connection) -> Result<Self, LedgerError> {
        let mut statement =
            connection.prepare_cached("SELECT drop_number, shard, epoch, number FROM series")?;
        let rows = statement
            .query_map([], |row| Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?)))?
            .collect::<Result<_, _>>()?;
        Ok(Self {
            connection,
            series: rows,
            coverage: Coverage::default(),
            returns: 0,
            quarantine: 0,
            postings: 0,
            lines: 0,
            loaded: 0,
            positions: BTreeMap::new(),
            drops: Vec::new(),
            campaigns: BTreeMap::new(),
        })
    }

    fn walk(&mut self) -> Result<ChainHead, Stop> {
        let mut walk = Walk::default();
        let mut statement =
            self.connection.prepare("SELECT number, body, hash FROM audit ORDER BY number")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let index = unsigned(row.get(0)?)?;
            let record = Record { index, body: row.get(1)?, hash: row.get(2)? };
            let content = walk.step(&record).map_err(Stop::Broken)?;
            if let Some(what) = self.check(&content)? {
                return Err(Stop::Broken(ChainBreak { index, what }));
            }
        }
        let head = walk.head();
        match self.left_over()? {
            None => Ok(head),
            Some(what) => Err(Stop::Broken(ChainBreak { index: head.length.saturating_add(1), what })),
        }
    }

    /// What is wrong with the rows of a record, if anything.
    fn check(&mut self, content: &Content) -> Result<Option<String>, LedgerError> {
        match content {
            Content::Campaign { campaign, before, after, drops, postings } => {
                self.drops.extend_from_slice(drops);
                let known = self.campaigns.get(campaign);
                if known.map(|(digest, _)| digest) != before.as_ref() {
                    return Ok(Some(format!("campaign {campaign:?} was not what it is said to have been")));
                }
                let state = known.map_or("running", |(_, state)| *state);
                self.campaigns.insert(campaign.clone(), (after.clone(), state));
                self.check_postings(postings)
            }
            Content::State { campaign, state } => {
                let known = self.campaigns.get_mut(campaign);
                Ok(match known {
                    Some(known) => {
                        known.1 = state_word(*state);
                        None
                    }
                    None => Some(format!("campaign {campaign:?} has no state before it is applied")),
                })
            }
            Content::Loaded { drop, shard, epoch } => {
                self.loaded = self.loaded.saturating_add(1);
                let found = self
                    .connection
                    .prepare_cached(
                        "SELECT 1 FROM loaded WHERE drop_number = ?1 AND shard = ?2 AND epoch = ?3",
                    )?
                    .query_row(params![drop, shard, epoch], |_| Ok(()))
                    .optional()?;
                Ok(found.is_none().then(|| format!("drop {drop} is no longer noted as loaded in s{shard}")))
            }
            Content::Journal { shard, after, to, claims, returns, quarantine, postings } => {
                let start = JournalId::START.to_string();
                if self.positions.get(shard).unwrap_or(&start) != after {
                    return Ok(Some(format!("the journal of s{shard} does not go on from {after}")));
                }
                self.positions.insert(*shard, to.clone());
                for section in claims {
                    if let Some(what) = self.check_section(*shard, section)? {
                        return Ok(Some(what));
                    }
                }
                if let Some(what) = self.check_returns(returns)? {
                    return Ok(Some(what));
                }
                if let Some(what) = self.check_quarantine(quarantine)? {
                    return Ok(Some(what));
                }
                self.check_postings(postings)
            }
        }
    }

    fn check_section(&mut self, shard: u8, section: &Section) -> Result<Option<String>, LedgerError> {
        let Section { drop, epoch, first_seq, count, sha256 } = section;
        let called = format!(
            "claims {first_seq} to {} of drop {drop} in s{shard}",
            first_seq.saturating_add(count.saturating_sub(1))
        );
        if !self.coverage.add(shard, section) {
            return Ok(Some(format!("{called}: another record covers some of them too")));
        }
        let Some(series) = self.series.get(&(*drop, shard, *epoch)) else {
            return Ok(Some(format!("{called}: there are none")));
        };
        let mut digest = ClaimsDigest::default();
        let mut found = 0_u32;
        let first = row_key(*series, *first_seq);
        let mut statement = self.connection.prepare_cached(
            "SELECT person, mark, claimed_at_ms FROM claim WHERE number BETWEEN ?1 AND ?2 ORDER BY number",
        )?;
        let mut rows = statement.query([first, first.saturating_add(i64::from(*count) - 1)])?;
        while let Some(row) = rows.next()? {
            let mark = row.get_ref(1)?.as_str_or_null().map_err(encoded)?;
            digest.push_row(row.get(2)?, row.get_ref(0)?.as_str().map_err(encoded)?, mark);
            found = found.saturating_add(1);
        }
        if found != *count {
            return Ok(Some(format!("{called}: {found} rows instead of {count}")));
        }
        Ok((digest.finish() != *sha256)
            .then(|| format!("{called}: the rows are not those that were recorded")))
    }

    fn check_returns(&mut self, covered: &Covered) -> Result<Option<String>, LedgerError> {
        if covered.first != self.returns.saturating_add(1) {
            return Ok(Some("its returns do not follow those of the record before".to_owned()));
        }
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
        self.returns = self.returns.saturating_add(covered.count);
        Ok(differs(digest, covered, "returns"))
    }

    fn check_quarantine(&mut self, covered: &Covered) -> Result<Option<String>, LedgerError> {
        if covered.first != self.quarantine.saturating_add(1) {
            return Ok(Some("its quarantine does not follow that of the record before".to_owned()));
        }
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
        self.quarantine = self.quarantine.saturating_add(covered.count);
        Ok(differs(digest, covered, "quarantine"))
    }

    fn check_postings(&mut self, covered: &Covered) -> Result<Option<String>, LedgerError> {
        if covered.first != self.postings.saturating_add(1) {
            return Ok(Some("its postings do not follow those of the record before".to_owned()));
        }
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
            self.lines = self.lines.saturating_add(u64::try_from(lines.len()).unwrap_or(u64::MAX));
            digest.push(&(number, at_ms, campaign, drop, kind, lines)).map_err(encoded)?;
        }
        self.postings = self.postings.saturating_add(covered.count);
        Ok(differs(digest, covered, "postings"))
    }
}

fn range(covered: &Covered) -> Result<[i64; 2], LedgerError> {
    let first = signed(covered.first)?;
    Ok([first, first.saturating_add(signed(covered.count)?).saturating_sub(1)])
}

fn differs(digest: RowsDigest, covered: &Covered, what: &str) -> Option<String> {
    let found = digest.finish();
    if found.count == covered.count {
        return (found.sha256 != covered.sha256)
            .then(|| format!("its {what} are not those that were recorded"));
    }
    Some(format!("{} of its {} {what} stand there", found.count, covered.count))
}
