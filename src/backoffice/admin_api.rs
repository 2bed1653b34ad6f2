//! The words that the admin listener and its clients exchange.
//!
//! Owns the JSON of `/admin/v1/…`; both sides read and write
//! these types. Amounts are texts such as `"4000000.00 CNY"`, instants are RFC 3339.

mod books;
mod drafts;
mod merchants;
mod quarantine;
mod vouchers;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backoffice::access::KeyView;
use crate::backoffice::merchants::file::Flaw;
use crate::domain::access::Role;
use crate::domain::life::State;
use crate::ledger::ReceiptState;

pub use books::{
    BooksView, ClosePeriod, LineView, MoneyMoved, MoneyMovedList, MoneyNoted, MoneyWaits, MoveMoney,
    PayMerchant, PayableView, PeriodLineView, PeriodList, PeriodView, PostingList, PostingView, PotsView,
    ReasonView, RepayMerchant, ReverseMove, WaitingList, WithdrawMove,
};
pub use drafts::{Approve, Copy, DraftDrop, DraftList, DraftView};
pub use merchants::{ImportReport, MerchantList, MerchantView, Review, Suspend};
pub use quarantine::{EntryView, QuarantineList, SettleEntry};
pub use vouchers::{Decide, StepView, VoucherView};

/// The media type of a campaign file as a request body.
pub const CAMPAIGN_FILE_TYPE: &str = "application/toml";

/// The answer to `GET /admin/v1/campaigns`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CampaignList {
    /// In the order in which they were first applied.
    pub campaigns: Vec<CampaignView>,
}

/// One campaign: the answer to `GET /admin/v1/campaigns/{id}`, and to pausing and resuming it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CampaignView {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `running`, `paused` or `ended`.
    pub state: String,
    /// When it ended, where it did.
    #[serde(default)]
    pub ended_at: Option<String>,
    /// All the money there is, with its currency.
    pub budget: String,
    /// What can be claimed in a day at most.
    #[serde(default)]
    pub daily_budget: Option<String>,
    /// Whether tills take its vouchers by the changing QR code alone.
    #[serde(default)]
    pub qr_required: bool,
    /// IANA name.
    pub time_zone: String,
    /// Its drops, in the order of the file.
    pub drops: Vec<DropView>,
}

/// One drop of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DropView {
    /// Its id.
    pub id: String,
    /// `scheduled`, `open`, `paused`, `sold_out` or `closed`.
    pub state: String,
    /// The release instant.
    pub opens_at: String,
    /// After it nobody claims.
    pub closes_at: String,
    /// Units in all.
    pub stock_total: u64,
    /// Units not claimed; `None` while it is not loaded.
    pub stock_left: Option<u64>,
    /// Claims per person.
    pub limit_per_person: u32,
}

/// The answer to `POST /admin/v1/campaigns`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// The campaign's id.
    pub campaign: String,
    /// What the file did.
    pub outcome: ApplyOutcome,
    /// What changed, one sentence each; empty when nothing did.
    pub changes: Vec<String>,
}

/// What applying a campaign file did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplyOutcome {
    /// The campaign is new.
    Created,
    /// The campaign stood and now differs.
    Changed,
    /// The file says what stood already.
    Unchanged,
}

/// The answer to `GET /admin/v1/recovery` (what would be done) and to `POST` (what was done).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recovery {
    /// Whether it was done.
    pub applied: bool,
    /// The drops that Redis has lost, in whole or in part; empty when there is nothing to do.
    pub drops: Vec<RecoveryDrop>,
}

/// One drop that is made anew from the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryDrop {
    /// Its id.
    pub id: String,
    /// The epoch that it had, and whose number the lost claims carry.
    pub epoch: u16,
    /// The epoch that it gets.
    pub next_epoch: u16,
    /// The number of the last claim that Redis has, if the drop is there at all.
    pub in_redis: Option<u32>,
    /// Claims that the ledger has, all of which it gets back.
    pub in_ledger: u64,
    /// Of these, not returned.
    pub live: u64,
    /// Units in all.
    pub stock_total: u64,
    /// Units that it can give again.
    pub stock_left: u64,
    /// How many claims are known to be lost: a front end saw them granted, and no store has them.
    pub lost: u64,
    /// Their ids, at most [`LOST_IDS_MAX`].
    pub lost_claims: Vec<String>,
}

/// Ids of lost claims that are named of one drop.
pub const LOST_IDS_MAX: usize = 1_000;

/// The answer to `GET /admin/v1/receipts`: signed codes that people showed and no store knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptList {
    /// In order of their numbers, from the one after `?after=` on; a part of them.
    pub receipts: Vec<ReceiptView>,
    /// How many are open, of all.
    pub open: u64,
    /// How many were honoured.
    pub honoured: u64,
    /// How many were found void.
    pub void: u64,
}

/// One receipt: the answer to settling it, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptView {
    /// Its number.
    pub number: u64,
    /// The claim that its code stands for.
    pub claim_id: String,
    /// The claim's drop.
    pub drop: String,
    /// Who showed it.
    pub person: String,
    /// When they showed it first.
    pub shown_at: String,
    /// `open`, `honoured` or `void`.
    pub state: ReceiptState,
    /// When it was settled.
    pub settled_at: Option<String>,
    /// The claim that the person got for it.
    pub honoured_by: Option<String>,
    /// Why it is void.
    pub reason: Option<String>,
    /// Whether the ledger has the claim by now: it came back, and the receipt may be found void.
    pub found: bool,
    /// Whether the code is beyond what Redis has granted: Redis may have gone back unseen.
    pub ahead: bool,
}

/// The body of `POST /admin/v1/receipts/{number}/honour`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Honour {
    /// The drop whose stock gives the unit; the receipt's own without it.
    pub from: Option<String>,
}

/// The body of `POST /admin/v1/receipts/{number}/void`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Void {
    /// Why nothing is owed.
    pub reason: String,
}

/// The answer to `GET /admin/v1/me`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Me {
    /// What the caller is.
    pub role: Role,
    /// The name that the key was made for.
    pub name: String,
    /// The key's id; nothing for the admin token.
    pub key: Option<String>,
    /// For merchants' keys: which merchant's.
    pub merchant: Option<String>,
    /// The permissions of the role.
    pub may: Vec<String>,
}

/// The answer to `GET /admin/v1/keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyList {
    /// In order of their ids.
    pub keys: Vec<KeyView>,
}

/// The body of `POST /admin/v1/bans`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BanPerson {
    /// Whom to keep out, as claims, tickets and exports call them.
    pub person: String,
    /// Why.
    pub reason: String,
    /// Until when (RFC 3339); for ever without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// The body of `POST /admin/v1/bans/lift`. Persons' names have letters that do not fit into a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LiftBan {
    /// Whom to let in again.
    pub person: String,
}

/// The body of `POST /admin/v1/keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddKey {
    /// What it may do.
    pub role: Role,
    /// Whose it is: two keys of one name count as one person.
    pub name: String,
    /// For the role `merchant`: which merchant's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant: Option<String>,
}

/// The body of `POST /admin/v1/keys/{id}/rotate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// How long the secret before is good too.
    #[serde(default)]
    pub overlap_s: u32,
}

/// The answer to adding and to rotating a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MadeKey {
    /// The key as it stands.
    #[serde(flatten)]
    pub view: KeyView,
    /// Its text. It is not stored, and never shown again.
    pub key: String,
}

/// The answer to `GET /admin/v1/late-payments`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LatePaymentList {
    /// In order of their numbers, from the one after `?after=` on; a part of them.
    pub payments: Vec<LatePaymentView>,
    /// How many wait for their refund, of all.
    pub open: u64,
}

/// A payment that came for a unit which could not be had any more: the answer to noting its refund, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LatePaymentView {
    /// Its number.
    pub number: u64,
    /// The claim that it was for.
    pub claim_id: String,
    /// The claim's drop.
    pub drop: String,
    /// Who holds or held the claim.
    pub person: String,
    /// How the claim stood when the payment came.
    #[schemars(with = "String")]
    pub claim_status: State,
    /// The payment's own id.
    pub payment: String,
    /// How much was paid.
    pub amount: String,
    /// When it came.
    pub came_at: String,
    /// When it was refunded, if it was.
    pub refunded_at: Option<String>,
    /// By what the refund is found again.
    pub reference: Option<String>,
    /// Who noted it.
    pub refunded_by: Option<String>,
}

/// The body of `POST /admin/v1/late-payments/{number}/refunded`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentRefunded {
    /// By what the refund is found again: a number of the payment service, or a reason.
    pub reference: String,
}

/// The part of an RFC 9457 problem that a command line shows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Problem {
    /// The sentence for the reader.
    pub detail: Option<String>,
    /// What kind of problem it is, in words.
    pub title: Option<String>,
    /// The stable word.
    pub code: Option<String>,
    /// What is wrong in a file, line by line.
    #[serde(default)]
    pub errors: Vec<Flaw>,
}
