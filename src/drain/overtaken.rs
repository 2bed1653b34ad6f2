//! Rounds that came too late: whether another drain was faster, or the ledger says where it stood a while ago.
//!
//! Owns how the two are told apart. Knows no ledger.

use crate::domain::claim::JournalId;

/// What is known since rounds have come too late.
#[derive(Debug, Default)]
pub(super) struct Overtaken {
    /// Where the ledger stood at the last of them.
    found: Option<JournalId>,
    is_told: bool,
}

impl Overtaken {
    /// Takes a round that came too late; whether no other drain was faster, but the position that the ledger says is
    /// behind the one that it has. Asking at once again would find the same.
    pub(super) fn is_misled(&mut self, read: JournalId, found: JournalId) -> bool {
        let is_misled = self.found.replace(found).is_some_and(|before| read < before);
        if !is_misled {
            tracing::info!(position = %found, "another drain was here first");
        } else if !std::mem::replace(&mut self.is_told, true) {
            tracing::warn!(%read, %found, "the ledger says a position that is behind the one that it has; it is asked again");
        }
        is_misled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_that_says_an_old_position_is_told_from_a_faster_drain() {
        let at = |ms| JournalId { ms, seq: 0 };
        let mut overtaken = Overtaken::default();
        assert!(!overtaken.is_misled(at(1), at(5)), "somebody was faster");
        assert!(!overtaken.is_misled(at(5), at(7)), "and once more");
        assert!(!overtaken.is_told);
        assert!(overtaken.is_misled(at(1), at(7)), "it had been at 7");
        assert!(overtaken.is_told);
        assert!(overtaken.is_misled(at(6), at(9)), "also while others go on");
        assert!(!overtaken.is_misled(at(9), at(12)), "it is right again");
    }
}
