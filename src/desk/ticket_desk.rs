//! The desk itself: the order of its checks, cheapest first, and the ticket at their end.
//!
//! ```text
//!  drop known, desk open ─► address ─► identity ─► person ─► challenge, spent once ─► not blocked ─► rules ─► union ─► ticket
//! ```

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use deadpool_redis::Pool;
use redis::cmd;

use super::captcha::{Captcha, Verdict};
use super::identity::{self, Identity, IdentityRefusal, IdentityRules};
use super::keys::{KeyCache, NoKeys};
use super::lists::Lists;
use super::refusal::DeskRefusal;
use super::union::{Pseudonyms, Union, UnionError};
use crate::clock::{Clock, UnixMs};
use crate::config::{CaptchaFallback, ChallengeKind};
use crate::domain::campaign::Campaign;
use crate::domain::eligibility::{Applicant, Eligibility, Ineligible};
use crate::domain::ids::{DropId, PersonId, Shard};
use crate::guard::address::ClientAddress;
use crate::guard::blocked::Blocked;
use crate::guard::challenge::{Challenge, Challenges};
use crate::guard::rate::{Limits, RateRefusal};
use crate::guard::risk::{Activity, times_harder};
use crate::guard::tables::AddressTables;
use crate::guard::ticket::{Pass, TicketMint, device_hash};
use crate::ledger::{Bind, Bound, Choice};
use crate::limits;
use crate::redis::{keys, pool, reads};
use crate::rush::gate::{DropGate, DropRules, Gate};
use crate::telemetry::metrics::Metrics;

/// What the desk works with.
pub struct TicketDesk {
    /// Who may say who somebody is.
    pub keys: Arc<KeyCache>,
    /// What an identity must say.
    pub rules: IdentityRules,
    /// How persons are named.
    pub names: Pseudonyms,
    /// One natural person, however many accounts.
    pub union: Union,
    /// Makes and checks proofs of work.
    pub challenges: Challenges,
    /// Who was busy lately.
    pub activity: Activity,
    /// The captcha service, where one is used.
    pub captcha: Option<Captcha>,
    /// Who may and who may not.
    pub lists: Arc<Lists>,
    /// Whom staff keep out.
    pub blocked: Blocked,
    /// Where addresses lie.
    pub tables: AddressTables,
    /// Signs tickets. Replaced when the key file changes.
    pub mint: ArcSwap<TicketMint>,
    /// How often persons and addresses may come.
    pub limits: Limits,
    /// What is known of drops.
    pub gate: Arc<Gate>,
    /// Redis.
    pub pool: Pool,
    /// The shard.
    pub shard: Shard,
    /// Time.
    pub clock: Clock,
    /// What the config says.
    pub settings: DeskSettings,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// The numbers of the config.
#[derive(Debug, Clone, Copy)]
pub struct DeskSettings {
    /// How long before the release tickets are given.
    pub opens_before_ms: i64,
    /// How long a ticket is good.
    pub ticket_valid_ms: i64,
    /// What a ticket costs.
    pub challenge: ChallengeKind,
    /// What counts while the captcha service is away.
    pub fallback: CaptchaFallback,
    /// Numbers that a proof of work takes at most, at the least.
    pub difficulty: u64,
    /// How long a challenge may take.
    pub challenge_valid_ms: i64,
}

/// What somebody brings for a ticket.
#[derive(Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketRequest {
    /// The identity token of the sponsor's login.
    #[serde(default)]
    pub identity: String,
    /// The solution of a challenge of this desk.
    #[serde(default)]
    pub solution: String,
    /// The token of a captcha service.
    #[serde(default)]
    pub captcha: String,
    /// A name that the device chose for itself, to which the ticket is bound.
    #[serde(default)]
    pub device: Option<String>,
}

/// A ticket, and from when until when it is good.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct NewTicket {
    /// The ticket.
    pub ticket: String,
    /// The drop.
    pub drop: String,
    /// From when on it may be used; the drop may open later.
    pub valid_from: String,
    /// Until when.
    pub valid_until: String,
}

/// A drop whose tickets are given now, for somebody who does not come too often from where they come.
#[derive(Debug)]
pub struct Entered {
    gate: Arc<DropGate>,
    rules: Arc<DropRules>,
}

/// Who asks for a ticket, and from where.
struct Asks<'a> {
    identity: &'a Identity,
    person: &'a str,
    address: IpAddr,
}

impl TicketDesk {
    /// The way in: what is checked before anything that somebody sends is read. An exempt address is given as `None`.
    ///
    /// # Errors
    /// [`DeskRefusal`] by the drop, its window or the address.
    pub fn enter(&self, drop: &str, address: Option<IpAddr>) -> Result<Entered, DeskRefusal> {
        let (gate, rules) = self.open_drop(drop, self.clock.now_ms())?;
        self.limits.check_address(address).map_err(|rate| self.refused(rate))?;
        Ok(Entered { gate, rules })
    }

    /// A challenge for a drop. The busier an address and its network were, the harder it is.
    ///
    /// # Errors
    /// [`DeskRefusal`].
    pub fn challenge(&self, drop: &str, address: Option<IpAddr>) -> Result<Challenge, DeskRefusal> {
        self.enter(drop, address)?;
        let harder = address.map_or(1, |address| {
            let (host, network) = crate::guard::rate::host_and_network(address);
            times_harder(self.activity.count(host), self.activity.count(network))
        });
        let maxnumber = self.settings.difficulty.saturating_mul(harder);
        let until_ms = self.redis_now_ms().saturating_add(self.settings.challenge_valid_ms);
        Ok(self.challenges.make(drop, until_ms, maxnumber))
    }

    /// A ticket for whoever `request` proves to be.
    ///
    /// # Errors
    /// [`DeskRefusal`] names the first check that failed.
    pub async fn ticket(
        &self,
        entered: &Entered,
        request: &TicketRequest,
        address: ClientAddress,
    ) -> Result<NewTicket, DeskRefusal> {
        let (Entered { gate, rules }, now_ms) = (entered, self.clock.now_ms());
        let drop = gate.id.as_str();
        let device = request.device.as_deref().map(device_of).transpose()?;
        let identity = self.identify(&request.identity, now_ms).await?;
        let person = self.names.person(&identity);
        self.limits.check_person(&person).map_err(|rate| self.refused(rate))?;
        self.check_work(drop, request).await?;
        if self.blocked.is(&person, now_ms) {
            return Err(DeskRefusal::Blocked);
        }
        let campaign = self.gate.campaign(rules.campaign.as_str()).ok_or(DeskRefusal::UnknownDrop)?;
        let asks = Asks { identity: &identity, person: &person, address: address.address };
        let bound = self.check_rules(gate, rules, &campaign, &asks, now_ms).await;
        if let Err(DeskRefusal::Ineligible(why)) = &bound {
            self.metrics.desk_ineligible_total.increment(*why as usize);
        }
        bound?;
        let until_ms = now_ms.max(rules.spec.opens_at_ms).saturating_add(self.settings.ticket_valid_ms);
        let until_ms = until_ms.min(rules.spec.closes_at_ms);
        let region = identity.region.as_deref();
        let pass = Pass { person: &person, from_ms: now_ms, until_ms, device: device.as_deref(), region };
        let ticket = self.mint.load().mint_pass(&gate.id, &pass).map_err(|error| {
            tracing::error!(%error, "a ticket cannot be signed");
            DeskRefusal::Away
        })?;
        self.metrics.desk_tickets_total.increment(1);
        let second = |at_ms: UnixMs| crate::clock::rfc3339(at_ms.div_euclid(1_000).saturating_mul(1_000));
        let (valid_from, valid_until) = (second(now_ms), second(until_ms));
        Ok(NewTicket { ticket, drop: drop.to_owned(), valid_from, valid_until })
    }

    /// What challenges begin and end by: Redis forgets by its own clock what was spent, and nothing may be good for longer.
    fn redis_now_ms(&self) -> UnixMs {
        self.gate.redis_now_ms(self.clock.now_ms())
    }

    fn refused(&self, rate: RateRefusal) -> DeskRefusal {
        DeskRefusal::Rate(rate, self.limits.allowance(rate))
    }

    /// The drop, if its tickets are given now.
    fn open_drop(&self, drop: &str, now_ms: UnixMs) -> Result<(Arc<DropGate>, Arc<DropRules>), DeskRefusal> {
        let gate = self.gate.find(drop).ok_or(DeskRefusal::UnknownDrop)?;
        let rules = gate.rules();
        let from_ms = rules.spec.opens_at_ms.saturating_sub(self.settings.opens_before_ms);
        if now_ms < from_ms {
            return Err(DeskRefusal::NotYet { from_ms });
        }
        if now_ms >= rules.spec.closes_at_ms {
            return Err(DeskRefusal::Over);
        }
        Ok((gate, rules))
    }

    async fn identify(&self, token: &str, now_ms: UnixMs) -> Result<Identity, DeskRefusal> {
        if token.is_empty() {
            return Err(IdentityRefusal::Missing.into());
        }
        let kid =
            identity::kid_of(token).ok_or(IdentityRefusal::Invalid("it is no signed JWT with a kid"))?;
        let keys = self.keys.keys_with(&kid).await.map_err(|none| match none {
            NoKeys::Unread => DeskRefusal::Away,
            NoKeys::Busy => DeskRefusal::Busy,
        })?;
        Ok(identity::check(token, &keys, &self.rules, now_ms)?)
    }

    /// Whether the price was paid: a captcha passed, or a challenge solved and not spent before.
    async fn check_work(&self, drop: &str, request: &TicketRequest) -> Result<(), DeskRefusal> {
        match (self.settings.challenge, &self.captcha) {
            (ChallengeKind::None, _) => return Ok(()),
            (ChallengeKind::Turnstile | ChallengeKind::Hcaptcha, Some(captcha)) => {
                match captcha.ask(&request.captcha).await {
                    Verdict::Passed => return Ok(()),
                    Verdict::Failed => return Err(DeskRefusal::Captcha),
                    Verdict::NoAnswer if self.settings.fallback == CaptchaFallback::Refuse => {
                        return Err(DeskRefusal::Captcha);
                    }
                    Verdict::NoAnswer => {}
                }
            }
            _ => {}
        }
        let solved = self.challenges.check(&request.solution, drop, self.redis_now_ms())?;
        let beyond_ms = i64::try_from(limits::SPENT_BEYOND_END.as_millis()).unwrap_or(0);
        let until_ms = solved.expires_at_ms.saturating_add(beyond_ms);
        let mut spend = cmd("SET");
        spend.arg(keys::spent(self.shard, &solved.id)).arg(1).arg("NX").arg("PXAT").arg(until_ms);
        let spending = async {
            let mut connection = pool::checkout(&self.pool).await?;
            spend.query_async::<Option<String>>(&mut connection).await
        };
        match spending.await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(DeskRefusal::Spent),
            Err(error) => Err(away(&error)),
        }
    }

    async fn check_rules(
        &self,
        gate: &DropGate,
        rules: &DropRules,
        campaign: &Campaign,
        asks: &Asks<'_>,
        now_ms: UnixMs,
    ) -> Result<(), DeskRefusal> {
        let Asks { identity, person, .. } = *asks;
        let asked: Vec<&Eligibility> =
            [&campaign.eligibility, &rules.spec.eligibility].into_iter().flatten().collect();
        let chooses = asked.iter().any(|rules| rules.one_per_campaign);
        let claims = if asked.iter().any(|rules| rules.looks_at_claims()) {
            self.claims_elsewhere(&gate.id, campaign, person).await?
        } else {
            Vec::new()
        };
        let address_region = if asked.iter().any(|rules| rules.looks_at_addresses()) {
            self.region_of(asks.address)?
        } else {
            None
        };
        let last_claim_ms = claims.iter().filter_map(|(_, at_ms)| *at_ms).max();
        for rules in asked {
            let on_allow_list = match &rules.allow_list {
                None => false,
                Some(name) => self.lists.allows(name, &identity.subject).ok_or_else(|| {
                    tracing::error!(list = name, "an allow-list that a campaign names is not there");
                    DeskRefusal::Away
                })?,
            };
            let applicant = Applicant {
                region: identity.region.as_deref(),
                address_region: address_region.as_deref(),
                account_since_ms: identity.account_since_ms,
                on_allow_list,
                last_claim_ms,
            };
            rules.check(&applicant, now_ms).map_err(DeskRefusal::Ineligible)?;
        }
        // A drop without a claim of theirs may be left for this one when it is over.
        let over = campaign.drops.iter().filter(|drop| now_ms >= drop.closes_at_ms);
        let may_leave = over.filter(|drop| claims.iter().all(|(id, at)| *id != drop.id || at.is_none()));
        let may_leave = may_leave.map(|drop| drop.id.clone()).collect();
        let request = Bind {
            campaign: campaign.id.clone(),
            person: person.to_owned(),
            dimensions: self.names.dimensions(identity),
            choice: chooses.then(|| Choice { drop: gate.id.clone(), may_leave }),
        };
        match self.union.bind(request).await {
            Ok(Bound::Theirs) => Ok(()),
            Ok(Bound::Anothers(_)) => Err(DeskRefusal::Ineligible(Ineligible::Union)),
            Ok(Bound::Elsewhere(_)) => Err(DeskRefusal::Ineligible(Ineligible::OnePerCampaign)),
            Ok(Bound::NoCampaign) => Err(DeskRefusal::UnknownDrop),
            Err(UnionError::Busy) => Err(DeskRefusal::Busy),
            Err(error @ UnionError::Failed(_)) => Err(away(&error)),
        }
    }

    /// Where an address lies. Without a table nobody is let in by a rule that asks for it.
    fn region_of(&self, address: IpAddr) -> Result<Option<String>, DeskRefusal> {
        if !self.tables.has_regions() {
            tracing::error!("a campaign asks where addresses lie, and guard.region_table is not set");
            return Err(DeskRefusal::Away);
        }
        Ok(self.tables.region(address))
    }

    /// The person's last claim in each other drop of the campaign that counts there.
    async fn claims_elsewhere(
        &self,
        drop: &DropId,
        campaign: &Campaign,
        person: &str,
    ) -> Result<Vec<(DropId, Option<UnixMs>)>, DeskRefusal> {
        let person = PersonId::new(person).map_err(|error| away(&error))?;
        let mut connection = pool::checkout(&self.pool).await.map_err(|error| away(&error))?;
        let mut found = Vec::new();
        for other in campaign.drops.iter().map(|spec| &spec.id).filter(|id| *id != drop) {
            let grants = reads::counting_claims_of(&mut connection, self.shard, other, &person).await;
            let grants = grants.map_err(|error| away(&error))?;
            let last = grants.iter().map(|grant| grant.claimed_at_ms).max();
            found.push((other.clone(), last));
        }
        Ok(found)
    }
}

fn away(error: &dyn std::fmt::Display) -> DeskRefusal {
    tracing::warn!(%error, "the ticket desk cannot answer");
    DeskRefusal::Away
}

/// What a ticket says of the device.
fn device_of(device: &str) -> Result<String, DeskRefusal> {
    let fits =
        limits::DEVICE_BYTES.contains(&device.len()) && device.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(device_hash(device.as_bytes())) } else { Err(DeskRefusal::Device) }
}
