//! Campaigns: the ledger is their source of truth, Redis and the gate are loaded from it.
//!
//! Owns the order of the steps, so that a crash between any two leaves a state from which [`Campaigns::load`]
//! goes on, and so that Redis never offers more stock than the ledger has money for:
//!
//! ```text
//!  apply:  shrink in Redis ─► store in the ledger ─► load (raise, move, create)
//!  create: frozen in Redis ─► noted in the ledger ─► running
//! ```

mod before;
mod configure;
pub(super) mod epochs;
pub mod lost;
pub(super) mod once;
mod over;
pub mod recovery;
mod server;
mod settle;
mod shrink;

use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_redis::{Connection, Pool};

pub use self::epochs::EpochMemory;
use self::settle::Unsettled;
use super::soundness::{self, Books, Compared};
use crate::clock::{Clock, UnixMs};
use crate::config::Ack;
use crate::domain::campaign::{self, Campaign, CampaignState, Changes, FileError, Refusal};
use crate::domain::claim::JournalId;
use crate::domain::ids::{CampaignId, Shard};
use crate::guard::tables::AddressTables;
use crate::ledger::{Catalogue, Ledger, LedgerError, Tally};
use crate::redis::codes::{Code, DropState};
use crate::redis::peer::Peer;
use crate::redis::scripts::ScriptError;
use crate::redis::server_check::ServerRefused;
use crate::redis::{journal, pool, reads, restore};
use crate::rush::gate::Gate;
use crate::rush::heard::Heard;

/// How often it is looked whether lost drops are there again.
const LOST_LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// How long a drain that was there just now is waited for while nobody else can change campaigns.
const LOCKED_DRAIN_WAIT: Duration = Duration::from_secs(2);

/// How often a load is begun anew because others change campaigns faster than it goes.
const LOADS_MAX: u32 = 4;

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
    /// What a claim's acknowledgement promises, which Redis' settings must keep.
    ack: Ack,
    /// Whether rules about addresses can be judged.
    tables: AddressTables,
    /// The epochs in which numbers may have been given, whatever the ledger says.
    epochs: EpochMemory,
    /// One change at a time; what was loaded last.
    loaded: tokio::sync::Mutex<LastLoad>,
}

/// What was loaded last.
#[derive(Debug, Default)]
struct LastLoad {
    /// The ledger's revision; nothing after a failure.
    revision: Option<u64>,
    /// When to look again, where drops were lost or are frozen: another front end may have recovered them meanwhile, or left
    /// them so.
    again_at: Option<Instant>,
    /// Whether stock was taken away of which the ledger does not hear.
    unsettled: Unsettled,
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
    /// Another Redis is there, and is not to be trusted with claims as it is set.
    #[error(transparent)]
    Unfit(ServerRefused),
}

impl From<ServerRefused> for LoadError {
    fn from(refused: ServerRefused) -> Self {
        match refused {
            ServerRefused::Unreachable(error) => error.into(),
            refused => Self::Unfit(refused),
        }
    }
}

impl From<redis::RedisError> for LoadError {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(error.into())
    }
}

impl Campaigns {
    /// Nothing is loaded yet.
    #[must_use]
    pub fn new(
        ledger: Arc<dyn Ledger>,
        pool: Pool,
        gate: Arc<Gate>,
        shard: Shard,
        clock: Clock,
        ack: Ack,
    ) -> Self {
        let (tables, epochs) = (AddressTables::default(), EpochMemory::default());
        Self { ledger, pool, gate, shard, clock, ack, tables, epochs, loaded: tokio::sync::Mutex::default() }
    }

    /// The same, giving no number in an epoch that `epochs` remembers.
    #[must_use]
    pub fn remembering(self, epochs: EpochMemory) -> Self {
        Self { epochs, ..self }
    }

    /// The same, taking campaigns that ask where addresses lie if `tables` tell.
    #[must_use]
    pub fn knowing_addresses(self, tables: AddressTables) -> Self {
        Self { tables, ..self }
    }

    /// What Redis' clock shows, by which claims are granted, vouchers end and books are closed.
    pub(super) fn redis_now_ms(&self) -> UnixMs {
        self.gate.redis_now_ms(self.clock.now_ms())
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
        actor: &str,
    ) -> Result<(CampaignId, Changes), ApplyError> {
        let given = Campaign::parse(text)?;
        let new = opens_at_ms.map_or_else(|| given.clone(), |at| given.shift_to(at));
        self.store(&new, text, actor).await
    }

    /// The same for a campaign that was read before. `text` is its file, for the lines that refusals name.
    ///
    /// # Errors
    /// As [`Campaigns::apply`].
    pub async fn store(
        &self,
        new: &Campaign,
        text: &str,
        actor: &str,
    ) -> Result<(CampaignId, Changes), ApplyError> {
        self.check_tables(new, text)?;
        self.wait_if_counted_anew(new).await?;
        let mut loaded = self.loaded.lock().await;
        let catalogue = self.ledger.catalogue().await.map_err(LoadError::from)?;
        let old = catalogue.campaigns.iter().find(|record| record.campaign.id == new.id);
        let refused = |refusal: Refusal| ApplyError::Refused {
            line: campaign::line_of_refusal(text, &refusal),
            what: refusal.to_string(),
        };
        let before = old.map(|record| &record.campaign);
        let planned = campaign::changes(before, new, |_| 0).map_err(refused)?;
        if planned.is_empty() {
            return Ok((new.id.clone(), planned));
        }
        // By the clock by which drops open and claims are granted.
        let now_ms = self.redis_now_ms();
        campaign::check_days(before, new, now_ms, |_| None).map_err(refused)?;
        if let Some(old) = old {
            if old.ended_at_ms.is_some() {
                return Err(refused(Refusal::Ended(new.id.clone())));
            }
            if campaign::counts_anew(&old.campaign, new) {
                // What was granted since: as good as there.
                self.wait_for_claims(LOCKED_DRAIN_WAIT).await?;
            }
            self.shrink(old, new, (catalogue.revision, text)).await?;
        }
        let applied = self.ledger.apply_campaign(new, catalogue.revision, actor, now_ms).await;
        // Also after a refusal: what was shrunk in Redis goes back to what the ledger says.
        let reloaded = self.load_locked(&mut loaded).await;
        match applied {
            Err(LedgerError::Refused(refusal)) => Err(refused(refusal)),
            Err(error) => Err(LoadError::from(error).into()),
            Ok(changes) => {
                reloaded?;
                Ok((new.id.clone(), changes))
            }
        }
    }

    /// Pauses, resumes or ends a campaign; `false` when there is none of that id.
    ///
    /// # Errors
    /// [`LoadError`]. The state may be stored and is loaded as soon as Redis answers.
    pub async fn set_state(
        &self,
        campaign: &CampaignId,
        state: CampaignState,
        actor: &str,
    ) -> Result<bool, LoadError> {
        let mut loaded = self.loaded.lock().await;
        let mut now_ms = self.clock.now_ms();
        if state == CampaignState::Ended {
            // Not after the instant that Redis' clock shows, which decides what is closed: it shall be so at once.
            let mut connection = pool::checkout(&self.pool).await?;
            let (redis_now_ms, _) = reads::views(&mut connection, self.shard, &[]).await?;
            now_ms = now_ms.min(redis_now_ms);
        }
        let found = self.ledger.set_campaign_state(campaign, state, actor, now_ms).await?;
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
        self.epochs.write_again();
        let again = loaded.again_at.is_some_and(|at| Instant::now() >= at);
        if loaded.again_at.is_none() && self.gate.drops().iter().any(|drop| drop.is_frozen()) {
            // Whoever froze it may have died before they said why, or be in the middle of it.
            loaded.again_at = Some(Instant::now() + LOST_LOOK_INTERVAL);
        }
        if !again
            && loaded.revision == Some(self.ledger.revision().await?)
            && !self.is_left(&mut loaded).await
        {
            return Ok(());
        }
        self.load_locked(&mut loaded).await
    }

    /// Loads over a new connection, for a lane has met another server than the one that was loaded last: a pooled
    /// connection may still lead to that one.
    ///
    /// # Errors
    /// [`LoadError`]; the server is not trusted then.
    pub async fn load_anew(&self) -> Result<(), LoadError> {
        let mut loaded = self.loaded.lock().await;
        let _closed = self.pool.retain(|_, _| false);
        self.load_locked(&mut loaded).await
    }

    /// Loads, and once more where somebody has loaded a later revision meanwhile.
    async fn load_locked(&self, loaded: &mut LastLoad) -> Result<(), LoadError> {
        for _ in 1..LOADS_MAX {
            match self.load_once(loaded).await {
                Err(LoadError::Ledger(LedgerError::Stale { .. })) => {}
                done => return done,
            }
        }
        self.load_once(loaded).await
    }

    async fn load_once(&self, loaded: &mut LastLoad) -> Result<(), LoadError> {
        loaded.revision = None;
        let catalogue = self.ledger.catalogue().await?.cut();
        let tallies = self.ledger.tallies().await?;
        let position = self.ledger.position(self.shard).await?;
        let mut connection = pool::checkout(&self.pool).await?;
        let peer = Peer::learn(&mut connection).await?;
        self.check_fit(&mut connection, &peer).await?;
        let books = self.books(&catalogue, &tallies, position);
        let compared = Compared::make(&mut connection, &self.gate, &books).await?;
        if compared.is_any_ahead() {
            // What was made anew since the ledger was read has lost nothing.
            self.check_revision(catalogue.revision).await?;
        }
        self.freeze_lost(&mut connection, &compared).await?;
        let noted = self.configure(&mut connection, (catalogue.revision, &compared.sound())).await?;
        self.publish(&catalogue);
        for placed in compared.lost() {
            if let Some(gate) = self.gate.find(placed.spec.id.as_str()) {
                // Here also after a start, when the gate did not know the drop before.
                gate.set_went_back();
                gate.set_loss_noted();
            }
        }
        for gate in compared.sound().iter().filter_map(|placed| self.gate.find(placed.spec.id.as_str())) {
            gate.set_sound();
        }
        let ids = compared.ids();
        let asked_at = Instant::now();
        let (now_ms, found) = reads::views(&mut connection, self.shard, &ids).await?;
        let came_at = Instant::now();
        for (id, view) in ids.iter().zip(found) {
            if let (Some(gate), Some(view)) = (self.gate.find(id.as_str()), view) {
                gate.update(Heard { view, now_ms, asked_at, came_at });
            }
        }
        loaded.again_at = (!compared.lost().is_empty()).then(|| Instant::now() + LOST_LOOK_INTERVAL);
        self.note_once(&catalogue, now_ms).await?;
        // What others changed since the catalogue was read is not loaded yet.
        loaded.revision = Some(catalogue.revision.saturating_add(noted));
        self.gate.trust.set(&peer.run_id);
        Ok(())
    }

    /// Sees to it that nobody sells what Redis has lost: this front end by its gate, others and claims that are
    /// under way by the state in Redis. That there was a loss is noted first, so that it outlives this process.
    async fn freeze_lost(
        &self,
        connection: &mut Connection,
        compared: &Compared<'_>,
    ) -> Result<(), LoadError> {
        let lost = compared.lost();
        if lost.is_empty() {
            return Ok(());
        }
        self.ledger.note_seen(self.shard, &compared.seen_of_lost()).await?;
        for placed in &lost {
            tracing::error!(drop = %placed.spec.id, "Redis has lost claims; nothing is sold until it is recovered");
            if let Some(gate) = self.gate.find(placed.spec.id.as_str()) {
                gate.set_went_back();
            }
        }
        let running = soundness::in_other_state(&lost, DropState::Frozen);
        self.set_states(connection, &running, DropState::Frozen, None).await?;
        // What proves a loss may be over with the next entry of the journal: from here on each says it of itself.
        for (drop, epoch) in compared.unmarked() {
            match restore::mark_lost(connection, self.shard, drop, epoch).await? {
                // Somebody restores it, or it is gone: the next comparison says which.
                Ok(_) | Err(Code::Superseded | Code::UnknownDrop) => {}
                Err(code) => {
                    let what = format!("drop {:?} cannot be marked as lost: {}", drop.as_str(), code.name());
                    return Err(LedgerError::Corrupt(what).into());
                }
            }
        }
        // What is granted there must stand after what the ledger has of the journal, or it would pass for a part of that.
        Ok(journal::raise_end(connection, self.shard, compared.position).await?)
    }

    /// What the ledger says of the shard, beside what is remembered of it.
    fn books<'a>(&'a self, catalogue: &'a Catalogue, tallies: &'a [Tally], position: JournalId) -> Books<'a> {
        Books { shard: self.shard, catalogue, tallies, position, epochs: &self.epochs }
    }
}
