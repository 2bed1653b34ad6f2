//! Why a request was refused: one word a cause, used as the problem `code` and as the metric label.

macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal,)*) => {
        /// The cause of a refusal. The words are the outside contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Cause {
            $($(#[$doc])* $variant,)*
        }

        impl Cause {
            /// Every cause, in the order of their indices.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// Every code, in the same order: what the refusal counters are registered with.
            pub const CODES: &'static [&'static str] = &[$($code),*];

            /// The stable word.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }
        }
    };
}

causes! {
    /// The request is malformed.
    BadRequest = "bad_request",
    /// The drop's limit is above one and no `Idempotency-Key` came.
    IdempotencyKeyRequired = "idempotency_key_required",
    /// No bearer ticket.
    TicketMissing = "ticket_missing",
    /// Forged, malformed, not yet valid, or for another drop.
    TicketInvalid = "ticket_invalid",
    /// Past its `exp`.
    TicketExpired = "ticket_expired",
    /// No identity token.
    IdentityMissing = "identity_missing",
    /// The identity token is not believed.
    IdentityInvalid = "identity_invalid",
    /// The identity token is past its `exp`.
    IdentityExpired = "identity_expired",
    /// The challenge's solution is missing, wrong, late or spent.
    ChallengeFailed = "challenge_failed",
    /// The rules do not let this person in; which of them, nobody outside is told.
    NotEligible = "not_eligible",
    /// Staff keep this person out.
    Blocked = "blocked",
    /// No such drop.
    UnknownDrop = "unknown_drop",
    /// No such campaign.
    UnknownCampaign = "unknown_campaign",
    /// No such voucher, or none that this person may see.
    UnknownVoucher = "unknown_voucher",
    /// No such claim, or none that this person may change.
    UnknownClaim = "unknown_claim",
    /// The claim's unit is not held, or not any more.
    NotHeld = "not_held",
    /// A callback's signature is missing, wrong or too old.
    SignatureInvalid = "signature_invalid",
    /// The key was used for something else.
    KeyReused = "idempotency_key_reused",
    /// The voucher was returned, redeemed or has expired: it is good for nothing any more.
    VoucherNotLive = "voucher_not_live",
    /// A QR payload whose time is over.
    QrExpired = "qr_expired",
    /// The voucher's code was shown, and its campaign takes the changing QR code alone.
    QrRequired = "qr_required",
    /// The person holds no claim in this drop.
    NoClaim = "no_claim",
    /// No such path.
    NotFound = "not_found",
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed",
    /// The person has all that one person may have.
    LimitReached = "limit_reached",
    /// Nothing is left.
    SoldOut = "sold_out",
    /// The drop's window has passed.
    Closed = "closed",
    /// The body is too large.
    PayloadTooLarge = "payload_too_large",
    /// The request target is too long.
    TargetTooLong = "target_too_long",
    /// The body is not JSON.
    UnsupportedMediaType = "unsupported_media_type",
    /// The drop is not open yet.
    NotOpen = "not_open",
    /// The person or the address asks too often.
    RateLimited = "rate_limited",
    /// The header block is too large.
    HeadersTooLarge = "headers_too_large",
    /// The body did not arrive in time.
    RequestTimeout = "request_timeout",
    /// Too many claims wait; this one was not sent.
    Overloaded = "overloaded",
    /// The campaign is paused.
    Paused = "paused",
    /// A part that the answer needs is down; the claim was not made.
    Unavailable = "unavailable",
    /// The claim was sent and no answer came: it may have been made. Ask again with the same key.
    OutcomeUnknown = "outcome_unknown",
    /// The admin token or key is missing, wrong or revoked.
    Unauthorized = "unauthorized",
    /// The caller's role may not do this.
    Forbidden = "forbidden",
    /// No such key.
    UnknownKey = "unknown_key",
    /// No such draft.
    UnknownDraft = "unknown_draft",
    /// The draft cannot be made or approved so.
    DraftRefused = "draft_refused",
    /// No such merchant.
    UnknownMerchant = "unknown_merchant",
    /// The step cannot be taken with the merchant.
    MerchantRefused = "merchant_refused",
    /// A file of merchants has flaws.
    ImportRefused = "import_refused",
    /// The key cannot be made or changed so.
    KeyRefused = "key_refused",
    /// The campaign file was refused.
    CampaignRefused = "campaign_refused",
    /// No such receipt.
    UnknownReceipt = "unknown_receipt",
    /// No such late payment.
    UnknownPayment = "unknown_payment",
    /// Nobody of that name is banned.
    UnknownBan = "unknown_ban",
    /// No entry of this number is in quarantine.
    UnknownEntry = "unknown_entry",
    /// The receipt cannot be settled so.
    ReceiptRefused = "receipt_refused",
    /// No such redemption of this merchant.
    UnknownRedemption = "unknown_redemption",
    /// The merchant takes no vouchers now.
    MerchantInactive = "merchant_inactive",
    /// The order or its merchant does not meet the voucher's terms.
    TermsNotMet = "terms_not_met",
    /// The order has a voucher already.
    OrderUsed = "order_used",
    /// As many vouchers as may be redeemed in a day were.
    DailyLimitReached = "daily_limit_reached",
    /// The redemption cannot be refunded or taken back so.
    RefundRefused = "refund_refused",
    /// The decision cannot be made as the voucher stands, or not by this person.
    VoucherRefused = "voucher_refused",
    /// The books do not allow it: more than is there, or a period that cannot be closed.
    BooksRefused = "books_refused",
    /// Money was moved by this reference before.
    ReferenceUsed = "reference_used",
    /// A request with this key is being worked on.
    KeyInFlight = "idempotency_key_in_flight",
    /// Somebody else changed the same thing at the same time.
    Conflict = "conflict",
}

impl Cause {
    /// Its place in [`Cause::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_and_codes_agree() {
        for (index, cause) in Cause::ALL.iter().enumerate() {
            assert_eq!(cause.index(), index);
            assert_eq!(Cause::CODES[index], cause.code());
        }
    }
}
