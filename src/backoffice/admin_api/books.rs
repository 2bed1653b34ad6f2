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
    /// The posting that it reverses, where its reason is `contra`.
    pub reverses: Option<u64>,
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

/// The body of `POST /admin/v1/campaigns/{id}/reversals`: what was noted by mistake goes back the way it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReverseMove {
    /// The number of the step that noted the payment, the repayment or the transfer.
    pub step: u64,
    /// Why.
    pub reason: String,
}

/// The answer to `GET /admin/v1/campaigns/{id}/payments`, `…/repayments`, `…/transfers` and `…/reversals`.
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

/// A movement of money that waits for another person who says the same (`approval = "two-person"`). It waits for as long as it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoneyWaits {
    /// By what it is withdrawn.
    pub id: String,
    /// From which account.
    pub from: String,
    /// To which account.
    pub to: String,
    /// How much.
    pub amount: String,
    /// By what it is found again.
    pub reference: String,
    /// Why, as whoever said it first has it; an older version did not keep that.
    pub reason: Option<String>,
    /// The step that it would reverse, of a reversal.
    pub reverses: Option<u64>,
    /// Who said it.
    pub said_by: String,
    /// When.
    pub said_at: String,
    /// Who else said it, where it is not in the books all the same, as something broke: it is noted when one of the two says it again.
    pub also_said_by: Option<String>,
}

/// The answer to `GET /admin/v1/campaigns/{id}/waiting`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitingList {
    /// In order of their ids, from the one after `?after=` on; a part of them, which may be empty although more follows.
    pub waiting: Vec<MoneyWaits>,
    /// What to ask for the next part with; nothing where there is none.
    pub next: Option<String>,
}

/// The body of `POST /admin/v1/campaigns/{id}/waiting/withdraw`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawMove {
    /// The id of what waits.
    pub id: String,
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
    /// The step that it reverses, of a reversal.
    pub reverses: Option<u64>,
    /// The step that has reversed it.
    pub reversed_by: Option<u64>,
    /// Whether it was noted before, by the same key.
    pub replayed: bool,
}
