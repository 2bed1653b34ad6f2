//! Double-entry postings: how a campaign's money moves between its accounts.
//!
//! Owns the rule that the lines of a posting add up to zero, and which account pays for what. Pure: the stores
//! write what stands here, line by line.

use std::borrow::Cow;

use crate::domain::money::Fen;

/// Where a campaign's money may stand. Budget = unissued + live + payable + settled + recycled + treasury + recovered,
/// always.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// What the sponsor gave: the credit side, so its lines are negative.
    Budget,
    /// Not in anybody's hands.
    Unissued,
    /// In holders' vouchers.
    Live,
    /// Owed to a merchant for vouchers that it took. Below zero where it was paid for what was refunded later.
    Payable(String),
    /// Paid to merchants.
    Settled,
    /// Come back from vouchers whose holders may not claim again, for later drops of the campaign.
    Recycled,
    /// Come back, for whoever gave it.
    Treasury,
    /// Taken from fraud.
    Recovered,
}

impl Account {
    /// What stands before a merchant's id in the name of its account.
    pub const PAYABLE: &'static str = "payable:";

    /// The name in the ledger's tables.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Budget => "budget",
            Self::Unissued => "unissued",
            Self::Live => "live",
            Self::Payable(merchant) => return Cow::Owned(format!("{}{merchant}", Self::PAYABLE)),
            Self::Settled => "settled",
            Self::Recycled => "recycled",
            Self::Treasury => "treasury",
            Self::Recovered => "recovered",
        })
    }

    /// The account of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "budget" => Self::Budget,
            "unissued" => Self::Unissued,
            "live" => Self::Live,
            "settled" => Self::Settled,
            "recycled" => Self::Recycled,
            "treasury" => Self::Treasury,
            "recovered" => Self::Recovered,
            other => Self::Payable(other.strip_prefix(Self::PAYABLE)?.to_owned()),
        })
    }
}

/// One movement of money. Its lines add up to zero, as only this module can make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    kind: &'static str,
    lines: Vec<(Account, Fen)>,
}

impl Posting {
    /// The sponsor gives more (`change` above zero) or takes back what nobody has (below zero): money that was never
    /// issued first, then recycled money, which is all there is where a later drop was paid for by the other.
    #[must_use]
    pub fn budget(change: Fen, unissued: Fen, recycled: Fen) -> Option<Self> {
        match change.0.checked_neg()? {
            taken if taken > 0 => Self::drawn("budget", Account::Budget, Fen(taken), unissued, recycled),
            _ => Self::moved("budget", Account::Budget, Account::Unissued, change),
        }
    }

    /// Vouchers worth `amount` are claimed. Money that was never issued goes first, then recycled money; what
    /// neither covers stays visible as a negative balance of the unissued account, and fails the audit.
    #[must_use]
    pub fn claimed(amount: Fen, unissued: Fen, recycled: Fen) -> Option<Self> {
        Self::drawn("claimed", Account::Live, amount, unissued, recycled)
    }

    /// `amount` goes to an account, from unissued money and what that lacks from recycled money.
    fn drawn(kind: &'static str, to: Account, amount: Fen, unissued: Fen, recycled: Fen) -> Option<Self> {
        let short = amount.0.saturating_sub(unissued.0.max(0)).max(0);
        let from_recycled = short.min(recycled.0.max(0));
        let from_unissued = amount.0.checked_sub(from_recycled)?;
        let parts = [(Account::Unissued, from_unissued), (Account::Recycled, from_recycled)];
        let mut lines = vec![(to, amount)];
        lines.extend(
            parts.into_iter().filter(|(_, part)| *part != 0).map(|(account, part)| (account, Fen(-part))),
        );
        (amount.0 != 0).then_some(Self { kind, lines })
    }

    /// Vouchers worth `amount` went back to stock. Where the person may not claim again the money is recycled.
    #[must_use]
    pub fn returned(amount: Fen, may_claim_again: bool) -> Option<Self> {
        let to = if may_claim_again { Account::Unissued } else { Account::Recycled };
        Self::moved("returned", Account::Live, to, amount)
    }

    /// `amount` goes from one account to another by a step of vouchers.
    #[must_use]
    pub fn moved(kind: &'static str, from: Account, to: Account, amount: Fen) -> Option<Self> {
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
        assert_eq!(Posting::budget(Fen(0), Fen(5), Fen(5)), None);
        assert_eq!(Posting::claimed(Fen(0), Fen(5), Fen(5)), None);
        assert_eq!(Posting::returned(Fen(0), true), None);
    }

    #[test]
    fn recycled_money_pays_when_nothing_is_left_unissued() {
        let lines = |posting: Option<Posting>| posting.unwrap().lines().to_vec();
        let (live, unissued, recycled) = (|| Account::Live, || Account::Unissued, || Account::Recycled);
        let from_unissued = [(live(), Fen(10)), (unissued(), Fen(-10))];
        assert_eq!(lines(Posting::claimed(Fen(10), Fen(10), Fen(9))), from_unissued);
        let from_recycled = [(live(), Fen(10)), (recycled(), Fen(-10))];
        assert_eq!(lines(Posting::claimed(Fen(10), Fen(0), Fen(10))), from_recycled);
        let mixed = [(live(), Fen(10)), (unissued(), Fen(-6)), (recycled(), Fen(-4))];
        assert_eq!(lines(Posting::claimed(Fen(10), Fen(4), Fen(4))), mixed);
    }

    #[test]
    fn a_lower_budget_takes_recycled_money_where_nothing_is_left_unissued() {
        let lines = |change| Posting::budget(Fen(change), Fen(6), Fen(9)).unwrap().lines().to_vec();
        let budget = |amount| (Account::Budget, Fen(amount));
        assert_eq!(lines(10), [budget(-10), (Account::Unissued, Fen(10))]);
        assert_eq!(lines(-6), [budget(6), (Account::Unissued, Fen(-6))]);
        assert_eq!(lines(-8), [budget(8), (Account::Unissued, Fen(-6)), (Account::Recycled, Fen(-2))]);
    }

    #[test]
    fn accounts_are_found_by_their_names() {
        let merchant = Account::Payable("m:1".to_owned());
        for account in [Account::Budget, Account::Live, Account::Settled, Account::Treasury, merchant] {
            assert_eq!(Account::parse(&account.name()), Some(account.clone()), "{account:?}");
        }
        assert_eq!(Account::parse("redeemed"), None);
    }

    proptest! {
        #[test]
        fn every_posting_is_balanced(amount in 0..i64::MAX, unissued: i64, recycled: i64, again: bool) {
            let made = [
                Posting::budget(Fen(amount), Fen(unissued), Fen(recycled)),
                Posting::budget(Fen(-amount), Fen(unissued), Fen(recycled)),
                Posting::claimed(Fen(amount), Fen(unissued), Fen(recycled)), Posting::returned(Fen(amount), again),
            ];
            for posting in made.into_iter().flatten() {
                let total: i128 = posting.lines().iter().map(|(_, amount)| i128::from(amount.0)).sum();
                prop_assert_eq!(total, 0);
                prop_assert!(posting.lines().iter().all(|(_, amount)| amount.0 != 0));
                let gains = posting.lines().iter().filter(|(_, amount)| amount.0 > 0).count();
                prop_assert_eq!(gains, 1, "postings are counted by the line that gains");
            }
        }
    }
}
