//! What the records of an audit chain, taken together, say must stand in the tables.
//!
//! Owns the order in which records may follow each other, what each of them demands of the rows, and what must not
//! stand there although no record speaks of it. Pure: a store reads the rows, this says what they have to be.

use std::collections::BTreeMap;

use super::admission::state_word;
use super::chain::{ClaimsDigest, Content, Coverage, Covered, NumberedDrop, RowsDigest, Section, SeriesKey};
use super::documents::DocumentTestimony;
use crate::clock::UnixMs;
use crate::domain::claim::JournalId;
use crate::domain::count::counted;

/// The campaign of each drop, by the drop's number.
pub(super) const CAMPAIGN_OF: &str =
    "SELECT d.number, c.id FROM campaign_drop d JOIN campaign c ON c.number = d.campaign";

/// The number of the first posting that gave each campaign a budget.
pub(super) const FIRST_POSTINGS: &str = "SELECT c.id, min(p.number) FROM campaign c \
     JOIN posting p ON p.campaign = c.number WHERE p.kind = 'budget' GROUP BY c.id";

/// What the tables have to show for one record.
#[derive(Debug)]
pub(super) enum Demand<'r> {
    /// That a drop is noted as loaded, with what it carried over: nothing but after a rebuild.
    Loaded { drop: u32, shard: u8, epoch: u16, carried: u64 },
    /// Claims.
    Section { shard: u8, section: &'r Section },
    /// Returns, each of a claim that is marked as returned.
    Returns(&'r Covered),
    /// Quarantined entries.
    Quarantine(&'r Covered),
    /// Postings with their lines.
    Postings(&'r Covered),
    /// Bonds.
    Bonds(&'r Covered),
    /// The row of a document's change, with this digest.
    Document { number: u64, sha256: &'r str },
    /// Steps.
    Steps(&'r Covered),
}

/// What the records so far have said.
#[derive(Debug, Default)]
pub(super) struct Testimony {
    coverage: Coverage,
    returns: u64,
    quarantine: u64,
    postings: u64,
    bonds: u64,
    steps: u64,
    lines: u64,
    loaded: u64,
    positions: BTreeMap<u8, String>,
    drops: Vec<NumberedDrop>,
    /// The campaign of each drop, by the drop's number.
    campaign_of: BTreeMap<u32, String>,
    /// The number of each campaign's first posting.
    first_postings: BTreeMap<String, u64>,
    /// Digest and state by campaign.
    campaigns: BTreeMap<String, (String, &'static str)>,
    /// Digest by receipt.
    receipts: BTreeMap<u64, String>,
    documents: DocumentTestimony,
    /// Digest by period.
    periods: BTreeMap<u64, String>,
    /// When campaigns ended.
    ended: BTreeMap<String, UnixMs>,
}

/// What stands in the tables at the end.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// Rows of claims by series.
    pub(super) claims_of: BTreeMap<SeriesKey, u64>,
    /// Rows of claims, whatever their series.
    pub(super) claims: u64,
    /// Of these the ones that are marked as returned.
    pub(super) returned: u64,
    /// Rows of returns, whatever their numbers, as all that follow.
    pub(super) returns: u64,
    /// Quarantined entries.
    pub(super) quarantine: u64,
    /// Postings.
    pub(super) postings: u64,
    /// Bonds.
    pub(super) bonds: u64,
    /// Changes of documents.
    pub(super) documents: u64,
    /// Steps.
    pub(super) steps: u64,
    /// Orphan receipts.
    pub(super) receipt_rows: u64,
    /// Rows that are not what claims, steps and postings add up to: counts of series, counts of days, postings, balances of closed
    /// periods, sums of accounts, references of payments, reversals of money, places of the sweep over ended vouchers.
    pub(super) astray: [(&'static str, u64); 8],
    /// Vouchers that stand issued, and that the sweep over ended ones has passed.
    pub(super) passed_over: u64,
    /// Rows of posting lines.
    pub(super) lines: u64,
    /// Rows of (drop, shard, epoch).
    pub(super) loaded: u64,
    /// By shard.
    pub(super) positions: BTreeMap<u8, String>,
    /// In order of their numbers.
    pub(super) drops: Vec<NumberedDrop>,
    /// The campaign of each drop, by the drop's number.
    pub(super) campaign_of: BTreeMap<u32, String>,
    /// The number of the first posting that gave each campaign a budget.
    pub(super) first_postings: BTreeMap<String, u64>,
    /// Digest and state by campaign.
    pub(super) campaigns: BTreeMap<String, (String, String)>,
    /// Digest by receipt.
    pub(super) receipts: BTreeMap<u64, String>,
    /// Digest by period.
    pub(super) periods: BTreeMap<u64, String>,
    /// When campaigns ended.
    pub(super) ended: BTreeMap<String, UnixMs>,
}

impl Testimony {
    /// Takes the next record; what the tables have to show for it.
    ///
    /// # Errors
    /// What is wrong with the record itself.
    pub(super) fn take<'r>(&mut self, content: &'r Content) -> Result<Vec<Demand<'r>>, String> {
        match content {
            Content::Campaign { campaign, before, after, drops, postings } => {
                self.drops.extend_from_slice(drops);
                self.campaign_of.extend(drops.iter().map(|drop| (drop.number, campaign.clone())));
                // Postings and steps know a campaign by its row's number: the first posting says which that is.
                self.first_postings.entry(campaign.clone()).or_insert(postings.first);
                let known = self.campaigns.get(campaign);
                if known.map(|(digest, _)| digest) != before.as_ref() {
                    return Err(format!("campaign {campaign:?} was not what it is said to have been"));
                }
                let state = known.map_or("running", |(_, state)| *state);
                self.campaigns.insert(campaign.clone(), (after.clone(), state));
                follows(&mut self.postings, postings, "its postings do not follow those")?;
                Ok(vec![Demand::Postings(postings)])
            }
            Content::State { campaign, state } => {
                let known = self.campaigns.get_mut(campaign);
                let known = known
                    .ok_or_else(|| format!("campaign {campaign:?} has no state before it is applied"))?;
                known.1 = state_word(*state).ok_or_else(|| "an end has a record of its own".to_owned())?;
                Ok(Vec::new())
            }
            Content::Ended { campaign, ended_at_ms } => {
                self.ended.insert(campaign.clone(), *ended_at_ms);
                Ok(Vec::new())
            }
            Content::Loaded { drop, shard, epoch } => {
                self.loaded = self.loaded.saturating_add(1);
                Ok(vec![Demand::Loaded { drop: *drop, shard: *shard, epoch: *epoch, carried: 0 }])
            }
            Content::Rebuilt { drop, shard, epoch, carried, .. } => {
                self.loaded = self.loaded.saturating_add(1);
                let (drop, shard, epoch) = (*drop, *shard, *epoch);
                Ok(vec![Demand::Loaded { drop, shard, epoch, carried: *carried }])
            }
            Content::Bonds { rows } => {
                follows(&mut self.bonds, rows, "its bonds do not follow those")?;
                Ok(vec![Demand::Bonds(rows)])
            }
            Content::Steps { steps, postings } => {
                follows(&mut self.steps, steps, "its steps do not follow those")?;
                follows(&mut self.postings, postings, "its postings do not follow those")?;
                Ok(vec![Demand::Steps(steps), Demand::Postings(postings)])
            }
            Content::Period { number, sha256 } => {
                self.periods.insert(*number, sha256.clone());
                Ok(Vec::new())
            }
            Content::Receipt { number, sha256 } => {
                self.receipts.insert(*number, sha256.clone());
                Ok(Vec::new())
            }
            Content::Document { number, kind, id, revision, before, after } => {
                let (at, digests) = ((*number, *revision), (before.as_ref(), after.as_str()));
                self.documents.take((kind, id), at, digests)?;
                Ok(vec![Demand::Document { number: *number, sha256: after }])
            }
            Content::Journal { shard, after, to, claims, returns, quarantine, postings } => {
                let start = JournalId::START.to_string();
                if self.positions.get(shard).unwrap_or(&start) != after {
                    return Err(format!("the journal of s{shard} does not go on from {after}"));
                }
                self.positions.insert(*shard, to.clone());
                let mut demands = Vec::with_capacity(claims.len().saturating_add(3));
                for section in claims {
                    if !self.coverage.add(*shard, section) {
                        let called = called(*shard, section);
                        return Err(format!("{called}: another record covers some of them too"));
                    }
                    demands.push(Demand::Section { shard: *shard, section });
                }
                follows(&mut self.returns, returns, "its returns do not follow those")?;
                follows(&mut self.quarantine, quarantine, "its quarantine does not follow that")?;
                follows(&mut self.postings, postings, "its postings do not follow those")?;
                demands.extend([
                    Demand::Returns(returns),
                    Demand::Quarantine(quarantine),
                    Demand::Postings(postings),
                ]);
                Ok(demands)
            }
        }
    }

    /// Adds the lines of the postings that were just looked at.
    pub(super) fn count_lines(&mut self, lines: u64) {
        self.lines = self.lines.saturating_add(lines);
    }

    /// What stands in the tables and under no record, or the other way round, if anything.
    pub(super) fn left_over(&self, tables: &Tables) -> Option<String> {
        let covered: BTreeMap<SeriesKey, u64> = self.coverage.counts().collect();
        for (key, found) in &tables.claims_of {
            let known = covered.get(key).copied().unwrap_or(0);
            if *found != known {
                let (drop, shard, epoch) = key;
                let series = format!("drop {drop} in s{shard}, epoch {epoch}");
                return Some(format!("{series}: {found} claims stand there, the records cover {known}"));
            }
        }
        let counts = [
            ("claims", tables.claims, covered.values().sum()),
            ("returned claims", tables.returned, self.returns),
            ("returns", tables.returns, self.returns),
            ("quarantined entries", tables.quarantine, self.quarantine),
            ("postings", tables.postings, self.postings),
            ("posting lines", tables.lines, self.lines),
            ("bonds", tables.bonds, self.bonds),
            ("document changes", tables.documents, self.documents.count()),
            ("steps", tables.steps, self.steps),
            ("loaded drops", tables.loaded, self.loaded),
            ("orphan receipts", tables.receipt_rows, u64::try_from(self.receipts.len()).unwrap_or(u64::MAX)),
        ];
        if let Some((what, found, known)) = counts.into_iter().find(|(_, found, known)| found != known) {
            return Some(format!("{found} {what} stand there, the records cover {known}"));
        }
        let start = JournalId::START.to_string();
        for (shard, to) in &self.positions {
            let found = tables.positions.get(shard).unwrap_or(&start);
            if found != to {
                return Some(format!("s{shard} stands at {found}, the records end at {to}"));
            }
        }
        if tables.positions.len() != self.positions.len() {
            return Some("a shard has a position and no record".to_owned());
        }
        if tables.drops != self.drops {
            return Some("the drops' numbers or faces are not what was recorded".to_owned());
        }
        if (&tables.campaign_of, &tables.first_postings) != (&self.campaign_of, &self.first_postings) {
            return Some("the drops or postings of a campaign are not what was recorded".to_owned());
        }
        if let Some((what, rows)) = tables.astray.iter().find(|(_, rows)| *rows > 0) {
            return Some(format!("{rows} {what} are not what claims, steps and postings add up to"));
        }
        if tables.passed_over > 0 {
            let passed = counted(tables.passed_over, "voucher stands", "vouchers stand");
            return Some(format!(
                "{passed} issued where the sweep over ended ones has passed, and would never end"
            ));
        }
        if tables.ended != self.ended {
            return Some("the ends of campaigns are not what was recorded".to_owned());
        }
        if tables.receipts != self.receipts {
            return Some("the orphan receipts are not what was recorded".to_owned());
        }
        if tables.periods != self.periods {
            return Some("the closed periods are not what was recorded".to_owned());
        }
        let same = |(id, known): &(&String, &(String, &str))| {
            let stored = tables.campaigns.get(*id);
            stored.is_some_and(|(digest, state)| (digest, state.as_str()) == (&known.0, known.1))
        };
        match self.campaigns.iter().find(|campaign| !same(campaign)) {
            Some((id, _)) => Some(format!("campaign {id:?} is not what was recorded")),
            None => (tables.campaigns.len() != self.campaigns.len())
                .then(|| "a campaign has no record".to_owned()),
        }
    }
}

/// Whether numbered rows go on where those of the record before ended.
fn follows(last: &mut u64, covered: &Covered, what: &str) -> Result<(), String> {
    if covered.first != last.saturating_add(1) {
        return Err(format!("{what} of the record before"));
    }
    *last = last.saturating_add(covered.count);
    Ok(())
}

fn called(shard: u8, section: &Section) -> String {
    let Section { drop, first_seq, count, .. } = section;
    let last = first_seq.saturating_add(count.saturating_sub(1));
    format!("claims {first_seq} to {last} of drop {drop} in s{shard}")
}

/// What is wrong with the rows of a section: `found` of them, with this digest. Nothing of either where its series
/// does not exist.
pub(super) fn section_differs(
    shard: u8,
    section: &Section,
    rows: Option<(u32, ClaimsDigest)>,
) -> Option<String> {
    let called = called(shard, section);
    match rows {
        None => Some(format!("{called}: there are none")),
        Some((found, _)) if found != section.count => {
            Some(format!("{called}: {found} rows instead of {}", section.count))
        }
        Some((_, digest)) => (digest.finish() != section.sha256)
            .then(|| format!("{called}: the rows are not those that were recorded")),
    }
}

/// What is wrong with numbered rows, if anything.
pub(super) fn rows_differ(digest: RowsDigest, covered: &Covered, what: &str) -> Option<String> {
    let found = digest.finish();
    if found.count == covered.count {
        return (found.sha256 != covered.sha256)
            .then(|| format!("its {what} are not those that were recorded"));
    }
    Some(format!("{} of its {} {what} stand there", found.count, covered.count))
}

/// What is wrong with a note that a drop was loaded: `found` is what it says was carried over, nothing where there
/// is no note.
pub(super) fn loaded_differs(
    (drop, shard, epoch): SeriesKey,
    carried: u64,
    found: Option<u64>,
) -> Option<String> {
    match found {
        None => Some(format!("drop {drop} is no longer noted as loaded in s{shard}")),
        Some(found) if found != carried => {
            Some(format!("epoch {epoch} of drop {drop} in s{shard} is not what was recorded"))
        }
        Some(_) => None,
    }
}
