//! Payments that came for a unit which could not be had any more, as both stores read them.

use crate::clock::UnixMs;
use crate::domain::ids::ClaimNumber;
use crate::domain::life::State;

/// A late payment, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatePayment {
    /// The number of the step that noted it.
    pub number: u64,
    /// When it came.
    pub at_ms: UnixMs,
    /// For which claim.
    pub claim: ClaimNumber,
    /// Who holds or held it.
    pub person: String,
    /// How the claim stood.
    pub state: State,
    /// The payment's id.
    pub payment: String,
    /// How much was paid, in fen.
    pub amount: i64,
    /// When it was refunded, and what was said of it.
    pub refunded: Option<(UnixMs, String)>,
}

/// Late payments that wait for their refund.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LateOpen {
    /// How many.
    pub count: u64,
    /// When the first of them came.
    pub oldest_at_ms: Option<UnixMs>,
}

/// Late payments after a number. The claim stands there by its row key.
pub(super) const LATE_PAYMENTS: &str = "\
     SELECT s.number, s.at_ms, e.drop_number, e.shard, e.epoch, s.claim, s.person, s.state, s.order_id, s.amount, \
            r.at_ms, r.detail \
     FROM step s JOIN series e ON e.number = s.claim >> 32 \
     LEFT JOIN step r ON r.redemption = s.number AND r.step = 'payment_refunded' \
     WHERE s.step = 'late_payment' AND s.number > $1 ORDER BY s.number LIMIT $2";

/// How many of them wait, and since when the first.
pub(super) const LATE_OPEN: &str = "SELECT count(*), min(s.at_ms) FROM step s WHERE s.step = 'late_payment' \
     AND NOT EXISTS (SELECT 1 FROM step r WHERE r.redemption = s.number AND r.step = 'payment_refunded')";
