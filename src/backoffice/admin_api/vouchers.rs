//! What is said of vouchers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A voucher, or another claim, and what has become of it: the answer to every call about one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VoucherView {
    /// Its claim.
    pub claim_id: String,
    /// The claim's drop.
    pub drop: String,
    /// The drop's campaign.
    pub campaign: String,
    /// Who holds it, or held it.
    pub person: String,
    /// The state that its last step led to, as the ledger has it; `returned` where its unit went back to stock.
    pub state: String,
    /// When it was granted.
    pub claimed_at: String,
    /// For vouchers: the discount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub face: Option<String>,
    /// For vouchers: the order amount from which it may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<String>,
    /// For vouchers: the first instant at which it is no longer valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// For items: the first instant at which it is no longer held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_expires_at: Option<String>,
    /// What has happened to it, in order, from the step after `?after=` on; a part of it.
    pub steps: Vec<StepView>,
    /// What to ask for the next part with; nothing where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// Something that has happened to a voucher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepView {
    /// Its number among all steps of the ledger.
    pub number: u64,
    /// When.
    pub at: String,
    /// What.
    pub step: String,
    /// How the voucher stood after it.
    pub state: String,
    /// Who: a merchant, somebody of the staff, the holder, or the service itself.
    pub by: String,
    /// Why, where staff decided it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// By what it is found again elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// For redemptions and what follows them: the merchant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merchant: Option<String>,
    /// Its shop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shop: Option<String>,
    /// The merchant's order, or the id of a payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// What the order costs, or the payment brought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// What the voucher took off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount: Option<String>,
    /// What of the order is refunded by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refunded: Option<String>,
    /// The money that the step moved in the books.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<String>,
    /// From which account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// To which account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The posting that holds it, together with others of the same kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub posting: Option<u64>,
}

/// The body of `POST /admin/v1/vouchers/{code}/…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    /// Why; it is kept.
    pub reason: String,
}
