//! Campaigns: the ledger is their source of truth, Redis and the gate are loaded from it.
//!
//! Owns the order of the steps, so that a crash between any two leaves a state from which [`Campaigns::load`]
//! goes on, and so that Redis never offers more stock than the ledger has money for:
//!
//! ```text
//!  apply:  shrink in Redis ─► store in the ledger ─► load (raise, move, create)
//!  create: frozen in Redis ─► noted in the ledger ─► running
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use deadpool_redis::{Connection, Pool};

use crate::clock::{Clock, UnixMs};
use crate::domain::campaign::{self, Campaign, CampaignState, Changes, DropSpec, FileError, Refusal};
use crate::domain::claim::JournalId;
use crate::domain::ids::{CampaignId, DropId, DropNumber, Epoch, Shard};
use crate::ledger::{Catalogue, DropRecord, Ledger, LedgerError, Tally};
use crate::redis::codes::{Code, DropState, DropView};
use crate::redis::scripts::{self, DropConfig, Mode, ScriptError};
use crate::redis::{journal, pool, reads};
use crate::rush::gate::{DropRules, Gate};

/// Applies, pauses and loads campaigns.
pub struct Campaigns {
    /// The source of truth.
    pub ledger: Arc<dyn Ledger>,
    /// What is loaded from it.
    pub pool: Pool,
    /// What knows it by heart.
    pub gate: Arc<Gate>,
    /// The shard.
    pub shard: Shard,
    /// For the audit records' time.
    pub clock: Clock,
    /// One change at a time; holds the revision that was loaded last.
    loaded: tokio::sync::Mutex<Option<u64>>,
}

/// Why a campaign was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The file itself is wrong.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is right and cannot be applied to what is stored.
    #[error("{}{what}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    Refused {
        /// The line of the file that asks for it, where it can be told.
        line: Option<usize>,
        /// What is refused, and why.
        what: String,
    },
    /// The ledger or Redis failed.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Why campaigns could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Redis failed.
    #[error(transparent)]
    Redis(#[from] ScriptError),
}

impl From<redis::RedisError> for LoadError {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(error.into())
    }
}

/// A drop's place in what is being loaded.
struct Placed<'a> {
    record: &'a DropRecord,
    spec: &'a DropSpec,
    state: CampaignState,
    view: Option<DropView>,
}

impl Campaigns {
    /// Nothing is loaded yet.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, pool: Pool, gate: Arc<Gate>, shard: Shard, clock: Clock) -> Self {
        Self { ledger, pool, gate, shard, clock, loaded: tokio::sync::Mutex::new(None) }
    }

    /// Applies a campaign file, optionally with all drops moved so that the first opens at `opens_at_ms`. A
    /// refused file changes nothing; the same file twice changes nothing.
    ///
    /// # Errors
    /// [`ApplyError`]. After [`ApplyError::Load`] the campaign may be stored: applying the file again is safe.
    pub async fn apply(
        &self,
        text: &str,
        opens_at_ms: Option<UnixMs>,
    ) -> Result<(CampaignId, Changes), ApplyError> {
        let given = Campaign::parse(text)?;
        let new = opens_at_ms.map_or_else(|| given.clone(), |at| given.shift_to(at));
        let mut loaded = self.loaded.lock().await;
        let catalogue = self.ledger.catalogue().await.map_err(LoadError::from)?;
        let old = catalogue.campaigns.iter().find(|record| record.campaign.id == new.id);
        let refused = |refusal: Refusal| ApplyError::Refused {
            line: refusal.about().and_then(|drop| campaign::line_of_drop(text, drop)),
            what: refusal.to_string(),
        };
        let planned = campaign::changes(old.map(|record| &record.campaign), &new, |_| 0).map_err(refused)?;
        if planned.is_empty() {
            return Ok((new.id, planned));
        }
        if let Some(old) = old {
            self.shrink(&old.campaign, &new, text).await?;
        }
        let applied = self.ledger.apply_campaign(&new, catalogue.revision, self.clock.now_ms()).await;
        // Also after a refusal: what was shrunk in Redis goes back to what the ledger says.
        let reloaded = self.load_locked(&mut loaded).await;
        match applied {
            Err(LedgerError::Refused(refusal)) => Err(refused(refusal)),
            Err(error) => Err(LoadError::from(error).into()),
            Ok(changes) => {
                reloaded?;
                Ok((new.id, changes))
            }
        }
    }

    /// Takes stock away in Redis, where nobody can claim it meanwhile, before the ledger gives its money away.
    async fn shrink(&self, old: &Campaign, new: &Campaign, text: &str) -> Result<(), ApplyError> {
        let smaller: Vec<_> = old
            .drops
            .iter()
            .filter_map(|before| {
                let after = new.drop_spec(&before.id)?;
                (after.stock < before.stock).then_some((before, after.stock))
            })
            .collect();
        if smaller.is_empty() {
            return Ok(());
        }
        let configs: Vec<_> = smaller
            .iter()
            .map(|(before, stock)| config(before, *stock, Mode::Update, Epoch::FIRST))
            .collect();
        let mut connection = pool::checkout(&self.pool).await.map_err(LoadError::from)?;
        match scripts::configure(&mut connection, self.shard, &configs).await.map_err(LoadError::from)? {
            Ok(_) => Ok(()),
            Err(refused) => {
                let drop = configs.get(refused.drop).map(|config| config.drop);
                let name = drop.map_or("", DropId::as_str);
                let stock = configs.get(refused.drop).map_or(0, |config| config.stock_total);
                let what = match refused.code {
                    Code::ShrinkBelowClaimed => {
                        format!("drop {name:?}: stock {stock} is below what is claimed already")
                    }
                    _ => format!("drop {name:?} is not loaded in Redis"),
                };
                Err(ApplyError::Refused {
                    line: drop.and_then(|drop| campaign::line_of_drop(text, drop)),
                    what,
                })
            }
        }
    }

    /// Pauses or resumes a campaign; `false` when there is none of that id.
    ///
    /// # Errors
    /// [`LoadError`]. The state may be stored and is loaded as soon as Redis answers.
    pub async fn set_state(&self, campaign: &CampaignId, state: CampaignState) -> Result<bool, LoadError> {
        let mut loaded = self.loaded.lock().await;
        let found = self.ledger.set_campaign_state(campaign, state, self.clock.now_ms()).await?;
        if found {
            self.load_locked(&mut loaded).await?;
        }
        Ok(found)
    }

    /// Loads Redis and the gate from the ledger. Safe to repeat.
    ///
    /// # Errors
    /// [`LoadError`]; what was loaded stays.
    pub async fn load(&self) -> Result<(), LoadError> {
        let mut loaded = self.loaded.lock().await;
        self.load_locked(&mut loaded).await
    }

    /// Loads if somebody else (another front end, an earlier failure) left the ledger ahead of what is loaded.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn load_if_stale(&self) -> Result<(), LoadError> {
        let mut loaded = self.loaded.lock().await;
        if *loaded == Some(self.ledger.revision().await?) {
            return Ok(());
        }
        self.load_locked(&mut loaded).await
    }

    async fn load_locked(&self, loaded: &mut Option<u64>) -> Result<(), LoadError> {
        *loaded = None;
        let catalogue = self.ledger.catalogue().await?;
        let tallies = self.ledger.tallies().await?;
        let position = self.ledger.position(self.shard).await?;
        let mut connection = pool::checkout(&self.pool).await?;
        let lost = self.lost_drops(&mut connection, &catalogue, &tallies, position).await?;
        let ids: Vec<DropId> = lost.placed.iter().map(|placed| placed.spec.id.clone()).collect();
        let sound: Vec<&Placed<'_>> = lost.placed.iter().filter(|placed| !lost.is_lost(placed)).collect();
        self.configure(&mut connection, &sound).await?;
        self.publish(&catalogue);
        for placed in lost.placed.iter().filter(|placed| lost.is_lost(placed)) {
            tracing::error!(drop = %placed.spec.id, "Redis is behind the ledger; nothing is sold until it is recovered");
            if let Some(gate) = self.gate.find(placed.spec.id.as_str()) {
                gate.set_went_back();
            }
        }
        let (now_ms, found) = reads::views(&mut connection, self.shard, &ids).await?;
        for (id, view) in ids.iter().zip(found) {
            if let (Some(gate), Some(view)) = (self.gate.find(id.as_str()), view) {
                gate.update(view, now_ms);
            }
        }
        *loaded = Some(self.ledger.revision().await?);
        Ok(())
    }

    /// Sets Redis beside the ledger: which drops has Redis lost, in whole or in part?
    async fn lost_drops<'a>(
        &self,
        connection: &mut Connection,
        catalogue: &'a Catalogue,
        tallies: &[Tally],
        position: JournalId,
    ) -> Result<Compared<'a>, LoadError> {
        let ids: Vec<DropId> =
            catalogue.campaigns.iter().flat_map(|record| &record.drops).map(|drop| drop.id.clone()).collect();
        let (_, found) = reads::views(connection, self.shard, &ids).await?;
        let mut found = found.into_iter();
        let mut placed = Vec::with_capacity(ids.len());
        for record in &catalogue.campaigns {
            for (drop, spec) in record.drops.iter().zip(&record.campaign.drops) {
                placed.push(Placed { record: drop, spec, state: record.state, view: found.next().flatten() });
            }
        }
        let journal_behind = journal::last_id(connection, self.shard).await? < position;
        Ok(Compared { shard: self.shard, placed, journal_behind, seqs: seqs(self.shard, tallies) })
    }

    /// Creates what is new (frozen, then noted, then running) and sets what is there to what the ledger says.
    async fn configure(&self, connection: &mut Connection, sound: &[&Placed<'_>]) -> Result<(), LoadError> {
        for chunk in sound.chunks(crate::limits::DROPS_PER_CAMPAIGN_MAX) {
            let configs: Vec<_> = chunk
                .iter()
                .map(|placed| {
                    let mode = if is_loaded(placed.record, self.shard) { Mode::Update } else { Mode::Create };
                    config(placed.spec, placed.spec.stock, mode, Epoch::FIRST)
                })
                .collect();
            if let Err(refused) = scripts::configure(connection, self.shard, &configs).await? {
                let drop = configs.get(refused.drop).map_or("", |config| config.drop.as_str());
                let what = format!("drop {drop:?} cannot be loaded into Redis: {}", refused.code.name());
                return Err(LedgerError::Corrupt(what).into());
            }
        }
        for placed in sound.iter().filter(|placed| !is_loaded(placed.record, self.shard)) {
            self.ledger.mark_loaded(placed.record.number, self.shard, Epoch::FIRST).await?;
        }
        for (state, wanted) in
            [(CampaignState::Running, DropState::Running), (CampaignState::Paused, DropState::Paused)]
        {
            let differing = sound.iter().filter(|placed| {
                placed.state == state && placed.view.is_none_or(|view| view.state != wanted)
            });
            let drops: Vec<&DropId> = differing.map(|placed| &placed.spec.id).collect();
            if drops.is_empty() {
                continue;
            }
            if let Err(refused) = scripts::set_state(connection, self.shard, &drops, wanted).await? {
                return Err(LedgerError::Corrupt(format!(
                    "a drop vanished from Redis: {}",
                    refused.code.name()
                ))
                .into());
            }
        }
        Ok(())
    }

    fn publish(&self, catalogue: &Catalogue) {
        let campaigns = catalogue.campaigns.iter().map(|record| Arc::new(record.campaign.clone())).collect();
        let rules = catalogue.campaigns.iter().flat_map(|record| {
            record.drops.iter().zip(&record.campaign.drops).map(|(drop, spec)| DropRules {
                spec: spec.clone(),
                campaign: record.campaign.id.clone(),
                number: drop.number,
            })
        });
        self.gate.replace(campaigns, rules.collect());
    }
}

/// Redis beside the ledger.
struct Compared<'a> {
    shard: Shard,
    placed: Vec<Placed<'a>>,
    /// The journal ends before what the ledger has committed of it.
    journal_behind: bool,
    /// Highest epoch and number that the ledger has of each drop.
    seqs: HashMap<DropNumber, (Epoch, u32)>,
}

impl Compared<'_> {
    /// Whether Redis has less of a drop than the ledger knows it had.
    fn is_lost(&self, placed: &Placed<'_>) -> bool {
        if !is_loaded(placed.record, self.shard) {
            return false;
        }
        let Some(view) = placed.view else { return true };
        let known = self.seqs.get(&placed.record.number).copied().unwrap_or((Epoch::FIRST, 0));
        self.journal_behind || (view.epoch, view.seq) < known
    }
}

fn seqs(shard: Shard, tallies: &[Tally]) -> HashMap<DropNumber, (Epoch, u32)> {
    let mut seqs = HashMap::new();
    for tally in tallies.iter().filter(|tally| tally.shard == shard) {
        let highest = seqs.entry(tally.drop).or_insert((tally.epoch, tally.seq_max));
        *highest = (*highest).max((tally.epoch, tally.seq_max));
    }
    seqs
}

fn is_loaded(record: &DropRecord, shard: Shard) -> bool {
    record.loaded_in(shard).is_some()
}

fn config(spec: &DropSpec, stock_total: u64, mode: Mode, epoch: Epoch) -> DropConfig<'_> {
    DropConfig {
        drop: &spec.id,
        mode,
        stock_total,
        opens_at_ms: spec.opens_at_ms,
        closes_at_ms: spec.closes_at_ms,
        limit: spec.limit_per_person,
        epoch,
        state: DropState::Frozen,
    }
}
