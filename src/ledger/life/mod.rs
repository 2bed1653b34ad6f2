//! Steps of vouchers, holds and campaign money: what is asked of the ledger, what it answers, and the row of a step.
//!
//! Owns the requests and their outcomes. [`known`] is what a batch has to know, [`decide`] what comes of it; both are
//! pure, so that every store decides alike. A store reads what is to be known, in the transaction in which it writes
//! what was decided.
//!
//! ```text
//!  requests ─► needs ─► (store reads) known ─► decide, one after the other ─► steps, counts, money ─► (store writes)
//! ```

mod checks;
mod decide;
mod expiry;
mod known;
mod money;
mod references;
mod terms;

use serde::Serialize;

pub(super) use self::checks::{
    ACCOUNTS_DIFFER, COUNTS_DIFFER, MONEY_DIFFERS, OWED, PASSED_OVER, PERIODS_DIFFER, PLACES_DIFFER,
    REFERENCES_DIFFER, REVERSALS_DIFFER, SERIES_DIFFER, STANDS,
};
pub(super) use self::decide::Plan;
pub(super) use self::expiry::given_back;
pub(super) use self::known::{Known, KnownClaim, Needs, Reference};
pub(super) use self::money::{check_funded, free};
pub(super) use self::references::{MONEY_MOVE, NOTED, kept_between};
pub use self::references::{MoneyMove, Noted};
pub(super) use self::terms::{AllTerms, TermsCache, terms_of};
use crate::clock::UnixMs;
use crate::domain::ids::{CampaignId, ClaimNumber};
pub use crate::domain::life::rules::{Barred, Merchant, ShownAs, Unmet};
use crate::domain::life::{Pot, State, Step};
use crate::domain::money::Fen;

/// Something that shall happen, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What.
    pub action: Action,
    /// By which it is known again. Without one, doing it twice is refused by the state that it leads to.
    pub key: Option<Key>,
}

/// An idempotency key with what it was used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Whose key it is: keys of different merchants have nothing to do with each other.
    pub actor: String,
    /// Digest of the key, as hex.
    pub key: String,
    /// Digest of the request's content, as hex.
    pub content: String,
}

/// What shall happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A merchant takes a voucher for an order.
    Redeem(Redeem),
    /// The merchant takes its redemption back.
    Reverse {
        /// The redemption.
        redemption: u64,
        /// The merchant that asks.
        merchant: String,
    },
    /// The merchant has refunded the order.
    Refund {
        /// The redemption.
        redemption: u64,
        /// The merchant that asks.
        merchant: String,
        /// How much of the order; nothing for all that was not refunded yet.
        amount: Option<Fen>,
    },
    /// The voucher's validity is over.
    Expire {
        /// The voucher.
        claim: ClaimNumber,
    },
    /// A decision of staff, with its reason.
    Review {
        /// The voucher.
        claim: ClaimNumber,
        /// What was decided.
        verdict: Verdict,
        /// Why, and who decided it: a text that is kept.
        reason: String,
        /// The number of the voucher's last step, as whoever decides has seen it; 0 where there was none. Nothing to
        /// decide whatever it is.
        seen: Option<u64>,
    },
    /// A payment came for a held unit.
    Confirm {
        /// The claim.
        claim: ClaimNumber,
        /// The payment's id.
        payment: String,
        /// How much was paid.
        amount: Fen,
    },
    /// A late payment was refunded.
    PaymentRefunded {
        /// The step that noted the payment.
        late: u64,
        /// By what the refund is found again, and who noted it.
        detail: String,
    },
    /// The holder gives the unit back.
    Cancel {
        /// The claim.
        claim: ClaimNumber,
    },
    /// The time to pay is over.
    Lapse {
        /// The claim.
        claim: ClaimNumber,
    },
    /// A merchant was paid what it was owed, or a part.
    Settle {
        /// The campaign.
        campaign: CampaignId,
        /// The merchant.
        merchant: String,
        /// How much.
        amount: Fen,
        /// The payment that did it: noted once of this merchant and campaign.
        payment: String,
        /// The reversal that has made it free again, where it was noted before.
        after: Option<u64>,
        /// Why, and who noted it: a text that is kept.
        detail: Option<String>,
    },
    /// A merchant gave back what it had been paid for what was refunded or recovered later, or a part.
    Repay {
        /// The campaign.
        campaign: CampaignId,
        /// The merchant.
        merchant: String,
        /// How much.
        amount: Fen,
        /// The payment that did it: noted once of this merchant and campaign.
        payment: String,
        /// As in [`Action::Settle`].
        after: Option<u64>,
        /// Why, and who noted it: a text that is kept.
        detail: Option<String>,
    },
    /// Money goes from one account of a campaign to another.
    Move {
        /// The campaign.
        campaign: CampaignId,
        /// From `recycled` or `recovered`, or from `unissued` where the campaign is over.
        from: Pot,
        /// To `treasury` or `recycled`.
        to: Pot,
        /// How much.
        amount: Fen,
        /// By what it is found again: noted once between these accounts.
        reference: String,
        /// As in [`Action::Settle`].
        after: Option<u64>,
        /// Why.
        reason: String,
        /// Whether the campaign ended and the ledger has every claim that there will ever be: then nothing has to stay
        /// paid for.
        over: bool,
    },
    /// What staff noted of a campaign's money by mistake goes back the way it came, once.
    Contra {
        /// The campaign.
        campaign: CampaignId,
        /// The step that settled, repaid or moved it.
        step: u64,
        /// Why.
        reason: String,
        /// As in [`Action::Move`].
        over: bool,
    },
}

/// What staff may decide of a voucher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is held for review.
    Freeze,
    /// The review ends well.
    Release,
    /// It is worthless.
    Void,
    /// The money of its redemption is taken from the merchant.
    Recover,
}

/// A voucher and the order that it is used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeem {
    /// The voucher.
    pub claim: ClaimNumber,
    /// How it was shown.
    pub shown: ShownAs,
    /// Who takes it.
    pub merchant: Merchant,
    /// Why nothing new is taken; what was done before is told again all the same.
    pub barred: Option<Barred>,
    /// In which shop.
    pub shop: Option<String>,
    /// The merchant's number of the order.
    pub order_id: String,
    /// What the order costs, before the discount.
    pub amount: Fen,
    /// What else the merchant says of it: a JSON text.
    pub detail: Option<String>,
    /// Whether it is a trial, which changes nothing.
    pub trial: bool,
}

/// What came of a request.
pub type Outcome = Result<Done, Refused>;

/// It has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The step. Number 0 for a trial.
    pub step: StepRow,
    /// Whether it happened before, by the same key.
    pub replayed: bool,
}

/// Why nothing happened. A refusal leaves nothing behind; its key may be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The ledger has no such claim (yet).
    UnknownClaim,
    /// The merchant has no such redemption.
    UnknownRedemption,
    /// There is no such late payment.
    UnknownPayment,
    /// There is no such campaign.
    UnknownCampaign,
    /// The claim gives no voucher, or no hold where one is asked for.
    OtherKind,
    /// The claim's unit went back to stock.
    Returned,
    /// There is no such step from this state.
    NotFrom(State),
    /// The redemption was taken back or refunded whole.
    Undone,
    /// The till takes nothing new.
    Barred(Barred),
    /// It was shown by a QR payload whose time is over.
    QrExpired,
    /// It was shown by its code, and the campaign takes QR payloads alone.
    QrRequired,
    /// The voucher's validity is over.
    Expired,
    /// The voucher is still valid, or the unit still held.
    NotDue,
    /// A term of the voucher is not met.
    Unmet(Unmet),
    /// The order has a voucher already.
    OrderUsed,
    /// The merchant has taken as many as it may today.
    MerchantCap,
    /// The person has used as many as they may today.
    PersonCap,
    /// It is too late to take the redemption back.
    TooLate,
    /// More than is there: of the order to refund, or of the account to move.
    TooMuch,
    /// Money was moved between these accounts by this reference before.
    ReferenceUsed {
        /// The step that noted it.
        step: u64,
    },
    /// Staff moved no money of the campaign with this step; or with it they reversed another one.
    UnknownMove,
    /// The movement was reversed before.
    Reversed {
        /// The step that did.
        by: u64,
    },
    /// The key was used for something else.
    KeyReused,
    /// Something happened to the voucher, or by the reference, since it was looked at.
    Changed,
}

/// A step as stored: what happened, and how the voucher, hold or account stands after it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct StepRow {
    /// 1, 2, 3 … over the ledger's life.
    pub number: u64,
    /// When.
    pub at_ms: UnixMs,
    /// What.
    pub step: Option<Step>,
    /// The row number of its campaign.
    pub campaign: i64,
    /// The drop's number, of a claim's step.
    pub drop: Option<u32>,
    /// The claim's row key: its series, then 32 bits of its `seq`.
    pub claim: Option<i64>,
    /// Who holds the claim.
    pub person: Option<String>,
    /// How the claim stands now.
    pub state: Option<State>,
    /// The step that redeemed the voucher: this one, or the one that this one is about. Of a reversal of money the step that it reverses.
    pub redemption: Option<u64>,
    /// When that was.
    pub redeemed_at_ms: Option<UnixMs>,
    /// The merchant.
    pub merchant: Option<String>,
    /// Its shop.
    pub shop: Option<String>,
    /// Its order, a payment's id, or the reference by which staff moved money.
    pub order_id: Option<String>,
    /// What the order costs or the payment brought.
    pub amount: Option<i64>,
    /// What the voucher took off.
    pub discount: Option<i64>,
    /// What of the order is refunded by now.
    pub refunded: i64,
    /// What of the discount has left the merchant's account again.
    pub back: i64,
    /// The money that this step moved, in fen.
    pub moved: i64,
    /// The posting that holds it, together with others of the same kind.
    pub posting: Option<u64>,
    /// The day of the redemption, for the caps.
    pub day: Option<i32>,
    /// Whose idempotency key it was.
    pub actor: Option<String>,
    /// Digest of the key.
    pub key: Option<String>,
    /// Digest of the content.
    pub content: Option<String>,
    /// What else was said: a JSON text, or a reason.
    pub detail: Option<String>,
}
