//! The end of an audit walk: what stands in the tables although no record speaks of it.

use std::collections::{BTreeMap, HashMap};

use super::books::Numbered;
use super::verify::Verifier;
use super::{encoded, read, unsigned};
use crate::domain::campaign::Campaign;
use crate::domain::ids::Shard;
use crate::ledger::LedgerError;
use crate::ledger::sections::row_key;
use crate::ledger::chain::{NumberedDrop, SeriesKey};

impl Verifier<'_> {
    /// What stands in the tables and under no record, if anything.
    pub(super) fn left_over(&self) -> Result<Option<String>, LedgerError> {
        let covered: HashMap<SeriesKey, u64> = self.coverage.counts().collect();
        for (key, series) in &self.series {
            let (found, known) = (self.claims_of(*series)?, covered.get(key).copied().unwrap_or(0));
            if found != known {
                let (drop, shard, epoch) = key;
                let series = format!("drop {drop} in s{shard}, epoch {epoch}");
                return Ok(Some(format!("{series}: {found} claims stand there, the records cover {known}")));
            }
        }
        let in_series: u64 = covered.values().sum();
        let tables = [
            ("claims", "SELECT count(*) FROM claim", in_series),
            ("returned claims", "SELECT count(*) FROM claim WHERE status <> 0", self.returns),
            ("returns", Numbered::Returns.last(), self.returns),
            ("quarantined entries", Numbered::Quarantine.last(), self.quarantine),
            ("postings", Numbered::Postings.last(), self.postings),
            ("posting lines", "SELECT count(*) FROM posting_line", self.lines),
            ("loaded drops", "SELECT count(*) FROM loaded", self.loaded),
        ];
        for (what, sql, known) in tables {
            let found = unsigned(self.connection.query_row(sql, [], |row| row.get(0))?)?;
            if found != known {
                return Ok(Some(format!("{found} {what} stand there, the records cover {known}")));
            }
        }
        for (shard, to) in &self.positions {
            let position = read::position(self.connection, Shard(*shard))?.to_string();
            if position != *to {
                return Ok(Some(format!("s{shard} stands at {position}, the records end at {to}")));
            }
        }
        let mut statement =
            self.connection.prepare_cached("SELECT number, id, face FROM campaign_drop ORDER BY number")?;
        let drops = statement
            .query_map([], |row| {
                Ok(NumberedDrop { number: row.get(0)?, id: row.get(1)?, face: row.get(2)? })
            })?
            .collect::<Result<Vec<_>, _>>()?;
        if drops != self.drops {
            return Ok(Some("the drops' numbers or faces are not what was recorded".to_owned()));
        }
        self.campaigns_left_over()
    }

    fn claims_of(&self, series: i64) -> Result<u64, LedgerError> {
        let count = self
            .connection
            .prepare_cached("SELECT count(*) FROM claim WHERE number >= ?1 AND number < ?2")?
            .query_row([row_key(series, 0), row_key(series.saturating_add(1), 0)], |row| row.get(0))?;
        unsigned(count)
    }

    fn campaigns_left_over(&self) -> Result<Option<String>, LedgerError> {
        let mut statement = self.connection.prepare_cached("SELECT id, body, state FROM campaign")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let mut stored = BTreeMap::new();
        for row in rows {
            let (id, body, state): (String, String, String) = row?;
            let digest =
                Campaign::from_canonical(&body).and_then(|campaign| campaign.digest()).map_err(encoded)?;
            stored.insert(id, (digest, state));
        }
        let same = |(id, known): (&String, &(String, &str))| {
            stored.get(id).is_some_and(|(digest, state)| (digest, state.as_str()) == (&known.0, known.1))
        };
        match self.campaigns.iter().find(|campaign| !same(*campaign)) {
            Some((id, _)) => Ok(Some(format!("campaign {id:?} is not what was recorded"))),
            None => Ok((stored.len() != self.campaigns.len()).then(|| "a campaign has no record".to_owned())),
        }
    }
}
