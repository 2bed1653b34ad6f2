//! Double-entry postings: how a campaign's money moves between its five accounts.
//!
//! Owns the rule that the lines of a posting add up to zero, and which account pays for what. Pure: the stores
//! write what stands here, line by line.

use crate::domain::money::Fen;

/// Where a campaign's money may stand. Budget = unissued + live + redeemed + recycled, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// What the sponsor gave: the credit side, so its lines are negative.
    Budget,
    /// Not in anybody's hands.
    Unissued,
    /// In holders' vouchers.
    Live,
    /// Spent at merchants.
    Redeemed,
    /// Come back from vouchers whose holders may not claim again.
    Recycled,
}

impl Account {
    /// The word in the ledger's tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Unissued => "unissued",
            Self::Live => "live",
            Self::Redeemed => "redeemed",
            Self::Recycled => "recycled",
        }
    }
}

/// One movement of money. Its lines add up to zero, as only this module can make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    kind: &'static str,
    lines: Vec<(Account, Fen)>,
}

impl Posting {
    /// The sponsor gives more (`change` above zero) or takes unissued money back (below zero).
    #[must_use]
    pub fn budget(change: Fen) -> Option<Self> {
        Self::moved("budget", Account::Budget, Account::Unissued, change)
    }

    /// Vouchers worth `amount` are claimed. Money that was never issued goes first, then recycled money; what
    /// neither covers stays visible as a negative balance of the unissued account, and fails the audit.
    #[must_use]
    pub fn claimed(amount: Fen, unissued: Fen, recycled: Fen) -> Option<Self> {
        let short = amount.0.saturating_sub(unissued.0.max(0)).max(0);
        let from_recycled = short.min(recycled.0.max(0));
        let from_unissued = amount.0.checked_sub(from_recycled)?;
        let parts = [(Account::Unissued, from_unissued), (Account::Recycled, from_recycled)];
        let mut lines = vec![(Account::Live, amount)];
        lines.extend(
            parts.into_iter().filter(|(_, part)| *part != 0).map(|(account, part)| (account, Fen(-part))),
        );
        (amount.0 != 0).then_some(Self { kind: "claimed", lines })
    }

    /// Vouchers worth `amount` went back to stock. Where the person may not claim again the money is recycled.
    #[must_use]
    pub fn returned(amount: Fen, may_claim_again: bool) -> Option<Self> {
        let to = if may_claim_again { Account::Unissued } else { Account::Recycled };
        Self::moved("returned", Account::Live, to, amount)
    }

    fn moved(kind: &'static str, from: Account, to: Account, amount: Fen) -> Option<Self> {
        let opposite = amount.0.checked_neg()?;
        (amount.0 != 0).then(|| Self { kind, lines: vec![(from, Fen(opposite)), (to, amount)] })
    }

    /// Why the money moved.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The lines, each a change of one account's balance.
    #[must_use]
    pub fn lines(&self) -> &[(Account, Fen)] {
        &self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_moved_is_no_posting() {
        assert_eq!(Posting::budget(Fen(0)), None);
        assert_eq!(Posting::claimed(Fen(0), Fen(5), Fen(5)), None);
        assert_eq!(Posting::returned(Fen(0), true), None);
    }

    #[test]
    fn recycled_money_pays_when_nothing_is_left_unissued() {
        let lines = |posting: Option<Posting>| posting.unwrap().lines().to_vec();
        let (live, unissued, recycled) = (Account::Live, Account::Unissued, Account::Recycled);
        assert_eq!(
            lines(Posting::claimed(Fen(10), Fen(10), Fen(9))),
            [(live, Fen(10)), (unissued, Fen(-10))]
        );
        assert_eq!(
            lines(Posting::claimed(Fen(10), Fen(0), Fen(10))),
            [(live, Fen(10)), (recycled, Fen(-10))]
        );
        let mixed = [(live, Fen(10)), (unissued, Fen(-6)), (recycled, Fen(-4))];
        assert_eq!(lines(Posting::claimed(Fen(10), Fen(4), Fen(4))), mixed);
    }

    proptest! {
        #[test]
        fn every_posting_is_balanced(amount in 0..i64::MAX, unissued: i64, recycled: i64, again: bool) {
            let made = [
                Posting::budget(Fen(amount)), Posting::budget(Fen(-amount)),
                Posting::claimed(Fen(amount), Fen(unissued), Fen(recycled)), Posting::returned(Fen(amount), again),
            ];
            for posting in made.into_iter().flatten() {
                let total: i128 = posting.lines().iter().map(|(_, amount)| i128::from(amount.0)).sum();
                prop_assert_eq!(total, 0);
                prop_assert!(posting.lines().iter().all(|(_, amount)| amount.0 != 0));
            }
        }
    }
}
