//! Bodies that are written by hand elsewhere, for speed or because they are tiny, as types that the document shows.

#![expect(dead_code, reason = "types that are looked at, never made")]

use schemars::JsonSchema;
use serde::Deserialize;

use crate::backoffice::merchants::file::Flaw;

/// A refusal, by RFC 9457.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Problem {
    /// `urn:claimrush:problem:` and the code.
    r#type: String,
    /// What kind of problem it is, in words.
    title: String,
    /// The status again.
    status: u16,
    /// A sentence for this occurrence.
    detail: Option<String>,
    /// The stable word.
    code: String,
    /// By which the refusal is found again in the logs.
    request_id: String,
    /// What is wrong in a file, line by line.
    errors: Option<Vec<Flaw>>,
    /// With `limit_reached`, where the campaign gives a person claims in one drop alone: the claim that they have.
    claim: Option<ClaimElsewhere>,
}

/// A claim in another drop of the campaign.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ClaimElsewhere {
    /// Its id.
    claim_id: String,
    /// The drop.
    drop: String,
}

/// A claim.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Claim {
    /// Its id.
    claim_id: String,
    /// The drop.
    drop: String,
    /// 1, 2, 3 … without gaps.
    seq: u32,
    /// The voucher's code, where the drop gives vouchers.
    voucher: Option<String>,
    /// How it stands: `issued`, or `held` where the drop gives an item, and later what became of it.
    status: String,
    /// RFC 3339.
    claimed_at: String,
    /// Until when the unit is held, while it is.
    hold_expires_at: Option<String>,
    /// Whether it was granted before.
    replayed: bool,
}

/// What a person holds in a drop.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Claims {
    /// In order of their numbers.
    claims: Vec<Claim>,
}

/// How a voucher stands, for its holder.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Voucher {
    /// The claim's id.
    claim_id: String,
    /// The drop.
    drop: String,
    /// The claim's number.
    seq: u32,
    /// The code.
    voucher: Option<String>,
    /// How it stands.
    status: String,
    /// RFC 3339.
    claimed_at: Option<String>,
    /// The discount.
    face: Option<String>,
    /// The order amount from which it may be used.
    threshold: Option<String>,
    /// ISO 4217.
    currency: Option<String>,
    /// The first instant at which it is no longer good.
    expires_at: Option<String>,
    /// Where it is taken.
    merchants: Option<Merchants>,
    /// When it was used, while that stands.
    redeemed_at: Option<String>,
    /// The merchant that took it.
    merchant: Option<String>,
    /// The merchant's shop.
    shop: Option<String>,
    /// When the code of a lost claim was shown first.
    shown_at: Option<String>,
    /// `true` where tills take the changing QR code alone.
    qr_required: Option<bool>,
    /// What the person got for a lost claim.
    replaced_by: Option<Box<Voucher>>,
}

/// How a voucher stands, for a till: not whose it is, nor where it was used.
#[derive(Deserialize, JsonSchema)]
pub(super) struct TillVoucher {
    /// The claim's id.
    claim_id: String,
    /// The drop.
    drop: String,
    /// How it stands.
    status: String,
    /// The discount.
    face: String,
    /// The order amount from which it may be used.
    threshold: String,
    /// ISO 4217.
    currency: String,
    /// The first instant at which it is no longer good.
    expires_at: String,
    /// Where it is taken.
    merchants: Merchants,
}

/// Where a voucher is taken; an empty list stands for everywhere.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Merchants {
    /// Categories, or the beginnings of their codes.
    category: Vec<String>,
    /// Regions, or the beginnings of their codes.
    region: Vec<String>,
}

/// A voucher's QR code.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Qr {
    /// What the picture says.
    payload: String,
    /// RFC 3339.
    expires_at: String,
    /// RFC 3339.
    server_time: String,
    /// For how long it is good.
    valid_ms: i64,
    /// After how long to ask again.
    refresh_after_ms: i64,
    /// The picture.
    svg: String,
}

/// A drop's public state.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DropState {
    /// Its id.
    id: String,
    /// Its campaign.
    campaign: String,
    /// What people call it.
    name: Option<String>,
    /// `scheduled`, `open`, `paused`, `sold_out` or `closed`.
    state: String,
    /// RFC 3339.
    opens_at: String,
    /// RFC 3339.
    closes_at: String,
    /// RFC 3339.
    server_time: String,
    /// The campaign's, an IANA name.
    time_zone: Option<String>,
    /// Units in all.
    stock_total: u64,
    /// Units not claimed.
    stock_left: u64,
    /// Claims per person.
    limit_per_person: u32,
    /// The terms of its vouchers.
    voucher: Option<VoucherTerms>,
    /// The terms of its item.
    item: Option<ItemTerms>,
    /// Look again no sooner than that.
    poll_after_ms: i64,
}

/// What a voucher is worth.
#[derive(Deserialize, JsonSchema)]
pub(super) struct VoucherTerms {
    /// The discount.
    face: String,
    /// The order amount from which it may be used.
    threshold: String,
    /// ISO 4217.
    currency: String,
    /// How long after the claim.
    valid_for_s: i64,
    /// There, and true, where tills take the changing QR code alone.
    qr_required: Option<bool>,
    /// Where they are taken, if not everywhere.
    merchants: Option<Merchants>,
}

/// How a unit is held until it is paid for.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ItemTerms {
    /// How long after the claim.
    hold_for_s: i64,
    /// Whether somebody who gave one back may claim another.
    claim_again: bool,
}

/// A campaign's public state.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Campaign {
    /// Its id.
    id: String,
    /// What people call it.
    name: String,
    /// Who pays.
    sponsor: Option<String>,
    /// All the money there is, as in `4000000.00`.
    budget: String,
    /// ISO 4217.
    currency: String,
    /// An IANA name.
    time_zone: String,
    /// RFC 3339.
    server_time: String,
    /// Its drops.
    drops: Vec<DropState>,
}

/// What there is to claim.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Campaigns {
    /// RFC 3339.
    server_time: String,
    /// What is open or to come first, what is over last.
    campaigns: Vec<Campaign>,
}

/// The clock that decides.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Time {
    /// RFC 3339.
    server_time: String,
}

/// A hold that was given back.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Cancelled {
    /// The claim's id.
    claim_id: String,
    /// `cancelled`.
    status: String,
}

/// Whether claims can be granted.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Readiness {
    /// Whether they can.
    ready: bool,
    /// Why not.
    reason: Option<String>,
}

/// That the process answers.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Health {
    /// `ok`.
    status: String,
}
