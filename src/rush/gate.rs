//! What every front end knows of each drop, from memory: it may refuse, it never grants.
//!
//! Owns the latest view of each drop (from every batch reply and from the poll) and the sold-out latch. A person
//! who may hold a claim is always let through to Redis, whatever the drop's state, and gets their claim again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ahash::RandomState;
use arc_swap::ArcSwap;

use super::heard::Heard;
use super::holders::{Fingerprint, Fingerprints, Holders, HoldersVersion};
pub use super::public::PublicState;
use super::trust::Trust;
use crate::clock::UnixMs;
use crate::domain::campaign::{Campaign, DropSpec};
use crate::domain::cause::Cause;
use crate::domain::ids::{CampaignId, DropId, DropNumber, Epoch};
use crate::redis::codes::{DropState, DropView};
use crate::redis::scripts::OnePerCampaign;

/// How far this machine's idea of Redis' clock may be off before a claim near the release instant or the end of
/// the window would be refused wrongly. Within it, the claim goes to Redis, whose clock decides.
const CLOCK_MARGIN_MS: i64 = 100;

/// All drops, and what holds for all of them.
#[derive(Debug, Default)]
pub struct Gate {
    drops: ArcSwap<HashMap<Box<str>, Arc<DropGate>, RandomState>>,
    campaigns: ArcSwap<Vec<Arc<Campaign>>>,
    /// Redis' clock minus this machine's, in milliseconds.
    redis_ahead_ms: AtomicI64,
    /// Whether Redis answered last time.
    redis_up: AtomicBool,
    /// Redis answers and refuses to write.
    refuses_writes: AtomicBool,
    /// Too much waits in the journal: nothing new is to be granted.
    journal_full: AtomicBool,
    prints: Fingerprints,
    /// Which server claims may be sent to.
    pub trust: Trust,
}

/// The campaign's part of a drop: changes only when the campaign is applied anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropRules {
    /// The drop as applied.
    pub spec: DropSpec,
    /// Its campaign.
    pub campaign: CampaignId,
    /// Its number in claim ids and voucher codes.
    pub number: DropNumber,
    /// All drops of the campaign, where a person may win in one of them alone.
    pub once: Option<Arc<OnePerCampaign>>,
}

/// One drop as this front end knows it.
#[derive(Debug)]
pub struct DropGate {
    /// Which.
    pub id: DropId,
    rules: ArcSwap<DropRules>,
    seen: Mutex<Option<Seen>>,
    /// The same for readers that cannot wait.
    published: ArcSwap<Option<DropView>>,
    /// The person that holds what.
    pub holders: Holders,
    /// A scan of the holders is under way.
    scanning: AtomicBool,
    /// This shard's Redis went back behind what it had said: nothing is sold until that is mended.
    went_back: AtomicBool,
    /// The ledger knows of it.
    loss_noted: AtomicBool,
}

/// What Redis said last, and at most.
#[derive(Debug, Clone, Copy)]
struct Seen {
    last: Heard,
    /// The highest epoch and number that Redis ever said; it only rises.
    highest: (Epoch, u32),
}

impl Gate {
    /// A drop by its id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Arc<DropGate>> {
        self.drops.load().get(id).cloned()
    }

    /// Every drop.
    #[must_use]
    pub fn drops(&self) -> Vec<Arc<DropGate>> {
        self.drops.load().values().cloned().collect()
    }

    /// A drop by its number.
    #[must_use]
    pub fn find_number(&self, number: DropNumber) -> Option<Arc<DropGate>> {
        self.drops.load().values().find(|drop| drop.rules.load().number == number).cloned()
    }

    /// Whether Redis was seen to have gone back in one of these drops: who has won there, it may not know.
    #[must_use]
    pub fn any_went_back(&self, campaign: &OnePerCampaign) -> bool {
        let drops = self.drops.load();
        campaign.drops.iter().any(|(id, _)| drops.get(id.as_str()).is_some_and(|drop| drop.went_back()))
    }

    /// Every campaign.
    #[must_use]
    pub fn campaigns(&self) -> Arc<Vec<Arc<Campaign>>> {
        self.campaigns.load_full()
    }

    /// A campaign by its id.
    #[must_use]
    pub fn campaign(&self, id: &str) -> Option<Arc<Campaign>> {
        self.campaigns.load().iter().find(|campaign| campaign.id.as_str() == id).cloned()
    }

    /// Takes over a catalogue: new drops appear, known ones keep what is known of them.
    pub fn replace(&self, campaigns: Vec<Arc<Campaign>>, rules: Vec<DropRules>) {
        let old = self.drops.load();
        let drops = rules
            .into_iter()
            .map(|rules| {
                let known = old.get(rules.spec.id.as_str()).cloned();
                let gate = known.unwrap_or_else(|| Arc::new(DropGate::new(rules.clone())));
                gate.rules.store(Arc::new(rules));
                (gate.id.as_str().into(), gate)
            })
            .collect();
        self.drops.store(Arc::new(drops));
        self.campaigns.store(Arc::new(campaigns));
    }

    /// The fingerprint of a person under this process' key.
    #[must_use]
    pub fn fingerprint(&self, person: &str) -> Fingerprint {
        self.prints.of(person)
    }

    /// Whether Redis answered last time.
    #[must_use]
    pub fn is_redis_up(&self) -> bool {
        self.redis_up.load(Ordering::Relaxed)
    }

    /// Notes whether Redis answers; true when that is news.
    pub fn set_redis_up(&self, up: bool) -> bool {
        self.redis_up.swap(up, Ordering::Relaxed) != up
    }

    /// Whether Redis answers and refuses to write.
    #[must_use]
    pub fn refuses_writes(&self) -> bool {
        self.refuses_writes.load(Ordering::Relaxed)
    }

    /// Notes whether Redis refuses to write; true when that is news.
    pub fn set_refuses_writes(&self, refuses: bool) -> bool {
        self.refuses_writes.swap(refuses, Ordering::Relaxed) != refuses
    }

    /// Whether too much waits in the journal for anything new to be granted.
    #[must_use]
    pub fn is_journal_full(&self) -> bool {
        self.journal_full.load(Ordering::Relaxed)
    }

    /// Notes whether too much waits in the journal.
    pub fn set_journal_full(&self, full: bool) {
        self.journal_full.store(full, Ordering::Relaxed);
    }

    /// Notes Redis' clock beside this machine's.
    pub fn set_redis_clock(&self, redis_now_ms: UnixMs, local_now_ms: UnixMs) {
        self.redis_ahead_ms.store(redis_now_ms - local_now_ms, Ordering::Relaxed);
    }

    /// What Redis' clock shows, as far as this machine can tell.
    #[must_use]
    pub fn redis_now_ms(&self, local_now_ms: UnixMs) -> UnixMs {
        local_now_ms + self.redis_ahead_ms.load(Ordering::Relaxed)
    }

    /// Whether a claim may go on to Redis.
    ///
    /// # Errors
    /// The cause of the refusal, for a person who is known to hold nothing in this drop.
    pub fn check(&self, drop: &DropGate, person: Fingerprint, local_now_ms: UnixMs) -> Result<(), Cause> {
        if !self.is_redis_up() || drop.went_back.load(Ordering::Relaxed) {
            return Err(Cause::Unavailable);
        }
        let published = drop.published.load();
        let Some(view) = published.as_ref() else { return Err(Cause::Unavailable) };
        if view.state == DropState::Frozen {
            return Err(Cause::Unavailable);
        }
        let complete = || drop.holders.is_complete(HoldersVersion::new(view.epoch, view.seq));
        match refusal(view, self.redis_now_ms(local_now_ms)) {
            Some(cause) if complete() && !drop.holders.may_hold(person) => Err(cause),
            // Only whoever can get nothing but the claim that they have: everything new grows the journal.
            None if self.is_journal_full()
                && !(drop.limit_per_person() == 1 && complete() && drop.holders.may_hold(person)) =>
            {
                Err(Cause::Overloaded)
            }
            _ => Ok(()),
        }
    }
}

/// Why a stranger would be refused, by the view alone: in the order of the claim script.
fn refusal(view: &DropView, redis_now_ms: UnixMs) -> Option<Cause> {
    if view.state == DropState::Paused {
        Some(Cause::Paused)
    } else if redis_now_ms + CLOCK_MARGIN_MS < view.opens_at_ms {
        Some(Cause::NotOpen)
    } else if redis_now_ms - CLOCK_MARGIN_MS >= view.closes_at_ms {
        Some(Cause::Closed)
    } else if view.stock == 0 {
        Some(Cause::SoldOut)
    } else {
        None
    }
}

impl DropGate {
    fn new(rules: DropRules) -> Self {
        let stock = rules.spec.stock;
        Self {
            id: rules.spec.id.clone(),
            rules: ArcSwap::from_pointee(rules),
            seen: Mutex::new(None),
            published: ArcSwap::from_pointee(None),
            holders: Holders::of_stock(stock),
            scanning: AtomicBool::new(false),
            went_back: AtomicBool::new(false),
            loss_noted: AtomicBool::new(false),
        }
    }

    /// The campaign's part.
    #[must_use]
    pub fn rules(&self) -> Arc<DropRules> {
        self.rules.load_full()
    }

    /// The campaign's drops, where a person may win in one of them alone.
    #[must_use]
    pub fn once(&self) -> Option<Arc<OnePerCampaign>> {
        self.rules.load().once.clone()
    }

    /// The limit per person, as applied.
    #[must_use]
    pub fn limit_per_person(&self) -> u32 {
        self.rules.load().spec.limit_per_person
    }

    /// The latest view, if Redis was heard of this drop.
    #[must_use]
    pub fn view(&self) -> Option<DropView> {
        **self.published.load()
    }

    /// Takes over what Redis said. Replies of several lanes may arrive out of order: an older one is passed over. One that is
    /// newer and yet behind says that Redis lost what it had.
    pub fn update(&self, heard: Heard) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let said = heard.number();
        let before = seen.map_or((Epoch(0), 0), |before| before.highest);
        let mut highest = said.max(before);
        if seen.is_some_and(|before| heard.is_older_than(&before.last)) {
            return;
        }
        if said < before {
            self.went_back.store(true, Ordering::Relaxed);
        } else if self.went_back() {
            // A Redis that lacks something may be another one altogether, and how far it is proves nothing of the one that lacks
            // nothing. One that was made anew, and sells, lacks nothing any more.
            if said.0 > before.0 && before.0 > Epoch(0) && heard.view.state != DropState::Frozen {
                self.set_sound();
            } else {
                highest = before;
            }
        }
        let changed = seen.is_none_or(|before| before.last.view != heard.view);
        *seen = Some(Seen { last: heard, highest });
        if changed {
            self.published.store(Arc::new(Some(heard.view)));
        }
    }

    /// Whether Redis was seen to have gone back.
    #[must_use]
    pub fn went_back(&self) -> bool {
        self.went_back.load(Ordering::Relaxed)
    }

    /// Notes that Redis holds less than it is known to have had.
    pub fn set_went_back(&self) {
        self.went_back.store(true, Ordering::Relaxed);
    }

    /// Notes that Redis holds all that it is known to have had.
    pub fn set_sound(&self) {
        self.went_back.store(false, Ordering::Relaxed);
        self.loss_noted.store(false, Ordering::Relaxed);
    }

    /// Notes that a loss, and what was seen before it, stands in the ledger.
    pub fn set_loss_noted(&self) {
        self.loss_noted.store(true, Ordering::Relaxed);
    }

    /// Whether Redis was seen to have gone back and the ledger does not know yet.
    #[must_use]
    pub fn is_loss_news(&self) -> bool {
        self.went_back() && !self.loss_noted.load(Ordering::Relaxed)
    }

    /// The highest epoch and number that Redis ever said to this front end.
    #[must_use]
    pub fn highest(&self) -> Option<(Epoch, u32)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).map(|seen| seen.highest)
    }

    /// Whether nothing is sold because the shard is being loaded, or has to be rebuilt.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.went_back() || self.view().is_some_and(|view| view.state == DropState::Frozen)
    }

    /// Whether strangers are refused from memory.
    #[must_use]
    pub fn is_latched(&self, redis_now_ms: UnixMs) -> bool {
        self.view().is_some_and(|view| {
            refusal(&view, redis_now_ms).is_some()
                && self.holders.is_complete(HoldersVersion::new(view.epoch, view.seq))
        })
    }

    /// The version at which the holders have to be scanned before strangers can be refused from memory, if they
    /// have to be (also while the journal is full) and nobody does it yet. Whoever is told a version calls [`DropGate::end_scan`] at the end.
    #[must_use]
    pub fn begin_scan(&self, redis_now_ms: UnixMs, journal_full: bool) -> Option<HoldersVersion> {
        let view = self.view()?;
        let version = HoldersVersion::new(view.epoch, view.seq);
        let refuses = journal_full || refusal(&view, redis_now_ms).is_some();
        if !refuses || self.holders.is_complete(version) {
            return None;
        }
        (!self.scanning.swap(true, Ordering::AcqRel)).then_some(version)
    }

    /// Ends a scan, with the version for which it is complete if it came through.
    pub fn end_scan(&self, complete_for: Option<HoldersVersion>) {
        if let Some(version) = complete_for {
            self.holders.set_complete(version);
        }
        self.scanning.store(false, Ordering::Release);
    }

    /// What it looks like from outside.
    #[must_use]
    pub fn public_state(&self, redis_now_ms: UnixMs) -> PublicState {
        let Some(view) = self.view() else { return PublicState::Paused };
        if view.state != DropState::Running || self.went_back() {
            return PublicState::Paused;
        }
        if redis_now_ms < view.opens_at_ms {
            PublicState::Scheduled
        } else if redis_now_ms >= view.closes_at_ms {
            PublicState::Closed
        } else if view.stock == 0 {
            PublicState::SoldOut
        } else {
            PublicState::Open
        }
    }
}
