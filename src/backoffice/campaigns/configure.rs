//! Setting a shard's drops, and the gate, to what the ledger says.

use std::sync::Arc;

use deadpool_redis::Connection;

use super::{Campaigns, LoadError, once};
use crate::backoffice::soundness::Placed;
use crate::domain::campaign::{CampaignState, DropSpec};
use crate::domain::ids::{DropId, Epoch};
use crate::ledger::{Catalogue, LedgerError};
use crate::limits;
use crate::redis::codes::{Code, DropState, DropView};
use crate::redis::reads;
use crate::redis::scripts::{self, DropConfig, Mode};
use crate::rush::gate::DropRules;

impl Campaigns {
    /// Creates what is new (its epoch remembered, frozen, then noted, then running) and sets what is there to what the ledger
    /// says; how many drops were noted. What is there hears of new drops of its campaign before one of them runs.
    pub(super) async fn configure(
        &self,
        connection: &mut Connection,
        (revision, sound): (u64, &[&Placed<'_>]),
    ) -> Result<u64, LoadError> {
        let (known, new): (Vec<&Placed<'_>>, Vec<_>) =
            sound.iter().partition(|placed| placed.is_loaded(self.shard));
        self.epochs.note(sound.iter().map(|placed| (placed.record.number, placed.first_epoch())));
        let made = self.configure_all(connection, (revision, &new), Mode::Create).await?;
        let mut noted = 0_u64;
        for (placed, view) in new.iter().zip(&made) {
            self.ledger.mark_loaded(placed.record.number, self.shard, view.epoch).await?;
            noted = noted.saturating_add(1);
        }
        let set = self.configure_all(connection, (revision, &known), Mode::Update).await?;
        // As they stood when this revision was set: from then on nobody changes it by an older one.
        let stand = new.iter().zip(&made).chain(known.iter().zip(&set));
        // What somebody froze since it was compared lacks something that this front end does not know of.
        let stand: Vec<_> = stand.filter(|(placed, view)| !was_frozen_since(placed, view)).collect();
        for (state, wanted) in
            // One that ended has its windows cut off: its drops are closed, not paused.
            [
                (CampaignState::Running, DropState::Running),
                (CampaignState::Ended, DropState::Running),
                (CampaignState::Paused, DropState::Paused),
            ]
        {
            let differing =
                stand.iter().filter(|(placed, view)| placed.state == state && view.state != wanted);
            let drops: Vec<&DropId> = differing.map(|(placed, _)| &placed.spec.id).collect();
            self.set_states(connection, &drops, wanted, Some(revision)).await?;
        }
        Ok(noted)
    }

    async fn configure_all(
        &self,
        connection: &mut Connection,
        (revision, drops): (u64, &[&Placed<'_>]),
        mode: Mode,
    ) -> Result<Vec<DropView>, LoadError> {
        let mut stand = Vec::with_capacity(drops.len());
        for chunk in drops.chunks(limits::DROPS_PER_CAMPAIGN_MAX) {
            let mut configs = Vec::with_capacity(chunk.len());
            for placed in chunk {
                let units = (placed.spec.stock, placed.record.carried_in(self.shard));
                let config = config(placed.spec, units, mode, (placed.once, revision));
                configs.push(DropConfig { epoch: placed.first_epoch(), ..config });
            }
            let mut configured = scripts::configure(connection, self.shard, &configs).await?;
            if configured.as_ref().is_err_and(|refused| refused.code == Code::OutOfDate) {
                let ids = configs.iter().map(|config| config.drop);
                let set_to = reads::revisions(connection, self.shard, ids).await?;
                // After that look: what is later there and was not in the ledger then is of no ledger that there is.
                self.check_revision(revision).await?;
                // The later revision is of a ledger that is no more: this one was brought back from a backup.
                tracing::warn!(revision, "drops in Redis are of a later revision than the ledger has");
                for (config, set_to) in configs.iter_mut().zip(set_to) {
                    config.overrules = set_to.filter(|set_to| *set_to > revision);
                }
                configured = scripts::configure(connection, self.shard, &configs).await?;
            }
            match configured {
                Ok(views) => {
                    for (config, view) in configs.iter().zip(&views) {
                        tell_of_too_many(config, view);
                    }
                    stand.extend(views);
                }
                Err(refused) if matches!(refused.code, Code::Unsettled | Code::OutOfDate) => {
                    if refused.code == Code::Unsettled {
                        // Who took it away may be about to store that, or have died. Whoever comes first in the ledger is right.
                        self.ledger.outdate(revision).await?;
                    }
                    // Or somebody has loaded a later one since.
                    return Err(
                        LedgerError::Stale { expected: revision, found: revision.saturating_add(1) }.into()
                    );
                }
                Err(refused) => {
                    let drop = configs.get(refused.drop).map_or("", |config| config.drop.as_str());
                    let what = format!("drop {drop:?} cannot be loaded into Redis: {}", refused.code.name());
                    return Err(LedgerError::Corrupt(what).into());
                }
            }
        }
        Ok(stand)
    }

    /// Tells the gate which campaigns there are.
    pub(super) fn publish(&self, catalogue: &Catalogue) {
        let campaigns = catalogue.campaigns.iter().map(|record| Arc::new(record.campaign.clone())).collect();
        let rules = catalogue.campaigns.iter().flat_map(|record| {
            let once = once::of(record, self.shard).map(Arc::new);
            record.drops.iter().zip(&record.campaign.drops).map(move |(drop, spec)| DropRules {
                spec: spec.clone(),
                campaign: record.campaign.id.clone(),
                number: drop.number,
                once: once.clone(),
            })
        });
        self.gate.replace(campaigns, rules.collect());
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
        revision: Option<u64>,
    ) -> Result<(), LoadError> {
        if drops.is_empty() {
            return Ok(());
        }
        match (scripts::set_state(connection, self.shard, drops, wanted, revision).await?, revision) {
            (Ok(_), _) => Ok(()),
            (Err(refused), Some(expected)) if refused.code == Code::OutOfDate => {
                Err(LedgerError::Stale { expected, found: expected.saturating_add(1) }.into())
            }
            (Err(refused), _) => {
                let what = format!("a drop vanished from Redis: {}", refused.code.name());
                Err(LedgerError::Corrupt(what).into())
            }
        }
    }
}

/// Whether a drop that stands so was not frozen when it was compared.
fn was_frozen_since(placed: &Placed<'_>, view: &DropView) -> bool {
    view.state == DropState::Frozen && placed.view.is_some_and(|before| before.state != DropState::Frozen)
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
        overrules: None,
    }
}
