//! The promises I1, I3, I4 and I6 on what Redis holds, without the model.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use claimrush::domain::claim::JournalEvent;
use claimrush::domain::ids::{DropId, Epoch};
use claimrush::redis::codes::{decode_counting, decode_records};
use claimrush::redis::keys;

use super::world::{SHARD, World};

impl World {
    /// Fails with the name of the first promise that Redis breaks.
    pub(super) async fn invariants(&mut self) -> Result<()> {
        let mut events = self.trimmed.clone();
        events.extend(self.journal().await?.into_iter().flatten());
        for (index, (drop, limit)) in self.drops.clone().iter().zip(self.limits.clone()).enumerate() {
            let hash: BTreeMap<String, String> = self.hash(keys::drop(SHARD, &drop.id)).await?;
            let number = |name: &str| hash[name].parse::<i64>();
            let (accepted, returned) = in_journal(&events, &drop.id)?;
            let over = if hash.contains_key("over") { number("over")? } else { 0 };
            let (stock, total) = (number("stock")?, i64::try_from(drop.total)?);
            let (taken, back) = (i64::try_from(accepted.len())?, i64::try_from(returned)?);
            ensure!(
                stock >= 0 && total == stock - over + taken - back && (stock == 0 || over == 0),
                "I1: drop {index}: {stock} left, {taken} taken, {over} too many"
            );
            let epoch = Epoch(hash["epoch"].parse()?);
            let in_epoch = accepted.keys().filter(|number| number.0 == epoch).count();
            let back_in_epoch = back - i64::try_from(self.returned_before[index])?;
            ensure!(
                number("seq")? == i64::try_from(in_epoch)? && number("returned")? == back_in_epoch,
                "I3: drop {index}: counters"
            );

            let holders: BTreeMap<String, Vec<u8>> = self.hash(keys::holders(SHARD, &drop.id)).await?;
            let mut held = BTreeMap::new();
            for (person, records) in &holders {
                let grants = decode_records(records)?;
                let live = grants.iter().filter(|grant| !grant.returned).count();
                ensure!(live <= limit as usize, "I4: {person} holds {live}");
                let marks: Vec<_> = grants.iter().filter_map(|grant| grant.mark).collect();
                let different: BTreeSet<_> = marks.iter().collect();
                ensure!(marks.len() == different.len(), "I6: {person} has two claims of one mark");
                held.extend(grants.iter().map(|grant| ((grant.epoch, grant.seq), person.clone())));
            }
            ensure!(held == accepted, "I3: drop {index}: holders {held:?}, journal {accepted:?}");
        }
        self.one_drop_a_person().await
    }

    /// Since a person may win in one drop alone, nobody was granted a claim who had one elsewhere that counted.
    async fn one_drop_a_person(&mut self) -> Result<()> {
        let Some(since) = self.once_since.clone() else { return Ok(()) };
        let mut counting: BTreeMap<String, (BTreeSet<usize>, bool)> = BTreeMap::new();
        for (index, last) in since.into_iter().enumerate() {
            let id = self.drops[index].id.clone();
            for (person, records) in self.hash::<Vec<u8>>(keys::holders(SHARD, &id)).await? {
                let grants = decode_counting(&records)?;
                if !grants.is_empty() {
                    let (drops, new) = counting.entry(person).or_default();
                    drops.insert(index);
                    *new |= grants.iter().any(|grant| (grant.epoch, grant.seq) > last);
                }
            }
        }
        let broken = counting.iter().find(|(_, (drops, new))| drops.len() > 1 && *new);
        ensure!(broken.is_none(), "I4: one person in several drops: {broken:?}");
        Ok(())
    }
}

/// Persons by the epoch and the number of their claim.
type Accepted = BTreeMap<(Epoch, u32), String>;

/// A drop's claims by epoch and `seq`, which must have no gaps in an epoch, and how many units went back.
fn in_journal(events: &[JournalEvent], id: &DropId) -> Result<(Accepted, usize)> {
    let (mut accepted, mut returned) = (BTreeMap::new(), BTreeSet::new());
    for event in events {
        match event {
            JournalEvent::Claimed { drop, epoch, first_seq, takers, .. } if drop == id => {
                for ((person, _), seq) in takers.iter().zip(*first_seq..) {
                    let last = accepted.keys().next_back().filter(|(last, _)| last == epoch);
                    let last = last.map_or(0, |(_, last): &(Epoch, u32)| *last);
                    ensure!(seq == last + 1, "I3: {seq} after {last}");
                    accepted.insert((*epoch, seq), person.to_owned());
                }
            }
            JournalEvent::Returned { drop, epoch, seq, .. } if drop == id => {
                ensure!(returned.insert((*epoch, *seq)), "I1: {seq} went back twice");
            }
            _ => {}
        }
    }
    Ok((accepted, returned.len()))
}
