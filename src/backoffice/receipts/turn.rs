//! Whose turn it is: of all services one honours a receipt of a campaign at a time.
//!
//! Two that do it at once would each find money for one unit, or no other receipt honoured for the same lost claim, and grant
//! two. So whoever honours says so in the ledger first, in a document that says it of one receipt. It goes on saying so until
//! that receipt is settled; whoever dies in between has to be followed by somebody who settles it.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{LOOK_EVERY, Receipts, SettleError};
use crate::domain::ids::CampaignId;
use crate::ledger::{Document, LedgerError, PutDocument, ReceiptState};

/// The kind of document that says whose.
const KIND: &str = "honouring";

/// How long another receipt is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    /// The receipt; nothing where its turn was given back.
    receipt: Option<u64>,
}

impl Receipts {
    /// Takes the turn for a receipt, when no other one of the campaign has it.
    pub(super) async fn take_turn(
        &self,
        campaign: &CampaignId,
        number: u64,
        actor: &str,
    ) -> Result<(), SettleError> {
        let began = Instant::now();
        loop {
            let (turn, revision) = self.turn(campaign).await?;
            if turn.receipt == Some(number) {
                return Ok(());
            }
            let others = match turn.receipt {
                Some(other) => {
                    Some(self.receipt(other).await?).filter(|row| row.state() == ReceiptState::Open)
                }
                None => None,
            };
            let Some(other) = others else {
                if self.put_turn(campaign, (Some(number), revision), actor).await? {
                    return Ok(());
                }
                continue;
            };
            if began.elapsed() > PATIENCE {
                let what = format!(
                    "receipt {} of the same campaign is being honoured and is not settled: honour that one again, or \
                     void it",
                    other.number
                );
                return Err(SettleError::Refused { number, what });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Gives the turn back: nothing was granted.
    pub(super) async fn end_turn(
        &self,
        campaign: &CampaignId,
        number: u64,
        actor: &str,
    ) -> Result<(), SettleError> {
        let (turn, revision) = self.turn(campaign).await?;
        if turn.receipt == Some(number) {
            self.put_turn(campaign, (None, revision), actor).await?;
        }
        Ok(())
    }

    async fn turn(&self, campaign: &CampaignId) -> Result<(Turn, u64), LedgerError> {
        let document = self.campaigns.ledger.document(KIND, campaign.as_str()).await?;
        let turn = document.as_ref().map_or_else(|| Ok(Turn::default()), Document::read)?;
        Ok((turn, document.map_or(0, |document| document.revision)))
    }

    /// Whether nobody else was faster.
    async fn put_turn(
        &self,
        campaign: &CampaignId,
        (receipt, revision): (Option<u64>, u64),
        actor: &str,
    ) -> Result<bool, LedgerError> {
        let put = PutDocument::new(KIND, campaign.as_str(), revision, &Turn { receipt }, actor);
        let put = put.map_err(|flaw| LedgerError::Corrupt(flaw.to_string()))?;
        match self.campaigns.ledger.put_document(put, self.campaigns.clock.now_ms()).await {
            Ok(_) => Ok(true),
            Err(LedgerError::StaleDocument { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
