//! Setting a shard's drops to what the ledger says.

use deadpool_redis::Connection;

use super::{Campaigns, LoadError};
use crate::backoffice::soundness::Placed;
use crate::domain::campaign::{CampaignState, DropSpec};
use crate::domain::ids::{DropId, Epoch};
use crate::ledger::LedgerError;
use crate::limits;
use crate::redis::codes::{Code, DropState, DropView};
use crate::redis::scripts::{self, DropConfig, Mode};

impl Campaigns {
    /// Creates what is new (frozen, then noted, then running) and sets what is there to what the ledger says; how many
    /// drops were noted. What is there hears of new drops of its campaign before one of them runs.
    pub(super) async fn configure(
        &self,
        connection: &mut Connection,
        (revision, sound): (u64, &[&Placed<'_>]),
    ) -> Result<u64, LoadError> {
        let (known, new): (Vec<&Placed<'_>>, Vec<_>) =
            sound.iter().partition(|placed| placed.is_loaded(self.shard));
        self.configure_all(connection, (revision, &new), Mode::Create).await?;
        let mut noted = 0_u64;
        for placed in &new {
            self.ledger.mark_loaded(placed.record.number, self.shard, Epoch::FIRST).await?;
            noted = noted.saturating_add(1);
        }
        self.configure_all(connection, (revision, &known), Mode::Update).await?;
        for (state, wanted) in
            // One that ended has its windows cut off: its drops are closed, not paused.
            [
                (CampaignState::Running, DropState::Running),
                (CampaignState::Ended, DropState::Running),
                (CampaignState::Paused, DropState::Paused),
            ]
        {
            let differing = sound.iter().filter(|placed| {
                placed.state == state && placed.view.is_none_or(|view| view.state != wanted)
            });
            let drops: Vec<&DropId> = differing.map(|placed| &placed.spec.id).collect();
            self.set_states(connection, &drops, wanted).await?;
        }
        Ok(noted)
    }

    async fn configure_all(
        &self,
        connection: &mut Connection,
        (revision, drops): (u64, &[&Placed<'_>]),
        mode: Mode,
    ) -> Result<(), LoadError> {
        for chunk in drops.chunks(limits::DROPS_PER_CAMPAIGN_MAX) {
            let mut configs = Vec::with_capacity(chunk.len());
            for placed in chunk {
                let units = (placed.spec.stock, placed.record.carried_in(self.shard));
                configs.push(config(placed.spec, units, mode, (placed.once, revision)));
            }
            let mut configured = scripts::configure(connection, self.shard, &configs).await?;
            if configured.as_ref().is_err_and(|refused| refused.code == Code::Unsettled) {
                // Who took it away may be about to store that, or have died. Whoever comes first in the ledger is right.
                self.ledger.outdate(revision).await?;
                return Err(
                    LedgerError::Stale { expected: revision, found: revision.saturating_add(1) }.into()
                );
            }
            if configured.as_ref().is_err_and(|refused| refused.code == Code::OutOfDate) {
                self.check_revision(revision).await?;
                // The later revision is of a ledger that is no more: this one was brought back from a backup.
                tracing::warn!(revision, "drops in Redis are of a later revision than the ledger has");
                for config in &mut configs {
                    config.overrules = true;
                }
                configured = scripts::configure(connection, self.shard, &configs).await?;
            }
            match configured {
                Ok(views) => {
                    for (config, view) in configs.iter().zip(&views) {
                        tell_of_too_many(config, view);
                    }
                }
                Err(refused) => {
                    let drop = configs.get(refused.drop).map_or("", |config| config.drop.as_str());
                    let what = format!("drop {drop:?} cannot be loaded into Redis: {}", refused.code.name());
                    return Err(LedgerError::Corrupt(what).into());
                }
            }
        }
        Ok(())
    }

    /// Whether the campaigns are still those of this revision.
    ///
    /// # Errors
    /// [`LedgerError::Stale`] if they are not.
    pub(super) async fn check_revision(&self, expected: u64) -> Result<(), LoadError> {
        let found = self.ledger.revision().await?;
        if found > expected { Err(LedgerError::Stale { expected, found }.into()) } else { Ok(()) }
    }

    pub(super) async fn set_states(
        &self,
        connection: &mut Connection,
        drops: &[&DropId],
        wanted: DropState,
    ) -> Result<(), LoadError> {
        if drops.is_empty() {
            return Ok(());
        }
        match scripts::set_state(connection, self.shard, drops, wanted).await? {
            Ok(_) => Ok(()),
            Err(refused) => {
                let what = format!("a drop vanished from Redis: {}", refused.code.name());
                Err(LedgerError::Corrupt(what).into())
            }
        }
    }
}

/// Tells that more of a drop is claimed than it has. Its claims stay, nothing more is sold, and all else goes on.
fn tell_of_too_many(config: &DropConfig<'_>, view: &DropView) {
    let live = u64::from(view.seq).saturating_add(config.carried).saturating_sub(view.returned);
    if live > config.stock_total {
        tracing::error!(
            drop = %config.drop, stock = config.stock_total, claims = live,
            "more is claimed than the ledger has stock for: nothing more is sold"
        );
    }
}

/// A drop as it is to be: its stock with what claims of older epochs hold of it, `once` with the revision of the
/// campaigns that says all of this.
pub(super) fn config(
    spec: &DropSpec,
    (stock_total, carried): (u64, u64),
    mode: Mode,
    (once, revision): (usize, u64),
) -> DropConfig<'_> {
    DropConfig {
        drop: &spec.id,
        mode,
        stock_total,
        carried,
        opens_at_ms: spec.opens_at_ms,
        closes_at_ms: spec.closes_at_ms,
        limit: spec.limit_per_person,
        epoch: Epoch::FIRST,
        state: DropState::Frozen,
        once,
        revision,
        overrules: false,
    }
}
