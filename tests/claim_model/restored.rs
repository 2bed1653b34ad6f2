//! Drops that are made anew from all of their claims, in one go or by two who do it at once.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use claimrush::domain::claim::JournalId;
use claimrush::domain::ids::{DropId, Epoch};
use claimrush::redis::codes::{Code, DropState, encode_record};
use claimrush::redis::restore::{Beginning, Restore, mark_lost};
use claimrush::redis::scripts::{self, Refused};
use claimrush::redis::{journal, keys};
use redis::cmd;

use super::model::{Claim, Drop};
use super::step::Restored;
use super::world::{SHARD, World, drop_id};

/// A person and a record of theirs.
type Holder = (String, Vec<u8>);

impl World {
    /// Makes a drop anew in its next epoch, with every step done twice, and tries what may not be done meanwhile.
    pub(super) async fn restore(&mut self, index: usize, how: &Restored) -> Result<()> {
        let (id, before) = (drop_id(index), self.drops[index].clone());
        let epoch = Epoch(before.epoch.0 + 1);
        let after = before.made_anew(epoch);
        if how.lost {
            self.lose(&id, &before).await?;
        }
        let record = |claim: &Claim| encode_record(&claim.grant, claim.may_claim_again);
        let holders: Vec<Holder> = before.all().map(|claim| (claim.person.clone(), record(claim))).collect();
        let by = |token: &'static str| Restore { shard: SHARD, drop: &id, token, epoch };
        let last = journal::last_id(&mut self.conn, SHARD).await?;
        // The ledger may have more of the journal than this server ever had.
        let position = JournalId { ms: last.ms + 3, seq: 7 };
        let beginning = Beginning {
            stock_total: after.total - after.carried,
            opens_at_ms: after.opens_at_ms,
            closes_at_ms: after.closes_at_ms,
            limit: after.limit,
            position,
        };

        self.begin(&by("first"), &beginning, &after).await?;
        let given = holders.len() / 2;
        self.give(&by("first"), &holders[..given], given).await?;
        let (winner, given) = if how.rival { (by("second"), 0) } else { (by("first"), given) };
        if how.rival {
            self.begin(&winner, &beginning, &after).await?;
            if !holders.is_empty() {
                let late = by("first").holders(&mut self.conn, &holders).await?;
                ensure!(late == Err(Code::Superseded), "the first one goes on: {late:?}");
            }
            let late = by("first").finish(&mut self.conn).await?;
            ensure!(late == Err(Code::Superseded), "the first one ends it: {late:?}");
        }
        self.give(&winner, &holders, holders.len() - given).await?;
        self.stays_frozen(&id).await?;
        for _ in 0..2 {
            let view = winner.finish(&mut self.conn).await?;
            ensure!(view == Ok(after.view()), "complete as {view:?}, expected {:?}", after.view());
        }

        self.drops[index] = after;
        self.returned_before[index] = before.all().filter(|claim| claim.grant.returned).count() as u64;
        let end = journal::last_id(&mut self.conn, SHARD).await?;
        ensure!(end >= position, "the journal may give {position} again: it ends at {end}");
        for epoch in [before.epoch, epoch] {
            let again = Restore { epoch, ..by("third") }.begin(&mut self.conn, &beginning).await?;
            ensure!(again == Err(Code::Superseded), "epoch {epoch:?} begun once more: {again:?}");
        }
        let lost = mark_lost(&mut self.conn, SHARD, &id, before.epoch).await?;
        ensure!(lost == Err(Code::Superseded), "an older epoch lacks something: {lost:?}");
        if how.runs {
            self.set_state(&BTreeSet::from([index]), DropState::Running, None).await
        } else {
            Ok(())
        }
    }

    /// Marks a drop as lacking something, and sees that nothing runs it.
    async fn lose(&mut self, id: &DropId, drop: &Drop) -> Result<()> {
        let other = mark_lost(&mut self.conn, SHARD, id, Epoch(drop.epoch.0 + 1)).await?;
        ensure!(other == Err(Code::Superseded), "marked in an epoch that it is not in: {other:?}");
        let frozen = Drop { state: DropState::Frozen, ..drop.clone() };
        for _ in 0..2 {
            let view = mark_lost(&mut self.conn, SHARD, id, drop.epoch).await?;
            ensure!(view == Ok(frozen.view()), "marked as {view:?}, expected {:?}", frozen.view());
        }
        self.stays_frozen(id).await?;
        // As of a server that came back behind: what it says of stock is good for nothing.
        let key = keys::drop(SHARD, id);
        let _: i64 = cmd("HINCRBY").arg(key).arg("stock").arg(2).query_async(&mut self.conn).await?;
        Ok(())
    }

    /// Empties the drop, twice.
    async fn begin(&mut self, by: &Restore<'_>, beginning: &Beginning, after: &Drop) -> Result<()> {
        for _ in 0..2 {
            let view = by.begin(&mut self.conn, beginning).await?;
            ensure!(view == Ok(after.view()), "begun as {view:?}, expected {:?}", after.view());
            let mut expected = after.hash();
            expected.insert("rebuild".to_owned(), by.token.to_owned());
            let hash = self.hash::<String>(keys::drop(SHARD, by.drop)).await?;
            ensure!(hash == expected, "begun as {hash:?}, expected {expected:?}");
            let held: BTreeMap<String, Vec<u8>> = self.hash(keys::holders(SHARD, by.drop)).await?;
            ensure!(held.is_empty(), "begun with {held:?}");
        }
        Ok(())
    }

    /// Gives claims of which so many are not there yet, twice.
    async fn give(&mut self, by: &Restore<'_>, holders: &[Holder], new: usize) -> Result<()> {
        for expected in [new as u64, 0] {
            if !holders.is_empty() {
                let added = by.holders(&mut self.conn, holders).await?;
                ensure!(added == Ok(expected), "{added:?} claims are new, expected {expected}");
            }
        }
        Ok(())
    }

    async fn stays_frozen(&mut self, id: &DropId) -> Result<()> {
        let ran = scripts::set_state(&mut self.conn, SHARD, &[id], DropState::Running, None).await?;
        let refused = Err(Refused { code: Code::Frozen, drop: 0 });
        ensure!(ran == refused, "it runs before it is complete: {ran:?}");
        let frozen = scripts::set_state(&mut self.conn, SHARD, &[id], DropState::Frozen, None).await?;
        ensure!(frozen.is_ok(), "what is frozen cannot be told so: {frozen:?}");
        Ok(())
    }
}
