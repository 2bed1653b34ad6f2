//! A batch of claims on its way to `claim.lua`.
//!
//! Owns the layout of the script's arguments. Keeps its buffers from batch to batch, so that a claim costs two
//! copies of the person's bytes and no allocation.

use std::sync::Arc;

use redis::{Cmd, Value};

use super::codes::{ClaimReply, ReplyError};
use super::once::OnePerCampaign;
use super::{keys, scripts};
use crate::domain::ids::{DropId, Mark, PersonId, Shard};
use crate::limits;

/// Where a claim stands in its batch, and its outcome in the reply: `reply.drops[drop].outcomes[claim]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Index of the drop.
    pub drop: usize,
    /// Index of the claim within the drop.
    pub claim: usize,
}

/// A batch of claims of one shard: at most [`limits::BATCH_CLAIMS_MAX`] in [`limits::BATCH_DROPS_MAX`] drops.
#[derive(Debug)]
pub struct ClaimCall {
    shard: Shard,
    batch_id: u64,
    claims: usize,
    /// Grouped by drop, as the script wants them. The first `used` belong to this batch; the rest keep their
    /// buffers for a later one.
    sections: Vec<Section>,
    used: usize,
    /// The campaigns of these drops in which a person may win in one drop alone.
    campaigns: Vec<Arc<OnePerCampaign>>,
    /// Whether an operator grants what is owed: then neither window nor pause refuses.
    owed: bool,
}

/// The claims of one drop.
#[derive(Debug)]
struct Section {
    drop: DropId,
    drop_key: String,
    holders_key: String,
    /// The persons, one after another.
    persons: String,
    /// Where each person ends in `persons`.
    ends: Vec<usize>,
    /// As many as persons, unless none of them has a mark.
    marks: Vec<Option<Mark>>,
    marked: bool,
    /// Which of the call's campaigns is the drop's, from 1; 0 for none of them.
    campaign: usize,
}

impl Section {
    fn persons(&self) -> impl Iterator<Item = &str> {
        let mut from = 0;
        self.ends.iter().map(move |end| {
            let person = self.persons.get(from..*end).unwrap_or_default();
            from = *end;
            person
        })
    }
}

impl ClaimCall {
    /// An empty batch.
    #[must_use]
    pub fn new(shard: Shard, batch_id: u64) -> Self {
        let (sections, campaigns) = (Vec::new(), Vec::new());
        Self { shard, batch_id, claims: 0, sections, used: 0, campaigns, owed: false }
    }

    /// A call that grants one person what is owed to them, also before the release, after the end and during a pause.
    /// `mark` tells what is owed apart from whatever else the person claims.
    #[must_use]
    pub fn owed(shard: Shard, batch_id: u64, drop: &DropId, person: &PersonId, mark: Mark) -> Self {
        let mut call = Self { owed: true, ..Self::new(shard, batch_id) };
        let _fits = call.claim(drop, person, Some(mark));
        call
    }

    /// Empties it for another batch of the same shard and keeps the buffers.
    pub fn reset(&mut self, batch_id: u64) {
        self.batch_id = batch_id;
        self.claims = 0;
        self.used = 0;
        self.campaigns.clear();
    }

    /// Appends a claim; claims of one drop keep their order. `mark` tells a person's claims in a drop apart
    /// where the limit is above one; without one the person is the idempotency key.
    ///
    /// `None`, and nothing appended, when the batch is full: of claims, or of drops.
    pub fn claim(&mut self, drop: &DropId, person: &PersonId, mark: Option<Mark>) -> Option<Slot> {
        if self.claims == limits::BATCH_CLAIMS_MAX {
            return None;
        }
        let index = self.section(drop)?;
        let section = self.sections.get_mut(index)?;
        let claim = section.ends.len();
        section.persons.push_str(person.as_str());
        section.ends.push(section.persons.len());
        section.marks.push(mark);
        section.marked |= mark.is_some();
        self.claims += 1;
        Some(Slot { drop: index, claim })
    }

    /// Says that a person may win in one drop of this campaign alone, to which the drop of `slot` belongs.
    pub fn once(&mut self, slot: Slot, campaign: &Arc<OnePerCampaign>) {
        let known = self.campaigns.iter().position(|other| other.campaign == campaign.campaign);
        let index = known.unwrap_or(self.campaigns.len());
        if known.is_none() {
            self.campaigns.push(Arc::clone(campaign));
        }
        if let Some(section) = self.sections.get_mut(slot.drop) {
            section.campaign = index + 1;
        }
    }

    /// The section of a drop, begun when there is none.
    fn section(&mut self, drop: &DropId) -> Option<usize> {
        let known = self.sections.iter().take(self.used).rposition(|section| section.drop == *drop);
        if known.is_some() {
            return known;
        }
        if self.used == limits::BATCH_DROPS_MAX {
            return None;
        }
        let index = self.used;
        // A section left by an earlier batch for the same drop has its keys and its room already.
        let kept = self.sections.iter().skip(index).position(|section| section.drop == *drop);
        if let Some(offset) = kept {
            self.sections.swap(index, index + offset);
        } else {
            let section = Section {
                drop: drop.clone(),
                drop_key: keys::drop(self.shard, drop),
                holders_key: keys::holders(self.shard, drop),
                persons: String::new(),
                ends: Vec::new(),
                marks: Vec::new(),
                marked: false,
                campaign: 0,
            };
            self.sections.truncate(limits::BATCH_DROPS_MAX - 1);
            self.sections.insert(index, section);
        }
        let section = self.sections.get_mut(index)?;
        section.persons.clear();
        section.ends.clear();
        section.marks.clear();
        section.marked = false;
        section.campaign = 0;
        self.used += 1;
        Some(index)
    }

    /// How many claims it carries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.claims
    }

    /// Whether it carries none. An empty batch is not to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.claims == 0
    }

    /// The id that the reply must name.
    #[must_use]
    pub fn batch_id(&self) -> u64 {
        self.batch_id
    }

    /// Makes `cmd` the call of `claim.lua` for this batch; what it held is gone, its buffers are used again.
    pub fn write_evalsha(&self, cmd: &mut Cmd) {
        let sections = self.sections.get(..self.used).unwrap_or_default();
        cmd.clear();
        let others = self.campaigns.iter().flat_map(|campaign| campaign.keys());
        let count = 1 + 2 * sections.len() + 2 * others.clone().count();
        cmd.arg("EVALSHA").arg(scripts::CLAIM.sha()).arg(count);
        cmd.arg(keys::journal(self.shard));
        for section in sections {
            cmd.arg(&section.drop_key).arg(&section.holders_key);
        }
        for (drop_key, holders_key) in others {
            cmd.arg(drop_key).arg(holders_key);
        }
        cmd.arg(self.batch_id).arg(self.campaigns.len());
        for campaign in &self.campaigns {
            cmd.arg(campaign.drops.len());
        }
        for section in sections {
            cmd.arg(section.drop.as_str()).arg(section.ends.len());
            cmd.arg(if self.owed { 2 } else { usize::from(section.marked) }).arg(section.campaign);
            for person in section.persons() {
                cmd.arg(person);
            }
            if section.marked {
                for mark in &section.marks {
                    cmd.arg(mark.as_ref().map_or(&[][..], |mark| &mark.0[..]));
                }
            }
        }
    }

    /// The call of `claim.lua` for this batch as a command of its own.
    #[must_use]
    pub fn to_evalsha(&self) -> Cmd {
        let mut cmd = Cmd::new();
        self.write_evalsha(&mut cmd);
        cmd
    }

    /// Reads the reply to this batch.
    ///
    /// # Errors
    /// [`ReplyError`] when it is not the reply to this very batch.
    pub fn decode(&self, reply: &Value) -> Result<ClaimReply, ReplyError> {
        let sections = self.sections.get(..self.used).unwrap_or_default();
        ClaimReply::decode(reply, self.batch_id, sections.iter().map(|section| section.ends.len()))
    }
}
