//! Drops whose terms are changed, by somebody who takes stock away and by others.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use claimrush::domain::ids::Epoch;
use claimrush::redis::codes::{Code, DropState};
use claimrush::redis::scripts::{self, DropConfig, Mode, Refused};

use super::model;
use super::step::Change;
use super::world::{DROPS, PERSONS, SHARD, World, drop_id};

impl World {
    pub(super) async fn configure(&mut self, changes: &BTreeMap<usize, Change>) -> Result<()> {
        let now_ms = self.now_ms().await?;
        let mut changed = Vec::new();
        let mut refused = None;
        let spare = model::Drop { id: drop_id(DROPS.len() - 1), ..self.drops[0].clone() };
        for (at, (index, change)) in changes.iter().enumerate() {
            let mut drop = self.drops.get(*index).unwrap_or(&spare).clone();
            drop.total = change.total;
            drop.limit = change.limit;
            drop.opens_at_ms = now_ms + change.opens_in_ms;
            drop.closes_at_ms = now_ms + change.closes_in_ms;
            let known = *index < self.drops.len();
            if refused.is_none() && !known {
                refused = Some(Refused { code: Code::UnknownDrop, drop: at });
            } else if refused.is_none() && change.mode != Mode::Shrink && drop.shrinking {
                refused = Some(Refused { code: Code::Unsettled, drop: at });
            } else if refused.is_none() && change.mode == Mode::Shrink && drop.total < drop.taken() {
                refused = Some(Refused { code: Code::ShrinkBelowClaimed, drop: at });
            }
            drop.revision = self.once.1;
            drop.shrinking = change.mode == Mode::Shrink;
            // The drop that is never made is only ever updated.
            let mode = if change.mode == Mode::Create && !known { Mode::Update } else { change.mode };
            changed.push((*index, drop, mode));
        }
        let configs: Vec<_> =
            changed.iter().map(|(_, drop, mode)| config_of(drop, *mode, self.once)).collect();
        // Once more changes nothing: the second reply is the same.
        for _ in 0..2 {
            let reply = scripts::configure(&mut self.conn, SHARD, &configs).await?;
            let expected = match refused {
                Some(refused) => Err(refused),
                None => Ok(changed.iter().map(|(_, drop, _)| drop.view()).collect()),
            };
            ensure!(reply == expected, "replied {reply:?}, expected {expected:?}");
        }
        if refused.is_none() {
            for (index, drop, _) in changed {
                self.limits[index] = self.limits[index].max(drop.limit);
                self.drops[index] = drop;
                self.note_once([index], self.once);
            }
        }
        Ok(())
    }

    /// Leaves a drop with so many units less than are claimed, as where two take stock away at once, and has each person
    /// give their first claim back: what comes back makes up for what is too many, and the rest is on sale.
    pub(super) async fn too_many(&mut self, drop: usize, by: u64, again: bool) -> Result<()> {
        // A later revision: nobody takes stock away at it.
        self.set_once(self.once.0, false).await?;
        self.set_state(&BTreeSet::from([drop]), DropState::Running, None).await?;
        let known = &self.drops[drop];
        let change = Change {
            mode: Mode::Update,
            total: known.taken().saturating_sub(by),
            limit: known.limit,
            opens_in_ms: -1_000,
            closes_in_ms: 1_000_000,
        };
        self.configure(&BTreeMap::from([(drop, change)])).await?;
        for who in 0..PERSONS {
            self.return_claim(drop, who, 0, again).await?;
            self.compare().await?;
        }
        Ok(())
    }
}

/// What is set in a drop that is there: it keeps the epoch and the state that it has, whatever is said.
pub(super) fn config_of(drop: &model::Drop, mode: Mode, (once, revision): (usize, u64)) -> DropConfig<'_> {
    let other = if drop.state == DropState::Running { DropState::Paused } else { DropState::Running };
    DropConfig {
        drop: &drop.id,
        mode,
        stock_total: drop.total,
        carried: drop.carried,
        opens_at_ms: drop.opens_at_ms,
        closes_at_ms: drop.closes_at_ms,
        limit: drop.limit,
        epoch: Epoch(drop.epoch.0 + 1),
        state: other,
        once,
        revision,
        overrules: None,
    }
}
