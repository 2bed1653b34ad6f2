//! How claims stand in the ledger, for answers that are not to wait long for it.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::receipts::LookUpError;
use crate::domain::ids::ClaimNumber;
use crate::domain::life::State;
use crate::ledger::life::StepRow;
use crate::ledger::{ClaimRow, Ledger};
use crate::limits;

/// Where a core asks: on the background runtime, which owns the connections to the ledger.
#[derive(Clone)]
pub struct StandingDesk {
    ledger: Arc<dyn Ledger>,
    background: Handle,
    permits: Arc<Semaphore>,
}

impl StandingDesk {
    /// A desk whose work is done on `background`; at most [`limits::STANDING_LOOK_UPS`] at a time.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, background: Handle) -> Self {
        Self { ledger, background, permits: Arc::new(Semaphore::new(limits::STANDING_LOOK_UPS)) }
    }

    /// A claim's row and its last step, whoever holds it; nothing while the ledger does not have the claim.
    ///
    /// # Errors
    /// [`LookUpError`].
    pub async fn of(&self, claim: ClaimNumber) -> Result<Option<(ClaimRow, Option<StepRow>)>, LookUpError> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| LookUpError::Busy)?;
        let ledger = Arc::clone(&self.ledger);
        let work = self.background.spawn(async move {
            let _permit = permit;
            let Some(row) = ledger.claim(claim).await? else { return Ok(None) };
            Ok(Some((row, ledger.last_step(claim).await?)))
        });
        work.await.unwrap_or_else(|error| Err(LookUpError::Failed(error.to_string())))
    }

    /// The state that the last step of each claim led to; nothing for one with which no step was taken. Nothing at all when
    /// the ledger is away, slow or asked by too many: then Redis' word is all there is.
    pub async fn states(&self, claims: Vec<ClaimNumber>) -> Option<Vec<Option<State>>> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        let ledger = Arc::clone(&self.ledger);
        let work = self.background.spawn(async move {
            let _permit = permit;
            ledger.states(&claims).await
        });
        match tokio::time::timeout(limits::STANDING_WAIT, work).await {
            Ok(Ok(Ok(states))) => Some(states),
            Ok(Ok(Err(error))) => {
                tracing::debug!(%error, "how claims stand is not known");
                None
            }
            Ok(Err(_)) | Err(_) => None,
        }
    }
}
