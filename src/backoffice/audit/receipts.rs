//! Orphan receipts: counted, and every one that was honoured has its claim.

use super::report::{Check, Findings};
use crate::ledger::{Ledger, LedgerError, ReceiptState, Settlement};
use crate::limits;

/// R: receipts. Open ones are reported and break nothing: a person has to decide them.
pub(super) async fn receipts(ledger: &dyn Ledger) -> Result<Check, LedgerError> {
    let mut found = Findings::default();
    let mut counts = [0_u64; ReceiptState::ALL.len()];
    let mut after = 0;
    loop {
        let page = ledger.receipts(after, limits::RECEIPTS_PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.number;
        for row in &page {
            for (count, _) in
                counts.iter_mut().zip(ReceiptState::ALL).filter(|(_, state)| *state == row.state())
            {
                *count = count.saturating_add(1);
            }
            let Some((_, Settlement::Honoured(by))) = row.settled else { continue };
            let claim = ledger.claim(by).await?;
            if claim.is_none_or(|claim| claim.person != row.person) {
                found.add(|| {
                    let (number, by) = (row.number, by.claim_id());
                    format!("receipt {number}: {by}, which it was honoured by, is not its person's claim")
                });
            }
        }
    }
    let [open, honoured, void] = counts;
    let compared =
        format!("{open} open, {honoured} honoured and {void} void receipts with the ledger's claims");
    let promise = "Whoever showed the signed code of a claim that no store has is known; what was promised for it stands.";
    Ok(Check::new("R", promise, compared, &found))
}
