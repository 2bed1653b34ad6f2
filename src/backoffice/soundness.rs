//! Redis beside all that is known of it: which drops has it lost, in whole or in part?
//!
//! Owns what "sound" means. A drop is sound when it was never loaded, or when it is there and has at least the claims
//! that the ledger has, that this front end has seen, and that any front end saw before an earlier loss; when as many
//! of its units went back as the ledger knows of; and when the journal reaches as far as the ledger has read it.
//!
//! The last of these is over with the next entry of the journal, whoever writes it. So what was found to be lost is
//! marked as such in Redis before anything may be written there ([`Compared::unmarked`]). Changes nothing itself.

use std::collections::HashMap;

use deadpool_redis::Connection;

use super::campaigns::EpochMemory;
use crate::domain::campaign::{CampaignState, DropSpec};
use crate::domain::claim::JournalId;
use crate::domain::ids::{DropId, DropNumber, Epoch, Shard};
use crate::ledger::{Catalogue, DropRecord, Seen, Tally};
use crate::redis::codes::{DropState, DropView};
use crate::redis::scripts::ScriptError;
use crate::redis::{journal, reads};
use crate::rush::gate::Gate;

/// A drop's place in what is being loaded.
pub(super) struct Placed<'a> {
    pub(super) record: &'a DropRecord,
    pub(super) spec: &'a DropSpec,
    /// Its campaign's.
    pub(super) state: CampaignState,
    /// Where a person may win in one drop of the campaign alone, how many drops that has; else 0.
    pub(super) once: usize,
    /// As Redis has it, if it does.
    pub(super) view: Option<DropView>,
    /// Whether it was found to be lost before, or is being made anew and is not complete.
    restoring: bool,
    /// The highest epoch that a drop of its number ever had, as far as the data folder remembers.
    remembered: Option<Epoch>,
}

impl Placed<'_> {
    /// Whether it was ever in this shard's Redis.
    pub(super) fn is_loaded(&self, shard: Shard) -> bool {
        self.record.loaded_in(shard).is_some()
    }

    /// The epoch in which it stands, or is to be made where it never was: one in which nobody was given a number.
    pub(super) fn first_epoch(&self) -> Epoch {
        let made = self.remembered.map_or(Epoch::FIRST, |epoch| Epoch(epoch.0.saturating_add(1)));
        self.view.map_or(made, |view| view.epoch)
    }

    /// Whether it stands in an epoch of which this ledger never heard: it was made anew before, and the ledger was brought back
    /// from a time before its campaign, so that nobody knows what it holds of older epochs. What was just made and is to be
    /// noted yet is frozen, and without a claim.
    fn is_unheard_of(&self) -> bool {
        let is_new = |view: &DropView| view.state == DropState::Frozen && view.seq == 0;
        self.restoring || self.view.is_some_and(|view| view.epoch > Epoch::FIRST && !is_new(&view))
    }
}

/// What the ledger says of a shard.
pub(super) struct Books<'a> {
    pub(super) shard: Shard,
    pub(super) catalogue: &'a Catalogue,
    pub(super) tallies: &'a [Tally],
    /// Up to where the journal is in the ledger.
    pub(super) position: JournalId,
    /// What the data folder remembers beside it.
    pub(super) epochs: &'a EpochMemory,
}

/// Redis beside the ledger and this front end's memory.
pub(super) struct Compared<'a> {
    shard: Shard,
    /// Up to where the journal is in the ledger.
    pub(super) position: JournalId,
    placed: Vec<Placed<'a>>,
    /// The journal ends before what the ledger has committed of it.
    journal_behind: bool,
    /// Highest epoch and number that is known of each drop.
    known: HashMap<DropNumber, (Epoch, u32)>,
    /// The same as this front end has seen it.
    seen: HashMap<DropNumber, (Epoch, u32)>,
    /// How many units of each drop must have gone back in its present epoch.
    returned: HashMap<DropNumber, u64>,
}

impl<'a> Compared<'a> {
    /// Asks Redis, and sets it beside the rest.
    ///
    /// # Errors
    /// [`ScriptError`] when Redis cannot be asked.
    pub(super) async fn make(
        connection: &mut Connection,
        gate: &Gate,
        books: &Books<'a>,
    ) -> Result<Self, ScriptError> {
        // Before Redis is asked: what it grants in between is not to look like something that it lost. By their ids: a ledger that
        // was brought back may have numbered its drops otherwise.
        let highest: HashMap<DropId, _> =
            gate.drops().iter().filter_map(|drop| Some((drop.id.clone(), drop.highest()?))).collect();
        let records = &books.catalogue.campaigns;
        let drops = records.iter().flat_map(|record| &record.drops);
        let seen: HashMap<_, _> =
            drops.filter_map(|drop| Some((drop.number, *highest.get(&drop.id)?))).collect();
        let ids: Vec<DropId> =
            records.iter().flat_map(|record| &record.drops).map(|drop| drop.id.clone()).collect();
        let (_, found) = reads::views(connection, books.shard, &ids).await?;
        let restoring = reads::restoring(connection, books.shard, &ids).await?;
        let mut found = found.into_iter().zip(restoring);
        let mut placed = Vec::with_capacity(found.len());
        for record in records {
            for (drop, spec) in record.drops.iter().zip(&record.campaign.drops) {
                let (view, restoring) = found.next().unwrap_or_default();
                let (state, once) = (record.state, record.campaign.drops_if_once());
                let remembered = books.epochs.highest(drop.number);
                placed.push(Placed { record: drop, spec, state, once, view, restoring, remembered });
            }
        }
        let journal_behind = journal::last_id(connection, books.shard).await? < books.position;
        let (known, returned) = (known(books, &seen), returned(books));
        let (shard, position) = (books.shard, books.position);
        Ok(Self { shard, position, placed, journal_behind, known, seen, returned })
    }

    /// Whether a drop stands whole in an epoch that the ledger has not noted: somebody made it anew meanwhile, or the ledger
    /// was brought back from before that.
    pub(super) fn is_any_ahead(&self) -> bool {
        self.placed.iter().any(|placed| {
            let noted = placed.record.loaded_in(self.shard).map_or(Epoch::FIRST, |loaded| loaded.epoch);
            placed.view.is_some_and(|view| view.epoch > noted) && !placed.restoring
        })
    }

    /// Whether the ledger has every claim and every return that Redis has counted: one that was brought back from a backup
    /// lacks what was trimmed since. To be asked when nobody grants any more.
    pub(super) fn is_all_in_ledger(&self, tallies: &[Tally]) -> bool {
        self.placed.iter().all(|placed| {
            let (drop, Some(view)) = (placed.record.number, placed.view) else { return true };
            let ours = tallies.iter().filter(|tally| (tally.drop, tally.shard) == (drop, self.shard));
            let claims: u64 = ours.filter(|tally| tally.epoch == view.epoch).map(|tally| tally.claims).sum();
            let returned = self.returned.get(&drop).copied().unwrap_or(0);
            (claims, returned) == (u64::from(view.seq), view.returned)
        })
    }

    /// The drops that Redis may sell.
    pub(super) fn sound(&self) -> Vec<&Placed<'a>> {
        self.placed.iter().filter(|placed| !self.is_lost(placed)).collect()
    }

    /// The drops of which Redis has less than it is known to have had.
    pub(super) fn lost(&self) -> Vec<&Placed<'a>> {
        self.placed.iter().filter(|placed| self.is_lost(placed)).collect()
    }

    /// Of the lost ones those that are there, in the epoch in which they lack something, and do not say so.
    pub(super) fn unmarked(&self) -> Vec<(&DropId, Epoch)> {
        let unmarked = self.lost().into_iter().filter_map(|placed| {
            let view = placed.view.filter(|_| !placed.restoring)?;
            let epoch = placed.record.loaded_in(self.shard).map_or(view.epoch, |loaded| loaded.epoch);
            (view.epoch == epoch).then_some((&placed.spec.id, epoch))
        });
        unmarked.collect()
    }

    /// Every drop.
    pub(super) fn ids(&self) -> Vec<DropId> {
        self.placed.iter().map(|placed| placed.spec.id.clone()).collect()
    }

    /// What this front end has seen of the lost ones.
    pub(super) fn seen_of_lost(&self) -> Vec<Seen> {
        let seen = self.lost().into_iter().filter_map(|placed| {
            let drop = placed.record.number;
            self.seen.get(&drop).map(|&(epoch, seq)| Seen { drop, epoch, seq })
        });
        seen.collect()
    }

    /// The highest epoch and number that is known of a drop.
    pub(super) fn known(&self, placed: &Placed<'_>) -> (Epoch, u32) {
        self.known.get(&placed.record.number).copied().unwrap_or((Epoch::FIRST, 0))
    }

    /// The epoch that a drop gets when it is made anew: one in which, as far as anybody knows, no number was given. Nothing
    /// after the last one.
    pub(super) fn next_epoch(&self, placed: &Placed<'_>) -> Option<Epoch> {
        let noted = placed.record.loaded_in(self.shard).map(|loaded| loaded.epoch);
        let stands = placed.view.map(|view| view.epoch);
        let highest =
            [noted, stands, placed.remembered, Some(self.known(placed).0)].into_iter().flatten().max();
        highest.unwrap_or(Epoch::FIRST).0.checked_add(1).map(Epoch)
    }

    fn is_lost(&self, placed: &Placed<'_>) -> bool {
        let Some(loaded) = placed.record.loaded_in(self.shard) else { return placed.is_unheard_of() };
        let Some(view) = placed.view else { return true };
        // An epoch beyond the noted one is what a recovery left that did not come to its end.
        self.journal_behind
            || placed.restoring
            || view.epoch != loaded.epoch
            || (view.epoch, view.seq) < self.known(placed)
            || self.returned.get(&placed.record.number).is_some_and(|known| view.returned < *known)
    }
}

/// The drops among `placed` that are there in another state than `wanted`.
pub(super) fn in_other_state<'a>(placed: &[&Placed<'a>], wanted: DropState) -> Vec<&'a DropId> {
    let other = placed.iter().filter(|placed| placed.view.is_some_and(|view| view.state != wanted));
    other.map(|placed| &placed.spec.id).collect()
}

/// The highest epoch and number of each drop: by its rows, by what was noted of it, by what is in memory.
fn known(books: &Books<'_>, seen: &HashMap<DropNumber, (Epoch, u32)>) -> HashMap<DropNumber, (Epoch, u32)> {
    let tallies = books.tallies.iter().filter(|tally| tally.shard == books.shard);
    let rows = tallies.map(|tally| (tally.drop, (tally.epoch, tally.seq_max)));
    let records = books.catalogue.campaigns.iter().flat_map(|record| &record.drops);
    let noted = records.filter_map(|record| {
        let loaded = record.loaded_in(books.shard)?;
        Some((record.number, (loaded.epoch, loaded.seen_seq)))
    });
    let mut known = seen.clone();
    for (drop, number) in rows.chain(noted) {
        let highest = known.entry(drop).or_insert(number);
        *highest = (*highest).max(number);
    }
    known
}

/// How many units of each drop went back in its present epoch, as far as the ledger has it: all that it knows of, less
/// those that were back when the epoch began, of which Redis has not counted any.
fn returned(books: &Books<'_>) -> HashMap<DropNumber, u64> {
    let records = books.catalogue.campaigns.iter().flat_map(|record| &record.drops);
    let loaded = records.filter_map(|record| Some((record.number, record.loaded_in(books.shard)?)));
    let loaded: HashMap<_, _> = loaded.collect();
    let (mut older, mut returned) = (HashMap::<_, u64>::new(), HashMap::<_, u64>::new());
    for tally in books.tallies.iter().filter(|tally| tally.shard == books.shard) {
        let Some(loaded) = loaded.get(&tally.drop) else { continue };
        let all = returned.entry(tally.drop).or_default();
        *all = all.saturating_add(tally.returned);
        if tally.epoch < loaded.epoch {
            let claims = older.entry(tally.drop).or_default();
            *claims = claims.saturating_add(tally.claims);
        }
    }
    for (drop, all) in &mut returned {
        let carried = loaded.get(drop).map_or(0, |loaded| loaded.carried);
        let before = older.get(drop).map_or(0, |claims| claims.saturating_sub(carried));
        *all = all.saturating_sub(before);
    }
    returned
}
