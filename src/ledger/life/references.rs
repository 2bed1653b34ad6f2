//! By what staff move a campaign's money: each reference once between two accounts, until what it moved is reversed.
//!
//! Owns the texts under which that is kept. No reference has a control character, so that a line feed can stand between
//! one and the number of a step:
//!
//! ```text
//!  "bank 1"        a movement by this reference
//!  "\n12"          the reversal of step 12: one at the most, as it has the accounts of step 12, swapped
//!  "bank 1\n15"    a movement by this reference after step 15 has reversed the one before
//! ```

use crate::ledger::postings::Account;

/// The last movement by a reference between two accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// The step that noted it.
    pub step: u64,
    /// The step that reversed it, and has made the reference free again.
    pub contra: Option<u64>,
}

/// A movement of a campaign's money by staff: a payment, a repayment, a transfer, or the reversal of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoneyMove {
    /// The account that had it.
    pub from: Account,
    /// The account that got it.
    pub to: Account,
    /// The step that reversed it.
    pub contra: Option<u64>,
}

/// The text under which a movement is kept: `after` is the reversal that has made its reference free again.
pub(crate) fn kept(reference: &str, after: Option<u64>) -> String {
    after.map_or_else(|| reference.to_owned(), |contra| format!("{reference}\n{contra}"))
}

/// The text under which the reversal of a step is kept.
pub(crate) fn kept_contra(step: u64) -> String {
    format!("\n{step}")
}

/// The first text under which a movement by this reference may be kept, and the first one that is beyond them.
pub(crate) fn kept_between(reference: &str) -> (String, String) {
    (reference.to_owned(), format!("{reference}\u{b}"))
}

/// The last movement of a campaign ($1) from an account ($2) to another ($3) by a reference, which is kept from one text ($4) to
/// another ($5); and what reversed it.
pub(crate) const NOTED: &str = "SELECT r.step, ( \
        SELECT c.step FROM money_reference c WHERE c.campaign = r.campaign AND c.paid_from = r.paid_to \
           AND c.paid_to = r.paid_from AND c.reference = '\n' || CAST(r.step AS text)) \
     FROM money_reference r WHERE r.campaign = (SELECT number FROM campaign WHERE id = $1) AND r.paid_from = $2 \
        AND r.paid_to = $3 AND r.reference >= $4 AND r.reference < $5 ORDER BY r.step DESC LIMIT 1";

/// From where to where a step ($1) moved money of a campaign ($2) by staff, and what reversed it.
pub(crate) const MONEY_MOVE: &str = "SELECT f.account, t.account, ( \
        SELECT c.step FROM money_reference c WHERE c.campaign = s.campaign AND c.paid_from = t.account \
           AND c.paid_to = f.account AND c.reference = '\n' || CAST(s.number AS text)) \
     FROM step s JOIN posting_line f ON f.posting = s.posting AND f.amount < 0 \
                 JOIN posting_line t ON t.posting = s.posting AND t.amount > 0 \
     WHERE s.number = $1 AND s.claim IS NULL AND s.campaign = (SELECT number FROM campaign WHERE id = $2)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_reference_lies_between_its_ends_and_nothing_else_does() {
        let (first, end) = kept_between("bank 1");
        for kept in [kept("bank 1", None), kept("bank 1", Some(1)), kept("bank 1", Some(u64::MAX))] {
            assert!(first <= kept && kept < end, "{kept:?}");
        }
        for other in
            [kept("bank 1 ", None), kept("bank 10", None), kept("bank 1x", Some(7)), kept("bank", Some(1))]
        {
            assert!(other < first || other >= end, "{other:?}");
        }
        assert!(kept_contra(12) < first);
    }
}
