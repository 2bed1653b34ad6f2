//! Journal entries that nobody could understand: counted, and named until somebody has looked at them.

use super::moment::Moment;
use super::report::{Check, Findings};
use crate::backoffice::quarantine::Settled;
use crate::domain::count::counted;
use crate::ledger::{Ledger, LedgerError};
use crate::limits;

/// Q: what the drain could not make anything of. Settled entries are reported and break nothing: a person has looked at them.
pub(super) async fn quarantine(ledger: &dyn Ledger, moment: &Moment) -> Result<Check, LedgerError> {
    let said = Settled::read(ledger).await?;
    let mut found = Findings::default();
    let (mut count, mut settled, mut after) = (0_u64, 0_u64, 0);
    loop {
        let page = ledger.quarantine(after, limits::QUARANTINE_PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.number;
        for kept in &page {
            count = count.saturating_add(1);
            if said.has(kept) {
                settled = settled.saturating_add(1);
            } else {
                found.add(|| format!("journal entry {} of {}: {}", kept.id, kept.shard, kept.poison.reason));
            }
        }
    }
    let waiting = moment.poison;
    if waiting > 0 {
        let waiting = counted(waiting, "entry", "entries");
        found.add(|| format!("{waiting} of the journal cannot be accepted by this ledger"));
    }
    let compared = format!(
        "{} in the ledger's quarantine, {settled} of them settled, and {waiting} of the journal that it cannot accept \
         with none",
        counted(count, "entry", "entries")
    );
    let promise = "No journal entry had to be set aside that nobody has looked at.";
    Ok(Check::new("Q", promise, compared, &found))
}
