//! Errors as RFC 9457 `application/problem+json`: one table from cause to text.
//!
//! Public texts only: what went wrong inside stays in the log. Status codes stand in [`super::reply`].

use crate::domain::cause::Cause;
use crate::domain::ids::{ClaimNumber, DropId};
use crate::domain::qr::QrFlaw;
use crate::guard::GuardRefusal;
use crate::guard::rate::{Allowance, RateRefusal};
use crate::guard::ticket::TicketRefusal;

/// A rate limit of which nothing is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedUp {
    /// What it is called.
    pub name: &'static str,
    /// What it grants.
    pub allowance: Allowance,
}

/// A refusal on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Why.
    pub cause: Cause,
    /// A sentence for this occurrence, where there is more to say than `title`.
    pub detail: Option<Box<str>>,
    /// When a retry can help, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The limit that is used up, for [`Cause::RateLimited`].
    pub limit: Option<UsedUp>,
    /// The methods that the path does take, for [`Cause::MethodNotAllowed`].
    pub allow: Option<&'static str>,
    /// What is wrong in a file, line by line, as a JSON array.
    pub errors: Option<Box<str>>,
    /// The claim for the sake of which nothing more is given, and its drop, for [`Cause::LimitReached`].
    pub claim: Option<Box<(ClaimNumber, DropId)>>,
}

impl From<Cause> for Problem {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            detail: None,
            retry_after_ms: default_retry_after_ms(cause),
            limit: None,
            allow: None,
            errors: None,
            claim: None,
        }
    }
}

impl From<GuardRefusal> for Problem {
    fn from(refusal: GuardRefusal) -> Self {
        match refusal {
            GuardRefusal::Ticket(TicketRefusal::Missing) => Cause::TicketMissing.into(),
            GuardRefusal::Ticket(TicketRefusal::Expired) => Cause::TicketExpired.into(),
            GuardRefusal::Ticket(invalid) => Self::with_detail(Cause::TicketInvalid, invalid.to_string()),
            GuardRefusal::Blocked => Cause::Blocked.into(),
            GuardRefusal::Rate(rate, allowance) => Self::rate_limited(rate, allowance),
        }
    }
}

impl From<QrFlaw> for Problem {
    fn from(flaw: QrFlaw) -> Self {
        match flaw {
            QrFlaw::Invalid => Cause::UnknownVoucher.into(),
            QrFlaw::Expired => Cause::QrExpired.into(),
            QrFlaw::NotYet => Self::with_detail(Cause::QrExpired, flaw.to_string()),
        }
    }
}

impl Problem {
    /// A problem with a sentence of its own.
    #[must_use]
    pub fn with_detail(cause: Cause, detail: impl Into<Box<str>>) -> Self {
        Self { detail: Some(detail.into()), ..Self::from(cause) }
    }

    /// A limit that is used up: how long to wait, and what the limit grants.
    #[must_use]
    pub fn rate_limited(rate: RateRefusal, allowance: Allowance) -> Self {
        let wait_ms = u64::try_from(rate.retry_after().0.as_millis()).unwrap_or(u64::MAX);
        let limit = UsedUp { name: rate.name(), allowance };
        let problem = Self::with_detail(Cause::RateLimited, rate.to_string()).retry_after(wait_ms);
        Self { limit: Some(limit), ..problem }
    }

    /// The campaign gives a person claims in one drop alone, and they have this one.
    #[must_use]
    pub fn claimed_elsewhere(claim: ClaimNumber, drop: DropId) -> Self {
        let detail = format!("you have claim {} in drop {drop} of this campaign", claim.claim_id());
        Self { claim: Some(Box::new((claim, drop))), ..Self::with_detail(Cause::LimitReached, detail) }
    }

    /// The same, to be tried again no sooner than this.
    #[must_use]
    pub fn retry_after(mut self, retry_after_ms: u64) -> Self {
        self.retry_after_ms = Some(retry_after_ms);
        self
    }

    /// Appends the JSON body.
    pub fn append_body(&self, status: u16, request_id: &str, out: &mut String) {
        out.push_str(r#"{"type":"urn:claimrush:problem:"#);
        out.push_str(self.cause.code());
        out.push_str(r#"","title":""#);
        out.push_str(title(self.cause));
        out.push_str(r#"","status":"#);
        out.push_str(itoa::Buffer::new().format(status));
        if let Some(detail) = &self.detail {
            out.push_str(r#","detail":"#);
            append_json_string(detail, out);
        }
        if let Some(errors) = &self.errors {
            out.push_str(r#","errors":"#);
            out.push_str(errors);
        }
        if let Some((claim, drop)) = self.claim.as_deref() {
            // Neither has a letter that needs escaping.
            out.push_str(r#","claim":{"claim_id":""#);
            claim.append_claim_id(out);
            out.push_str(r#"","drop":""#);
            out.push_str(drop.as_str());
            out.push_str(r#""}"#);
        }
        out.push_str(r#","code":""#);
        out.push_str(self.cause.code());
        out.push_str(r#"","request_id":""#);
        out.push_str(request_id);
        out.push_str("\"}");
    }
}

/// Appends `text` as a JSON string.
pub(super) fn append_json_string(text: &str, out: &mut String) {
    match serde_json::to_string(text) {
        Ok(quoted) => out.push_str(&quoted),
        Err(_) => out.push_str("\"\""),
    }
}

/// What a client without a better hint should wait, where trying again can help at all.
fn default_retry_after_ms(cause: Cause) -> Option<u64> {
    match cause {
        Cause::KeyInFlight
        | Cause::RateLimited
        | Cause::NotOpen
        | Cause::Overloaded
        | Cause::OutcomeUnknown => Some(1_000),
        Cause::Unavailable | Cause::RequestTimeout => Some(2_000),
        Cause::Paused => Some(5_000),
        _ => None,
    }
}

/// The fixed sentence of a cause. No character in it needs escaping in JSON (a test checks).
fn title(cause: Cause) -> &'static str {
    match cause {
        Cause::BadRequest => "The request is malformed",
        Cause::IdempotencyKeyRequired => "An Idempotency-Key header is needed here",
        Cause::TicketMissing => "A ticket is required: Authorization: Bearer <ticket>",
        Cause::TicketInvalid => "The ticket is not valid here",
        Cause::TicketExpired => "The ticket has expired",
        Cause::IdentityMissing => "An identity token is required",
        Cause::IdentityInvalid => "The identity token is not valid here",
        Cause::IdentityExpired => "The identity token has expired",
        Cause::ChallengeFailed => "The challenge is not solved",
        Cause::NotEligible => "You are not eligible",
        Cause::Blocked => "You cannot take part",
        Cause::UnknownDrop => "There is no such drop",
        Cause::UnknownCampaign => "There is no such campaign",
        Cause::UnknownVoucher => "There is no such voucher here",
        Cause::UnknownClaim => "There is no such claim of yours",
        Cause::NotHeld => "This claim is not held",
        Cause::SignatureInvalid => "The callback's signature is not valid",
        Cause::KeyReused => "The same key came before with other content",
        Cause::VoucherNotLive => "This voucher is not good any more",
        Cause::QrExpired => "The QR code has expired; the holder shows a fresh one",
        Cause::QrRequired => "This voucher is taken by its changing QR code alone; the holder shows it",
        Cause::NoClaim => "You hold no claim in this drop",
        Cause::NotFound => "There is nothing at this path",
        Cause::MethodNotAllowed => "This path does not take this method",
        Cause::LimitReached => "You have all that one person may claim",
        Cause::SoldOut => "Sold out",
        Cause::Closed => "This drop is closed",
        Cause::PayloadTooLarge => "The body is too large",
        Cause::TargetTooLong => "The request target is too long",
        Cause::UnsupportedMediaType => "The body must be application/json",
        Cause::NotOpen => "This drop is not open yet",
        Cause::RateLimited => "Too many requests",
        Cause::HeadersTooLarge => "The request headers are too large",
        Cause::RequestTimeout => "The body did not arrive in time",
        Cause::Overloaded => "Too much is asked for right now; nothing was done",
        Cause::Paused => "This campaign is paused",
        Cause::Unavailable => "The service cannot answer right now; try again",
        Cause::OutcomeUnknown => "No answer came in time; ask again to learn what became of it",
        Cause::Unauthorized => "A valid token or key is required: Authorization: Bearer <token>",
        Cause::Forbidden => "Your role may not do this",
        Cause::UnknownDraft => "There is no such draft",
        Cause::DraftRefused => "The draft was not made or approved so",
        Cause::UnknownMerchant => "There is no such merchant",
        Cause::MerchantRefused => "This cannot be done with the merchant",
        Cause::ImportRefused => "The file has flaws; nothing of it was entered",
        Cause::UnknownKey => "There is no such key",
        Cause::KeyRefused => "The key was not made or changed so",
        Cause::CampaignRefused => "The campaign was refused; nothing was changed",
        Cause::UnknownReceipt => "There is no such receipt",
        Cause::UnknownPayment => "There is no such late payment",
        Cause::UnknownBan => "There is no such ban",
        Cause::UnknownEntry => "There is no such entry in quarantine",
        Cause::ReceiptRefused => "The receipt was not settled so",
        Cause::UnknownRedemption => "There is no such redemption of yours",
        Cause::MerchantInactive => "This merchant takes no vouchers now",
        Cause::TermsNotMet => "The order does not meet the terms of the voucher",
        Cause::OrderUsed => "This order has a voucher already",
        Cause::DailyLimitReached => "No more vouchers may be redeemed today",
        Cause::RefundRefused => "The redemption cannot be refunded or taken back so",
        Cause::KeyInFlight => "A request with this Idempotency-Key is being worked on",
        Cause::VoucherRefused => "That cannot be decided of the voucher",
        Cause::BooksRefused => "The books do not allow it",
        Cause::ReferenceUsed => "This reference is in the books already",
        Cause::Conflict => "Somebody else changed this at the same time; nothing was changed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_is_json_and_carries_its_code() {
        for cause in Cause::ALL {
            let mut body = String::new();
            Problem::with_detail(*cause, "a \"quoted\"\nline").append_body(400, "r1", &mut body);
            let value: serde_json::Value = serde_json::from_str(&body).expect("JSON");
            assert_eq!(value["code"], cause.code());
            assert_eq!(value["title"], title(*cause));
            assert_eq!(value["detail"], "a \"quoted\"\nline");
            assert_eq!(value["request_id"], "r1");
        }
    }
}
