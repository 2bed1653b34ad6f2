//! Vouchers by their codes, and orphan receipts: signed codes of claims that no store has.
//!
//! Owns when a code counts as an orphan, and how an operator settles one. A code proves that this service once gave
//! the claim, not to whom; so the person who shows it is registered, and a person decides.
//!
//! ```text
//!  code ─► in the ledger, or the person's in Redis: that voucher ─► somebody else's: not theirs
//!       └► of an older epoch, or beyond what Redis has granted, and in no store: an orphan receipt, open
//!  open ─► honoured: the person is granted a unit of a drop of the same worth, then settled   ─► or void, with a reason
//! ```

mod absent;
mod granting;
mod turn;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

pub use self::absent::Absent;
use super::admin_api::{ReceiptList, ReceiptView};
use super::campaigns::Campaigns;
use super::decision::checked;
use crate::clock::{UnixMs, rfc3339};
use crate::domain::ids::{ClaimNumber, PersonId};
use crate::ledger::life::StepRow;
use crate::ledger::{ClaimStatus, LedgerError, ReceiptRow, ReceiptState, Settlement};
use crate::limits;
use crate::redis::scripts::ScriptError;
use crate::redis::{pool, reads};
use crate::rush::gate::DropGate;

/// How often it is looked whether the ledger has a granted claim.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a code stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A claim of this person.
    Held {
        /// Whether its unit went back to stock.
        returned: bool,
        /// When it was granted.
        claimed_at_ms: UnixMs,
        /// The last step that was taken with it; nothing while none was.
        last: Option<Box<StepRow>>,
    },
    /// Nothing that a store has; the person's receipt for it.
    Receipt(ReceiptRow),
    /// A claim of somebody else, or one that was shown by too many.
    NotTheirs,
}

/// Why a code was not looked up.
#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    /// Too many look-ups run.
    #[error("too many vouchers are being looked up")]
    Busy,
    /// Redis is away, or has not been found to have everything: what is not in it may be in the right one.
    #[error("what Redis has cannot be relied on now")]
    NotNow,
    /// The ledger or Redis failed.
    #[error("{0}")]
    Failed(String),
}

/// Why a receipt was not settled.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// There is none of that number.
    #[error("there is no receipt {0}")]
    Unknown(u64),
    /// What is said of it is no text that can be kept.
    #[error("{0}")]
    Invalid(String),
    /// It cannot be settled so.
    #[error("receipt {number}: {what}")]
    Refused {
        /// Which.
        number: u64,
        /// Why.
        what: String,
    },
    /// The ledger or Redis failed; doing it again is safe.
    #[error("{0}")]
    Failed(String),
}

/// The ledger's and Redis' failures, as the last variant of a call's error.
macro_rules! failed {
    ($($error:ty => $of:ty),*) => {
        $(impl From<$error> for $of {
            fn from(error: $error) -> Self {
                Self::Failed(error.to_string())
            }
        })*
    };
}
failed!(
    LedgerError => LookUpError, ScriptError => LookUpError, redis::RedisError => LookUpError,
    LedgerError => SettleError, ScriptError => SettleError, redis::RedisError => SettleError
);

/// Where a core has vouchers looked up: on the background runtime, which owns the connections to the ledger.
#[derive(Clone)]
pub struct VoucherDesk {
    receipts: Arc<Receipts>,
    background: Handle,
    permits: Arc<Semaphore>,
}

impl VoucherDesk {
    /// A desk whose work is done on `background`; at most [`limits::VOUCHER_LOOK_UPS`] at a time.
    #[must_use]
    pub fn new(receipts: Arc<Receipts>, background: Handle) -> Self {
        Self { receipts, background, permits: Arc::new(Semaphore::new(limits::VOUCHER_LOOK_UPS)) }
    }

    /// What the code of claim `number` is to this person. A code that no store knows is registered.
    ///
    /// # Errors
    /// [`LookUpError`]; nothing was registered then.
    pub async fn look_up(
        &self,
        drop: Arc<DropGate>,
        number: ClaimNumber,
        person: PersonId,
    ) -> Result<Shown, LookUpError> {
        let receipts = Arc::clone(&self.receipts);
        self.on_background(async move { receipts.look_up(&drop, number, &person).await }).await
    }

    async fn on_background<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, LookUpError>> + Send + 'static,
    ) -> Result<T, LookUpError> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| LookUpError::Busy)?;
        let work = self.background.spawn(async move {
            let _permit = permit;
            work.await
        });
        work.await.unwrap_or_else(|error| Err(LookUpError::Failed(error.to_string())))
    }
}

/// Registers and settles receipts.
pub struct Receipts {
    /// The ledger, Redis and the gate.
    campaigns: Arc<Campaigns>,
    /// One settlement at a time; of all services, one receipt of a campaign: see `turn`.
    settling: tokio::sync::Mutex<()>,
}

impl Receipts {
    /// Over the same ledger and Redis as the campaigns.
    #[must_use]
    pub fn new(campaigns: Arc<Campaigns>) -> Self {
        Self { campaigns, settling: tokio::sync::Mutex::default() }
    }

    async fn look_up(
        &self,
        drop: &DropGate,
        number: ClaimNumber,
        person: &PersonId,
    ) -> Result<Shown, LookUpError> {
        let Campaigns { ledger, pool, gate, shard, clock, .. } = &*self.campaigns;
        // The order counts. What was granted is in Redis before its code is known; and when Redis stands in a later
        // epoch than the code, the ledger has all of the code's epoch that there will ever be.
        let mut connection = pool::checkout(pool).await?;
        let (_, views) = reads::views(&mut connection, *shard, [&drop.id]).await?;
        if let Some(row) = ledger.claim(number).await? {
            let returned = row.status == ClaimStatus::Returned;
            let theirs = row.person == person.as_str();
            if !theirs {
                return Ok(Shown::NotTheirs);
            }
            let last = ledger.last_step(number).await?.map(Box::new);
            return Ok(Shown::Held { returned, claimed_at_ms: row.claimed_at_ms, last });
        }
        let grants = reads::claims_of(&mut connection, *shard, &drop.id, person).await?;
        let own = grants.iter().find(|grant| (grant.epoch, grant.seq) == (number.epoch, number.seq));
        if let Some(grant) = own {
            let (returned, claimed_at_ms) = (grant.returned, grant.claimed_at_ms);
            return Ok(Shown::Held { returned, claimed_at_ms, last: None });
        }
        let Some(Some(view)) = views.first() else { return Err(LookUpError::NotNow) };
        if drop.is_frozen() || !gate.is_redis_up() || gate.trust.is_doubted() {
            return Err(LookUpError::NotNow);
        }
        if number.epoch == view.epoch && number.seq <= view.seq {
            return Ok(Shown::NotTheirs);
        }
        let Some(row) = ledger.register_receipt(number, person.as_str(), clock.now_ms()).await? else {
            return Ok(Shown::NotTheirs);
        };
        if is_ahead(drop, number) {
            tracing::error!(
                drop = %drop.id, claim = number.claim_id(), receipt = row.number,
                "a signed code is beyond what Redis has granted: Redis may have gone back unseen"
            );
        }
        Ok(Shown::Receipt(row))
    }

    /// Receipts after number `after`, at most [`limits::RECEIPTS_PAGE`], and how many there are in all.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn list(&self, after: u64) -> Result<ReceiptList, LedgerError> {
        let ledger = &self.campaigns.ledger;
        let counts = ledger.receipt_counts().await?;
        let mut receipts = Vec::new();
        for row in ledger.receipts(after, limits::RECEIPTS_PAGE).await? {
            receipts.push(self.view(&row).await?);
        }
        let (open, honoured, void) = (counts.open, counts.honoured, counts.void);
        Ok(ReceiptList { receipts, open, honoured, void })
    }

    async fn view(&self, row: &ReceiptRow) -> Result<ReceiptView, LedgerError> {
        let drop = self.drop_of(row.claim);
        let open = row.state() == ReceiptState::Open;
        let (by, reason) = match &row.settled {
            Some((_, Settlement::Honoured(by))) => (Some(by.claim_id()), None),
            Some((_, Settlement::Void(reason))) => (None, Some(reason.clone())),
            None => (None, None),
        };
        Ok(ReceiptView {
            number: row.number,
            claim_id: row.claim.claim_id(),
            drop: drop.as_ref().map_or_else(String::new, |drop| drop.id.to_string()),
            person: row.person.clone(),
            shown_at: rfc3339(row.shown_at_ms),
            state: row.state(),
            settled_at: row.settled.as_ref().map(|(at_ms, _)| rfc3339(*at_ms)),
            honoured_by: by,
            reason,
            found: open && self.campaigns.ledger.claim(row.claim).await?.is_some(),
            ahead: open && drop.is_some_and(|drop| is_ahead(&drop, row.claim)),
        })
    }

    fn drop_of(&self, claim: ClaimNumber) -> Option<Arc<DropGate>> {
        self.campaigns.gate.drops().into_iter().find(|drop| drop.rules().number == claim.drop)
    }

    /// Finds that nothing is owed for a receipt. One that was settled before stays as it is and is given.
    ///
    /// # Errors
    /// [`SettleError`].
    pub async fn void(&self, number: u64, reason: &str, actor: &str) -> Result<ReceiptView, SettleError> {
        let reason =
            checked("reason", reason, limits::RECEIPT_REASON_BYTES_MAX).map_err(SettleError::Invalid)?;
        let _one = self.settling.lock().await;
        self.settle(number, Settlement::Void(reason), actor).await
    }

    /// Grants the receipt's person a unit of `from`, or of the receipt's own drop, and settles the receipt with it.
    /// Neither window nor pause refuses; stock and limit do. Again it gives the same claim.
    ///
    /// # Errors
    /// [`SettleError`]; after [`SettleError::Failed`] the person may have the claim: honour it again.
    pub async fn honour(
        &self,
        number: u64,
        from: Option<&str>,
        actor: &str,
    ) -> Result<ReceiptView, SettleError> {
        let refused = |what: String| SettleError::Refused { number, what };
        let _one = self.settling.lock().await;
        let row = self.receipt(number).await?;
        if row.state() == ReceiptState::Honoured {
            return Ok(self.view(&row).await?);
        }
        let own = self.drop_of(row.claim).ok_or_else(|| refused("its drop is not there".to_owned()))?;
        let campaign = own.rules().campaign.clone();
        self.take_turn(&campaign, number, actor).await?;
        let honoured = self.honour_in_turn((number, &own), from, actor).await;
        if matches!(honoured, Err(SettleError::Refused { .. })) {
            self.end_turn(&campaign, number, actor).await?;
        }
        honoured
    }

    async fn honour_in_turn(
        &self,
        (number, own): (u64, &Arc<DropGate>),
        from: Option<&str>,
        actor: &str,
    ) -> Result<ReceiptView, SettleError> {
        let refused = |what: String| SettleError::Refused { number, what };
        let row = self.receipt(number).await?;
        match row.state() {
            ReceiptState::Honoured => return Ok(self.view(&row).await?),
            ReceiptState::Void => return Err(refused("it is void".to_owned())),
            ReceiptState::Open => {}
        }
        let ledger = &self.campaigns.ledger;
        if let Some(found) = ledger.claim(row.claim).await? {
            let whose = if found.person == row.person { "this person's" } else { "somebody else's" };
            return Err(refused(format!("the ledger has the claim by now, as {whose}: void it")));
        }
        let others = ledger.receipts_of(row.claim).await?;
        if let Some(other) = others.iter().find(|other| other.state() == ReceiptState::Honoured) {
            let what = format!("receipt {} for the same claim is honoured: void this one", other.number);
            return Err(refused(what));
        }
        let drop = match from {
            None => Arc::clone(own),
            Some(id) => {
                self.campaigns.gate.find(id).ok_or_else(|| refused(format!("there is no drop {id:?}")))?
            }
        };
        let (owed, given) = (own.rules(), drop.rules());
        if owed.campaign != given.campaign || owed.spec.voucher != given.spec.voucher {
            let what =
                format!("drop {} is of another campaign or gives another voucher than {}", drop.id, own.id);
            return Err(refused(what));
        }
        let person = PersonId::new(&row.person).map_err(|error| SettleError::Failed(error.to_string()))?;
        let grant = self.grant(&drop, &person, row.claim).await?.map_err(refused)?;
        let by =
            ClaimNumber { drop: given.number, shard: self.campaigns.shard, epoch: grant.0, seq: grant.1 };
        self.wait_durable(number, by).await?;
        self.settle(number, Settlement::Honoured(by), actor).await
    }

    async fn receipt(&self, number: u64) -> Result<ReceiptRow, SettleError> {
        let before = number.checked_sub(1).ok_or(SettleError::Unknown(number))?;
        let rows = self.campaigns.ledger.receipts(before, 1).await?;
        rows.into_iter().find(|row| row.number == number).ok_or(SettleError::Unknown(number))
    }

    /// Waits until the ledger has a granted claim: only then is a receipt settled with it.
    async fn wait_durable(&self, number: u64, claim: ClaimNumber) -> Result<(), SettleError> {
        let began = Instant::now();
        while self.campaigns.ledger.claim(claim).await?.is_none() {
            if began.elapsed() > limits::RECOVERY_DRAIN_WAIT {
                let what = format!(
                    "receipt {number}: claim {} is granted and not in the ledger yet: see that a drain runs, then honour it again",
                    claim.claim_id()
                );
                return Err(SettleError::Failed(what));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn settle(
        &self,
        number: u64,
        settlement: Settlement,
        actor: &str,
    ) -> Result<ReceiptView, SettleError> {
        let now_ms = self.campaigns.clock.now_ms();
        let row = self.campaigns.ledger.settle_receipt(number, &settlement, actor, now_ms).await?;
        let row = row.ok_or(SettleError::Unknown(number))?;
        if row.settled.as_ref().is_none_or(|(_, stands)| *stands != settlement) {
            let what = format!("it is {} already", row.state().as_str());
            return Err(SettleError::Refused { number, what });
        }
        tracing::info!(receipt = number, state = row.state().as_str(), "a receipt was settled");
        Ok(self.view(&row).await?)
    }
}

/// Whether a code is beyond what Redis has granted, as last seen: then Redis once had more than it has.
fn is_ahead(drop: &DropGate, number: ClaimNumber) -> bool {
    drop.view().is_some_and(|view| (number.epoch, number.seq) > (view.epoch, view.seq))
}
