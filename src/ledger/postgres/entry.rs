//! What a group's entries come to, decided in memory before anything is written.
//!
//! Owns the rules by which an entry is accepted, passed over or put in quarantine, each entry whole. Reads and
//! writes nothing: `write` loads what is known and stores what was decided.

use std::collections::{HashMap, HashSet};

use crate::clock::UnixMs;
use crate::domain::claim::{JournalEntry, JournalEvent, JournalId, Poison, Takers};
use crate::domain::ids::{DropId, DropNumber, Epoch, Shard};
use crate::domain::life::State;
use crate::ledger::LedgerError;
use crate::ledger::chain::RowsDigest;
use crate::ledger::sections::{Sections, row_key};
use crate::ledger::taken::{check_takers, cut, may_return, raw_text};
use crate::ledger::totals::{DropFacts, Totals};
use crate::limits;

use super::{encoded, number};

/// A claim as its row holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) person: String,
    pub(super) mark: Option<String>,
    pub(super) claimed_at_ms: UnixMs,
    pub(super) returned: bool,
    /// How its voucher or hold stands, where a step was taken with it.
    pub(super) state: Option<State>,
}

/// What the tables say of all that a group names.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) drops: HashMap<DropId, DropFacts>,
    pub(super) series: HashMap<(DropNumber, Epoch), i64>,
    pub(super) series_last: i64,
    /// By row key. Nothing where the group is taken on trust.
    pub(super) claims: HashMap<i64, Stored>,
    pub(super) quarantined: HashSet<JournalId>,
}

/// A row of claims to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewClaim<'g> {
    pub(super) key: i64,
    pub(super) claimed_at_ms: UnixMs,
    pub(super) person: &'g str,
    pub(super) mark: Option<&'g str>,
}

/// A row of returns to be written, as it is digested too.
pub(super) type NewReturn = (i64, i64, UnixMs, bool);

/// An entry for the quarantine.
#[derive(Debug)]
pub(super) struct NewPoison {
    pub(super) number: i64,
    pub(super) id: JournalId,
    pub(super) raw: String,
    pub(super) reason: String,
}

/// What has been decided so far.
#[derive(Debug)]
pub(super) struct Plan<'g> {
    shard: Shard,
    known: Known,
    /// Whether every claim is taken to be new, which the writing finds out.
    on_trust: bool,
    pub(super) claims: Vec<NewClaim<'g>>,
    /// Where in `claims` a row key stands; nothing on trust.
    places: HashMap<i64, usize>,
    pub(super) new_returns: Vec<NewReturn>,
    returned: HashSet<i64>,
    pub(super) new_series: Vec<(i64, DropNumber, Epoch)>,
    pub(super) poisons: Vec<NewPoison>,
    pub(super) effects: Effects,
}

/// The part of a plan that is copied before each entry, to go back to where the entry cannot be accepted.
#[derive(Debug, Clone)]
pub(super) struct Effects {
    pub(super) sections: Sections,
    pub(super) totals: Totals,
    pub(super) returns: RowsDigest,
    pub(super) quarantine: RowsDigest,
}

/// Why an event is not accepted.
#[derive(Debug)]
pub(super) enum Trouble {
    /// For the reason that will stand in quarantine.
    Rejected(String),
    /// What is stored cannot be.
    Failed(LedgerError),
}

impl From<String> for Trouble {
    fn from(reason: String) -> Self {
        Self::Rejected(reason)
    }
}

impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Self {
        Self::Failed(error)
    }
}

impl<'g> Plan<'g> {
    pub(super) fn new(
        shard: Shard,
        known: Known,
        on_trust: bool,
        [returns, quarantine]: [RowsDigest; 2],
    ) -> Self {
        let effects =
            Effects { sections: Sections::default(), totals: Totals::default(), returns, quarantine };
        Self {
            shard,
            known,
            on_trust,
            claims: Vec::new(),
            places: HashMap::new(),
            new_returns: Vec::new(),
            returned: HashSet::new(),
            new_series: Vec::new(),
            poisons: Vec::new(),
            effects,
        }
    }

    /// Decides an entry.
    ///
    /// # Errors
    /// On trust also [`Trouble::Rejected`]: the group is then decided again with care.
    pub(super) fn entry(&mut self, entry: &'g JournalEntry) -> Result<(), Trouble> {
        let events = match &entry.content {
            Ok(events) => events,
            Err(poison) => return Ok(self.quarantine(entry.id, poison)?),
        };
        if self.on_trust {
            return events.iter().try_for_each(|event| self.event(event));
        }
        let before = self.effects.clone();
        let (claims, returns, series) = (self.claims.len(), self.new_returns.len(), self.new_series.len());
        match events.iter().try_for_each(|event| self.event(event)) {
            Err(Trouble::Rejected(reason)) => {
                self.effects = before;
                for claim in self.claims.drain(claims..) {
                    self.places.remove(&claim.key);
                }
                for (_, claim, ..) in self.new_returns.drain(returns..) {
                    self.returned.remove(&claim);
                }
                for (_, drop, epoch) in self.new_series.drain(series..) {
                    self.known.series.remove(&(drop, epoch));
                    self.known.series_last -= 1;
                }
                Ok(self.quarantine(entry.id, &Poison { raw: raw_text(events), reason })?)
            }
            other => other,
        }
    }

    fn event(&mut self, event: &'g JournalEvent) -> Result<(), Trouble> {
        match event {
            JournalEvent::Claimed { drop, epoch, claimed_at_ms, first_seq, takers } => {
                let facts = self.facts(drop)?;
                check_takers(takers)?;
                let last = first_seq.checked_add(takers.count().saturating_sub(1));
                if *first_seq == 0 || last.is_none() {
                    return Err(format!("claim numbers from {first_seq} on do not exist").into());
                }
                self.claimed(facts, *epoch, *first_seq, *claimed_at_ms, takers)
            }
            JournalEvent::Returned { drop, epoch, seq, person, returned_at_ms, may_claim_again } => {
                let facts = self.facts(drop)?;
                let series = self.known.series.get(&(facts.number, *epoch)).copied();
                let series = series.ok_or_else(|| not_there(*seq))?;
                if self.is_returned_by(series, *seq, person)? {
                    return Ok(());
                }
                let row: NewReturn = (
                    number(self.effects.returns.next_number())?,
                    row_key(series, *seq),
                    *returned_at_ms,
                    *may_claim_again,
                );
                self.effects.returns.push(&row).map_err(encoded)?;
                self.effects.totals.returned(facts, series, *may_claim_again)?;
                self.returned.insert(row.1);
                self.new_returns.push(row);
                Ok(())
            }
        }
    }

    fn facts(&self, drop: &DropId) -> Result<DropFacts, Trouble> {
        let facts = self.known.drops.get(drop).copied();
        Ok(facts.ok_or_else(|| format!("there is no drop {:?}", drop.as_str()))?)
    }

    fn claimed(
        &mut self,
        facts: DropFacts,
        epoch: Epoch,
        first_seq: u32,
        claimed_at_ms: UnixMs,
        takers: &'g Takers,
    ) -> Result<(), Trouble> {
        let series = self.series(facts.number, epoch);
        let mut written = 0;
        for (seq, (person, mark)) in (first_seq..=u32::MAX).zip(takers.iter()) {
            let claim = NewClaim { key: row_key(series, seq), claimed_at_ms, person, mark };
            if self.on_trust {
                self.claims.push(claim);
            } else if self.is_new(claim)? {
                self.places.insert(claim.key, self.claims.len());
                self.claims.push(claim);
                self.effects.sections.open(facts.number, epoch, seq, 1).push_row(claimed_at_ms, person, mark);
                written += 1;
            }
        }
        if self.on_trust {
            written = takers.count();
            let digest = self.effects.sections.open(facts.number, epoch, first_seq, written);
            digest.push(claimed_at_ms, takers.as_str());
        }
        Ok(self.effects.totals.claimed(facts, series, written)?)
    }

    /// The number of a series, given on its first use.
    fn series(&mut self, drop: DropNumber, epoch: Epoch) -> i64 {
        if let Some(series) = self.known.series.get(&(drop, epoch)) {
            return *series;
        }
        self.known.series_last += 1;
        self.known.series.insert((drop, epoch), self.known.series_last);
        self.new_series.push((self.known.series_last, drop, epoch));
        self.known.series_last
    }

    /// Whether nobody holds the number; `false` where this very claim stands there, word for word.
    fn is_new(&self, claim: NewClaim<'_>) -> Result<bool, Trouble> {
        let NewClaim { key, claimed_at_ms, person, mark } = claim;
        let same = match (self.known.claims.get(&key), self.places.get(&key)) {
            (Some(stored), _) => {
                (stored.claimed_at_ms, stored.person.as_str(), stored.mark.as_deref())
                    == (claimed_at_ms, person, mark)
            }
            (None, Some(place)) => self.claims.get(*place).is_some_and(|other| {
                (other.claimed_at_ms, other.person, other.mark) == (claimed_at_ms, person, mark)
            }),
            (None, None) => return Ok(true),
        };
        if same {
            return Ok(false);
        }
        Err(format!("claim number {} is already held by another claim", key & 0xffff_ffff).into())
    }

    /// Whether a claim that this person holds went back before.
    fn is_returned_by(&self, series: i64, seq: u32, person: &str) -> Result<bool, Trouble> {
        let key = row_key(series, seq);
        let stored = self.known.claims.get(&key);
        let new = self.places.get(&key).and_then(|place| self.claims.get(*place));
        let holder = stored.map(|stored| stored.person.as_str()).or(new.map(|new| new.person));
        match holder {
            None => Err(not_there(seq).into()),
            Some(holder) if holder != person => {
                Err(format!("returns claim {seq}, which somebody else holds").into())
            }
            Some(_) if stored.is_some_and(|stored| stored.returned) || self.returned.contains(&key) => {
                Ok(true)
            }
            Some(_) => {
                stored.and_then(|stored| stored.state).map_or(Ok(()), |state| may_return(seq, state))?;
                Ok(false)
            }
        }
    }

    /// Keeps an entry that cannot be accepted, once.
    fn quarantine(&mut self, id: JournalId, poison: &Poison) -> Result<(), LedgerError> {
        if !self.known.quarantined.insert(id) {
            return Ok(());
        }
        let at: i64 = number(self.effects.quarantine.next_number())?;
        let raw = cut(&poison.raw, limits::POISON_BYTES_MAX);
        let reason = cut(&poison.reason, limits::POISON_BYTES_MAX);
        let (ms, seq) = (id.ms.cast_signed(), id.seq.cast_signed());
        self.effects.quarantine.push(&(at, self.shard.0, ms, seq, raw, reason)).map_err(encoded)?;
        let (raw, reason) = (raw.to_owned(), reason.to_owned());
        self.poisons.push(NewPoison { number: at, id, raw, reason });
        Ok(())
    }
}

fn not_there(seq: u32) -> String {
    format!("returns claim {seq}, which is not there")
}
