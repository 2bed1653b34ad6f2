//! `GET /v1/drops/{drop}`, `GET /v1/campaigns/{campaign}` and `GET /v1/time`: public state, served from memory.

use hyper::header::{HeaderMap, IF_NONE_MATCH};
use serde::Serialize;

use super::front::Front;
use super::problem::Problem;
use super::reply::{self, Reply};
use crate::clock::{UnixMs, rfc3339};
use crate::domain::campaign::{Campaign, ItemTerms, VoucherTerms};
use crate::domain::cause::Cause;
use crate::rush::gate::{DropGate, PublicState};

/// How long a shared cache may keep a state, in seconds.
pub(super) const MAX_AGE_S: u32 = 1;

/// How soon a client should look again, by state.
const POLL_OPEN_MS: i64 = 1_000;
const POLL_SOLD_OUT_MS: i64 = 5_000;
const POLL_PAUSED_MS: i64 = 5_000;
const POLL_CLOSED_MS: i64 = 60_000;
/// Before the release: a quarter of what is left, between these.
const POLL_SCHEDULED_MS: std::ops::RangeInclusive<i64> = 1_000..=30_000;

#[derive(Serialize)]
struct DropState<'a> {
    id: &'a str,
    campaign: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    state: &'static str,
    opens_at: String,
    closes_at: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    time_zone: &'a str,
    stock_total: u64,
    stock_left: u64,
    limit_per_person: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    voucher: Option<Voucher<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<Item>,
    /// From here on what the time alone changes; see [`timeless`].
    server_time: String,
    poll_after_ms: i64,
}

#[derive(Serialize)]
struct Item {
    hold_for_s: i64,
    /// Whether somebody who gave one back may claim another.
    claim_again: bool,
}

impl Item {
    fn of(terms: &ItemTerms) -> Self {
        Self { hold_for_s: terms.hold_ms / 1_000, claim_again: terms.claim_again }
    }
}

#[derive(Serialize)]
struct Voucher<'a> {
    face: String,
    threshold: String,
    currency: &'a str,
    valid_for_s: i64,
    /// Whether tills take the changing QR code alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    qr_required: bool,
    #[serde(skip_serializing_if = "Where::is_anywhere")]
    merchants: Where<'a>,
}

/// Which merchants take a voucher.
#[derive(Serialize)]
struct Where<'a> {
    category: &'a [String],
    region: &'a [String],
}

impl Where<'_> {
    fn is_anywhere(&self) -> bool {
        self.category.is_empty() && self.region.is_empty()
    }
}

/// How a drop stands: 200, or 304 when nothing but the time has changed.
pub(super) fn drop_state(front: &Front, drop: &str, headers: &HeaderMap) -> Result<Reply, Problem> {
    let drop = front.gate.find(drop).ok_or(Cause::UnknownDrop)?;
    let now_ms = front.gate.redis_now_ms(front.clock.now_ms());
    let body = with_state(front, &drop, now_ms, |state| to_json(&state))?;
    let etag = tag_of(timeless(&body));
    Ok(reply::public_json(body, &etag, asked_etag(headers), MAX_AGE_S))
}

#[derive(Serialize)]
pub(super) struct CampaignState<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sponsor: Option<&'a str>,
    budget: String,
    currency: &'a str,
    time_zone: &'a str,
    server_time: String,
    drops: Vec<serde_json::Value>,
}

/// A campaign and its drops: 200 or 304.
pub(super) fn campaign_state(front: &Front, id: &str, headers: &HeaderMap) -> Result<Reply, Problem> {
    let campaign = front.gate.campaign(id).ok_or(Cause::UnknownCampaign)?;
    let now_ms = front.gate.redis_now_ms(front.clock.now_ms());
    let mut tags = String::new();
    let body = to_json(&campaign_shown(front, &campaign, now_ms, &mut tags)?)?;
    Ok(reply::public_json(body, &tag_of(&tags), asked_etag(headers), MAX_AGE_S))
}

/// A campaign as it is shown. Appends to `tags` what changes whenever anything but the time does.
pub(super) fn campaign_shown<'a>(
    front: &Front,
    campaign: &'a Campaign,
    now_ms: UnixMs,
    tags: &mut String,
) -> Result<CampaignState<'a>, Problem> {
    let mut drops = Vec::with_capacity(campaign.drops.len());
    for spec in &campaign.drops {
        let Some(drop) = front.gate.find(spec.id.as_str()) else { continue };
        let state = with_state(front, &drop, now_ms, |state| {
            tags.push_str(timeless(&to_json(&state)?));
            serde_json::to_value(&state).map_err(|error| internal(&error))
        })?;
        drops.push(state);
    }
    Ok(CampaignState {
        id: campaign.id.as_str(),
        name: &campaign.name,
        sponsor: campaign.sponsor.as_deref(),
        budget: campaign.budget.to_string(),
        currency: &campaign.currency,
        time_zone: &campaign.time_zone,
        server_time: rfc3339(now_ms),
        drops,
    })
}

/// What time it is by the clock that decides: never kept by anybody on the way, so that a page can set its own by it.
pub(super) fn time(front: &Front) -> Reply {
    let now_ms = front.gate.redis_now_ms(front.clock.now_ms());
    let mut body = String::with_capacity(48);
    body.push_str(r#"{"server_time":""#);
    front.stamps.append(now_ms, &mut body);
    body.push_str("\"}");
    reply::private_json(body)
}

fn with_state<T>(
    front: &Front,
    drop: &DropGate,
    now_ms: UnixMs,
    use_it: impl FnOnce(DropState<'_>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let rules = drop.rules();
    let spec = &rules.spec;
    let campaign = front.gate.campaign(rules.campaign.as_str());
    let currency = campaign.as_ref().map_or("", |campaign| campaign.currency.as_str());
    let time_zone = campaign.as_ref().map_or("", |campaign| campaign.time_zone.as_str());
    let is_qr_required = campaign.as_ref().is_some_and(|campaign| campaign.is_qr_required());
    let state = drop.public_state(now_ms);
    let view = drop.view();
    use_it(DropState {
        id: drop.id.as_str(),
        campaign: rules.campaign.as_str(),
        name: spec.name.as_deref(),
        state: state.as_str(),
        opens_at: rfc3339(spec.opens_at_ms),
        closes_at: rfc3339(spec.closes_at_ms),
        time_zone,
        stock_total: spec.stock,
        stock_left: view.map_or(0, |view| view.stock),
        limit_per_person: spec.limit_per_person,
        voucher: spec.voucher.as_ref().map(|terms| voucher(terms, currency, is_qr_required)),
        item: spec.item.as_ref().map(Item::of),
        server_time: rfc3339(now_ms),
        poll_after_ms: poll_after_ms(state, spec.opens_at_ms - now_ms),
    })
}

fn voucher<'a>(terms: &'a VoucherTerms, currency: &'a str, qr_required: bool) -> Voucher<'a> {
    Voucher {
        face: terms.face.to_string(),
        threshold: terms.threshold.to_string(),
        currency,
        valid_for_s: terms.valid_ms / 1_000,
        qr_required,
        merchants: Where { category: &terms.categories, region: &terms.regions },
    }
}

fn poll_after_ms(state: PublicState, opens_in_ms: i64) -> i64 {
    match state {
        PublicState::Scheduled => {
            (opens_in_ms / 4).clamp(*POLL_SCHEDULED_MS.start(), *POLL_SCHEDULED_MS.end())
        }
        PublicState::Open => POLL_OPEN_MS,
        PublicState::SoldOut => POLL_SOLD_OUT_MS,
        PublicState::Paused => POLL_PAUSED_MS,
        PublicState::Closed => POLL_CLOSED_MS,
    }
}

/// The part of a drop's state that changes only when anything but the time does.
fn timeless(body: &str) -> &str {
    body.rsplit_once(r#","server_time":"#).map_or(body, |(before, _)| before)
}

/// A tag of this text. Weak: the time in a body is not part of it.
pub(super) fn tag_of(text: &str) -> String {
    format!("W/\"{:016x}\"", fnv(text.as_bytes()))
}

/// FNV-1a: a tag need not withstand anybody.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

pub(super) fn asked_etag(headers: &HeaderMap) -> Option<&str> {
    headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok())
}

pub(super) fn to_json(value: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(value).map_err(|error| internal(&error))
}

fn internal(error: &serde_json::Error) -> Problem {
    tracing::error!(%error, "a state could not be written as JSON");
    Cause::Unavailable.into()
}
