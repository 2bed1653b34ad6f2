//! What is said of a campaign's books. Amounts are texts such as `"25.00"`, in the campaign's currency.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer to `GET /admin/v1/campaigns/{id}/books`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BooksView {
    /// The campaign.
    pub campaign: String,
    /// ISO 4217.
    pub currency: String,
    /// The instant: all that was posted before it counts.
    pub at: String,
    /// What the sponsor gave.
    pub budget: String,
    /// Where it stands.
    pub accounts: PotsView,
    /// Whether `budget` is the sum of all accounts.
    pub balanced: bool,
    /// What `payable` consists of, by merchant; below zero where one was paid for what was refunded later.
    pub payable: Vec<PayableView>,
    /// Why money moved, and between which accounts.
    pub reasons: Vec<ReasonView>,
}

/// Where a campaign's money stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PotsView {
    /// Not in anybody's hands.
    pub unissued: String,
    /// In holders' vouchers.
    pub live: String,
    /// Owed to merchants.
    pub payable: String,
    /// Paid to merchants.
    pub settled: String,
    /// Come back, for later drops of the campaign.
    pub recycled: String,
    /// Come back, for whoever gave it.
    pub treasury: String,
    /// Taken from fraud.
    pub recovered: String,
}

/// What a merchant is owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PayableView {
    /// The merchant.
    pub merchant: String,
    /// How much.
    pub amount: String,
}

/// All postings of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReasonView {
    /// `budget`, `claimed`, `returned`, or the word of a step.
    pub reason: String,
    /// How many postings.
    pub postings: u64,
    /// What they did to the accounts, in all; merchants' together as `payable`. The sponsor's side is below zero.
    pub accounts: Vec<LineView>,
}

/// A change of an account's balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineView {
    /// Its name; `payable:` and the merchant for what a merchant is owed.
    pub account: String,
    /// By how much.
    pub amount: String,
}

/// The answer to `GET /admin/v1/campaigns/{id}/postings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PostingList {
    /// In order of their numbers, from the one after `?after=` on; a part of them.
    pub postings: Vec<PostingView>,
    /// What to ask for the next part with; nothing where there is none.
    pub next: Option<u64>,
}

/// One movement of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PostingView {
    /// Its number among all postings of the ledger.
    pub number: u64,
    /// When.
    pub at: String,
    /// Why: see [`ReasonView`].
    pub reason: String,
    /// The drop that it is about.
    pub drop: Option<String>,
    /// They add up to zero.
    pub lines: Vec<LineView>,
}

/// The answer to `GET /admin/v1/campaigns/{id}/periods`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeriodList {
    /// In order of their numbers, from the one after `?after=` on; a part of them.
    pub periods: Vec<PeriodView>,
    /// What to ask for the next part with; nothing where there is none.
    pub next: Option<u64>,
}

/// A closed stretch of a campaign's books: the answer to closing one, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeriodView {
    /// Its number among all periods of the ledger.
    pub number: u64,
    /// The campaign.
    pub campaign: String,
    /// Its first instant: the end of the period before; nothing for the first one.
    pub from: Option<String>,
    /// The first instant that is no longer in it.
    pub until: String,
    /// When it was closed.
    pub closed_at: String,
    /// Every account that ever held anything; merchants' together as `payable`. The budget is below zero.
    pub accounts: Vec<PeriodLineView>,
}

/// An account in a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeriodLineView {
    /// Its name.
    pub account: String,
    /// What it held at the first instant.
    pub opening: String,
    /// What it held at the end.
    pub closing: String,
}

/// The body of `POST /admin/v1/campaigns/{id}/periods`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClosePeriod {
    /// The first instant that is no longer in the period (RFC 3339).
    pub until: String,
}

/// The body of `POST /admin/v1/campaigns/{id}/payments`: a merchant was paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PayMerchant {
    /// Who was paid.
    pub merchant: String,
    /// How much, as in `120.00`: at most what is owed.
    pub amount: String,
    /// By what the payment is found again: a number of the bank.
    pub reference: String,
    /// Why.
    pub reason: String,
}

/// The body of `POST /admin/v1/campaigns/{id}/repayments`: a merchant gave back what it had been paid for what was refunded or
/// recovered later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepayMerchant {
    /// Who gave it back.
    pub merchant: String,
    /// How much, as in `120.00`: at most what the merchant owes, which is what its account is below zero.
    pub amount: String,
    /// By what the payment is found again: a number of the bank.
    pub reference: String,
    /// Why.
    pub reason: String,
}

/// The body of `POST /admin/v1/campaigns/{id}/transfers`: money goes from one account to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveMoney {
    /// `recycled` or `recovered`; of a campaign that ended also `unissued`.
    pub from: String,
    /// `treasury`; from `recovered` also `recycled`.
    pub to: String,
    /// How much, as in `120.00`.
    pub amount: String,
    /// By what it is found again: a decision, a number of the bank.
    pub reference: String,
    /// Why.
    pub reason: String,
}

/// The answer to `GET /admin/v1/campaigns/{id}/payments`, `…/repayments` and `…/transfers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoneyMovedList {
    /// In order of their numbers, from the one after `?after=` on; a part of them.
    pub moves: Vec<MoneyMoved>,
    /// What to ask for the next part with; nothing where there is none.
    pub next: Option<u64>,
}

/// The answer to noting a payment or a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MoneyNoted {
    /// It is in the books.
    Moved(MoneyMoved),
    /// It is not yet.
    Waits(MoneyWaits),
}

/// A payment or a transfer that waits for another person who says the same (`approval = "two-person"`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoneyWaits {
    /// From which account.
    pub from: String,
    /// To which account.
    pub to: String,
    /// How much.
    pub amount: String,
    /// By what it is found again.
    pub reference: String,
    /// Who said it.
    pub said_by: String,
}

/// A payment or a transfer: the answer to noting one, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoneyMoved {
    /// The number of its step.
    pub number: u64,
    /// When.
    pub at: String,
    /// From which account.
    pub from: String,
    /// To which account.
    pub to: String,
    /// How much.
    pub amount: String,
    /// By what it is found again.
    pub reference: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Who noted it; both, where two persons had to.
    pub by: Option<String>,
    /// The posting that holds it.
    pub posting: Option<u64>,
    /// Whether it was noted before, by the same key.
    pub replayed: bool,
}
