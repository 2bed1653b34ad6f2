//! Wires the ticket desk, where the config opens one.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use deadpool_redis::Pool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::{CallUrl, ChallengeKind, Config, DeskConfig};
use crate::desk::captcha::{Captcha, HCAPTCHA_URL, TURNSTILE_URL};
use crate::desk::identity::IdentityRules;
use crate::desk::keys::{KeyCache, KeySource};
use crate::desk::lists::Lists;
use crate::desk::outbound::Outbound;
use crate::desk::union::{Pseudonyms, Union};
use crate::desk::{DeskSettings, TicketDesk};
use crate::domain::ids::Shard;
use crate::exit::{Exit, Failure};
use crate::guard::blocked::Blocked;
use crate::guard::challenge::Challenges;
use crate::guard::rate::{Allowance, LimitRules, Limits};
use crate::guard::risk::{Activity, HALVED_EVERY};
use crate::guard::tables::AddressTables;
use crate::guard::ticket::{KeyFile, TicketMint};
use crate::infile;
use crate::ledger::Ledger;
use crate::limits;
use crate::rush::gate::Gate;
use crate::telemetry::metrics::Metrics;

/// What the rest of the service lends to the desk.
pub(super) struct Lent<'a> {
    pub(super) config: &'a Config,
    pub(super) keys: &'a KeyFile,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) pool: Pool,
    pub(super) gate: Arc<Gate>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    pub(super) blocked: Blocked,
    pub(super) tables: AddressTables,
}

/// The lists of persons, read once.
pub(super) fn lists(config: &DeskConfig, blocked: &Blocked) -> Result<Arc<Lists>, Failure> {
    let folder = Some(config.lists_dir.clone()).filter(|folder| !folder.as_os_str().is_empty());
    let lists = Lists::new(folder, blocked.clone());
    lists.open().map_err(|error| named("desk.lists_dir", &error))?;
    Ok(Arc::new(lists))
}

/// Reads the files that the desk goes by, other than the lists, and keeps nothing of them.
pub(super) async fn check_files(config: &DeskConfig) -> Result<(), Failure> {
    let outbound = Outbound::new().map_err(|error| named("desk", &error))?;
    if let Some(path) = config.keys_path() {
        let source = KeySource::File(path.to_owned());
        let keys = KeyCache::new(source, outbound.clone(), config.keys_refresh());
        keys.read().await.map_err(|error| named("desk.keys_file", &error))?;
    }
    if config.is_open() {
        captcha(config, outbound)?;
    }
    Ok(())
}

/// The desk, if the config opens one.
pub(super) async fn open(lent: Lent<'_>, lists: Arc<Lists>) -> Result<Option<TicketDesk>, Failure> {
    let config = &lent.config.desk;
    if !config.is_open() {
        return Ok(None);
    }
    let refused = |error: &dyn Display| named("desk", error);
    let outbound = Outbound::new().map_err(|error| refused(&error))?;
    let source = match config.keys_path() {
        Some(path) => KeySource::File(path.to_owned()),
        None => KeySource::Url(config.keys_url.clone()),
    };
    let is_file = matches!(source, KeySource::File(_));
    let keys = Arc::new(KeyCache::new(source, outbound.clone(), config.keys_refresh()));
    match keys.read().await {
        Ok(()) => {}
        // A file is ours to get right; a sponsor's server may come up later than we do.
        Err(error) if is_file => return Err(named("desk.keys_file", &error)),
        Err(error) => {
            tracing::warn!(%error, "there are no keys of identity tokens yet: nobody gets a ticket");
        }
    }
    let secret = lent.keys.identity_secret().bytes();
    let (union, work) = Union::new(lent.ledger, lent.pool.clone(), Shard::FIRST, lent.clock.clone());
    // It ends with the desk.
    tokio::spawn(work);
    Ok(Some(TicketDesk {
        keys,
        rules: IdentityRules {
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            leeway_ms: i64::try_from(lent.config.ticket.leeway_s).unwrap_or(0).saturating_mul(1_000),
        },
        names: Pseudonyms::new(secret),
        union,
        challenges: Challenges::new(secret),
        activity: Activity::default(),
        captcha: captcha(config, outbound)?,
        lists,
        blocked: lent.blocked,
        tables: lent.tables.clone(),
        mint: ArcSwap::from_pointee(TicketMint::new(lent.keys)),
        limits: Limits::new(limit_rules(config).map_err(|error| refused(&error))?)
            .by_asn(lent.tables, &lent.config.limits.asn_exempt),
        gate: lent.gate,
        pool: lent.pool,
        shard: Shard::FIRST,
        clock: lent.clock,
        settings: settings(config),
        metrics: lent.metrics,
    }))
}

/// A wrong config, by its key.
pub(super) fn named(key: &str, error: &dyn Display) -> Failure {
    Failure::new(Exit::Config, error.to_string()).about(key).about("config")
}

fn captcha(config: &DeskConfig, outbound: Outbound) -> Result<Option<Captcha>, Failure> {
    let known = match config.challenge {
        ChallengeKind::Turnstile => TURNSTILE_URL,
        ChallengeKind::Hcaptcha => HCAPTCHA_URL,
        ChallengeKind::ProofOfWork | ChallengeKind::None => return Ok(None),
    };
    let path: &PathBuf = &config.captcha_secret_file;
    let secret = infile::read_text(path, limits::KEY_FILE_BYTES_MAX)
        .map_err(|error| named("desk.captcha_secret_file", &format_args!("{}: {error}", path.display())))?;
    let url = if config.captcha_url.is_empty() { CallUrl::new(known) } else { config.captcha_url.clone() };
    Ok(Some(Captcha { url, secret: secret.trim().to_owned(), outbound }))
}

fn limit_rules(config: &DeskConfig) -> Result<LimitRules, crate::guard::rate::AllowanceError> {
    let a_minute = |count: u32| Allowance::new(count, Duration::from_secs(60) / count.max(1));
    Ok(LimitRules {
        person: a_minute(config.person_per_minute)?,
        address: a_minute(config.address_per_minute)?,
        // A network is as many addresses as it likes to be; a device is the person's.
        network: a_minute(config.address_per_minute.saturating_mul(10).min(limits::RATE_BURST_MAX))?,
        asn: a_minute(config.asn_per_minute)?,
        device: a_minute(config.person_per_minute)?,
        keys_max: limits::RATE_KEYS_DEFAULT,
    })
}

fn settings(config: &DeskConfig) -> DeskSettings {
    let millis = |seconds: u64| i64::try_from(seconds).unwrap_or(0).saturating_mul(1_000);
    DeskSettings {
        opens_before_ms: millis(config.opens_before_s),
        ticket_valid_ms: millis(config.ticket_valid_s),
        challenge: config.challenge,
        fallback: config.captcha_fallback,
        difficulty: config.difficulty,
        challenge_valid_ms: millis(config.challenge_valid_s),
    }
}

/// What has to be done beside the desk, until `stop`.
pub(super) fn spawn_upkeep(desk: &Arc<TicketDesk>, background: &TaskTracker, stop: &CancellationToken) {
    background.spawn(Arc::clone(&desk.keys).keep_fresh(stop.clone()));
    let (desk, stop) = (Arc::clone(desk), stop.clone());
    background.spawn(async move {
        let mut halved_at = std::time::Instant::now();
        while stop.run_until_cancelled(tokio::time::sleep(limits::RATE_UPKEEP_INTERVAL)).await.is_some() {
            desk.limits.upkeep();
            if halved_at.elapsed() >= HALVED_EVERY {
                desk.activity.halve();
                halved_at = std::time::Instant::now();
            }
        }
    });
}
