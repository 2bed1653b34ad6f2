//! `GET /v1/campaigns`: what there is to claim, for the page's first view.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use hyper::header::HeaderMap;
use serde::Serialize;

use super::drops::{CampaignState, MAX_AGE_S, asked_etag, campaign_shown, tag_of, to_json};
use super::front::Front;
use super::problem::Problem;
use super::reply::{self, Reply};
use crate::clock::{UnixMs, rfc3339};
use crate::domain::campaign::Campaign;
use crate::limits;

/// The list as it was made last. It is the same for everybody, and may be long: it is made anew a few times a second, however
/// many ask.
#[derive(Debug, Default)]
pub struct CampaignList(Mutex<Option<Made>>);

#[derive(Debug, Clone)]
struct Made {
    at: Instant,
    body: Bytes,
    etag: String,
}

#[derive(Serialize)]
struct List<'a> {
    server_time: String,
    campaigns: Vec<CampaignState<'a>>,
}

/// The campaigns: 200 or 304.
pub(super) fn campaigns(front: &Front, headers: &HeaderMap) -> Result<Reply, Problem> {
    let Made { body, etag, .. } = front.list.get(front)?;
    Ok(reply::public_json(body, &etag, asked_etag(headers), MAX_AGE_S))
}

impl CampaignList {
    fn get(&self, front: &Front) -> Result<Made, Problem> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref().filter(|made| made.at.elapsed() < limits::LIST_FRESH) {
            return Ok(made.clone());
        }
        let fresh = make(front)?;
        *made = Some(fresh.clone());
        Ok(fresh)
    }
}

fn make(front: &Front) -> Result<Made, Problem> {
    let now_ms = front.gate.redis_now_ms(front.clock.now_ms());
    let mut all = front.gate.campaigns().as_ref().clone();
    all.sort_by_key(|campaign| place(campaign, now_ms));
    let (mut tags, mut campaigns, mut drops) = (String::new(), Vec::new(), 0);
    for campaign in all.iter().take(limits::LISTED_CAMPAIGNS_MAX) {
        drops += campaign.drops.len();
        if drops > limits::LISTED_DROPS_MAX && !campaigns.is_empty() {
            break;
        }
        campaigns.push(campaign_shown(front, campaign, now_ms, &mut tags)?);
    }
    let body = to_json(&List { server_time: rfc3339(now_ms), campaigns })?;
    Ok(Made { at: Instant::now(), body: body.into(), etag: tag_of(&tags) })
}

/// What has something open or to come first, the soonest above; then what is over, the latest above.
fn place(campaign: &Arc<Campaign>, now_ms: UnixMs) -> (bool, UnixMs, Reverse<UnixMs>) {
    let to_come = campaign.drops.iter().filter(|drop| now_ms < drop.closes_at_ms);
    let soonest = to_come.map(|drop| drop.opens_at_ms).min();
    let last = campaign.drops.iter().map(|drop| drop.closes_at_ms).max().unwrap_or(0);
    (soonest.is_none(), soonest.unwrap_or(0), Reverse(last))
}
