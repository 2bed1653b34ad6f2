//! The life of what a claim gives: states, steps between them, and what each step moves in the books.
//!
//! Owns the one table of it, which `docs/VOUCHERS.md` repeats and a test compares, and the rules that a step needs
//! ([`rules`]). Pure: a ledger decides by it and keeps the steps.

pub mod rules;

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its word, in tables, answers and exports.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The one with this word.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == word)
            }
        }
    };
}

words! {
    /// How a voucher or a hold stands.
    State {
        /// A voucher that may be used.
        Issued = "issued",
        /// A voucher that is held for review.
        Frozen = "frozen",
        /// A voucher that was used for an order.
        Redeemed = "redeemed",
        /// A voucher whose order was refunded in part or late: it does not come back.
        Lost = "lost",
        /// A voucher that nobody used in time.
        Expired = "expired",
        /// A voucher that was declared worthless.
        Void = "void",
        /// A unit that is set aside until it is paid for.
        Held = "held",
        /// A unit that was paid for.
        Confirmed = "confirmed",
        /// A unit that its holder gave back.
        Cancelled = "cancelled",
        /// A unit that nobody paid for in time.
        Lapsed = "lapsed",
    }
}

words! {
    /// What happens to a voucher, a hold, or a campaign's money.
    Step {
        /// A merchant takes the voucher for an order.
        Redeemed = "redeemed",
        /// The redemption is taken back shortly after, as if it had never been.
        Reversed = "reversed",
        /// The redemption is taken back when the voucher is no longer valid.
        ReversedLate = "reversed_late",
        /// The whole order is refunded while the voucher is valid.
        Refunded = "refunded",
        /// A part of the order is refunded.
        RefundedPart = "refunded_part",
        /// The whole order is refunded when the voucher is no longer valid.
        RefundedLate = "refunded_late",
        /// The voucher's validity ends unused.
        Expired = "expired",
        /// Risk holds the voucher for review.
        Frozen = "frozen",
        /// The review ends well.
        Released = "released",
        /// The review ends well, when the voucher is no longer valid.
        ReleasedLate = "released_late",
        /// The voucher is declared worthless.
        Voided = "voided",
        /// The money of a redemption is taken from the merchant: it was fraud.
        Recovered = "recovered",
        /// The unit is paid for in time.
        Confirmed = "confirmed",
        /// The holder gives the unit back.
        Cancelled = "cancelled",
        /// The time to pay is over.
        Lapsed = "lapsed",
        /// A payment came for a unit that cannot be had any more: it must be refunded.
        LatePayment = "late_payment",
        /// A late payment was refunded.
        PaymentRefunded = "payment_refunded",
        /// A merchant was paid.
        Settled = "settled",
        /// A merchant gave back what it had been paid and owed again.
        Repaid = "repaid",
        /// Money went from one account of the campaign to another.
        Moved = "moved",
        /// What staff had noted of the campaign's money by mistake was reversed: it went back the way it had come.
        Contra = "contra",
    }
}

words! {
    /// An account, as the table of steps names it.
    Pot {
        /// Not in anybody's hands.
        Unissued = "unissued",
        /// In holders' vouchers.
        Live = "live",
        /// Owed to the merchant of the redemption.
        Payable = "payable",
        /// Paid to merchants.
        Settled = "settled",
        /// Come back, for later drops of the campaign.
        Recycled = "recycled",
        /// Come back, for whoever gave it.
        Treasury = "treasury",
        /// Taken from fraud.
        Recovered = "recovered",
        /// `recycled` or `treasury`, as the campaign says.
        Back = "back",
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// What happens.
    pub step: Step,
    /// The state after.
    pub to: State,
    /// From which account to which the money goes; nothing where none does.
    pub money: Option<(Pot, Pot)>,
}

const fn row(from: State, step: Step, to: State) -> Transition {
    Transition { from, step, to, money: None }
}

const fn paid(from: State, step: Step, to: State, money: (Pot, Pot)) -> Transition {
    Transition { from, step, to, money: Some(money) }
}

/// Every step that there is from every state; no other is taken.
pub const TABLE: &[Transition] = &[
    paid(State::Issued, Step::Redeemed, State::Redeemed, (Pot::Live, Pot::Payable)),
    paid(State::Issued, Step::Expired, State::Expired, (Pot::Live, Pot::Back)),
    row(State::Issued, Step::Frozen, State::Frozen),
    paid(State::Issued, Step::Voided, State::Void, (Pot::Live, Pot::Recovered)),
    row(State::Frozen, Step::Released, State::Issued),
    paid(State::Frozen, Step::ReleasedLate, State::Expired, (Pot::Live, Pot::Back)),
    paid(State::Frozen, Step::Voided, State::Void, (Pot::Live, Pot::Recovered)),
    paid(State::Redeemed, Step::Reversed, State::Issued, (Pot::Payable, Pot::Live)),
    paid(State::Redeemed, Step::ReversedLate, State::Expired, (Pot::Payable, Pot::Back)),
    paid(State::Redeemed, Step::Refunded, State::Issued, (Pot::Payable, Pot::Live)),
    paid(State::Redeemed, Step::RefundedPart, State::Lost, (Pot::Payable, Pot::Back)),
    paid(State::Redeemed, Step::RefundedLate, State::Lost, (Pot::Payable, Pot::Back)),
    paid(State::Redeemed, Step::Recovered, State::Void, (Pot::Payable, Pot::Recovered)),
    paid(State::Lost, Step::RefundedPart, State::Lost, (Pot::Payable, Pot::Back)),
    paid(State::Lost, Step::Recovered, State::Void, (Pot::Payable, Pot::Recovered)),
    row(State::Held, Step::Confirmed, State::Confirmed),
    row(State::Held, Step::Cancelled, State::Cancelled),
    row(State::Held, Step::Lapsed, State::Lapsed),
    row(State::Held, Step::LatePayment, State::Held),
    row(State::Confirmed, Step::LatePayment, State::Confirmed),
    row(State::Cancelled, Step::LatePayment, State::Cancelled),
    row(State::Lapsed, Step::LatePayment, State::Lapsed),
    row(State::Held, Step::PaymentRefunded, State::Held),
    row(State::Confirmed, Step::PaymentRefunded, State::Confirmed),
    row(State::Cancelled, Step::PaymentRefunded, State::Cancelled),
    row(State::Lapsed, Step::PaymentRefunded, State::Lapsed),
];

/// The row of the table for a step from a state, if it may be taken.
#[must_use]
pub fn transition(from: State, step: Step) -> Option<&'static Transition> {
    TABLE.iter().find(|row| row.from == from && row.step == step)
}

/// The steps with which staff move a campaign's money, each of which may be reversed.
pub const MONEY_STEPS: [Step; 3] = [Step::Settled, Step::Repaid, Step::Moved];

/// Whether staff may move a campaign's own money from one account to another.
#[must_use]
pub fn may_move(from: Pot, to: Pot) -> bool {
    matches!(
        (from, to),
        (Pot::Unissued | Pot::Recycled | Pot::Recovered, Pot::Treasury) | (Pot::Recovered, Pot::Recycled)
    )
}

impl State {
    /// The state in which a claim begins.
    #[must_use]
    pub fn first(is_voucher: bool) -> Self {
        if is_voucher { Self::Issued } else { Self::Held }
    }

    /// Whether the claim's unit may go back to stock. A unit whose voucher was used, or whose money has gone
    /// elsewhere already, must not be given out again.
    #[must_use]
    pub fn may_return(self) -> bool {
        matches!(self, Self::Issued | Self::Held | Self::Cancelled | Self::Lapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_leads_from_a_state_to_one_other() {
        for (at, row) in TABLE.iter().enumerate() {
            let again =
                TABLE.iter().skip(at + 1).any(|other| (other.from, other.step) == (row.from, row.step));
            assert!(!again, "{row:?} stands twice");
        }
        for state in State::ALL {
            let first = [State::Issued, State::Held].contains(state);
            assert!(first || TABLE.iter().any(|row| row.to == *state), "nothing leads to {state:?}");
            assert_eq!(State::parse(state.as_str()), Some(*state));
        }
        for step in Step::ALL {
            let stands = TABLE.iter().any(|row| row.step == *step);
            assert_eq!(stands, ![&MONEY_STEPS[..], &[Step::Contra]].concat().contains(step), "{step:?}");
        }
    }

    /// The money of a voucher stands where its state says, whatever way led there.
    #[test]
    fn money_follows_the_state() {
        let at = |state: State| match state {
            State::Issued | State::Frozen => Some(Pot::Live),
            State::Redeemed | State::Lost => Some(Pot::Payable),
            State::Expired => Some(Pot::Back),
            State::Void => Some(Pot::Recovered),
            _ => None,
        };
        for row in TABLE {
            let partly = row.from == State::Lost || row.to == State::Lost;
            match row.money {
                Some((from, to)) => {
                    assert_eq!(Some(from), at(row.from), "{row:?}");
                    assert!(partly || Some(to) == at(row.to), "{row:?}");
                }
                None => assert_eq!(at(row.from), at(row.to), "{row:?}"),
            }
        }
    }

    #[test]
    fn the_page_has_the_same_table() {
        let page = include_str!("../../../docs/VOUCHERS.md");
        let rows: Vec<String> = TABLE
            .iter()
            .map(|row| {
                let money = row
                    .money
                    .map_or("–".to_owned(), |(from, to)| format!("{} → {}", from.as_str(), to.as_str()));
                let (from, step, to) = (row.from.as_str(), row.step.as_str(), row.to.as_str());
                format!("| {from} | {step} | {to} | {money} |")
            })
            .collect();
        let stands: Vec<&str> = page
            .lines()
            .skip_while(|line| *line != "| from | step | to | money |")
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .collect();
        assert_eq!(stands, rows, "docs/VOUCHERS.md should hold:\n{}", rows.join("\n"));
    }
}
