//! Recovery: drops that Redis has lost are made anew from the ledger, under a higher epoch.
//!
//! Owns the order of the steps. Each may be cut short by a crash: the drop then stays frozen, and the next recovery
//! begins again. Nothing is sold before the last one.
//!
//! ```text
//!  frozen ─► journal drained ─► begin: empty, epoch + 1 ─► holders, page by page ─► counted ─► noted and
//!  audited in the ledger ─► finish ─► loaded like any other drop: running, or paused
//! ```

use std::time::{Duration, Instant};

use deadpool_redis::Connection;

use super::lost::{LostDrop, known_to_be_lost};
use super::{Campaigns, LoadError};
use crate::backoffice::soundness::{Compared, Placed};
use crate::domain::claim::{Grant, JournalId};
use crate::domain::count::counted;
use crate::domain::ids::{ClaimNumber, DropId, Epoch, Mark};
use crate::failpoint::Step;
use crate::ledger::{ClaimRow, ClaimStatus, Grounds, LedgerError, LostClaims, Rebuilt, Tally};
use crate::limits;
use crate::redis::codes::{Code, encode_record};
use crate::redis::restore::{Beginning, Restore};
use crate::redis::{journal, pool, reads};

/// How often the drain's progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why nothing was recovered, or not all.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The ledger or Redis failed.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It was not said that a loss is accepted.
    #[error(
        "drop {drop}: {} known to be lost, and nobody can prove that there are no more: say --accept-loss if that is accepted",
        counted(*known, "claim is", "claims are")
    )]
    LossNotAccepted {
        /// The first such drop.
        drop: DropId,
        /// Claims that a front end has seen.
        known: u64,
    },
    /// The journal has claims that the ledger must have first.
    #[error("the journal is not drained: see that a drain runs and that the ledger can be written")]
    NotDrained,
    /// The drop cannot be made as the ledger says.
    #[error("drop {drop}: {what}")]
    Refused {
        /// The drop.
        drop: DropId,
        /// Why.
        what: String,
    },
}

impl From<LedgerError> for RecoverError {
    fn from(error: LedgerError) -> Self {
        Self::Load(error.into())
    }
}

impl From<crate::redis::scripts::ScriptError> for RecoverError {
    fn from(error: crate::redis::scripts::ScriptError) -> Self {
        Self::Load(error.into())
    }
}

impl From<redis::RedisError> for RecoverError {
    fn from(error: redis::RedisError) -> Self {
        Self::Load(error.into())
    }
}

impl Campaigns {
    /// The drops that Redis has lost, in whole or in part. Changes nothing beyond what [`Campaigns::load`] does.
    ///
    /// # Errors
    /// [`RecoverError::Load`].
    pub async fn lost_drops(&self) -> Result<Vec<LostDrop>, RecoverError> {
        let mut loaded = self.loaded.lock().await;
        self.load_locked(&mut loaded).await?;
        let mut connection = pool::checkout(&self.pool).await?;
        self.find_lost(&mut connection).await
    }

    /// Makes every lost drop anew, and gives what was done. A drop that was ever open asks for `accept_loss`, as
    /// claims may be gone that nobody who is still there has seen.
    ///
    /// # Errors
    /// [`RecoverError`]; drops that were made anew before it stay so, the others stay frozen.
    pub async fn recover(&self, accept_loss: bool, actor: &str) -> Result<Vec<LostDrop>, RecoverError> {
        let frozen = self.lost_drops().await?;
        if frozen.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = pool::checkout(&self.pool).await?;
        // Without the lock: the drain may wait for a campaign that is to be applied first.
        self.wait_drained(&mut connection).await?;
        let mut loaded = self.loaded.lock().await;
        self.load_locked(&mut loaded).await?;
        let mut lost = self.find_lost(&mut connection).await?;
        // Of what was lost meanwhile the journal may have more.
        lost.retain(|drop| frozen.iter().any(|before| before.is_same(drop)));
        let mut grounds = Vec::with_capacity(lost.len());
        for drop in &lost {
            grounds.push(self.grounds(&mut connection, drop, accept_loss).await?);
        }
        for (drop, grounds) in lost.iter().zip(grounds) {
            self.make_anew(&mut connection, drop, grounds, Some(actor)).await?;
            tracing::warn!(
                drop = %drop.spec.id, epoch = drop.next_epoch.0, claims = drop.in_ledger,
                lost = drop.lost.iter().map(LostClaims::count).sum::<u64>(), "a drop was made anew from the ledger"
            );
        }
        self.load_locked(&mut loaded).await?;
        Ok(lost)
    }

    /// Makes those lost drops anew of which the ledger proves that it has everything: drops that were never open, and,
    /// where `seal_counts`, all if the shard is sealed. Whether there were any.
    ///
    /// # Errors
    /// As [`Campaigns::recover`]; what cannot be proven is no error and stays frozen.
    pub async fn recover_proven(&self, seal_counts: bool) -> Result<bool, RecoverError> {
        let mut loaded = self.loaded.lock().await;
        let mut connection = pool::checkout(&self.pool).await?;
        // To make one drop anew writes to the journal, whose end may be the only proof of what others lack. At a server
        // that was compared it was noted in them before.
        if !self.is_compared(&mut connection).await? {
            return Ok(false);
        }
        let lost = self.find_lost(&mut connection).await?;
        let sealed = seal_counts && !lost.is_empty() && self.ledger.is_sealed(self.shard).await?;
        let mut made = false;
        for drop in lost.iter().filter(|drop| drop.lost.is_empty()) {
            let grounds = if sealed {
                Some(Grounds::Sealed)
            } else {
                let never_open = self.was_never_open(&mut connection, drop).await?;
                (never_open && self.is_drained(&mut connection).await?).then_some(Grounds::NeverOpen)
            };
            if let Some(grounds) = grounds {
                self.make_anew(&mut connection, drop, grounds, None).await?;
                let (drop, why) = (&drop.spec.id, grounds.as_str());
                tracing::warn!(%drop, why, "a lost drop was made anew from the ledger");
                made = true;
            }
        }
        if made {
            self.load_locked(&mut loaded).await?;
        }
        Ok(made)
    }

    /// Seals the shard if the ledger has all that was ever granted in it. To be called when nobody grants any more:
    /// the only front end of a Redis of its own has stopped. The journal's end then.
    ///
    /// # Errors
    /// [`RecoverError::Load`]; there is no seal then.
    pub async fn seal(&self) -> Result<Option<JournalId>, RecoverError> {
        let _no_changes = self.loaded.lock().await;
        let mut connection = pool::checkout(&self.pool).await?;
        if !self.is_compared(&mut connection).await? {
            return Ok(None);
        }
        let catalogue = self.ledger.catalogue().await?.cut();
        let tallies = self.ledger.tallies().await?;
        let position = self.ledger.position(self.shard).await?;
        let books = self.books(&catalogue, &tallies, position);
        let compared = Compared::make(&mut connection, &self.gate, &books).await?;
        if !compared.lost().is_empty() || !compared.is_all_in_ledger(&tallies) {
            return Ok(None);
        }
        if journal::length(&mut connection, self.shard).await? > 0 {
            // What the ledger has was trimmed: it has passed the rest by.
            return Ok(None);
        }
        let end = journal::last_id(&mut connection, self.shard).await?;
        // Refused where the journal is not in the ledger up to its end.
        Ok(self.ledger.seal(self.shard, end).await?.then_some(end))
    }

    async fn find_lost(&self, connection: &mut Connection) -> Result<Vec<LostDrop>, RecoverError> {
        let catalogue = self.ledger.catalogue().await?.cut();
        let tallies = self.ledger.tallies().await?;
        let position = self.ledger.position(self.shard).await?;
        let books = self.books(&catalogue, &tallies, position);
        let compared = Compared::make(connection, &self.gate, &books).await?;
        let of = |placed: &Placed<'_>| {
            let rows = tallies
                .iter()
                .filter(|tally| (tally.drop, tally.shard) == (placed.record.number, self.shard));
            let rows: Vec<&Tally> = rows.collect();
            let stands = placed.view.map_or(Epoch::FIRST, |view| view.epoch);
            let epoch = placed.record.loaded_in(self.shard).map_or(stands, |loaded| loaded.epoch);
            let next_epoch = compared.next_epoch(placed).ok_or_else(|| RecoverError::Refused {
                drop: placed.spec.id.clone(),
                what: "there are no more epochs".to_owned(),
            })?;
            // What Redis has and the ledger lacks is lost by making the drop anew, whatever else is known.
            let in_redis = placed.view.map(|view| (view.epoch, view.seq));
            let known = in_redis.map_or(compared.known(placed), |number| number.max(compared.known(placed)));
            let live: u64 = rows.iter().map(|tally| tally.claims.saturating_sub(tally.returned)).sum();
            Ok(LostDrop {
                spec: placed.spec.clone(),
                number: placed.record.number,
                epoch,
                next_epoch,
                in_redis: placed.view,
                in_ledger: rows.iter().map(|tally| tally.claims).sum(),
                live,
                lost: known_to_be_lost(known, &rows),
            })
        };
        compared.lost().into_iter().map(of).collect()
    }

    /// Waits until the ledger has all that stands in the journal now. Lost drops are frozen, so nothing of theirs
    /// comes after it.
    pub(in crate::backoffice) async fn wait_drained(
        &self,
        connection: &mut Connection,
    ) -> Result<(), RecoverError> {
        self.wait_drained_for(connection, limits::RECOVERY_DRAIN_WAIT).await
    }

    /// The same for at most `patience`.
    pub(super) async fn wait_drained_for(
        &self,
        connection: &mut Connection,
        patience: Duration,
    ) -> Result<(), RecoverError> {
        let end = journal::last_id(connection, self.shard).await?;
        let began = Instant::now();
        while !self.is_drained_up_to(connection, end).await? {
            if began.elapsed() > patience {
                return Err(RecoverError::NotDrained);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn is_drained(&self, connection: &mut Connection) -> Result<bool, RecoverError> {
        let end = journal::last_id(connection, self.shard).await?;
        self.is_drained_up_to(connection, end).await
    }

    /// Whether nothing up to `end` waits for the ledger. One that was brought back from a backup may stand before what was
    /// trimmed since, and nothing of that will come any more.
    async fn is_drained_up_to(
        &self,
        connection: &mut Connection,
        end: JournalId,
    ) -> Result<bool, RecoverError> {
        let position = self.ledger.position(self.shard).await?;
        let next = journal::read_after(connection, self.shard, position, 1).await?;
        Ok(position >= end || next.first().is_none_or(|entry| entry.id > end))
    }

    /// Whether nothing can have been granted: nobody has a claim, and no release instant of it has ever come.
    async fn was_never_open(
        &self,
        connection: &mut Connection,
        drop: &LostDrop,
    ) -> Result<bool, RecoverError> {
        let catalogue = self.ledger.catalogue().await?.cut();
        let mut records = catalogue.campaigns.iter().flat_map(|record| &record.drops);
        let earliest = records.find(|record| record.number == drop.number);
        let earliest = earliest.and_then(|record| record.opens_at_min_ms);
        // The clock of the Redis that is there now may be behind that of the one whose clock opened it.
        let (redis_now_ms, _) = reads::views(connection, self.shard, []).await?;
        let read_at_ms = i64::try_from(self.ledger.position(self.shard).await?.ms).unwrap_or(i64::MAX);
        let now_ms = redis_now_ms.max(self.clock.now_ms()).max(read_at_ms);
        let never_open = earliest.is_some_and(|opens_at_ms| now_ms < opens_at_ms);
        // A ledger that was brought back may be told of a later instant than it was before.
        let never_open =
            never_open && reads::holders_count(connection, self.shard, &drop.spec.id).await? == 0;
        Ok(never_open && drop.in_ledger == 0 && drop.lost.is_empty())
    }

    /// Why the drop may be made from the ledger.
    async fn grounds(
        &self,
        connection: &mut Connection,
        drop: &LostDrop,
        accept_loss: bool,
    ) -> Result<Grounds, RecoverError> {
        if self.was_never_open(connection, drop).await? {
            return Ok(Grounds::NeverOpen);
        }
        if accept_loss {
            return Ok(Grounds::Operator);
        }
        let known = drop.lost.iter().map(LostClaims::count).sum();
        Err(RecoverError::LossNotAccepted { drop: drop.spec.id.clone(), known })
    }

    async fn make_anew(
        &self,
        connection: &mut Connection,
        drop: &LostDrop,
        grounds: Grounds,
        actor: Option<&str>,
    ) -> Result<(), RecoverError> {
        let refused = |what: String| RecoverError::Refused { drop: drop.spec.id.clone(), what };
        let by_code = |code: Code| refused(format!("Redis refuses: {}", code.name()));
        let token = data_encoding::HEXLOWER.encode(&rand::random::<[u8; 16]>());
        let restore =
            Restore { shard: self.shard, drop: &drop.spec.id, token: &token, epoch: drop.next_epoch };
        let beginning = Beginning {
            stock_total: drop.spec.stock.saturating_sub(drop.live),
            opens_at_ms: drop.spec.opens_at_ms,
            closes_at_ms: drop.spec.closes_at_ms,
            limit: drop.spec.limit_per_person,
            position: self.ledger.position(self.shard).await?,
        };
        restore.begin(connection, &beginning).await?.map_err(by_code)?;
        Step::RecoveryBegun.reached();
        let (mut after, mut made) = (None, 0_u64);
        loop {
            let page = self.ledger.claims(drop.number, after, limits::CLAIM_ROWS_PAGE).await?;
            let Some(last) = page.last().map(|row| row.number) else { break };
            after = Some(last);
            let ours = page.into_iter().filter(|row| row.number.shard == self.shard);
            let holders = ours.map(holder).collect::<Result<Vec<_>, _>>()?;
            for chunk in holders.chunks(limits::RESTORE_HOLDERS) {
                made = made.saturating_add(restore.holders(connection, chunk).await?.map_err(by_code)?);
                Step::RecoveryHeld.reached();
            }
        }
        if made != drop.in_ledger {
            let of = drop.in_ledger;
            return Err(refused(format!("{made} claims were written, the ledger has {of}")));
        }
        let rebuilt = Rebuilt {
            drop: drop.number,
            shard: self.shard,
            epoch: drop.next_epoch,
            carried: drop.live,
            grounds,
            lost: drop.lost.clone(),
            now_ms: self.clock.now_ms(),
            actor: actor.map(str::to_owned),
        };
        self.ledger.note_rebuilt(&rebuilt).await?;
        Step::RecoveryNoted.reached();
        restore.finish(connection).await?.map_err(by_code)?;
        Step::RecoveryFinished.reached();
        Ok(())
    }
}

/// A row of the ledger as a person and their record.
fn holder(row: ClaimRow) -> Result<(String, Vec<u8>), LedgerError> {
    let ClaimRow { number: ClaimNumber { epoch, seq, .. }, person, mark, status, may_claim_again, .. } = row;
    let mark = mark.map(|hex| {
        let bytes =
            data_encoding::HEXLOWER.decode(hex.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Mark).ok_or_else(|| LedgerError::Corrupt(format!("mark {hex:?} of claim {seq}")))
    });
    let returned = status == ClaimStatus::Returned;
    let grant = Grant { epoch, seq, claimed_at_ms: row.claimed_at_ms, returned, mark: mark.transpose()? };
    Ok((person, encode_record(&grant, may_claim_again)))
}
