//! Payments that came for a unit which could not be had any more: kept until somebody has refunded them.

use serde::{Deserialize, Serialize};

use super::{HoldError, Holds};
use crate::backoffice::admin_api::{LatePaymentList, LatePaymentView};
use crate::backoffice::decision::checked;
use crate::clock::rfc3339;
use crate::domain::money::Fen;
use crate::ledger::life::{Action, Key, Refused};
use crate::ledger::{LateOpen, LatePayment};
use crate::limits;

/// In whose name refunds of late payments are known again.
const LATE: &str = "late_payments";

/// What is kept of a refund.
#[derive(Serialize, Deserialize)]
struct Noted {
    reference: String,
    /// Who noted it.
    by: String,
}

impl Holds {
    /// Late payments after number `after`, at most [`limits::LATE_PAYMENTS_PAGE`], and how many wait for their refund.
    ///
    /// # Errors
    /// [`HoldError`].
    pub async fn late_payments(&self, after: u64) -> Result<LatePaymentList, HoldError> {
        let ledger = &self.campaigns.ledger;
        let open = ledger.late_payments_open().await?.count;
        let rows = ledger.late_payments(after, limits::LATE_PAYMENTS_PAGE).await?;
        Ok(LatePaymentList { payments: rows.iter().map(|row| self.late_view(row)).collect(), open })
    }

    /// The late payments that wait for their refund.
    ///
    /// # Errors
    /// [`HoldError`].
    pub async fn late_open(&self) -> Result<LateOpen, HoldError> {
        Ok(self.campaigns.ledger.late_payments_open().await?)
    }

    /// Notes that a late payment was refunded, and how. Again it answers what was noted first.
    ///
    /// # Errors
    /// [`HoldError`]; nothing was noted then.
    pub async fn refunded(
        &self,
        number: u64,
        reference: &str,
        actor: &str,
    ) -> Result<LatePaymentView, HoldError> {
        let reference =
            checked("reference", reference, limits::LIFE_TEXT_BYTES_MAX).map_err(HoldError::NotHeld)?;
        let noted = Noted { reference, by: actor.to_owned() };
        let detail = serde_json::to_string(&noted).map_err(|error| HoldError::Failed(error.to_string()))?;
        let action = Action::PaymentRefunded { late: number, detail };
        // One refund a payment: whoever notes it again is answered what was noted first.
        let key = Key { actor: LATE.to_owned(), key: number.to_string(), content: String::new() };
        match self.take(action, Some(key)).await? {
            Ok(_) => {}
            Err(Refused::UnknownPayment) => return Err(HoldError::Unknown),
            Err(refused) => return Err(HoldError::NotHeld(super::why(refused))),
        }
        let before = number.saturating_sub(1);
        let rows = self.campaigns.ledger.late_payments(before, 1).await?;
        let row = rows.iter().find(|row| row.number == number).ok_or(HoldError::Unknown)?;
        Ok(self.late_view(row))
    }

    fn late_view(&self, row: &LatePayment) -> LatePaymentView {
        let drops = self.campaigns.gate.drops();
        let drop = drops.iter().find(|drop| drop.rules().number == row.claim.drop);
        let noted = row.refunded.as_ref().map(|(at_ms, detail)| {
            let whole = || Noted { reference: detail.clone(), by: String::new() };
            (*at_ms, serde_json::from_str(detail).unwrap_or_else(|_| whole()))
        });
        let (refunded_at_ms, noted) = noted.unzip();
        LatePaymentView {
            number: row.number,
            claim_id: row.claim.claim_id(),
            drop: drop.map_or_else(String::new, |drop| drop.id.to_string()),
            person: row.person.clone(),
            claim_status: row.state,
            payment: row.payment.clone(),
            amount: Fen(row.amount).to_string(),
            came_at: rfc3339(row.at_ms),
            refunded_at: refunded_at_ms.map(rfc3339),
            reference: noted.as_ref().map(|noted: &Noted| noted.reference.clone()),
            refunded_by: noted.map(|noted| noted.by),
        }
    }
}
